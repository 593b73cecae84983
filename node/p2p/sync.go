package p2p

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"entente/protocol"
)

// scheduler decides when to sync what with whom. Triggers for the same
// agreement and peer become one session; there is never more than one at once.
type scheduler struct {
	h      *Host
	wakeup chan struct{}

	mu      sync.Mutex
	jobs    map[syncKey]*job                   // owner: mu
	running int                                // owner: mu; outbound sessions
	perPeer map[peer.ID]int                    // owner: mu; outbound sessions
	active  map[protocol.AgreementID]*running  // owner: mu; outbound sessions
	rounds  map[protocol.AgreementID]time.Time // owner: mu; when the next sync by the clock is due
	turn    map[protocol.AgreementID]int       // owner: mu; whose turn it is for Sync
	inbound map[peer.ID]int                    // owner: mu; sessions served
	serving int                                // owner: mu; the sum of inbound
}

type syncKey struct {
	agreement protocol.AgreementID
	id        peer.ID
}

// job is a session that is due, or runs.
type job struct {
	due     time.Time
	hinted  bool // by the peer that lacked nothing: no hint goes back
	nudge   bool // tell the peer that there are documents for it
	running bool
	again   *job // asked for while running
	tries   int  // in a row that found the peer busy
}

// running is the outbound sessions of one agreement.
type running struct {
	count int
	since time.Time // the last one began
}

// alone is how long a session has its agreement to itself: a second one would
// bring the same messages again. A peer slower than that is not waited for.
const alone = 30 * time.Second

func newScheduler(h *Host) *scheduler {
	return &scheduler{
		h: h, wakeup: make(chan struct{}, 1), jobs: map[syncKey]*job{}, perPeer: map[peer.ID]int{}, active: map[protocol.AgreementID]*running{},
		rounds: map[protocol.AgreementID]time.Time{}, turn: map[protocol.AgreementID]int{}, inbound: map[peer.ID]int{},
	}
}

// trigger asks for a session after a delay.
func (s *scheduler) trigger(agreement protocol.AgreementID, id peer.ID, delay time.Duration, hinted bool) {
	if id == s.h.self {
		return
	}
	s.ask(agreement, id, &job{due: time.Now().Add(delay), hinted: hinted})
}

func (s *scheduler) ask(agreement protocol.AgreementID, id peer.ID, j *job) {
	s.mu.Lock()
	s.put(syncKey{agreement, id}, j)
	s.mu.Unlock()
	wake(s.wakeup)
}

// put adds a job or joins it with the one that waits.
func (s *scheduler) put(key syncKey, j *job) {
	held := s.jobs[key]
	switch {
	case held == nil:
		s.jobs[key] = j
	case held.running && held.again == nil:
		held.again = j
	default:
		if held.running {
			held = held.again
		}
		held.hinted, held.nudge = held.hinted && j.hinted, held.nudge || j.nudge
		if j.due.Before(held.due) {
			held.due = j.due
		}
	}
}

// rosterChanged asks for a session with every connected node of an agreement
// that is new, or has a new version or new nodes.
func (s *scheduler) rosterChanged(before, next *roster) {
	for _, m := range next.order {
		old := before.memberships[m.Agreement]
		for id := range m.all() {
			known := old != nil && old.keys[0] == m.keys[0] && old.Papers == m.Papers && old.Held == m.Held
			if known {
				known = old.has(id) && old.papers(id) == m.papers(id)
			}
			if !known && s.h.net.Network().Connectedness(id) == network.Connected {
				// What came into force by a signature given here is news to others.
				s.ask(m.Agreement, id, &job{due: time.Now(), nudge: m.papers(id) || (old != nil && old.papers(id))})
			}
		}
	}
	s.mu.Lock()
	for id := range s.rounds {
		if next.memberships[id] == nil {
			delete(s.rounds, id)
			delete(s.turn, id)
		}
	}
	for _, m := range next.order {
		if _, ok := s.rounds[m.Agreement]; !ok {
			s.rounds[m.Agreement] = time.Now().Add(rand.N(s.h.cfg.SyncEvery) + time.Second)
		}
	}
	s.mu.Unlock()
	wake(s.wakeup)
}

// loop starts sessions as they come due.
func (s *scheduler) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.h.ctx.Done():
			return
		case <-timer.C:
		case <-s.wakeup:
		}
		now := time.Now()
		s.byClock(now)
		timer.Reset(max(s.start(now).Sub(now), 10*time.Millisecond))
	}
}

// byClock asks for the sessions with a random peer that are due.
func (s *scheduler) byClock(now time.Time) {
	s.mu.Lock()
	var due []protocol.AgreementID
	for id, at := range s.rounds {
		if !now.Before(at) {
			due = append(due, id)
			s.rounds[id] = now.Add(jitter(s.h.cfg.SyncEvery))
		}
	}
	s.mu.Unlock()
	for _, agreement := range due {
		if ids := s.h.connected(agreement); len(ids) > 0 {
			s.trigger(agreement, ids[rand.IntN(len(ids))], 0, false)
		}
	}
}

// start starts what is due and has room, and returns when to look again.
func (s *scheduler) start(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := now.Add(s.h.cfg.SyncEvery)
	for _, at := range s.rounds {
		if at.Before(next) {
			next = at
		}
	}
	for key, j := range s.jobs {
		if j.running {
			continue
		}
		if j.due.After(now) {
			if j.due.Before(next) {
				next = j.due
			}
			continue
		}
		if s.running >= maxOutbound || s.perPeer[key.id] >= maxInboundPeer {
			continue // the end of a session wakes the loop
		}
		r := s.active[key.agreement]
		if r != nil && now.Before(r.since.Add(alone)) {
			if free := r.since.Add(alone); free.Before(next) {
				next = free
			}
			continue
		}
		if r == nil {
			r = &running{}
			s.active[key.agreement] = r
		}
		r.count, r.since = r.count+1, now
		j.running = true
		s.running++
		s.perPeer[key.id]++
		s.h.tasks.run(func() { s.session(key, j) })
	}
	return next
}

// session runs one job and clears up after it.
func (s *scheduler) session(key syncKey, j *job) {
	err := s.h.syncWith(s.h.ctx, key.agreement, key.id, j)
	s.mu.Lock()
	s.running--
	if s.perPeer[key.id]--; s.perPeer[key.id] == 0 {
		delete(s.perPeer, key.id)
	}
	if r := s.active[key.agreement]; r.count > 1 {
		r.count--
	} else {
		delete(s.active, key.agreement)
	}
	delete(s.jobs, key)
	again := j.again
	if again == nil && errors.Is(err, errBusy) && j.tries < 8 {
		again = &job{due: time.Now().Add(jitter(time.Second << min(j.tries, 4))), hinted: j.hinted, tries: j.tries + 1}
	} else if again != nil {
		again.due = laterOf(again.due, time.Now().Add(100*time.Millisecond))
	}
	if again != nil {
		s.jobs[key] = again
	}
	s.mu.Unlock()
	wake(s.wakeup)
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// admit reports whether another session of the peer may be served; then
// release must follow.
func (s *scheduler) admit(id peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving >= maxInbound || s.inbound[id] >= maxInboundPeer {
		return false
	}
	s.serving++
	s.inbound[id]++
	return true
}

func (s *scheduler) release(id peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving--
	if s.inbound[id]--; s.inbound[id] == 0 {
		delete(s.inbound, id)
	}
}

// connected returns the peers to sync an agreement with, sorted.
func (h *Host) connected(agreement protocol.AgreementID) []peer.ID {
	if m := h.membership(agreement); m != nil && m.Papers {
		return h.paperPeers(m)
	}
	g := h.group(agreement)
	if g == nil {
		return nil
	}
	var ids []peer.ID
	for _, id := range h.net.Network().Peers() {
		if g.view.admits(id) && h.net.Network().Connectedness(id) == network.Connected {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Sync asks for a sync of the agreement soon, with a peer of the Host's choice:
// the connected ones take turns. Where none is connected, the next to connect
// is asked anyway.
func (h *Host) Sync(agreement protocol.AgreementID) {
	ids := h.connected(agreement)
	if len(ids) == 0 {
		return
	}
	h.sync.mu.Lock()
	turn := h.sync.turn[agreement]
	h.sync.turn[agreement] = turn + 1
	h.sync.mu.Unlock()
	h.sync.trigger(agreement, ids[turn%len(ids)], 0, false)
}

// syncWith brings documents and then messages from a connected peer.
func (h *Host) syncWith(ctx context.Context, agreement protocol.AgreementID, id peer.ID, j *job) error {
	m := h.membership(agreement)
	if m == nil || h.net.Network().Connectedness(id) != network.Connected {
		return nil
	}
	if err := h.pullDocuments(ctx, m, id, j.nudge); err != nil {
		h.cfg.Logger.Debug("documents were not brought", "peer", id.String(), "agreement", agreement.Short(), "err", err)
	}
	if m = h.membership(agreement); m == nil || m.papers(id) { // taking documents may have changed it
		return nil
	}
	result, err := h.pull(ctx, m, id, j.hinted)
	if errors.Is(err, errNotTaken) {
		h.cfg.Logger.Debug("the peer does not sync the agreement", "peer", id.String(), "agreement", agreement.Short())
		return err
	}
	if result.messages > 0 || err != nil && !errors.Is(err, errBusy) && ctx.Err() == nil {
		e := protocol.PeerEvent{
			Kind: protocol.PeerSynced, Agreement: agreement, Detail: "received",
			Messages: result.messages, Bytes: result.bytes,
		}
		if err != nil {
			e.Detail = "received, then: " + shortError(err)
		}
		h.event(e, id, m)
	}
	return err
}
