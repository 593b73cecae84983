package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"entente/protocol"
)

// Under returns the rules at the node of self under its operator's own rules; nil
// are none. They take the place of those that r may have. The facts of r are
// forgotten: With comes after. A clause that no engine can enforce is Invalid.
func (r *Rules) Under(local *protocol.LocalRules, self protocol.MemberID) (*Rules, error) {
	made := *r
	made.self, made.own = self, r.index[self]
	made.types, made.topics = maps.Clone(r.types), make(map[string]*topic, len(r.topics))
	for name, t := range r.topics {
		made.topics[name] = &topic{
			name: t.name, standard: t.standard, class: t.class, unmarked: t.unmarked,
			permits: t.permits, forbids: t.forbids, said: t.said, types: maps.Clone(t.types), columns: slices.Clone(t.columns),
		}
	}
	if local != nil {
		for i := range local.Clauses {
			source := &local.Clauses[i]
			if !source.Binds(r.agreement.ID, r.agreement.Name) {
				continue
			}
			if err := made.addLocal(source); err != nil {
				return nil, protocol.E(protocol.Invalid, "compile local rules", fmt.Errorf("clause %s (line %d): %w", name(source.Number), source.Line, err),
					"put the rules right: entente policy check")
			}
		}
	}
	return made.With(Facts{}), nil
}

// addLocal compiles one local clause and puts it on the lists of its topics.
func (r *Rules) addLocal(source *protocol.LocalClause) error {
	switch {
	case source.Permit:
		return fmt.Errorf("it permits, and local rules only narrow")
	case source.Everywhere || source.From.Public:
		return fmt.Errorf("it says what local rules cannot say")
	}
	for _, t := range source.Types {
		if _, ok := r.types[t]; !ok {
			r.types[t] = len(r.types)
		}
	}
	c := &clause{source: &source.Clause, score: -1, bare: true}
	c.starts, c.ends = span(&source.Clause)
	if c.starts >= c.ends {
		return fmt.Errorf("it ends (%s) before it starts (%s)", day(source.Ends), day(source.Starts))
	}
	c.from, c.to = r.reach(&source.From), r.reachReaders(&source.To)
	c.mine = r.own != 0 && c.to.has(r.own) || r.own == 0 && (unconditional(source.To) || slices.Contains(source.To.Parties, r.self.String()))
	var err error
	if c.types, err = r.selectTypes(source.Types); err != nil {
		return err
	}
	if c.marks, err = selectMarks(&source.Clause); err != nil {
		return err
	}
	if err = r.compileTerms(c); err != nil {
		return err
	}
	if source.Unless != nil {
		c.unless = &clause{source: &protocol.Clause{Number: source.Number, Permit: true, If: *source.Unless}, score: -1}
		if err = r.compileTerms(c.unless); err != nil {
			return fmt.Errorf("unless: %w", err)
		}
		if source.Unless.Classes == 0 {
			c.unless.classes = allClasses | protocol.UnknownClass
		}
	}
	for _, t := range r.topics {
		if len(source.Topics) > 0 && !slices.Contains(source.Topics, t.name) {
			continue
		}
		t.local = append(t.local, c)
		for _, typ := range source.Types {
			if _, ok := t.types[typ]; !ok {
				t.types[typ] = len(t.columns)
				t.columns = append(t.columns, r.types[typ])
			}
		}
	}
	return nil
}

// reach returns the parties that a local clause names. A handle is that of this
// agreement; who is named by a member's id is so in every agreement.
func (r *Rules) reach(sel *protocol.Selector) set {
	s := newSet(len(r.readers))
	for i := range r.readers[1:] {
		s.add(i + 1)
	}
	if len(sel.Parties) > 0 {
		named := newSet(len(r.readers))
		for _, h := range sel.Parties {
			if i := r.partyCalled(h); i != 0 {
				named.add(i)
			}
		}
		s.intersect(named)
	}
	r.narrow(s, sel.Kinds, r.kinds)
	r.narrow(s, sel.Countries, r.countries)
	r.narrow(s, sel.Roles, r.roles)
	return s
}

// partyCalled returns the number of the party with a handle or an id, or zero.
func (r *Rules) partyCalled(word string) int {
	if i := r.handles[word]; i != 0 {
		return i
	}
	var id protocol.MemberID
	if len(word) != 2*len(id) || id.UnmarshalText([]byte(word)) != nil {
		return 0
	}
	return r.index[id]
}

// reachReaders returns the readers from whom a local clause keeps things. Where
// the public reads, whoever is meant could read as anybody: so it is kept from
// the public as well, unless the clause is about parties that this agreement
// does not have, or about this member alone.
func (r *Rules) reachReaders(sel *protocol.Selector) set {
	public := r.everyone.has(0)
	if sel.Public {
		s := newSet(len(r.readers))
		if public {
			s.add(0)
		}
		return s
	}
	s := r.reach(sel)
	byWord := len(sel.Kinds)+len(sel.Countries)+len(sel.Roles) > 0
	others := s.count()
	if r.own != 0 && s.has(r.own) {
		others--
	}
	if public && (unconditional(*sel) || byWord || others > 0) {
		s.add(0)
	}
	return s
}

// spares reports whether the object and the reader meet what a local clause makes
// an exception for. Nodes state no purpose; they ask their people.
func (c *clause) spares(q *question) bool {
	u := c.unless
	return u != nil && u.fits(q) && (u.purposes == 0 || q.voice == carriage || u.purposes&q.purpose != 0)
}

// stops reports whether a local clause speaks of a question and does not spare it,
// whoever reads.
func (c *clause) stops(q *question, typ, parties int) bool {
	return c.speaks(q, typ, parties) && !c.spares(q)
}

// askLocal asks the operator's rules once the agreement has decided: of this
// member's own objects for all whom it lets have them, of others' for this member.
func (r *Rules) askLocal(a *answers, t *topic, q *question, readers, may set) {
	typ, n := t.columns[q.column], len(r.readers)
	if r.own == 0 || q.author != r.own {
		under := a.c.decisions[a.c.of[r.own]]
		if under.Outcome != Allow || r.own == 0 && !r.everyone.has(0) {
			return
		}
		for _, cl := range t.local {
			if cl.mine && cl.stops(q, typ, n) {
				a.c.mine = uint16(a.add(cl.narrowed(under)))
				return
			}
		}
		return
	}
	left := slices.Clone(may)
	left.remove(q.author)
	before := left.count()
	for _, cl := range t.local {
		if !cl.stops(q, typ, n) {
			continue
		}
		numbers := map[uint16]uint16{}
		for i := left.next(0); i >= 0; i = left.next(i + 1) {
			if !cl.to.has(i) {
				continue
			}
			under := a.c.of[i]
			number, ok := numbers[under]
			if !ok {
				number = uint16(a.add(cl.narrowed(a.c.decisions[under])))
				numbers[under] = number
			}
			a.c.of[i] = number
			left.remove(i)
		}
	}
	if left.count() != before {
		r.narrowVerdict(a.c, t, q, readers, left)
	}
}

// narrowed is the decision of a local clause in place of a permission. It keeps
// what the permission demands: that holds for what is held all the same.
func (c *clause) narrowed(d Decision) Decision {
	d.Outcome, d.Layer, d.Clause, d.Text = Withhold, Local, c.source.Number, c.source.Text
	return d
}

// narrowVerdict makes the verdict for this member's own objects, with whom the
// operator's rules leave of those whom the agreement lets have them.
func (r *Rules) narrowVerdict(c *class, t *topic, q *question, readers, left set) {
	left.intersect(readers)
	denied := slices.Clone(readers)
	denied.subtract(left)
	if denied.count() == len(c.verdict.Denied) {
		return // those from whom it is kept do not read the topic
	}
	v := Verdict{Decision: c.verdict.Decision}
	first := 0
	for i := denied.next(0); i >= 0; i = denied.next(i + 1) {
		number := int(c.of[i])
		v.Denied = append(v.Denied, Denial{Reader: r.readers[i].ID, Decision: c.decisions[number]})
		if c.decisions[number].Layer == Local && (first == 0 || number < first) {
			first = number
		}
	}
	if c.verdict.Outcome == Allow {
		v.Decision = c.decisions[first]
	}
	switch {
	case left.next(0) >= 0:
		v.Readers = r.list(t, left, q.author)
	case v.Layer == Local:
		v.Outcome = Refuse
	}
	c.narrowed = &v
}

// askLocalAlone asks the operator's rules about what this member may read without
// any clause of the agreement.
func (f *found) askLocalAlone(d Decision) Decision {
	t := f.topic
	if len(t.local) == 0 {
		return d
	}
	_, until := t.window(f.now)
	d.Expires = sooner(d.Expires, f.rules.decision(f.marked, until).Expires)
	for _, cl := range t.local {
		if cl.mine && cl.stops(&f.question, t.columns[f.column], len(f.rules.readers)) {
			d = cl.narrowed(d)
			break
		}
	}
	return f.expire(d)
}

// Narrowed reports whether the operator's rules say anything about an agreement.
func (e *Engine) Narrowed(agreement protocol.AgreementID) bool {
	for _, r := range e.rules[agreement] {
		for _, t := range r.topics {
			if len(t.local) > 0 {
				return true
			}
		}
	}
	return false
}

// localSteps says of each local clause of a topic whether and why it speaks.
func (r *Rules) localSteps(f *found, as Reader, steps []Step) []Step {
	p := r.presentAt(f.topic, f.now)
	gives := r.own != 0 && f.author == r.own
	takes := as.Member == r.self
	for _, c := range f.topic.local {
		step := Step{Layer: Local, Of: r.agreement.ID, Version: r.agreement.Version, Clause: c.source.Number, Against: true, Text: c.source.Text}
		reader := r.index[as.Member]
		switch {
		case !gives && !takes:
			step.Why = "local rules bind what this member gives and takes; this is between others"
		case takes && r.own == 0 && !c.mine:
			step.Why = "the reader is none of those it keeps from: " + selection(c.source.To)
		default:
			asked := *c
			if takes && r.own == 0 {
				asked.to = newSet(len(r.readers)) // it is meant, though no party
				asked.to.add(0)
			}
			step.Match, step.Why = r.consider(&asked, f, p, reader)
			if step.Match && c.spares(&f.question) {
				step.Match, step.Why = false, "it spares what meets its exception"
			}
			if step.Match && c.unless != nil && c.unless.purposes != 0 && !as.Remote && f.purpose&c.unless.purposes == 0 {
				step.Why += ", and spares readers who state a purpose: " + purposeWords(c.unless.purposes, ", ")
			}
		}
		steps = append(steps, step)
	}
	return steps
}

// Unresolved is a word of local rules that names nothing in any agreement that
// is known: the clause may do less than its writer meant.
type Unresolved struct {
	Clause string
	Line   int
	Text   string
}

// Resolve looks for words of local rules that no agreement has which they bind:
// names of agreements, handles, roles, topics. It is for warnings: an agreement
// that has them may come yet.
func Resolve(local *protocol.LocalRules, agreements []*protocol.Agreement) []Unresolved {
	var out []Unresolved
	for i := range local.Clauses {
		c := &local.Clauses[i]
		say := func(format string, args ...any) {
			out = append(out, Unresolved{Clause: c.Number, Line: c.Line, Text: fmt.Sprintf(format, args...)})
		}
		var bound []*protocol.Agreement
		for _, a := range agreements {
			if c.Binds(a.ID, a.Name) {
				bound = append(bound, a)
			}
		}
		for _, name := range c.Agreements {
			if !slices.ContainsFunc(agreements, func(a *protocol.Agreement) bool { return a.Name == name || a.ID.String() == name }) {
				say("there is no agreement %s here", name)
			}
		}
		missing := func(what string, words []string, has func(a *protocol.Agreement, word string) bool) {
			for _, w := range words {
				if len(bound) > 0 && !slices.ContainsFunc(bound, func(a *protocol.Agreement) bool { return has(a, w) }) {
					say("no agreement that it binds has the %s %s", what, w)
				}
			}
		}
		party := func(a *protocol.Agreement, word string) bool {
			return slices.ContainsFunc(a.Parties, func(p protocol.Party) bool { return p.Handle == word || p.ID.String() == word })
		}
		role := func(a *protocol.Agreement, word string) bool {
			return slices.ContainsFunc(a.Parties, func(p protocol.Party) bool { return slices.Contains(p.Roles, word) })
		}
		missing("party", slices.Concat(c.From.Parties, c.To.Parties), party)
		missing("role", slices.Concat(c.From.Roles, c.To.Roles), role)
		missing("topic", c.Topics, func(a *protocol.Agreement, word string) bool {
			return slices.ContainsFunc(a.Topics, func(t protocol.Topic) bool { return t.Name == word })
		})
	}
	return out
}

// String returns the warning on one line.
func (u Unresolved) String() string {
	return "clause " + u.Clause + " (line " + fmt.Sprint(u.Line) + "): " + strings.TrimSpace(u.Text)
}
