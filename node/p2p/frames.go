package p2p

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// frameType is the first byte of a frame on a sync or documents stream. A frame
// is four bytes of length (big-endian, of what follows), the type, and a body.
type frameType byte

const (
	frameAsk       frameType = 1  // digest of what the asker holds → same, or frontier
	frameSame      frameType = 2  // nothing to tell
	frameFrontier  frameType = 3  // a part of a frontier; more follow
	frameLast      frameType = 4  // the last part of a frontier
	frameWant      frameType = 5  // up to maxRanges wants → data …, end
	frameData      frameType = 6  // a message
	frameEnd       frameType = 7  // all was sent
	frameCredit    frameType = 8  // bytes that the asker took durably, 4 bytes
	frameBye       frameType = 9  // the session is over; 1: you lack something
	frameBusy      frameType = 10 // try later
	frameDocuments frameType = 11 // asker's head and digest → same, or document …, end
	frameDocument  frameType = 12
	frameSecret    frameType = 13 // of an invite; then document …, end → document …, end
)

var (
	errFrame = errors.New("a frame that does not belong here")
	errSlow  = errors.New("the peer is too slow")
	errBusy  = errors.New("the peer serves too many already")
)

// wire reads and writes the frames of one stream, within deadlines and above
// the least rate. It is used by one goroutine.
type wire struct {
	s       *stream
	in      *bufio.Reader
	most    int // bytes of a frame
	started bool
	waited  time.Duration // for the peer, in all
	moved   int64         // bytes, in both directions
}

func newWire(s *stream, most int) *wire {
	return &wire{s: s, in: bufio.NewReaderSize(s, 16<<10), most: most}
}

// within runs one read or write against the clock. The first must be over in
// firstFrame, later ones in idle; and whoever kept us waiting for graceOfRate
// must have moved leastRate.
func (w *wire) within(io func() (int, error)) error {
	limit := idle
	if !w.started {
		limit = firstFrame
	}
	if rest := w.patience(); rest < limit {
		limit = rest
	}
	began := time.Now()
	if err := w.s.SetDeadline(began.Add(limit)); err != nil {
		return err
	}
	n, err := io()
	w.waited += time.Since(began)
	w.moved += int64(n)
	if err == nil && w.patience() <= 0 {
		return errSlow
	}
	return err
}

// patience is how much longer the peer may keep us waiting before its rate is
// too low.
func (w *wire) patience() time.Duration {
	earned := time.Duration(float64(w.moved) / leastRate * float64(time.Second))
	return graceOfRate + earned - w.waited
}

// read returns the next frame. The body is the caller's to keep.
func (w *wire) read() (t frameType, body []byte, err error) {
	err = w.within(func() (int, error) {
		var head [5]byte
		if n, err := io.ReadFull(w.in, head[:]); err != nil {
			return n, err
		}
		size := binary.BigEndian.Uint32(head[:4])
		if size < 1 || size > uint32(w.most) {
			return len(head), fmt.Errorf("%w: %d bytes, at most %d are taken", errFrame, size, w.most)
		}
		t = frameType(head[4])
		body = make([]byte, size-1)
		n, err := io.ReadFull(w.in, body)
		return len(head) + n, err
	})
	w.started = w.started || err == nil
	return t, body, err
}

// expect returns the body of the next frame, which must be of the type.
func (w *wire) expect(t frameType) ([]byte, error) {
	got, body, err := w.read()
	if err != nil {
		return nil, err
	}
	if got != t {
		return nil, fmt.Errorf("%w: type %d, not %d", errFrame, got, t)
	}
	return body, nil
}

// write sends a frame.
func (w *wire) write(t frameType, body []byte) error {
	if len(body)+1 > w.most {
		return fmt.Errorf("%w: %d bytes to send, at most %d are taken", errFrame, len(body), w.most)
	}
	frame := make([]byte, 5, 5+len(body))
	binary.BigEndian.PutUint32(frame, uint32(len(body)+1))
	frame[4] = byte(t)
	frame = append(frame, body...)
	return w.within(func() (int, error) { return w.s.Write(frame) })
}
