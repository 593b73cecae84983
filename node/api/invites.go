package api

import (
	"context"
	"net/http"

	"entente/node"
)

func (s *Server) offer(w http.ResponseWriter, r *http.Request) {
	var q node.InviteRequest
	if err := question(w, r, maxQuestion, &q); err != nil {
		fail(w, err)
		return
	}
	out, err := s.cfg.Service.Offer(r.Context(), q)
	reply(w, r, out, err)
}

func (s *Server) invites(w http.ResponseWriter, r *http.Request) {
	out, err := s.cfg.Service.Invites(r.Context())
	reply(w, r, out, err)
}

func (s *Server) revokeInvite(w http.ResponseWriter, r *http.Request) {
	out, err := s.cfg.Service.RevokeInvite(r.Context(), r.PathValue("id"))
	reply(w, r, out, err)
}

// Offer makes an invite: for one member, or a ticket to a public agreement.
func (c *Client) Offer(ctx context.Context, q node.InviteRequest) (node.InviteInfo, error) {
	return put[node.InviteInfo](ctx, c, "/invites", q)
}

// Invites lists the invites for one member each that this member has made.
func (c *Client) Invites(ctx context.Context) ([]node.InviteInfo, error) {
	return ask[[]node.InviteInfo](ctx, c, get("/invites"))
}

// RevokeInvite makes an invite that nobody has used worthless.
func (c *Client) RevokeInvite(ctx context.Context, id string) (node.InviteInfo, error) {
	at, err := segment("invite", id)
	if err != nil {
		return node.InviteInfo{}, err
	}
	return ask[node.InviteInfo](ctx, c, post("/invites/"+at+"/revoke"))
}
