package p2p

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"entente/protocol"
)

// puller is the asking side of a sync session.
type puller struct {
	h      *Host
	m      *membership
	w      *wire
	person protocol.Peer
	result pulled
	theirs protocol.Frontier // as last told
}

// pulled is what a session brought.
type pulled struct {
	messages int
	bytes    int64
}

// pull runs one sync session: it asks and takes until a round brings nothing
// new, and tells the peer at the end whether it lacks something in turn.
func (h *Host) pull(ctx context.Context, m *membership, id peer.ID, hinted bool) (pulled, error) {
	s, err := h.open(ctx, m, m.keys[0], kindSync, id)
	if err != nil {
		return pulled{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	p := &puller{h: h, m: m, w: newWire(s, maxSync), person: h.roster.Load().person(m, id)}
	if err := p.run(ctx, hinted); err != nil {
		_ = s.Reset()
		return p.result, err
	}
	_ = s.Close()
	return p.result, nil
}

func (p *puller) run(ctx context.Context, hinted bool) error {
	for range maxRounds {
		mine := p.h.cfg.Handler.Frontier(p.person, p.m.Agreement)
		digest := mine.Digest()
		same, err := p.ask(digest)
		if err != nil {
			return err
		}
		if same {
			return p.bye(false)
		}
		wants := p.h.cfg.Handler.Wants(p.person, p.m.Agreement, p.theirs)
		before := p.result.messages
		for len(wants) > 0 {
			n := min(len(wants), maxRanges)
			if err := p.take(ctx, wants[:n]); err != nil {
				return err
			}
			wants = wants[n:]
		}
		mine = p.h.cfg.Handler.Frontier(p.person, p.m.Agreement)
		if p.result.messages == before || mine.Digest() == digest {
			return p.bye(!hinted && ahead(mine, p.theirs))
		}
	}
	return p.bye(false)
}

// ask sends the digest of what is held and reads the answer into p.theirs.
func (p *puller) ask(digest protocol.Hash) (same bool, err error) {
	if err := p.w.write(frameAsk, digest[:]); err != nil {
		return false, err
	}
	p.theirs = nil
	for {
		t, body, err := p.w.read()
		if err != nil {
			return false, err
		}
		switch t {
		case frameSame:
			return true, nil
		case frameBusy:
			return false, errBusy
		case frameFrontier, frameLast:
		default:
			return false, fmt.Errorf("%w: type %d in answer to a digest", errFrame, t)
		}
		part, err := protocol.DecodeFrontier(body)
		if err != nil {
			return false, err
		}
		for _, e := range part {
			if e.Log.Agreement != p.m.Agreement {
				return false, fmt.Errorf("%w: a log of another agreement", errFrame)
			}
		}
		if p.theirs = append(p.theirs, part...); len(p.theirs) > maxFrontier {
			return false, fmt.Errorf("%w: a frontier of more than %d logs", errFrame, maxFrontier)
		}
		if t == frameLast {
			return false, nil
		}
	}
}

// Batches that Take is given: whichever limit comes first.
const (
	batchBytes  = 1 << 20
	batchFrames = 256
)

// take asks for ranges and hands what comes to the handler, batch by batch.
// Only what was taken durably is credited to the sender again.
func (p *puller) take(ctx context.Context, wants []protocol.Want) error {
	body, err := protocol.EncodeWants(wants)
	if err != nil {
		return err
	}
	if err := p.w.write(frameWant, body); err != nil {
		return err
	}
	most := 0 // messages that the wants can bring
	for _, w := range wants {
		most += int(min(w.To-w.From, 1<<32))
	}
	var batch [][]byte
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := p.h.cfg.Handler.Take(ctx, p.person, p.m.Agreement, batch); err != nil {
			return fmt.Errorf("take synced messages: %w", err)
		}
		p.result.messages += len(batch)
		p.result.bytes += int64(size)
		credit := binary.BigEndian.AppendUint32(nil, uint32(size))
		batch, size = nil, 0
		return p.w.write(frameCredit, credit)
	}
	for {
		t, frame, err := p.w.read()
		if err != nil {
			return err
		}
		switch {
		case t == frameEnd:
			return flush()
		case t != frameData || len(frame) == 0 || len(frame) > maxFrame:
			return fmt.Errorf("%w: type %d with %d bytes among messages", errFrame, t, len(frame))
		case most == 0:
			return fmt.Errorf("%w: more messages than were asked for", errFrame)
		}
		most--
		batch = append(batch, frame)
		if size += len(frame); size >= batchBytes || len(batch) >= batchFrames {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}

// bye ends the session.
func (p *puller) bye(lack bool) error {
	body := []byte{0}
	if lack {
		body[0] = 1
	}
	return p.w.write(frameBye, body)
}

// ahead reports whether mine holds messages that theirs does not.
func ahead(mine, theirs protocol.Frontier) bool {
	held := make(map[protocol.LogID]uint64, len(theirs))
	for _, e := range theirs {
		held[e.Log] = e.Position.Sequence
	}
	for _, e := range mine {
		if e.Position.Sequence > held[e.Log] {
			return true
		}
	}
	return false
}

// hintDelay is how long a peer that was told that it lacks something waits
// before it asks, so that hints from several sides become one session.
const hintDelay = 50 * time.Millisecond
