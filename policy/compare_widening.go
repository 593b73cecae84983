package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"entente/protocol"
)

// widener looks for what a new version lets flow that the old one does not. It
// works on the documents alone and proves narrowness clause by clause: a
// permission is no wider when one permission of the old version covers it, and a
// prohibition is kept when one of the new version covers it. What it cannot prove
// counts as wider.
type widener struct {
	old, new *protocol.Agreement
	number   map[protocol.MemberID]int // of the public (0), the old parties and those that had left before
	parties  [2][]*protocol.Party      // by number, under the old version and the new; nil: no party
	former   [2][]bool                 // by number: its entries up to a cut stay
	found    []Widening
	olds     []scope // clauses of the old version, in its order
	news     []scope
	readers  set      // who can be a reader under both
	authors  [2]set   // who can be an author under the old version, and under the new
	topics   []string // that both have
}

// scope is what a clause speaks of, as far as both versions know it.
type scope struct {
	clause       *protocol.Clause
	from, to     set
	topics       set
	bare         bool // from has no condition
	types        []string
	marks        uint8
	classes      protocol.Class
	starts, ends int64
}

func widening(old, new *protocol.Agreement) []Widening {
	if len(old.Parties) == 0 {
		return []Widening{{PartDocument, "", "it is the first version: all that it permits is new"}}
	}
	w := &widener{old: old, new: new}
	w.prepare()
	w.document()
	w.newcomers()
	w.addedTopics()
	w.defaults()
	w.contributions()
	w.permissions()
	w.prohibitions()
	w.obligations()
	w.departures()
	return w.found
}

func (w *widener) add(part Part, name, format string, args ...any) {
	w.found = append(w.found, Widening{part, name, fmt.Sprintf(format, args...)})
}

// prepare numbers the members and measures the clauses of both.
func (w *widener) prepare() {
	w.number = map[protocol.MemberID]int{{}: 0}
	count := func(id protocol.MemberID) {
		if _, known := w.number[id]; !known {
			w.number[id] = len(w.number)
		}
	}
	for _, p := range w.old.Parties {
		count(p.ID)
	}
	for _, c := range w.old.Cuts {
		count(c.Member)
	}
	for _, t := range w.new.Topics {
		if findTopic(w.old, t.Name) != nil {
			w.topics = append(w.topics, t.Name)
		}
	}
	n := len(w.number)
	w.readers, w.authors = newSet(n), [2]set{newSet(n), newSet(n)}
	for v, a := range []*protocol.Agreement{w.old, w.new} {
		w.parties[v], w.former[v] = make([]*protocol.Party, n), make([]bool, n)
		for _, c := range a.Cuts {
			if i, known := w.number[c.Member]; known {
				w.former[v][i] = true
			}
		}
		for i := range a.Parties {
			if at, known := w.number[a.Parties[i].ID]; known {
				w.parties[v][at], w.former[v][at] = &a.Parties[i], false
			}
		}
		for i := 1; i < n; i++ {
			if w.parties[v][i] != nil || w.former[v][i] {
				w.authors[v].add(i)
			}
		}
	}
	if w.old.Visibility == protocol.Public && w.new.Visibility == protocol.Public {
		w.readers.add(0)
	}
	for i := range n {
		if w.parties[0][i] != nil && w.parties[1][i] != nil {
			w.readers.add(i)
		}
	}
	for i := range w.old.Clauses {
		w.olds = append(w.olds, w.measure(0, &w.old.Clauses[i]))
	}
	for i := range w.new.Clauses {
		w.news = append(w.news, w.measure(1, &w.new.Clauses[i]))
	}
}

func findTopic(a *protocol.Agreement, name string) *protocol.Topic {
	for i := range a.Topics {
		if a.Topics[i].Name == name {
			return &a.Topics[i]
		}
	}
	return nil
}

// measure returns the scope of a clause.
func (w *widener) measure(version int, c *protocol.Clause) scope {
	s := scope{
		clause: c, from: newSet(len(w.number)), to: newSet(len(w.number)), topics: newSet(len(w.topics)),
		bare: unconditional(c.From), types: c.Types, classes: c.If.Classes, starts: math.MinInt64, ends: math.MaxInt64,
	}
	if c.To.Public {
		s.to.add(0)
	}
	for i, p := range w.parties[version] {
		switch {
		case p != nil:
			if chosen(c.From, p) {
				s.from.add(i)
			}
			if chosen(c.To, p) || (c.To.Public && c.Permit) {
				s.to.add(i)
			}
		case s.bare && w.former[version][i]:
			s.from.add(i)
		}
	}
	for i, t := range w.topics {
		if len(c.Topics) == 0 || slices.Contains(c.Topics, t) {
			s.topics.add(i)
		}
	}
	s.marks, _ = selectMarks(c)
	if c.Permit && s.classes == 0 {
		s.classes = protocol.Operational
	}
	if !c.Starts.IsZero() {
		s.starts = c.Starts.UnixMicro()
	}
	if !c.Ends.IsZero() {
		s.ends = c.Ends.UnixMicro()
	}
	return s
}

// chosen reports whether a choice of parties names one.
func chosen(s protocol.Selector, p *protocol.Party) bool {
	one := func(list []string, word string) bool { return len(list) == 0 || slices.Contains(list, word) }
	return !s.Public && one(s.Parties, p.Handle) && one(s.Kinds, p.Kind) && one(s.Countries, p.Country) &&
		(len(s.Roles) == 0 || slices.ContainsFunc(p.Roles, func(r string) bool { return slices.Contains(s.Roles, r) }))
}

// window returns the span in which an agreement is in force.
func window(a *protocol.Agreement) (from, until int64) {
	from, until = a.From.UnixMicro(), a.Until.UnixMicro()
	if b := a.LegalBasis.Until; !b.IsZero() {
		until = min(until, b.UnixMicro())
	}
	return from, until
}

// document looks at what stands once.
func (w *widener) document() {
	if w.old.ID != w.new.ID {
		w.add(PartDocument, "", "it is another agreement, not another version of this one")
	}
	if w.old.Visibility == protocol.Private && w.new.Visibility != protocol.Private {
		w.add(PartDocument, "", "it becomes public")
	}
	from0, until0 := window(w.old)
	from1, until1 := window(w.new)
	if from1 < from0 {
		w.add(PartDocument, "", "it begins earlier, on %s", day(w.new.From))
	}
	if until1 > until0 {
		w.add(PartDocument, "", "it is in force for longer")
	}
	if w.old.Use.After == protocol.UseStops && w.new.Use.After != protocol.UseStops {
		w.add(PartDocument, "", "what is held may be read after the end")
	}
	if c := w.new.Use.Community; c != "" && c != w.old.Use.Community {
		w.add(PartDocument, "", "the community that TLP:GREEN may reach is another")
	}
	if c := w.new.Use.Clients; c != "" && c != w.old.Use.Clients {
		w.add(PartDocument, "", "the clients that TLP:AMBER may reach are others")
	}
	still := make(map[protocol.Cut]bool, len(w.new.Cuts))
	for _, c := range w.new.Cuts {
		still[c] = true
	}
	for _, c := range w.old.Cuts {
		if !still[c] {
			w.add(PartCut, c.Log.String()[:12], "a log that was closed is open again, or closed elsewhere")
		}
	}
}

// newcomers looks at who comes in, and who gets what under another key.
func (w *widener) newcomers() {
	for _, p := range w.new.Parties {
		switch o := w.old.Party(p.ID); {
		case o == nil:
			w.add(PartParty, p.Handle, "%s is new", p.Handle)
		case o.Root != p.Root:
			w.add(PartParty, p.Handle, "%s has another root key: who holds it gets what %s gets", p.Handle, p.Handle)
		case o.Suspended && !p.Suspended:
			w.add(PartParty, p.Handle, "%s is no longer suspended", p.Handle)
		}
	}
	for _, p := range w.old.Parties {
		if p.Suspended && w.new.Party(p.ID) == nil {
			w.add(PartParty, p.Handle, "%s, who was suspended, leaves: what it gave before may be read as that of a former party", p.Handle)
		}
	}
	for _, c := range w.new.Cuts {
		if _, known := w.number[c.Member]; !known && w.new.Party(c.Member) == nil {
			w.add(PartCut, c.Log.String()[:12], "what a member gave that was no party before may be read")
		}
	}
}

// addedTopics looks at topics that come in with something permitted on them.
func (w *widener) addedTopics() {
	for _, t := range w.new.Topics {
		if findTopic(w.old, t.Name) == nil && slices.ContainsFunc(w.new.Clauses, func(c protocol.Clause) bool {
			return c.Permit && (len(c.Topics) == 0 || slices.Contains(c.Topics, t.Name))
		}) {
			w.add(PartTopic, t.Name, "topic %s is new", t.Name)
		}
	}
}

// defaults looks at objects that say nothing themselves: under another default
// other clauses of the new version speak of them.
func (w *widener) defaults() {
	for i, name := range w.topics {
		o, n := findTopic(w.old, name), findTopic(w.new, name)
		marked := n.Default != protocol.NoMarking && o.Default != n.Default
		classed := defaultClass(o) != defaultClass(n)
		if marked && o.Default == protocol.NoMarking {
			w.add(PartTopic, name, "unmarked objects may go on topic %s, as %s", name, n.Default.String())
			continue
		}
		suspended := slices.ContainsFunc(w.new.Parties, func(p protocol.Party) bool { return p.Suspended })
		if marked && suspended && n.Default == protocol.Clear {
			w.add(PartTopic, name, "unmarked objects on topic %s count as TLP:CLEAR, which a suspended party may read", name)
			continue
		}
		if marked && suspended && o.Default == protocol.Clear {
			w.add(PartTopic, name, "unmarked objects on topic %s no longer count as TLP:CLEAR, which a suspended party reads: what is kept off it because of that reader could go to the others", name)
			continue
		}
		if slices.ContainsFunc(w.news, func(s scope) bool {
			if !s.topics.has(i) {
				return false
			}
			before, now := s.marks&(1<<o.Default) != 0, s.marks&(1<<n.Default) != 0
			wasOf, isOf := s.speaksOf(defaultClass(o)), s.speaksOf(defaultClass(n))
			if s.clause.Permit {
				return marked && now && !before || classed && isOf && !wasOf
			}
			return marked && before && !now || classed && wasOf && !isOf
		}) {
			w.add(PartTopic, name, "objects on topic %s that say nothing themselves count as something else, which other clauses speak of", name)
		}
	}
}

func defaultClass(t *protocol.Topic) protocol.Class {
	if t.Class == 0 {
		return protocol.Operational
	}
	return t.Class
}

// speaksOf reports whether the clause speaks of objects of exactly one class.
func (s scope) speaksOf(c protocol.Class) bool {
	return s.classes&c != 0 || (!s.clause.Permit && s.classes == 0)
}

// contributions looks at scores that are easier to reach or last longer.
func (w *widener) contributions() {
	for _, n := range w.new.Scores {
		at := slices.IndexFunc(w.old.Scores, func(o protocol.Contribution) bool { return o.Name == n.Name })
		if at < 0 {
			continue // a clause that asks for it asks for more than before
		}
		o := w.old.Scores[at]
		if n.Objects < o.Objects || n.Signers < o.Signers || !covers(n.Topics, o.Topics) || !covers(n.Types, o.Types) ||
			!narrowerSpan(n.Within, o.Within) || !narrowerSpan(n.Entitles, o.Entitles) || (!n.Grace.IsZero() && (o.Grace.IsZero() || !narrowerSpan(n.Grace, o.Grace))) {
			w.add(PartContribution, n.Name, "contribution %s is easier to reach, or entitles for longer", n.Name)
		}
	}
}

// permissions looks for permits that no permit of the old version covers.
func (w *widener) permissions() {
	from, until := window(w.new)
	for _, n := range w.news {
		if !n.clause.Permit {
			continue
		}
		clipped := n.during(from, until)
		clipped.to = intersection(n.to, w.readers)
		clipped.from = intersection(n.from, w.authors[0])
		if clipped.empty() {
			continue // it speaks of new parties or new topics alone
		}
		covered, same := false, (*scope)(nil)
		for i := range w.olds {
			o := &w.olds[i]
			if !o.clause.Permit {
				continue
			}
			if clipped.within(o) && loosened(n.clause.Then, o.clause.Then) == "" && (o.clause.Survives || !n.clause.Survives) {
				covered = true
				break
			}
			if o.clause.Number == n.clause.Number {
				same = o
			}
		}
		switch {
		case covered:
		case same == nil:
			w.add(PartClause, n.clause.Number, "clause %s permits what no single clause permitted", n.clause.Number)
		default:
			more := clipped.beyond(same)
			if loose := loosened(n.clause.Then, same.clause.Then); loose != "" {
				more = append(more, loose)
			}
			if n.clause.Survives && !same.clause.Survives {
				more = append(more, "survives")
			}
			w.add(PartClause, n.clause.Number, "clause %s permits more than it did (%s)", n.clause.Number, strings.Join(more, ", "))
		}
	}
}

// prohibitions looks for forbids that no forbid of the new version covers, of
// those that still have something to keep back.
func (w *widener) prohibitions() {
	from, until := window(w.new)
	given, got := newSet(len(w.number)), newSet(len(w.number))
	for _, n := range w.news {
		if n.clause.Permit {
			given.union(n.from)
			got.union(n.to)
		}
	}
	for _, o := range w.olds {
		if o.clause.Permit {
			continue
		}
		clipped := o.during(from, until)
		clipped.to = intersection(o.to, intersection(w.readers, got))
		clipped.from = intersection(o.from, intersection(w.authors[1], given))
		if clipped.empty() {
			continue
		}
		if !slices.ContainsFunc(w.news, func(n scope) bool {
			return !n.clause.Permit && clipped.within(&n) && (n.clause.Everywhere || !o.clause.Everywhere)
		}) {
			w.add(PartClause, o.clause.Number, "what clause %s forbade is no longer forbidden by a single clause", o.clause.Number)
		}
	}
}

// obligations looks for permits with obligations that are gone or looser while
// another permit lets the same flow without them: all obligations of the permits
// that speak of an object hold together.
func (w *widener) obligations() {
	from, until := window(w.new)
	for _, o := range w.olds {
		if !o.clause.Permit || o.clause.Then == nil {
			continue
		}
		kept, meets := false, false
		limited := o.during(from, until)
		limited.to, limited.from = intersection(o.to, w.readers), intersection(o.from, w.authors[1])
		for _, n := range w.news {
			if !n.clause.Permit {
				continue
			}
			kept = kept || (limited.within(&n) && loosened(n.clause.Then, o.clause.Then) == "")
			meets = meets || limited.overlaps(&n)
		}
		if meets && !kept {
			w.add(PartClause, o.clause.Number, "what clause %s asked of those who get it is asked no longer, or not of all", o.clause.Number)
		}
	}
}

// departures looks for readers that leave a topic. What is kept off the topic
// today because they may not have it can go to the others then.
func (w *widener) departures() {
	from, until := window(w.new)
	everyone := newSet(len(w.number))
	for i := range len(w.number) {
		everyone.add(i)
	}
	for i, name := range w.topics {
		read, still, blocked := newSet(len(w.number)), newSet(len(w.number)), newSet(len(w.number))
		for _, o := range w.olds {
			switch {
			case !o.topics.has(i):
			case o.clause.Permit:
				read.union(o.to)
				without := slices.Clone(everyone)
				without.subtract(o.to)
				blocked.union(without)
			default:
				blocked.union(o.to)
			}
		}
		always := slices.Clone(everyone) // reads whenever anyone does
		for _, n := range w.news {
			if !n.topics.has(i) || !n.clause.Permit {
				continue
			}
			if n.clause.If.Contribution != "" {
				always = newSet(len(w.number)) // who is entitled changes
				continue
			}
			always.intersect(n.to)
			if n.starts <= from && n.ends >= until {
				still.union(n.to)
			}
		}
		still.union(always)
		for _, n := range w.news {
			if n.topics.has(i) && n.shutsOut() {
				still.subtract(n.to)
			}
		}
		if w.sameReaders(i) {
			still.union(everyone)
		}
		still.subtract(w.silenced())
		read.subtract(still)
		read.intersect(blocked)
		if gone := w.handles(read); len(gone) > 0 {
			w.add(PartTopic, name, "%s no longer reads topic %s, or not always: what is kept off it because of that reader could go to the others", strings.Join(gone, ", "), name)
		}
	}
}

// silenced returns who reads nothing under the new version, and did before.
func (w *widener) silenced() set {
	out := newSet(len(w.number))
	if w.new.Visibility != protocol.Public {
		out.add(0)
	}
	for i := 1; i < len(w.number); i++ {
		o, n := w.parties[0][i], w.parties[1][i]
		if n == nil || n.Suspended && (o == nil || !o.Suspended) {
			out.add(i)
		}
	}
	return out
}

// sameReaders reports whether, of those who can read under both versions, the
// same read a topic at all times.
func (w *widener) sameReaders(topic int) bool {
	say := func(scopes []scope) []string {
		var out []string
		for _, s := range scopes {
			if s.topics.has(topic) && (s.clause.Permit || s.shutsOut()) {
				out = append(out, fmt.Sprint(s.clause.Permit, intersection(s.to, w.readers), s.starts, s.ends, s.clause.If.Contribution))
			}
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	return slices.Equal(say(w.olds), say(w.news))
}

// handles names members of a set, as the old version does, sorted.
func (w *widener) handles(s set) []string {
	var out []string
	for i := s.next(0); i >= 0; i = s.next(i + 1) {
		if i == 0 {
			out = append(out, "the public")
		} else if p := w.parties[0][i]; p != nil {
			out = append(out, p.Handle)
		}
	}
	slices.Sort(out)
	return out
}
