package policy

import (
	"math"
	"slices"
	"time"

	"entente/protocol"
)

// Facts are what decisions under one agreement rest on beside the document: what
// parties signed since, and what is so at this node. The zero Facts say that no
// party is suspended, none is entitled by a score, the agreement goes on, and the
// disk is not encrypted. They are part of the rules (Rules.With), so a decision
// can be made again from the document, the facts and the moment.
type Facts struct {
	// Suspended are the parties that are suspended, until and not at a moment. A
	// party that its document suspends is so without end; one that has left, or has
	// not signed yet, until the year 9999.
	Suspended map[protocol.MemberID]time.Time
	// Entitled has, for each contribution by its name, the parties that a signed
	// score or the time of grace entitles, until and not at a moment.
	Entitled map[string]map[protocol.MemberID]time.Time
	// Terminated is the moment at which the parties ended the agreement. Zero: not.
	Terminated time.Time
	// ClearOnly says that nobody vouched lately for this version being the newest:
	// only TLP:CLEAR passes to others and from them.
	ClearOnly bool
	// Encrypted says that what this node holds lies on an encrypted disk.
	Encrypted bool
}

// state is what holds for an agreement and its parties, by date.
type state struct {
	from       int64   // microseconds: first moment in force
	until      int64   // first moment no longer in force
	basis      int64   // first moment without legal basis
	terminated int64   // first moment after its parties ended it
	suspended  []int64 // of each reader: the first moment at which it is not; zero: it never was
	entitled   [][]int64
	unvouched  bool
	encrypted  bool
}

// With returns the rules with other facts; those of r itself do not change. The
// facts are copied. It costs no new compilation, but every class is decided anew:
// who holds rules keeps them for as long as the facts are the same.
func (r *Rules) With(facts Facts) *Rules {
	made := *r
	a, n := r.agreement, len(r.readers)
	s := state{
		from: a.From.UnixMicro(), until: a.Until.UnixMicro(), basis: micro(a.LegalBasis.Until), terminated: micro(facts.Terminated),
		suspended: make([]int64, n), entitled: make([][]int64, len(a.Scores)), unvouched: facts.ClearOnly, encrypted: facts.Encrypted,
	}
	var moments []int64
	for member, until := range facts.Suspended {
		if i := r.index[member]; i != 0 {
			s.suspended[i] = until.UnixMicro()
			moments = append(moments, s.suspended[i])
		}
	}
	for i, p := range r.readers {
		if p.Suspended {
			s.suspended[i] = math.MaxInt64
		}
	}
	for i, score := range a.Scores {
		s.entitled[i] = make([]int64, n)
		for member, until := range facts.Entitled[score.Name] {
			if k := r.index[member]; k != 0 {
				s.entitled[i][k] = until.UnixMicro()
			}
		}
	}
	for _, m := range [...]int64{s.from, s.until, s.basis, s.terminated} {
		if m != math.MaxInt64 {
			moments = append(moments, m)
		}
	}
	made.state = s
	made.topics = make(map[string]*topic, len(r.topics))
	for name, t := range r.topics {
		made.topics[name] = made.finish(t, moments)
	}
	return &made
}

// micro returns a moment in microseconds, and for the zero time the end of time.
func micro(t time.Time) int64 {
	if t.IsZero() {
		return math.MaxInt64
	}
	return t.UnixMicro()
}

// finish makes a topic of what the clauses say about it, with the moments of the
// facts and an empty cache.
func (r *Rules) finish(t *topic, moments []int64) *topic {
	made := &topic{
		name: t.name, standard: t.standard, class: t.class, unmarked: t.unmarked,
		permits: t.permits, forbids: t.forbids, local: t.local, types: t.types, columns: t.columns,
	}
	if t.said == nil {
		said := facetsOf(t.permits, t.forbids)
		t.said = &said
	}
	made.said, made.asked = t.said, *t.said
	switch {
	case len(t.local) == 0:
	case t.asked.size.classes > 0: // facts change nothing of what is asked
		made.asked = t.asked
	default:
		made.asked = facetsOf(t.permits, t.forbids, t.local, exceptions(t.local))
	}
	moments = slices.Clone(moments)
	scores := make(map[int]bool)
	for _, list := range [...][]*clause{t.permits, t.forbids, t.local} {
		for _, c := range list {
			for _, m := range [...]int64{c.starts, c.ends} {
				if m != math.MinInt64 && m != math.MaxInt64 {
					moments = append(moments, m)
				}
			}
			if c.score >= 0 && !scores[c.score] {
				scores[c.score] = true
				moments = append(moments, r.state.entitled[c.score]...)
			}
		}
	}
	slices.Sort(moments)
	made.moments = slices.Compact(moments)
	made.cache = newCache(len(r.readers)+1, len(t.columns), made.asked.kinds())
	return made
}

// standing says why the agreement is not in force, or "".
func (r *Rules) standing(now int64) string {
	s := &r.state
	switch {
	case now < s.from:
		return "the agreement is in force only from " + day(r.agreement.From)
	case now >= s.terminated:
		return "its parties ended the agreement on " + day(time.UnixMicro(s.terminated))
	case now >= s.until:
		return "the agreement ended on " + day(r.agreement.Until)
	case now >= s.basis:
		return "the legal basis of the agreement lapsed on " + day(r.agreement.LegalBasis.Until)
	default:
		return ""
	}
}

// over reports whether the agreement was in force and is no longer.
func (r *Rules) over(now int64) bool {
	s := &r.state
	return now >= s.from && (now >= s.until || now >= s.basis || now >= s.terminated)
}

// forGood is the year 9999, up to which nobody waits: who is suspended until then
// has left, or has not come yet.
const forGood = 253370764800_000_000

// suspended says that a party is suspended at a moment, or "".
func (r *Rules) suspended(party int, now int64) string {
	until := r.state.suspended[party]
	switch {
	case now >= until:
		return ""
	case until == math.MaxInt64:
		return "the agreement says that " + r.readers[party].Handle + " is suspended"
	case until >= forGood:
		return r.readers[party].Handle + " has no part in the agreement"
	default:
		return r.readers[party].Handle + " is suspended until " + day(time.UnixMicro(until))
	}
}

// present is what holds for a topic between two of its moments.
type present struct {
	from, until int64
	reading     set   // whom some permitting clause names and none shuts out
	suspended   set   // of all readers
	entitled    []set // of each contribution that a clause asks for
}

// presentAt returns what holds at a moment.
func (r *Rules) presentAt(t *topic, now int64) *present {
	if p := t.present.Load(); p != nil && p.from <= now && now < p.until {
		return p
	}
	p := &present{reading: newSet(len(r.readers)), suspended: newSet(len(r.readers)), entitled: make([]set, len(r.state.entitled))}
	p.from, p.until = t.window(now)
	for i, until := range r.state.suspended {
		if now < until {
			p.suspended.add(i)
		}
	}
	for _, c := range t.permits {
		if c.score >= 0 && p.entitled[c.score] == nil {
			p.entitled[c.score] = newSet(len(r.readers))
			for i, until := range r.state.entitled[c.score] {
				if now < until {
					p.entitled[c.score].add(i)
				}
			}
		}
		if c.live(now) {
			p.reading.union(c.names(p))
		}
	}
	for _, c := range t.forbids {
		if c.live(now) && c.total() {
			p.reading.subtract(c.to)
		}
	}
	p.reading.intersect(r.everyone)
	t.present.Store(p)
	return p
}

// names returns whom a clause names: of those whom it gives to, the entitled.
func (c *clause) names(p *present) set {
	if c.score < 0 {
		return c.to
	}
	s := slices.Clone(c.to)
	s.intersect(p.entitled[c.score])
	return s
}

// total reports whether a forbidding clause keeps everything from everyone.
func (c *clause) total() bool {
	return c.bare && c.types == nil && c.marks == anyTLP && asksNothing(c.source)
}

// asksNothing reports whether a clause has no condition on what an object says of
// itself but for its type and marking.
func asksNothing(c *protocol.Clause) bool {
	return c.If.Classes == 0 && c.If.PAP == protocol.NoPAP && !c.If.Context && c.If.Confidence == 0 && c.If.Age.IsZero()
}
