package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"entente/node"
	"entente/protocol"
	"entente/protocol/stix"
)

// request sends a request over TCP and returns status and body.
func request(t *testing.T, s *Server, method, path, body string, change func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Address()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer the token")
	if change != nil {
		change(r)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// TestWhoIsLetIn goes through who may ask over TCP: who has the token, speaks to
// this machine by its own name, and is no page of another site.
func TestWhoIsLetIn(t *testing.T) {
	s, _ := serve(t, &fake{}, "127.0.0.1:0")
	cases := map[string]struct {
		change func(*http.Request)
		status int
		text   string
	}{
		"the token":         {nil, 200, `"member"`},
		"localhost":         {func(r *http.Request) { r.Host = "localhost:1234" }, 200, `"member"`},
		"IPv6 loopback":     {func(r *http.Request) { r.Host = "[::1]:1234" }, 200, `"member"`},
		"no token":          {func(r *http.Request) { r.Header.Del("Authorization") }, 401, "a token is needed"},
		"a wrong token":     {func(r *http.Request) { r.Header.Set("Authorization", "Bearer the tokem") }, 401, "a token is needed"},
		"an empty token":    {func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, 401, "a token is needed"},
		"a name of others":  {func(r *http.Request) { r.Host = "evil.example" }, 403, "is not this machine"},
		"a name like ours":  {func(r *http.Request) { r.Host = "localhost.evil.example:80" }, 403, "is not this machine"},
		"an address beside": {func(r *http.Request) { r.Host = "192.0.2.1" }, 403, "is not this machine"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			status, text := request(t, s, "GET", "/v1/status", "", c.change)
			if status != c.status || !strings.Contains(text, c.text) {
				t.Errorf("status %d, %s", status, text)
			}
		})
	}
	for name, header := range map[string][2]string{
		"cross-site fetch": {"Sec-Fetch-Site", "cross-site"}, "another origin": {"Origin", "https://evil.example"},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := request(t, s, "POST", "/v1/lookup", `{"values":[]}`, func(r *http.Request) { r.Header.Set(header[0], header[1]) })
			if status != 403 || !strings.Contains(text, "another site") || !strings.Contains(text, `"kind":"refused"`) {
				t.Errorf("status %d, %s", status, text)
			}
		})
	}
}

// TestBadQuestions holds that what is wrong with a question is said, and that
// nothing is guessed.
func TestBadQuestions(t *testing.T) {
	f := &fake{}
	s, _ := serve(t, f, "127.0.0.1:0")
	large := `{"values":["` + strings.Repeat("a", maxQuestion) + `"]}`
	many := `{"values":[` + strings.TrimSuffix(strings.Repeat(`"a",`, maxValues+1), ",") + `]}`
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		text               string
	}{
		"no JSON":            {"POST", "/v1/lookup", `values`, 400, "/v1/openapi.yaml"},
		"an unknown field":   {"POST", "/v1/lookup", `{"values":[],"valeus":[]}`, 400, "valeus"},
		"a field twice":      {"POST", "/v1/lookup", `{"values":["a"],"values":["b"]}`, 400, "values"},
		"another case":       {"POST", "/v1/lookup", `{"Values":["a"]}`, 400, "Values"},
		"two documents":      {"POST", "/v1/lookup", `{"values":[]}{"values":[]}`, 400, ""},
		"too large":          {"POST", "/v1/lookup", large, 413, "ask in parts"},
		"too many values":    {"POST", "/v1/lookup", many, 413, "ask in parts"},
		"a wrong type":       {"POST", "/v1/search", `{"limit":"many"}`, 400, "limit"},
		"an unknown path":    {"GET", "/v1/nothing", "", 404, "/v1/openapi.yaml"},
		"another method":     {"DELETE", "/v1/status", "", 404, "DELETE"},
		"no cursor":          {"GET", "/v1/tail?after=yesterday", "", 400, "no cursor"},
		"no row":             {"GET", "/v1/explain?row=0", "", 400, "no number"},
		"nothing to explain": {"GET", "/v1/explain", "", 400, "name an object or a row"},
		"no span":            {"POST", "/v1/agreements/x/invite?valid=-1h", "", 400, "no span"},
		"a dry run misspelt": {"POST", "/v1/publish?topic=a/b&dry_run=yes", "[]", 400, "true or false"},
		"strict misspelt":    {"POST", "/v1/publish?topic=a/b&strict=1", "[]", 400, "true or false"},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := request(t, s, c.method, c.path, c.body, nil)
			if status != c.status || !strings.Contains(text, c.text) || !strings.Contains(text, `"error":`) {
				t.Errorf("status %d, %.300s", status, text)
			}
		})
	}
	if len(f.asked) != 0 {
		t.Errorf("%d publications were begun", len(f.asked))
	}
}

// TestSocket holds the socket to be the owner's alone, and to be taken over from
// a process that died but not from one that lives.
func TestSocket(t *testing.T) {
	_, socket := serve(t, &fake{}, "")
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != os.ModeSocket {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
	if _, err := New(Config{Service: &fake{}, Socket: socket}); protocol.KindOf(err) != protocol.Conflict || protocol.HintOf(err) == "" {
		t.Errorf("a second server on the socket: %v", err)
	}
	left := filepath.Join(t.TempDir(), "left")
	l, err := net.Listen("unix", left)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	s, err := New(Config{Service: &fake{}, Socket: left})
	if err != nil {
		t.Fatalf("a socket that nobody serves: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
	long := filepath.Join(t.TempDir(), strings.Repeat("x", maxSocketPath))
	if _, err := New(Config{Service: &fake{}, Socket: long}); protocol.KindOf(err) != protocol.Invalid || protocol.HintOf(err) == "" {
		t.Errorf("a path that is too long: %v", err)
	}
	for listen, want := range map[string]string{"0.0.0.0:0": "loopback", "192.0.2.1:80": "loopback", "nonsense": "no address"} {
		_, err := New(Config{Service: &fake{}, Socket: filepath.Join(t.TempDir(), "s"), Listen: listen, Token: "x"})
		if protocol.KindOf(err) != protocol.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("listening on %s: %v", listen, err)
		}
	}
	if _, err := New(Config{Service: &fake{}, Socket: filepath.Join(t.TempDir(), "s"), Listen: "127.0.0.1:0"}); err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("TCP without a token: %v", err)
	}
}

// TestNoNode holds what the client says when nobody answers.
func TestNoNode(t *testing.T) {
	dir := t.TempDir()
	_, err := NewClient(filepath.Join(dir, "none")).Status(t.Context())
	if protocol.KindOf(err) != protocol.Unreachable || protocol.HintOf(err) != "start it: entente up" {
		t.Errorf("no socket: %v, hint %q", err, protocol.HintOf(err))
	}
	left := filepath.Join(dir, "left")
	l, err := net.Listen("unix", left)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	if _, err = NewClient(left).Status(t.Context()); protocol.KindOf(err) != protocol.Unreachable || protocol.HintOf(err) != "start it: entente up" {
		t.Errorf("a socket that nobody serves: %v", err)
	}
}

// TestCutAnswer holds that an answer which breaks off is an error, whatever came
// before.
func TestCutAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, body := range map[string]string{
		"between events": `{"version":{"object":{},"id":"a","type":"b","marking":"c","added":1,"provenance":[]}}` + "\n",
		"in an event":    `{"version":{"obj`,
		"before any":     "",
	} {
		t.Run(name, func(t *testing.T) {
			served := make(chan error, 1)
			go func() {
				c, err := l.Accept()
				if err != nil {
					served <- err
					return
				}
				if _, err = http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, err = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n%s", body)
				}
				served <- errors.Join(err, c.Close())
			}()
			err := NewClient(path).Search(t.Context(), node.SearchQuery{}, func(node.Version) bool { return true })
			if protocol.KindOf(err) != protocol.Unreachable || !errors.Is(err, errCut) {
				t.Errorf("%v", err)
			}
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestHangUp holds that a handler's context ends with its reader, and with the
// server.
func TestHangUp(t *testing.T) {
	f := &fake{many: 1, follow: make(chan struct{})}
	_, socket := serve(t, f, "")
	client := NewClient(socket)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- client.Tail(ctx, "", 0, func(node.TailEvent) bool { cancel(); return true })
	}()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the client says %v", err)
	}
	<-f.follow // would never come if the handler were not told
}

// TestShutdownEndsStreams holds that a stream does not keep a server that is to
// stop.
func TestShutdownEndsStreams(t *testing.T) {
	f := &fake{many: 1, follow: make(chan struct{})}
	s, err := New(Config{Service: f, Socket: filepath.Join(t.TempDir(), "s"), Limits: stix.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Run(ctx) }()
	ended := make(chan error, 1)
	go func() {
		ended <- NewClient(s.cfg.Socket).Tail(t.Context(), "", 0, func(node.TailEvent) bool { stop(); return true })
	}()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil && protocol.KindOf(err) != protocol.Unreachable {
		t.Errorf("the client says %v", err)
	}
	<-f.follow
}

// TestSlowReader holds that a reader which takes nothing holds up nobody else.
func TestSlowReader(t *testing.T) {
	f := &fake{many: 1 << 20}
	s, socket := serve(t, f, "")
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /v1/tail?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil { // the answer has begun; nothing more of it is read
		t.Fatal(err)
	}
	client := NewClient(socket)
	for range 20 {
		if _, err := client.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	client.http.CloseIdleConnections()
	_ = c.Close()
	_ = s
}

// TestBodyOfPublish holds that a publication's body is read as it comes, and
// that one that breaks off is told from one that ends.
func TestBodyOfPublish(t *testing.T) {
	f := &fake{}
	_, socket := serve(t, f, "")
	client := NewClient(socket)
	defer client.http.CloseIdleConnections()
	object := `{"type":"indicator","spec_version":"2.1","id":"indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a01"}`
	if _, err := client.Publish(t.Context(), "a/b", false, false, strings.NewReader("["+object+","+object+"]"), nil); err != nil || f.items != 2 {
		t.Errorf("%d objects, %v", f.items, err)
	}
	if r := f.asked[0]; r.Topic != "a/b" || r.DryRun || r.Strict {
		t.Errorf("asked %+v", r)
	}
	receipt, err := client.Publish(t.Context(), "a/b", true, true, strings.NewReader("["+object+","+object), nil)
	if protocol.KindOf(err) != protocol.Invalid || receipt.Read == 0 {
		t.Errorf("a body that is cut: %v, receipt %+v", err, receipt)
	}
	if r := f.asked[1]; !r.DryRun || !r.Strict {
		t.Errorf("asked %+v", r)
	}
	broken := io.MultiReader(bytes.NewReader([]byte("["+object)), failing{})
	if _, err = client.Publish(t.Context(), "a/b", false, false, broken, nil); err == nil {
		t.Error("a body whose reading fails is published as if it had ended")
	}
}

type failing struct{}

// Read implements io.Reader.
func (failing) Read([]byte) (int, error) { return 0, errors.New("the file is gone") }

// TestStreamTime holds that a long answer is not cut for being long: each event
// has its own time.
func TestStreamTime(t *testing.T) {
	f := &fake{many: 2000}
	_, socket := serve(t, f, "")
	count := 0
	start := time.Now()
	if err := NewClient(socket).Tail(t.Context(), "", 0, func(node.TailEvent) bool { count++; return true }); err != nil || count != 2000 {
		t.Errorf("%d events in %v, %v", count, time.Since(start), err)
	}
}
