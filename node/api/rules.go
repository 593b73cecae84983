package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"entente/node"
	"entente/protocol"
)

func (s *Server) trails(w http.ResponseWriter, r *http.Request) {
	var q node.TrailQuery
	q.Object, _ = parameter(r, "object")
	q.Topic, _ = parameter(r, "topic")
	q.For, _ = parameter(r, "for")
	if q.Object == "" {
		fail(w, protocol.E(protocol.Invalid, "explain", errors.New("name an object"), hintDescription))
		return
	}
	out, err := s.cfg.Service.Trails(r.Context(), q)
	reply(w, r, out, err)
}

func (s *Server) reloadRules(w http.ResponseWriter, r *http.Request) {
	out, err := s.cfg.Service.ReloadRules(r.Context())
	reply(w, r, out, err)
}

// Trails asks which rules were asked about an object, on the topics that it is on
// or on one that it might go to, for all readers or one.
func (c *Client) Trails(ctx context.Context, q node.TrailQuery) ([]node.Trail, error) {
	v := url.Values{"object": {q.Object}}
	if q.Topic != "" {
		v.Set("topic", q.Topic)
	}
	if q.For != "" {
		v.Set("for", q.For)
	}
	return ask[[]node.Trail](ctx, c, get("/trails").with(v))
}

// ReloadRules makes the node read its operator's rules again.
func (c *Client) ReloadRules(ctx context.Context) (node.RulesInfo, error) {
	return ask[node.RulesInfo](ctx, c, post("/policy/reload"))
}
