package policy

import (
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"

	"entente/protocol"
)

// class is the answer for all objects that the clauses of a topic cannot tell
// apart, for as long as no date changes it. It is immutable.
type class struct {
	from, until int64 // microseconds: valid at from <= now < until
	verdict     Verdict
	of          []uint16 // for each reader, the number of its decision; nil: the verdict's for all
	decisions   []Decision
}

// reader returns the decision for one reader.
func (c *class) reader(i int) Decision {
	if c.of == nil {
		return c.verdict.Decision
	}
	return c.decisions[c.of[i]]
}

// cache holds the classes of one topic: a row for each author, made when it
// first publishes, with a place for each column of types and each marking. So
// it is bounded by the document, needs no hash and no lock, and two that write
// the same place write the same answer.
type cache struct {
	rows    []atomic.Pointer[[]atomic.Pointer[class]]
	columns int
}

func newCache(authors, columns int) cache {
	return cache{rows: make([]atomic.Pointer[[]atomic.Pointer[class]], authors), columns: columns}
}

// place returns where the class of an author, column and marking is kept.
func (c *cache) place(author, column int, m protocol.Marking) *atomic.Pointer[class] {
	row := c.rows[author].Load()
	if row == nil {
		made := make([]atomic.Pointer[class], c.columns*levels)
		if c.rows[author].CompareAndSwap(nil, &made) {
			row = &made
		} else {
			row = c.rows[author].Load()
		}
	}
	return &(*row)[column*levels+int(m)-1]
}

// audience is a list of readers with the set that it was made from.
type audience struct {
	set  set
	list []protocol.MemberID
}

// classOf returns the class of a question at a moment, from the cache where it
// is known. m is a marking from Clear to Red.
func (r *Rules) classOf(t *topic, author, column int, m protocol.Marking, now int64) *class {
	place := t.cache.place(author, column, m)
	if c := place.Load(); c != nil && c.from <= now && now < c.until {
		return c
	}
	c := r.evaluate(t, author, column, m, now)
	place.Store(c)
	return c
}

// window returns the span around now in which no date of the topic lies.
func (t *topic) window(now int64) (from, until int64) {
	i, found := slices.BinarySearch(t.moments, now)
	if found {
		i++
	}
	from, until = math.MinInt64, math.MaxInt64
	if i > 0 {
		from = t.moments[i-1]
	}
	if i < len(t.moments) {
		until = t.moments[i]
	}
	return from, until
}

// evaluate decides a class anew, layer by layer.
func (r *Rules) evaluate(t *topic, author, column int, m protocol.Marking, now int64) *class {
	c := &class{}
	c.from, c.until = t.window(now)
	d := r.decision(m, c.until)
	readers := t.reading(now, r.everyone)
	if author < len(r.readers) {
		readers.remove(author)
	}
	if d.Outcome, d.Text = floorTopic(r.agreement.Visibility, m); d.Outcome != Allow {
		d.Layer = Floor
		c.verdict.Decision = d
		if d.Outcome == Withhold {
			c.verdict.Readers = r.list(t, nil, author)
			c.verdict.Denied = r.denyAll(readers, d)
		}
		return c
	}
	d.Layer = Governing
	if d.Text = r.standing(now); d.Text != "" {
		d.Outcome = Refuse
		c.verdict.Decision = d
		return c
	}
	r.askClauses(c, t, question{author, column, m, now}, readers)
	return c
}

// decision returns a decision to be filled in.
func (r *Rules) decision(m protocol.Marking, until int64) Decision {
	d := Decision{Agreement: r.agreement.ID, Version: r.agreement.Version, Marking: m}
	if until != math.MaxInt64 {
		d.Expires = time.UnixMicro(until).UTC()
	}
	return d
}

// standing says why the agreement is not in force, or "".
func (r *Rules) standing(now int64) string {
	switch {
	case now < r.from:
		return "the agreement is in force only from " + day(r.agreement.From)
	case now >= r.until:
		return "the agreement ended on " + day(r.agreement.Until)
	case now >= r.basis:
		return "the legal basis of the agreement lapsed on " + day(r.agreement.LegalBasis.Until)
	default:
		return ""
	}
}

// live reports whether the clause speaks at a moment.
func (c *clause) live(now int64) bool { return c.starts <= now && now < c.ends }

// question is what a class is about, in the numbers of its topic.
type question struct {
	author int // number of the party; past the last: a former party
	column int
	marked protocol.Marking
	now    int64
}

// asks reports whether the clause speaks of the question, whoever reads.
func (c *clause) asks(q question, typ, parties int) bool {
	if c.marks&(1<<q.marked) == 0 || !c.live(q.now) || (c.types != nil && !c.types.has(typ)) {
		return false
	}
	if q.author >= parties {
		return c.bare
	}
	return c.from.has(q.author)
}

// reading returns who reads the topic at a moment: whom some permitting clause
// names and no clause shuts out altogether.
func (t *topic) reading(now int64, everyone set) set {
	s := make(set, len(everyone))
	for _, c := range t.permits {
		if c.live(now) {
			s.union(c.to)
		}
	}
	for _, c := range t.forbids {
		if c.live(now) && c.bare && c.types == nil && c.marks == anyTLP {
			s.subtract(c.to)
		}
	}
	s.intersect(everyone)
	return s
}

// askClauses decides for every party by the clauses: a forbidding one that
// speaks of it beats all, else a permitting one is needed.
func (r *Rules) askClauses(c *class, t *topic, q question, readers set) {
	n := len(r.readers)
	c.of = make([]uint16, n)
	typ := t.columns[q.column]
	base := r.decision(q.marked, c.until)
	base.Layer = Governing
	decided, may := newSet(n), newSet(n)
	c.decisions = make([]Decision, 1, 4)
	settle := func(cl *clause, outcome Outcome) {
		number := 0
		for w, to := range cl.to {
			fresh := to &^ decided[w]
			if fresh == 0 {
				continue
			}
			if number == 0 {
				d := base
				d.Outcome, d.Clause, d.Text = outcome, cl.source.Number, cl.source.Text
				number = len(c.decisions)
				c.decisions = append(c.decisions, d)
			}
			decided[w] |= fresh
			if outcome == Allow {
				may[w] |= fresh
			}
			for ; fresh != 0; fresh &= fresh - 1 {
				c.of[w<<6+bits.TrailingZeros64(fresh)] = uint16(number)
			}
		}
	}
	for _, cl := range t.forbids {
		if cl.asks(q, typ, n) {
			settle(cl, Withhold)
		}
	}
	for _, cl := range t.permits {
		if cl.asks(q, typ, n) {
			settle(cl, Allow)
		}
	}
	c.decisions[0] = base
	c.decisions[0].Outcome, c.decisions[0].Text = Withhold, r.lack(t, q)
	if q.author < n {
		own := base
		own.Outcome, own.Layer, own.Text = Allow, Floor, textOwn
		c.of[q.author] = uint16(len(c.decisions))
		c.decisions = append(c.decisions, own)
	}
	r.conclude(c, t, q, readers, may)
}

// lack is the text where no clause permits. It names only what tells classes
// apart: the same text serves every object of the class.
func (r *Rules) lack(t *topic, q question) string {
	author := "a former party"
	if q.author < len(r.readers) {
		author = r.readers[q.author].Handle
	}
	what := ""
	if q.column > 0 {
		for typ, column := range t.types {
			if column == q.column {
				what = typ + " at "
			}
		}
	}
	return "no clause permits " + what + q.marked.String() + " from " + author + " on topic " + t.name + " to this reader"
}

// conclude turns the decisions for each reader into the verdict for the topic.
func (r *Rules) conclude(c *class, t *topic, q question, readers, may set) {
	may.intersect(readers)
	denied := slices.Clone(readers)
	denied.subtract(may)
	if denied.count() == 0 {
		first := may.next(0)
		if first < 0 {
			c.verdict.Decision = r.decision(q.marked, c.until)
			c.verdict.Layer, c.verdict.Text = Governing, textNobody
			return
		}
		c.verdict.Decision = c.decisions[c.of[first]]
		c.verdict.Readers = r.list(t, may, q.author)
		return
	}
	first := 0
	c.verdict.Denied = make([]Denial, 0, denied.count())
	for i := denied.next(0); i >= 0; i = denied.next(i + 1) {
		number := int(c.of[i])
		if number != 0 && (first == 0 || number < first) {
			first = number
		}
		c.verdict.Denied = append(c.verdict.Denied, Denial{Reader: r.readers[i].ID, Decision: c.decisions[number]})
	}
	c.verdict.Decision = c.decisions[first]
	if may.next(0) < 0 {
		c.verdict.Outcome = Refuse
		return
	}
	c.verdict.Readers = r.list(t, may, q.author)
}

// denyAll denies all readers of a topic for one reason.
func (r *Rules) denyAll(readers set, d Decision) []Denial {
	denied := make([]Denial, 0, readers.count())
	for i := readers.next(0); i >= 0; i = readers.next(i + 1) {
		denied = append(denied, Denial{Reader: r.readers[i].ID, Decision: d})
	}
	return denied
}

// list returns the ids of a set and the author, sorted. Most classes of a topic
// have the same readers, and share the list.
func (r *Rules) list(t *topic, of set, author int) []protocol.MemberID {
	s := newSet(len(r.readers))
	s.union(of)
	if author < len(r.readers) {
		s.add(author)
	}
	if a := t.shared.Load(); a != nil && slices.Equal(a.set, s) {
		return a.list
	}
	list := make([]protocol.MemberID, 0, s.count())
	for i := s.next(0); i >= 0; i = s.next(i + 1) {
		list = append(list, r.readers[i].ID)
	}
	t.shared.Store(&audience{s, list})
	return list
}
