package p2p

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"entente/protocol"
)

// server is the asked side of a sync session.
type server struct {
	h        *Host
	s        *stream
	w        *wire
	person   protocol.Peer
	credit   int // bytes that may still be sent
	messages int
	bytes    int64
}

// serveSync serves one inbound session to its end.
func (h *Host) serveSync(s *stream) {
	w := newWire(s, maxSync)
	if !h.sync.admit(s.remote) {
		if _, err := w.expect(frameAsk); err == nil {
			_ = w.write(frameBusy, nil)
		}
		_ = s.Close()
		return
	}
	defer h.sync.release(s.remote)
	m := h.membership(s.agreement)
	v := &server{h: h, s: s, w: w, person: h.roster.Load().person(m, s.remote), credit: creditBytes}
	lack, err := v.run()
	if err != nil {
		_ = s.Reset()
	} else {
		_ = s.Close()
	}
	if v.messages > 0 || err != nil && h.ctx.Err() == nil {
		e := protocol.PeerEvent{
			Kind: protocol.PeerSynced, Agreement: s.agreement, Detail: "sent", Messages: v.messages, Bytes: v.bytes,
		}
		if err != nil {
			e.Detail = "sent, then: " + shortError(err)
		}
		h.event(e, s.remote, m)
	}
	if lack {
		h.sync.trigger(s.agreement, s.remote, hintDelay, true)
	}
}

// run answers until the asker says bye, and returns whether it said that this
// side lacks something.
func (v *server) run() (lack bool, err error) {
	for range 2 * maxRounds {
		t, body, err := v.w.read()
		if err != nil {
			return false, err
		}
		switch t {
		case frameAsk:
			err = v.tell(body)
		case frameWant:
			err = v.send(body)
		case frameCredit:
			err = v.earn(body)
		case frameBye:
			return len(body) == 1 && body[0] == 1, nil
		default:
			err = fmt.Errorf("%w: type %d from the asker", errFrame, t)
		}
		if err != nil {
			return false, err
		}
	}
	return false, errors.New("a sync session without an end")
}

// tell answers a digest: the same, or the frontier in parts.
func (v *server) tell(digest []byte) error {
	if len(digest) != len(protocol.Hash{}) {
		return fmt.Errorf("%w: a digest of %d bytes", errFrame, len(digest))
	}
	mine := slices.Clone(v.h.cfg.Handler.Frontier(v.person, v.s.agreement))
	if mine.Digest() == protocol.Hash(digest) {
		return v.w.write(frameSame, nil)
	}
	mine.Sort()
	if len(mine) > maxFrontier {
		return protocol.Errorf(protocol.Limit, "sync", "%d logs are held; at most %d can be told", len(mine), maxFrontier)
	}
	for {
		n := min(len(mine), frontierChunk)
		part, err := protocol.EncodeFrontier(mine[:n])
		if err != nil {
			return err
		}
		mine = mine[n:]
		if len(mine) == 0 {
			return v.w.write(frameLast, part)
		}
		if err := v.w.write(frameFrontier, part); err != nil {
			return err
		}
	}
}

// send serves the ranges asked for.
func (v *server) send(body []byte) error {
	wants, err := protocol.DecodeWants(body)
	if err != nil {
		return err
	}
	if len(wants) > maxRanges {
		return fmt.Errorf("%w: %d ranges, at most %d are served at once", errFrame, len(wants), maxRanges)
	}
	for _, want := range wants {
		if want.Log.Agreement != v.s.agreement {
			return fmt.Errorf("%w: a log of another agreement", errFrame)
		}
		var failed error
		err := v.h.cfg.Handler.Serve(v.h.ctx, v.person, v.s.agreement, want, func(frame []byte) bool {
			failed = v.sendOne(frame)
			return failed == nil
		})
		if err := errors.Join(failed, err); err != nil {
			return err
		}
	}
	return v.w.write(frameEnd, nil)
}

// sendOne sends a message once there is credit for it.
func (v *server) sendOne(frame []byte) error {
	for v.credit < len(frame) {
		body, err := v.w.expect(frameCredit)
		if err != nil {
			return err
		}
		if err := v.earn(body); err != nil {
			return err
		}
	}
	v.credit -= len(frame)
	v.messages++
	v.bytes += int64(len(frame))
	return v.w.write(frameData, frame)
}

// earn adds what the asker took.
func (v *server) earn(body []byte) error {
	if len(body) != 4 {
		return fmt.Errorf("%w: credit of %d bytes", errFrame, len(body))
	}
	v.credit = min(v.credit+int(binary.BigEndian.Uint32(body)), creditBytes)
	return nil
}
