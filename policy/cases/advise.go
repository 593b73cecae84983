package cases

import (
	"fmt"
	"slices"
	"time"

	"entente/policy"
	"entente/protocol"
)

// Warning is something about an agreement that is allowed and hardly meant.
type Warning struct {
	Code   string `json:"code"`             // see the constants
	Clause string `json:"clause,omitempty"` // number of the clause that it is about
	Line   int    `json:"line,omitzero"`    // of the clause, in the agreement
	Text   string `json:"text"`             // what is odd, and since it is, what follows
	Hint   string `json:"hint,omitempty"`   // what to do about it
}

// The codes of warnings.
const (
	WarnNobody = "nobody"       // a clause names no two who could give and get
	WarnFloor  = "floor"        // a clause speaks only of what TLP decides before it
	WarnBeaten = "beaten"       // a clause that another always beats
	WarnPublic = "public"       // a clause forbids parties what the public may read
	WarnLate   = "late"         // a clause begins when the agreement's legal basis has lapsed
	WarnOver   = "over"         // a clause has ended, and the agreement goes on
	WarnUnread = "unread-topic" // a topic that nobody reads
	WarnIdle   = "idle-party"   // a party that gives nothing and gets nothing
	WarnBasis  = "basis"        // the legal basis lapses before the agreement ends
	WarnEnds   = "ends"         // the agreement ends soon, or has ended
)

// soon is how long before its end an agreement is to be renewed.
const soon = 30 * 24 * time.Hour

// Advise says what is odd about an agreement at a moment, in the document's
// order. The error is that of compiling: what does not compile has no warnings.
// A clause counts as beaten where one other clause beats it whenever it speaks,
// with the parties that there are; that several together do is not looked for.
func Advise(a *protocol.Agreement, now time.Time) ([]Warning, error) {
	rules, err := policy.CompileAgreement(a)
	if err != nil {
		return nil, err
	}
	engine, err := policy.NewEngine(protocol.MemberID{}, rules.With(everybodyEntitled(a)))
	if err != nil {
		return nil, err
	}
	v := newAdviser(a)
	v.clauses(now)
	v.topics(engine)
	v.parties()
	v.dates(now)
	return v.out, nil
}

// adviser collects the warnings of one agreement.
type adviser struct {
	of     *protocol.Agreement
	reach  []reach  // of each clause
	all    []string // the names of all topics
	over   time.Time
	former bool // some party has left
	out    []Warning
}

func newAdviser(a *protocol.Agreement) *adviser {
	v := &adviser{of: a, over: a.Until, former: len(a.Cuts) > 0}
	if basis := a.LegalBasis.Until; !basis.IsZero() && basis.Before(v.over) {
		v.over = basis
	}
	for _, t := range a.Topics {
		v.all = append(v.all, t.Name)
	}
	for i := range a.Clauses {
		v.reach = append(v.reach, v.reachOf(&a.Clauses[i]))
	}
	return v
}

func (v *adviser) warn(code string, c *protocol.Clause, hint, format string, args ...any) {
	w := Warning{Code: code, Text: fmt.Sprintf(format, args...), Hint: hint}
	if c != nil {
		w.Clause, w.Line = c.Number, c.Line
	}
	v.out = append(v.out, w)
}

// clauses warns of those that can never decide.
func (v *adviser) clauses(now time.Time) {
	for i := range v.of.Clauses {
		c, r := &v.of.Clauses[i], &v.reach[i]
		var by *protocol.Clause
		if r.pairs && r.marks != 0 {
			by = v.beater(i)
		}
		switch {
		case v.choose(c.From).count() == 0:
			v.warn(WarnNobody, c, "name parties that there are, or take the clause out", "clause %s never decides: no party is among those it takes from", c.Number)
		case v.choose(c.To).count() == 0 && c.Everywhere: // it speaks of parties of other agreements
		case v.choose(c.To).count() == 0:
			v.warn(WarnNobody, c, "name parties that there are, or take the clause out", "clause %s never decides: no party is among those it gives to", c.Number)
		case !r.pairs:
			v.warn(WarnNobody, c, "name another party in from or to", "clause %s never decides: it takes from and gives to one party alone, which may read its own anyway", c.Number)
		case r.marks == 0:
			v.warn(WarnFloor, c, "TLP:RED goes to named recipients, outside topics", "clause %s never decides: it speaks of TLP:RED alone, which never goes on a topic", c.Number)
		case !c.Starts.IsZero() && !c.Starts.Before(v.over):
			v.warn(WarnLate, c, "give the legal basis a later end, or the clause an earlier beginning",
				"clause %s never decides: it begins on %s, when the legal basis has lapsed (%s)", c.Number, day(c.Starts), day(v.over))
		case by != nil:
			v.beaten(c, by)
		case v.told(i) != nil:
			v.warn(WarnPublic, c, "say \"to: public: true\" in it",
				"clause %s keeps nothing from the public: it forbids to parties what clause %s permits to everybody", c.Number, v.told(i).Number)
		case !c.Ends.IsZero() && !now.Before(c.Ends) && now.Before(v.over):
			v.warn(WarnOver, c, "leave it out of the next version", "clause %s decides nothing any more: it ended on %s", c.Number, day(c.Ends))
		}
	}
}

func (v *adviser) beaten(c, by *protocol.Clause) {
	why := "which stands before it and says the same of all that it speaks of"
	if !by.Permit && c.Permit {
		why = "which forbids all that it permits"
	}
	v.warn(WarnBeaten, c, fmt.Sprintf("take clause %s out, or narrow clause %s", c.Number, by.Number),
		"clause %s never decides: clause %s always does, %s", c.Number, by.Number, why)
}

// beater returns the first clause that always decides before this one, or nil.
// The engine heeds those that forbid first, each kind in the document's order.
func (v *adviser) beater(i int) *protocol.Clause {
	for _, permit := range []bool{false, true} {
		for n := range v.of.Clauses {
			c := &v.of.Clauses[n]
			before := n < i && c.Permit == v.of.Clauses[i].Permit || !c.Permit && v.of.Clauses[i].Permit
			if c.Permit == permit && before && v.covers(n, i) {
				return c
			}
		}
	}
	return nil
}

// told returns a clause that permits the public something of what this one
// forbids to parties alone, unless another forbids as much to the public; or nil.
func (v *adviser) told(i int) *protocol.Clause {
	c := &v.of.Clauses[i]
	if c.Permit || c.To.Public || v.of.Visibility != protocol.Public {
		return nil
	}
	meet := func(a, b []string) bool {
		return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(w string) bool { return slices.Contains(b, w) })
	}
	var by *protocol.Clause
	for n := range v.of.Clauses {
		switch other := &v.of.Clauses[n]; {
		case !other.To.Public || !meet(other.Topics, c.Topics) || !meet(other.Types, c.Types):
		case !other.Permit && wider(other.Topics, v.topicsOf(c)) && wider(other.Types, c.Types):
			return nil
		case other.Permit && by == nil:
			by = other
		}
	}
	return by
}

// topics warns of those that nobody reads at any moment.
func (v *adviser) topics(engine *policy.Engine) {
	for _, t := range v.of.Topics {
		everyone := len(v.of.Parties)
		if v.of.Visibility == protocol.Public {
			everyone++
		}
		read := false
		for at := v.of.From; !read && at.Before(v.over); {
			barred, next := engine.Barred(v.of.ID, t.Name, at)
			read = len(barred) < everyone
			if next.IsZero() {
				break
			}
			at = next
		}
		if !read {
			v.warn(WarnUnread, nil, "permit somebody to read it, or take the topic out", "nobody reads topic %s: no clause permits anything there to anybody whom none forbids all", t.Name)
		}
	}
}

// parties warns of those whom no permission names.
func (v *adviser) parties() {
	for i, p := range v.of.Parties {
		idle := !p.Suspended
		for n := range v.of.Clauses {
			if c, r := &v.of.Clauses[n], &v.reach[n]; c.Permit && r.pairs && (r.from.has(i+1) || r.to.has(i+1)) {
				idle = false
			}
		}
		if idle {
			v.warn(WarnIdle, nil, "permit it something, or take the party out", "%s gives nothing and gets nothing: no clause permits it either", p.Handle)
		}
	}
}

// dates warns of what ends.
func (v *adviser) dates(now time.Time) {
	a := v.of
	if v.over.Before(a.Until) {
		v.warn(WarnBasis, nil, "renew the legal basis, or end the agreement with it", "the agreement lapses with its legal basis on %s, before its end on %s", day(v.over), day(a.Until))
	}
	switch left := v.over.Sub(now); {
	case left <= 0:
		v.warn(WarnEnds, nil, "begin the next version: entente agreements amend", "the agreement ended on %s", day(v.over))
	case left <= soon:
		v.warn(WarnEnds, nil, "begin the next version: entente agreements amend", "the agreement ends on %s, in %d days", day(v.over), int(left/(24*time.Hour)))
	}
}

// day writes a moment as agreements do.
func day(t time.Time) string {
	t = t.UTC()
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format("2006-01-02T15:04:05Z")
}
