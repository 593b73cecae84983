package cases

import (
	"math/bits"
	"reflect"
	"slices"
	"time"

	"entente/protocol"
)

// set is a set of parties by their place in the document from 1; 0 is the public.
type set []uint64

func (s set) add(i int)      { s[i>>6] |= 1 << (i & 63) }
func (s set) remove(i int)   { s[i>>6] &^= 1 << (i & 63) }
func (s set) has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }

func (s set) count() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// first returns the lowest member, or -1.
func (s set) first() int {
	for i, w := range s {
		if w != 0 {
			return i<<6 + bits.TrailingZeros64(w)
		}
	}
	return -1
}

// within reports whether all of s is in t.
func (s set) within(t set) bool {
	for i, w := range s {
		if w&^t[i] != 0 {
			return false
		}
	}
	return true
}

// reach is what a clause can decide, with the parties that there are.
type reach struct {
	from, to set
	pairs    bool // somebody gives to somebody else
	bare     bool // from has no condition, so it also speaks of former parties
	marks    uint8
	starts   time.Time
	ends     time.Time
}

// reachOf works out the reach of a clause.
func (v *adviser) reachOf(c *protocol.Clause) reach {
	a := v.of
	r := reach{from: v.choose(c.From), to: v.choose(c.To), marks: marksOf(a, c), starts: c.Starts, ends: c.Ends}
	r.bare = reflect.ValueOf(c.From).IsZero()
	if c.To.Public {
		if !c.Permit {
			clear(r.to)
		}
		r.to.add(0)
	}
	// Nobody is asked about what is its own.
	if r.from.count() == 1 && !(r.bare && v.former) {
		r.to.remove(r.from.first())
	}
	if r.to.count() == 1 && r.from.count() > 1 {
		r.from.remove(r.to.first())
	}
	r.pairs = r.to.count() > 0 && (r.from.count() > 0 || r.bare && v.former)
	if r.starts.Before(a.From) {
		r.starts = a.From
	}
	if !c.Survives && (r.ends.IsZero() || r.ends.After(v.over)) {
		r.ends = v.over
	}
	return r
}

// choose returns the parties whom a choice names.
func (v *adviser) choose(s protocol.Selector) set {
	out := make(set, (len(v.of.Parties)+64)/64)
	has := func(list []string, words ...string) bool {
		return len(list) == 0 || slices.ContainsFunc(words, func(w string) bool { return slices.Contains(list, w) })
	}
	for i, p := range v.of.Parties {
		if has(s.Parties, p.Handle) && has(s.Kinds, p.Kind) && has(s.Countries, p.Country) && has(s.Roles, p.Roles...) {
			out.add(i + 1)
		}
	}
	return out
}

// marksOf returns the markings that a clause can decide about, as bits: RED
// never goes on a topic, and nothing but CLEAR on those of a public agreement.
func marksOf(a *protocol.Agreement, c *protocol.Clause) uint8 {
	most := protocol.AmberStrict
	if a.Visibility == protocol.Public {
		most = protocol.Clear
	}
	if c.Max != protocol.NoMarking {
		most = min(most, c.Max)
	}
	var out uint8
	for m := protocol.Clear; m <= most; m++ {
		if len(c.Marks) == 0 || slices.Contains(c.Marks, m) {
			out |= 1 << m
		}
	}
	return out
}

// covers reports whether clause w speaks whenever clause n does, and is heeded
// first (see beater), so that n never decides.
func (v *adviser) covers(w, n int) bool {
	wide, narrow := &v.of.Clauses[w], &v.of.Clauses[n]
	x, y := &v.reach[w], &v.reach[n]
	switch {
	case y.marks&^x.marks != 0, !y.from.within(x.from), !y.to.within(x.to), y.bare && !x.bare && v.former,
		x.starts.After(y.starts), !x.ends.IsZero() && (y.ends.IsZero() || x.ends.Before(y.ends)),
		!wider(wide.Topics, v.topicsOf(narrow)), !wider(wide.Types, narrow.Types), !widerTerms(wide, narrow):
		return false
	case wide.Permit != narrow.Permit:
		return true
	case wide.Permit: // the obligations of all that permit hold, so one that has some is never idle
		return narrow.Then == nil && (wide.Survives || !narrow.Survives)
	}
	return wide.Everywhere || !narrow.Everywhere
}

// topicsOf returns the names of the topics that a clause speaks of.
func (v *adviser) topicsOf(c *protocol.Clause) []string {
	if len(c.Topics) > 0 {
		return c.Topics
	}
	return v.all
}

// wider reports whether one list of words restricts no more than another.
func wider(wide, narrow []string) bool {
	return len(wide) == 0 || len(narrow) > 0 && !slices.ContainsFunc(narrow, func(w string) bool { return !slices.Contains(wide, w) })
}

// widerTerms reports whether the conditions of one clause hold whenever those of
// another do.
func widerTerms(wide, narrow *protocol.Clause) bool {
	w, n := wide.If, narrow.If
	return widerClasses(wide, narrow) &&
		(w.PAP == protocol.NoPAP || n.PAP != protocol.NoPAP && n.PAP <= w.PAP) &&
		wider(w.Purposes, n.Purposes) && (!w.Context || n.Context) && w.Confidence <= n.Confidence &&
		(w.Age.IsZero() || w.Age == n.Age) && (w.Contribution == "" || w.Contribution == n.Contribution)
}

// widerClasses does that for subject classes: a clause that permits speaks of
// objects all of whose classes it names, one that forbids of those of which it
// names one.
func widerClasses(wide, narrow *protocol.Clause) bool {
	permitted := func(c *protocol.Clause) protocol.Class {
		if c.Permit && c.If.Classes == 0 {
			return protocol.Operational
		}
		return c.If.Classes
	}
	w, n := permitted(wide), permitted(narrow)
	if !wide.Permit && w == 0 {
		return true
	}
	return n != 0 && n&^w == 0
}
