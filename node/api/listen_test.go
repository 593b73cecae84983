package api

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"entente/protocol"
)

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

// TestSocketIsItsOwners looks at the mode while the server runs, and that the
// socket is gone after it.
func TestSocketIsItsOwners(t *testing.T) {
	r := start(t, &fake{})
	if mode := modeOf(t, r.socket); mode != fs.ModeSocket|0o600 {
		t.Errorf("the socket has the mode %v", mode)
	}
	if err := r.halt(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(r.socket); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// TestSocketIsBornPrivate looks at the mode before anything can set it after
// the fact: a moment in which others may connect is one too many.
func TestSocketIsBornPrivate(t *testing.T) {
	path := filepath.Join(folder(t), "s")
	config := net.ListenConfig{Control: ownerOnly}
	l, err := config.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if mode := modeOf(t, path); mode.Perm()&0o077 != 0 {
		t.Errorf("the socket was born with the mode %v", mode)
	}
}

// abandon leaves a socket behind as a process that was killed does.
func abandon(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if modeOf(t, path).Type() != fs.ModeSocket {
		t.Fatal("no socket was left behind")
	}
}

func TestAbandonedSocketIsTakenOver(t *testing.T) {
	r := start(t, &fake{}, func(c *Config) { abandon(t, c.Socket) })
	if _, err := r.client.Status(t.Context()); err != nil {
		t.Error(err)
	}
	if mode := modeOf(t, r.socket); mode.Perm() != 0o600 {
		t.Errorf("the socket has the mode %v", mode)
	}
}

func TestLiveSocketIsRefused(t *testing.T) {
	r := start(t, &fake{})
	_, err := New(Config{Service: &fake{}, Socket: r.socket})
	if protocol.KindOf(err) != protocol.Conflict || protocol.HintOf(err) == "" || !strings.Contains(err.Error(), r.socket) {
		t.Errorf("a second server: %v", err)
	}
	if _, err := r.client.Status(t.Context()); err != nil {
		t.Errorf("the first server does not answer any more: %v", err)
	}
}

// TestBusySocketIsRefused covers a process that lives and takes no connections:
// its queue is full, so connecting fails, but not as with a dead one.
func TestBusySocketIsRefused(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	path := filepath.Join(folder(t), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 16 { // until the queue is full
		c, err := net.Dial("unix", path)
		if err != nil {
			break
		}
		defer c.Close()
	}
	if _, err := New(Config{Service: &fake{}, Socket: path}); protocol.KindOf(err) != protocol.Conflict {
		t.Errorf("a busy socket: %v", err)
	}
	modeOf(t, path) // it is still there
}

// TestOtherFilesStay makes sure that a wrong setting destroys nothing.
func TestOtherFilesStay(t *testing.T) {
	dir := folder(t)
	file, link := filepath.Join(dir, "root.key"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, dir} {
		if _, err := New(Config{Service: &fake{}, Socket: path}); protocol.KindOf(err) != protocol.Conflict || protocol.HintOf(err) == "" {
			t.Errorf("%s: %v", path, err)
		}
		modeOf(t, path)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

func TestPathsThatCannotBe(t *testing.T) {
	dir := folder(t)
	for _, path := range []string{filepath.Join(dir, "none", "api.sock"), "/" + strings.Repeat("x", 200)} {
		if _, err := New(Config{Service: &fake{}, Socket: path}); protocol.KindOf(err) != protocol.Invalid || protocol.HintOf(err) == "" {
			t.Errorf("%.40s: %v", path, err)
		}
	}
}

// TestOnlyLoopback lists addresses that the API is not offered on. The socket
// is closed again with each.
func TestOnlyLoopback(t *testing.T) {
	socket := filepath.Join(folder(t), "s")
	for _, c := range []struct {
		listen, token string
	}{
		{"0.0.0.0:0", "secret"}, {"[::]:0", "secret"}, {":0", "secret"}, {"192.0.2.1:0", "secret"}, {"example.org:80", "secret"},
		{"127.0.0.1", "secret"}, {"127.0.0.1:x", "secret"}, {"127.0.0.1:0", ""},
	} {
		_, err := New(Config{Service: &fake{}, Socket: socket, Listen: c.listen, Token: c.token})
		if protocol.KindOf(err) != protocol.Invalid {
			t.Errorf("%q with the token %q: %v", c.listen, c.token, err)
		}
		if _, err := os.Lstat(socket); !os.IsNotExist(err) {
			t.Errorf("%q: the socket stayed: %v", c.listen, err)
		}
	}
}

func TestTakenPortIsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = New(Config{Service: &fake{}, Socket: filepath.Join(folder(t), "s"), Listen: l.Addr().String(), Token: "secret"})
	if protocol.KindOf(err) != protocol.Conflict || protocol.HintOf(err) == "" {
		t.Errorf("a port that is taken: %v", err)
	}
}
