package policy

import (
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"entente/protocol"
)

// class is the answer for all objects that the clauses of a topic cannot tell
// apart, for as long as no date changes it. It is immutable.
type class struct {
	key         uint64 // of the facets, and of the voice that asked
	from, until int64  // microseconds: valid at from <= now < until
	verdict     Verdict
	narrowed    *Verdict // for what this member gives, under its local rules; nil: the same
	mine        uint16   // number of what local rules say to this member; zero: nothing
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
// first publishes, with places for each column of types and each marking. Where
// the clauses read more of an object than that, a class has several places, up to
// a bound, and the key of its facets says which; two that share one drive each
// other out. So the cache is bounded by the document, needs no hash and no lock,
// and two that write the same class write the same answer.
type cache struct {
	rows    []atomic.Pointer[[]atomic.Pointer[class]]
	columns int
	places  uint64 // for each column and marking
}

// mostPlaces bounds the places of a row, beyond one for each column and marking.
const mostPlaces = 2048

func newCache(authors, columns int, kinds uint64) cache {
	places := min(kinds, max(1, mostPlaces/uint64(columns*levels)))
	return cache{rows: make([]atomic.Pointer[[]atomic.Pointer[class]], authors), columns: columns, places: places}
}

// place returns where the class of a question is kept.
func (c *cache) place(q *question) *atomic.Pointer[class] {
	row := c.rows[q.author].Load()
	if row == nil {
		made := make([]atomic.Pointer[class], uint64(c.columns*levels)*c.places)
		if c.rows[q.author].CompareAndSwap(nil, &made) {
			row = &made
		} else {
			row = c.rows[q.author].Load()
		}
	}
	place := uint64(q.column*levels + int(q.marked) - 1)
	if c.places > 1 {
		place = place*c.places + q.key%c.places
	}
	return &(*row)[place]
}

// audience is a list of readers with the set that it was made from.
type audience struct {
	set  set
	list []protocol.MemberID
}

// classOf returns the class of a question, from the cache where it is known.
func (r *Rules) classOf(t *topic, q *question) *class {
	place := t.cache.place(q)
	if c := place.Load(); c != nil && c.key == q.key && c.from <= q.now && q.now < c.until {
		return c
	}
	c := r.evaluate(t, q)
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
func (r *Rules) evaluate(t *topic, q *question) *class {
	p := r.presentAt(t, q.now)
	c := &class{key: q.key, from: p.from, until: p.until}
	d := r.decision(q.marked, c.until)
	readers := slices.Clone(p.reading)
	if q.author < len(r.readers) {
		readers.remove(q.author)
	}
	if q.marked > protocol.Clear {
		readers.subtract(p.suspended)
	}
	if d.Outcome, d.Text = floorTopic(r.agreement.Visibility, q.marked); d.Outcome != Allow {
		d.Layer = Floor
		c.verdict.Decision = d
		if d.Outcome == Withhold {
			c.verdict.Readers = r.list(t, nil, q.author)
			c.verdict.Denied = r.denyAll(readers, d)
		}
		return c
	}
	d.Layer = Governing
	if d.Text = r.standing(q.now); d.Text != "" && !q.over {
		d.Outcome = Refuse
		c.verdict.Decision = d
		return c
	}
	r.askClauses(c, t, q, p, readers)
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

// live reports whether the clause speaks at a moment.
func (c *clause) live(now int64) bool { return c.starts <= now && now < c.ends }

// question is what is asked, in the numbers of its topic.
type question struct {
	author     int // number of the party; past the last: a former party
	column     int
	marked     protocol.Marking
	pap        protocol.PAP
	context    bool
	dated      bool // modified is known
	over       bool // the agreement is over: a holder asks for its own use
	confidence uint8
	classes    protocol.Class
	purpose    uint16 // the bit of the purpose that counts
	voice      uint64
	key        uint64
	now        int64
	modified   time.Time
	months     int // whole months since it was modified, where a clause asks
}

// askClauses decides for every party by the clauses: a suspended one has nothing,
// a forbidding one that speaks of it beats all, else a permitting one is needed.
func (r *Rules) askClauses(c *class, t *topic, q *question, p *present, readers set) {
	n := len(r.readers)
	base := r.decision(q.marked, c.until)
	base.Layer = Governing
	a := answers{c: c, base: base, decided: newSet(n), may: newSet(n)}
	c.of = make([]uint16, n)
	c.decisions = make([]Decision, 1, 4)
	if q.marked > protocol.Clear {
		for i := p.suspended.next(0); i >= 0; i = p.suspended.next(i + 1) {
			a.settleOne(i, r.suspended(i, q.now))
		}
	}
	typ := t.columns[q.column]
	for _, cl := range t.forbids {
		if cl.speaks(q, typ, n) {
			a.settle(cl, cl.to, Withhold)
		}
	}
	var unserved []*clause // they permit for other purposes
	obliged := false
	for _, cl := range t.permits {
		switch {
		case !cl.speaks(q, typ, n):
		case cl.serves(q):
			a.settle(cl, cl.names(p), Allow)
			obliged = obliged || cl.source.Then != nil
		case !q.over || cl.source.Survives:
			unserved = append(unserved, cl)
		}
	}
	if unserved != nil {
		r.wantPurpose(&a, unserved, p)
	}
	if obliged {
		r.oblige(&a, t, q, p)
	}
	c.decisions[0] = base
	c.decisions[0].Outcome, c.decisions[0].Text = Withhold, r.lack(t, q)
	if q.over {
		c.decisions[0].Outcome = Refuse
	}
	if q.author < n {
		own := base
		own.Outcome, own.Layer, own.Text = Allow, Floor, textOwn
		c.of[q.author] = uint16(len(c.decisions))
		c.decisions = append(c.decisions, own)
	}
	if len(t.local) == 0 {
		r.conclude(c, t, q, readers, a.may)
		return
	}
	may := slices.Clone(a.may)
	r.conclude(c, t, q, readers, a.may)
	r.askLocal(&a, t, q, readers, may)
}

// answers are the decisions of a class while they are made.
type answers struct {
	c       *class
	base    Decision
	decided set // for whom something decided
	may     set // whom something permits
}

// settle decides by a clause for all whom nothing decided yet.
func (a *answers) settle(cl *clause, to set, outcome Outcome) {
	number := 0
	for w, named := range to {
		fresh := named &^ a.decided[w]
		if fresh == 0 {
			continue
		}
		if number == 0 {
			d := a.base
			d.Outcome, d.Clause, d.Text = outcome, cl.source.Number, cl.source.Text
			number = a.add(d)
		}
		a.decided[w] |= fresh
		if outcome == Allow {
			a.may[w] |= fresh
		}
		for ; fresh != 0; fresh &= fresh - 1 {
			a.c.of[w<<6+bits.TrailingZeros64(fresh)] = uint16(number)
		}
	}
}

// settleOne withholds from one reader for a reason that is no clause.
func (a *answers) settleOne(reader int, text string) {
	d := a.base
	d.Outcome, d.Text = Withhold, text
	a.decided.add(reader)
	a.c.of[reader] = uint16(a.add(d))
}

func (a *answers) add(d Decision) int {
	a.c.decisions = append(a.c.decisions, d)
	return len(a.c.decisions) - 1
}

// wantPurpose withholds from those who would be permitted if they stated another
// purpose, and says which would do.
func (r *Rules) wantPurpose(a *answers, unserved []*clause, p *present) {
	open := newSet(len(r.readers))
	named := make([]set, len(unserved))
	for i, cl := range unserved {
		named[i] = cl.names(p)
		open.union(named[i])
	}
	open.subtract(a.decided)
	numbers := map[uint16]uint16{}
	for i := open.next(0); i >= 0; i = open.next(i + 1) {
		purposes := uint16(0)
		for k, cl := range unserved {
			if named[k].has(i) {
				purposes |= cl.purposes
			}
		}
		number, ok := numbers[purposes]
		if !ok {
			d := a.base
			d.Outcome, d.Text = Withhold, textPurpose+purposeWords(purposes, " or ")
			number = uint16(a.add(d))
			numbers[purposes] = number
		}
		a.c.of[i] = number
	}
}

// purposeWords lists purposes given as bits.
func purposeWords(purposes uint16, between string) string {
	var list []string
	for i, w := range protocol.Purposes() {
		if purposes&(1<<i) != 0 {
			list = append(list, w)
		}
	}
	return strings.Join(list, between)
}

// lack is the text where no clause permits. It names only what tells classes
// apart: the same text serves every object of the class.
func (r *Rules) lack(t *topic, q *question) string {
	if q.over {
		return r.standing(q.now) + ", and no clause that survives permits this reader to go on using it"
	}
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
	return "no clause permits " + what + q.marked.String() + " from " + author + " on topic " + t.name + " to this reader" + t.also(q)
}

// conclude turns the decisions for each reader into the verdict for the topic.
func (r *Rules) conclude(c *class, t *topic, q *question, readers, may set) {
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
		for i := may.next(first + 1); i >= 0; i = may.next(i + 1) {
			c.verdict.Duties = r.duties.join(c.verdict.Duties, c.decisions[c.of[i]].Duties)
		}
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
