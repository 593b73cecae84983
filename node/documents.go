package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"entente/policy"
	"entente/protocol"
)

// The kinds under which documents are kept; they are folder names.
const (
	keptRecords    = "members"
	keptProfiles   = "profiles"
	keptAgreements = "agreements"
)

// rebuild makes a new world from the documents that are kept. Callers hold
// n.docs, or have the node to themselves.
func (n *Node) rebuild() error {
	now := n.now()
	w := &world{
		self: n.cfg.Member, made: now, until: now.Add(24 * time.Hour),
		agreements: map[protocol.AgreementID]*governing{}, members: map[protocol.MemberID]*member{},
		keys: map[authorKey]protocol.PublicKey{}, retired: map[authorKey]bool{},
		identities: map[string]protocol.MemberID{}, circle: slices.Clone(n.circle.Known),
	}
	for _, i := range n.circle.Invites {
		w.change(i.Expires, now)
	}
	var records, agreements []named
	err := n.cfg.Documents.Load(func(kind, name string, version uint64, payload, signatures []byte) error {
		sigs, err := protocol.DecodeSignatures(signatures)
		if err != nil {
			w.fault("document-damaged", fmt.Sprintf("the signatures of %s version %d cannot be read: %v", name, version, err))
			return nil
		}
		d := named{protocol.Document{Payload: payload, Signatures: sigs}, name}
		switch kind {
		case keptRecords:
			d.Type = protocol.RecordType
			records = append(records, d)
		case keptProfiles:
			d.Type = protocol.ProfileType
			records = append(records, d)
		case keptAgreements:
			d.Type = protocol.AgreementType
			agreements = append(agreements, d)
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.takeRecords(records, now)
	w.takeAgreements(agreements, now)
	w.closeLogs()
	if err := n.hear(w); err != nil {
		return err
	}
	for _, g := range w.agreements {
		w.halt(g, n.said[g.doc.ID], now)
		if err := n.refresh(w, g, n.said[g.doc.ID], now); err != nil {
			return err
		}
	}
	if err := n.compile(w, now); err != nil {
		return err
	}
	if err := n.settleBasis(w); err != nil {
		return err
	}
	n.world.Store(w)
	n.tell(n.changed)
	return nil
}

// named is a document as it is kept.
type named struct {
	protocol.Document
	name string // of its file, without version
}

// ruled is a compiled version with the facts that it decides under.
type ruled struct {
	bare  *policy.Rules // without local rules and facts
	rules *policy.Rules
	facts policy.Facts
	local protocol.Hash // of the operator's rules
}

// compile makes the policy engine. Rules of unchanged versions under unchanged
// facts are kept with what they have decided; an agreement that cannot be enforced
// is not in force.
func (n *Node) compile(w *world, now time.Time) error {
	held := map[protocol.Hash]ruled{}
	var all []*policy.Rules
	for _, g := range w.agreements {
		if !g.ruled() {
			continue
		}
		facts := n.facts(w, g, now)
		var versions []*policy.Rules
		for _, a := range g.acting {
			r, err := n.rulesOf(a, facts)
			if err != nil {
				g.state, versions = stateUnenforceable, nil
				w.fault("agreement-unenforceable", err.Error())
				break
			}
			held[a.Hash] = r
			versions = append(versions, r.rules)
		}
		all = append(all, versions...)
	}
	n.book.compiled, w.local = held, n.book.local
	var err error
	if w.engine, err = policy.NewEngine(n.cfg.Member, all...); err != nil {
		return err
	}
	for _, g := range w.agreements {
		g.topics = map[string][]protocol.MemberID{}
		for _, t := range g.doc.Topics {
			g.topics[t.Name] = nil
			if g.ruled() {
				g.topics[t.Name] = w.topicReaders(g, t.Name, g.lastDay(now))
			}
		}
		g.topics[protocol.AgreementTopic] = g.audience()
	}
	return nil
}

// rulesOf compiles a version, or takes what is compiled already.
func (n *Node) rulesOf(a *protocol.Agreement, facts policy.Facts) (ruled, error) {
	local := hashOfRules(n.book.local)
	held, ok := n.book.compiled[a.Hash]
	if ok && held.local == local && reflect.DeepEqual(held.facts, facts) {
		return held, nil
	}
	var err error
	if !ok {
		if held.bare, err = policy.CompileAgreement(a); err != nil {
			return held, err
		}
	}
	if !ok || held.local != local {
		if held.rules, err = held.bare.Under(n.book.local, n.cfg.Member); err != nil {
			return held, err
		}
	}
	held.rules, held.facts, held.local = held.rules.With(facts), facts, local
	return held, nil
}

// facts gathers what decisions under an agreement rest on beside its document.
func (n *Node) facts(w *world, g *governing, now time.Time) policy.Facts {
	return policy.Facts{
		ClearOnly: g.stale, Encrypted: n.cfg.Encrypted, Suspended: suspended(g.halted), Terminated: g.terminated,
		Entitled: w.entitled(g, n.said[g.doc.ID], now),
	}
}

// suspended is until when policy takes the halted for suspended.
func suspended(halted map[protocol.MemberID]halt) map[protocol.MemberID]time.Time {
	out := map[protocol.MemberID]time.Time{}
	for party, h := range halted {
		out[party] = h.until
		if h.permanent() {
			out[party] = endOfTime()
		}
	}
	return out
}

// endOfTime is the end of what does not end.
func endOfTime() time.Time { return time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) }

// topicReaders returns who reads a topic now: the parties that are not barred,
// and the zero id where some clause lets anyone read.
func (w *world) topicReaders(g *governing, topic string, now time.Time) []protocol.MemberID {
	barred, until := w.engine.Barred(g.doc.ID, topic, now)
	w.change(until, now)
	var out []protocol.MemberID
	for _, p := range g.doc.Parties {
		if _, halted := g.halted[p.ID]; !halted && !slices.Contains(barred, p.ID) {
			out = append(out, p.ID)
		}
	}
	if slices.ContainsFunc(g.doc.Clauses, func(c protocol.Clause) bool {
		return c.Permit && c.To.Public && (len(c.Topics) == 0 || slices.Contains(c.Topics, topic))
	}) {
		out = append(out, protocol.MemberID{})
	}
	return out
}

// lastDay returns now, or the last moment in force of an agreement that has ended:
// who read a topic then goes on to get the statements about what he got.
func (g *governing) lastDay(now time.Time) time.Time {
	for _, end := range []time.Time{g.doc.Until, g.doc.LegalBasis.Until, g.terminated} {
		if !end.IsZero() && !now.Before(end) {
			now = end.Add(-time.Microsecond)
		}
	}
	return now
}

func (w *world) fault(code, text string) {
	w.findings = append(w.findings, Finding{Code: code, Severity: Warning, Text: text, Hint: "import it again: entente agreements import FILE"})
}

// change notes that something changes at a moment.
func (w *world) change(at, now time.Time) {
	if at.After(now) && at.After(w.made) && at.Before(w.until) {
		w.until = at
	}
}

// takeRecords verifies chains of records and profiles and fills the directory.
func (w *world) takeRecords(documents []named, now time.Time) {
	chains := map[protocol.MemberID][]kept[*protocol.Record]{}
	for _, d := range documents {
		r, err := protocol.ParseRecord(d.Payload)
		if err != nil {
			w.fault("document-damaged", fmt.Sprintf("a member record that is kept here cannot be read: %v", err))
			continue
		}
		chains[r.Member] = append(chains[r.Member], kept[*protocol.Record]{r, d.Document, d.name})
	}
	for id, chain := range chains {
		slices.SortFunc(chain, func(a, b kept[*protocol.Record]) int { return int(a.parsed.Version) - int(b.parsed.Version) })
		m := &member{id: id}
		for _, k := range chain {
			list := &m.records
			if k.parsed.Public {
				list = &m.profiles
			}
			var prev *protocol.Record
			if len(*list) > 0 {
				prev = (*list)[len(*list)-1].parsed
			}
			if _, err := protocol.VerifyRecord(k.document, prev); err != nil {
				w.fault("document-unverified", fmt.Sprintf("version %d of the record of %s does not verify: %v", k.parsed.Version, k.parsed.Handle, err))
				continue
			}
			*list = append(*list, k)
		}
		if m.latest() == nil {
			continue
		}
		w.members[id] = m
		w.index(m, now)
	}
}

// index makes a member's keys, identities and closing positions findable.
func (w *world) index(m *member, now time.Time) {
	for _, k := range slices.Concat(m.profiles, m.records) {
		r := k.parsed
		for _, e := range r.Nodes {
			w.keys[authorKey{protocol.Author{Member: m.id, Node: e.Number}, e.Epoch}] = e.Key
		}
		for _, e := range r.Retired {
			key := authorKey{protocol.Author{Member: m.id, Node: e.Number}, e.Epoch}
			w.keys[key], w.retired[key] = e.Key, true
		}
		w.change(r.Until, now)
	}
	for _, id := range m.latest().Identities {
		w.identities[id] = m.id
	}
}

// takeAgreements verifies chains of versions and settles which one counts.
func (w *world) takeAgreements(documents []named, now time.Time) {
	chains := map[protocol.AgreementID][]kept[*protocol.Agreement]{}
	for _, d := range documents {
		a, err := protocol.ParseAgreement(d.Payload)
		if err != nil {
			w.fault("document-damaged", fmt.Sprintf("an agreement that is kept here cannot be read: %v", err))
			continue
		}
		chains[a.ID] = append(chains[a.ID], kept[*protocol.Agreement]{a, d.Document, d.name})
	}
	for id, chain := range chains {
		slices.SortFunc(chain, func(a, b kept[*protocol.Agreement]) int { return int(a.parsed.Version) - int(b.parsed.Version) })
		w.agreements[id] = w.settle(chain, now)
	}
}

func (w *world) settleState(g *governing, signedEver map[protocol.MemberID]bool, now time.Time) {
	a := g.doc
	for _, p := range a.Parties {
		g.party = g.party || p.ID == w.self
		if !signedEver[p.ID] {
			g.unsigned = append(g.unsigned, p.ID)
			continue
		}
		m := w.members[p.ID]
		if m != nil && !m.rooted(p) {
			w.fault("record-not-of-party", fmt.Sprintf("the record of %s that is here does not begin with the root key that the agreement %s names; nothing from it counts", p.Handle, a.Name))
			continue
		}
		// A party whose record has run out stands for nothing until it is renewed.
		if m == nil || m.latest().Until.After(now) {
			g.bound[p.ID] = true
		}
	}
	for _, c := range a.Clauses {
		for _, at := range []time.Time{c.Starts, c.Ends} {
			if !at.IsZero() {
				g.timed = true
				w.change(at, now)
			}
		}
	}
	for _, at := range []time.Time{a.From, a.Until, a.LegalBasis.Until} {
		w.change(at, now)
	}
	switch {
	case g.state == stateWaiting:
	case slices.Contains(g.unsigned, w.self):
		// A party is bound by its own signature alone: the others share without it.
		g.state, g.missing = stateWaiting, 1
	case now.Before(a.From):
		g.state = stateNotYet
	case !now.Before(a.Until):
		g.state = stateExpired
	case !a.LegalBasis.Until.IsZero() && !now.Before(a.LegalBasis.Until):
		g.state = stateLapsed
	case !g.party && a.Visibility == protocol.Public:
		g.state = stateFollowed
	case !g.party:
		g.state = stateNotParty
	}
}

func setOf(ids []protocol.MemberID) map[protocol.MemberID]bool {
	out := make(map[protocol.MemberID]bool, len(ids))
	for _, id := range ids {
		out[id] = true
	}
	return out
}

// updateNetworks tells both hosts what is in force. The caller holds n.docs.
func (n *Node) updateNetworks() error {
	w := n.world.Load()
	var lists [2][]protocol.Membership
	for _, g := range w.agreements {
		if !g.open() {
			continue
		}
		at := memberHost
		if g.public() {
			at = publicHost
		}
		lists[at] = append(lists[at], n.membership(w, g))
	}
	lists[memberHost] = append(lists[memberHost], n.papers(w)...)
	n.openDoors()
	var failed error
	for at, net := range n.networks {
		if net != nil {
			failed = errors.Join(failed, net.Update(lists[at]))
		}
	}
	return failed
}

func (n *Node) membership(w *world, g *governing) protocol.Membership {
	m := protocol.Membership{
		Agreement: g.doc.ID, Public: g.public(), Publisher: g.party && g.stands(n.cfg.Member),
		Heads: []protocol.Hash{g.doc.Hash}, Barred: map[string][]protocol.MemberID{},
	}
	for _, v := range slices.Backward(g.versions) {
		if v.parsed.Hash != g.doc.Hash && v.parsed.Version < g.doc.Version {
			m.Heads = append(m.Heads, v.parsed.Hash)
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(g.topics)) {
		readers := g.readers(topic)
		switch {
		case slices.Contains(readers, n.cfg.Member) || slices.Contains(readers, protocol.MemberID{}):
			m.Topics = append(m.Topics, topic)
		case m.Publisher:
			m.Outlets = append(m.Outlets, topic)
		}
		if g.public() && !slices.Contains(readers, protocol.MemberID{}) {
			m.Barred[topic] = append(m.Barred[topic], protocol.MemberID{})
		}
		for _, p := range g.doc.Parties {
			if !g.reads(p.ID, topic) {
				m.Barred[topic] = append(m.Barred[topic], p.ID)
			}
		}
	}
	if g.public() {
		var err error
		if m.Sources, err = n.sources(g.doc.ID); err != nil {
			n.cfg.Logger.Warn("what tickets said of an agreement cannot be read", "agreement", g.doc.Name, "err", err)
		}
	}
	for _, p := range g.doc.Parties {
		if slices.Contains(g.unsigned, p.ID) && !g.public() {
			m.Waiting = append(m.Waiting, n.nodesOf(w, p.ID, p.Handle)...)
		}
		known := w.members[p.ID]
		if known == nil || !g.stands(p.ID) {
			continue
		}
		r := known.profile()
		if !g.public() {
			if len(known.records) == 0 {
				continue
			}
			r = known.records[len(known.records)-1].parsed
		}
		if r == nil {
			continue
		}
		for _, e := range r.Nodes {
			author := protocol.Author{Member: p.ID, Node: e.Number}
			if author != n.self() {
				m.Nodes = append(m.Nodes, protocol.Peer{Author: author, Name: p.Handle, Transport: e.Transport, Addresses: e.Addresses})
			}
		}
	}
	return m
}

// Documents returns what reader may have of an agreement: all versions with
// their signatures, then records of its parties, or profiles where it is
// public. It implements the network's handler.
func (n *Node) Documents(reader protocol.Peer, agreement protocol.AgreementID) []protocol.Document {
	w := n.world.Load()
	if member, ok := n.acquainted(w, agreement); ok && member == reader.Author.Member {
		return n.between(w, member)
	}
	g := w.agreements[agreement]
	if g == nil || (!g.public() && !g.stands(reader.Author.Member) && !slices.Contains(g.unsigned, reader.Author.Member) && (!g.waits() || !g.isParty(reader.Author.Member))) {
		return nil
	}
	var out []protocol.Document
	for _, v := range g.versions {
		if v.parsed.Version <= g.doc.Version || !g.public() {
			out = append(out, v.document)
		}
	}
	for _, id := range g.everParties() {
		m := w.members[id]
		if m == nil {
			continue
		}
		list := m.records
		if g.public() {
			list = m.profiles
		}
		for _, k := range list {
			out = append(out, k.document)
		}
	}
	return out
}

// everParty returns a party as the newest version that names it does: entries of
// one that has left are verified up to its cut.
func (g *governing) everParty(id protocol.MemberID) *protocol.Party {
	if p := g.doc.Party(id); p != nil {
		return p
	}
	for _, v := range slices.Backward(g.versions) {
		if p := v.parsed.Party(id); p != nil {
			return p
		}
	}
	return nil
}

// everParties returns the parties of all versions, those of the one that counts
// first.
func (g *governing) everParties() []protocol.MemberID {
	var out []protocol.MemberID
	add := func(a *protocol.Agreement) {
		for _, p := range a.Parties {
			if !slices.Contains(out, p.ID) {
				out = append(out, p.ID)
			}
		}
	}
	add(g.doc)
	for _, v := range slices.Backward(g.versions) {
		add(v.parsed)
	}
	return out
}

// TakeDocuments takes versions of a known agreement, and records of its
// parties, from a peer. What does not verify is refused and written down. It
// implements the network's handler.
func (n *Node) TakeDocuments(ctx context.Context, from protocol.Peer, agreement protocol.AgreementID, documents []protocol.Document) error {
	w := n.world.Load()
	if member, ok := n.acquainted(w, agreement); ok {
		return n.takeFromAcquaintance(ctx, member, from, documents)
	}
	if g := w.agreements[agreement]; g == nil {
		return errNotAvailable("take documents")
	}
	_, err := n.take(documents, agreement, peerText(from))
	return err
}
