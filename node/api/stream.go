package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"entente/protocol"
)

const (
	idleWrite  = 30 * time.Second // a reader that takes nothing for so long is let go
	flushEvery = 100 * time.Millisecond
	writePiece = 64 << 10
)

// answer writes a JSON body. What cannot be put into JSON is an error of ours,
// known before the status is sent.
func answer(w http.ResponseWriter, status int, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		status = http.StatusInternalServerError
		raw, _ = json.Marshal(Failure{Kind: protocol.Other.String(), Error: fmt.Sprintf("the answer cannot be written as JSON: %v", err)})
	}
	raw = append(raw, '\n')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(status)
	control := http.NewResponseController(w)
	for len(raw) > 0 {
		n := min(len(raw), writePiece)
		_ = control.SetWriteDeadline(time.Now().Add(idleWrite))
		if _, err := w.Write(raw[:n]); err != nil {
			return // nobody reads any more
		}
		raw = raw[n:]
	}
}

func failure(err error) Failure {
	return Failure{Kind: protocol.KindOf(err).String(), Error: err.Error(), Hint: protocol.HintOf(err)}
}

// fail writes an error with the status of its kind.
func fail(w http.ResponseWriter, err error) {
	status := protocol.KindOf(err).Status()
	if status < 400 {
		status = http.StatusInternalServerError
	}
	answer(w, status, failure(err))
}

func reply[T any](w http.ResponseWriter, r *http.Request, v T, err error) {
	if err != nil {
		fail(w, reason(r.Context(), err))
		return
	}
	answer(w, http.StatusOK, v)
}

// reason returns why a request came to its end: where the node's stop ended its
// context, that is the reason, whatever became of it.
func reason(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStopping) {
		return errStopping
	}
	return err
}

// stream is a long answer: newline-delimited events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	line    bytes.Buffer
	encoder *jsontext.Encoder // to line
	flushed time.Time
	started bool
	broken  bool  // the reader is gone
	failed  error // an event could not be written as JSON
}

func newStream(w http.ResponseWriter) *stream {
	s := &stream{w: w, control: http.NewResponseController(w)}
	s.encoder = jsontext.NewEncoder(&s.line)
	return s
}

// send writes an event and reports whether there should be more. What the
// reader need not have at once goes out with what follows.
func (s *stream) send(e Event, flush bool) bool {
	if s.broken || s.failed != nil {
		return false
	}
	s.line.Reset()
	if err := json.MarshalEncode(s.encoder, e); err != nil {
		s.failed = protocol.E(protocol.Other, "", fmt.Errorf("an event cannot be written as JSON: %w", err), "")
		return false
	}
	return s.write(flush)
}

func (s *stream) write(flush bool) bool {
	if !s.started {
		s.started = true
		s.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	now := time.Now()
	_ = s.control.SetWriteDeadline(now.Add(idleWrite))
	if _, err := s.w.Write(s.line.Bytes()); err != nil {
		s.broken = true
		return false
	}
	if flush || now.Sub(s.flushed) >= flushEvery {
		s.flushed = now
		s.broken = s.control.Flush() != nil
	}
	return !s.broken
}

// end closes the answer: with a proper status when nothing was sent yet, else
// with a last event.
func (s *stream) end(err error) {
	if s.failed != nil {
		err, s.failed = s.failed, nil
		s.encoder.Reset(&s.line)
	}
	switch {
	case err != nil && !s.started:
		fail(s.w, err)
	case err != nil:
		f := failure(err)
		s.send(Event{Error: &f}, true)
	default:
		s.send(Event{Done: true}, true)
	}
}

// following returns the context of an answer that has no end by itself: it ends
// as soon as the node is to stop.
func (s *Server) following(r *http.Request) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(r.Context())
	stop := context.AfterFunc(s.stopping, func() { cancel(errStopping) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// throttled returns a function that sends progress, at most ten times a second.
func (s *stream) throttled() func(Event) {
	var last time.Time
	return func(e Event) {
		if now := time.Now(); now.Sub(last) > flushEvery {
			last = now
			s.send(e, true)
		}
	}
}
