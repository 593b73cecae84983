package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"entente/protocol"
)

// TestJointReference holds several versions of one agreement to the intersection
// of what the reference says of each.
func TestJointReference(t *testing.T) {
	allowed := 0
	rapid.Check(t, func(t *rapid.T) {
		self, facts := drawMember(t, "self"), drawFacts(t)
		var refs []reference
		var all []*protocol.Agreement
		for i := range rapid.IntRange(2, 3).Draw(t, "versions") {
			a := drawAgreement(t)
			a.Visibility, a.Version, a.Hash = protocol.Private, uint64(5-i/2), protocol.Hash{byte(i)} // the last two are a fork
			for k := range a.Clauses {
				a.Clauses[k].To.Public = false
			}
			drawWide(t, a)
			if i == 1 {
				a.Version = 4
				a.Parties = a.Parties[:3]
				for k := range a.Clauses {
					a.Clauses[k].From.Parties, a.Clauses[k].To.Parties = nil, nil
				}
			}
			refs, all = append(refs, reference{a, facts, self}), append(all, a)
		}
		slices.Reverse(all)
		e := compileDrawn(t, self, facts, all...)
		for range 20 {
			q := drawQuestion(t)
			v := e.Outbound(refs[0].ID, q.topic, q.author, q.subject, q.now)
			want := joinReference(refs, q)
			if v.Outcome == Allow {
				allowed++
			}
			if got := readVerdict(v); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("outbound %+v\n got %+v (%s)\nwant %+v", q, got, v.Text, want)
			}
			take := true
			for _, r := range refs {
				take = take && r.inbound(q.topic, q.author, q.subject, q.now)
			}
			if d := e.Inbound(refs[0].ID, q.topic, q.author, q.subject, q.now); (d.Outcome == Allow) != take {
				t.Fatalf("inbound %+v\n got %+v, want allowed %v", q, d, take)
			}
			joinRead(t, e, refs, q)
		}
	})
	proportionate(t)
	if allowed < 10 {
		t.Errorf("allowed %d times only", allowed)
	}
	t.Logf("allowed %d times", allowed)
}

// proportionate ends a test that has passed before it looks at how often what it
// is about was drawn at all, where that is seldom.
func proportionate(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a short run draws too little for its proportions to mean anything")
	}
}

// joinReference is the verdict of all versions together.
func joinReference(refs []reference, q drawn) verdict {
	var joint verdict
	var owed []*protocol.Obligations
	denied := map[string]string{}
	for i, r := range refs {
		v := r.outbound(q.topic, q.author, q.subject, q.now)
		if i == 0 {
			joint = v
		}
		if joint.outcome == Allow {
			joint.outcome = v.outcome
		}
		joint.readers = slices.DeleteFunc(joint.readers, func(id string) bool { return !slices.Contains(v.readers, id) })
		for _, d := range v.denied {
			id, _, _ := strings.Cut(d, "{")
			if denied[id] == "" {
				denied[id] = d
			}
		}
		if v.outcome == Allow {
			m, _ := refMarking(r.Agreement, q.topic, q.subject)
			for _, id := range handles {
				if member(id) != q.author && slices.Contains(v.readers, member(id).Short()) {
					owed = append(owed, r.owed(ask{q.topic, q.author, q.subject, m, q.now}, Reader{Member: member(id), Remote: true})...)
				}
			}
		}
	}
	joint.denied, joint.duties = nil, ""
	for _, d := range denied {
		joint.denied = append(joint.denied, d)
	}
	slices.Sort(joint.denied)
	if joint.outcome == Allow && len(joint.readers) < 2 {
		joint.outcome, joint.readers = Refuse, nil
	}
	if joint.outcome == Allow {
		all := refDuties(owed)
		joint.duties = DutiesText(&all)
	}
	return joint
}

func joinRead(t *rapid.T, e *Engine, refs []reference, q drawn) {
	as := Reader{Member: q.reader, Purpose: q.purpose, Remote: q.remote}
	if q.reader == q.author {
		return
	}
	want := answer{outcome: Allow}
	var owed []*protocol.Obligations
	for i, r := range refs {
		m, ok := refMarking(r.Agreement, q.topic, q.subject)
		if !ok || refParty(r.Agreement, q.author) == nil && !refFormer(r.Agreement, q.author) {
			return // held to the reference by TestReference
		}
		question := ask{q.topic, q.author, q.subject, m, q.now}
		got := r.reader(question, as)
		if i == 0 || got.outcome != Allow {
			want = got
		}
		if got.outcome != Allow {
			break
		}
		if got.layer != Floor { // CLEAR after the end owes nothing
			owed = append(owed, r.owed(question, as)...)
		}
	}
	if want.outcome == Allow {
		all := refDuties(owed)
		want.duties = DutiesText(&all)
	}
	if d := e.Read(as, refs[0].ID, q.topic, q.author, q.subject, q.now); readAnswer(d) != want {
		t.Fatalf("read %+v\n got %+v (%s)\nwant %+v", q, readAnswer(d), d.Text, want)
	}
}

// TestFollowReference holds what goes out under one agreement to what another,
// under which it came here, forbids everywhere.
func TestFollowReference(t *testing.T) {
	kept := 0
	rapid.Check(t, func(t *rapid.T) {
		under, origin := drawAgreement(t), drawAgreement(t)
		origin.ID = protocol.AgreementID{2}
		for i := range origin.Clauses {
			c := &origin.Clauses[i]
			c.Everywhere = c.Everywhere || !c.Permit
		}
		drawWide(t, under)
		e := compileDrawn(t, member("bank"), Facts{}, under, origin)
		for range 20 {
			q := drawQuestion(t)
			q.subject.Origins = []Origin{{origin.ID, "iocs", drawMember(t, "origin"), drawSubject(t)}}
			plain := q.subject
			plain.Origins = nil
			before := e.Outbound(under.ID, q.topic, q.author, plain, q.now)
			v := e.Outbound(under.ID, q.topic, q.author, q.subject, q.now)
			var readers []protocol.MemberID
			lost := 0
			for _, id := range before.Readers {
				if id == q.author || !refFollow(origin, under, q, id) {
					readers = append(readers, id)
				} else {
					lost++
				}
			}
			kept += lost
			if !slices.Equal(readers, v.Readers) || len(v.Denied) != len(before.Denied)+lost || (v.Outcome == Allow) != (before.Outcome == Allow && lost == 0) {
				t.Fatalf("outbound %+v\nwithout origin %+v\n got %+v\nwant readers %v", q, before, v, short(readers))
			}
			as := Reader{Member: q.reader, Remote: true}
			want := e.Read(as, under.ID, q.topic, q.author, plain, q.now).Outcome == Allow && (q.reader == q.author || !refFollow(origin, under, q, q.reader))
			if d := e.Read(as, under.ID, q.topic, q.author, q.subject, q.now); (d.Outcome == Allow) != want {
				t.Fatalf("read %+v\n got %+v", q, d)
			}
		}
	})
	proportionate(t)
	if kept < 5 {
		t.Errorf("clauses followed an object %d times only", kept)
	}
	t.Logf("clauses followed an object %d times", kept)
}

// refFollow: does a clause of the origin that forbids everywhere keep it from the
// reader.
func refFollow(origin, under *protocol.Agreement, q drawn, reader protocol.MemberID) bool {
	o, mine, theirs := q.subject.Origins[0], refParty(origin, reader), refParty(under, reader)
	for _, c := range origin.Clauses {
		if !c.Everywhere || !refLive(c, q.now) || !refTopic(c, o.Topic) || !refSelects(c.From, refParty(origin, o.Author)) {
			continue
		}
		reached := reader.IsZero() || refSelects(c.To, nil) && !c.To.Public || c.To.Public && mine == nil || mine != nil && !c.To.Public && refSelects(c.To, mine)
		if theirs != nil && !c.To.Public {
			as := *theirs
			as.Handle = ""
			if mine != nil {
				as.Handle = mine.Handle
			}
			reached = reached || refSelects(c.To, &as)
		}
		if reached && (refCovers(origin, c, o.Topic, o.Subject, q.now) || refCovers(origin, c, o.Topic, q.subject, q.now)) {
			return true
		}
	}
	return false
}

// refCovers: a marking that is in doubt may be any.
func refCovers(a *protocol.Agreement, c protocol.Clause, topic string, s Subject, now time.Time) bool {
	m, ok := refMarking(a, topic, s)
	for any := protocol.Clear; any <= protocol.Red; any++ {
		if (any == m || !ok || s.Problem != "") && (reference{Agreement: a}).object(c, ask{topic, protocol.MemberID{}, s, any, now}) {
			return true
		}
	}
	return false
}

// TestStray has an object whose origin is no agreement that is known: nobody can
// say what that forbids.
func TestStray(t *testing.T) {
	e := compileOne(t, "bank", alliance(protocol.Clause{Number: "1", Permit: true, Text: "all"}))
	s := Subject{Type: "indicator", Marking: protocol.Clear, Origins: []Origin{{Agreement: protocol.AgreementID{9}, Topic: "iocs"}}}
	v := e.Outbound(protocol.AgreementID{1}, "iocs", member("bank"), s, testNow)
	if v.Outcome != Refuse || len(v.Denied) != 2 || v.Text != textStray {
		t.Errorf("%+v", v)
	}
	s.Origins[0].Agreement = protocol.AgreementID{1}
	if v := e.Outbound(protocol.AgreementID{1}, "iocs", member("bank"), s, testNow); v.Outcome != Allow {
		t.Errorf("an origin that forbids nothing: %+v", v)
	}
}

// TestFollowPublic keeps from the public what is kept from anybody: there whoever
// is meant could read it.
func TestFollowPublic(t *testing.T) {
	origin := alliance(protocol.Clause{Number: "1", Text: "not to the vendor", To: protocol.Selector{Parties: []string{"vendor"}}, Everywhere: true})
	feed := alliance(protocol.Clause{Number: "1", Permit: true, Text: "all to anyone", To: protocol.Selector{Public: true}})
	feed.ID, feed.Visibility, feed.Topics[0].Default = protocol.AgreementID{2}, protocol.Public, protocol.Clear
	e, err := Compile(member("bank"), []*protocol.Agreement{origin, feed})
	if err != nil {
		t.Fatal(err)
	}
	s := Subject{Type: "indicator", Marking: protocol.Clear}
	if v := e.Outbound(feed.ID, "iocs", member("bank"), s, testNow); v.Outcome != Allow || len(v.Readers) != 4 {
		t.Errorf("without origin: %+v", v)
	}
	s.Origins = []Origin{{origin.ID, "iocs", member("cert"), s}}
	v := e.Outbound(feed.ID, "iocs", member("bank"), s, testNow)
	if v.Outcome != Withhold || v.Agreement != origin.ID || fmt.Sprint(short(v.Readers)) != fmt.Sprint(short([]protocol.MemberID{member("cert"), member("bank")})) {
		t.Errorf("%+v", v)
	}
	if d := e.Read(Reader{}, feed.ID, "iocs", member("bank"), s, testNow); d.Outcome != Withhold || d.Clause != "1" {
		t.Errorf("the public: %+v", d)
	}
}

// TestJointBarred has a party that only the older version knows, and one that the
// newer suspends: neither reads.
func TestJointBarred(t *testing.T) {
	old := alliance(protocol.Clause{Number: "1", Permit: true, Text: "all"})
	next := alliance(protocol.Clause{Number: "1", Permit: true, Text: "all"})
	next.Version, next.Hash, next.Parties = 4, protocol.Hash{1}, next.Parties[:2]
	rules := func(a *protocol.Agreement) *Rules {
		r, err := CompileAgreement(a)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	e, err := NewEngine(member("bank"), rules(old), rules(next))
	if err != nil {
		t.Fatal(err)
	}
	if e.Rules(old.ID).Agreement().Version != 4 {
		t.Error("the newest version does not lead")
	}
	if barred, _ := e.Barred(old.ID, "iocs", testNow); !slices.Equal(barred, []protocol.MemberID{member("cert")}) {
		t.Errorf("barred %v", short(barred))
	}
	until := testNow.Add(time.Hour)
	next.Hash[0]++
	e, err = NewEngine(member("bank"), rules(old), rules(next).With(Facts{Suspended: map[protocol.MemberID]time.Time{member("vendor"): until}}))
	if err != nil {
		t.Fatal(err)
	}
	if barred, at := e.Barred(old.ID, "iocs", testNow); len(barred) != 2 || !at.Equal(until) {
		t.Errorf("barred %v until %v", short(barred), at)
	}
	s := Subject{Type: "indicator", Marking: protocol.Green}
	if v := e.Outbound(old.ID, "iocs", member("bank"), s, testNow); v.Outcome != Refuse || v.Text != textNobody {
		t.Errorf("only the author reads: %+v", v)
	}
	if v := e.Outbound(old.ID, "iocs", member("bank"), s, until); v.Outcome != Allow || len(v.Readers) != 2 {
		t.Errorf("after the suspension: %+v", v)
	}
}
