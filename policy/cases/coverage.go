package cases

import (
	"context"
	"slices"
	"time"

	"entente/policy"
	"entente/protocol"
)

// Coverage is how much of an agreement its passing cases hold it to.
type Coverage struct {
	Percent int     `json:"percent"` // of the points, rounded down
	Covered int     `json:"covered"` // points that a passing case rests on
	Points  []Point `json:"points"`  // in the document's order, those of the whole agreement last
}

// Point is one thing that a case can show: that a clause decides, that one of
// its conditions matters, or that a date of the agreement does.
type Point struct {
	Clause    string `json:"clause,omitempty"`    // number; empty: the agreement as a whole
	Condition string `json:"condition,omitempty"` // the field that narrows it; empty: the clause itself
	Local     bool   `json:"local,omitzero"`      // the clause is one of the operator's own rules
	Text      string `json:"text"`                // the clause's prose, or what the date means
	Line      int    `json:"line,omitzero"`       // of the agreement
	Covered   bool   `json:"covered"`
	By        string `json:"by,omitempty"` // the first case that shows it
}

// Missing returns the points that no passing case shows.
func (c *Coverage) Missing() []Point {
	return slices.DeleteFunc(slices.Clone(c.Points), func(p Point) bool { return p.Covered })
}

// coverage finds out what the passing cases rest on.
func (r *runner) coverage(ctx context.Context) (Coverage, error) {
	var out Coverage
	decisive := r.decisive()
	for i := range r.agreement.Clauses {
		c := &r.agreement.Clauses[i]
		point := Point{Clause: c.Number, Text: c.Text, Line: c.Line}
		point.By, point.Covered = decisive[c.Number]
		if !point.Covered && c.Then != nil { // another clause is named, and this one obliges as well
			point.By, point.Covered = r.matters(i, condition{"obligations", func(c *protocol.Clause) { c.Then = nil }})
		}
		out.Points = append(out.Points, point)
		for _, condition := range conditionsOf(c) {
			if err := ctx.Err(); err != nil {
				return out, err
			}
			point := Point{Clause: c.Number, Condition: condition.field, Text: c.Text, Line: c.Line}
			point.By, point.Covered = r.matters(i, condition)
			out.Points = append(out.Points, point)
		}
	}
	out.Points = append(out.Points, r.dates()...)
	out.Points = append(out.Points, r.localPoints()...)
	for _, p := range out.Points {
		if p.Covered {
			out.Covered++
		}
	}
	out.Percent = 100 * out.Covered / len(out.Points) // an agreement has dates, so there are points
	return out, nil
}

// decisive returns for each clause that decided a passing case the name of the
// first. A clause that forbids also counts where it decided for one reader of a
// topic, though another gave the verdict its text.
func (r *runner) decisive() map[string]string {
	out := map[string]string{}
	note := func(layer, clause string, c *Case) {
		if _, known := out[clause]; !known && clause != "" && layer != policy.Local.String() {
			out[clause] = c.Name
		}
	}
	for i := range r.passed {
		q := &r.passed[i]
		for _, a := range q.answers {
			note(a.Layer, a.Clause, q.of)
			for _, d := range a.verdict.Denied {
				note(d.Decision.Layer.String(), d.Decision.Clause, q.of)
			}
		}
	}
	return out
}

// localPoints returns a point for each clause of the local rules that binds: a
// case that it decides.
func (r *runner) localPoints() []Point {
	var points []Point
	if r.local == nil {
		return nil
	}
	for i := range r.local.Clauses {
		c := &r.local.Clauses[i]
		if !c.Binds(r.agreement.ID, r.agreement.Name) {
			continue
		}
		point := Point{Clause: c.Number, Local: true, Text: c.Text, Line: c.Line}
		decides := func(d policy.Decision) bool { return d.Layer == policy.Local && d.Clause == c.Number }
		for k := range r.passed {
			q := &r.passed[k]
			if slices.ContainsFunc(q.answers, func(a Answer) bool {
				return decides(a.verdict.Decision) || slices.ContainsFunc(a.verdict.Denied, func(d policy.Denial) bool { return decides(d.Decision) })
			}) {
				point.By, point.Covered = q.of.Name, true
				break
			}
		}
		points = append(points, point)
	}
	return points
}

// condition is a field of a clause that narrows it, and how to take it out.
type condition struct {
	field string
	free  func(*protocol.Clause)
}

// conditionsOf returns the dates and conditions of a clause, and what else hangs on
// it: that it reaches everywhere, that it survives, and what it obliges to.
func conditionsOf(c *protocol.Clause) []condition {
	var out []condition
	add := func(given bool, field string, free func(*protocol.Clause)) {
		if given {
			out = append(out, condition{field, free})
		}
	}
	add(!c.Starts.IsZero(), "from-date", func(c *protocol.Clause) { c.Starts = time.Time{} })
	add(!c.Ends.IsZero(), "until-date", func(c *protocol.Clause) { c.Ends = time.Time{} })
	add(c.If.Classes != 0, "classes", func(c *protocol.Clause) {
		if c.If.Classes = 0; c.Permit { // which would permit what is operational alone
			c.If.Classes = protocol.PersonalData<<1 - 1
		}
	})
	add(c.If.PAP != protocol.NoPAP, "max-pap", func(c *protocol.Clause) { c.If.PAP = protocol.NoPAP })
	add(len(c.If.Purposes) > 0, "purposes", func(c *protocol.Clause) { c.If.Purposes = nil })
	add(c.If.Context, "context", func(c *protocol.Clause) { c.If.Context = false })
	add(c.If.Confidence > 0, "confidence", func(c *protocol.Clause) { c.If.Confidence = 0 })
	add(!c.If.Age.IsZero(), "age", func(c *protocol.Clause) { c.If.Age = protocol.Period{} })
	add(c.If.Contribution != "", "contribution", func(c *protocol.Clause) { c.If.Contribution = "" })
	add(c.Everywhere, "scope", func(c *protocol.Clause) { c.Everywhere = false })
	add(c.Survives, "survives", func(c *protocol.Clause) { c.Survives = false })
	add(c.Then != nil, "obligations", func(c *protocol.Clause) { c.Then = nil })
	return out
}

// matters reports whether some passing case would be answered otherwise if the
// condition were not there, and which.
func (r *runner) matters(clause int, condition condition) (by string, yes bool) {
	other := *r.agreement
	other.Clauses = slices.Clone(other.Clauses)
	c := &other.Clauses[clause]
	condition.free(c)
	rules, err := r.compile(&other)
	if err != nil {
		return "", false
	}
	for i := range r.passed {
		q := &r.passed[i]
		if len(c.Topics) > 0 && !slices.Contains(c.Topics, q.topic) {
			continue
		}
		for n, a := range r.ask(rules, q) {
			was := &q.answers[n]
			if a.Outcome != was.Outcome || a.Clause != was.Clause || !slices.Equal(a.Readers, was.Readers) ||
				q.of.strict && !slices.Equal(a.Obligations, was.Obligations) {
				return q.of.Name, true
			}
		}
	}
	return "", false
}

// dates returns the points of the agreement's own dates: for each, a case that
// asks on its far side.
func (r *runner) dates() []Point {
	a := r.agreement
	say := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
	points := []Point{
		{Condition: "from", Text: "before " + say(a.From) + " the agreement is not in force"},
		{Condition: "until", Text: "from " + say(a.Until) + " on the agreement is over"},
	}
	beyond := []func(time.Time) bool{a.From.After, func(t time.Time) bool { return !t.Before(a.Until) }}
	if basis := a.LegalBasis.Until; !basis.IsZero() && basis.Before(a.Until) {
		points = append(points, Point{Condition: "legal-basis", Text: "from " + say(basis) + " on the legal basis has lapsed"})
		beyond = append(beyond, func(t time.Time) bool { return !t.Before(basis) && t.Before(a.Until) })
	}
	for n := range points {
		for i := range r.passed {
			q := &r.passed[i]
			if beyond[n](q.at) && slices.ContainsFunc(q.answers, func(a Answer) bool { return a.Layer == policy.Governing.String() }) {
				points[n].Covered, points[n].By = true, q.of.Name
				break
			}
		}
	}
	return points
}
