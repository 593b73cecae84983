package node

import (
	"testing"
	"time"

	"entente/protocol"
)

// heldSince makes the bank of a forum hold the version that counts since a moment,
// with all its parties bound.
func (f *forum) heldSince(at time.Time) {
	f.g.bound = map[protocol.MemberID]bool{}
	for _, p := range f.g.doc.Parties {
		f.g.bound[p.ID] = true
	}
	f.said.holding = holding{Head: f.g.doc.Hash, Since: at, kept: true}
}

// turns reports whether only CLEAR passes at a moment, and until when it does not.
func (f *forum) turns(now time.Time) (stale bool, fresh time.Time) {
	f.t.Helper()
	f.halted(now)
	if err := (&Node{}).refresh(f.w, f.g, f.said, now); err != nil {
		f.t.Fatal(err)
	}
	return f.g.stale, f.g.fresh
}

func TestFreshnessTurnsAtItsMoment(t *testing.T) {
	f := newForum(t)
	f.heldSince(f.at)
	end := f.at.Add(freshFor)
	expect := func(what string, end time.Time) {
		t.Helper()
		f.w.until = f.at.AddDate(1, 0, 0)
		if stale, fresh := f.turns(end.Add(-time.Microsecond)); stale || !fresh.Equal(end) || !f.w.until.Equal(end) {
			t.Errorf("%s: a moment before: stale %v, fresh until %s, the world until %s", what, stale, fresh, f.w.until)
		}
		if stale, _ := f.turns(end); !stale {
			t.Errorf("%s: it is still current at %s", what, end)
		}
	}
	expect("nobody has said anything", end)
	f.state(protocol.Freshness, "one", "", f.at.Add(time.Hour), "one 1")
	expect("one of two that are needed", end)
	f.state(protocol.Freshness, "bank", "", f.at.Add(3*time.Hour), "bank 1")
	expect("its own word", end)
	f.state(protocol.Freshness, "two", "", f.at.Add(2*time.Hour), "a thief")
	expect("a forged one", end)
	f.state(protocol.Freshness, "vendor", "", f.at.Add(4*time.Hour), "vendor 1")
	expect("two", end.Add(time.Hour))
	f.state(protocol.Freshness, "one", "", f.at.Add(5*time.Hour), "one 1")
	expect("the later of the two again", end.Add(4*time.Hour))
	f.state(protocol.Suspension, "one", "vendor", f.at.Add(5*time.Hour), "one 1")
	expect("a suspended party's does not count", end)

	// Of another version: it does not count, nor what the same party said before.
	f = newForum(t)
	f.heldSince(f.at)
	for _, who := range []string{"one", "vendor"} {
		f.state(protocol.Freshness, who, "", f.at.Add(time.Hour), who+" 1")
	}
	expect("two", end.Add(time.Hour))
	hash := f.g.doc.Hash
	f.g.doc.Hash = protocol.Hash{7}
	f.state(protocol.Freshness, "one", "", f.at.Add(2*time.Hour), "one 1")
	f.g.doc.Hash = hash
	expect("one has gone on to another version", end)

	// Of two parties one is enough; alone, nobody has to.
	f = newForum(t)
	f.heldSince(f.at)
	f.g.doc.Parties = f.g.doc.Parties[:2]
	expect("two parties", end)
	f.state(protocol.Freshness, "vendor", "", f.at.Add(time.Hour), "vendor 1")
	expect("two parties, one has said so", end.Add(time.Hour))
	f.g.doc.Parties = f.g.doc.Parties[:1]
	if stale, _ := f.turns(end.AddDate(0, 0, 1)); stale {
		t.Error("there is nobody who could vouch")
	}
	f.g.doc.Parties = newForum(t).g.doc.Parties
	f.g.doc.Visibility = protocol.Public
	if stale, _ := f.turns(end.AddDate(0, 0, 1)); stale {
		t.Error("in a public agreement only CLEAR passes anyway")
	}
}

// What a party states, and when: each at its own hour of the first day, then daily,
// and a change soon.
func TestWhenFreshnessIsStated(t *testing.T) {
	f := newForum(t)
	f.heldSince(f.at)
	n := &Node{cfg: Config{Member: f.id("bank")}}
	first := n.stateAt(f.g, f.said).Truncate(time.Microsecond)
	if first.Before(f.at) || !first.Before(f.at.Add(freshEvery)) {
		t.Errorf("first at %s", first)
	}
	if other := (&Node{cfg: Config{Member: f.id("vendor")}}).stateAt(f.g, f.said); other.Equal(first) {
		t.Error("two parties have the same hour")
	}
	f.state(protocol.Freshness, "bank", "", first, "bank 1")
	if next := n.stateAt(f.g, f.said); !next.Equal(first.Add(freshEvery)) {
		t.Errorf("then at %s", next)
	}
	f.g.doc.Hash = protocol.Hash{7}
	f.said.holding = holding{Head: f.g.doc.Hash, Since: first.Add(time.Hour), Later: true}
	if soon := n.stateAt(f.g, f.said); soon.Before(first.Add(time.Hour)) || soon.After(first.Add(time.Hour+freshSoon)) {
		t.Errorf("a change at %s", soon)
	}
	f.w.self = f.id("bank")
	if !f.w.mayState(f.at.AddDate(0, 1, 0)) || f.w.mayState(f.at.AddDate(0, 3, 0)) {
		t.Error("an operations key that has run out states nothing")
	}
}

// While a version is not current what bears more than CLEAR is put off, statements and
// CLEAR are not.
func TestWhatIsPutOff(t *testing.T) {
	g := &governing{stale: true}
	for _, c := range []struct {
		content protocol.Content
		marking protocol.Marking
		off     bool
	}{
		{protocol.StixObjects, protocol.Clear, false}, {protocol.StixObjects, protocol.Green, true}, {protocol.StixObjects, protocol.NoMarking, true},
		{protocol.Control, protocol.NoMarking, false},
	} {
		h := protocol.Header{Content: c.content, Marking: c.marking}
		if g.defers(h) != c.off || (&governing{}).defers(h) {
			t.Errorf("content %d, %s: put off %v", c.content, c.marking, g.defers(h))
		}
	}
}
