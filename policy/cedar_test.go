package policy

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cedar "github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"pgregory.net/rapid"

	"entente/protocol"
)

// The second opinion: an agreement, its facts and local rules, written once more
// as policies of Cedar, another language for the same purpose with an engine of
// other people. It must allow and deny what the engine here does. What Cedar has
// no words for is computed by the words of the documents: the marking that
// counts, and months of the calendar.

// cedarOpinion is one agreement in Cedar.
type cedarOpinion struct {
	reference
	local    *protocol.LocalRules
	policies *cedar.PolicySet
	entities cedar.EntityMap
}

func cedarSet(list []string) ast.Node {
	var out []types.Value
	for _, w := range list {
		out = append(out, types.String(w))
	}
	return ast.Value(types.NewSet(out...))
}

func given(name string) ast.Node { return ast.Context().Access(types.String(name)) }

func every(nodes ...ast.Node) ast.Node {
	out := ast.True()
	for _, n := range nodes {
		out = out.And(n)
	}
	return out
}

func some(nodes ...ast.Node) ast.Node {
	out := ast.False()
	for _, n := range nodes {
		out = out.Or(n)
	}
	return out
}

// classWords are the names of the classes in a set; one word for all unknown.
func classWords(c protocol.Class) []string {
	var out []string
	for bit := protocol.Class(1); bit != 0 && bit <= c; bit <<= 1 {
		if c&bit != 0 && bit <= protocol.PersonalData {
			out = append(out, fmt.Sprint("class ", bit))
		} else if c&bit != 0 {
			out = append(out, "unknown class")
		}
	}
	return out
}

// newOpinion writes an agreement in Cedar.
func newOpinion(r reference, local *protocol.LocalRules) *cedarOpinion {
	o := &cedarOpinion{reference: r, local: local, policies: cedar.NewPolicySet(), entities: cedar.EntityMap{}}
	for _, h := range append([]string{"public"}, handles...) {
		id := member(h)
		p := refParty(r.Agreement, id)
		attributes := partyRecord(id, p)
		if p != nil {
			until := int64(0)
			if p.Suspended {
				until = 1 << 62
			} else if at, ok := r.facts.Suspended[id]; ok {
				until = at.UnixMicro()
			}
			attributes["suspended"] = types.Long(until)
			for _, score := range r.Scores {
				entitled := int64(-1 << 62)
				if at, ok := r.facts.Entitled[score.Name][id]; ok {
					entitled = at.UnixMicro()
				}
				attributes[types.String("score-"+score.Name)] = types.Long(entitled)
			}
		}
		uid := types.NewEntityUID("Member", types.String(id.String()))
		o.entities[uid] = types.Entity{UID: uid, Attributes: types.NewRecord(attributes)}
	}
	o.frame()
	for i := range r.Clauses {
		o.clause(fmt.Sprint("clause ", i), r.Clauses[i])
	}
	for i := range local.Clauses {
		o.rule(fmt.Sprint("local ", i), local.Clauses[i])
	}
	return o
}

// partyRecord is what clauses may ask of a member.
func partyRecord(id protocol.MemberID, p *protocol.Party) types.RecordMap {
	m := types.RecordMap{"id": types.String(id.String()), "party": types.Boolean(p != nil), "handle": types.String(""), "kind": types.String(""),
		"country": types.String(""), "roles": types.NewSet()}
	if p != nil {
		var roles []types.Value
		for _, r := range p.Roles {
			roles = append(roles, types.String(r))
		}
		m["handle"], m["kind"], m["country"], m["roles"] = types.String(p.Handle), types.String(p.Kind), types.String(p.Country), types.NewSet(roles...)
	}
	return m
}

func (o *cedarOpinion) add(id string, p *ast.Policy) {
	if !o.policies.Add(cedar.PolicyID(id), cedar.NewPolicyFromAST(p)) {
		panic("two policies " + id)
	}
}

// frame writes what is so under every agreement: floor, dates, standing.
func (o *cedarOpinion) frame() {
	now, marking, clear := given("now"), given("marking"), ast.Long(int64(protocol.Clear))
	before := now.LessThan(ast.Long(o.From.UnixMicro()))
	over := now.GreaterThanOrEqual(ast.Long(o.Until.UnixMicro()))
	for _, end := range []time.Time{o.LegalBasis.Until, o.facts.Terminated} {
		if !end.IsZero() {
			over = over.Or(now.GreaterThanOrEqual(ast.Long(end.UnixMicro())))
		}
	}
	over = ast.Not(before).And(over)
	var surviving []ast.Node
	for _, t := range o.Topics {
		if slices.ContainsFunc(o.Clauses, func(c protocol.Clause) bool { return c.Survives && refTopic(c, t.Name) }) {
			surviving = append(surviving, ast.Resource().Equal(ast.Value(types.NewEntityUID("Topic", types.String(t.Name)))))
		}
	}
	free := given("own").Or(given("holder").And(over).And(marking.Equal(clear)).And(given("author").Access("known")))
	open := ast.Boolean(o.Visibility == protocol.Public)
	above := marking.GreaterThan(clear)
	o.add("own, and what stays open", ast.Permit().When(free))
	no := func(id string, when ast.Node) { o.add(id, ast.Forbid().When(when).Unless(free)) }
	no("unmarked", marking.Equal(ast.Long(0)))
	no("nobody's", ast.Not(given("author").Access("known")))
	no("public carries clear", open.And(above))
	no("red", marking.Equal(ast.Long(int64(protocol.Red))))
	no("strangers", ast.Not(open).And(ast.Not(ast.Principal().Access("party"))))
	no("standing", before.Or(over).And(ast.Not(every(given("holder"), over, some(surviving...)))))
	no("unvouched", every(ast.Boolean(o.facts.ClearOnly), above, ast.Not(given("holder"))))
	no("suspended", every(above, ast.Principal().Access("party"), now.LessThan(ast.Principal().Access("suspended"))))
}

// choice writes a choice of parties, of whoever has the attributes.
func choice(s protocol.Selector, of ast.Node, byID bool) ast.Node {
	var out []ast.Node
	if len(s.Parties) > 0 {
		named := cedarSet(s.Parties).Contains(of.Access("handle"))
		if byID {
			named = named.Or(cedarSet(s.Parties).Contains(of.Access("id")))
		}
		out = append(out, named)
	}
	if len(s.Kinds) > 0 {
		out = append(out, cedarSet(s.Kinds).Contains(of.Access("kind")))
	}
	if len(s.Countries) > 0 {
		out = append(out, cedarSet(s.Countries).Contains(of.Access("country")))
	}
	if len(s.Roles) > 0 {
		out = append(out, of.Access("roles").ContainsAny(cedarSet(s.Roles)))
	}
	return of.Access("party").And(every(out...))
}

// object writes what a clause asks of the object and the moment.
func object(c protocol.Clause, bare bool) ast.Node {
	now := given("now")
	var out []ast.Node
	say := func(asked bool, n func() ast.Node) {
		if asked {
			out = append(out, n())
		}
	}
	say(len(c.Topics) > 0, func() ast.Node {
		var topics []ast.Node
		for _, t := range c.Topics {
			topics = append(topics, ast.Resource().Equal(ast.Value(types.NewEntityUID("Topic", types.String(t)))))
		}
		return some(topics...)
	})
	say(len(c.Types) > 0, func() ast.Node { return cedarSet(c.Types).Contains(given("type")) })
	say(c.Max != 0, func() ast.Node { return given("marking").LessThanOrEqual(ast.Long(int64(c.Max))) })
	say(len(c.Marks) > 0, func() ast.Node {
		var marks []ast.Node
		for _, m := range c.Marks {
			marks = append(marks, given("marking").Equal(ast.Long(int64(m))))
		}
		return some(marks...)
	})
	say(!c.Starts.IsZero(), func() ast.Node { return now.GreaterThanOrEqual(ast.Long(c.Starts.UnixMicro())) })
	say(!c.Ends.IsZero(), func() ast.Node { return now.LessThan(ast.Long(c.Ends.UnixMicro())) })
	say(c.Permit && !bare, func() ast.Node {
		return cedarSet(classWords(c.If.Classes | operationalIfNone(c.If.Classes))).ContainsAll(given("classes"))
	})
	say(c.Permit && bare && c.If.Classes != 0, func() ast.Node { return cedarSet(classWords(c.If.Classes)).ContainsAll(given("classes")) })
	say(!c.Permit && c.If.Classes != 0, func() ast.Node { return given("classes").ContainsAny(cedarSet(classWords(c.If.Classes))) })
	say(c.If.PAP != 0, func() ast.Node { return given("pap").LessThanOrEqual(ast.Long(int64(c.If.PAP))) })
	say(c.If.Context, func() ast.Node { return given("context") })
	say(c.If.Confidence > 0, func() ast.Node { return given("confidence").GreaterThanOrEqual(ast.Long(c.If.Confidence)) })
	say(!c.If.Age.IsZero(), func() ast.Node {
		if months := map[protocol.PeriodUnit]int{protocol.Months: 1, protocol.Years: 12}[c.If.Age.Unit] * c.If.Age.Count; months > 0 {
			return given("dated").And(given("months").LessThan(ast.Long(months)))
		}
		span := map[protocol.PeriodUnit]time.Duration{protocol.Minutes: time.Minute, protocol.Hours: time.Hour, protocol.Days: 24 * time.Hour,
			protocol.Weeks: 7 * 24 * time.Hour}[c.If.Age.Unit] * time.Duration(c.If.Age.Count)
		return given("dated").And(now.LessThan(given("modified").Add(ast.Long(span.Microseconds()))))
	})
	return every(out...)
}

func operationalIfNone(c protocol.Class) protocol.Class {
	if c == 0 {
		return protocol.Operational
	}
	return 0
}

// serves writes for which purposes a clause counts.
func serves(purposes []string) ast.Node {
	if len(purposes) == 0 {
		return ast.True()
	}
	return given("remote").Or(cedarSet(purposes).Contains(given("purpose")))
}

// clause writes a clause of the agreement.
func (o *cedarOpinion) clause(id string, c protocol.Clause) {
	from := choice(c.From, given("author"), false)
	if refSelects(c.From, nil) {
		from = ast.True()
	}
	to := choice(c.To, ast.Principal(), false)
	if c.To.Public {
		to = ast.Boolean(c.Permit).Or(ast.Not(ast.Principal().Access("party")))
	}
	speaks := every(from, to, object(c, false))
	free := given("own").Or(given("open"))
	if !c.Permit {
		o.add(id, ast.Forbid().When(speaks).Unless(free))
		return
	}
	if c.If.Contribution != "" {
		speaks = speaks.And(given("now").LessThan(ast.Principal().Access(types.String("score-" + c.If.Contribution))))
	}
	speaks = every(speaks, serves(c.If.Purposes), ast.Not(given("over")).Or(ast.Boolean(c.Survives)))
	o.add(id, ast.Permit().When(speaks))
	if c.Then != nil && c.Then.AtRest && !o.facts.Encrypted {
		o.add(id+" at rest", ast.Forbid().When(speaks.And(ast.Not(given("remote")))).Unless(free))
	}
}

// rule writes a clause of the operator's own.
func (o *cedarOpinion) rule(id string, c protocol.LocalClause) {
	if !c.Binds(o.ID, o.Name) {
		return
	}
	party := ast.Principal().Access("party")
	var to ast.Node
	switch {
	case c.To.Public:
		to = ast.Not(party).And(ast.Not(given("self")))
	case refSelects(c.To, nil):
		to = ast.True()
	default:
		others := len(c.To.Kinds)+len(c.To.Countries)+len(c.To.Roles) > 0 || slices.ContainsFunc(o.Parties, func(p protocol.Party) bool {
			return p.ID != o.self && refChoice(c.To, &p)
		})
		to = choice(c.To, ast.Principal(), true).Or(ast.Not(party).And(ast.IfThenElse(given("self"),
			ast.Boolean(slices.Contains(c.To.Parties, o.self.String())), ast.Boolean(others))))
	}
	from := choice(c.From, given("author"), true).Or(ast.Not(given("author").Access("party")))
	p := ast.Forbid().When(every(given("mine"), from, to, object(c.Clause, false))).Unless(given("own"))
	if c.Unless != nil {
		p = p.Unless(object(protocol.Clause{Permit: true, If: *c.Unless}, true).And(serves(c.Unless.Purposes)))
	}
	o.add(id, p)
}

// allows asks Cedar whether a reader may have an object.
func (o *cedarOpinion) allows(t testing.TB, q drawn, as Reader) bool {
	writer := refParty(o.Agreement, q.author)
	author := partyRecord(q.author, writer)
	author["known"] = types.Boolean(writer != nil || refFormer(o.Agreement, q.author))
	m, _ := refMarking(o.Agreement, q.topic, q.subject)
	classes := q.subject.Classes
	for _, topic := range o.Topics {
		if topic.Name == q.topic && classes == 0 {
			classes = topic.Class
		}
	}
	if classes == 0 {
		classes = protocol.Operational
	}
	var list []types.Value
	for _, w := range classWords(classes | q.subject.Inherent) {
		list = append(list, types.String(w))
	}
	s, self := q.subject, as.Member == o.self && !o.self.IsZero()
	over := o.standing(q.now) == 1
	holder := self && !as.Remote
	months := 0
	for !s.Modified.IsZero() && months < 13 && !q.now.Before(protocol.Period{Count: months + 1, Unit: protocol.Months}.After(s.Modified)) {
		months++
	}
	modified := int64(0)
	if !s.Modified.IsZero() {
		modified = s.Modified.UnixMicro()
	}
	decision, why := cedar.Authorize(o.policies, o.entities, cedar.Request{
		Principal: types.NewEntityUID("Member", types.String(as.Member.String())),
		Action:    types.NewEntityUID("Action", "read"),
		Resource:  types.NewEntityUID("Topic", types.String(q.topic)),
		Context: types.NewRecord(types.RecordMap{
			"author": types.NewRecord(author), "type": types.String(s.Type), "marking": types.Long(m), "classes": types.NewSet(list...),
			"pap": types.Long(min(s.PAP, protocol.PAPRed)), "context": types.Boolean(s.Context), "confidence": types.Long(s.Confidence),
			"dated": types.Boolean(!s.Modified.IsZero()), "modified": types.Long(modified), "months": types.Long(months),
			"now": types.Long(q.now.UnixMicro()), "purpose": types.String(as.Purpose), "remote": types.Boolean(as.Remote), "holder": types.Boolean(holder),
			"self": types.Boolean(self), "over": types.Boolean(over), "own": types.Boolean(as.Member == q.author && !q.author.IsZero()),
			"open": types.Boolean(holder && over && m == protocol.Clear),
			"mine": types.Boolean(self || writer != nil && q.author == o.self && !o.self.IsZero()),
		}),
	})
	if len(why.Errors) > 0 {
		t.Fatalf("Cedar could not evaluate %s: %v", q.topic, why.Errors)
	}
	return decision == cedar.Allow
}

// drawnCase is an agreement with everything that is asked under it.
type drawnCase struct {
	ref       reference
	local     *protocol.LocalRules
	questions []drawn
}

func drawCase(t *rapid.T) drawnCase {
	c := drawnCase{ref: reference{drawAgreement(t), drawFacts(t), drawMember(t, "self")}}
	drawWide(t, c.ref.Agreement)
	c.local = drawLocal(t, c.ref.Agreement)
	if rapid.IntRange(0, 3).Draw(t, "party") > 0 {
		c.ref.self = member(rapid.SampledFrom(handles[:4]).Draw(t, "self"))
	}
	for range 40 {
		q := drawQuestion(t)
		if rapid.Bool().Draw(t, "given") {
			q.author = c.ref.self
		}
		c.questions = append(c.questions, q)
	}
	return c
}

// waysToAsk are all readers, in each of four ways.
func waysToAsk() (out []Reader) {
	for _, h := range append([]string{"public"}, handles...) {
		out = append(out, Reader{Member: member(h), Remote: true})
		for _, purpose := range purposes[:3] {
			out = append(out, Reader{Member: member(h), Purpose: purpose})
		}
	}
	return out
}

// TestCedarAgrees asks both engines the same random questions, 100,000 of them, or a
// million in the nightly tests.
func TestCedarAgrees(t *testing.T) {
	var asked, allowed, local, engine, other atomic.Int64
	generator := rapid.Custom(drawCase)
	seeds := make(chan int)
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for seed := range seeds {
				c := generator.Example(seed)
				o := newOpinion(c.ref, c.local)
				rules, err := CompileAgreement(c.ref.Agreement)
				if err == nil {
					rules, err = rules.Under(c.local, c.ref.self)
				}
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
					continue
				}
				e, err := NewEngine(c.ref.self, rules.With(c.ref.facts))
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
					continue
				}
				for _, q := range c.questions {
					for _, as := range waysToAsk() {
						start := time.Now()
						d := e.Read(as, c.ref.ID, q.topic, q.author, q.subject, q.now)
						between := time.Now()
						yes := o.allows(t, q, as)
						engine.Add(int64(between.Sub(start)))
						other.Add(int64(time.Since(between)))
						asked.Add(1)
						if d.Outcome == Allow {
							allowed.Add(1)
						}
						if d.Layer == Local {
							local.Add(1)
						}
						if yes != (d.Outcome == Allow) {
							t.Errorf("seed %d: Cedar allows: %v, and the engine says %s\n%+v as %+v, self %s\n%s", seed, yes, d.line(), q, as, c.ref.self.Short(),
								strings.TrimSpace(string(o.policies.MarshalCedar())))
							return
						}
					}
				}
			}
		})
	}
	for seed := range cedarAgreements {
		if t.Failed() {
			break
		}
		seeds <- seed
	}
	close(seeds)
	group.Wait()
	if !t.Failed() && (allowed.Load() < asked.Load()/50 || local.Load() < asked.Load()/500) {
		t.Errorf("the draw is lopsided: %d asked, %d allowed, %d denied by local rules", asked.Load(), allowed.Load(), local.Load())
	}
	n := max(1, asked.Load())
	t.Logf("%d requests under %d agreements: %d allowed, %d denied by local rules; the engine took %d ns each, Cedar %d ns (%.0f times as long)",
		asked.Load(), cedarAgreements, allowed.Load(), local.Load(), engine.Load()/n, other.Load()/n, float64(other.Load())/float64(max(1, engine.Load())))
}
