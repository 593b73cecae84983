package node

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"entente/protocol"
	"entente/store"
)

// An agreement may let a party read a topic only while it gives itself. How much
// that is nobody says alone: the other parties count what they have of it, and sign
// that it is enough. As long as so many of their scores run as the agreement asks,
// all nodes take the party for entitled; the newest score of each member counts, for
// the time that the agreement says. A node signs scores by itself, and only of
// parties that have given enough.

const (
	scoreSoon    = 2 * time.Second // after something has come that counts
	scoreLook    = time.Hour       // how often is looked what has lapsed, or oftener where scores last for less than eight of them
	scoreRest    = 50              // how many times as long as a count took none is made
	scoreReserve = 2               // as many more parties than must sign a score
	scoreBatch   = 128             // statements in one message
)

// contribution returns what the version that counts asks for by that name, or nil.
func (g *governing) contribution(name string) *protocol.Contribution {
	return contributionOf(g.doc, name)
}

func contributionOf(a *protocol.Agreement, name string) *protocol.Contribution {
	i := slices.IndexFunc(a.Scores, func(c protocol.Contribution) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &a.Scores[i]
}

// voidScore says why a score entitles nobody to anything.
func (g *governing) voidScore(s protocol.Statement) error {
	c := g.contribution(s.Name)
	switch {
	case g.doc.Party(s.Member) == nil:
		return fmt.Errorf("its member is no party")
	case g.doc.Party(s.Party) == nil:
		return fmt.Errorf("it is about one who is no party")
	case s.Member == s.Party:
		return fmt.Errorf("nobody counts what it has given itself")
	case c == nil:
		return fmt.Errorf("the agreement has no contribution %q", s.Name)
	case s.Count < uint64(c.Objects):
		return fmt.Errorf("the contribution %s asks for %s", c.Name, quantity(c.Objects, "object"))
	case !g.sameCount(s, c):
		return fmt.Errorf("it was counted by another version of the agreement, whose contribution %s counts other objects", c.Name)
	}
	return nil
}

// sameCount reports whether a score counts what a contribution counts: that is so
// where the version by which it was made says the same.
func (g *governing) sameCount(s protocol.Statement, c *protocol.Contribution) bool {
	by := g.known(s.Head)
	if by == nil {
		return false
	}
	then := contributionOf(by, c.Name)
	return then != nil && then.Within == c.Within && slices.Equal(then.Topics, c.Topics) && slices.Equal(then.Types, c.Types)
}

// entitled settles who is entitled by which contribution, and until when.
func (w *world) entitled(g *governing, said *statements, now time.Time) map[string]map[protocol.MemberID]time.Time {
	var out map[string]map[protocol.MemberID]time.Time
	if len(g.doc.Scores) == 0 || said == nil {
		return nil
	}
	running := w.running(g, said)
	for _, c := range g.doc.Scores {
		for _, p := range g.doc.Parties {
			until, _ := w.entitlement(g, &c, p.ID, running[scored{p.ID, c.Name}])
			if !now.Before(until) {
				continue
			}
			w.change(until, now)
			if out == nil {
				out = map[string]map[protocol.MemberID]time.Time{}
			}
			if out[c.Name] == nil {
				out[c.Name] = map[protocol.MemberID]time.Time{}
			}
			out[c.Name][p.ID] = until
		}
	}
	return out
}

// entitledBy returns whom the contributions of a version entitle now, if it is of an
// agreement that is here.
func (n *Node) entitledBy(w *world, a *protocol.Agreement, now time.Time) map[string]map[protocol.MemberID]time.Time {
	if a == nil || w.agreements[a.ID] == nil {
		return nil
	}
	n.docs.Lock()
	defer n.docs.Unlock()
	probe := world{self: w.self, made: now, until: now, members: w.members}
	return probe.entitled(w.agreements[a.ID], n.said[a.ID], now)
}

// scored is what scores are about.
type scored struct {
	party protocol.MemberID
	name  string
}

// running gathers the scores of parties that stand, by what they are about, the
// latest first. Their signatures are not verified yet.
func (w *world) running(g *governing, said *statements) map[scored][]*protocol.SealedStatement {
	out := map[scored][]*protocol.SealedStatement{}
	for key, s := range said.last {
		if _, halted := g.halted[key.member]; key.kind != protocol.Score || halted || !g.stands(key.member) {
			continue
		}
		about := scored{key.party, key.name}
		out[about] = append(out[about], s.sealed)
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b *protocol.SealedStatement) int {
			x, y := a.Claim(), b.Claim()
			return cmp.Or(y.Time.Compare(x.Time), bytes.Compare(x.Member[:], y.Member[:]))
		})
	}
	return out
}

// entitlement returns until when a party is entitled by its scores, or by its time
// of grace. Where several versions act, all of them must entitle it.
func (w *world) entitlement(g *governing, c *protocol.Contribution, party protocol.MemberID, scores []*protocol.SealedStatement) (until time.Time, grace bool) {
	for _, version := range g.acting {
		asked := contributionOf(version, c.Name)
		if asked == nil {
			continue // no clause of it asks
		}
		at, free := w.scoresLast(g, asked, scores), false
		if end := g.graceOf(asked, party); end.After(at) {
			at, free = end, true
		}
		if until.IsZero() || at.Before(until) {
			until, grace = at, free
		}
		if at.IsZero() {
			return at, false
		}
	}
	return until, grace
}

// scoresLast returns until when as many scores run as a contribution asks for: zero
// where they never did.
func (w *world) scoresLast(g *governing, c *protocol.Contribution, scores []*protocol.SealedStatement) time.Time {
	need := c.Signers
	for _, s := range scores { // the latest first
		claim := s.Claim()
		if claim.Count < uint64(c.Objects) || !g.sameCount(claim, c) || g.voidScore(claim) != nil || w.verify(s) != nil {
			continue
		}
		if need--; need <= 0 {
			return c.Entitles.After(claim.Time)
		}
	}
	return time.Time{}
}

// graceOf returns the end of the time in which a party is entitled without a score:
// it begins with the first version that names it.
func (g *governing) graceOf(c *protocol.Contribution, party protocol.MemberID) time.Time {
	if c.Grace.IsZero() {
		return time.Time{}
	}
	for _, v := range g.versions { // oldest first
		if _, valid := g.valid[v.parsed.Hash]; valid && v.parsed.Party(party) != nil {
			return c.Grace.After(v.parsed.From)
		}
	}
	return time.Time{}
}

// score counts, and signs what is due, as long as the node runs.
func (n *Node) score(ctx context.Context) error {
	timer := time.NewTimer(scoreSoon)
	defer timer.Stop()
	rested, woken := time.Now(), false
	all := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.given:
			if !woken { // what goes on coming does not put it off
				woken = true
				timer.Reset(max(scoreSoon, time.Until(rested)))
			}
			continue
		case <-timer.C:
		}
		began := time.Now()
		next, err := n.signScores(ctx, all)
		if err != nil && ctx.Err() == nil {
			// A full disk, mostly; the other parties count as well.
			n.cfg.Logger.Warn("what parties have contributed could not be counted", "err", err)
		}
		rested, woken, all = time.Now().Add(scoreRest*time.Since(began)), false, true
		timer.Reset(max(next, time.Until(rested)))
	}
}

// dueScores is an agreement with the scores that this member should sign.
type dueScores struct {
	g      *governing
	wanted []scored
}

// signScores counts what parties have given whose scores are due, and signs that of
// those who have given enough. It signs those that fall to this member first; the
// others only where all is set, since then nobody has. It returns when to look again.
func (n *Node) signScores(ctx context.Context, all bool) (next time.Duration, err error) {
	due, next, err := n.dueScores(all)
	if err != nil {
		return next, err
	}
	for _, d := range due {
		t, err := n.tally(ctx, d.g, d.wanted, 0)
		if err != nil {
			return next, err
		}
		now := n.now().Truncate(time.Microsecond)
		var list []protocol.Statement
		for _, s := range d.wanted {
			if c := d.g.contribution(s.name); t.count(s) >= c.Objects {
				list = append(list, protocol.Statement{
					Kind: protocol.Score, Agreement: d.g.doc.ID, Version: d.g.doc.Version, Head: d.g.doc.Hash, Member: n.cfg.Member, Time: now,
					Party: s.party, Name: s.name, Count: uint64(t.count(s)), Frontier: t.frontier(s),
				})
			}
		}
		for some := range slices.Chunk(list, scoreBatch) {
			if err := n.publishStatements(ctx, d.g, protocol.AgreementTopic, some...); err != nil {
				return next, err
			}
		}
		if len(list) > 0 {
			n.tell(n.stated)
		}
	}
	return next, nil
}

// dueScores returns whose scores this member should sign now, if they have given
// enough: those that have half of their time behind them. It returns, too, when to
// look again.
func (n *Node) dueScores(all bool) (out []dueScores, next time.Duration, err error) {
	n.docs.Lock()
	defer n.docs.Unlock()
	w, now := n.world.Load(), n.now()
	next = scoreLook
	if err := n.hear(w); err != nil {
		return nil, next, err
	}
	for _, g := range w.agreements {
		if _, halted := g.halted[w.self]; halted || len(g.doc.Scores) == 0 || !g.inForce() || !g.stands(w.self) || !w.mayState(now) {
			continue
		}
		d, running := dueScores{g: g}, w.running(g, n.said[g.doc.ID])
		for _, c := range g.doc.Scores {
			next = min(next, max(scoreSoon, c.Entitles.After(now).Sub(now)/8))
			for _, p := range g.doc.Parties {
				about := scored{p.ID, c.Name}
				if w.dueFrom(g, &c, p.ID, running[about], now, all) {
					d.wanted = append(d.wanted, about)
				}
			}
		}
		if len(d.wanted) > 0 {
			out = append(out, d)
		}
	}
	return out, next, nil
}

// dueFrom reports whether this member should sign a score of a party. Of many
// parties as many do as must, and some more; which ones that are is different for
// each party. The others sign where that was not enough.
func (w *world) dueFrom(g *governing, c *protocol.Contribution, party protocol.MemberID, scores []*protocol.SealedStatement, now time.Time, all bool) bool {
	if _, halted := g.halted[party]; halted || party == w.self || !g.stands(party) {
		return false
	}
	good := 0
	for _, s := range scores {
		claim := s.Claim()
		end := c.Entitles.After(claim.Time)
		if half := claim.Time.Add(end.Sub(claim.Time) / 2); !now.Before(half) || g.voidScore(claim) != nil || w.verify(s) != nil {
			continue
		}
		if claim.Member == w.self {
			return false
		}
		good++
	}
	if good >= c.Signers+scoreReserve {
		return false
	}
	return all && good < c.Signers || w.rank(g, c, party) < c.Signers+scoreReserve
}

// rank returns this member's place among those who sign the scores of a party.
func (w *world) rank(g *governing, c *protocol.Contribution, party protocol.MemberID) int {
	lot := func(m protocol.MemberID) [32]byte {
		return sha256.Sum256(slices.Concat(g.doc.ID[:], party[:], m[:], []byte(c.Name)))
	}
	own, before := lot(w.self), 0
	for _, p := range g.doc.Parties {
		if _, halted := g.halted[p.ID]; halted || p.ID == party || p.ID == w.self || !g.stands(p.ID) {
			continue
		}
		if other := lot(p.ID); bytes.Compare(other[:], own[:]) < 0 {
			before++
		}
	}
	return before
}

// tally is what parties have given, as far as this node has it.
type tally struct {
	seed  maphash.Seed
	given map[scored]*given
	held  protocol.Frontier // when the count began
	g     *governing
}

type given struct {
	c     *protocol.Contribution
	since time.Time
	most  int                 // which is enough to know
	seen  map[uint64]struct{} // hashes of the ids that were looked at
	count int
}

func (t *tally) count(s scored) int { return t.given[s].count }

// frontier names the logs that were counted, and up to where.
func (t *tally) frontier(s scored) protocol.Hash {
	var of protocol.Frontier
	for _, e := range t.held {
		if e.Log.Author.Member == s.party && counts(t.given[s].c, e.Log.Lane.Topic) {
			of = append(of, e)
		}
	}
	return of.Digest()
}

// counts reports whether objects on a topic count.
func counts(c *protocol.Contribution, topic string) bool {
	return topic != protocol.AgreementTopic && (len(c.Topics) == 0 || slices.Contains(c.Topics, topic))
}

// tally counts what parties have given: objects that this member may have, each
// once, that were first in the party's log and are not retracted. It counts up to
// what the contribution asks for, or to most where that is more.
func (n *Node) tally(ctx context.Context, g *governing, wanted []scored, most int) (*tally, error) {
	now := n.now()
	t := &tally{seed: maphash.MakeSeed(), given: map[scored]*given{}, held: n.cfg.Store.Logs(g.doc.ID), g: g}
	oldest := now
	for _, s := range wanted {
		c := g.contribution(s.name)
		since := c.Within.Before(now)
		t.given[s] = &given{c: c, since: since, most: max(most, c.Objects), seen: map[uint64]struct{}{}}
		if since.Before(oldest) {
			oldest = since
		}
	}
	end := map[protocol.LogID]uint64{}
	for _, e := range t.held {
		end[e.Log] = e.Position.Sequence
	}
	r := n.carried()
	for _, topic := range g.named() {
		open := t.open(topic)
		if len(open) == 0 {
			continue
		}
		var failed error
		err := n.cfg.Store.Scan(store.Query{Agreement: g.doc.ID, Topic: topic, Reverse: true}, func(v store.Version) bool {
			if failed = ctx.Err(); failed != nil || v.Added < oldest.Add(-skew).UnixMicro() || len(open) == 0 {
				return false
			}
			for s, of := range open {
				if s.party != v.Log.Author.Member || v.Sequence > end[v.Log] || v.Time.Before(of.since) || len(of.c.Types) > 0 && !slices.Contains(of.c.Types, v.Object.Type) {
					continue
				}
				id := maphash.String(t.seed, v.ID)
				if _, again := of.seen[id]; again {
					continue
				}
				of.seen[id] = struct{}{}
				var gift bool
				if gift, failed = r.gift(v); failed != nil {
					return false
				}
				if gift {
					of.count++
				}
				if of.count >= of.most {
					delete(open, s)
				}
			}
			return true
		})
		if err := cmp.Or(failed, err); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// open returns what is still to be counted on a topic.
func (t *tally) open(topic string) map[scored]*given {
	out := maps.Clone(t.given)
	maps.DeleteFunc(out, func(_ scored, of *given) bool { return of.count >= of.most || !counts(of.c, topic) })
	return out
}

// gift reports whether a version of an object counts as given by its author: it is
// not retracted, the reader may have it, and nobody else gave it before.
func (r *reading) gift(v store.Version) (bool, error) {
	if v.Object.Revoked {
		return false, nil
	}
	if seen, err := r.visible(v.ID); err != nil || !seen {
		return false, err
	}
	arrivals, err := r.node.cfg.Store.Arrivals(v.ID)
	if err != nil || len(arrivals) < 2 {
		return err == nil, err
	}
	held, err := r.node.cfg.Store.Get(v.ID)
	if err != nil {
		return false, err
	}
	first := v
	for _, other := range held {
		if other.Log.Agreement == v.Log.Agreement && other.Added < first.Added {
			first = other
		}
	}
	return first.Log.Author.Member == v.Log.Author.Member, nil
}
