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
	Handle   string
	Barred   bool // reads nothing of the topic, so it does not count for the verdict
	Decision Decision
	Steps    []Step
	Omitted  int // clauses that do not speak of the question, left out for length
}

// Step is one rule that was asked.
type Step struct {
	Layer   Layer
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
// each clause considered, for the named readers or, where none is named, for
// all. The decisions in it are those of Outbound and Read; the zero id is the
// public.
func (e *Engine) Explain(agreement protocol.AgreementID, topicName string, author protocol.MemberID, s Subject, now time.Time, readers ...protocol.MemberID) Explanation {
	x := Explanation{Topic: topicName, Author: author.Short(), Subject: s, At: now.UTC()}
	x.Verdict = e.Outbound(agreement, topicName, author, s, now)
	r := e.rules[agreement]
	if r == nil {
		return x
	}
	x.Agreement = r.agreement.Name
	if i := r.index[author]; i != 0 {
		x.Author = r.readers[i].Handle
	}
	f, _, ok := e.find(agreement, topicName, author, s)
	if !ok {
		return x
	}
	barred, _ := e.Barred(agreement, topicName, now)
	room := maxTrail
	trail := func(i int) {
		p := r.readers[i]
		if len(readers) > 0 && !slices.Contains(readers, p.ID) {
			return
		}
		t := ReaderTrail{Reader: p.ID, Handle: p.Handle, Barred: slices.Contains(barred, p.ID)}
		t.Decision = e.Read(Reader{Member: p.ID}, agreement, topicName, author, s, now)
		t.Steps = r.steps(f, i, now.UnixMicro())
		if room -= len(t.Steps); room < 0 {
			all := len(t.Steps)
			t.Steps = slices.DeleteFunc(t.Steps, func(s Step) bool { return !s.Match })
			t.Omitted = all - len(t.Steps)
		}
		t.mark()
		x.Readers = append(x.Readers, t)
	}
	for _, p := range r.agreement.Parties {
		trail(r.index[p.ID])
	}
	if r.everyone.has(0) {
		trail(0)
	}
	return x
}

// steps asks every rule about one reader, without stopping at the first that
// decides.
func (r *Rules) steps(f found, reader int, now int64) []Step {
	if f.author == reader {
		return []Step{{Layer: Floor, Match: true, Why: textOwn}}
	}
	steps := []Step{{Layer: Floor, Match: true, Why: floorPass(f.marked)}}
	if outcome, text := floorTopic(r.agreement.Visibility, f.marked); outcome != Allow {
		steps[0].Why, steps[0].Against = text, true
	}
	standing := Step{Layer: Governing, Match: true, Why: "the agreement is in force"}
	if text := r.standing(now); text != "" {
		standing.Why, standing.Against = text, true
	}
	steps = append(steps, standing)
	q := question{f.author, f.column, f.marked, now}
	for _, list := range [][]*clause{f.topic.forbids, f.topic.permits} {
		for _, c := range list {
			step := Step{Layer: Governing, Clause: c.source.Number, Against: !c.source.Permit, Text: c.source.Text}
			step.Match, step.Why = r.consider(c, f.topic, q, reader)
			steps = append(steps, step)
		}
	}
	return steps
}

// consider says whether a clause speaks of a question for one reader, and why.
func (r *Rules) consider(c *clause, t *topic, q question, reader int) (bool, string) {
	src := c.source
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
	case c.types != nil && !c.types.has(t.columns[q.column]):
		return false, "it speaks of " + strings.Join(src.Types, ", ") + " only"
	case c.marks&(1<<q.marked) == 0:
		return false, q.marked.String() + " is not among its markings: " + markings(c.marks)
	default:
		return true, "it speaks of this author, reader, type and marking"
	}
}

// mark notes which step the decision rests on.
func (t *ReaderTrail) mark() {
	for i := range t.Steps {
		s := &t.Steps[i]
		switch {
		case s.Layer != t.Decision.Layer || !s.Match || s.Clause != t.Decision.Clause:
		case s.Clause == "" && s.Against == (t.Decision.Outcome == Allow):
		case s.Clause == "" && s.Layer == Governing && !s.Against:
		default:
			s.Decides = true
			return
		}
	}
	t.Steps = append(t.Steps, Step{Layer: t.Decision.Layer, Match: true, Decides: true, Why: t.Decision.Text})
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
	fmt.Fprintf(&b, "%s (%s) by %s on %s/%s at %s\n", x.Subject.Type, marked, x.Author, name(x.Agreement), x.Topic, day(x.At))
	fmt.Fprintf(&b, "%s\n", x.Verdict.line())
	for _, t := range x.Readers {
		fmt.Fprintf(&b, "\n%s: %s\n", t.Handle, t.Decision.line())
		if t.Barred {
			b.WriteString("   reads nothing of this topic, so it does not count among its readers\n")
		}
		for _, s := range t.Steps {
			fmt.Fprintf(&b, "%s\n", s.line())
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
		if s.Against {
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
