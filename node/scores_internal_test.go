package node

import (
	"fmt"
	"testing"
	"time"

	"entente/protocol"
)

// newGivers is a forum with a contribution, under two versions that both name it.
func newGivers(t *testing.T) *forum {
	f := newForum(t)
	doc := f.g.doc
	doc.From = f.at
	doc.Scores = []protocol.Contribution{{
		Name: "giving", Topics: []string{"finds"}, Objects: 10, Within: protocol.Period{Count: 30, Unit: protocol.Days},
		Signers: 2, Entitles: protocol.Period{Count: 10, Unit: protocol.Days},
	}}
	old := *doc
	old.Hash = protocol.Hash{9}
	old.Scores = []protocol.Contribution{doc.Scores[0]}
	old.Scores[0].Types = []string{"indicator"}
	doc.Version = 2
	f.g.versions = []kept[*protocol.Agreement]{{parsed: &old}, {parsed: doc}}
	f.g.valid = map[protocol.Hash]protocol.SignedVersion{old.Hash: {Agreement: &old}, doc.Hash: {Agreement: doc}}
	f.g.acting = []*protocol.Agreement{doc}
	f.g.bound, f.g.halted = map[protocol.MemberID]bool{}, map[protocol.MemberID]halt{}
	for _, p := range doc.Parties {
		f.g.bound[p.ID] = true
	}
	return f
}

// score has a member sign what another one has given.
func (f *forum) score(by, party string, count uint64, at time.Time, change ...func(*protocol.Statement)) {
	f.t.Helper()
	s := protocol.Statement{
		Kind: protocol.Score, Agreement: f.g.doc.ID, Version: 2, Head: f.g.doc.Hash, Member: f.id(by), Time: at,
		Party: f.id(party), Name: "giving", Count: count, Frontier: protocol.Hash{7},
	}
	for _, c := range change {
		c(&s)
	}
	f.say(s, by+" 1")
}

// entitles tells who is entitled at a moment, and for how many days more.
func (f *forum) entitles(now time.Time) string {
	out := ""
	f.w.made = now
	entitled := f.w.entitled(f.g, f.said, now)["giving"]
	for _, p := range f.g.doc.Parties {
		if until, ok := entitled[p.ID]; ok {
			out += fmt.Sprintf("%s %.0f ", p.Handle, until.Sub(now).Hours()/24)
		}
	}
	return out
}

func TestScores(t *testing.T) {
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		make func(f *forum)
		want string // three days later
	}{
		"nobody signs":       {func(*forum) {}, ""},
		"one of two":         {func(f *forum) { f.score("bank", "vendor", 10, f.at) }, ""},
		"two":                {func(f *forum) { f.score("bank", "vendor", 10, f.at); f.score("one", "vendor", 12, f.at.Add(day)) }, "vendor 7 "},
		"one twice":          {func(f *forum) { f.score("bank", "vendor", 10, f.at); f.score("bank", "vendor", 10, f.at.Add(day)) }, ""},
		"the party itself":   {func(f *forum) { f.score("bank", "vendor", 10, f.at); f.score("vendor", "vendor", 10, f.at) }, ""},
		"one counts too few": {func(f *forum) { f.score("bank", "vendor", 10, f.at); f.score("one", "vendor", 9, f.at) }, ""},
		"one takes it back":  {func(f *forum) { f.both(); f.score("one", "vendor", 9, f.at.Add(day)) }, ""},
		"a third steps in":   {func(f *forum) { f.both(); f.score("two", "vendor", 11, f.at.Add(2*day)) }, "vendor 7 "},
		"it is renewed": {func(f *forum) {
			f.both()
			f.score("bank", "vendor", 10, f.at.Add(day))
			f.score("one", "vendor", 10, f.at.Add(2*day))
		}, "vendor 8 "},
		"an older comes late": {func(f *forum) { f.both(); f.score("one", "vendor", 9, f.at.Add(-day)) }, "vendor 7 "},
		"they ran out":        {func(f *forum) { f.score("bank", "vendor", 10, f.at.Add(-8*day)); f.score("one", "vendor", 10, f.at) }, ""},
		"a signer is suspended": {func(f *forum) {
			f.both()
			f.g.halted[f.id("one")] = halt{until: f.at.AddDate(0, 1, 0)}
		}, ""},
		"a signer is not bound": {func(f *forum) { f.both(); delete(f.g.bound, f.id("one")) }, ""},
		"another version counts other things": {func(f *forum) {
			f.both()
			f.score("one", "vendor", 10, f.at.Add(day), func(s *protocol.Statement) { s.Version, s.Head = 1, protocol.Hash{9} })
		}, ""},
		"a version that is not here": {func(f *forum) {
			f.both()
			f.score("one", "vendor", 10, f.at.Add(day), func(s *protocol.Statement) { s.Version, s.Head = 3, protocol.Hash{8} })
		}, ""},
		"another key": {func(f *forum) {
			f.both()
			f.score("two", "vendor", 10, f.at, func(s *protocol.Statement) { s.Member = f.id("one"); s.Time = f.at.Add(day) })
		}, ""},
		"grace": {func(f *forum) {
			f.g.doc.Scores[0].Grace = protocol.Period{Count: 5, Unit: protocol.Days}
		}, "bank 2 vendor 2 one 2 two 2 "},
		"grace is over for a score": {func(f *forum) {
			f.both()
			f.g.doc.Scores[0].Grace = protocol.Period{Count: 2, Unit: protocol.Days}
		}, "vendor 7 "},
		"all that act must entitle": {func(f *forum) {
			f.both()
			stricter := *f.g.doc
			stricter.Scores = []protocol.Contribution{f.g.doc.Scores[0]}
			stricter.Scores[0].Signers = 3
			f.g.acting = append(f.g.acting, &stricter)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newGivers(t)
			c.make(f)
			if got := f.entitles(f.at.Add(3 * day)); got != c.want {
				t.Errorf("%q are entitled, want %q", got, c.want)
			}
		})
	}
}

func (f *forum) both() { f.score("bank", "vendor", 10, f.at); f.score("one", "vendor", 10, f.at) }

// TestScoresEndOnTheMinute holds the world to be made anew when an entitlement ends.
func TestScoresEndOnTheMinute(t *testing.T) {
	f := newGivers(t)
	f.both()
	end := f.at.AddDate(0, 0, 10)
	if got := f.entitles(end.Add(-time.Microsecond)); got != "vendor 0 " || !f.w.until.Equal(end) {
		t.Errorf("a moment before it ends %q are entitled, and the world lasts until %s", got, f.w.until)
	}
	if got := f.entitles(end); got != "" {
		t.Errorf("%q are entitled when it has ended", got)
	}
}

// TestScoresAreBounded has one party make up parties and contributions.
func TestScoresAreBounded(t *testing.T) {
	f := newGivers(t)
	for i := range 100 {
		f.score("bank", fmt.Sprintf("nobody %d", i), 10, f.at)
		f.score("bank", "vendor", 10, f.at, func(s *protocol.Statement) { s.Name = fmt.Sprintf("made-up-%d", i) })
	}
	if len(f.said.last) != 0 {
		t.Errorf("%d statements are kept", len(f.said.last))
	}
}

// TestWhoSigns holds each party's scores to be signed by enough others at once, by
// not many more, and by anybody where those do not.
func TestWhoSigns(t *testing.T) {
	f := newGivers(t)
	for i := range 40 {
		p := protocol.Party{Handle: fmt.Sprintf("p%d", i), ID: f.id(fmt.Sprintf("p%d", i))}
		f.g.doc.Parties = append(f.g.doc.Parties, p)
		f.g.bound[p.ID] = true
	}
	c := &f.g.doc.Scores[0]
	first := map[string]bool{}
	for _, party := range f.g.doc.Parties {
		at, any := 0, 0
		for _, by := range f.g.doc.Parties {
			f.w.self = by.ID
			if f.w.dueFrom(f.g, c, party.ID, nil, f.at, false) {
				at++
				first[by.Handle] = true
			}
			if f.w.dueFrom(f.g, c, party.ID, nil, f.at, true) {
				any++
			}
		}
		if at != c.Signers+scoreReserve || any != len(f.g.doc.Parties)-1 {
			t.Errorf("%d sign scores of %s at once, and %d if nobody does", at, party.Handle, any)
		}
	}
	if len(first) < len(f.g.doc.Parties)*3/4 {
		t.Errorf("all of the work falls to %d of %d", len(first), len(f.g.doc.Parties))
	}
}
