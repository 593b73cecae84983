package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"entente/policy"
	"entente/protocol"
	"entente/store"
)

// Statements come in messages of the logs, are stored like all messages, and are
// read back from there: so they are durable, synced, and seen again after a
// restart without a place of their own on disk.

// statements is what the members of one agreement have stated on its topic of
// statements, as far as the logs were read.
type statements struct {
	read map[protocol.LogID]uint64 // how far
	head protocol.Hash             // under which version: another one has other parties, so all is read again
	last map[statementKey]spoken
	holding
}

// statementKey tells statements apart that do not supersede each other. There are
// as many as parties can make of each other, whatever they send.
type statementKey struct {
	kind   protocol.StatementKind
	member protocol.MemberID
	party  protocol.MemberID
	name   string
}

// spoken is a statement that was stored, with the time of its message.
type spoken struct {
	sealed *protocol.SealedStatement
	sent   time.Time
}

// hear reads what has been stated since it was asked last. The caller holds
// n.docs.
func (n *Node) hear(w *world) error {
	for id, g := range w.agreements {
		said := n.said[id]
		if said == nil {
			said = &statements{read: map[protocol.LogID]uint64{}, last: map[statementKey]spoken{}}
			n.said[id] = said
		}
		if said.head != g.doc.Hash {
			said.head, said.read = g.doc.Hash, map[protocol.LogID]uint64{}
		}
		for _, e := range n.cfg.Store.Logs(id) {
			if e.Log.Lane.Topic != protocol.AgreementTopic || e.Position.Sequence <= said.read[e.Log] {
				continue
			}
			var failed error
			err := n.cfg.Store.Range(e.Log, said.read[e.Log], e.Position.Sequence, func(sequence uint64, frame []byte) bool {
				var m *protocol.Message
				if m, failed = n.cfg.Codec.Reopen(frame); failed != nil {
					return false
				}
				said.take(g, m)
				said.read[e.Log] = sequence
				return true
			})
			if err := errors.Join(err, failed); err != nil {
				return fmt.Errorf("read the statements about %s: %w", g.doc.Name, err)
			}
		}
	}
	return nil
}

// take keeps the newest of what a message states.
func (s *statements) take(g *governing, m *protocol.Message) {
	h := m.Header()
	for i := range h.Objects {
		sealed, err := protocol.DecodeStatement(m.Object(i))
		if err != nil {
			continue // it was refused, and that written down, when it came
		}
		claim := sealed.Claim()
		if misplaced(claim, h) != nil || claim.Kind.NeedsLeaves() || g.doc.Party(claim.Member) == nil {
			continue
		}
		if !claim.Party.IsZero() && g.doc.Party(claim.Party) == nil || claim.Name != "" && g.contribution(claim.Name) == nil {
			continue // nothing is kept of what parties could make up without end
		}
		key := statementKey{claim.Kind, claim.Member, claim.Party, claim.Name}
		if held, ok := s.last[key]; !ok || claim.Time.After(held.sealed.Claim().Time) {
			s.last[key] = spoken{sealed, h.Time}
		}
	}
}

// misplaced says why a statement cannot be in a message.
func misplaced(s protocol.Statement, h protocol.Header) error {
	switch {
	case s.Agreement != h.Agreement:
		return errors.New("it is about another agreement")
	case s.Member != h.Author.Member:
		return errors.New("another member than the author of its message makes it")
	case s.Time.After(h.Time.Add(skew)):
		return errors.New("its time is after that of its message")
	case s.Kind.NeedsLeaves() == (h.Lane.Topic == protocol.AgreementTopic):
		return fmt.Errorf("a %s has no place on this topic", s.Kind)
	}
	return nil
}

// foreign says why a tombstone is not its member's to make: it names an object of
// another one's log, or of another topic. What is not here cannot be told.
func (n *Node) foreign(s protocol.Statement, h protocol.Header) error {
	if s.Kind != protocol.Tombstone {
		return nil
	}
	for _, leaf := range s.Leaves {
		if log, ok := n.cfg.Store.Log(s.Agreement, leaf.Log); ok && (log.Author.Member != s.Member || log.Lane != h.Lane) {
			return errors.New("it names an object that its member has not published on this topic")
		}
	}
	return nil
}

// void says why a statement about the standing of a party changes nothing under
// the version that counts.
func (g *governing) void(s protocol.Statement) error {
	signer := g.doc.Party(s.Member)
	_, halted := g.halted[s.Member]
	switch s.Kind {
	case protocol.Score:
		return g.voidScore(s)
	case protocol.Suspension, protocol.Resumption:
	default:
		return nil
	}
	switch {
	case signer == nil:
		return errors.New("its member is no party")
	case s.Member == s.Party:
		return errors.New("a member neither suspends itself nor lifts its own suspension")
	case g.doc.Suspend == nil || !g.doc.Suspend.Names(signer):
		return fmt.Errorf("the agreement does not entitle %s to suspend a party, or to lift that", signer.Handle)
	case halted:
		return fmt.Errorf("%s is suspended itself", signer.Handle)
	case g.doc.Party(s.Party) == nil:
		return errors.New("it is about one who is no party")
	}
	return nil
}

// verify checks a statement's signature against the operations keys that its
// member has had.
func (w *world) verify(s *protocol.SealedStatement) error {
	claim := s.Claim()
	m := w.members[claim.Member]
	if m == nil {
		return protocol.Errorf(protocol.Unverified, "verify statement", "no record of member %s is here", claim.Member.Short())
	}
	err := protocol.Errorf(protocol.Unverified, "verify statement", "no record of %s has an operations key for %s", w.memberName(claim.Member), claim.Time.Format(time.RFC3339))
	for _, k := range slices.Backward(slices.Concat(m.profiles, m.records)) {
		key := k.parsed.Operations
		if claim.Time.Before(key.From.Add(-skew)) || !claim.Time.Before(key.Until) {
			continue
		}
		if _, err = protocol.OpenStatement(s, key.Key[:]); err == nil {
			return nil
		}
	}
	return err
}

// halt is why a party gets and gives nothing, and until when (zero: for good).
type halt struct {
	since time.Time
	until time.Time
	text  string
	by    protocol.MemberID // who suspended it; zero: it withdrew itself, or the document says so
	early bool              // it has not signed yet
}

// halt settles which parties get and give nothing: those that an entitled party
// has suspended, as long as that has not lapsed or been lifted, those that the
// document suspends, and those that have withdrawn.
func (w *world) halt(g *governing, said *statements, now time.Time) {
	w.haltedBy(g, said, now)
	if over := g.over(w.self); g.party && g.inForce() && over.text != "" {
		g.state, g.withdrawn, g.terminated = stateWithdrawn, over.text, over.since
	}
}

// haltedBy settles who is halted, and by what.
func (w *world) haltedBy(g *governing, said *statements, now time.Time) {
	g.halted = map[protocol.MemberID]halt{}
	for _, s := range said.inOrder(w) {
		signer := g.doc.Party(s.Member)
		if signer == nil {
			continue
		}
		_, halted := g.halted[s.Member]
		entitled := !halted && s.Member != s.Party && g.doc.Suspend != nil && g.doc.Suspend.Names(signer)
		switch s.Kind {
		case protocol.Withdrawal:
			g.halted[s.Member] = halt{since: s.Time, text: fmt.Sprintf("%s withdrew from the agreement on %s%s", signer.Handle, minute(s.Time), because(s.Text))}
		case protocol.Suspension:
			until := s.SuspendedUntil()
			if p := g.doc.Party(s.Party); entitled && p != nil && now.Before(until) && !g.halted[s.Party].permanent() {
				w.change(until, now)
				g.halted[s.Party] = halt{until: until, by: s.Member,
					text: fmt.Sprintf("%s suspended %s on %s, until %s%s", signer.Handle, p.Handle, minute(s.Time), minute(until), because(s.Text))}
			}
		case protocol.Resumption:
			if entitled && !g.halted[s.Party].permanent() {
				delete(g.halted, s.Party)
			}
		}
	}
	for _, p := range g.doc.Parties {
		if _, ok := g.halted[p.ID]; p.Suspended && !ok {
			g.halted[p.ID] = halt{text: fmt.Sprintf("version %d of the agreement suspends %s", g.doc.Version, p.Handle)}
		}
	}
	for _, m := range g.unsigned {
		if p := g.doc.Party(m); p != nil {
			g.halted[m] = halt{early: true, text: fmt.Sprintf("%s has signed no version of the agreement yet", p.Handle)}
		}
	}
}

// permanent reports whether no statement of another party ends it.
func (h halt) permanent() bool { return h.text != "" && h.until.IsZero() }

// over says why an agreement binds nobody any more though its document does not
// say so: this member, or every other, has withdrawn.
func (g *governing) over(self protocol.MemberID) halt {
	left := 0
	var last halt
	for _, p := range g.doc.Parties {
		h := g.halted[p.ID]
		if p.ID == self && h.permanent() && !p.Suspended && !h.early {
			return h
		}
		if !h.permanent() || p.Suspended || h.early {
			left++
			continue
		}
		last = h
	}
	if left >= 2 || last.text == "" || (left == 1 && len(g.doc.Parties) == 1) {
		return halt{}
	}
	return last
}

// inOrder returns the verified statements about the standing of parties by time.
func (s *statements) inOrder(w *world) []protocol.Statement {
	var out []protocol.Statement
	for _, spoken := range s.last {
		switch claim := spoken.sealed.Claim(); claim.Kind {
		case protocol.Suspension, protocol.Resumption, protocol.Withdrawal:
			if w.verify(spoken.sealed) == nil {
				out = append(out, claim)
			}
		}
	}
	slices.SortFunc(out, func(a, b protocol.Statement) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Kind, b.Kind), slices.Compare(a.Member[:], b.Member[:]), slices.Compare(a.Party[:], b.Party[:]))
	})
	return out
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// because adds what a member gave as its reason.
func because(text string) string {
	if text == "" {
		return ""
	}
	return ": " + strings.Join(strings.Fields(text), " ")
}

// audience is who reads the statements about an agreement: all its parties,
// whatever was suspended, and anyone where it is public.
func (g *governing) audience() []protocol.MemberID {
	var out []protocol.MemberID
	if g.public() {
		out = append(out, protocol.MemberID{})
	}
	for _, p := range g.doc.Parties {
		out = append(out, p.ID)
	}
	return out
}

// readStatements verifies what a message states and returns a row for each.
func (n *Node) readStatements(w *world, g *governing, a *arrival, base protocol.AuditRow) []protocol.AuditRow {
	h := a.message.Header()
	rows := make([]protocol.AuditRow, 0, h.Objects)
	for i := range h.Objects {
		row := base
		row.Kind, row.Action, row.Count, row.Bytes, row.Positions, row.Basis = protocol.AuditDecision, "receive", 1, 0, []int{i}, w.basisHash
		row.Outcome, row.Reason = policy.Allow.String(), protocol.AuditReason{Layer: policy.Governing.String()}
		sealed, err := protocol.DecodeStatement(a.message.Object(i))
		if err == nil {
			err = cmp.Or(misplaced(sealed.Claim(), h), w.verify(sealed))
		}
		if err == nil {
			err = n.foreign(sealed.Claim(), h)
		}
		layer := policy.Form
		if err == nil {
			err, layer = cmp.Or(g.void(sealed.Claim()), n.unasked(sealed)), policy.Governing
		}
		if err != nil {
			row.Outcome, row.Reason = policy.Refuse.String(), protocol.AuditReason{Layer: layer.String(), Text: "a statement that does not count: " + err.Error()}
		} else {
			row.Reason.Text = w.statementText(g, sealed.Claim())
		}
		rows = append(rows, row)
	}
	return rows
}

// statementText puts a statement into words.
func (w *world) statementText(g *governing, s protocol.Statement) string {
	who, whom := w.readerNameIn(g, s.Member), w.readerNameIn(g, s.Party)
	switch s.Kind {
	case protocol.Suspension:
		return who + " suspends " + whom + " until " + minute(s.SuspendedUntil()) + because(s.Text)
	case protocol.Resumption:
		return who + " lifts the suspension of " + whom + because(s.Text)
	case protocol.Withdrawal:
		return who + " withdraws from the agreement" + because(s.Text)
	case protocol.Tombstone:
		return who + " has " + quantity(len(s.Leaves), "object") + " erased" + because(s.Text)
	case protocol.Receipt:
		return who + " has erased " + quantity(len(s.Leaves), "object")
	case protocol.Request:
		return w.requestText(who, s)
	case protocol.Grant:
		return who + " lets objects be passed on until " + minute(s.Until) + ", as the request " + s.About.Short() + " asks" + because(s.Text)
	case protocol.Denial:
		return who + " does not let objects be passed on, as the request " + s.About.Short() + " asks" + because(s.Text)
	case protocol.Freshness:
		return fmt.Sprintf("%s holds version %d (%s) as the newest", who, s.Version, s.Head.Short())
	case protocol.Endorsement:
		return who + " has signed " + g.versionText(s.About)
	case protocol.Score:
		return fmt.Sprintf("%s counts %s of %s by the contribution %s", who, quantity(int(s.Count), "object"), whom, s.Name)
	}
	return who + " makes a statement of the kind " + s.Kind.String() + because(s.Text)
}

// versionText names a version by its number where it is here.
func (g *governing) versionText(hash protocol.Hash) string {
	for _, v := range g.versions {
		if v.parsed.Hash == hash {
			return fmt.Sprintf("version %d (%s)", v.parsed.Version, hash.Short())
		}
	}
	return "a version that is not here yet (" + hash.Short() + ")"
}

// endorse tells the parties of an agreement that this member has signed a version,
// so that their nodes ask for it at once and not by the clock.
func (n *Node) endorse(ctx context.Context, version protocol.Hash) error {
	w := n.world.Load()
	for _, g := range w.agreements {
		if !g.open() || !g.stands(n.cfg.Member) || !g.signedBy(version, n.cfg.Member) {
			continue
		}
		return n.publishStatements(ctx, g, protocol.AgreementTopic, protocol.Statement{
			Kind: protocol.Endorsement, Agreement: g.doc.ID, Version: g.doc.Version, Head: g.doc.Hash, Member: n.cfg.Member,
			Time: n.now().Truncate(time.Microsecond), About: version,
		})
	}
	return nil
}

// signedBy reports whether a version is here with a member's signature.
func (g *governing) signedBy(version protocol.Hash, member protocol.MemberID) bool {
	return slices.ContainsFunc(g.versions, func(v kept[*protocol.Agreement]) bool {
		return v.parsed.Hash == version && slices.Contains(protocol.Signers(v.document, v.parsed), member)
	})
}

// heed acts on the statements of a message that was stored.
func (n *Node) heed(w *world, m *protocol.Message) {
	h := m.Header()
	if h.Lane.Topic != protocol.AgreementTopic {
		n.tellBuried()
		return
	}
	g := w.agreements[h.Agreement]
	if onlyFreshness(m) {
		n.tell(n.vouchedFor)
	} else {
		n.tell(n.stated)
	}
	for i := 0; i < h.Objects && g != nil; i++ {
		sealed, err := protocol.DecodeStatement(m.Object(i))
		if err != nil {
			continue
		}
		claim := sealed.Claim()
		newer := claim.Kind == protocol.Freshness && claim.Version > g.doc.Version
		if newer || claim.Kind == protocol.Endorsement && !g.signedBy(claim.About, claim.Member) {
			for range min(len(g.doc.Parties), 8) { // with as many peers in turn; one will have it
				n.resync(w, h.Agreement)
			}
			return
		}
	}
}

// tell gives a signal; one that waits is enough.
func (n *Node) tell(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

// StatementRequest is what Declare is asked.
type StatementRequest struct {
	Kind  string `json:"kind"`            // "suspension", "resumption" or "withdrawal"
	Party string `json:"party,omitempty"` // handle or id, for suspension and resumption
	Text  string `json:"text,omitempty"`  // the reason, for people
}

// StatementInfo is a statement that counts.
type StatementInfo struct {
	Kind   string    `json:"kind"`
	Member string    `json:"member"` // handle
	Party  string    `json:"party,omitempty"`
	Text   string    `json:"text,omitempty"`
	Time   time.Time `json:"time"`
	Says   string    `json:"says"` // the whole in words
}

// Declare makes a statement about an agreement in this member's name: it is
// signed with the operations key, written to this node's log of statements, works
// here at once, and elsewhere on receipt.
//
// Errors: NotFound for an unknown agreement or party, Refused where this member
// is not entitled to it, Invalid for what makes no sense.
func (n *Node) Declare(ctx context.Context, agreement string, r StatementRequest) (StatementInfo, error) {
	w := n.world.Load()
	g, err := w.agreement(agreement)
	if err != nil {
		return StatementInfo{}, err
	}
	s := protocol.Statement{
		Agreement: g.doc.ID, Version: g.doc.Version, Head: g.doc.Hash, Member: n.cfg.Member,
		Time: n.now().Truncate(time.Microsecond), Text: r.Text,
	}
	if err := w.entitle(g, r, &s); err != nil {
		return StatementInfo{}, err
	}
	if err := n.publishStatements(ctx, g, protocol.AgreementTopic, s); err != nil {
		return StatementInfo{}, err
	}
	if err := n.renew(); err != nil {
		return StatementInfo{}, err
	}
	return w.statementInfo(g, s), nil
}

// entitle fills in a statement that this member may make.
func (w *world) entitle(g *governing, r StatementRequest, s *protocol.Statement) error {
	const op = "declare"
	self := g.doc.Party(w.self)
	show := "read it: entente agreements show " + g.doc.Name
	if self == nil || !g.stands(w.self) {
		return protocol.E(protocol.Refused, op, fmt.Errorf("this member is no party to %s that has signed it", g.doc.Name), show)
	}
	if !g.inForce() {
		return protocol.E(protocol.Refused, op, fmt.Errorf("the agreement %s is not in force: %s", g.doc.Name, g.stateText()), show)
	}
	if r.Kind == protocol.Withdrawal.String() {
		s.Kind = protocol.Withdrawal
		if r.Party != "" {
			return protocol.Errorf(protocol.Invalid, op, "a member can withdraw nobody but itself")
		}
		return nil
	}
	switch r.Kind {
	case protocol.Suspension.String():
		s.Kind = protocol.Suspension
	case protocol.Resumption.String():
		s.Kind = protocol.Resumption
	default:
		return protocol.E(protocol.Invalid, op, fmt.Errorf("there is no statement %q to make", r.Kind), "suspension, resumption or withdrawal")
	}
	party := slices.IndexFunc(g.doc.Parties, func(p protocol.Party) bool { return p.Handle == r.Party || p.ID.String() == r.Party })
	if party < 0 {
		return protocol.E(protocol.NotFound, op, fmt.Errorf("%s has no party %q", g.doc.Name, r.Party), show)
	}
	p := &g.doc.Parties[party]
	s.Party = p.ID
	halted, isHalted := g.halted[p.ID]
	switch {
	case p.ID == w.self:
		return protocol.E(protocol.Invalid, op, errors.New("a member neither suspends itself nor lifts its own suspension"), "to leave: entente agreements terminate "+g.doc.Name)
	case g.doc.Suspend == nil || !g.doc.Suspend.Names(self):
		return protocol.E(protocol.Refused, op, fmt.Errorf("%s does not entitle this member to suspend a party, or to lift that", g.doc.Name), show)
	case g.halted[w.self].text != "":
		return protocol.E(protocol.Refused, op, fmt.Errorf("this member is suspended itself: %s", g.halted[w.self].text), show)
	case s.Kind == protocol.Resumption && !isHalted:
		return protocol.E(protocol.Conflict, op, fmt.Errorf("%s is not suspended", p.Handle), show)
	case halted.permanent():
		return protocol.E(protocol.Conflict, op, fmt.Errorf("no statement changes that: %s", halted.text), "write a new version: entente agreements amend "+g.doc.Name)
	}
	return nil
}

func (w *world) statementInfo(g *governing, s protocol.Statement) StatementInfo {
	info := StatementInfo{Kind: s.Kind.String(), Member: w.readerNameIn(g, s.Member), Text: s.Text, Time: s.Time, Says: w.statementText(g, s)}
	if !s.Party.IsZero() {
		info.Party = w.readerNameIn(g, s.Party)
	}
	return info
}

// publishStatements signs statements and appends them, as one message, to this
// node's log in a lane.
func (n *Node) publishStatements(ctx context.Context, g *governing, topic string, list ...protocol.Statement) error {
	leaves := make([][]byte, len(list))
	for i, s := range list {
		var err error
		if leaves[i], err = protocol.SealStatement(s, n.cfg.Operator); err != nil {
			return err
		}
	}
	log, err := n.ownLog(g, topic)
	if err != nil {
		return err
	}
	var seed [32]byte
	n.cfg.Random(seed[:])
	body, err := n.cfg.Codec.Pack(leaves, seed)
	if err != nil {
		return err
	}
	w := n.world.Load()
	rows := []protocol.AuditRow{{
		Time: n.now(), Kind: protocol.AuditMessage, Action: "state", Outcome: "ok", Agreement: g.doc.ID, Version: g.doc.Version, Topic: topic,
		Log: &log.ID, Party: n.cfg.Member, Count: len(list), Bytes: int64(body.Size()),
		Reason: protocol.AuditReason{Layer: policy.Governing.String(), Text: w.statementText(g, list[0])},
	}}
	draft := protocol.Draft{
		Agreement: g.doc.ID, AgreementVersion: g.doc.Version, Lane: log.ID.Lane, Author: log.ID.Author, Epoch: n.cfg.Epoch,
		Incarnation: log.ID.Incarnation, Time: n.now(), Audience: protocol.Audience{Kind: protocol.AllParties}, Content: protocol.Control, Body: body,
	}
	if g.public() {
		draft.Marking = protocol.Clear
	}
	entry, err := n.cfg.Store.Append(ctx, log.ID, func(prev protocol.Position) (*protocol.Message, error) {
		var supersedes *protocol.Supersession
		if prev.Sequence == 0 {
			supersedes = log.Supersedes
		}
		rows[0].Sequence = prev.Sequence + 1
		return n.cfg.Codec.Seal(draft, prev, supersedes, n.cfg.Key)
	}, []store.Leaf{}, rows)
	if err != nil {
		return err
	}
	select {
	case n.outgoing <- outgoing{g.doc.ID, topic, entry.Message.Frame()}:
	case <-ctx.Done(): // it is in the log; peers get it by sync
	}
	return nil
}
