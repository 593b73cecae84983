package node

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"entente/policy"
	"entente/protocol"
	"entente/store"
)

// notebook is what is on its way into the audit log.
type notebook struct {
	notes     chan protocol.AuditRow        // rows that belong to no message
	unstored  atomic.Int64                  // rows that found no room
	basisKept atomic.Pointer[protocol.Hash] // what decisions rest on, as it was written down last
}

// note queues an audit row that belongs to no message: a peer event, a read, a
// change of documents. It never blocks; rows that find no room are counted and
// the count is written as a row of its own.
func (n *Node) note(row protocol.AuditRow) {
	if row.Time.IsZero() {
		row.Time = n.now()
	}
	select {
	case n.notes <- row:
	default:
		n.unstored.Add(1)
	}
}

// writeNotes writes queued rows in groups.
func (n *Node) writeNotes(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case row := <-n.notes:
			rows := n.drainNotes([]protocol.AuditRow{row})
			if err := n.cfg.Store.Audit(ctx, rows...); err != nil && ctx.Err() == nil {
				n.unstored.Add(int64(len(rows)))
				n.cfg.Logger.Error("audit rows could not be written", "rows", len(rows), "err", err)
			}
		}
	}
}

// lastNotes writes what is still queued when everything else has stopped.
func (n *Node) lastNotes() error {
	n.note(protocol.AuditRow{Kind: protocol.AuditNode, Action: "stop", Outcome: "ok"})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for {
		rows := n.drainNotes(nil)
		if len(rows) == 0 {
			return nil
		}
		if err := n.cfg.Store.Audit(ctx, rows...); err != nil {
			return err
		}
	}
}

func (n *Node) drainNotes(rows []protocol.AuditRow) []protocol.AuditRow {
	if lost := n.unstored.Swap(0); lost > 0 {
		rows = append(rows, protocol.AuditRow{
			Time: n.now(), Kind: protocol.AuditNode, Action: "audit", Outcome: "failed", Count: int(lost),
			Reason: protocol.AuditReason{Text: "events were not recorded one by one: they came faster than they could be written"},
		})
	}
	for len(rows) < 256 {
		select {
		case row := <-n.notes:
			rows = append(rows, row)
		default:
			return rows
		}
	}
	return rows
}

// decisionRow records one decision about count objects.
func decisionRow(now time.Time, action, topic string, d policy.Decision, denied []policy.Denial) protocol.AuditRow {
	row := protocol.AuditRow{
		Time: now, Kind: protocol.AuditDecision, Action: action, Outcome: d.Outcome.String(),
		Agreement: d.Agreement, Version: d.Version, Topic: topic,
		Reason: d.Reason(),
	}
	for _, no := range denied {
		row.Reason.Parties = append(row.Reason.Parties, no.Reader)
	}
	return row
}

// Audit calls yield with audit rows, oldest first; with Follow it goes on until
// yield returns false or ctx ends.
func (n *Node) Audit(ctx context.Context, q AuditQuery, yield func(AuditEntry) bool) error {
	sq, err := n.auditQuery(q)
	if err != nil {
		return err
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 1000
	}
	last := sq.After
	more := true
	emit := func(row protocol.AuditRow) bool {
		last = row.Number
		more = yield(n.auditEntry(row))
		return more
	}
	watch := n.cfg.Store.Watch()
	if sq.After == 0 {
		// Without a place to begin from, the newest rows are what is wanted.
		var rows []protocol.AuditRow
		sq.Reverse = true
		err := n.cfg.Store.AuditRows(sq, func(row protocol.AuditRow) bool {
			rows = append(rows, row)
			return len(rows) < limit && ctx.Err() == nil
		})
		if err != nil {
			return err
		}
		for _, row := range slices.Backward(rows) {
			if !emit(row) {
				return nil
			}
		}
		sq.Reverse = false
	}
	for first := q.After != 0; ; first = true {
		if first {
			count := 0
			sq.After = last
			err := n.cfg.Store.AuditRows(sq, func(row protocol.AuditRow) bool {
				count++
				return emit(row) && (q.Follow || count < limit) && ctx.Err() == nil
			})
			if err != nil {
				return err
			}
		}
		if !q.Follow || !more {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-watch:
			watch = n.cfg.Store.Watch()
		}
	}
}

func (n *Node) auditQuery(q AuditQuery) (store.AuditQuery, error) {
	w := n.world.Load()
	sq := store.AuditQuery{
		After: q.After, Since: q.Since, Until: q.Until, Outcomes: q.Outcomes,
		Topic: q.Topic, Peer: q.Peer, Object: q.Object,
	}
	for _, k := range q.Kinds {
		switch kind := protocol.AuditKind(k); kind {
		case protocol.AuditDecision, protocol.AuditMessage, protocol.AuditPeer, protocol.AuditDocument, protocol.AuditNode:
			sq.Kinds = append(sq.Kinds, kind)
		default:
			return sq, protocol.Errorf(protocol.Invalid, "audit", "%q is no kind of row; they are decision, message, peer, document and node", k)
		}
	}
	if q.Agreement != "" {
		g, err := w.agreement(q.Agreement)
		if err != nil {
			return sq, err
		}
		sq.Agreement = g.doc.ID
	}
	if q.Party != "" {
		id, err := w.memberNamed(q.Party)
		if err != nil {
			return sq, err
		}
		sq.Party = id
	}
	return sq, nil
}

func (n *Node) auditEntry(row protocol.AuditRow) AuditEntry {
	w := n.world.Load()
	e := AuditEntry{
		Number: row.Number, Time: row.Time, Kind: string(row.Kind), Action: row.Action, Outcome: row.Outcome,
		Version: row.Version, Topic: row.Topic, Sequence: row.Sequence, Peer: row.Peer,
		Layer: row.Reason.Layer, Clause: row.Reason.Clause, Text: row.Reason.Text,
		Objects: row.Objects, Count: row.Count, Bytes: row.Bytes,
	}
	if !row.Agreement.IsZero() {
		e.Agreement = w.agreementName(row.Agreement)
	}
	if row.Log != nil {
		e.Author = w.authorName(row.Log.Author)
	}
	if !row.Party.IsZero() {
		e.Party = w.memberName(row.Party)
	}
	for _, p := range row.Reason.Parties {
		e.For = append(e.For, w.readerName(p))
	}
	return e
}

// why puts a decision into words.
func (w *world) why(d policy.Decision) Why {
	y := Why{Outcome: d.Outcome.String(), Layer: d.Layer.String(), Version: d.Version, Clause: d.Clause, Text: d.Text}
	if !d.Agreement.IsZero() {
		y.Agreement, y.AgreementID = w.agreementName(d.Agreement), d.Agreement.String()
	}
	return y
}
