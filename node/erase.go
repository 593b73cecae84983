package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"entente/policy"
	"entente/protocol"
	"entente/store"
)

// An object is erased by a tombstone: a statement of its publisher in the lane of
// the object, which names the leaf and says nothing of what it held. Every holder
// erases, makes sure that nothing is left on its disk, and states that in turn.

// graveyard is what statements there are in the lanes of objects: tombstones and
// receipts, requests and answers to them, as far as the logs were read. It is read
// again from them at each start.
type graveyard struct {
	round    chan struct{} // holds one value while somebody erases and answers
	mu       sync.Mutex
	read     int64                                                      // owner: mu; added stamp
	graves   map[protocol.Hash]*grave                                   // owner: mu; by the tombstone's hash
	answered map[protocol.Hash]struct{}                                 // owner: mu; tombstones for which this node has stated a receipt
	receipts map[protocol.Hash]map[protocol.MemberID]protocol.Statement // owner: mu; by the tombstone's hash
	ledger   ledger                                                     // owner: mu
	doubtful []doubtful                                                 // owner: mu
	basis    protocol.Hash                                              // owner: mu; of the world in which they were doubted last
}

// doubtful is a message with a statement that no key verifies which its member has
// by the records that are here: one with the key may be on its way.
type doubtful struct {
	log      protocol.LogID
	sequence uint64
}

// doubtfulMost is how many such messages of one member are remembered.
const doubtfulMost = 64

// grave is one tombstone.
type grave struct {
	claim   protocol.Statement
	topic   string
	settled bool // owner: round's holder; all that it names has come and is erased
}

func (y *graveyard) init() {
	y.round = make(chan struct{}, 1)
	y.graves, y.answered = map[protocol.Hash]*grave{}, map[protocol.Hash]struct{}{}
	y.receipts = map[protocol.Hash]map[protocol.MemberID]protocol.Statement{}
	y.ledger.init()
}

// tellBuried has the statements looked at soon.
func (n *Node) tellBuried() {
	select {
	case n.buried <- struct{}{}:
	default:
	}
}

// buryLull is how long after something came what waited for it is looked at: what
// comes together is looked at together.
const buryLull = time.Second

// bury erases what tombstones name, at the start and as they and what they name
// come, until ctx ends.
func (n *Node) bury(ctx context.Context) error {
	again := time.NewTimer(0)
	defer again.Stop()
	var arrived <-chan struct{} // nil: nothing is waited for
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-arrived:
			arrived = nil
			again.Reset(buryLull)
			continue
		case <-n.buried:
		case <-again.C:
		}
		watch := n.cfg.Store.Watch()
		waits, err := n.buryNow(ctx)
		if arrived = nil; waits {
			arrived = watch
		}
		if err != nil && ctx.Err() == nil {
			n.cfg.Logger.Warn("what tombstones name is not all erased yet; it is tried again", "err", err)
			again.Reset(time.Minute)
		}
	}
}

// buryNow reads the statements that have come, erases what they name, and answers
// where this member has not. waits is set when some of what they name has not come.
func (n *Node) buryNow(ctx context.Context) (waits bool, err error) {
	select {
	case n.graves.round <- struct{}{}:
		defer func() { <-n.graves.round }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	w := n.world.Load()
	if err := n.readGraves(w); err != nil {
		return false, err
	}
	n.graves.mu.Lock()
	open := map[protocol.Hash]*grave{}
	for hash, g := range n.graves.graves {
		if !g.settled {
			open[hash] = g
		}
	}
	n.graves.mu.Unlock()
	var failed error
	for hash, tomb := range open {
		if g := w.agreements[tomb.claim.Agreement]; g != nil {
			missing, err := n.answerTombstone(ctx, w, g, hash, tomb)
			failed, waits = errors.Join(failed, err), waits || missing != none
		}
	}
	return waits, failed
}

// readGraves takes up tombstones and receipts that have come.
func (n *Node) readGraves(w *world) error {
	y := &n.graves
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.basis != w.basisHash {
		again := y.doubtful
		y.doubtful, y.basis = nil, w.basisHash
		for _, d := range again {
			e, err := n.cfg.Store.Message(d.log, d.sequence)
			if err != nil {
				return err
			}
			n.readGrave(w, e)
		}
	}
	return n.cfg.Store.Statements(y.read, func(e store.Entry) bool {
		y.read = e.Added
		n.readGrave(w, e)
		return true
	})
}

// readGrave takes up what one message states. The caller holds the graveyard's lock.
func (n *Node) readGrave(w *world, e store.Entry) {
	y, h := &n.graves, e.Message.Header()
	doubt := false
	for i := range h.Objects {
		sealed, err := protocol.DecodeStatement(e.Message.Object(i))
		if err != nil || misplaced(sealed.Claim(), h) != nil {
			continue
		}
		if w.verify(sealed) != nil {
			doubt = true
			continue
		}
		if n.foreign(sealed.Claim(), h) != nil {
			continue
		}
		switch claim := sealed.Claim(); claim.Kind {
		case protocol.Tombstone:
			if hash := sealed.Hash(); y.graves[hash] == nil {
				y.graves[hash] = &grave{claim: claim, topic: h.Lane.Topic}
			}
		case protocol.Receipt:
			if y.receipts[claim.About] == nil {
				y.receipts[claim.About] = map[protocol.MemberID]protocol.Statement{}
			}
			y.receipts[claim.About][claim.Member] = claim
			if h.Author == n.self() {
				y.answered[claim.About] = struct{}{}
			}
		case protocol.Request, protocol.Grant, protocol.Denial:
			y.ledger.take(n.cfg.Store, sealed, h.Lane.Topic, time.UnixMicro(e.Added))
		}
	}
	if doubt {
		y.doubt(doubtful{h.Log(), h.Sequence})
	}
}

// doubt remembers a message, and forgets the first of its member where those are
// many.
func (y *graveyard) doubt(d doubtful) {
	of := func(e doubtful) bool { return e.log.Author.Member == d.log.Author.Member }
	count := 0
	for _, e := range y.doubtful {
		if of(e) {
			count++
		}
	}
	if count >= doubtfulMost {
		first := slices.IndexFunc(y.doubtful, of)
		y.doubtful = slices.Delete(y.doubtful, first, first+1)
	}
	y.doubtful = append(y.doubtful, d)
}

// answerTombstone erases what a tombstone names of its member's own logs, here
// and on the disk, and states it. What comes only afterwards is erased then.
func (n *Node) answerTombstone(ctx context.Context, w *world, g *governing, hash protocol.Hash, tomb *grave) (absence, error) {
	list, missing, err := n.named(tomb)
	if err != nil || missing == all {
		return missing, err // it is asked again when something comes
	}
	n.graves.mu.Lock()
	_, answered := n.graves.answered[hash]
	n.graves.mu.Unlock()
	if !answered {
		if err := n.eraseGranted(ctx, w, tomb); err != nil {
			return missing, err
		}
	}
	if len(list) > 0 {
		row := protocol.AuditRow{
			Time: n.now(), Kind: protocol.AuditDecision, Action: "erase", Outcome: "ok", Agreement: g.doc.ID, Version: g.doc.Version, Topic: tomb.topic,
			Party: tomb.claim.Member, Count: len(list), Reason: protocol.AuditReason{Layer: policy.Governing.String(), Text: w.statementText(g, tomb.claim)},
		}
		if _, err := n.cfg.Store.Erase(ctx, list, row); err != nil {
			return missing, err
		}
	}
	if err := n.cfg.Store.Purge(ctx); err != nil {
		return missing, err
	}
	if !answered && g.open() && g.stands(n.cfg.Member) && g.party {
		if err := n.publishStatements(ctx, g, tomb.topic, protocol.Statement{
			Kind: protocol.Receipt, Agreement: g.doc.ID, Version: g.doc.Version, Head: g.doc.Hash, Member: n.cfg.Member,
			Time: n.now().Truncate(time.Microsecond), Leaves: tomb.claim.Leaves, About: hash,
		}); err != nil {
			return missing, err
		}
		n.graves.mu.Lock()
		n.graves.answered[hash] = struct{}{}
		n.graves.mu.Unlock()
		n.tellBuried() // to take up its own receipt
		answered = true
	}
	tomb.settled = missing == none && (answered || !g.party)
	return missing, nil
}

// absence is what of a tombstone's objects has not come.
type absence int

const (
	none absence = iota
	some         // of logs of which nothing is here, and might never be
	all          // all of them, or some of a log that is here
)

// named finds what is to be erased of what a tombstone names: what is here, of logs
// of its member in its lane.
func (n *Node) named(tomb *grave) (list []store.Erasure, missing absence, err error) {
	s, here := n.cfg.Store, 0
	for _, leaf := range tomb.claim.Leaves {
		log, known := s.Log(tomb.claim.Agreement, leaf.Log)
		switch {
		case !known:
			missing = some
			continue
		case log.Author.Member != tomb.claim.Member || log.Lane != protocol.TopicLane(tomb.topic):
			continue
		case leaf.Sequence > s.Position(log).Sequence:
			return nil, all, nil
		}
		here++
		e, err := s.Message(log, leaf.Sequence)
		if protocol.KindOf(err) == protocol.NotFound {
			continue
		}
		if err != nil {
			return nil, all, err
		}
		if leaf.Position < uint64(e.Message.Header().Objects) && e.Message.Object(int(leaf.Position)) != nil {
			list = append(list, store.Erasure{Log: log, Sequence: leaf.Sequence, Positions: []int{int(leaf.Position)}})
		}
	}
	if here == 0 {
		missing = all
	}
	return list, missing, nil
}

// Erasure tells how far the erasure of an object has come.
type Erasure struct {
	Agreement string           `json:"agreement"`
	Topic     string           `json:"topic"`
	Time      time.Time        `json:"time"`
	Text      string           `json:"text,omitempty"`
	Tombstone string           `json:"tombstone"` // hash
	Objects   int              `json:"objects"`   // leaves
	Confirmed []ErasureReceipt `json:"confirmed"`
	Missing   []string         `json:"missing"` // handles of parties that read the topic and have not confirmed
}

// ErasureReceipt is one holder's word.
type ErasureReceipt struct {
	Member string    `json:"member"` // handle
	Time   time.Time `json:"time"`
}

// eraseMost is how many leaves one tombstone names.
const eraseMost = 512

// Erase publishes tombstones for all versions of objects that this node has
// published, and erases them here. Others erase on receipt. An object of another
// publisher is Refused, one that is not here NotFound; then nothing is erased.
func (n *Node) Erase(ctx context.Context, ids []string, reason string) ([]Erasure, error) {
	const op = "erase"
	type lane struct {
		agreement protocol.AgreementID
		topic     string
	}
	leaves := map[lane][]protocol.Leaf{}
	ids, made, err := n.withMade(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		versions, err := n.cfg.Store.Get(id)
		if err != nil {
			return nil, err
		}
		own := 0
		for _, v := range versions {
			if v.Log.Author != n.self() {
				continue
			}
			own++
			at := lane{v.Log.Agreement, v.Log.Lane.Topic}
			leaves[at] = append(leaves[at], protocol.Leaf{Log: v.Log.Hash(), Sequence: v.Sequence, Position: uint64(v.Position)})
		}
		switch {
		case own == 0 && made[id]:
		case own == 0 && len(versions) > 0:
			return nil, protocol.E(protocol.Refused, op, fmt.Errorf("%s was published by another member, who alone can have it erased", id), "ask that member; who it is: entente explain "+id)
		case own == 0:
			return nil, protocol.E(protocol.NotFound, op, fmt.Errorf("%s is not available", id), "look for it: entente search WORD")
		}
	}
	if len(leaves) == 0 {
		return nil, protocol.E(protocol.NotFound, op, fmt.Errorf("nothing that was made of %s is here any more", strings.Join(ids, ", ")), "see what was erased: entente erase --status")
	}
	w := n.world.Load()
	var hashes []protocol.Hash
	for at, list := range leaves {
		g := w.agreements[at.agreement]
		if g == nil || !g.open() {
			return nil, protocol.Errorf(protocol.Refused, op, "nothing passes under the agreement %s any more", w.agreementName(at.agreement))
		}
		for part := range slices.Chunk(list, eraseMost) {
			hash, err := n.tombstone(ctx, g, at.topic, part, reason)
			if err != nil {
				return nil, err
			}
			hashes = append(hashes, hash)
		}
	}
	if _, err := n.buryNow(ctx); err != nil {
		n.cfg.Logger.Warn("what was to be erased is not all erased here yet; it is tried again", "err", err)
		n.tellBuried()
	}
	if err := n.readGraves(n.world.Load()); err != nil {
		return nil, err
	}
	return n.erasures(func(h protocol.Hash) bool { return slices.Contains(hashes, h) }), nil
}

// tombstone publishes one, and returns its hash.
func (n *Node) tombstone(ctx context.Context, g *governing, topic string, leaves []protocol.Leaf, reason string) (protocol.Hash, error) {
	return n.stateHere(ctx, g, topic, protocol.Statement{Kind: protocol.Tombstone, Leaves: leaves, Text: reason})
}

// stateHere makes a statement of this member in the lane of objects, and returns
// its hash. Its time is now, where it has none.
func (n *Node) stateHere(ctx context.Context, g *governing, topic string, s protocol.Statement) (protocol.Hash, error) {
	s.Agreement, s.Version, s.Head, s.Member = g.doc.ID, g.doc.Version, g.doc.Hash, n.cfg.Member
	if s.Time.IsZero() {
		s.Time = n.now().Truncate(time.Microsecond)
	}
	data, err := protocol.SealStatement(s, n.cfg.Operator)
	if err != nil {
		return protocol.Hash{}, err
	}
	sealed, err := protocol.DecodeStatement(data)
	if err != nil {
		return protocol.Hash{}, err
	}
	return sealed.Hash(), n.publishStatements(ctx, g, topic, s)
}

// Erasures lists the tombstones of this member, newest first, and who has
// confirmed each.
func (n *Node) Erasures(context.Context) ([]Erasure, error) {
	if err := n.readGraves(n.world.Load()); err != nil {
		return nil, err
	}
	return n.erasures(func(protocol.Hash) bool { return true }), nil
}

func (n *Node) erasures(wanted func(protocol.Hash) bool) []Erasure {
	w := n.world.Load()
	y := &n.graves
	y.mu.Lock()
	defer y.mu.Unlock()
	out := []Erasure{}
	for hash, tomb := range y.graves {
		g := w.agreements[tomb.claim.Agreement]
		if tomb.claim.Member != n.cfg.Member || g == nil || !wanted(hash) {
			continue
		}
		e := Erasure{
			Agreement: g.doc.Name, Topic: tomb.topic, Time: tomb.claim.Time, Text: tomb.claim.Text, Tombstone: hash.String(),
			Objects: len(tomb.claim.Leaves), Confirmed: []ErasureReceipt{}, Missing: []string{},
		}
		for _, p := range g.doc.Parties {
			receipt, confirmed := y.receipts[hash][p.ID]
			switch {
			case confirmed && slices.Equal(receipt.Leaves, tomb.claim.Leaves):
				e.Confirmed = append(e.Confirmed, ErasureReceipt{p.Handle, receipt.Time})
			case slices.Contains(g.readers(tomb.topic), p.ID) || p.ID == n.cfg.Member || hasHalted(g, p.ID):
				e.Missing = append(e.Missing, p.Handle)
			}
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Erasure) int {
		return cmp.Or(b.Time.Compare(a.Time), strings.Compare(a.Agreement, b.Agreement), strings.Compare(a.Topic, b.Topic), strings.Compare(a.Tombstone, b.Tombstone))
	})
	return out
}

// hasHalted reports whether a party is halted: it may hold what came before.
func hasHalted(g *governing, m protocol.MemberID) bool {
	return slices.Contains(slices.Collect(maps.Keys(g.halted)), m)
}
