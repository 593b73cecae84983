package cases

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"entente/policy"
	"entente/protocol"
)

// Access says what some readers may read on a topic at most: of objects that meet
// what clauses ask of them (context, confidence, age, a class), for a purpose that
// will do, entitled where a contribution entitles.
type Access struct {
	Topic   string   `json:"topic"`
	Readers []string `json:"readers"` // handles; public: who is no party
	Grants  []Grant  `json:"grants"`  // none: nothing
}

// Grant is one thing that they may read there.
type Grant struct {
	Types    []string `json:"types,omitempty"`    // of these types; none: of all that no other grant of the same readers names
	Markings []string `json:"markings,omitempty"` // at these levels; none: nothing
	From     []string `json:"from,omitempty"`     // by these parties; none: by everybody else

	marks uint8
}

// String returns the grant for people, on one line.
func (g *Grant) String() string {
	what := "all types"
	if len(g.Types) > 0 {
		what = strings.Join(g.Types, ", ")
	}
	if len(g.Markings) == 0 {
		return "nothing of " + what
	}
	marks := "at " + strings.Join(g.Markings, " or ")
	if low := g.marks >> protocol.Clear; low&(low+1) == 0 && len(g.Markings) > 1 {
		marks = "up to " + g.Markings[len(g.Markings)-1]
	}
	from := "everybody else"
	if len(g.From) > 0 {
		from = strings.Join(g.From, ", ")
	}
	return fmt.Sprintf("%s %s from %s", what, marks, from)
}

// mostQuestions bounds what Who asks the engine.
const mostQuestions = 8 << 20

// Who says who may read what on each topic at a moment, and groups readers who
// may read the same. An agreement too large to ask of everything is a Limit, one
// that does not compile Invalid.
func Who(a *protocol.Agreement, at time.Time) ([]Access, error) {
	rules, err := policy.CompileAgreement(a)
	if err != nil {
		return nil, err
	}
	engine, err := policy.NewEngine(protocol.MemberID{}, rules.With(everybodyEntitled(a)))
	if err != nil {
		return nil, err
	}
	w := &who{of: a, engine: engine, at: at, forms: map[string][]policy.Subject{}, readers: slices.Clone(a.Parties)}
	if a.Visibility == protocol.Public {
		w.readers = append(w.readers, protocol.Party{Handle: public})
	}
	asked := 0
	for _, t := range a.Topics {
		w.forms[t.Name] = formsOn(a, t.Name, at)
		if asked += len(w.readers) * len(w.readers) * len(typesOn(a, t.Name)) * len(w.forms[t.Name]) * int(protocol.AmberStrict); asked > mostQuestions {
			return nil, protocol.Errorf(protocol.Limit, "list who reads what", "%d parties and %d topics are too many to list; ask with cases instead", len(a.Parties), len(a.Topics))
		}
	}
	var out []Access
	for _, t := range a.Topics {
		first := len(out)
		for _, reader := range w.readers {
			grants := w.grants(t.Name, reader)
			at := slices.IndexFunc(out[first:], func(o Access) bool { return same(o.Grants, grants) })
			if at < 0 {
				out, at = append(out, Access{Topic: t.Name, Grants: grants}), len(out)-first
			}
			out[first+at].Readers = append(out[first+at].Readers, reader.Handle)
		}
	}
	return out, nil
}

// same reports whether two lists of grants say the same.
func same(a, b []Grant) bool {
	return slices.EqualFunc(a, b, func(x, y Grant) bool {
		return x.marks == y.marks && slices.Equal(x.Types, y.Types) && slices.Equal(x.From, y.From)
	})
}

// typesOn returns the types that the clauses of a topic name, sorted, then ""
// for all others.
func typesOn(a *protocol.Agreement, topic string) []string {
	var out []string
	for _, c := range a.Clauses {
		if len(c.Topics) == 0 || slices.Contains(c.Topics, topic) {
			out = append(out, c.Types...)
		}
	}
	slices.Sort(out)
	return append(slices.Compact(out), "")
}

// who asks an agreement of everything.
type who struct {
	of      *protocol.Agreement
	engine  *policy.Engine
	at      time.Time
	forms   map[string][]policy.Subject // by topic
	readers []protocol.Party            // and the public, where it may read at all
}

// grants returns what one reader may read on a topic. Types that are alike share
// grants; those of the types that no clause names come first.
func (w *who) grants(topic string, reader protocol.Party) []Grant {
	type column struct {
		types  []string
		grants []Grant
	}
	var columns []column
	types := typesOn(w.of, topic)
	slices.Reverse(types)
	for _, typ := range types {
		grants := w.column(topic, reader, typ)
		at := slices.IndexFunc(columns, func(c column) bool { return same(c.grants, grants) })
		if at < 0 {
			columns, at = append(columns, column{grants: grants}), len(columns)
		}
		columns[at].types = append(columns[at].types, typ)
	}
	var out []Grant
	for n, c := range columns {
		slices.Sort(c.types)
		if n == 0 {
			c.types = nil // all that the other columns do not name
		}
		if n > 0 && len(c.grants) == 0 && len(columns[0].grants) > 0 {
			out = append(out, Grant{Types: c.types})
		}
		for _, g := range c.grants {
			g.Types = c.types
			out = append(out, g)
		}
	}
	return out
}

// may reports whether some object of a type and a marking may be read.
func (w *who) may(topic string, reader protocol.Party, author protocol.MemberID, typ string, m protocol.Marking) bool {
	return slices.ContainsFunc(w.forms[topic], func(s policy.Subject) bool {
		s.Type, s.Marking = typ, m
		return w.engine.Read(policy.Reader{Member: reader.ID, Remote: true}, w.of.ID, topic, author, s, w.at).Outcome == policy.Allow
	})
}

// formsOn returns the forms that tell the clauses of a topic apart: every class that
// some clause permits, with and without context, at every confidence and age that
// a clause asks for and without any. What a clause permits another may forbid
// because an object says more, so no single form stands for the others.
func formsOn(a *protocol.Agreement, topic string, at time.Time) []policy.Subject {
	classes, contexts, confidences, ages := []protocol.Class{0}, []bool{false}, []int{0}, []time.Time{{}}
	var permitted protocol.Class
	for _, c := range a.Clauses {
		if len(c.Topics) > 0 && !slices.Contains(c.Topics, topic) {
			continue
		}
		if c.Permit {
			permitted |= c.If.Classes
		}
		if c.If.Context {
			contexts = []bool{false, true}
		}
		if c.If.Confidence > 0 {
			confidences = append(confidences, int(c.If.Confidence))
		}
		if !c.If.Age.IsZero() {
			ages = append(ages, at, c.If.Age.Before(at))
		}
	}
	for class := protocol.Class(1); class <= permitted; class <<= 1 {
		if permitted&class != 0 {
			classes = append(classes, class)
		}
	}
	slices.Sort(confidences)
	slices.SortFunc(ages, time.Time.Compare)
	var out []policy.Subject
	for _, class := range classes {
		for _, context := range contexts {
			for _, confidence := range slices.Compact(confidences) {
				for _, modified := range slices.Compact(ages) {
					out = append(out, policy.Subject{Classes: class, Context: context, Confidence: confidence, Modified: modified})
				}
			}
		}
	}
	return out
}

// column returns what one reader may read of one type: for each set of markings
// by whom.
func (w *who) column(topic string, reader protocol.Party, typ string) []Grant {
	var out []Grant
	others := 0
	for _, author := range w.of.Parties {
		if author.ID == reader.ID {
			continue
		}
		others++
		g := Grant{}
		for m := protocol.Clear; m <= protocol.AmberStrict; m++ {
			if w.may(topic, reader, author.ID, typ, m) {
				g.marks |= 1 << m
				g.Markings = append(g.Markings, m.String())
			}
		}
		if g.marks == 0 {
			continue
		}
		at := slices.IndexFunc(out, func(o Grant) bool { return o.marks == g.marks })
		if at < 0 {
			out, at = append(out, g), len(out)
		}
		out[at].From = append(out[at].From, author.Handle)
	}
	if len(out) == 1 && len(out[0].From) == others && others > 1 {
		out[0].From = nil
	}
	return out
}
