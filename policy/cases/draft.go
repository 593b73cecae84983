package cases

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"entente/policy"
	"entente/protocol"
)

// mostTries bounds the questions that Draft asks for one case.
const mostTries = 20_000

// Draft writes a file of cases for an agreement: one for each clause in which it
// decides, one on the far side of each of its dates and conditions, and for each
// topic one that nothing permits, where there are such. They hold what the
// agreement says, which is not always what its authors mean, so people are to read
// them. Clauses that decide nothing get no case. The error is that of compiling.
func Draft(a *protocol.Agreement) ([]byte, error) {
	run, err := newRunner(a, nil, protocol.MemberID{})
	if err != nil {
		return nil, err
	}
	d := &drafter{runner: run, adviser: newAdviser(a), at: a.From.Add(12 * time.Hour)}
	if !d.at.Before(d.over) {
		d.at = a.From
	}
	d.types = []string{"indicator", "note"}
	for _, c := range a.Clauses {
		for _, t := range c.Types {
			if !slices.Contains(d.types, t) {
				d.types = append(d.types, t)
			}
		}
	}
	for i := range a.Clauses {
		d.clause(i)
	}
	for _, t := range a.Topics {
		d.gap(t.Name)
	}
	d.edges()
	return d.text(), nil
}

// drafter makes the cases of an agreement.
type drafter struct {
	*runner
	*adviser
	at    time.Time
	types []string
	cases []drafted
}

// drafted is one case: a question of one reader or, without one, of the topic, and
// its answer.
type drafted struct {
	name   string
	typ    string
	mark   protocol.Marking
	terms  terms
	from   string
	to     string
	topic  string
	at     time.Time
	answer Answer
}

// scope is what to look for a case among.
type scope struct {
	topics, types []string
	marks         uint8
	terms         terms
	from, to      set
	at            time.Time
}

// answer fills in the answer to a case.
func (d *drafter) answer(c *drafted) {
	member := func(handle string) (id protocol.MemberID) {
		if p := d.runner.parties[handle]; p != nil {
			id = p.ID
		}
		return id
	}
	q := question{of: &Case{}, author: member(c.from), topic: c.topic, at: c.at, subject: c.terms.subject(c.typ, c.mark)}
	q.facts = c.terms.facts(member(c.to), c.at)
	if c.to != "" {
		q.of.to.given, q.to = true, []policy.Reader{{Member: member(c.to), Purpose: c.terms.purpose}}
	}
	c.answer = d.ask(d.rules, &q)[0]
}

// find keeps the first case of a scope whose answer is wanted, and reports
// whether there is one. It tries high markings first: they say more.
func (d *drafter) find(s scope, name func(*drafted) string, want func(Answer) bool) bool {
	left := mostTries
	for _, topic := range s.topics {
		for _, typ := range s.types {
			for m := protocol.AmberStrict; m >= protocol.Clear; m-- {
				for i, from := range d.of.Parties {
					for n := range len(d.of.Parties) + 1 {
						if s.marks&(1<<m) == 0 || !s.from.has(i+1) || !s.to.has(n) || n == i+1 {
							continue
						}
						if left--; left < 0 {
							return false
						}
						c := drafted{typ: typ, mark: m, terms: s.terms, from: from.Handle, to: public, topic: topic, at: s.at}
						if n > 0 {
							c.to = d.of.Parties[n-1].Handle
						}
						if d.answer(&c); want(c.answer) {
							c.name = name(&c)
							d.cases = append(d.cases, c)
							return true
						}
					}
				}
			}
		}
	}
	return false
}

// clause makes a case that the clause decides, and one beyond each of its dates
// that it would decide but for the date.
func (d *drafter) clause(i int) {
	c, r := &d.of.Clauses[i], &d.reach[i]
	s := scope{topics: d.topicsOf(c), types: c.Types, marks: r.marks, from: r.from, to: r.to, at: d.at}
	if len(s.types) == 0 {
		s.types = d.types
	}
	if s.at.Before(c.Starts) || !c.Ends.IsZero() && !s.at.Before(c.Ends) {
		s.at = r.starts
	}
	does := "permits"
	if !c.Permit {
		does = "forbids"
	}
	decides := func(a Answer) bool { return a.Clause == c.Number }
	if !slices.ContainsFunc(d.termsOf(c), func(t terms) bool {
		if s.terms = t; !c.If.Age.IsZero() {
			s.terms.modified = s.at
		}
		return d.find(s, func(k *drafted) string { return fmt.Sprintf("clause %s %s %s", c.Number, does, k.what()) }, decides)
	}) {
		return
	}
	decided := d.cases[len(d.cases)-1]
	d.farSides(c, decided)
	if c.Starts.After(d.of.From) {
		d.again(decided, c.Starts.Add(-time.Second), fmt.Sprintf("clause %s says nothing yet before %s", c.Number, day(c.Starts)))
	}
	if !c.Ends.IsZero() && c.Ends.Before(d.over) {
		d.again(decided, c.Ends, fmt.Sprintf("clause %s says nothing any more from %s on", c.Number, day(c.Ends)))
	}
}

// again keeps a case at another moment.
func (d *drafter) again(c drafted, at time.Time, name string) {
	c.name, c.at = name, at
	d.answer(&c)
	d.cases = append(d.cases, c)
}

// gap makes a case of a topic that no clause permits.
func (d *drafter) gap(topic string) {
	everybody := make(set, (len(d.of.Parties)+64)/64)
	for i := range d.of.Parties {
		everybody.add(i + 1)
	}
	s := scope{topics: []string{topic}, types: d.types, marks: marksOf(d.of, &protocol.Clause{}), from: everybody, to: everybody, at: d.at}
	d.find(s, func(k *drafted) string { return "no clause permits " + k.what() + " on " + topic },
		func(a Answer) bool {
			return a.Clause == "" && a.Outcome == policy.Withhold.String() && a.Layer == policy.Governing.String()
		})
}

// edges makes cases beyond the dates of the agreement, of what is permitted
// between them.
func (d *drafter) edges() {
	i := slices.IndexFunc(d.cases, func(c drafted) bool { return c.answer.Outcome == policy.Allow.String() })
	if i < 0 {
		return
	}
	permitted := d.cases[i]
	permitted.to, permitted.terms.purpose, permitted.terms.entitled = "", "", ""
	d.again(permitted, d.of.From.Add(-time.Second), "nothing flows before the agreement begins")
	if d.over.Before(d.of.Until) {
		d.again(permitted, d.over, "nothing flows when the legal basis has lapsed")
	}
	d.again(permitted, d.of.Until, "nothing flows when the agreement is over")
}

// what says what a case is about, for its name.
func (c *drafted) what() string {
	return fmt.Sprintf("%s at %s from %s to %s", c.typ, c.mark, c.from, c.to)
}

// text writes the file.
func (d *drafter) text() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# What the agreement answers, question by question. These cases were written from its\n"+
		"# draft, so they hold what it says: read whether that is what you mean, change them,\n"+
		"# and add your own. Then: entente agreements test %s.v%d.yaml\n", d.of.Name, d.of.Version)
	fmt.Fprintf(&b, "agreement: %s\nat: %s\ncases:\n", plain(d.of.Name), day(d.at))
	names := map[string]bool{}
	for _, c := range d.cases {
		if names[c.name] {
			continue
		}
		names[c.name] = true
		fmt.Fprintf(&b, "  - name: %s\n    object: {type: %s, marking: %s%s}\n    from: %s\n", c.name, c.typ, c.mark, c.terms.fields(), plain(c.from))
		if c.to != "" {
			fmt.Fprintf(&b, "    to: %s\n", plain(c.to))
		}
		fmt.Fprintf(&b, "    topic: %s\n", plain(c.topic))
		if !c.at.Equal(d.at) {
			fmt.Fprintf(&b, "    at: %s\n", day(c.at))
		}
		b.WriteString(c.terms.lines(c.to))
		fmt.Fprintf(&b, "    expect: %s\n    clause: %q\n", c.answer.Outcome, c.answer.Clause)
		if o := c.answer.verdict.Duties; o != nil {
			fmt.Fprintf(&b, "    obligations: {%s}\n", obligations(o))
		}
		if c.answer.Clause == "" {
			fmt.Fprintf(&b, "    because: %s\n", c.answer.Layer)
		}
	}
	return []byte(b.String())
}

// plain puts quotes around a word that YAML would not read as text.
func plain(word string) string {
	if word == "null" || word == "" || word[0] < 'a' || word[0] > 'z' {
		return fmt.Sprintf("%q", word)
	}
	return word
}
