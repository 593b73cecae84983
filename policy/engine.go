package policy

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"entente/protocol"
)

// Engine decides under a fixed set of agreements. It is immutable but for its
// cache, and safe for concurrent use; a change of agreements makes a new one.
type Engine struct {
	self  protocol.MemberID
	rules map[protocol.AgreementID][]*Rules // newest version first
	joint *pool                             // of obligations of several versions together
}

// Compile makes an Engine for a node of member self from the agreements in
// force or known, without facts. Words that it does not understand are
// refused here with clause and line (kind Invalid). A node that must go on with
// the others uses CompileAgreement for each, and NewEngine.
func Compile(self protocol.MemberID, agreements []*protocol.Agreement) (*Engine, error) {
	rules := make([]*Rules, 0, len(agreements))
	for _, a := range agreements {
		r, err := CompileAgreement(a)
		if err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	return NewEngine(self, rules...)
}

// NewEngine makes an Engine for a node of member self from compiled agreements.
// Rules that did not change may come from an earlier engine: they keep what
// they have decided already.
//
// Several versions of one agreement decide together: what one of them does not
// allow is not allowed, and all their obligations hold. One version twice, of the
// same document, is a Conflict.
func NewEngine(self protocol.MemberID, rules ...*Rules) (*Engine, error) {
	e := &Engine{self: self, rules: make(map[protocol.AgreementID][]*Rules, len(rules)), joint: newPool()}
	for _, r := range rules {
		a := r.agreement
		for _, other := range e.rules[a.ID] {
			if other.agreement == a || other.agreement.Hash == a.Hash && other.agreement.Version == a.Version {
				return nil, protocol.E(protocol.Conflict, "compile agreements",
					fmt.Errorf("version %d of agreement %s is there twice", a.Version, name(a.Name)),
					"give the rules of each version once")
			}
		}
		e.rules[a.ID] = append(e.rules[a.ID], r)
	}
	for _, versions := range e.rules {
		slices.SortFunc(versions, func(x, y *Rules) int {
			if c := cmp.Compare(y.agreement.Version, x.agreement.Version); c != 0 {
				return c
			}
			return bytes.Compare(x.agreement.Hash[:], y.agreement.Hash[:])
		})
	}
	return e, nil
}

// Rules returns the compiled agreement of an id, nil where it is not known. Of
// several versions it is the newest.
func (e *Engine) Rules(agreement protocol.AgreementID) *Rules {
	if versions := e.rules[agreement]; len(versions) > 0 {
		return versions[0]
	}
	return nil
}

// found is a question in the numbers of its agreement.
type found struct {
	rules *Rules
	topic *topic
	question
	next int64 // the moment at which the age of the object changes the answer
}

// find looks up what a question is about, in the voice of carriage. Where that
// fails already, ok is false and the Decision says why.
func (r *Rules) find(topicName string, author protocol.MemberID, s *Subject, now time.Time) (f found, d Decision, ok bool) {
	f.rules, f.marked, f.now = r, level(s), now.UnixMicro()
	f.topic = r.topics[topicName]
	if f.topic == nil {
		d := r.decision(f.marked, math.MaxInt64)
		d.Layer, d.Text = Governing, "the agreement has no topic "+clip(topicName)
		return f, d, false
	}
	if f.marked == protocol.NoMarking {
		f.marked = f.topic.standard
	}
	if f.marked == protocol.NoMarking {
		d := r.decision(f.marked, math.MaxInt64)
		d.Layer, d.Text = Form, f.topic.unmarked
		return f, d, false
	}
	f.author = r.index[author]
	if f.author == 0 {
		if !r.former[author] {
			d := r.decision(f.marked, math.MaxInt64)
			d.Layer, d.Text = Governing, textNoAuthor
			return f, d, false
		}
		f.author = len(r.readers)
	}
	if len(f.topic.types) > 0 {
		f.column = f.topic.types[s.Type]
	}
	f.classes = classesOf(s, f.topic.class)
	f.pap, f.context = min(s.PAP, protocol.PAPRed), s.Context
	f.confidence = uint8(max(0, min(s.Confidence, 100)))
	f.modified, f.dated = s.Modified, !s.Modified.IsZero()
	f.key, f.next = f.topic.asked.key(&f.question)
	return f, Decision{}, true
}

// class returns the class of a question.
func (f *found) class() *class { return f.rules.classOf(f.topic, &f.question) }

// expire brings the moment at which age changes the answer into a decision.
func (f *found) expire(d Decision) Decision {
	if f.next != math.MaxInt64 && (d.Expires.IsZero() || f.next < d.Expires.UnixMicro()) {
		d.Expires = time.UnixMicro(f.next).UTC()
	}
	return d
}

// halt says why nothing, or nothing above CLEAR, passes between parties now,
// whatever the clauses say: the author is suspended, or nobody vouched for the
// agreement. The floor decides before it.
func (f *found) halt(c *class, author bool) (Decision, bool) {
	if c.verdict.Layer == Floor && c.verdict.Outcome != Allow {
		return Decision{}, false
	}
	text := ""
	if author && f.author < len(f.rules.readers) {
		text = f.rules.suspended(f.author, f.now)
	}
	if text == "" && f.rules.state.unvouched && f.marked > protocol.Clear {
		text = textUnvouched
	}
	if text == "" || f.rules.standing(f.now) != "" {
		return Decision{}, false
	}
	d := f.rules.decision(f.marked, c.until)
	d.Outcome, d.Layer, d.Text = Withhold, Governing, text
	return d, true
}

// Outbound decides whether an object by author may go on the topic at now: the
// verdict is Allow when every reader of the topic may have it. Dates count to
// the microsecond. The header of the message that carries it bears the highest
// Marking of the decisions. Its Duties must be true of the bytes that go.
func (e *Engine) Outbound(agreement protocol.AgreementID, topic string, author protocol.MemberID, s Subject, now time.Time) Verdict {
	versions := e.rules[agreement]
	if len(versions) == 0 {
		return Verdict{Decision: unknown(agreement, &s)}
	}
	v := versions[0].outbound(topic, author, &s, now)
	for _, r := range versions[1:] {
		v = e.joinVerdicts(v, r.outbound(topic, author, &s, now))
	}
	if len(versions) > 1 {
		v = nobody(v, author)
	}
	if len(s.Origins) > 0 {
		v = e.followVerdict(v, versions, author, &s, now)
	}
	return v
}

func (r *Rules) outbound(topic string, author protocol.MemberID, s *Subject, now time.Time) Verdict {
	f, d, ok := r.find(topic, author, s, now)
	if !ok {
		return Verdict{Decision: d}
	}
	if f.author == len(r.readers) {
		d = r.decision(f.marked, math.MaxInt64)
		d.Layer, d.Text = Governing, textNoAuthor
		return Verdict{Decision: d}
	}
	c := f.class()
	if d, halted := f.halt(c, true); halted {
		return Verdict{Decision: d}
	}
	v := c.verdict
	if c.narrowed != nil {
		v = *c.narrowed
	}
	v.Decision = f.expire(explainProblem(v.Decision, s))
	return v
}

// unknown is the decision where no agreement of the id is known.
func unknown(agreement protocol.AgreementID, s *Subject) Decision {
	return Decision{Layer: Governing, Agreement: agreement, Text: textNoDocument, Marking: level(s)}
}

// Inbound decides whether this member may take an object that author sent on
// the topic. It asks what the sender had to ask: an object that may not go to
// every reader of the topic is refused even if this member might have it,
// unless it was sealed under an older version of the agreement (s.Version),
// when the readers were others; then only this member counts. An object above
// the marking that the message's header claims (s.Header) is refused. What this
// member published itself it may always have back. The Duties are what this
// member owes when it takes it.
func (e *Engine) Inbound(agreement protocol.AgreementID, topic string, author protocol.MemberID, s Subject, now time.Time) Decision {
	versions := e.rules[agreement]
	if len(versions) == 0 {
		return unknown(agreement, &s)
	}
	d := versions[0].inbound(e.self, topic, author, &s, now)
	for _, r := range versions[1:] {
		d = e.join(d, r.inbound(e.self, topic, author, &s, now))
	}
	return d
}

func (r *Rules) inbound(self protocol.MemberID, topic string, author protocol.MemberID, s *Subject, now time.Time) Decision {
	f, d, ok := r.find(topic, author, s, now)
	switch {
	case !ok:
		return d
	case author == self:
		return f.own()
	case s.Header != protocol.NoMarking && f.marked > s.Header:
		d = r.decision(f.marked, math.MaxInt64)
		d.Layer = Form
		d.Text = "the object is " + f.marked.String() + ", and the header of its message claims at most " + s.Header.String()
		return d
	}
	c := f.class()
	if d, halted := f.halt(c, true); halted {
		d.Outcome = Refuse
		return d
	}
	d = f.reader(c, self)
	older := s.Version != 0 && s.Version < r.agreement.Version
	if d.permitted() && !older && c.verdict.Outcome != Allow {
		d = c.verdict.Decision
	}
	d = r.holdable(d)
	if !d.permitted() {
		d.Outcome = Refuse
	}
	return f.expire(explainProblem(d, s))
}

// holdable withholds what this node could not keep as it must be kept.
func (r *Rules) holdable(d Decision) Decision {
	if d.permitted() && d.Duties != nil && d.Duties.AtRest && !r.state.encrypted {
		d.Outcome, d.Layer, d.Clause, d.Text, d.Duties = Withhold, Governing, "", textAtRest, nil
	}
	return d
}

// Read decides whether reader may have an object of one provenance at now. An
// author may always read what is its own.
//
// When the agreement is over nothing passes to others. This member goes on to
// read what is CLEAR, and, where the agreement leaves own use until retention,
// what clauses that survive permit it.
func (e *Engine) Read(reader Reader, agreement protocol.AgreementID, topic string, author protocol.MemberID, s Subject, now time.Time) Decision {
	versions := e.rules[agreement]
	if !author.IsZero() && reader.Member == author {
		return e.readOwn(versions, agreement, topic, author, &s, now)
	}
	if len(versions) == 0 {
		return unknown(agreement, &s)
	}
	d := versions[0].read(e.self, reader, topic, author, &s, now)
	for _, r := range versions[1:] {
		d = e.join(d, r.read(e.self, reader, topic, author, &s, now))
	}
	if d.permitted() && len(s.Origins) > 0 {
		expires := d.Expires
		if no, ok := e.follow(versions, reader.Member, d.Marking, &s, now); ok {
			d = no
		}
		d.Expires = sooner(d.Expires, sooner(expires, e.followUntil(&s, now)))
	}
	return d
}

// readOwn is the decision for an author about what it published itself, under
// the newest version.
func (e *Engine) readOwn(versions []*Rules, agreement protocol.AgreementID, topic string, author protocol.MemberID, s *Subject, now time.Time) Decision {
	f := found{}
	f.marked = level(s)
	if len(versions) > 0 {
		f, _, _ = versions[0].find(topic, author, s, now)
	}
	own := f.own()
	own.Agreement = agreement
	return own
}

func (r *Rules) read(self protocol.MemberID, reader Reader, topic string, author protocol.MemberID, s *Subject, now time.Time) Decision {
	f, d, ok := r.find(topic, author, s, now)
	if !ok {
		return d
	}
	holder := reader.holds(self)
	over := holder && r.over(f.now)
	if over && f.marked == protocol.Clear {
		d = r.decision(f.marked, math.MaxInt64)
		d.Outcome, d.Layer, d.Text = Allow, Floor, textOpen
		f.speak(reader.Purpose, false)
		return f.askLocalAlone(d)
	}
	if !reader.Remote && (over || !r.over(f.now)) {
		f.speak(reader.Purpose, over)
	}
	c := f.class()
	d = f.reader(c, reader.Member)
	if no, halted := f.halt(c, false); halted && !holder && (d.Layer != Floor || d.Outcome == Allow) {
		return no
	}
	if !reader.Remote {
		d = r.holdable(d)
	}
	return f.expire(explainProblem(d, s))
}

// holds reports whether it is the people of this member who ask, at its node.
func (r Reader) holds(self protocol.MemberID) bool {
	return r.Member == self && !self.IsZero() && !r.Remote
}

// speak puts the question in the voice of people at this node.
func (f *found) speak(purpose string, over bool) {
	asked := &f.topic.asked
	f.voice = asked.voice(purpose)
	f.purpose = asked.purpose(f.voice)
	f.over = over && asked.survives
	f.key += f.voice
}

// Barred returns the parties that read nothing of the topic at now, sorted, and
// the moment at which that may change (zero: at none): no permitting clause
// names them, one forbids them everything, or they are suspended. Nothing of the
// topic may be sent to them unasked; what is CLEAR a suspended party may still
// read. The moment after which that is to be asked again matters as much as the
// list. In a public agreement the zero id, which sorts first, stands for the
// public. Of several versions of the agreement all must let a party read.
func (e *Engine) Barred(agreement protocol.AgreementID, topic string, now time.Time) ([]protocol.MemberID, time.Time) {
	var barred []protocol.MemberID
	var expires time.Time
	for _, r := range e.rules[agreement] {
		t, at := r.topics[topic], now.UnixMicro()
		for _, p := range r.readers {
			if i := r.index[p.ID]; r.everyone.has(i) && (t == nil || !r.presentAt(t, at).reads(i)) {
				barred = append(barred, p.ID)
			}
		}
		if t != nil {
			expires = sooner(expires, r.decision(protocol.NoMarking, r.presentAt(t, at).until).Expires)
		}
		for _, other := range e.rules[agreement] {
			for _, p := range other.readers {
				if other.everyone.has(other.index[p.ID]) && !r.named(p.ID) {
					barred = append(barred, p.ID)
				}
			}
		}
	}
	slices.SortFunc(barred, compareMembers)
	return slices.Compact(barred), expires
}

// Plain reports whether the clauses of a topic ask of an object nothing but its
// author, type, marking and subject classes: one that declares no class, is no
// personal data and bears no marking but TLP may be decided by these alone.
func (e *Engine) Plain(agreement protocol.AgreementID, topic string) bool {
	for _, r := range e.rules[agreement] {
		if t := r.topics[topic]; t != nil && (t.asked.context || len(t.asked.levels)+len(t.asked.spans)+len(t.asked.months) > 0) {
			return false
		}
	}
	return true
}

// named reports whether a member is a party, or the public of a public agreement.
func (r *Rules) named(member protocol.MemberID) bool {
	if member.IsZero() {
		return r.everyone.has(0)
	}
	return r.index[member] != 0
}

// reads reports whether a reader of the topic is one at all, and not suspended.
func (p *present) reads(i int) bool { return p.reading.has(i) && !p.suspended.has(i) }

// reader returns the decision of a class for one member, who may be no party.
func (f *found) reader(c *class, member protocol.MemberID) Decision {
	r := f.rules
	if c.mine != 0 && member == r.self && !member.IsZero() {
		return c.decisions[c.mine]
	}
	i := r.index[member]
	if i != 0 || r.agreement.Visibility == protocol.Public || (c.of == nil && c.verdict.Layer == Floor) {
		return c.reader(i)
	}
	d := r.decision(f.marked, math.MaxInt64)
	if d.Outcome, d.Text = floorOutsider(f.marked); d.Outcome != Allow {
		d.Layer = Floor
		return d
	}
	d.Outcome, d.Layer, d.Text = Withhold, Governing, textNoParty
	return d
}

// own is the decision for an author about what it published itself.
func (f *found) own() Decision {
	d := Decision{Marking: f.marked}
	if f.rules != nil {
		d = f.rules.decision(f.marked, math.MaxInt64)
	}
	d.Outcome, d.Layer, d.Text = Allow, Floor, textOwn
	return d
}

// explainProblem adds to a refusal by the floor what is wrong with the marking
// of this very object: the class knows only that it counts as RED.
func explainProblem(d Decision, s *Subject) Decision {
	if s.Problem != "" && d.Layer == Floor && d.Outcome != Allow {
		d.Text = distrust(clip(s.Problem))
	}
	return d
}

// clip bounds what came from outside and goes into a text.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
