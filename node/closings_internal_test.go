package node

import (
	"testing"

	"entente/protocol"
)

// TestClosingsBindTheirOwn holds that an agreement closes logs of its own lanes
// alone, and a record those of its member's nodes, whatever they name.
func TestClosingsBindTheirOwn(t *testing.T) {
	log := func(agreement, member byte) protocol.LogID {
		return protocol.LogID{
			Agreement: protocol.AgreementID{agreement}, Lane: protocol.TopicLane("t"), Author: protocol.Author{Member: protocol.MemberID{member}, Node: 1},
			Incarnation: protocol.Incarnation{1},
		}
	}
	mine, others := log(1, 1), log(2, 2)
	at := func(n uint64) protocol.Position { return protocol.Position{Sequence: n, Head: protocol.Hash{byte(n)}} }
	hostile := &protocol.Agreement{ID: mine.Agreement, Version: 2, Parties: []protocol.Party{{ID: mine.Author.Member}}, Cuts: []protocol.Cut{
		{Log: mine.Hash(), Position: at(3)}, {Log: others.Hash(), Position: at(1)},
	}}
	record := &protocol.Record{Member: mine.Author.Member, Retired: []protocol.RetiredNode{{Closing: []protocol.Closing{
		{Log: mine.Hash(), Position: at(2)}, {Log: others.Hash(), Position: at(1)},
	}}}}
	victim := &protocol.Agreement{ID: others.Agreement, Version: 1, Parties: []protocol.Party{{ID: others.Author.Member}}}
	g, h := &governing{doc: hostile, heads: []*protocol.Agreement{hostile}}, &governing{doc: victim, heads: []*protocol.Agreement{victim}}
	w := &world{
		agreements: map[protocol.AgreementID]*governing{mine.Agreement: g, others.Agreement: h},
		members:    map[protocol.MemberID]*member{record.Member: {id: record.Member, records: []kept[*protocol.Record]{{parsed: record}}}},
	}
	w.closeLogs()
	if end, closed := w.closed.end(others); closed {
		t.Errorf("the log of another agreement and member is closed at %d", end.Sequence)
	}
	if err := w.closed.check(others, at(7)); err != nil {
		t.Error(err)
	}
	if end, closed := w.closed.end(mine); !closed || end.Sequence != 2 {
		t.Errorf("closed %v at %d, not at 2", closed, end.Sequence)
	}
	for sequence, counts := range map[uint64]bool{1: true, 2: true, 3: false, 4: false} {
		if w.counts(g, mine, sequence) != counts {
			t.Errorf("entry %d counts: %v", sequence, !counts)
		}
		if err := w.closed.check(mine, at(sequence)); (err == nil) != counts {
			t.Errorf("entry %d: %v", sequence, err)
		}
	}
	// A log of one who is no party, and that nothing names, has no entries.
	stranger := log(2, 9)
	if w.counts(h, stranger, 1) || !w.counts(h, others, 1000) {
		t.Error("a stranger's entry counts, or a party's does not")
	}
	if e := w.upTo(g, protocol.FrontierEntry{Log: mine, Base: 9, Position: at(8)}); e.Position != at(2) || e.Base != 3 {
		t.Errorf("%+v", e)
	}
	if e := w.upTo(g, protocol.FrontierEntry{Log: mine, Base: 1, Position: at(1)}); e.Position != at(1) || e.Base != 1 {
		t.Errorf("%+v", e)
	}
}
