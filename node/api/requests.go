package api

import (
	"context"
	"net/http"

	"entente/node"
)

func (s *Server) requests(w http.ResponseWriter, r *http.Request) {
	out, err := s.cfg.Service.Requests(r.Context())
	reply(w, r, out, err)
}

func (s *Server) ask(w http.ResponseWriter, r *http.Request) {
	var q node.OnwardQuestion
	if err := question(w, r, maxQuestion, &q); err != nil {
		fail(w, err)
		return
	}
	out, err := s.cfg.Service.Ask(r.Context(), q)
	reply(w, r, out, err)
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	var q node.OnwardAnswer
	if err := question(w, r, maxQuestion, &q); err != nil {
		fail(w, err)
		return
	}
	out, err := s.cfg.Service.Answer(r.Context(), r.PathValue("hash"), q)
	reply(w, r, out, err)
}

// Requests lists what was asked of sources: may objects be passed on under another
// agreement.
func (c *Client) Requests(ctx context.Context) ([]node.OnwardRequest, error) {
	return ask[[]node.OnwardRequest](ctx, c, get("/requests"))
}

// Ask asks the sources of objects whether they may be passed on.
func (c *Client) Ask(ctx context.Context, q node.OnwardQuestion) ([]node.OnwardRequest, error) {
	return put[[]node.OnwardRequest](ctx, c, "/requests", q)
}

// Answer grants or refuses a request, which is named by its hash or the beginning
// of it.
func (c *Client) Answer(ctx context.Context, request string, q node.OnwardAnswer) (node.OnwardRequest, error) {
	at, err := segment("request", request)
	if err != nil {
		return node.OnwardRequest{}, err
	}
	return put[node.OnwardRequest](ctx, c, "/requests/"+at, q)
}
