package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"entente/policy"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// logbook knows which incarnation of its own logs this node writes.
type logbook struct {
	mu   sync.Mutex
	logs map[lane]*ownLog
}

type lane struct {
	agreement protocol.AgreementID
	topic     string
}

// ownLog is a log that this node writes, with what its first header supersedes.
type ownLog struct {
	ID         protocol.LogID
	Supersedes *protocol.Supersession
}

func (b *logbook) init() { b.logs = map[lane]*ownLog{} }

// setting is how an ownLog is kept in the store.
type logSetting struct {
	Incarnation protocol.Hash          `json:"incarnation"` // padded with zeros
	Supersedes  *protocol.Supersession `json:"supersedes,omitempty"`
}

// ownLog returns the log to write to on a topic. The incarnation is drawn once
// and kept; a store that fell behind its high-water mark (an old backup put
// back) gets a new incarnation, which names the one it supersedes.
func (n *Node) ownLog(g *governing, topic string) (*ownLog, error) {
	n.logs.mu.Lock()
	defer n.logs.mu.Unlock()
	at := lane{g.doc.ID, topic}
	if l := n.logs.logs[at]; l != nil {
		return l, nil
	}
	name := fmt.Sprintf("log/%s/%s/%d", g.doc.ID, topic, n.cfg.Number)
	l := &ownLog{ID: protocol.LogID{Agreement: g.doc.ID, Lane: protocol.TopicLane(topic), Author: n.self()}}
	kept, err := n.cfg.Store.Setting(name)
	if err != nil {
		return nil, err
	}
	fresh := kept == nil
	if !fresh {
		var s logSetting
		if err := json.Unmarshal(kept, &s); err != nil {
			return nil, protocol.E(protocol.Conflict, "publish", fmt.Errorf("the setting %s is damaged: %w", name, err), "run: entente doctor")
		}
		copy(l.ID.Incarnation[:], s.Incarnation[:])
		l.Supersedes = s.Supersedes
		if n.cfg.Store.Behind(l.ID) {
			old := n.cfg.Store.Position(l.ID)
			n.cfg.Logger.Warn("the store is older than what this node has published; going on in a new incarnation of the log",
				"agreement", g.doc.Name, "topic", topic, "held", old.Sequence)
			l.Supersedes, fresh = nil, true
			if old.Sequence > 0 {
				l.Supersedes = &protocol.Supersession{Incarnation: l.ID.Incarnation, Position: old}
			}
		}
	}
	if fresh {
		n.cfg.Random(l.ID.Incarnation[:])
		var s logSetting
		copy(s.Incarnation[:], l.ID.Incarnation[:])
		s.Supersedes = l.Supersedes
		value, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		// A crash here leaves an incarnation without a message: harmless.
		if err := n.cfg.Store.SetSetting(name, value); err != nil {
			return nil, err
		}
	}
	n.logs.logs[at] = l
	return l, nil
}

// sealed is a batch on its way into the log.
type sealed struct {
	members []*candidate
	body    *protocol.Body
	err     error
}

// send batches what may go, packs batches in parallel, appends them in order
// and hands them to the broadcaster.
func (p *publication) send(ctx context.Context, going []*candidate) error {
	batches := cutBatches(going)
	if len(batches) == 0 {
		return nil
	}
	first := p.log == nil
	if first {
		var err error
		if p.log, err = p.node.ownLog(p.governing, p.topic); err != nil {
			return err
		}
	}
	results := make([]store.Entry, len(batches))
	packed := make([]chan struct{}, len(batches))
	for i := range packed {
		packed[i] = make(chan struct{})
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		var next atomic.Int64
		p.node.workers(func() {
			for i := int(next.Add(1)) - 1; i < len(batches); i = int(next.Add(1)) - 1 {
				p.pack(batches[i])
				close(packed[i])
			}
		})
	})
	// Messages are submitted in order; several may share a group commit. The
	// first of all carries the marking definitions, so it goes ahead alone.
	appended := make([]chan struct{}, len(batches))
	var failed error
	for i, b := range batches {
		<-packed[i]
		if failed = b.err; failed != nil {
			break
		}
		appended[i] = make(chan struct{})
		go func() {
			defer close(appended[i])
			results[i], b.err = p.append(ctx, p.log, b)
		}()
		if wait := i - appendWindow; wait >= 0 || (first && i == 0) {
			at := max(wait, 0)
			<-appended[at]
			if failed = batches[at].err; failed != nil {
				break
			}
		}
	}
	wg.Wait()
	for i, b := range batches {
		if appended[i] == nil {
			break
		}
		<-appended[i]
		if b.err != nil {
			failed = errors.Join(failed, b.err)
			continue
		}
		p.sent(ctx, results[i])
		p.receipt.Published += len(b.members)
		for _, c := range b.members {
			p.settle(c)
		}
	}
	p.progress("objects published", int64(p.receipt.Published), 0)
	return failed
}

// appendWindow is how many messages may be on their way into the store.
const appendWindow = 8

// cutBatches orders what may go (what is referred to before what refers) and
// cuts it into messages.
func cutBatches(going []*candidate) []*sealed {
	slices.SortStableFunc(going, func(a, b *candidate) int { return cmp.Compare(rank(a.object), rank(b.object)) })
	var out []*sealed
	var current *sealed
	size := 0
	for _, c := range going {
		if current == nil || len(current.members) == messageObjects || size+len(c.object.Raw) > messageBytes {
			current, size = &sealed{}, 0
			out = append(out, current)
		}
		current.members = append(current.members, c)
		size += len(c.object.Raw)
	}
	return out
}

func rank(o *stix.Object) int {
	switch {
	case o.Type == "marking-definition":
		return 0
	case o.Type == "identity":
		return 1
	case slices.ContainsFunc(o.Refs, func(r stix.Ref) bool { return !r.Embedded }):
		return 3
	default:
		return 2
	}
}

func (p *publication) pack(b *sealed) {
	objects := make([][]byte, len(b.members))
	for i, c := range b.members {
		objects[i] = c.object.Raw
	}
	var seed [32]byte
	p.node.cfg.Random(seed[:])
	b.body, b.err = p.node.cfg.Codec.Pack(objects, seed)
}

// append writes one message with its index entries and audit rows.
func (p *publication) append(ctx context.Context, log *ownLog, b *sealed) (store.Entry, error) {
	n := p.node
	leaves := make([]store.Leaf, len(b.members))
	top := protocol.NoMarking
	groups := map[policy.Decision]int{}
	rows := []protocol.AuditRow{{
		Time: p.now, Kind: protocol.AuditMessage, Action: "publish", Outcome: "ok",
		Agreement: p.governing.doc.ID, Version: p.governing.doc.Version, Topic: p.topic,
		Log: &log.ID, Party: n.cfg.Member, Count: len(b.members), Bytes: int64(b.body.Size()),
	}}
	for i, c := range b.members {
		leaves[i] = store.Leaf{Position: i, ID: c.object.ID, Modified: c.object.Modified, Object: c.object, Allowed: true}
		top = max(top, c.verdict.Marking)
		at, ok := groups[c.verdict.Alike()]
		if !ok {
			at = len(rows)
			groups[c.verdict.Alike()] = at
			row := decisionRow(p.now, "publish", p.topic, c.verdict.Decision, nil)
			row.Log, row.Party, row.Basis = &log.ID, n.cfg.Member, p.world.basisHash
			rows = append(rows, row)
		}
		rows[at].Positions = append(rows[at].Positions, i)
		rows[at].Count++
	}
	rows = append(rows, p.redactRows(&log.ID, b.members)...)
	rows = append(rows, p.grantRows(&log.ID, b.members)...)
	for i := range rows {
		if len(rows[i].Positions) == len(b.members) {
			rows[i].Positions = nil // all of them
		}
	}
	draft := protocol.Draft{
		Agreement: p.governing.doc.ID, AgreementVersion: p.governing.doc.Version,
		Lane: log.ID.Lane, Author: log.ID.Author, Epoch: n.cfg.Epoch, Incarnation: log.ID.Incarnation,
		Time: n.now(), Marking: top, Audience: protocol.Audience{Kind: protocol.AllParties},
		Content: protocol.StixObjects, Body: b.body,
	}
	seal := func(prev protocol.Position) (*protocol.Message, error) {
		var supersedes *protocol.Supersession
		if prev.Sequence == 0 {
			supersedes = log.Supersedes
		}
		for i := range rows {
			rows[i].Sequence = prev.Sequence + 1
		}
		return n.cfg.Codec.Seal(draft, prev, supersedes, n.cfg.Key)
	}
	return n.cfg.Store.Append(ctx, log.ID, seal, leaves, rows)
}

// sent notes an appended message in the receipt and hands it to the
// broadcaster, which holds the publisher back when it cannot keep up.
func (p *publication) sent(ctx context.Context, e store.Entry) {
	h := e.Message.Header()
	p.receipt.Messages = append(p.receipt.Messages, MessageRef{
		Agreement: p.governing.doc.Name, Topic: p.topic, Author: p.world.authorName(h.Author),
		Incarnation: h.Incarnation.String(), Sequence: h.Sequence, Hash: e.Message.Hash().String(),
		Objects: h.Objects, Bytes: len(e.Message.Frame()),
	})
	p.receipt.Bytes += int64(len(e.Message.Frame()))
	if p.receipt.FirstSequence == 0 || h.Sequence < p.receipt.FirstSequence {
		p.receipt.FirstSequence = h.Sequence
	}
	p.receipt.LastSequence = max(p.receipt.LastSequence, h.Sequence)
	select {
	case p.node.outgoing <- outgoing{p.governing.doc.ID, p.topic, e.Message.Frame()}:
	case <-ctx.Done():
		// The message is in the log; peers get it by sync.
	}
}
