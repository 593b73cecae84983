package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"entente/protocol"
)

// Explanation is the trail of a question: what every layer said, and every
// clause of the topic, for every reader. It is for the local operator and for
// parties of the agreement, never for anybody else.
type Explanation struct {
	Agreement string // name; "" where it is not known
	Topic     string
	Author    string // handle, or the short id of one who is no party
	Subject   Subject
	At        time.Time
	Verdict   Verdict
	Readers   []ReaderTrail // the parties in the document's order, then the public of a public agreement
}

// ReaderTrail is the trail for one reader.
type ReaderTrail struct {
	Reader   protocol.MemberID
	As       Reader // how it asks: its own people here, or its node
	Handle   string
	Barred   bool // reads nothing of the topic, so it does not count for the verdict
	Decision Decision
	Steps    []Step
	Omitted  int // clauses that do not speak of the question, left out for length
}

// Step is one rule that was asked.
type Step struct {
	Layer   Layer
	Of      protocol.AgreementID // whose rule it is
	Version uint64
	Clause  string // number, or "" for a rule that is no clause
	Against bool   // a forbidding clause, or a rule that says no
	Match   bool   // it speaks of this question
	Decides bool   // it is the reason for the decision
	Why     string // why it does or does not speak of it
	Text    string // the clause's prose
}

// maxTrail bounds the steps of an Explanation; beyond it the clauses that do
// not speak of the question are left out.
const maxTrail = 1 << 16

// Explain answers why Outbound and Read decide as they do: each layer asked and
// each clause considered, in each version of the agreement that binds, for the
// named readers or, where none is named, for all. This member is asked for as by
// its people who state no purpose, others as by their nodes; ExplainTo takes
// readers as they ask. The decisions in it are those of Outbound and Read; the
// zero id is the public.
func (e *Engine) Explain(agreement protocol.AgreementID, topicName string, author protocol.MemberID, s Subject, now time.Time, readers ...protocol.MemberID) Explanation {
	if len(readers) == 0 {
		for _, r := range e.rules[agreement] {
			for _, p := range r.agreement.Parties {
				if !slices.Contains(readers, p.ID) {
					readers = append(readers, p.ID)
				}
			}
		}
		if r := e.Rules(agreement); r != nil && r.everyone.has(0) {
			readers = append(readers, protocol.MemberID{})
		}
	}
	as := make([]Reader, len(readers))
	for i, m := range readers {
		as[i] = Reader{Member: m, Remote: m != e.self}
	}
	return e.ExplainTo(agreement, topicName, author, s, now, as...)
}

// ExplainTo is Explain for readers as they ask.
func (e *Engine) ExplainTo(agreement protocol.AgreementID, topicName string, author protocol.MemberID, s Subject, now time.Time, readers ...Reader) Explanation {
	x := Explanation{Topic: topicName, Author: author.Short(), Subject: s, At: now.UTC()}
	x.Verdict = e.Outbound(agreement, topicName, author, s, now)
	newest := e.Rules(agreement)
	if newest == nil {
		return x
	}
	x.Agreement = newest.agreement.Name
	if i := newest.index[author]; i != 0 {
		x.Author = newest.readers[i].Handle
	}
	if _, _, ok := newest.find(topicName, author, &s, now); !ok {
		return x
	}
	barred, _ := e.Barred(agreement, topicName, now)
	room := maxTrail
	for _, as := range readers {
		t := ReaderTrail{Reader: as.Member, Handle: e.handle(agreement, as.Member), As: as}
		_, t.Barred = slices.BinarySearchFunc(barred, as.Member, compareMembers)
		t.Decision = e.Read(as, agreement, topicName, author, s, now)
		for _, r := range e.rules[agreement] {
			t.Steps = append(t.Steps, r.steps(e.self, as, topicName, author, &s, now)...)
		}
		t.Steps = append(t.Steps, e.lastSteps(t.Decision, as, agreement, author, &s, now)...)
		if room -= len(t.Steps); room < 0 {
			all := len(t.Steps)
			t.Steps = slices.DeleteFunc(t.Steps, func(s Step) bool { return !s.Match })
			t.Omitted = all - len(t.Steps)
		}
		t.mark()
		x.Readers = append(x.Readers, t)
	}
	return x
}

// handle names a member as one of the versions does.
func (e *Engine) handle(agreement protocol.AgreementID, member protocol.MemberID) string {
	for _, r := range e.rules[agreement] {
		if i := r.index[member]; i != 0 || member.IsZero() {
			return r.readers[i].Handle
		}
	}
	return member.Short()
}

// steps asks every rule of one version about one reader, without stopping at the
// first that decides.
func (r *Rules) steps(self protocol.MemberID, as Reader, topicName string, author protocol.MemberID, s *Subject, now time.Time) []Step {
	var steps []Step
	add := func(layer Layer, match, against bool, why string) {
		steps = append(steps, Step{Layer: layer, Of: r.agreement.ID, Version: r.agreement.Version, Match: match, Against: against, Why: why})
	}
	if as.Member == author {
		add(Floor, true, false, textOwn)
		return steps
	}
	f, d, ok := r.find(topicName, author, s, now)
	if ok && !r.named(as.Member) {
		d = r.read(self, as, topicName, author, s, now)
	}
	if !ok || !r.named(as.Member) {
		add(d.Layer, true, d.Outcome != Allow, d.Text)
		return steps
	}
	holder := as.holds(self)
	if holder && r.over(f.now) {
		if f.marked == protocol.Clear {
			add(Floor, true, false, textOpen)
			return steps
		}
		f.speak(as.Purpose, true)
	} else if !as.Remote && !r.over(f.now) {
		f.speak(as.Purpose, false)
	}
	if outcome, text := floorTopic(r.agreement.Visibility, f.marked); outcome != Allow {
		add(Floor, true, true, text)
	} else {
		add(Floor, true, false, floorPass(f.marked))
	}
	switch text := r.standing(f.now); {
	case text != "" && f.over:
		add(Governing, true, false, text+"; its holders may go on using what they hold as the clauses that survive permit")
	case text != "":
		add(Governing, true, true, text)
	default:
		add(Governing, true, false, "the agreement is in force")
		if r.state.unvouched && f.marked > protocol.Clear {
			add(Governing, !holder, true, textUnvouched)
		}
	}
	if f.author < len(r.readers) {
		if text := r.suspended(f.author, f.now); text != "" {
			add(Governing, false, true, text+", and may publish nothing; what it published before stays readable")
		}
	}
	if text := r.suspended(r.index[as.Member], f.now); text != "" {
		add(Governing, f.marked > protocol.Clear, true, text+", and gets nothing above TLP:CLEAR")
	}
	p := r.presentAt(f.topic, f.now)
	for _, list := range [][]*clause{f.topic.forbids, f.topic.permits} {
		for _, c := range list {
			step := Step{Layer: Governing, Of: r.agreement.ID, Version: r.agreement.Version, Clause: c.source.Number,
				Against: !c.source.Permit, Text: c.source.Text}
			step.Match, step.Why = r.consider(c, &f, p, r.index[as.Member])
			steps = append(steps, step)
		}
	}
	return r.localSteps(&f, as, steps)
}

// lastSteps are the rules that are asked after all versions: what the disk must
// be, and what the agreements of its origins forbid everywhere.
func (e *Engine) lastSteps(d Decision, as Reader, agreement protocol.AgreementID, author protocol.MemberID, s *Subject, now time.Time) []Step {
	if as.Member == author {
		return nil
	}
	if d.Text == textAtRest {
		return []Step{{Layer: Governing, Of: d.Agreement, Version: d.Version, Match: true, Against: true, Why: d.Text}}
	}
	no, found := e.follow(e.rules[agreement], as.Member, d.Marking, s, now)
	if !found {
		return nil
	}
	return []Step{{Layer: no.Layer, Of: no.Agreement, Version: no.Version, Clause: no.Clause, Match: true, Against: true,
		Why: "it follows the object out of the agreement under which it came here", Text: no.Text}}
}

// consider says whether a clause speaks of a question for one reader, and why.
func (r *Rules) consider(c *clause, f *found, p *present, reader int) (bool, string) {
	src, q := c.source, &f.question
	switch {
	case q.now < c.starts:
		return false, "it speaks only from " + day(src.Starts)
	case q.now >= c.ends:
		return false, "it ended on " + day(src.Ends)
	case q.author >= len(r.readers) && !c.bare:
		return false, "the author is a former party, and it is for certain parties' objects"
	case q.author < len(r.readers) && !c.from.has(q.author):
		return false, "the author is none of those it takes from: " + selection(src.From)
	case !c.to.has(reader):
		return false, "the reader is none of those it gives to: " + selection(src.To)
	case !c.names(p).has(reader):
		return false, "the reader is not entitled by the contribution " + src.If.Contribution
	case c.types != nil && !c.types.has(f.topic.columns[q.column]):
		return false, "it speaks of " + strings.Join(src.Types, ", ") + " only"
	case c.marks&(1<<q.marked) == 0:
		return false, q.marked.String() + " is not among its markings: " + markings(c.marks)
	case !c.fits(q):
		return false, c.misfit(q)
	case q.over && src.Permit && !src.Survives:
		return false, "it ended with the agreement"
	case src.Permit && !c.serves(q):
		return false, "the reader states none of its purposes: " + purposeWords(c.purposes, ", ")
	default:
		return true, "it speaks of this author, reader, type and marking"
	}
}

// misfit says which condition of a clause an object does not meet.
func (c *clause) misfit(q *question) string {
	ask := &c.source.If
	switch {
	case c.source.Permit && q.classes&^c.classes != 0:
		return "the object is " + q.classes.String() + ", and it permits " + c.classes.String() + " only"
	case !c.source.Permit && q.classes&c.classes == 0:
		return "the object is " + q.classes.String() + ", and it forbids " + c.classes.String() + " only"
	case ask.PAP != protocol.NoPAP && q.pap > ask.PAP:
		return q.pap.String() + " is above its " + ask.PAP.String()
	case ask.Context && !q.context:
		return "it speaks of objects with context, and this one does not say what it means"
	case int(q.confidence) < ask.Confidence:
		return fmt.Sprintf("it speaks of a confidence from %d, and the object states %d or none", ask.Confidence, q.confidence)
	case !q.dated:
		return "it speaks of what was modified less than " + ask.Age.String() + " ago, and the object has no date"
	default:
		return "it speaks of what was modified less than " + ask.Age.String() + " ago, and the object is of " + day(q.modified)
	}
}

// mark notes which step the decision rests on.
func (t *ReaderTrail) mark() {
	for i := range t.Steps {
		s := &t.Steps[i]
		switch {
		case s.Layer != t.Decision.Layer || !s.Match || s.Clause != t.Decision.Clause:
		case s.Of != t.Decision.Agreement || s.Version != t.Decision.Version:
		case s.Clause == "" && s.Against == (t.Decision.Outcome == Allow):
		case s.Clause == "" && s.Layer == Governing && !s.Against:
		default:
			s.Decides = true
			return
		}
	}
	t.Steps = append(t.Steps, Step{Layer: t.Decision.Layer, Of: t.Decision.Agreement, Version: t.Decision.Version, Match: true, Decides: true, Why: t.Decision.Text})
}

// selection says in words whom a selector names.
func selection(s protocol.Selector) string {
	var parts []string
	say := func(what string, list []string) {
		if len(list) > 0 {
			parts = append(parts, what+" "+strings.Join(list, ", "))
		}
	}
	say("parties", s.Parties)
	say("kinds", s.Kinds)
	say("countries", s.Countries)
	say("roles", s.Roles)
	if s.Public {
		parts = append(parts, "the public")
	}
	if len(parts) == 0 {
		return "any party"
	}
	return strings.Join(parts, "; ")
}

// markings says in words which markings are in a set of bits.
func markings(bits uint8) string {
	var list []string
	for m := protocol.Clear; m <= protocol.Red; m++ {
		if bits&(1<<m) != 0 {
			list = append(list, m.String())
		}
	}
	return strings.Join(list, ", ")
}

// more says what else clauses may ask of a subject, where it has any of it.
func (s *Subject) more() string {
	var list []string
	if c := s.Classes | s.Inherent; c != 0 {
		list = append(list, c.String())
	}
	if s.PAP != protocol.NoPAP {
		list = append(list, min(s.PAP, protocol.PAPRed).String())
	}
	if s.Context {
		list = append(list, "with context")
	}
	if s.Confidence > 0 {
		list = append(list, fmt.Sprintf("confidence %d", s.Confidence))
	}
	if !s.Modified.IsZero() {
		list = append(list, "modified "+day(s.Modified))
	}
	if len(list) == 0 {
		return ""
	}
	return ", " + strings.Join(list, ", ")
}

// String returns the trail as text for people, a line for each rule; the one
// that decided is marked with an arrow.
func (x Explanation) String() string {
	var b strings.Builder
	marked := x.Subject.Marking.String()
	if x.Subject.Marking == protocol.NoMarking {
		marked = "unmarked"
		if x.Verdict.Marking != protocol.NoMarking {
			marked += ", by the topic's default " + x.Verdict.Marking.String()
		}
	}
	fmt.Fprintf(&b, "%s (%s%s) by %s on %s/%s at %s\n", x.Subject.Type, marked, x.Subject.more(), x.Author, name(x.Agreement), x.Topic, day(x.At))
	fmt.Fprintf(&b, "%s\n", x.Verdict.line())
	for _, t := range x.Readers {
		who := t.Handle
		if t.As.Purpose != "" {
			who += " for " + t.As.Purpose
		}
		fmt.Fprintf(&b, "\n%s: %s\n", who, t.Decision.line())
		if t.Barred {
			b.WriteString("   reads nothing of this topic, so it does not count among its readers\n")
		}
		last := t.Steps[0]
		several := slices.ContainsFunc(t.Steps, func(s Step) bool { return s.Of != last.Of || s.Version != last.Version })
		for i, s := range t.Steps {
			switch {
			case several && (i == 0 || s.Of == last.Of && s.Version != last.Version):
				fmt.Fprintf(&b, "   version %d\n", s.Version)
			case several && s.Of != last.Of:
				b.WriteString("   another agreement\n")
			}
			fmt.Fprintf(&b, "%s\n", s.line())
			last = s
		}
		if t.Omitted > 0 {
			fmt.Fprintf(&b, "   and %d clauses that do not speak of this\n", t.Omitted)
		}
	}
	return b.String()
}

// line is a decision on one line.
func (d Decision) line() string {
	by := d.Layer.String()
	if d.Clause != "" {
		by += ", clause " + d.Clause
	}
	until := ""
	if !d.Expires.IsZero() {
		until = " [until " + day(d.Expires) + "]"
	}
	if words := DutiesText(d.Duties); words != "" {
		until += " on condition: " + words
	}
	return fmt.Sprintf("%s by %s: %s%s", past(d.Outcome), by, d.Text, until)
}

// line is a step on one line.
func (s Step) line() string {
	arrow, what := "  ", s.Layer.String()
	if s.Decides {
		arrow = "->"
	}
	if s.Clause != "" {
		what = "permits " + s.Clause
		if s.Layer == Local {
			what = "local rule " + s.Clause
		} else if s.Against {
			what = "forbids " + s.Clause
		}
		if !s.Match {
			what += ", not here"
		}
	}
	line := arrow + " " + what + ": " + s.Why
	if s.Text != "" {
		line += " (\"" + s.Text + "\")"
	}
	return line
}
