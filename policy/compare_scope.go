package policy

import (
	"slices"
	"strings"

	"entente/protocol"
)

// shutsOut reports whether the clause takes a topic away from those it names.
func (s *scope) shutsOut() bool {
	return !s.clause.Permit && s.bare && len(s.types) == 0 && s.marks == anyTLP && asksNothing(s.clause)
}

// during returns the scope as far as it lies in a span.
func (s *scope) during(from, until int64) scope {
	out := *s
	out.starts, out.ends = max(s.starts, from), min(s.ends, until)
	return out
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
func (s *scope) empty() bool {
	return s.from.isEmpty() || s.to.isEmpty() || s.topics.isEmpty() || s.marks == 0 || s.starts >= s.ends
}

// overlaps reports whether two clauses may speak of one object, for one reader.
func (s *scope) overlaps(t *scope) bool {
	return s.from.meets(t.from) && s.to.meets(t.to) && s.topics.meets(t.topics) &&
		s.marks&t.marks != 0 && s.starts < t.ends && t.starts < s.ends &&
		(len(s.types) == 0 || len(t.types) == 0 || slices.ContainsFunc(s.types, func(x string) bool { return slices.Contains(t.types, x) }))
}

// within reports whether another clause speaks of all that this one speaks of.
// Every clause meets every other, so the cheapest questions come first.
func (s *scope) within(t *scope) bool {
	return s.marks&^t.marks == 0 && s.starts >= t.starts && s.ends <= t.ends && s.topics.within(t.topics) &&
		covers(t.types, s.types) && s.to.within(t.to) && s.fromWithin(t) && s.classesWithin(t) && s.conditionsBeyond(t) == nil
}

// beyond names in what a clause speaks of more than another.
func (s *scope) beyond(t *scope) []string {
	var more []string
	for _, c := range []struct {
		name string
		ok   bool
	}{
		{"to", s.to.within(t.to)},
		{"from", s.fromWithin(t)},
		{"topics", s.topics.within(t.topics)},
		{"types", covers(t.types, s.types)},
		{"markings", s.marks&^t.marks == 0},
		{"dates", s.starts >= t.starts && s.ends <= t.ends},
		{"classes", s.classesWithin(t)},
	} {
		if !c.ok {
			more = append(more, c.name)
		}
	}
	return append(more, s.conditionsBeyond(t)...)
}

// fromWithin compares authors. A permit without a condition speaks of those who
// left, whoever they will be.
func (s *scope) fromWithin(t *scope) bool {
	return (t.bare || !s.bare || !s.clause.Permit) && s.from.within(t.from)
}

// conditionsBeyond names the conditions of another clause that this one does not
// make, or makes less strictly.
func (s *scope) conditionsBeyond(t *scope) []string {
	a, b := &s.clause.If, &t.clause.If
	var more []string
	if b.PAP != protocol.NoPAP && (a.PAP == protocol.NoPAP || a.PAP > b.PAP) {
		more = append(more, "max-pap")
	}
	if !covers(b.Purposes, a.Purposes) {
		more = append(more, "purposes")
	}
	if b.Context && !a.Context {
		more = append(more, "context")
	}
	if a.Confidence < b.Confidence {
		more = append(more, "confidence")
	}
	if !narrowerSpan(a.Age, b.Age) {
		more = append(more, "age")
	}
	if b.Contribution != "" && a.Contribution != b.Contribution {
		more = append(more, "contribution")
	}
	return more
}

// classesWithin compares classes: a permit speaks of objects whose classes are
// all among its own, a forbid of those that have one of them, or of all.
func (s *scope) classesWithin(t *scope) bool {
	if s.clause.Permit {
		return s.classes&^t.classes == 0
	}
	return t.classes == 0 || (s.classes != 0 && s.classes&^t.classes == 0)
}

// covers reports whether a list in which none means any holds all of another.
func covers(wide, narrow []string) bool {
	return len(wide) == 0 || (len(narrow) > 0 && !slices.ContainsFunc(narrow, func(x string) bool { return !slices.Contains(wide, x) }))
}

// narrowerSpan reports whether one period is surely no longer than another, where
// none is without end. Months and years are as long as the calendar has them.
func narrowerSpan(a, b protocol.Period) bool {
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
		{"retain", narrowerSpan(n.Retain, b.Retain)},
		{"review", narrowerSpan(n.Review, b.Review)},
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
