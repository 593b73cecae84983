package policy

import (
	"bytes"
	"math"
	"slices"
	"time"

	"entente/protocol"
)

// Several versions of one agreement bind at once while a newer one narrows and
// its widening has not been accepted, and while a fork is not resolved. What one
// does not allow is not allowed.

// join is the decision of two versions for one reader: that of the first which
// does not allow (by agreement, before local rules), else the first's, until the sooner moment and with what both
// demand.
func (e *Engine) join(a, b Decision) Decision {
	switch {
	case !a.permitted():
		return a
	case !b.permitted():
		b.Expires = sooner(a.Expires, b.Expires) // then the first may decide
		return b
	}
	d := a
	if a.Outcome == Allow && b.Outcome != Allow {
		d = b
	}
	d.Marking = max(a.Marking, b.Marking)
	d.Expires = sooner(a.Expires, b.Expires)
	d.Duties = e.joint.join(a.Duties, b.Duties)
	return d
}

// joinVerdicts is the verdict of two versions: readers are those of both, denied
// are those whom either denies.
func (e *Engine) joinVerdicts(a, b Verdict) Verdict {
	v := Verdict{Decision: e.join(a.Decision, b.Decision), Readers: a.Readers, Denied: a.Denied}
	if !slices.Equal(a.Readers, b.Readers) {
		v.Readers = slices.DeleteFunc(slices.Clone(a.Readers), func(m protocol.MemberID) bool {
			_, both := slices.BinarySearchFunc(b.Readers, m, compareMembers)
			return !both
		})
	}
	if len(b.Denied) > 0 {
		v.Denied = slices.Concat(a.Denied, b.Denied)
		slices.SortStableFunc(v.Denied, func(x, y Denial) int { return compareMembers(x.Reader, y.Reader) })
		v.Denied = slices.CompactFunc(v.Denied, func(x, y Denial) bool { return x.Reader == y.Reader })
	}
	return v
}

// nobody refuses what only its author would read.
func nobody(v Verdict, author protocol.MemberID) Verdict {
	if slices.ContainsFunc(v.Readers, func(m protocol.MemberID) bool { return m != author }) {
		return v
	}
	if v.Outcome == Allow {
		v.Outcome, v.Layer, v.Clause, v.Text, v.Duties, v.Readers = Refuse, Governing, "", textNobody, nil, nil
	}
	return v
}

func compareMembers(a, b protocol.MemberID) int { return bytes.Compare(a[:], b[:]) }

// sooner returns the sooner of two moments; zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// followVerdict takes from a verdict the readers to whom the object must not go
// by what the agreements of its origins forbid everywhere.
func (e *Engine) followVerdict(v Verdict, versions []*Rules, author protocol.MemberID, s *Subject, now time.Time) Verdict {
	var readers []protocol.MemberID
	var denied []Denial
	for _, reader := range v.Readers {
		if reader == author {
			readers = append(readers, reader)
		} else if d, no := e.follow(versions, reader, v.Marking, s, now); no {
			denied = append(denied, Denial{reader, d})
		} else {
			readers = append(readers, reader)
		}
	}
	until := e.followUntil(s, now)
	v.Expires = sooner(v.Expires, until)
	if len(denied) == 0 {
		return v
	}
	if v.permitted() {
		expires := v.Expires
		v.Decision = denied[0].Decision
		v.Expires = sooner(expires, v.Expires)
		if len(readers) < 2 && (len(readers) == 0 || readers[0] == author) {
			v.Outcome = Refuse
		}
	}
	v.Readers = readers
	v.Denied = slices.Concat(v.Denied, denied)
	slices.SortFunc(v.Denied, func(x, y Denial) int { return compareMembers(x.Reader, y.Reader) })
	return v
}

// follow asks whether what the agreements of an object's origins forbid
// everywhere keeps it from a reader. versions are those of the agreement that it
// would go under, which tell what the reader is; marked is how it is marked there. Clauses that forbid everywhere
// go on when their agreement is over.
func (e *Engine) follow(versions []*Rules, reader protocol.MemberID, marked protocol.Marking, s *Subject, now time.Time) (Decision, bool) {
	for i := range s.Origins {
		o := &s.Origins[i]
		origin := e.rules[o.Agreement]
		if len(origin) == 0 {
			return Decision{Outcome: Withhold, Layer: Governing, Agreement: o.Agreement, Text: textStray, Marking: marked}, true
		}
		for _, r := range origin {
			for _, c := range r.everywhere {
				if r.reaches(c, versions, reader) && r.coversOrigin(c, o, s, now.UnixMicro()) {
					d := r.decision(marked, c.ends)
					d.Outcome, d.Layer, d.Clause, d.Text = Withhold, Governing, c.source.Number, c.source.Text
					return d, true
				}
			}
		}
	}
	return Decision{}, false
}

// followUntil returns the moment after now at which what the origins forbid
// everywhere may change; zero: none.
func (e *Engine) followUntil(s *Subject, now time.Time) (until time.Time) {
	at := now.UnixMicro()
	consider := func(moment int64) {
		if moment > at && moment != math.MaxInt64 {
			until = sooner(until, time.UnixMicro(moment).UTC())
		}
	}
	for i := range s.Origins {
		for _, r := range e.rules[s.Origins[i].Agreement] {
			for _, c := range r.everywhere {
				consider(c.starts)
				consider(c.ends)
				for _, modified := range [...]time.Time{s.Modified, s.Origins[i].Subject.Modified} {
					switch {
					case modified.IsZero():
					case c.span > 0:
						consider(modified.UnixMicro() + c.span)
					case c.months > 0:
						consider(monthsAfter(modified, c.months))
					}
				}
			}
		}
	}
	return until
}

// reaches reports whether a clause that forbids everywhere keeps things from a
// reader who may be no party to its agreement: one that names nobody keeps them
// from all; a handle is that of its own party; a kind, country or role may be
// known from the agreement that the object would go under. The public is always
// reached: whoever is meant could read there as anybody.
func (r *Rules) reaches(c *clause, versions []*Rules, reader protocol.MemberID) bool {
	i := r.index[reader]
	switch {
	case reader.IsZero() || unconditional(c.source.To):
		return true
	case c.source.To.Public:
		return i == 0
	case i != 0 && c.to.has(i):
		return true
	}
	to := &c.source.To
	if len(to.Parties) > 0 && (i == 0 || !slices.Contains(to.Parties, r.readers[i].Handle)) {
		return false
	}
	for _, v := range versions {
		p := &v.readers[v.index[reader]]
		if v.index[reader] != 0 && (len(to.Kinds) == 0 || slices.Contains(to.Kinds, p.Kind)) &&
			(len(to.Countries) == 0 || slices.Contains(to.Countries, p.Country)) &&
			(len(to.Roles) == 0 || slices.ContainsFunc(p.Roles, func(role string) bool { return slices.Contains(to.Roles, role) })) {
			return true
		}
	}
	return false
}

// coversOrigin reports whether a clause speaks of what came here by an origin:
// as it came, or as it is now.
func (r *Rules) coversOrigin(c *clause, o *Origin, s *Subject, now int64) bool {
	if !c.live(now) || len(c.source.Topics) > 0 && !slices.Contains(c.source.Topics, o.Topic) {
		return false
	}
	if i := r.index[o.Author]; !c.bare && (i == 0 || !c.from.has(i)) {
		return false
	}
	return r.covers(c, o.Topic, &o.Subject, now) || r.covers(c, o.Topic, s, now)
}

// covers reports whether a forbidding clause speaks of a subject by its type,
// marking and facets. A marking that is not known is taken to be any.
func (r *Rules) covers(c *clause, topic string, s *Subject, now int64) bool {
	if len(c.source.Types) > 0 && !slices.Contains(c.source.Types, s.Type) {
		return false
	}
	q := question{now: now, classes: classesOf(s, protocol.Operational), pap: min(s.PAP, protocol.PAPRed), context: s.Context, dated: !s.Modified.IsZero(),
		modified: s.Modified, confidence: uint8(max(0, min(s.Confidence, 100))), marked: level(s)}
	if t := r.topics[topic]; t != nil {
		q.classes = classesOf(s, t.class)
		if q.marked == protocol.NoMarking {
			q.marked = t.standard
		}
	}
	if q.dated && c.months > 0 {
		q.months = monthsBetween(q.modified, now)
	}
	return (s.Problem != "" || q.marked == protocol.NoMarking || c.marks&(1<<q.marked) != 0) && c.fits(&q)
}
