package policy

import (
	"slices"
	"strings"

	"entente/protocol"
)

// shutsOut reports whether the clause takes a topic away from those it names.
func (s scope) shutsOut() bool {
	return !s.clause.Permit && s.bare && len(s.types) == 0 && s.marks == anyTLP
}

// during returns the scope as far as it lies in a span.
func (s scope) during(from, until int64) scope {
	s.starts, s.ends = max(s.starts, from), min(s.ends, until)
	return s
}

func intersection(a, b set) set {
	out := slices.Clone(a)
	out.intersect(b)
	return out
}

func (s set) isEmpty() bool { return s.next(0) < 0 }

func (s set) within(t set) bool {
	for i, w := range s {
		if w&^t[i] != 0 {
			return false
		}
	}
	return true
}

func (s set) meets(t set) bool {
	for i, w := range s {
		if w&t[i] != 0 {
			return true
		}
	}
	return false
}

// empty reports whether the clause speaks of nothing that both versions know.
func (s scope) empty() bool {
	return s.from.isEmpty() || s.to.isEmpty() || s.topics.isEmpty() || s.marks == 0 || s.starts >= s.ends
}

// overlaps reports whether two clauses may speak of one object, for one reader.
func (s scope) overlaps(t *scope) bool {
	return s.from.meets(t.from) && s.to.meets(t.to) && s.topics.meets(t.topics) &&
		s.marks&t.marks != 0 && s.starts < t.ends && t.starts < s.ends &&
		(len(s.types) == 0 || len(t.types) == 0 || slices.ContainsFunc(s.types, func(x string) bool { return slices.Contains(t.types, x) }))
}

// beyond names in what a clause speaks of more than another; "" where the other
// covers it. With first it stops at the first thing.
func (s scope) beyond(t *scope, first bool) string {
	var more []string
	a, b := &s.clause.If, &t.clause.If
	for _, c := range []struct {
		name string
		ok   func() bool
	}{
		{"to", func() bool { return s.to.within(t.to) }},
		{"from", func() bool { return s.from.within(t.from) && (t.bare || !s.bare || !s.clause.Permit) }},
		{"topics", func() bool { return s.topics.within(t.topics) }},
		{"types", func() bool { return covers(t.types, s.types) }},
		{"markings", func() bool { return s.marks&^t.marks == 0 }},
		{"dates", func() bool { return s.starts >= t.starts && s.ends <= t.ends }},
		{"classes", func() bool { return s.classesWithin(t) }},
		{"max-pap", func() bool { return b.PAP == protocol.NoPAP || (a.PAP != protocol.NoPAP && a.PAP <= b.PAP) }},
		{"purposes", func() bool { return covers(b.Purposes, a.Purposes) }},
		{"context", func() bool { return a.Context || !b.Context }},
		{"confidence", func() bool { return a.Confidence >= b.Confidence }},
		{"age", func() bool { return shorter(a.Age, b.Age) }},
		{"contribution", func() bool { return b.Contribution == "" || a.Contribution == b.Contribution }},
	} {
		if !c.ok() {
			if more = append(more, c.name); first {
				break
			}
		}
	}
	return strings.Join(more, ", ")
}

// classesWithin compares classes: a permit speaks of objects whose classes are
// all among its own, a forbid of those that have one of them, or of all.
func (s scope) classesWithin(t *scope) bool {
	if s.clause.Permit {
		return s.classes&^t.classes == 0
	}
	return t.classes == 0 || (s.classes != 0 && s.classes&^t.classes == 0)
}

// covers reports whether a list in which none means any holds all of another.
func covers(wide, narrow []string) bool {
	return len(wide) == 0 || (len(narrow) > 0 && !slices.ContainsFunc(narrow, func(x string) bool { return !slices.Contains(wide, x) }))
}

// shorter reports whether one period is surely no longer than another, where
// none is without end. Months and years are as long as the calendar has them.
func shorter(a, b protocol.Period) bool {
	switch {
	case a == b, b.IsZero():
		return true
	case a.IsZero():
		return false
	case a.Unit == b.Unit:
		return a.Count <= b.Count
	}
	_, most := minutes(a)
	least, _ := minutes(b)
	return most <= least
}

// minutes returns the least and the most that a period may last.
func minutes(p protocol.Period) (least, most int) {
	const day = 24 * 60
	span := [...][2]int{{}, {1, 1}, {60, 60}, {day, day}, {7 * day, 7 * day}, {28 * day, 31 * day}, {365 * day, 366 * day}}
	s := span[min(p.Unit, protocol.Years)]
	return p.Count * s[0], p.Count * s[1]
}

// loosened names the obligations of the second that the first does not hold at
// least as strictly; "" where it holds them all.
func loosened(now, before *protocol.Obligations) string {
	if before == nil {
		return ""
	}
	n, b := protocol.Obligations{}, *before
	if now != nil {
		n = *now
	}
	onward := func(o protocol.Onward) protocol.Onward {
		if o == protocol.OnwardOpen {
			return protocol.OnwardAny
		}
		return o
	}
	all := func(list, in []string) bool {
		return !slices.ContainsFunc(list, func(x string) bool { return !slices.Contains(in, x) })
	}
	var loose []string
	for _, o := range []struct {
		name string
		ok   bool
	}{
		{"redact", all(b.Redact, n.Redact)},
		{"pseudonymise", all(b.Pseudonymise, append(slices.Clone(n.Pseudonymise), n.Redact...))},
		{"retain", shorter(n.Retain, b.Retain)},
		{"review", shorter(n.Review, b.Review)},
		{"attribution", b.Attribution == protocol.AttributionFree || n.Attribution == b.Attribution},
		{"onward", onward(n.Onward) <= onward(b.Onward)},
		{"actions", covers(b.Actions, n.Actions) || slices.Equal(n.Actions, []string{"none"})},
		{"encrypt", n.AtRest || !b.AtRest},
		{"notify", b.Notify != protocol.NotifyMustNot || n.Notify == protocol.NotifyMustNot},
		{"licence", b.Licence == "" || n.Licence == b.Licence},
		{"embargo", !n.Embargo.Before(b.Embargo)},
	} {
		if !o.ok {
			loose = append(loose, o.name)
		}
	}
	return strings.Join(loose, ", ")
}
