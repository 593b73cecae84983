package p2p

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"entente/protocol"
)

// Bounds on guests: peers in no roster that are let in while invites are open, so
// that one of them can show that it holds one.
const (
	maxGuests         = 8 // connected at once
	maxGuestSessions  = 4 // invites looked at at once
	maxGuestDocuments = 64
	guestTime         = 20 * time.Second // a connection without a place in the roster
	guestRate         = 1.0              // a second
	guestBurst        = 16
)

// guests is who may be connected without being in the roster: strangers, while this
// side has invites open, and inviters that this side calls.
type guests struct {
	mu       sync.Mutex
	doors    []tagKey              // owner: mu; of the invites that are open
	waiting  bool                  // owner: mu; one of them has not been used: strangers may knock
	until    map[peer.ID]time.Time // owner: mu
	tokens   float64               // owner: mu
	filled   time.Time             // owner: mu
	sessions int                   // owner: mu
}

func newGuests() *guests { return &guests{until: map[peer.ID]time.Time{}, tokens: guestBurst} }

// set replaces the doors that are open.
func (g *guests) set(doors []protocol.Hash, waiting bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.doors, g.waiting = nil, waiting
	for _, d := range doors {
		g.doors = append(g.doors, tagKey(d))
	}
}

// knock reports whether a stranger may come in for a while.
func (g *guests) knock(id peer.ID, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Before(g.until[id]) {
		return true
	}
	if !g.waiting {
		return false
	}
	for other, until := range g.until {
		if !now.Before(until.Add(3 * tendInterval)) { // by then its connection is closed
			delete(g.until, other)
		}
	}
	if passed := now.Sub(g.filled).Seconds(); passed > 0 {
		g.tokens, g.filled = min(guestBurst, g.tokens+passed*guestRate), now
	}
	if len(g.until) >= maxGuests || g.tokens < 1 {
		return false
	}
	g.tokens--
	g.until[id] = now.Add(guestTime)
	return true
}

// call lets a connection to an inviter be, until some time after the call.
func (g *guests) call(id peer.ID, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.until[id] = now.Add(dialTimeout + guestTime)
}

// has reports whether the peer is a guest now.
func (g *guests) has(id peer.ID, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return now.Before(g.until[id])
}

// match finds the door that a tag was made for. It does the same work whatever it
// finds.
func (g *guests) match(tag *[tagSize]byte, remote, self peer.ID) (key tagKey, ok bool) {
	g.mu.Lock()
	doors := g.doors
	g.mu.Unlock()
	for _, d := range doors {
		if d.fits(tag, remote, self) {
			key, ok = d, true
		}
	}
	return key, ok
}

// enter reports whether another invite may be looked at; then leave must follow.
func (g *guests) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sessions >= maxGuestSessions {
		return false
	}
	g.sessions++
	return true
}

func (g *guests) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sessions--
}

// Doors says which invites are open, by their doors, and whether strangers may come
// in to show one. The public host has none.
func (h *Host) Doors(doors []protocol.Hash, strangers bool) {
	if !h.cfg.Public {
		h.guests.set(doors, strangers)
	}
}

// acceptGuest takes a stream on which somebody is to show an invite.
func (h *Host) acceptGuest(raw network.Stream, c counted, tag *[tagSize]byte) {
	id := raw.Conn().RemotePeer()
	key, ok := h.guests.match(tag, id, h.self)
	if !ok || !h.guests.enter() {
		h.refusals.note(id, "unknown tag", raw.Conn().RemoteMultiaddr().String())
		_ = raw.Reset()
		return
	}
	defer h.guests.leave()
	s := h.newStream(raw, protocol.AgreementID{}, kindInvite, id, false)
	reply := key.reply(tag, id, h.self)
	if !h.streams.add(s) {
		_ = s.Reset()
		return
	}
	if _, err := c.Write(reply[:]); err != nil {
		_ = s.Reset()
		return
	}
	_ = s.SetDeadline(time.Time{})
	if err := h.serveGuest(s, key); err != nil {
		// One failure looks like another: what was wrong with the invite is for
		// this side alone.
		h.refusals.note(id, "invite: "+shortError(err), raw.Conn().RemoteMultiaddr().String())
		_ = s.Reset()
		return
	}
	_ = s.Close()
}

// serveGuest reads the secret and who shows it, and answers with what it is good
// for.
func (h *Host) serveGuest(s *stream, key tagKey) error {
	w := newWire(s, maxDocument)
	body, err := w.expect(frameSecret)
	if err != nil {
		return err
	}
	if len(body) != 32 {
		return fmt.Errorf("%w: a secret of %d bytes", errFrame, len(body))
	}
	documents, err := w.readDocuments(maxGuestDocuments)
	if err != nil {
		return err
	}
	transport, err := transportKey(s.remote)
	if err != nil {
		return err
	}
	answer, err := h.cfg.Handler.Guest(h.ctx, transport, protocol.Hash(key), [32]byte(body), documents)
	if err != nil {
		return err
	}
	return w.writeDocuments(answer)
}

// Call shows an invite's secret, and who shows it, to the inviter's node at any of
// the addresses (multiaddrs with /p2p), and returns what that answers; nothing of it
// is verified. It fails with Invalid when no address can be read or the host is the
// public one, with Unreachable when no node answers, and with Refused when one does
// and does not take the invite.
func (h *Host) Call(ctx context.Context, addresses []string, secret [32]byte, documents []protocol.Document) ([]protocol.Document, error) {
	const op = "show the invite"
	if h.cfg.Public {
		return nil, protocol.Errorf(protocol.Invalid, op, "only the member host shows invites")
	}
	infos, err := addressInfos(addresses)
	if err != nil {
		return nil, protocol.E(protocol.Invalid, op, err, "ask the inviter for a new invite")
	}
	var failed error
	for _, info := range infos {
		if info.ID == h.self {
			return nil, protocol.Errorf(protocol.Invalid, op, "the invite leads to this very node")
		}
		h.guests.call(info.ID, time.Now())
		if err := h.connectTo(ctx, info); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		answer, err := h.show(ctx, info.ID, secret, documents)
		if err == nil {
			return answer, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, errNotTaken) {
			err = errors.New("the inviter's node does not take it")
		}
		return nil, protocol.E(protocol.Refused, op, err, "it was used, withdrawn or has run out: ask the inviter for a new one")
	}
	return nil, protocol.E(protocol.Unreachable, op, failed, "see whether the inviter's node is up, and can be reached from here")
}

func (h *Host) show(ctx context.Context, id peer.ID, secret [32]byte, documents []protocol.Document) ([]protocol.Document, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s, err := h.openFor(ctx, protocol.AgreementID{}, tagKey(protocol.InviteDoor(secret)), kindInvite, id)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	w := newWire(s, maxDocument)
	err = w.write(frameSecret, secret[:])
	if err == nil {
		err = w.writeDocuments(documents)
	}
	var answer []protocol.Document
	if err == nil {
		answer, err = w.readDocuments(maxDocuments)
	}
	if err != nil {
		_ = s.Reset()
		if errors.Is(err, io.EOF) || errors.Is(err, network.ErrReset) {
			err = errNotTaken
		}
		return nil, err
	}
	_ = s.Close()
	return answer, nil
}

// paperPeers returns the connected peers of a membership that has no gossip.
func (h *Host) paperPeers(m *membership) []peer.ID {
	var ids []peer.ID
	for id := range m.parties {
		if h.net.Network().Connectedness(id) == network.Connected {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// fitsAny reports whether a digest is of a version that is held here.
func (m *membership) fitsAny(digest []byte) bool {
	return slices.ContainsFunc(m.keys, func(k tagKey) bool {
		of := headDigest(k)
		return hmac.Equal(of[:], digest)
	})
}
