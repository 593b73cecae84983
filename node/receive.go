package node

import (
	"context"
	"errors"
	"sync"

	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// The pipeline of what comes in has two stages, each one goroutine: parsing
// (which fans out to all workers) and storing (decide, then one group commit).
// While a group is being written the next is being parsed. Policy decides in
// the order of the log, because a marking's definition comes before its use.

// delivery is a group of verified messages from one peer on its way in.
type delivery struct {
	from      protocol.Peer
	agreement protocol.AgreementID
	arrivals  []*arrival
	done      chan error // nil for gossip; else told when durable
}

// arrival is one message on its way in.
type arrival struct {
	from    protocol.Peer
	message *protocol.Message
	objects []*stix.Object // by leaf; nil where absent or unparsable
	faults  []error        // by leaf
	bytes   int
	gossip  bool
}

// Deliver takes an accepted gossiped message. It implements the network's
// handler; false means that the node is stopping.
func (n *Node) Deliver(ctx context.Context, from protocol.Peer, agreement protocol.AgreementID, m *protocol.Message) bool {
	d := &delivery{from: from, agreement: agreement, arrivals: []*arrival{{from: from, message: m, gossip: true}}}
	select {
	case n.incoming <- d:
		return true
	case <-ctx.Done():
		return false
	}
}

// Take takes synced frames in the order they were sent and returns when they
// are durable. A frame that cannot be taken ends the session: what came before
// it is kept. It implements the network's handler.
func (n *Node) Take(ctx context.Context, from protocol.Peer, agreement protocol.AgreementID, frames [][]byte) error {
	w := n.world.Load()
	found := make([]*arrival, len(frames))
	failed := make([]error, len(frames))
	n.parallelEach(len(frames), func(i int) {
		m, err := n.check(w, protocol.Peer{}, agreement, protocol.Lane{}, frames[i])
		if err == nil {
			found[i] = &arrival{from: from, message: m}
		} else if !errors.Is(err, errHeld) {
			failed[i] = err
		}
	})
	d := &delivery{from: from, agreement: agreement, done: make(chan error, 1)}
	var broken error
	for i, a := range found {
		if failed[i] != nil {
			broken = failed[i]
			n.noteRefusal(w, from, agreement, "", len(frames[i]), protocol.KindOf(broken).Verdict(), broken)
			break
		}
		if a != nil {
			d.arrivals = append(d.arrivals, a)
		}
	}
	if len(d.arrivals) == 0 {
		return broken
	}
	select {
	case n.incoming <- d:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-d.done:
		return errors.Join(err, broken)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// groupMost bounds how many messages one pass of the pipeline holds, and with
// it memory: 64 messages of half a MiB at the most.
const groupMost = 64

// parseStage gathers what has come in, parses it in parallel and passes it on.
func (n *Node) parseStage(ctx context.Context) error {
	for {
		var first *delivery
		select {
		case <-ctx.Done():
			n.abandon()
			return nil
		case first = <-n.incoming:
		}
		group := []*delivery{first}
		count := len(first.arrivals)
	gather:
		for count < groupMost {
			select {
			case d := <-n.incoming:
				group = append(group, d)
				count += len(d.arrivals)
			default:
				break gather
			}
		}
		arrivals := make([]*arrival, 0, count)
		for _, d := range group {
			arrivals = append(arrivals, d.arrivals...)
		}
		n.parallelEach(len(arrivals), func(i int) { n.parseArrival(arrivals[i]) })
		select {
		case n.parsed <- group:
		case <-ctx.Done():
			n.abandon(group...)
			return nil
		}
	}
}

// abandon tells whoever waits that the node is stopping; nothing was promised.
func (n *Node) abandon(group ...*delivery) {
	for {
		for _, d := range group {
			if d.done != nil {
				d.done <- context.Canceled
			}
		}
		select {
		case d := <-n.incoming:
			group = []*delivery{d}
		default:
			return
		}
	}
}

func (n *Node) parseArrival(a *arrival) {
	count := a.message.Header().Objects
	a.bytes = len(a.message.Frame())
	if a.message.Header().Content == protocol.Control {
		return // statements are few, and read when they are decided about
	}
	a.objects, a.faults = make([]*stix.Object, count), make([]error, count)
	parser := stix.NewParser(n.cfg.Limits)
	for i := range count {
		if raw := a.message.Object(i); raw != nil {
			a.objects[i], a.faults[i] = parser.Parse(raw)
		}
	}
}

// storeStage decides about parsed groups and stores them.
func (n *Node) storeStage(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			select {
			case group := <-n.parsed:
				n.abandon(group...)
			default:
			}
			return nil
		case group := <-n.parsed:
			var arrivals []*arrival
			for _, d := range group {
				arrivals = append(arrivals, d.arrivals...)
			}
			err := n.storeArrivals(ctx, arrivals)
			for _, d := range group {
				if d.done != nil {
					d.done <- err
				}
			}
		}
	}
}

// storeArrivals puts messages into the store in the order of their logs. A
// message beyond a gap waits for what is missing, which sync is asked for.
func (n *Node) storeArrivals(ctx context.Context, arrivals []*arrival) error {
	w, now := n.world.Load(), n.now()
	n.keepBasis(ctx, w)
	heads := map[protocol.LogID]uint64{}
	fresh := map[string]*stix.Object{}
	var refused error
	var ready []*arrival
	var ins []store.Arrival
	var take func(a *arrival)
	take = func(a *arrival) {
		log := a.message.Header().Log()
		seq := a.message.Header().Sequence
		head, ok := heads[log]
		if !ok {
			head = n.cfg.Store.Position(log).Sequence
		}
		if seq > head+1 {
			n.held.keep(log, a)
			n.resync(w, log.Agreement)
			return
		}
		if seq == head+1 {
			if err := n.versions.follow(n, log, a.message.Header().AgreementVersion); err != nil {
				n.noteRefusal(w, a.from, log.Agreement, log.Lane.Topic, a.bytes, protocol.Reject, err)
				refused = errors.Join(refused, err)
				return
			}
		}
		heads[log] = max(head, seq)
		ready = append(ready, a)
		ins = append(ins, n.decideArrival(w, a, fresh, now))
		if next := n.held.next(log, heads[log]+1); next != nil {
			take(next)
		}
	}
	for _, a := range arrivals {
		take(a)
	}
	if len(ins) == 0 {
		return refused
	}
	var failed error
	for i, r := range n.cfg.Store.PutAll(ctx, ins) {
		if r.Err != nil {
			failed = errors.Join(failed, r.Err)
			continue
		}
		n.stored(w, ready[i], r)
	}
	if failed != nil {
		n.cfg.Logger.Error("received messages could not be stored", "err", failed)
		n.versions.forget()
	}
	return errors.Join(failed, refused)
}

// logVersions remembers under which version of its agreement the last message of
// each log was sealed: along a log it never falls (format spec, "Header").
type logVersions struct {
	last map[protocol.LogID]uint64
}

// follow doubts the next message of a log.
func (v *logVersions) follow(n *Node, log protocol.LogID, version uint64) error {
	last, ok := v.last[log]
	if !ok {
		if at := n.cfg.Store.Position(log).Sequence; at > 0 {
			err := n.cfg.Store.Range(log, at-1, at, func(_ uint64, frame []byte) bool {
				if s, err := n.cfg.Codec.Decode(frame); err == nil {
					last = s.Header().AgreementVersion
				}
				return true
			})
			if err != nil {
				return err
			}
		}
	}
	if version < last {
		return protocol.Errorf(protocol.Invalid, "check", "it was sealed under version %d of the agreement, and the message before it under version %d; versions never fall along a log", version, last)
	}
	if v.last == nil || len(v.last) >= definitionsMost {
		v.forget()
	}
	v.last[log] = version
	return nil
}

// forget makes the store say again what it holds.
func (v *logVersions) forget() { v.last = map[protocol.LogID]uint64{} }

// stored follows up on what the store made of a message.
func (n *Node) stored(w *world, a *arrival, r store.PutResult) {
	h := a.message.Header()
	switch r.Outcome {
	case store.Stored:
		if h.Content == protocol.Control {
			n.heed(w, a.message)
		} else if g := w.agreements[h.Agreement]; g != nil && len(g.doc.Scores) > 0 {
			n.tell(n.given)
		}
	case store.Fork:
		log := h.Log()
		n.cfg.Logger.Error("an author signed two different messages with one sequence number; its log is stopped",
			"author", w.authorName(h.Author), "agreement", w.agreementName(h.Agreement), "sequence", h.Sequence)
		n.note(protocol.AuditRow{Kind: protocol.AuditMessage, Action: "fork", Outcome: "failed",
			Agreement: h.Agreement, Topic: h.Lane.Topic, Log: &log, Sequence: h.Sequence, Party: h.Author.Member, Peer: peerText(a.from),
			Reason: protocol.AuditReason{Layer: "form", Text: "two different messages bear this sequence number; the log is stopped"}})
	case store.Gap:
		n.resync(w, h.Agreement)
	}
}

// resync asks for a catch-up of an agreement.
func (n *Node) resync(w *world, agreement protocol.AgreementID) {
	g := w.agreements[agreement]
	if g == nil {
		return
	}
	if net := n.network(g.public()); net != nil {
		net.Sync(agreement)
	}
}

// gapBuffer keeps messages that came ahead of their log, bounded in number and
// bytes; what finds no room is dropped and comes again by sync.
type gapBuffer struct {
	logs  map[protocol.LogID]map[uint64]*arrival
	count int
	bytes int
}

const (
	gapMessages = 512
	gapBytes    = 16 << 20
)

func (b *gapBuffer) init() { b.logs = map[protocol.LogID]map[uint64]*arrival{} }

func (b *gapBuffer) keep(log protocol.LogID, a *arrival) {
	if b.count >= gapMessages || b.bytes+a.bytes > gapBytes {
		return
	}
	waiting := b.logs[log]
	if waiting == nil {
		waiting = map[uint64]*arrival{}
		b.logs[log] = waiting
	}
	seq := a.message.Header().Sequence
	if waiting[seq] == nil {
		waiting[seq] = a
		b.count++
		b.bytes += a.bytes
	}
}

// next takes out the message with the given sequence number, and forgets those
// that sync has brought meanwhile.
func (b *gapBuffer) next(log protocol.LogID, sequence uint64) *arrival {
	waiting := b.logs[log]
	if waiting == nil {
		return nil
	}
	found := waiting[sequence]
	for seq, a := range waiting {
		if seq <= sequence {
			delete(waiting, seq)
			b.count--
			b.bytes -= a.bytes
		}
	}
	if len(waiting) == 0 {
		delete(b.logs, log)
	}
	return found
}

// definitions remembers marking definitions, which never change once made.
type definitions struct {
	mu         sync.Mutex
	known      map[string]*stix.Object
	predefined map[string][]byte // of TLP: what they say is fixed, so none is ever asked for
}

const definitionsMost = 4096

func (d *definitions) init() {
	d.known, d.predefined = map[string]*stix.Object{}, stix.PredefinedMarkings()
}

// get returns the definition that is held and allowed here, or nil.
func (d *definitions) get(n *Node, id string) *stix.Object {
	if d.predefined[id] != nil {
		return nil
	}
	d.mu.Lock()
	o := d.known[id]
	d.mu.Unlock()
	if o != nil {
		return o
	}
	versions, err := n.cfg.Store.Get(id)
	if err != nil || len(versions) == 0 {
		return nil
	}
	o = versions[0].Object
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) >= definitionsMost {
		clear(d.known)
	}
	d.known[id] = o
	return o
}
