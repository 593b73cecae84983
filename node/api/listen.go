package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"entente/protocol"
)

// maxSocketPath is the room that the system has for a socket's path, with the
// zero byte that ends it.
const maxSocketPath = 104

const opServe = "serve the API"

// listenSocket listens on a unix socket that its owner alone may use. A socket
// that nobody answers on was left behind by a process that died, and is taken
// over; anything else at that path is left as it is.
func listenSocket(path string) (net.Listener, error) {
	if len(path) >= maxSocketPath {
		return nil, protocol.E(protocol.Invalid, opServe, fmt.Errorf("the socket's path has %d bytes; the system allows %d: %s", len(path), maxSocketPath-1, path),
			"choose a shorter home, or set api-socket in the configuration")
	}
	if err := takeOver(path); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: ownerOnly}
	l, err := config.Listen(context.Background(), "unix", path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil, protocol.E(protocol.Invalid, opServe, err, "make the folder, or set api-socket in the configuration")
	case errors.Is(err, syscall.EADDRINUSE): // somebody came in between
		return nil, protocol.E(protocol.Conflict, opServe, fmt.Errorf("another process serves on %s", path), "stop it, or use another --home")
	case err != nil:
		return nil, protocol.E(protocol.Other, opServe, err, "")
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// ownerOnly gives a socket its mode before it has a name, so that there is no
// moment at which others could connect. A system that cannot do that says so;
// the mode is then set right after.
func ownerOnly(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
}

// takeOver removes the socket of a process that is gone.
func takeOver(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return protocol.E(protocol.Invalid, opServe, err, "set api-socket in the configuration")
	case info.Mode().Type() != fs.ModeSocket:
		return protocol.E(protocol.Conflict, opServe, fmt.Errorf("%s is there already and is no socket", path), "move it away, or set api-socket in the configuration")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
	}
	// Only a refused connection proves that nobody is there: a process that is
	// too busy to take one fails otherwise.
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return protocol.E(protocol.Conflict, opServe, fmt.Errorf("another process serves on %s", path), "stop it, or use another --home")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return protocol.E(protocol.Other, opServe, err, "")
	}
	return nil
}

func listenLoopback(cfg Config) (net.Listener, error) {
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, protocol.E(protocol.Invalid, opServe, fmt.Errorf("%q is no address: %w", cfg.Listen, err), "one looks like 127.0.0.1:7480")
	}
	if !isLoopback(host) {
		return nil, notLoopback(host)
	}
	if cfg.Token == "" {
		return nil, protocol.E(protocol.Invalid, opServe, errors.New("a TCP listener needs a token"), "")
	}
	l, err := net.Listen("tcp", cfg.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, protocol.E(protocol.Conflict, opServe, fmt.Errorf("another process serves on %s", cfg.Listen), "stop it, or set another api-listen")
	case err != nil:
		return nil, protocol.E(protocol.Invalid, opServe, err, "set another api-listen; one looks like 127.0.0.1:7480")
	}
	// What "localhost" means is for the system to say, and it may say anything.
	if at, ok := l.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
		return nil, errors.Join(notLoopback(l.Addr().String()), l.Close())
	}
	return l, nil
}

func notLoopback(host string) error {
	return protocol.E(protocol.Invalid, opServe, fmt.Errorf("%q is not a loopback address; the API is not offered to the network", host), "use 127.0.0.1, and a tunnel for access from elsewhere")
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
