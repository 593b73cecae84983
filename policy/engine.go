package policy

import (
	"math"
	"time"

	"entente/protocol"
)

// Engine decides under a fixed set of agreements. It is immutable but for its
// cache, and safe for concurrent use; a change of agreements makes a new one.
type Engine struct {
	self  protocol.MemberID
	rules map[protocol.AgreementID]*Rules
}

// Compile makes an Engine for a node of member self from the agreements in
// force or known, one version each. Words that it does not understand are
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
// they have decided already. Two versions of one agreement are a Conflict.
func NewEngine(self protocol.MemberID, rules ...*Rules) (*Engine, error) {
	e := &Engine{self: self, rules: make(map[protocol.AgreementID]*Rules, len(rules))}
	for _, r := range rules {
		a := r.agreement
		if other := e.rules[a.ID]; other != nil {
			return nil, protocol.Errorf(protocol.Conflict, "compile agreements",
				"agreement %s is there twice, as version %d and %d", name(a.Name), other.agreement.Version, a.Version)
		}
		e.rules[a.ID] = r
	}
	return e, nil
}

// Rules returns the compiled agreement of an id, nil where it is not known.
func (e *Engine) Rules(agreement protocol.AgreementID) *Rules { return e.rules[agreement] }

// found is a question in the numbers of its agreement.
type found struct {
	rules  *Rules
	topic  *topic
	author int
	marked protocol.Marking
	column int
}

// find looks up what a question is about. Where that fails already, ok is
// false and the Decision says why.
func (e *Engine) find(agreement protocol.AgreementID, topicName string, author protocol.MemberID, s Subject) (found, Decision, bool) {
	f := found{rules: e.rules[agreement], marked: level(s)}
	if f.rules == nil {
		return f, Decision{Layer: Governing, Agreement: agreement, Text: textNoDocument, Marking: f.marked}, false
	}
	r := f.rules
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
	return f, Decision{}, true
}

// Outbound decides whether an object by author may go on the topic at now: the
// verdict is Allow when every reader of the topic may have it. Dates count to
// the microsecond. The header of the message that carries it bears the highest
// Marking of the decisions.
func (e *Engine) Outbound(agreement protocol.AgreementID, topic string, author protocol.MemberID, s Subject, now time.Time) Verdict {
	f, d, ok := e.find(agreement, topic, author, s)
	if !ok {
		return Verdict{Decision: d}
	}
	if f.author == len(f.rules.readers) {
		d = f.rules.decision(f.marked, math.MaxInt64)
		d.Layer, d.Text = Governing, textNoAuthor
		return Verdict{Decision: d}
	}
	v := f.rules.classOf(f.topic, f.author, f.column, f.marked, now.UnixMicro()).verdict
	v.Decision = explainProblem(v.Decision, s)
	return v
}

// Inbound decides whether this member may take an object that author sent on
// the topic. It asks what the sender had to ask: an object that may not go to
// every reader of the topic is refused even if this member might have it,
// unless it was sealed under an older version of the agreement (s.Version),
// when the readers were others; then only this member counts. An object above
// the marking that the message's header claims (s.Header) is refused. What this
// member published itself it may always have back.
func (e *Engine) Inbound(agreement protocol.AgreementID, topic string, author protocol.MemberID, s Subject, now time.Time) Decision {
	f, d, ok := e.find(agreement, topic, author, s)
	switch {
	case !ok:
		return d
	case author == e.self:
		return f.own()
	case s.Header != protocol.NoMarking && f.marked > s.Header:
		d = f.rules.decision(f.marked, math.MaxInt64)
		d.Layer = Form
		d.Text = "the object is " + f.marked.String() + ", and the header of its message claims at most " + s.Header.String()
		return d
	}
	c := f.rules.classOf(f.topic, f.author, f.column, f.marked, now.UnixMicro())
	d = f.reader(c, e.self)
	older := s.Version != 0 && s.Version < f.rules.agreement.Version
	if d.Outcome == Allow && !older && c.verdict.Outcome != Allow {
		d = c.verdict.Decision
	}
	if d.Outcome != Allow {
		d.Outcome = Refuse
	}
	return explainProblem(d, s)
}

// Read decides whether reader may have an object of one provenance at now. An
// author may always read what is its own.
func (e *Engine) Read(reader Reader, agreement protocol.AgreementID, topic string, author protocol.MemberID, s Subject, now time.Time) Decision {
	f, d, ok := e.find(agreement, topic, author, s)
	if !author.IsZero() && reader.Member == author {
		own := f.own()
		own.Agreement = agreement
		return own
	}
	if !ok {
		return d
	}
	c := f.rules.classOf(f.topic, f.author, f.column, f.marked, now.UnixMicro())
	return explainProblem(f.reader(c, reader.Member), s)
}

// Barred returns the parties that read nothing of the topic at now, sorted, and
// the moment at which that may change (zero: at none): no permitting clause
// names them, or one forbids them everything. They are no readers of the
// topic, so nothing of it may be sent to them; the moment after which that is
// to be asked again matters as much as the list. In a public agreement the zero
// id, which sorts first, stands for the public.
func (e *Engine) Barred(agreement protocol.AgreementID, topic string, now time.Time) ([]protocol.MemberID, time.Time) {
	r := e.rules[agreement]
	if r == nil || r.topics[topic] == nil {
		return nil, time.Time{}
	}
	t, at := r.topics[topic], now.UnixMicro()
	_, until := t.window(at)
	reading := t.reading(at, r.everyone)
	var barred []protocol.MemberID
	for i := r.everyone.next(0); i >= 0; i = r.everyone.next(i + 1) {
		if !reading.has(i) {
			barred = append(barred, r.readers[i].ID)
		}
	}
	return barred, r.decision(protocol.NoMarking, until).Expires
}

// reader returns the decision of a class for one member, who may be no party.
func (f found) reader(c *class, member protocol.MemberID) Decision {
	r := f.rules
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
func (f found) own() Decision {
	d := Decision{Marking: f.marked}
	if f.rules != nil {
		d = f.rules.decision(f.marked, math.MaxInt64)
	}
	d.Outcome, d.Layer, d.Text = Allow, Floor, textOwn
	return d
}

// explainProblem adds to a refusal by the floor what is wrong with the marking
// of this very object: the class knows only that it counts as RED.
func explainProblem(d Decision, s Subject) Decision {
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
