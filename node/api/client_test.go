package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"entente/node"
	"entente/protocol"
)

// TestNoNode asks where no node is, in every way in which that can be.
func TestNoNode(t *testing.T) {
	dir := folder(t)
	abandoned, file := filepath.Join(dir, "abandoned"), filepath.Join(dir, "file")
	abandon(t, abandoned)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, socket := range []string{filepath.Join(dir, "none"), filepath.Join(dir, "no", "folder"), abandoned, file} {
		for name, question := range operations(NewClient(socket)) {
			err := question(t.Context())
			if protocol.KindOf(err) != protocol.Unreachable || protocol.KindOf(err).Exit() != 3 || protocol.HintOf(err) != "start it: entente up" {
				t.Errorf("%s: %v (%s, %q)", name, err, protocol.KindOf(err), protocol.HintOf(err))
			}
			if want := "no node is running here (nothing answers on " + socket + ")"; err.Error() != want {
				t.Errorf("%s: %q instead of %q", name, err, want)
			}
		}
	}
}

// TestNodeOfAnother tells a socket that may not be used from one that nobody
// serves.
func TestNodeOfAnother(t *testing.T) {
	c := NewClient("somewhere")
	err := c.unsent(t.Context(), &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)})
	if protocol.KindOf(err) != protocol.Unreachable || !strings.Contains(err.Error(), "belongs to somebody else") || !strings.Contains(protocol.HintOf(err), "user") {
		t.Errorf("%v (%s, %q)", err, protocol.KindOf(err), protocol.HintOf(err))
	}
}

// TestNodeGoesAway asks a node that ended since the last question.
func TestNodeGoesAway(t *testing.T) {
	r := start(t, &fake{})
	if _, err := r.client.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.halt(); err != nil {
		t.Fatal(err)
	}
	_, err := r.client.Status(t.Context())
	if protocol.KindOf(err) != protocol.Unreachable || protocol.HintOf(err) != "start it: entente up" {
		t.Errorf("%v (%s, %q)", err, protocol.KindOf(err), protocol.HintOf(err))
	}
}

// TestContextEnds asks with a context that has ended: that is no fault of the
// node's.
func TestContextEnds(t *testing.T) {
	r := start(t, &fake{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, question := range operations(r.client) {
		if err := question(ctx); !errors.Is(err, context.Canceled) || protocol.KindOf(err) != protocol.Other {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// pretending answers every question with the same bytes, then hangs up.
func pretending(t *testing.T, reply string) *Client {
	t.Helper()
	before := goleak.IgnoreCurrent()
	socket := filepath.Join(folder(t), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(conn, reply)
			}
			_ = conn.Close()
		}
	}()
	c := NewClient(socket)
	t.Cleanup(func() {
		c.Close()
		_ = l.Close()
		<-done
		goleak.VerifyNone(t, before)
	})
	return c
}

// TestCutAnswers breaks answers off at every place: none of them is taken for
// the whole.
func TestCutAnswers(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
	version := `{"version":{"object":{"type":"x"},"id":"x--1","type":"x","marking":"TLP:CLEAR","added":1,"provenance":[]}}` + "\n"
	for name, reply := range map[string]string{
		"nothing":                        "",
		"half a head":                    "HTTP/1.1 200 OK\r\nContent-",
		"a whole body without last line": head + "Connection: close\r\n\r\n" + version + version,
		"an empty body":                  head + "Content-Length: 0\r\n\r\n",
		"within a line":                  head + "Connection: close\r\n\r\n" + version + version[:50],
		"behind a line":                  head + "Content-Length: 1000\r\n\r\n" + version,
		"within a chunk":                 head + "Transfer-Encoding: chunked\r\n\r\nff\r\n" + version,
		"behind a chunk":                 head + "Transfer-Encoding: chunked\r\n\r\n" + "8\r\n{\"tail\":\r\n",
		"between chunks, no end":         head + "Transfer-Encoding: chunked\r\n\r\n" + "12\r\n{\"progress\":{}}    \r\n",
		"an end of chunks, no last line": head + "Transfer-Encoding: chunked\r\n\r\n" + "12\r\n{\"progress\":{}}    \r\n0\r\n\r\n",
	} {
		c := pretending(t, reply)
		count := 0
		long := c.Search(t.Context(), node.SearchQuery{}, func(node.Version) bool { count++; return true })
		_, published := c.Publish(t.Context(), "a/b", false, false, strings.NewReader(sampleBundle), nil)
		for question, err := range map[string]error{"search": long, "publish": published, "reindex": c.Reindex(t.Context(), nil)} {
			if protocol.KindOf(err) != protocol.Unreachable || protocol.HintOf(err) == "" {
				t.Errorf("%s, cut off: %s: %v (%s)", name, question, err, protocol.KindOf(err))
			}
		}
		if want := strings.Count(reply, version); count != want {
			t.Errorf("%s: %d events came, not %d", name, count, want)
		}
	}
	for name, reply := range map[string]string{
		"within the body": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"member\":",
		"an empty body":   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"a whole value":   "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
		"no end":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
	} {
		status, err := pretending(t, reply).Status(t.Context())
		if protocol.KindOf(err) != protocol.Unreachable || !errors.Is(err, errCut) || status.Member != "" {
			t.Errorf("%s, cut off: %v (%s)", name, err, protocol.KindOf(err))
		}
	}
}

// sized is an answer with its length.
func sized(status, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

// TestStrangeAnswers are from something that is no node, or another version.
func TestStrangeAnswers(t *testing.T) {
	for reply, text := range map[string]string{
		sized("200 OK", "<html>"):                      "not understood",
		sized("200 OK", `{"member":[7]}`):              "not understood",
		sized("200 OK", `{"member":"a","member":"b"}`): "not understood",
		sized("404 Not Found", "nope"):                 "the node answered 404 Not Found",
		sized("500 Oh", "{}"):                          "the node answered 500 Oh",
		"HTTP/1.1 307 Elsewhere\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n": "the node answered 307 Elsewhere",
		sized("418 Teapot", `{"kind":"of a later version","error":"so it is","hint":"do"}`):     "so it is",
	} {
		_, err := pretending(t, reply).Status(t.Context())
		if err == nil || protocol.KindOf(err) != protocol.Other || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v (%s), without %q", reply, err, protocol.KindOf(err), text)
		}
	}
	// A field that this version does not know is a later version's: answers are
	// only ever added to.
	status, err := pretending(t, sized("200 OK", `{"member":"bank","later":{"a":1}}`)).Status(t.Context())
	if err != nil || status.Member != "bank" {
		t.Errorf("a later version's answer: %+v, %v", status, err)
	}
}
