package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"entente/node"
	"entente/protocol"
)

const hintDescription = "the API is described at /v1/openapi.yaml"

// route is one operation of the API. What it does not know it refuses: a
// misspelt dry_run must not publish.
type route struct {
	pattern string           // method and path
	query   []string         // the parameters that it knows
	body    bool             // whether it takes a body
	foreign bool             // whether parameters are not ours to check
	handle  http.HandlerFunc // called with what passed
}

// routes names every operation of the API, as the description does.
func (s *Server) routes() []route {
	out := []route{
		{pattern: "GET /v1/healthz", handle: s.health},
		{pattern: "GET /v1/openapi.yaml", handle: s.describe},
		{pattern: "GET /v1/status", handle: s.status},
		{pattern: "GET /v1/findings", handle: s.findings},
		{pattern: "GET /v1/members", handle: s.members},
		{pattern: "POST /v1/members/{member}/ping", handle: s.ping},
		{pattern: "GET /v1/agreements", handle: s.agreements},
		{pattern: "GET /v1/agreements/{name}", handle: s.agreement},
		{pattern: "POST /v1/agreements/{name}/invite", query: []string{"valid"}, handle: s.invite},
		{pattern: "GET /v1/agreements/{name}/logs", handle: s.logs},
		{pattern: "GET /v1/agreements/{name}/scores", handle: s.scores},
		{pattern: "POST /v1/agreements/{name}/statements", body: true, handle: s.declare},
		{pattern: "POST /v1/agreements/compare", body: true, handle: s.compare},
		{pattern: "GET /v1/invites", handle: s.invites},
		{pattern: "POST /v1/invites", body: true, handle: s.offer},
		{pattern: "POST /v1/invites/{id}/revoke", handle: s.revokeInvite},
		{pattern: "POST /v1/documents", body: true, handle: s.documents},
		{pattern: "POST /v1/join", body: true, handle: s.join},
		{pattern: "POST /v1/publish", query: []string{"topic", "dry_run", "strict"}, body: true, handle: s.publish},
		{pattern: "GET /v1/reviews", query: []string{"all"}, handle: s.reviews},
		{pattern: "POST /v1/reviews", body: true, handle: s.review},
		{pattern: "GET /v1/requests", handle: s.requests},
		{pattern: "POST /v1/requests", body: true, handle: s.ask},
		{pattern: "POST /v1/requests/{hash}", body: true, handle: s.answer},
		{pattern: "POST /v1/erase", body: true, handle: s.erase},
		{pattern: "GET /v1/erasures", handle: s.erasures},
		{pattern: "GET /v1/objects/{id}", handle: s.get},
		{pattern: "POST /v1/search", body: true, handle: s.search},
		{pattern: "POST /v1/export", body: true, handle: s.export},
		{pattern: "POST /v1/lookup", body: true, handle: s.lookup},
		{pattern: "GET /v1/tail", query: []string{"topic", "after"}, handle: s.tail},
		{pattern: "POST /v1/audit", body: true, handle: s.audit},
		{pattern: "POST /v1/audit/replay", body: true, handle: s.replay},
		{pattern: "GET /v1/explain", query: []string{"object", "for", "row"}, handle: s.explain},
		{pattern: "GET /v1/trails", query: []string{"object", "topic", "for"}, handle: s.trails},
		{pattern: "POST /v1/policy/reload", handle: s.reloadRules},
		{pattern: "POST /v1/reindex", handle: s.reindex},
	}
	if s.cfg.Registry != nil {
		metrics := promhttp.HandlerFor(s.cfg.Registry, promhttp.HandlerOpts{})
		out = append(out, route{pattern: "GET /v1/metrics", foreign: true, handle: metrics.ServeHTTP})
	}
	return out
}

func (s *Server) handle() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range s.routes() {
		mux.Handle(rt.pattern, rt)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { nothing(mux, w, r) })
	return mux
}

// ServeHTTP implements http.Handler.
func (rt route) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := rt.check(r); err != nil {
		fail(w, err)
		return
	}
	// What the reader wants it for, where a clause asks that.
	if purpose := r.Header.Get(purposeHeader); purpose != "" {
		ctx, err := node.WithPurpose(r.Context(), purpose)
		if err != nil {
			fail(w, err)
			return
		}
		r = r.WithContext(ctx)
	}
	rt.handle(w, r)
}

// purposeHeader states what the answer is wanted for.
const purposeHeader = "Entente-Purpose"

func (rt route) check(r *http.Request) error {
	if !rt.body && r.ContentLength != 0 {
		return protocol.E(protocol.Invalid, "", fmt.Errorf("%s takes no body", rt.pattern), hintDescription)
	}
	if rt.foreign {
		return nil
	}
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return protocol.E(protocol.Invalid, "", fmt.Errorf("the parameters cannot be read: %w", err), hintDescription)
	}
	for name, values := range given {
		switch {
		case !slices.Contains(rt.query, name):
			return protocol.E(protocol.Invalid, "", fmt.Errorf("%s has no parameter %q", rt.pattern, name), hintDescription)
		case len(values) > 1:
			return protocol.E(protocol.Invalid, "", fmt.Errorf("the parameter %q is given %d times", name, len(values)), "give it once")
		}
	}
	return nil
}

// nothing answers what no route takes.
func nothing(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		_, pattern := mux.Handler(&http.Request{Method: method, Host: r.Host, URL: r.URL})
		if strings.HasPrefix(pattern, method+" ") {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		list := strings.Join(allowed, ", ")
		w.Header().Set("Allow", list)
		answer(w, http.StatusMethodNotAllowed, failure(protocol.E(protocol.Invalid, "", fmt.Errorf("%s does not go with %s, only %s", r.Method, r.URL.Path, list), hintDescription)))
		return
	}
	fail(w, protocol.E(protocol.NotFound, "", fmt.Errorf("there is nothing at %s %s", r.Method, r.URL.Path), hintDescription))
}

// guard keeps out who is not meant. Over TCP a token is needed, and a Host that
// is no loopback name is a page of somebody else's that rebound its name to us.
// What a browser sends for another site's page is refused, reading too.
func (s *Server) guard(next http.Handler) http.Handler {
	foreign := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.report(r)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if tcp, _ := r.Context().Value(overTCP{}).(bool); tcp {
			if !isLoopback(hostOf(r)) {
				fail(w, protocol.E(protocol.Refused, "", fmt.Errorf("the host %q is not this machine", r.Host), "use localhost or 127.0.0.1"))
				return
			}
			if !s.knows(r.Header.Get("Authorization")) {
				w.Header().Set("WWW-Authenticate", "Bearer")
				answer(w, http.StatusUnauthorized, failure(protocol.E(protocol.Refused, "", errors.New("a token is needed"), "send Authorization: Bearer TOKEN; the token is in the file that `entente paths` names")))
				return
			}
		}
		// The check spares reading, which changes nothing; here reading is what
		// is to be kept from others.
		as := *r
		as.Method = http.MethodPost
		if foreign.Check(&as) != nil {
			fail(w, protocol.E(protocol.Refused, "", errors.New("the request comes from a page of another site"), "ask without a browser, or from a page of this very address"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func hostOf(r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.Trim(host, "[]")
}

// knows reports whether an Authorization header bears the token. Hashes are
// compared, in constant time, so that neither the token's bytes nor its length
// can be learned from how long it takes.
func (s *Server) knows(header string) bool {
	scheme, given, _ := strings.Cut(header, " ")
	hash := sha256.Sum256([]byte(given))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(hash[:], s.token[:]) == 1
}

// report logs a panic of a handler and breaks the answer off, which the client
// notices. One request's fault must not end the node.
func (s *Server) report(r *http.Request) {
	fault := recover()
	if fault == nil {
		return
	}
	if err, ok := fault.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
		s.cfg.Logger.Error("a request met a fault in the program", "request", r.Method+" "+r.URL.Path, "fault", fault, "stack", string(debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}
