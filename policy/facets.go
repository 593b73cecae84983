package policy

import (
	"math"
	"math/bits"
	"slices"
	"sort"
	"strings"
	"time"

	"entente/protocol"
)

// facets are what the clauses of one topic read of an object beside its author,
// type and marking, and of whoever reads it. Each facet is cut into buckets at
// the values that the clauses name, so that there are no more classes than the
// document can tell apart, whatever peers send; one that no clause reads has a
// single bucket.
type facets struct {
	classes  *[classSets]uint16 // bucket of each set of classes; nil: all are one
	paps     [protocol.PAPRed + 1]uint8
	context  bool
	levels   []uint8 // of confidence, sorted
	spans    []int64 // ages in microseconds, sorted
	months   []int   // ages in months, sorted
	purposes uint16  // those that some clause names
	survives bool    // some clause goes on after the end
	size     struct{ classes, paps uint64 }
}

// classSets counts the sets of the classes that are known, and of the one that
// stands for all others.
const classSets = 1 << 9

// placeOf returns the place of a set of classes.
func placeOf(c protocol.Class) int {
	place := int(c & allClasses)
	if c&^allClasses != 0 {
		place |= classSets >> 1
	}
	return place
}

// classesOf returns the classes of an object: those that it declares, else the
// standard ones of its topic, and those that it has by its nature. All that are
// not known are one.
func classesOf(s *Subject, standard protocol.Class) protocol.Class {
	c := s.Classes
	if c == 0 {
		c = standard
	}
	if c |= s.Inherent; c&^allClasses != 0 {
		c = c&allClasses | protocol.UnknownClass
	}
	return c
}

// exceptions returns what local clauses spare.
func exceptions(local []*clause) (list []*clause) {
	for _, c := range local {
		if c.unless != nil {
			list = append(list, c.unless)
		}
	}
	return list
}

// facetsOf reads what the clauses of a topic ask.
func facetsOf(lists ...[]*clause) facets {
	var f facets
	var within, among []protocol.Class // what permits and forbids name
	paps := [protocol.PAPRed + 1]bool{}
	for _, list := range lists {
		for _, c := range list {
			ask := &c.source.If
			switch {
			case c.source.Permit && !slices.Contains(within, c.classes):
				within = append(within, c.classes)
			case !c.source.Permit && ask.Classes != 0 && !slices.Contains(among, c.classes):
				among = append(among, c.classes)
			}
			paps[ask.PAP] = true
			f.context = f.context || ask.Context
			if ask.Confidence > 0 {
				f.levels = append(f.levels, uint8(ask.Confidence))
			}
			if c.span > 0 {
				f.spans = append(f.spans, c.span)
			}
			if c.months > 0 {
				f.months = append(f.months, c.months)
			}
			f.purposes |= c.purposes
			f.survives = f.survives || c.source.Survives
		}
	}
	slices.Sort(f.levels)
	slices.Sort(f.spans)
	slices.Sort(f.months)
	f.levels, f.spans, f.months = slices.Compact(f.levels), slices.Compact(f.spans), slices.Compact(f.months)
	bucket := uint8(0)
	for level := protocol.PAPClear; level <= protocol.PAPRed; level++ {
		f.paps[level] = bucket
		if paps[level] && level < protocol.PAPRed {
			bucket++
		}
	}
	f.size.paps = uint64(bucket) + 1
	f.divide(within, among)
	return f
}

// divide numbers the sets of classes, those alike that no clause tells apart.
func (f *facets) divide(within, among []protocol.Class) {
	f.size.classes = 1
	if len(within)+len(among) == 0 {
		return
	}
	f.classes = new([classSets]uint16)
	known := map[string]uint16{}
	sign := make([]byte, 0, len(within)+len(among))
	for place := range classSets {
		c := protocol.Class(place) & allClasses
		if place >= classSets>>1 {
			c |= protocol.UnknownClass
		}
		sign = sign[:0]
		for _, w := range within {
			sign = append(sign, "-+"[min(1, c&^w)])
		}
		for _, w := range among {
			sign = append(sign, "-+"[min(1, c&w)])
		}
		number, ok := known[string(sign)]
		if !ok {
			number = uint16(len(known))
			known[string(sign)] = number
		}
		f.classes[place] = number
	}
	f.size.classes = uint64(len(known))
}

// The voices in which a question is put: for a party's node, which carries the
// object and asks its people itself; for people who state no purpose; and for
// people who state one, by its place in protocol.Purposes.
const (
	carriage = 0
	silent   = 1
	stated   = 2
)

// voices returns how many voices the clauses tell apart.
func (f *facets) voices() uint64 {
	if f.purposes == 0 && !f.survives {
		return 1
	}
	return stated + uint64(bits.OnesCount16(f.purposes))
}

// voice returns the voice of people who state a purpose, or none.
func (f *facets) voice(purpose string) uint64 {
	if f.purposes == 0 || purpose == "" {
		return min(silent, f.voices()-1)
	}
	place := slices.Index(protocol.Purposes(), purpose)
	if place < 0 || f.purposes&(1<<place) == 0 {
		return silent
	}
	return stated + uint64(bits.OnesCount16(f.purposes&(1<<place-1)))
}

// purpose returns the purpose of a voice as a bit; zero where none counts.
func (f *facets) purpose(voice uint64) uint16 {
	if voice < stated {
		return 0
	}
	rest := f.purposes
	for range voice - stated {
		rest &= rest - 1
	}
	return rest & -rest
}

// kinds returns how many keys there are.
func (f *facets) kinds() uint64 {
	n := f.size.classes * f.size.paps * uint64(len(f.levels)+1) * uint64(len(f.spans)+1) * uint64(len(f.months)+1) * f.voices()
	if f.context {
		n *= 2
	}
	return n
}

// key returns which bucket of each facet an object is in at a moment, in the
// voice of carriage, and the next moment at which its age takes it to another.
func (f *facets) key(q *question) (key uint64, next int64) {
	next = math.MaxInt64
	if f.classes != nil {
		key = uint64(f.classes[placeOf(q.classes)])
	}
	key = key*f.size.paps + uint64(f.paps[q.pap])
	if f.context {
		key *= 2
		if q.context {
			key++
		}
	}
	if len(f.levels) > 0 {
		met := 0
		for met < len(f.levels) && f.levels[met] <= q.confidence {
			met++
		}
		key = key*uint64(len(f.levels)+1) + uint64(met)
	}
	if len(f.spans)+len(f.months) > 0 {
		spans, months := len(f.spans), len(f.months)
		if q.dated {
			at := q.modified.UnixMicro()
			spans = sort.Search(spans, func(i int) bool { return q.now < at+f.spans[i] })
			q.months = monthsBetween(q.modified, q.now)
			months = sort.SearchInts(f.months, q.months+1)
			if spans < len(f.spans) {
				next = at + f.spans[spans]
			}
			if months < len(f.months) {
				next = min(next, monthsAfter(q.modified, f.months[months]))
			}
		}
		key = (key*uint64(len(f.spans)+1)+uint64(spans))*uint64(len(f.months)+1) + uint64(months)
	}
	return key * f.voices(), next
}

// monthsAfter returns the moment so many months of the calendar after another, as
// Period.After does: a day that the month does not have is the last of it.
func monthsAfter(t time.Time, n int) int64 {
	const daily = 24 * 3600 * int64(1e6)
	year, month, day := t.UTC().Date()
	first := time.Date(year, month+time.Month(n), 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	if day > 28 { // the month may be shorter
		last := time.Date(year, month+time.Month(n)+1, 0, 0, 0, 0, 0, time.UTC).Day()
		day = min(day, last)
	}
	at := t.UnixMicro() % daily
	if at < 0 {
		at += daily
	}
	return first + int64(day-1)*daily + at
}

// monthsBetween returns the most months after a moment that are not after now;
// below zero where now is before it.
func monthsBetween(t time.Time, now int64) int {
	end := time.UnixMicro(now).UTC()
	year, month, _ := t.UTC().Date()
	n := (end.Year()-year)*12 + int(end.Month()-month)
	if monthsAfter(t, n) > now {
		n--
	}
	return n
}

// speaks reports whether the clause speaks of the question, whoever reads and for
// whatever purpose.
func (c *clause) speaks(q *question, typ, parties int) bool {
	if c.marks&(1<<q.marked) == 0 || !c.live(q.now) || (c.types != nil && !c.types.has(typ)) || !c.fits(q) {
		return false
	}
	if q.author >= parties {
		return c.bare
	}
	return c.from.has(q.author)
}

// fits reports whether the conditions hold that the clause puts to the object.
func (c *clause) fits(q *question) bool {
	ask := &c.source.If
	switch {
	case c.source.Permit && q.classes&^c.classes != 0, !c.source.Permit && q.classes&c.classes == 0:
		return false
	case ask.PAP != protocol.NoPAP && q.pap > ask.PAP, ask.Context && !q.context, int(q.confidence) < ask.Confidence:
		return false
	}
	return c.recent(q)
}

// recent reports whether the object is no older than the clause asks.
func (c *clause) recent(q *question) bool {
	switch {
	case c.span == 0 && c.months == 0:
		return true
	case !q.dated:
		return false
	case c.span > 0:
		return q.now < q.modified.UnixMicro()+c.span
	default:
		return q.months < c.months
	}
}

// serves reports whether the clause counts for those who ask. People must state
// one of its purposes, where it has any; carriage needs none.
func (c *clause) serves(q *question) bool {
	return (c.purposes == 0 || q.voice == carriage || c.purposes&q.purpose != 0) && (!q.over || c.source.Survives)
}

// also says for a refusal what else the clauses ask of objects, as far as this
// class does not meet it.
func (t *topic) also(q *question) string {
	f := t.said
	var list []string
	say := func(asked bool, what string) {
		if asked {
			list = append(list, what)
		}
	}
	say(f.classes != nil && f.classes[placeOf(q.classes)] != f.classes[placeOf(t.class)], "its subject class")
	say(f.paps[q.pap] > 0, "its PAP level")
	say(f.context && !q.context, "its lack of context")
	say(len(f.levels) > 0 && q.confidence < f.levels[len(f.levels)-1], "its confidence")
	say(len(f.spans) > 0 && (!q.dated || q.now >= q.modified.UnixMicro()+f.spans[0]) ||
		len(f.months) > 0 && (!q.dated || q.months >= f.months[0]), "its age")
	if list == nil {
		return ""
	}
	return " (look at " + strings.Join(list, ", ") + ")"
}
