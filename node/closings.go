package node

import (
	"slices"

	"entente/protocol"
)

// closings tells where logs have ended: by the cuts of an agreement, for logs in
// its own lanes, and by the records of a member, for logs of its own nodes. A
// document that names another log closes nothing.
type closings struct {
	agreements map[protocol.AgreementID]protocol.ClosedLogs
	members    map[protocol.MemberID]protocol.ClosedLogs
}

// end returns the position at which a log was closed, and whether it was.
func (c closings) end(log protocol.LogID) (protocol.Position, bool) {
	cuts, cut := c.agreements[log.Agreement]
	records, retired := c.members[log.Author.Member]
	if !cut && !retired {
		return protocol.Position{}, false
	}
	hash := log.Hash()
	end, closed := cuts.End(hash)
	if last, also := records.End(hash); also && (!closed || last.Sequence < end.Sequence) {
		return last, true
	}
	return end, closed
}

// check refuses an entry beyond a closing position, or another one at it.
func (c closings) check(log protocol.LogID, at protocol.Position) error {
	hash := log.Hash()
	if err := c.agreements[log.Agreement].Check(hash, at); err != nil {
		return err
	}
	return c.members[log.Author.Member].Check(hash, at)
}

// closeLogs gathers which logs are closed: by the cuts of the versions that count,
// of both where an agreement is forked, and by the newest records.
func (w *world) closeLogs() {
	w.closed = closings{agreements: map[protocol.AgreementID]protocol.ClosedLogs{}, members: map[protocol.MemberID]protocol.ClosedLogs{}}
	for id, g := range w.agreements {
		if slices.ContainsFunc(g.heads, func(a *protocol.Agreement) bool { return len(a.Cuts) > 0 }) {
			w.closed.agreements[id] = protocol.NewClosedLogs(g.heads, nil)
		}
	}
	for id, m := range w.members {
		var records []*protocol.Record
		if len(m.records) > 0 {
			records = append(records, m.records[len(m.records)-1].parsed)
		}
		if p := m.profile(); p != nil {
			records = append(records, p)
		}
		if slices.ContainsFunc(records, func(r *protocol.Record) bool { return len(r.Retired) > 0 }) {
			w.closed.members[id] = protocol.NewClosedLogs(nil, records)
		}
	}
}

// ending returns up to which entry a log counts, and false where it has no end: a
// log of one who is no party, and that nothing names, has ended before its first
// entry. What is held beyond is nobody's to have: some got it, others refused it.
func (w *world) ending(g *governing, log protocol.LogID) (protocol.Position, bool) {
	end, closed := w.closed.end(log)
	if !closed && log.Author.Member != w.self && g.doc.Party(log.Author.Member) == nil {
		return protocol.Position{}, true
	}
	return end, closed
}

// counts reports whether an entry of a log does.
func (w *world) counts(g *governing, log protocol.LogID, sequence uint64) bool {
	end, ended := w.ending(g, log)
	return !ended || sequence <= end.Sequence
}

// upTo cuts an entry of a frontier down to where its log ended.
func (w *world) upTo(g *governing, e protocol.FrontierEntry) protocol.FrontierEntry {
	if end, ended := w.ending(g, e.Log); ended && e.Position.Sequence > end.Sequence {
		e.Position, e.Base = end, min(e.Base, end.Sequence+1)
	}
	return e
}
