package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"entente/protocol"
	"entente/protocol/stix"
)

//go:embed openapi.yaml
var description []byte

// Config describes a Server.
type Config struct {
	Service  Service
	Socket   string // path of the unix socket
	Listen   string // loopback host:port for TCP; "" for none
	Token    string // demanded over TCP
	Limits   stix.Limits
	Registry *prometheus.Registry // served as metrics; nil for none
	Logger   *slog.Logger
}

// Server serves the API until Run's context ends.
type Server struct {
	cfg       Config
	handler   http.Handler
	token     [32]byte // hash of the token
	listeners []net.Listener
}

const maxSocketPath = 104

// New makes a server and listens. It fails with Invalid for an address that is
// not loopback, and with Conflict when another process serves on the socket.
func New(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, token: sha256.Sum256([]byte(cfg.Token))}
	if cfg.Logger == nil {
		s.cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s.handler = s.routes()
	l, err := listenSocket(cfg.Socket)
	if err != nil {
		return nil, err
	}
	s.listeners = append(s.listeners, l)
	if cfg.Listen != "" {
		t, err := listenLoopback(cfg)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		s.listeners = append(s.listeners, t)
	}
	return s, nil
}

// Address returns the TCP address that the server listens on, or "".
func (s *Server) Address() string {
	if len(s.listeners) < 2 {
		return ""
	}
	return s.listeners[1].Addr().String()
}

func listenSocket(path string) (net.Listener, error) {
	const op = "serve the API"
	if len(path) >= maxSocketPath {
		return nil, protocol.E(protocol.Invalid, op, fmt.Errorf("the socket's path has %d bytes; the system allows %d: %s", len(path), maxSocketPath-1, path),
			"choose a shorter home, or set api-socket in the configuration")
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return nil, protocol.E(protocol.Conflict, op, fmt.Errorf("another process serves on %s", path), "stop it, or use another --home")
	}
	// Nobody answers, so what is there was left behind by a process that died.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, protocol.E(protocol.Other, op, err, "")
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, protocol.E(protocol.Other, op, err, "")
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func listenLoopback(cfg Config) (net.Listener, error) {
	const op = "serve the API"
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, protocol.E(protocol.Invalid, op, fmt.Errorf("%q is no address: %w", cfg.Listen, err), "one looks like 127.0.0.1:7480")
	}
	if !isLoopback(host) {
		return nil, protocol.E(protocol.Invalid, op, fmt.Errorf("%s is not a loopback address; the API is not offered to the network", host), "use 127.0.0.1, and a tunnel for access from elsewhere")
	}
	if cfg.Token == "" {
		return nil, protocol.E(protocol.Invalid, op, errors.New("a TCP listener needs a token"), "")
	}
	return net.Listen("tcp", cfg.Listen)
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

type overTCP struct{}

// Run serves until ctx ends. Long answers end then; requests that are being
// answered have five seconds.
func (s *Server) Run(ctx context.Context) error {
	requests, cut := context.WithCancel(context.Background())
	defer cut()
	server := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug),
		BaseContext: func(l net.Listener) context.Context {
			return context.WithValue(requests, overTCP{}, l.Addr().Network() == "tcp")
		},
	}
	failed := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		go func() { failed <- server.Serve(l) }()
	}
	var first error
	left := len(s.listeners)
	select {
	case <-ctx.Done():
	case first = <-failed:
		left--
	}
	cut()
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := server.Shutdown(end)
	if err != nil {
		err = server.Close()
	}
	for range left {
		<-failed
	}
	if errors.Is(first, http.ErrServerClosed) {
		first = nil
	}
	return errors.Join(first, err)
}

// table names every path of the API with its handler, as the description does.
func (s *Server) table() map[string]http.HandlerFunc {
	t := map[string]http.HandlerFunc{
		"GET /v1/healthz": func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, map[string]bool{"ok": true}) },
		"GET /v1/openapi.yaml": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/yaml")
			_, _ = w.Write(description)
		},
		"GET /v1/status":                    s.status,
		"GET /v1/findings":                  s.findings,
		"GET /v1/members":                   s.members,
		"POST /v1/members/{member}/ping":    s.ping,
		"GET /v1/agreements":                s.agreements,
		"GET /v1/agreements/{name}":         s.agreement,
		"POST /v1/agreements/{name}/invite": s.invite,
		"POST /v1/documents":                s.documents,
		"POST /v1/join":                     s.join,
		"POST /v1/publish":                  s.publish,
		"GET /v1/objects/{id}":              s.get,
		"POST /v1/search":                   s.search,
		"POST /v1/export":                   s.export,
		"POST /v1/lookup":                   s.lookup,
		"GET /v1/tail":                      s.tail,
		"POST /v1/audit":                    s.audit,
		"GET /v1/explain":                   s.explain,
		"POST /v1/reindex":                  s.reindex,
	}
	if s.cfg.Registry != nil {
		t["GET /v1/metrics"] = promhttp.HandlerFor(s.cfg.Registry, promhttp.HandlerOpts{}).ServeHTTP
	}
	return t
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range s.table() {
		mux.HandleFunc(pattern, handler)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, protocol.E(protocol.NotFound, "", fmt.Errorf("there is nothing at %s %s", r.Method, r.URL.Path), "the API is described at /v1/openapi.yaml"))
	})
	sites := http.NewCrossOriginProtection()
	sites.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fail(w, protocol.Errorf(protocol.Refused, "", "the request comes from a page of another site"))
	}))
	return s.guard(sites.Handler(mux))
}

// guard keeps out who is not meant: over TCP a token is needed, and a Host that
// is no loopback name is a page of somebody else's rebinding its name to us.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if tcp, _ := r.Context().Value(overTCP{}).(bool); tcp {
			host := r.Host
			if h, _, err := net.SplitHostPort(host); err == nil {
				host = h
			}
			if !isLoopback(strings.Trim(host, "[]")) {
				fail(w, protocol.E(protocol.Refused, "", fmt.Errorf("the host %q is not this machine", r.Host), "use localhost or 127.0.0.1"))
				return
			}
			given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			hash := sha256.Sum256([]byte(given))
			if !ok || subtle.ConstantTimeCompare(hash[:], s.token[:]) != 1 {
				w.Header().Set("WWW-Authenticate", "Bearer")
				answer(w, http.StatusUnauthorized, Failure{Kind: protocol.Refused.String(), Error: "a token is needed", Hint: "send Authorization: Bearer TOKEN; the token is in the file that `entente paths` names"})
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
