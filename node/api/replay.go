package api

import (
	"context"
	"errors"
	"net/http"

	"entente/node"
	"entente/protocol"
)

func (s *Server) replay(w http.ResponseWriter, r *http.Request) {
	var q node.ReplayQuery
	err := question(w, r, maxQuestion, &q)
	if err == nil && q.Limit < 0 {
		err = protocol.E(protocol.Invalid, opQuestion, errors.New("limit is not negative"), hintDescription)
	}
	if err != nil {
		fail(w, err)
		return
	}
	// It may take long: who stops the node need not wait for it.
	ctx, end := s.following(r)
	defer end()
	out := newStream(w)
	progress := out.throttled()
	sum, err := s.cfg.Service.Replay(ctx, q, func(p node.Progress) { progress(Event{Progress: &p}) },
		func(one node.Replayed) bool { return out.send(Event{Replayed: &one}, false) })
	if err != nil {
		out.end(reason(ctx, err))
		return
	}
	out.send(Event{Replay: &sum}, true)
	out.end(nil)
}

// Replay has recorded decisions made again, and calls yield with those that do not
// come out the same, or with all, until it returns false. progress may be nil.
func (c *Client) Replay(ctx context.Context, q node.ReplayQuery, progress func(node.Progress), yield func(node.Replayed) bool) (node.ReplaySummary, error) {
	var sum node.ReplaySummary
	r, err := post("/audit/replay").asking(q)
	if err != nil {
		return sum, err
	}
	err = c.follow(ctx, r, func(e Event) bool {
		switch {
		case e.Progress != nil && progress != nil:
			progress(*e.Progress)
		case e.Replay != nil:
			sum = *e.Replay
		case e.Replayed != nil:
			return yield(*e.Replayed)
		}
		return true
	})
	return sum, err
}
