package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"entente/policy"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// publicReader is how the reader who is no party to anything is called.
const publicReader = "public"

// world is what is in force at a moment: agreements, members and policy, built
// from the signed documents. It is immutable; rebuild replaces it as a whole.
type world struct {
	self       protocol.MemberID
	made       time.Time // for which moment
	until      time.Time // the next moment at which a date changes something
	engine     *policy.Engine
	local      *protocol.LocalRules // the operator's own rules that it decides by; nil: none
	agreements map[protocol.AgreementID]*governing
	members    map[protocol.MemberID]*member
	keys       map[authorKey]protocol.PublicKey
	retired    map[authorKey]bool           // keys of closed nodes: valid up to closing positions only
	identities map[string]protocol.MemberID // STIX identity → the member that bound it
	closed     closings
	circle     []protocol.MemberID // who is known by an invite
	findings   []Finding
	basis      []byte        // what decisions rest on, as the audit log keeps it
	basisHash  protocol.Hash // of basis
}

type authorKey struct {
	author protocol.Author
	epoch  uint32
}

// member is what is known of a member: its records, oldest first, or its public
// profiles where no record is here.
type member struct {
	id       protocol.MemberID
	records  []kept[*protocol.Record]
	profiles []kept[*protocol.Record]
}

// kept is a parsed document with the document itself.
type kept[T any] struct {
	parsed   T
	document protocol.Document
	name     string // of its file, without version
}

// latest returns the newest record, or else the newest profile.
func (m *member) latest() *protocol.Record {
	if len(m.records) > 0 {
		return m.records[len(m.records)-1].parsed
	}
	return m.profile()
}

// rooted reports whether what is known of the member is of the party that an
// agreement names: records and profiles are chains of their own, and each must
// reach the root key, or a root key of the other that does.
func (m *member) rooted(p protocol.Party) bool {
	roots := func(list []kept[*protocol.Record]) (roots []protocol.PublicKey, reach bool) {
		for _, k := range list {
			roots, reach = append(roots, k.parsed.Root), reach || k.parsed.CheckRoot(p) == nil
		}
		return roots, reach
	}
	records, recordsReach := roots(m.records)
	profiles, profilesReach := roots(m.profiles)
	shared := slices.ContainsFunc(records, func(k protocol.PublicKey) bool { return slices.Contains(profiles, k) })
	return (len(records) == 0 || recordsReach || (profilesReach && shared)) &&
		(len(profiles) == 0 || profilesReach || (recordsReach && shared))
}

func (m *member) profile() *protocol.Record {
	if len(m.profiles) > 0 {
		return m.profiles[len(m.profiles)-1].parsed
	}
	return nil
}

// State of an agreement at a node.
const (
	stateInForce       = "in-force"
	stateWaiting       = "waiting"       // for signatures
	stateNotYet        = "not-yet"       // its first day has not come
	stateExpired       = "expired"       // its last day is over
	stateLapsed        = "lapsed"        // its legal basis has lapsed
	stateNotParty      = "not-a-party"   // private, and this member is not in it
	stateUnenforceable = "unenforceable" // some clause means nothing to this node
	stateFollowed      = "in-force-read" // public, read without being a party
	stateForked        = "forked"        // two versions that exclude each other are signed
	stateWithdrawn     = "withdrawn"     // this member has withdrawn, or all others have
)

// governing is one agreement as it stands.
type governing struct {
	doc      *protocol.Agreement         // the version that counts
	versions []kept[*protocol.Agreement] // all that are here, oldest first
	valid    map[protocol.Hash]protocol.SignedVersion
	heads    []*protocol.Agreement // valid versions that no valid one builds on; several are a fork
	acting   []*protocol.Agreement // whose intersection is in force: several while this member has not signed the newest, or is in doubt
	// proposals build on a head and have not all signatures that they need.
	proposals []*protocol.Agreement
	signed    map[protocol.MemberID]bool // of doc
	bound     map[protocol.MemberID]bool // parties of doc that have signed this or an earlier version
	unsigned  []protocol.MemberID        // parties of doc that have signed no version: they get and give nothing
	missing   int                        // signatures of doc still wanting
	state     string
	party     bool
	timed     bool                           // some clause has dates of its own
	topics    map[string][]protocol.MemberID // readers by topic; the zero id is the public
	halted    map[protocol.MemberID]halt     // parties that get and give nothing
	// withdrawn is whose withdrawal ended it, "" where nobody's did, and terminated
	// when.
	withdrawn  string
	terminated time.Time
	stale      bool      // nobody vouched lately that doc is the newest: only CLEAR passes
	fresh      time.Time // until when it is vouched for; zero where nobody has to
}

func (g *governing) public() bool { return g.doc.Visibility == protocol.Public }
func (g *governing) inForce() bool {
	return g.state == stateInForce || g.state == stateFollowed || g.state == stateForked
}

// open reports whether messages of the agreement pass at all: objects while it is
// in force; after the end statements go on, so that what must be erased is erased,
// and who withdrew is known to have done so.
func (g *governing) open() bool { return g.inForce() || g.ended() }

// ended reports whether the agreement was in force and is no more, or not now.
func (g *governing) ended() bool {
	return g.party && (g.state == stateExpired || g.state == stateLapsed || g.state == stateWithdrawn)
}

// ruled reports whether policy knows the agreement: while it is in force, and
// when its time is over, so that who read a topic goes on to be told what it may
// keep.
func (g *governing) ruled() bool {
	return g.inForce() || g.ended()
}

// stands reports whether the member is a party that is bound.
func (g *governing) stands(m protocol.MemberID) bool { return g.bound[m] }

// readers returns who reads a topic: bound parties that some clause lets read
// it, and the zero id where anyone may.
func (g *governing) readers(topic string) []protocol.MemberID { return g.topics[topic] }

// has reports whether the agreement has a topic: one that it names, or that of
// statements about itself.
func (g *governing) has(topic string) bool {
	_, ok := g.topics[topic]
	return ok
}

// named returns the topics that the agreement names, sorted.
func (g *governing) named() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(g.topics)), func(t string) bool { return t == protocol.AgreementTopic })
}

// everyone returns the readers of a topic and the parties that are not, for
// explanations.
func (g *governing) everyone(topic string) []protocol.MemberID {
	out := slices.Clone(g.readers(topic))
	for _, p := range g.doc.Parties {
		if !slices.Contains(out, p.ID) {
			out = append(out, p.ID)
		}
	}
	return out
}

// clause returns the prose of a clause as it reads in a version.
func (g *governing) clause(version uint64, number string) (string, bool) {
	for _, v := range g.versions {
		if v.parsed.Version != version {
			continue
		}
		for _, c := range v.parsed.Clauses {
			if c.Number == number {
				return c.Text, true
			}
		}
	}
	return "", false
}

// mayPublish says why this member may not publish on a topic at all.
func (g *governing) mayPublish(self protocol.MemberID, topic string) error {
	const op = "publish"
	show := "read it: entente agreements show " + g.doc.Name
	switch {
	case g.state == stateFollowed || !g.party:
		return protocol.E(protocol.Refused, op, fmt.Errorf("this member is no party to %s and may only read it", g.doc.Name), show)
	case !g.inForce():
		return protocol.E(protocol.Refused, op, fmt.Errorf("the agreement %s is not in force: %s", g.doc.Name, g.stateText()), show)
	case !g.stands(self):
		return protocol.E(protocol.Refused, op, fmt.Errorf("this member has not signed %s", g.doc.Name), "sign it: entente agreements sign FILE")
	}
	if h, ok := g.halted[self]; ok {
		return protocol.E(protocol.Refused, op, fmt.Errorf("this member may give nothing under %s: %s", g.doc.Name, h.text), show)
	}
	return nil
}

// stateText puts the state into words.
func (g *governing) stateText() string {
	day := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
	switch g.state {
	case stateWaiting:
		if _, valid := g.valid[g.doc.Hash]; valid {
			return "this member has not signed it; those who have share without it"
		}
		if g.missing == 1 {
			return "1 signature is missing"
		}
		return fmt.Sprintf("%d signatures are missing", g.missing)
	case stateNotYet:
		return "it begins on " + day(g.doc.From)
	case stateExpired:
		return "it ended on " + day(g.doc.Until)
	case stateLapsed:
		return "its legal basis lapsed on " + day(g.doc.LegalBasis.Until)
	case stateNotParty:
		return "this member is no party to it"
	case stateForked:
		return fmt.Sprintf("%d versions that exclude each other are signed, and only what all of them allow passes; %s signed more than one", len(g.heads), strings.Join(g.doubleSigners(), " and "))
	case stateWithdrawn:
		return "over: " + g.withdrawn
	case stateUnenforceable:
		return "this node cannot enforce all of it; see: entente doctor"
	case stateFollowed:
		return "in force; this node reads it without being a party"
	default:
		return "in force"
	}
}

// references returns the ids that must be readable for the object to be; a
// party's own identity is exempt.
func (w *world) references(o *stix.Object) []string {
	refs := policy.References(o, func(id string) bool { return w.identities[id] != protocol.MemberID{} })
	slices.Sort(refs)
	return slices.Compact(refs)
}

// ownership refuses a version of an object that only another party may make:
// one whose creator is that party's identity. An identity that a member bound
// is that member's own object.
func (w *world) ownership(g *governing, author protocol.MemberID, o *stix.Object) (policy.Decision, bool) {
	creator := o.CreatedBy
	if o.Type == "identity" {
		if owner, ok := w.identities[o.ID]; ok && owner != author {
			return w.notYours(g, owner, "this identity belongs to %s"), false
		}
	}
	owner, bound := w.identities[creator]
	if !bound || owner == author || !g.isParty(owner) {
		return policy.Decision{}, true
	}
	return w.notYours(g, owner, "it was made by %s, who alone may publish or revoke versions of it here; sight it, note it or derive from it instead"), false
}

func (w *world) notYours(g *governing, owner protocol.MemberID, format string) policy.Decision {
	return policy.Decision{
		Outcome: policy.Refuse, Layer: policy.Governing, Agreement: g.doc.ID, Version: g.doc.Version,
		Text: fmt.Sprintf(format, w.readerNameIn(g, owner)),
	}
}

func (g *governing) isParty(m protocol.MemberID) bool {
	return slices.ContainsFunc(g.doc.Parties, func(p protocol.Party) bool { return p.ID == m })
}

// mayHold reports whether messages of a log may be taken at all.
func (w *world) mayHold(g *governing, log protocol.LogID) bool {
	if !log.Lane.IsTopic() {
		return false
	}
	if !g.has(log.Lane.Topic) {
		return false
	}
	if g.stands(log.Author.Member) {
		return true
	}
	_, closed := w.closed.end(log)
	return closed
}

// agreement finds an agreement by its name, its id or the beginning of the id.
func (w *world) agreement(name string) (*governing, error) {
	var found []*governing
	for id, g := range w.agreements {
		switch {
		case id.String() == name:
			return g, nil
		case g.doc.Name == name, len(name) >= 8 && strings.HasPrefix(id.String(), name):
			found = append(found, g)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, protocol.E(protocol.NotFound, "", fmt.Errorf("there is no agreement %q here", name), "list them: entente agreements list")
	default:
		return nil, protocol.E(protocol.Invalid, "", fmt.Errorf("%d agreements are called %q", len(found), name), "use the id: entente agreements list")
	}
}

// topic finds a topic by "agreement/topic", or by its own name where only one
// agreement has it.
func (w *world) topic(name string) (*governing, string, error) {
	if agreement, topic, ok := strings.Cut(name, "/"); ok {
		g, err := w.agreement(agreement)
		if err != nil {
			return nil, "", err
		}
		if !slices.Contains(g.named(), topic) {
			return nil, "", protocol.E(protocol.NotFound, "", fmt.Errorf("%s has no topic %q; it has %s",
				g.doc.Name, topic, strings.Join(g.named(), ", ")), "read it: entente agreements show "+g.doc.Name)
		}
		return g, topic, nil
	}
	var found []*governing
	for _, g := range w.agreements {
		if slices.Contains(g.named(), name) {
			found = append(found, g)
		}
	}
	switch len(found) {
	case 1:
		return found[0], name, nil
	case 0:
		return nil, "", protocol.E(protocol.NotFound, "", fmt.Errorf("no agreement here has a topic %q", name), "list topics: entente agreements list")
	default:
		names := make([]string, 0, len(found))
		for _, g := range found {
			names = append(names, g.doc.Name+"/"+name)
		}
		slices.Sort(names)
		return nil, "", protocol.E(protocol.Invalid, "", fmt.Errorf("%d agreements have a topic %q", len(found), name), "say which: "+strings.Join(names, " or "))
	}
}

// memberNamed finds a member by handle, id, or the beginning of the id.
func (w *world) memberNamed(name string) (protocol.MemberID, error) {
	var found []protocol.MemberID
	for id := range w.members {
		if w.memberName(id) == name || id.String() == name || (len(name) >= 8 && strings.HasPrefix(id.String(), name)) {
			found = append(found, id)
		}
	}
	if len(found) == 0 {
		for _, g := range w.agreements {
			for _, p := range g.doc.Parties {
				if p.Handle == name && !slices.Contains(found, p.ID) {
					found = append(found, p.ID)
				}
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return protocol.MemberID{}, protocol.E(protocol.NotFound, "", fmt.Errorf("no member %q is known here", name), "list them: entente members")
	default:
		return protocol.MemberID{}, protocol.E(protocol.Invalid, "", fmt.Errorf("%d members are called %q", len(found), name), "use the id: entente members")
	}
}

func (w *world) agreementName(id protocol.AgreementID) string {
	if g := w.agreements[id]; g != nil {
		return g.doc.Name
	}
	return id.Short()
}

func (w *world) version(id protocol.AgreementID) uint64 {
	if g := w.agreements[id]; g != nil {
		return g.doc.Version
	}
	return 0
}

// memberName returns a member's handle, or the beginning of its id.
func (w *world) memberName(id protocol.MemberID) string {
	if m := w.members[id]; m != nil {
		return m.latest().Handle
	}
	for _, g := range w.agreements {
		for _, p := range g.doc.Parties {
			if p.ID == id {
				return p.Handle
			}
		}
	}
	return id.Short()
}

func (w *world) readerName(id protocol.MemberID) string {
	if id.IsZero() {
		return publicReader
	}
	return w.memberName(id)
}

// readerNameIn prefers the handle that an agreement gives its party.
func (w *world) readerNameIn(g *governing, id protocol.MemberID) string {
	for _, p := range g.doc.Parties {
		if p.ID == id {
			return p.Handle
		}
	}
	return w.readerName(id)
}

func (w *world) authorName(a protocol.Author) string {
	return fmt.Sprintf("%s/%d", w.memberName(a.Member), a.Node)
}

// peerText names a peer in the audit log: by its transport key.
func peerText(p protocol.Peer) string {
	if p.Transport == (protocol.PublicKey{}) {
		return ""
	}
	return p.Transport.String()
}

// formRule cuts the object's own id off a form error, so that objects that
// break the same rule count together.
func formRule(text string) string {
	if id, rule, ok := strings.Cut(text, ": "); ok && strings.Contains(id, "--") {
		return rule
	}
	return text
}

// auditRow selects one row of the audit log.
func auditRow(number uint64) store.AuditQuery {
	return store.AuditQuery{After: number - 1}
}
