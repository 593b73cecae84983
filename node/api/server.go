package api

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
	stopping  context.Context // ends, with errStopping, when Run is to end
	stop      context.CancelCauseFunc
}

// errStopping ends what is still being answered when the node stops.
var errStopping = protocol.E(protocol.Unreachable, "", errors.New("the node is stopping"), "start it again: entente up")

// New makes a server and listens. It fails with Invalid for an address that is
// not loopback, and with Conflict when another process serves on the socket.
func New(cfg Config) (*Server, error) {
	s := newServer(cfg)
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

func newServer(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, token: sha256.Sum256([]byte(cfg.Token))}
	s.stopping, s.stop = context.WithCancelCause(context.Background())
	s.handler = s.guard(s.handle())
	return s
}

// Address returns the TCP address that the server listens on, or "".
func (s *Server) Address() string {
	if len(s.listeners) < 2 {
		return ""
	}
	return s.listeners[1].Addr().String()
}

type overTCP struct{}

const (
	graceAnswer = 5 * time.Second // for what is being answered when the end comes
	graceCut    = 2 * time.Second // for saying that it was cut
)

// Run serves until ctx ends, once. Answers without an end (tail, an audit log
// that is followed) end then; other requests have five seconds more, then their
// context ends and they are told so. When Run returns, no request is being
// answered any more, so that the service behind may be closed.
func (s *Server) Run(ctx context.Context) error {
	requests, cut := context.WithCancelCause(context.Background())
	defer cut(errStopping)
	var connections sync.WaitGroup
	server := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug),
		BaseContext: func(l net.Listener) context.Context {
			return context.WithValue(requests, overTCP{}, l.Addr().Network() == "tcp")
		},
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew: // within Serve
				connections.Add(1)
			case http.StateClosed: // when its goroutine ends
				connections.Done()
			}
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
	s.stop(errStopping)
	err := shutDown(server, graceAnswer)
	if errors.Is(err, context.DeadlineExceeded) {
		cut(errStopping)
		err = shutDown(server, graceCut)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	for range left {
		<-failed
	}
	connections.Wait()
	return errors.Join(first, err)
}

func shutDown(server *http.Server, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return server.Shutdown(ctx)
}
