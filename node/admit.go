package node

import (
	"context"
	"time"

	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// An object that was refused when it came may be welcome later: its author acts
// under a version of the agreement that this member accepts a day after, or nobody
// had vouched for the agreement here for a week. The log holds its bytes, so it is
// decided about again whenever what decisions rest on has changed, and let in by
// the same door as if it came now.

// admittedUnder names the setting that says for which basis all was decided again.
const admittedUnder = "admitted-under"

// admitAgain is how long to wait after a failure.
const admitAgain = time.Minute

// admit decides again about refused objects at the start and whenever the world
// has changed, until ctx ends.
func (n *Node) admit(ctx context.Context) error {
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.changed:
		case <-again.C:
		}
		if err := n.admitNow(ctx); err != nil && ctx.Err() == nil {
			n.cfg.Logger.Warn("objects that were refused when they came are not all decided about again; it is tried again", "err", err)
			again.Reset(admitAgain)
		}
	}
}

// admitNow decides again about what was refused, where something that decisions
// rest on is new.
func (n *Node) admitNow(ctx context.Context) error {
	w := n.world.Load()
	under, err := n.cfg.Store.Setting(admittedUnder)
	if err != nil {
		return err
	}
	same := string(under) == w.basisHash.String()
	var due []store.Entry
	var positions [][]int
	for after := int64(0); ; due, positions = due[:0], positions[:0] {
		err := n.cfg.Store.Doubtful(after, func(e store.Entry, at []int) bool {
			after = e.Added
			if g := w.agreements[e.Message.Header().Agreement]; g != nil && (!same || g.timed) {
				due, positions = append(due, e), append(positions, at)
			}
			return len(due) < groupMost && ctx.Err() == nil
		})
		if err != nil || ctx.Err() != nil {
			return err
		}
		if len(due) == 0 {
			break
		}
		for i, e := range due {
			if err := n.admitFrom(ctx, w, e, positions[i]); err != nil {
				return err
			}
		}
	}
	if same {
		return nil
	}
	return n.cfg.Store.SetSetting(admittedUnder, []byte(w.basisHash.String()))
}

// admitFrom decides again about leaves of a message that were refused when it came.
func (n *Node) admitFrom(ctx context.Context, w *world, e store.Entry, positions []int) error {
	now, h := n.now(), e.Message.Header()
	if err := e.Message.Load(); err != nil {
		n.cfg.Logger.Warn("a message is damaged, and its refused objects are not decided about again", "added", e.Added, "err", err)
		return nil
	}
	g, log := w.agreements[h.Agreement], h.Log()
	if !w.counts(g, log, h.Sequence) {
		return nil
	}
	own := &arrival{message: e.Message}
	n.parseArrival(own)
	definition := func(id string) *stix.Object {
		for _, o := range own.objects {
			if o != nil && o.ID == id {
				return o
			}
		}
		return n.marks.get(n, id)
	}
	rows := rowsOf(protocol.AuditRow{Time: now, Action: "admit", Agreement: h.Agreement, Topic: h.Lane.Topic, Log: &log, Sequence: h.Sequence, Party: h.Author.Member}, w.basisHash)
	var leaves []store.Leaf
	changed := false
	for _, i := range positions {
		o := own.objects[i]
		d, fate := n.decideLeaf(w, g, h, o, own.faults[i], definition, now)
		if changed = changed || fate != fateDoubted; o == nil {
			continue
		}
		leaves = append(leaves, store.Leaf{Position: i, ID: o.ID, Modified: o.Modified, Object: o, Allowed: fate == fateKept, Doubtful: fate == fateDoubted})
		if fate == fateKept {
			rows.add(d, i)
		}
	}
	if !changed {
		return nil
	}
	n.keepBasis(ctx, w)
	if err := n.cfg.Store.Admit(ctx, e.Added, leaves, rows.done(h.Objects)...); err != nil {
		return err
	}
	if len(g.doc.Scores) > 0 {
		n.tell(n.given)
	}
	return nil
}
