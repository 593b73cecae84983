package p2p

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"entente/protocol"
)

// pingSize is the number of random bytes that a ping sends and gets back.
const pingSize = 32

// maxPings is the number of pings answered on one stream.
const maxPings = 64

// Ping measures the round trip to a peer, dialling it if need be. It fails with
// NotFound when no membership names the peer, and with Unreachable when the
// peer does not answer.
func (h *Host) Ping(ctx context.Context, transport protocol.PublicKey) (time.Duration, error) {
	const op = "ping"
	id, err := peerID(transport)
	if err != nil {
		return 0, protocol.E(protocol.Invalid, op, err, "")
	}
	shared := h.roster.Load().shared[id]
	if len(shared) == 0 {
		return 0, protocol.Errorf(protocol.NotFound, op, "no agreement names a node with this key")
	}
	if h.net.Network().Connectedness(id) != network.Connected {
		if err := h.connect(ctx, id); err != nil {
			return 0, protocol.E(protocol.Unreachable, op, err, "see whether the addresses in its record answer: entente members show MEMBER")
		}
	}
	for _, m := range shared[:min(len(shared), 4)] {
		keys := m.acceptable(kindPing, id)
		for _, key := range keys[:min(len(keys), 4)] {
			var rtt time.Duration
			if rtt, err = h.pingOver(ctx, m, key, id); err == nil {
				h.peers.ping(id, rtt)
				return rtt, nil
			}
			if !errors.Is(err, errNotTaken) {
				return 0, protocol.E(protocol.Unreachable, op, err, "")
			}
		}
	}
	return 0, protocol.E(protocol.Unreachable, op, err, "the peer is connected but holds none of the agreements in common yet")
}

func (h *Host) pingOver(ctx context.Context, m *membership, key tagKey, id peer.ID) (time.Duration, error) {
	s, err := h.open(ctx, m, key, kindPing, id)
	if err != nil {
		return 0, err
	}
	defer func() { _ = s.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	if err := s.SetDeadline(time.Now().Add(firstFrame)); err != nil {
		return 0, err
	}
	var sent, got [pingSize]byte
	_, _ = rand.Read(sent[:])
	started := time.Now()
	if _, err := s.Write(sent[:]); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(s, got[:]); err != nil {
		return 0, err
	}
	if got != sent {
		return 0, errors.New("the peer answered something else")
	}
	return time.Since(started), nil
}

// servePing sends back what comes, a limited number of times.
func servePing(s *stream) {
	var b [pingSize]byte
	for range maxPings {
		if err := s.SetDeadline(time.Now().Add(firstFrame)); err != nil {
			break
		}
		if _, err := io.ReadFull(s, b[:]); err != nil {
			break
		}
		if _, err := s.Write(b[:]); err != nil {
			break
		}
	}
	_ = s.Close()
}
