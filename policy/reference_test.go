package policy

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"entente/protocol"
)

// The reference decides for one reader at a time by the words of the package
// comment, clause by clause over the document as it stands, without numbers,
// sets, classes or a cache.

// answer is what the reference says: the outcome, who decided, and by what.
type answer struct {
	outcome Outcome
	layer   Layer
	clause  string
	duties  string
}

// reference is one version of an agreement with facts, at a node of self.
type reference struct {
	*protocol.Agreement
	facts Facts
	self  protocol.MemberID
}

func refParty(a *protocol.Agreement, id protocol.MemberID) *protocol.Party {
	for i := range a.Parties {
		if a.Parties[i].ID == id {
			return &a.Parties[i]
		}
	}
	return nil
}

func refFormer(a *protocol.Agreement, id protocol.MemberID) bool {
	return refParty(a, id) == nil && slices.ContainsFunc(a.Cuts, func(c protocol.Cut) bool { return c.Member == id })
}

// refSelects: all conditions that are given must hold; nil is no party.
func refSelects(s protocol.Selector, p *protocol.Party) bool {
	if p == nil {
		return len(s.Parties)+len(s.Kinds)+len(s.Countries)+len(s.Roles) == 0
	}
	role := len(s.Roles) == 0
	for _, r := range p.Roles {
		role = role || slices.Contains(s.Roles, r)
	}
	return role && (len(s.Parties) == 0 || slices.Contains(s.Parties, p.Handle)) &&
		(len(s.Kinds) == 0 || slices.Contains(s.Kinds, p.Kind)) &&
		(len(s.Countries) == 0 || slices.Contains(s.Countries, p.Country))
}

// to: does the clause give to (or keep from) the reader; nil is the public.
func (r reference) to(c protocol.Clause, reader *protocol.Party, now time.Time) bool {
	if c.To.Public {
		return reader == nil || c.Permit
	}
	if reader == nil || !refSelects(c.To, reader) {
		return false
	}
	return c.If.Contribution == "" || now.Before(r.facts.Entitled[c.If.Contribution][reader.ID])
}

func (r reference) suspended(p *protocol.Party, now time.Time) bool {
	return p != nil && (p.Suspended || now.Before(r.facts.Suspended[p.ID]))
}

// standing: not yet, in force, or over.
func (r reference) standing(now time.Time) int {
	switch {
	case now.Before(r.From):
		return -1
	case !now.Before(r.Until), !r.LegalBasis.Until.IsZero() && !now.Before(r.LegalBasis.Until),
		!r.facts.Terminated.IsZero() && !now.Before(r.facts.Terminated):
		return 1
	}
	return 0
}

func refLive(c protocol.Clause, now time.Time) bool {
	return (c.Starts.IsZero() || !now.Before(c.Starts)) && (c.Ends.IsZero() || now.Before(c.Ends))
}

func refTopic(c protocol.Clause, topic string) bool {
	return len(c.Topics) == 0 || slices.Contains(c.Topics, topic)
}

// ask is a question about one object, in the words of the document.
type ask struct {
	topic   string
	author  protocol.MemberID
	subject Subject
	marking protocol.Marking
	now     time.Time
}

// object: does the clause speak of such an object.
func (r reference) object(c protocol.Clause, q ask) bool {
	s, classes := q.subject, q.subject.Classes
	for _, t := range r.Topics {
		if t.Name == q.topic && classes == 0 {
			classes = t.Class
		}
	}
	if classes == 0 {
		classes = protocol.Operational
	}
	classes |= s.Inherent
	for bit := protocol.Class(1); bit != 0; bit <<= 1 {
		named := c.If.Classes&bit != 0 || c.If.Classes == 0 && bit == protocol.Operational
		if c.Permit && classes&bit != 0 && !named {
			return false
		}
	}
	if !c.Permit && c.If.Classes != 0 && classes&c.If.Classes == 0 {
		return false
	}
	if !c.If.Age.IsZero() && (s.Modified.IsZero() || !q.now.Before(c.If.Age.After(s.Modified))) {
		return false
	}
	return (len(c.Types) == 0 || slices.Contains(c.Types, s.Type)) &&
		(c.Max == protocol.NoMarking || q.marking <= c.Max) && (len(c.Marks) == 0 || slices.Contains(c.Marks, q.marking)) &&
		(c.If.PAP == protocol.NoPAP || min(s.PAP, protocol.PAPRed) <= c.If.PAP) &&
		(!c.If.Context || s.Context) && (c.If.Confidence == 0 || s.Confidence >= c.If.Confidence)
}

// clause: does it speak of the question, for this reader.
func (r reference) clause(c protocol.Clause, q ask, reader *protocol.Party) bool {
	return refLive(c, q.now) && refTopic(c, q.topic) && refSelects(c.From, refParty(r.Agreement, q.author)) && r.to(c, reader, q.now) && r.object(c, q)
}

// reader decides for one reader other than the author.
func (r reference) reader(q ask, as Reader) answer {
	a, m := r.Agreement, q.marking
	p := refParty(a, as.Member)
	holder := as.Member == r.self && !r.self.IsZero() && !as.Remote
	over := r.standing(q.now) == 1
	switch {
	case holder && over && m == protocol.Clear:
		return answer{Allow, Floor, "", ""}
	case a.Visibility == protocol.Public && m > protocol.Clear:
		return answer{Refuse, Floor, "", ""}
	case m == protocol.Red, p == nil && a.Visibility == protocol.Private && m > protocol.Clear:
		return answer{Withhold, Floor, "", ""}
	case r.facts.ClearOnly && r.standing(q.now) == 0 && m > protocol.Clear && !holder:
		return answer{Withhold, Governing, "", ""}
	case p == nil && a.Visibility == protocol.Private:
		return answer{Withhold, Governing, "", ""}
	}
	surviving := false
	for _, c := range a.Clauses {
		surviving = surviving || c.Survives && refTopic(c, q.topic)
	}
	if r.standing(q.now) != 0 && !(holder && over && surviving) {
		return answer{Refuse, Governing, "", ""}
	}
	if m > protocol.Clear && r.suspended(p, q.now) {
		return answer{Withhold, Governing, "", ""}
	}
	for _, c := range a.Clauses {
		if !c.Permit && r.clause(c, q, p) {
			return answer{Withhold, Governing, c.Number, ""}
		}
	}
	return r.permits(q, as, p, over)
}

// permits asks the clauses that permit, once none forbids.
func (r reference) permits(q ask, as Reader, p *protocol.Party, over bool) answer {
	first, wanted := "", false
	for _, c := range r.Clauses {
		if !c.Permit || !r.clause(c, q, p) || over && !c.Survives {
			continue
		}
		if !refServes(c, as) {
			wanted = true
		} else if first == "" {
			first = c.Number
		}
	}
	all := refDuties(r.owed(q, as))
	switch {
	case first == "" && over && !wanted:
		return answer{Refuse, Governing, "", ""}
	case first == "", !as.Remote && all.AtRest && !r.facts.Encrypted:
		return answer{Withhold, Governing, "", ""}
	}
	return answer{Allow, Governing, first, DutiesText(&all)}
}

// refServes: does the reader state a purpose that the clause is for, if it must.
func refServes(c protocol.Clause, as Reader) bool {
	return len(c.If.Purposes) == 0 || as.Remote || slices.Contains(c.If.Purposes, as.Purpose)
}

// owed lists what the clauses demand that permit a reader.
func (r reference) owed(q ask, as Reader) (list []*protocol.Obligations) {
	over := r.standing(q.now) == 1
	for _, c := range r.Clauses {
		if c.Permit && r.clause(c, q, refParty(r.Agreement, as.Member)) && refServes(c, as) && (!over || c.Survives) {
			list = append(list, c.Then)
		}
	}
	return list
}

// refDuties takes the strictest of each kind, kind by kind.
func refDuties(list []*protocol.Obligations) (all protocol.Obligations) {
	list = slices.DeleteFunc(list, func(o *protocol.Obligations) bool { return o == nil })
	rough := func(p protocol.Period) int64 { // longer ones later, of equal ones the smaller unit first; none last
		seconds := []int64{0, 60, 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400}[p.Unit] * int64(p.Count)
		if p.IsZero() {
			return 1 << 62
		}
		return seconds*10 + int64(p.Unit)
	}
	any := func(has func(o *protocol.Obligations) bool) bool { return slices.ContainsFunc(list, has) }
	for _, thing := range protocol.RedactionThings() {
		switch {
		case any(func(o *protocol.Obligations) bool { return slices.Contains(o.Redact, thing) }):
			all.Redact = append(all.Redact, thing)
		case any(func(o *protocol.Obligations) bool { return slices.Contains(o.Pseudonymise, thing) }):
			all.Pseudonymise = append(all.Pseudonymise, thing)
		}
	}
	limited := any(func(o *protocol.Obligations) bool { return len(o.Actions) > 0 })
	for _, act := range protocol.PermittedActions() {
		if limited && !any(func(o *protocol.Obligations) bool { return len(o.Actions) > 0 && !slices.Contains(o.Actions, act) }) {
			all.Actions = append(all.Actions, act)
		}
	}
	if limited && all.Actions == nil {
		all.Actions = []string{"none"}
	}
	var licences []string
	for _, o := range list {
		if rough(o.Retain) < rough(all.Retain) {
			all.Retain = o.Retain
		}
		if rough(o.Review) < rough(all.Review) {
			all.Review = o.Review
		}
		if o.Embargo.After(all.Embargo) {
			all.Embargo = o.Embargo
		}
		if o.Onward != 0 && (all.Onward == 0 || o.Onward < all.Onward) {
			all.Onward = o.Onward
		}
		all.Attribution, all.Notify, all.AtRest = max(all.Attribution, o.Attribution), max(all.Notify, o.Notify), all.AtRest || o.AtRest
		if o.Licence != "" && !slices.Contains(licences, o.Licence) {
			licences = append(licences, o.Licence)
		}
	}
	slices.Sort(licences)
	all.Licence = strings.Join(licences, "\n")
	return all
}

// reads: some live permitting clause names the reader, and no live clause
// forbids it everything.
func (r reference) reads(topic string, reader *protocol.Party, now time.Time) bool {
	reads := false
	for _, c := range r.Clauses {
		if !refLive(c, now) || !refTopic(c, topic) || !r.to(c, reader, now) {
			continue
		}
		if !c.Permit && refSelects(c.From, nil) && len(c.Types) == 0 && len(c.Marks) == 0 && (c.Max == 0 || c.Max == protocol.Red) && reflect.ValueOf(c.If).IsZero() {
			return false
		}
		reads = reads || c.Permit
	}
	return reads
}

// refMarking is the marking that counts; ok is false where there is none.
func refMarking(a *protocol.Agreement, topic string, s Subject) (m protocol.Marking, ok bool) {
	m = s.Marking
	for _, t := range a.Topics {
		if t.Name == topic && m == protocol.NoMarking {
			m = t.Default
		}
	}
	if s.Problem != "" || m > protocol.Red {
		m = protocol.Red
	}
	return m, m != protocol.NoMarking
}

// verdict is what the reference says of a topic: the readers and the denied are
// in the order of their ids.
type verdict struct {
	outcome Outcome
	readers []string
	denied  []string
	duties  string
}

// outbound asks for every reader of the topic.
func (r reference) outbound(topic string, author protocol.MemberID, s Subject, now time.Time) verdict {
	a := r.Agreement
	m, ok := refMarking(a, topic, s)
	writer := refParty(a, author)
	switch {
	case !ok || writer == nil, a.Visibility == protocol.Public && m > protocol.Clear:
		return verdict{outcome: Refuse}
	case m != protocol.Red && r.standing(now) != 0:
		return verdict{outcome: Refuse}
	case m != protocol.Red && (r.suspended(writer, now) || r.facts.ClearOnly && m > protocol.Clear):
		return verdict{outcome: Withhold}
	}
	readers := []protocol.MemberID{author}
	var denied []string
	var all []*protocol.Obligations
	candidates := []protocol.MemberID{{}}
	for _, p := range a.Parties {
		candidates = append(candidates, p.ID)
	}
	slices.SortFunc(candidates, func(x, y protocol.MemberID) int { return bytes.Compare(x[:], y[:]) })
	q := ask{topic, author, s, m, now}
	for _, id := range candidates {
		p := refParty(a, id)
		if id == author || id.IsZero() && a.Visibility == protocol.Private || !r.reads(topic, p, now) || m > protocol.Clear && r.suspended(p, now) {
			continue
		}
		got := r.reader(q, Reader{Member: id, Remote: true})
		if got.outcome != Allow {
			denied = append(denied, fmt.Sprint(id.Short(), got))
			continue
		}
		readers = append(readers, id)
		all = append(all, r.owed(q, Reader{Member: id, Remote: true})...)
	}
	slices.SortFunc(readers, func(x, y protocol.MemberID) int { return bytes.Compare(x[:], y[:]) })
	switch combined := refDuties(all); {
	case m == protocol.Red:
		return verdict{Withhold, short(readers), denied, ""}
	case len(readers) == 1:
		return verdict{Refuse, nil, denied, ""}
	case len(denied) > 0:
		return verdict{Withhold, short(readers), denied, ""}
	default:
		return verdict{Allow, short(readers), nil, DutiesText(&combined)}
	}
}

// inbound: may self take it.
func (r reference) inbound(topic string, author protocol.MemberID, s Subject, now time.Time) bool {
	m, ok := refMarking(r.Agreement, topic, s)
	writer := refParty(r.Agreement, author)
	switch {
	case !ok || writer == nil && !refFormer(r.Agreement, author):
		return false
	case author == r.self:
		return true
	case s.Header != 0 && m > s.Header, r.suspended(writer, now), r.facts.ClearOnly && m > protocol.Clear:
		return false
	}
	q := ask{topic, author, s, m, now}
	got := r.reader(q, Reader{Member: r.self, Remote: true})
	if got.outcome == Allow && strings.Contains(got.duties, "on encrypted disks") && !r.facts.Encrypted {
		return false
	}
	return got.outcome == Allow && (s.Version != 0 && s.Version < r.Version || r.topicHasAll(q))
}

// topicHasAll: may every reader of the topic have it, and is there one.
func (r reference) topicHasAll(q ask) bool {
	some := false
	for _, p := range append(slices.Clone(r.Parties), protocol.Party{}) {
		reader := refParty(r.Agreement, p.ID)
		if p.ID == q.author || p.ID.IsZero() && r.Visibility == protocol.Private || !r.reads(q.topic, reader, q.now) || q.marking > protocol.Clear && r.suspended(reader, q.now) {
			continue
		}
		if r.reader(q, Reader{Member: p.ID, Remote: true}).outcome != Allow {
			return false
		}
		some = true
	}
	return some
}

func short(ids []protocol.MemberID) []string {
	var list []string
	for _, id := range ids {
		list = append(list, id.Short())
	}
	return list
}

// readAnswer gives a decision in the form of the reference.
func readAnswer(d Decision) answer {
	return answer{d.Outcome, d.Layer, d.Clause, DutiesText(d.Duties)}
}

func readVerdict(v Verdict) verdict {
	got := verdict{outcome: v.Outcome, readers: short(v.Readers), duties: DutiesText(v.Duties)}
	for _, d := range v.Denied {
		got.denied = append(got.denied, fmt.Sprint(d.Reader.Short(), readAnswer(d.Decision)))
	}
	return got
}

// TestReference holds the engine to the reference on random agreements.
func TestReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ref := reference{drawAgreement(t), drawFacts(t), drawMember(t, "self")}
		e := compileDrawn(t, ref.self, ref.facts, ref.Agreement)
		for range 30 {
			q := drawQuestion(t)
			if rapid.Bool().Draw(t, "own use") {
				q.reader, q.remote = ref.self, false
			}
			m, marked := refMarking(ref.Agreement, q.topic, q.subject)
			known := marked && (refParty(ref.Agreement, q.author) != nil || refFormer(ref.Agreement, q.author))
			v := e.Outbound(ref.ID, q.topic, q.author, q.subject, q.now)
			if got, want := readVerdict(v), ref.outbound(q.topic, q.author, q.subject, q.now); !reflect.DeepEqual(got, want) {
				t.Fatalf("outbound %+v\n got %+v (%s)\nwant %+v", q, got, v.Text, want)
			}

			as := Reader{Member: q.reader, Purpose: q.purpose, Remote: q.remote}
			want := answer{Allow, Floor, "", ""}
			if q.reader != q.author || q.author.IsZero() {
				want = ref.reader(ask{q.topic, q.author, q.subject, m, q.now}, as)
			}
			d := e.Read(as, ref.ID, q.topic, q.author, q.subject, q.now)
			if got := readAnswer(d); known && got != want {
				t.Fatalf("read %+v\n got %v (%s)\nwant %v", q, got, d.Text, want)
			}
			if !known && d.Outcome == Allow && q.reader != q.author {
				t.Fatalf("read %+v: allowed without marking or author", q)
			}

			allowed := ref.inbound(q.topic, q.author, q.subject, q.now)
			if d := e.Inbound(ref.ID, q.topic, q.author, q.subject, q.now); (d.Outcome == Allow) != allowed || d.Outcome == Withhold {
				t.Fatalf("inbound %+v: got %+v, want allowed %v", q, d, allowed)
			}
		}
	})
}

// TestExpires holds decisions to the moment at which they expire: until then the
// same question has the same answer.
func TestExpires(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawAgreement(t), drawAgreement(t)
		b.Version = 4
		drawWide(t, a)
		drawWide(t, b)
		origin := drawAgreement(t)
		origin.ID = protocol.AgreementID{2}
		for i := range origin.Clauses {
			origin.Clauses[i].Everywhere = !origin.Clauses[i].Permit
		}
		e := compileDrawn(t, member("bank"), drawFacts(t), [][]*protocol.Agreement{{origin, a}, {origin, a, b}}[rapid.IntRange(0, 1).Draw(t, "versions")]...)
		for range 20 {
			q := drawQuestion(t)
			if rapid.Bool().Draw(t, "origin") {
				q.subject.Origins = []Origin{{origin.ID, "iocs", member("bank"), drawSubject(t)}}
			}
			later := func(d Decision) time.Time {
				end := d.Expires
				if end.IsZero() {
					end = testUntil.AddDate(200, 0, 0)
				}
				if !end.After(q.now) {
					t.Fatalf("%+v expired at %v", d, q.now)
				}
				at := []time.Time{end.Add(-time.Microsecond), q.now.Add(end.Sub(q.now) / 2).Truncate(time.Microsecond)}
				for _, m := range moments {
					if m.After(q.now) && m.Before(end) {
						at = append(at, m)
					}
				}
				return rapid.SampledFrom(at).Draw(t, "later")
			}
			ask := map[string]func(time.Time) Decision{
				"outbound": func(now time.Time) Decision {
					return e.Outbound(a.ID, q.topic, q.author, q.subject, now).Decision
				},
				"inbound": func(now time.Time) Decision { return e.Inbound(a.ID, q.topic, q.author, q.subject, now) },
				"read": func(now time.Time) Decision {
					return e.Read(Reader{q.reader, q.purpose, q.remote}, a.ID, q.topic, q.author, q.subject, now)
				},
			}
			for _, name := range []string{"outbound", "inbound", "read"} {
				first := ask[name](q.now)
				if then := later(first); readAnswer(ask[name](then)) != readAnswer(first) {
					t.Fatalf("%s %+v\n now %+v\n at %v %+v", name, q, first, then, ask[name](then))
				}
			}
		}
	})
}

// TestCachedIsUncached asks one engine many questions, in any order of time,
// and holds every answer to that of an engine that was never asked before.
func TestCachedIsUncached(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, facts := drawAgreement(t), drawFacts(t)
		warm := compileDrawn(t, member("bank"), facts, a)
		for range 40 {
			q := drawQuestion(t)
			cold := compileDrawn(t, member("bank"), facts, a)
			ask := func(e *Engine) []any {
				return []any{
					e.Outbound(a.ID, q.topic, q.author, q.subject, q.now),
					e.Inbound(a.ID, q.topic, q.author, q.subject, q.now),
					e.Read(Reader{Member: q.reader, Purpose: q.purpose, Remote: q.remote}, a.ID, q.topic, q.author, q.subject, q.now),
				}
			}
			if got, want := ask(warm), ask(cold); !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v\n warm %+v\n cold %+v", q, got, want)
			}
		}
	})
}
