package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"entente/node"
	"entente/protocol"
)

// pipes is a listener in memory. Its connections have no buffers, so a peer that
// reads nothing stops the other side at once, and all of it runs in virtual
// time.
type pipes struct {
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func newPipes() *pipes { return &pipes{incoming: make(chan net.Conn), closed: make(chan struct{})} }

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.incoming:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.incoming <- there:
		return here, nil
	case <-p.closed:
		return nil, fmt.Errorf("dial memory: %w", io.ErrClosedPipe)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// virtual is a server in a synctest bubble.
type virtual struct {
	*pipes
	client *Client
	stop   context.CancelFunc
	ended  chan error // what Run returned
	at     *time.Time // when it did
	log    *strings.Builder
}

// inBubble runs a server and a client in virtual time. A goroutine that is left
// at the end fails the test.
func inBubble(t *testing.T, service *fake, test func(*testing.T, *virtual)) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		server := newServer(Config{Service: service, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		v := &virtual{pipes: newPipes(), client: NewClient("memory"), stop: cancel, ended: make(chan error, 1), at: new(time.Time), log: &log}
		server.listeners = append(server.listeners, v.pipes)
		v.client.http.Transport = &http.Transport{DialContext: v.dial}
		go func() {
			err := server.Run(ctx)
			*v.at = time.Now()
			v.ended <- err
		}()
		test(t, v)
		cancel()
		v.client.Close()
		if err := <-v.ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestSlowReader lets one reader of a tail take nothing: it is let go after half
// a minute, and another gets everything without delay.
func TestSlowReader(t *testing.T) {
	const events = 90 // one a second
	cut := make(chan time.Duration, 1)
	service := &fake{tail: func(ctx context.Context, topic string, _ int64, yield func(node.TailEvent) bool) error {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		began := time.Now()
		for i := range int64(events) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
			asked := time.Now()
			if !yield(node.TailEvent{Cursor: i + 1}) {
				cut <- time.Since(asked)
				return nil
			}
			if topic == "slow" && time.Since(began) > time.Duration(events)*time.Second {
				return errors.New("the slow reader was never let go")
			}
		}
		return nil
	}}
	inBubble(t, service, func(t *testing.T, v *virtual) {
		conn, err := v.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /v1/tail?topic=slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
		began, count := time.Now(), 0
		err = v.client.Tail(t.Context(), "fast", -1, func(e node.TailEvent) bool {
			count++
			if late := time.Since(began) - time.Duration(e.Cursor)*time.Second; late != 0 {
				t.Errorf("event %d came %s late", e.Cursor, late)
			}
			return true
		})
		if err != nil || count != events {
			t.Errorf("the other reader: %d events, %v", count, err)
		}
		select {
		case after := <-cut:
			if after != idleWrite {
				t.Errorf("let go after %s", after)
			}
		default:
			t.Error("the slow reader was not let go")
		}
	})
}

// TestSlowReaderOfShortAnswer holds an answer that is no stream to the same.
func TestSlowReaderOfShortAnswer(t *testing.T) {
	service := &fake{lookup: func(context.Context, []string) ([]node.LookupAnswer, error) {
		return make([]node.LookupAnswer, 10_000), nil
	}}
	inBubble(t, service, func(t *testing.T, v *virtual) {
		conn, err := v.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "POST /v1/lookup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n\r\n{\"values\":[\"x\"]}")
		began := time.Now()
		v.stop()
		<-v.ended // waits for the request
		v.ended <- nil
		if took := v.at.Sub(began); took >= time.Minute {
			t.Errorf("an answer that nobody read held the server for %s", took)
		}
	})
}

// TestKeptConnection asks again on one connection, long after: no deadline of an
// earlier answer is left on it.
func TestKeptConnection(t *testing.T) {
	inBubble(t, &fake{events: 1}, func(t *testing.T, v *virtual) {
		dials := 0
		v.client.http.Transport = &http.Transport{DialContext: func(ctx context.Context, a, b string) (net.Conn, error) {
			dials++
			return v.dial(ctx, a, b)
		}}
		for range 3 {
			for name, question := range operations(v.client) {
				if strings.HasSuffix(name, "/publish") {
					continue // closes its connection
				}
				if err := question(t.Context()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				<-time.After(idleWrite + idleRead)
			}
		}
		if dials > 40 {
			t.Errorf("%d connections: they are not kept", dials)
		}
	})
}

// TestSlowQuestion sends a body that stops coming.
func TestSlowQuestion(t *testing.T) {
	inBubble(t, &fake{}, func(t *testing.T, v *virtual) {
		conn, err := v.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "POST /v1/lookup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{\"values\":[")
		began := time.Now()
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if f := failureOf(t, string(raw)); res.StatusCode != http.StatusBadRequest || !strings.Contains(f.Error, "did not come within 30s") || time.Since(began) != idleRead {
			t.Errorf("after %s: %d %+v", time.Since(began), res.StatusCode, f)
		}
	})
}

// TestLongThought lets the node think for longer than a question may take to
// come: the limit is on the reader and the writer, not on the node.
func TestLongThought(t *testing.T) {
	service := &fake{lookup: func(ctx context.Context, _ []string) ([]node.LookupAnswer, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Minute):
			return []node.LookupAnswer{{Value: "x"}}, nil
		}
	}}
	inBubble(t, service, func(t *testing.T, v *virtual) {
		answers, err := v.client.Lookup(t.Context(), []string{"x"})
		if err != nil || len(answers) != 1 {
			t.Errorf("%v, %v", answers, err)
		}
	})
}

// TestStop stops the server while it answers: what has no end ends at once, what
// is nearly done is done, what takes too long is told so, and Run waits for all.
func TestStop(t *testing.T) {
	var last time.Time // when the last request ended
	wait := func(ctx context.Context, d time.Duration) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return nil
		}
	}
	service := &fake{
		tail: func(ctx context.Context, _ string, _ int64, yield func(node.TailEvent) bool) error {
			yield(node.TailEvent{Idle: true})
			<-ctx.Done()
			return nil // as the node does
		},
		audit: func(ctx context.Context, q node.AuditQuery, yield func(node.AuditEntry) bool) error {
			yield(node.AuditEntry{Number: 1})
			if q.Follow {
				<-ctx.Done()
				return nil
			}
			return wait(ctx, 2*time.Second)
		},
		get: func(ctx context.Context, _ string) ([]node.Version, error) { return nil, wait(ctx, 4*time.Second) },
		export: func(ctx context.Context, _ node.SearchQuery, yield func(node.Version) bool) error {
			yield(node.Version{Object: node.RawObject("{}")})
			return wait(ctx, time.Hour)
		},
		lookup: func(ctx context.Context, _ []string) ([]node.LookupAnswer, error) { return nil, wait(ctx, time.Hour) },
		search: func(context.Context, node.SearchQuery, func(node.Version) bool) error {
			err := wait(context.Background(), 20*time.Second) // deaf
			last = time.Now()
			return err
		},
	}
	type outcome struct {
		err   error
		after time.Duration
	}
	inBubble(t, service, func(t *testing.T, v *virtual) {
		ctx, c := t.Context(), v.client
		var began time.Time
		var mu sync.Mutex
		outcomes := map[string]outcome{}
		var all sync.WaitGroup
		ask := func(name string, question func() error) {
			all.Go(func() {
				err := question()
				mu.Lock()
				defer mu.Unlock()
				outcomes[name] = outcome{err, time.Since(began)}
			})
		}
		ask("tail", func() error { return c.Tail(ctx, "", -1, func(node.TailEvent) bool { return true }) })
		ask("follow", func() error {
			return c.Audit(ctx, node.AuditQuery{Follow: true}, func(node.AuditEntry) bool { return true })
		})
		ask("audit", func() error { return c.Audit(ctx, node.AuditQuery{}, func(node.AuditEntry) bool { return true }) })
		ask("get", func() error { _, err := c.Get(ctx, sampleID); return err })
		ask("export", func() error {
			_, err := c.Export(ctx, node.SearchQuery{}, func(node.Version) bool { return true })
			return err
		})
		ask("lookup", func() error { _, err := c.Lookup(ctx, []string{"x"}); return err })
		ask("search", func() error { return c.Search(ctx, node.SearchQuery{}, func(node.Version) bool { return true }) })
		synctest.Wait()
		began = time.Now()
		v.stop()
		all.Wait()
		<-v.ended
		v.ended <- nil
		for name, after := range map[string]time.Duration{
			"tail": 0, "follow": 0, "audit": 2 * time.Second, "get": 4 * time.Second, "export": graceAnswer, "lookup": graceAnswer, "search": graceAnswer + graceCut,
		} {
			o := outcomes[name]
			if o.after.Truncate(time.Second) != after {
				t.Errorf("%s ended after %s, not %s: %v", name, o.after, after, o.err)
			}
			done := name == "get" || name == "audit"
			if done != (o.err == nil) {
				t.Errorf("%s: %v", name, o.err)
			}
			if !done && (protocol.KindOf(o.err) != protocol.Unreachable || protocol.HintOf(o.err) == "") {
				t.Errorf("%s: %s, %v", name, protocol.KindOf(o.err), o.err)
			}
			if !done && name != "search" && fmt.Sprint(o.err) != errStopping.Error() {
				t.Errorf("%s: %v", name, o.err)
			}
		}
		if v.at.Before(last) || last.IsZero() {
			t.Errorf("Run returned at %s, with a request that went on to %s", v.at, last)
		}
	})
}

// TestFault makes sure that a fault in one request is logged, breaks off that
// answer visibly, and harms no other.
func TestFault(t *testing.T) {
	service := &fake{
		get: func(context.Context, string) ([]node.Version, error) { panic("index out of range") },
		search: func(_ context.Context, _ node.SearchQuery, yield func(node.Version) bool) error {
			yield(node.Version{Object: node.RawObject("{}")})
			panic("index out of range")
		},
	}
	inBubble(t, service, func(t *testing.T, v *virtual) {
		if _, err := v.client.Get(t.Context(), sampleID); protocol.KindOf(err) != protocol.Unreachable {
			t.Errorf("a short answer: %v", err)
		}
		count := 0
		err := v.client.Search(t.Context(), node.SearchQuery{}, func(node.Version) bool { count++; return true })
		if protocol.KindOf(err) != protocol.Unreachable || !errors.Is(err, errCut) || count != 1 {
			t.Errorf("a long answer: %d, %v", count, err)
		}
		if _, err := v.client.Status(t.Context()); err != nil {
			t.Errorf("another question: %v", err)
		}
		if text := v.log.String(); strings.Count(text, "level=ERROR") != 2 || !strings.Contains(text, "index out of range") || !strings.Contains(text, "stream_test.go") {
			t.Errorf("the log says %q", text)
		}
	})
}

// TestUnwritableAnswer lets the node answer what is no JSON, as with damaged
// data: the reason arrives, not half an answer.
func TestUnwritableAnswer(t *testing.T) {
	bad := node.Version{Object: node.RawObject(`{"a":1,"a":2}`)}
	service := &fake{
		get: func(context.Context, string) ([]node.Version, error) {
			return []node.Version{{Object: node.RawObject("{}")}, bad}, nil
		},
		search: func(_ context.Context, q node.SearchQuery, yield func(node.Version) bool) error {
			for range q.Limit {
				if !yield(node.Version{Object: node.RawObject("{}")}) {
					return nil
				}
			}
			if yield(bad) {
				return errors.New("went on behind what could not be written")
			}
			return nil
		},
	}
	r := start(t, service)
	_, err := r.client.Get(t.Context(), sampleID)
	if protocol.KindOf(err) != protocol.Other || !strings.Contains(err.Error(), "duplicate") {
		t.Errorf("a short answer: %v", err)
	}
	for _, before := range []int{0, 1, 1000} {
		count := 0
		err := r.client.Search(t.Context(), node.SearchQuery{Limit: before}, func(node.Version) bool { count++; return true })
		if protocol.KindOf(err) != protocol.Other || err == nil || !strings.Contains(err.Error(), "duplicate") || count != before {
			t.Errorf("after %d good ones: %d, %v", before, count, err)
		}
	}
}

// TestHangUp makes sure that the node learns at once that nobody listens, in
// every kind of answer.
func TestHangUp(t *testing.T) {
	asked, ended := make(chan struct{}), make(chan error)
	hang := func(ctx context.Context) error {
		asked <- struct{}{}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return ctx.Err()
	}
	r := start(t, &fake{
		get:    func(ctx context.Context, _ string) ([]node.Version, error) { return nil, hang(ctx) },
		lookup: func(ctx context.Context, _ []string) ([]node.LookupAnswer, error) { return nil, hang(ctx) },
		export: func(ctx context.Context, _ node.SearchQuery, yield func(node.Version) bool) error {
			yield(node.Version{Object: node.RawObject("{}")})
			return hang(ctx)
		},
		tail: func(ctx context.Context, _ string, _ int64, yield func(node.TailEvent) bool) error {
			yield(node.TailEvent{})
			return hang(ctx)
		},
		audit: func(ctx context.Context, _ node.AuditQuery, _ func(node.AuditEntry) bool) error { return hang(ctx) },
		publish: func(ctx context.Context, p node.PublishRequest) (node.Receipt, error) {
			receipt, err := readItems(p, func(int) {})
			return receipt, errors.Join(err, hang(ctx))
		},
	})
	all := operations(r.client)
	for _, name := range []string{"GET /v1/objects/{id}", "POST /v1/lookup", "POST /v1/export", "GET /v1/tail", "POST /v1/audit", "POST /v1/publish"} {
		ctx, cancel := context.WithCancel(t.Context())
		answered := make(chan error, 1)
		go func() { answered <- all[name](ctx) }()
		<-asked
		cancel()
		if cause := <-ended; !errors.Is(cause, context.Canceled) || errors.Is(cause, errStopping) {
			t.Errorf("%s: the context ended by %v", name, cause)
		}
		if err := <-answered; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the client got %v", name, err)
		}
	}
}

// TestHangUpWhilePublishing hangs up in the middle of the document: what the
// node reads then ends with an error, never as if the document were whole.
func TestHangUpWhilePublishing(t *testing.T) {
	first, got := make(chan struct{}), make(chan error, 1)
	r := start(t, &fake{publish: func(_ context.Context, p node.PublishRequest) (node.Receipt, error) {
		receipt, err := readItems(p, func(n int) {
			if n == 1 {
				close(first)
			}
		})
		got <- err
		return receipt, err
	}})
	document, writer := io.Pipe()
	go func() {
		for { // until the other end is closed
			if _, err := io.WriteString(writer, strings.Repeat("{\"type\":\"x-sample\"}\n", 1000)); err != nil {
				return
			}
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-first
		cancel()
	}()
	_, err := r.client.Publish(ctx, "a/b", false, false, document, nil)
	document.Close()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v", err)
	}
	if err := <-got; err == nil {
		t.Error("the node took the half for the whole")
	}
}

// TestEventsComeAtOnce makes sure that nothing waits for a buffer to fill.
func TestEventsComeAtOnce(t *testing.T) {
	next := make(chan struct{})
	r := start(t, &fake{
		tail: func(_ context.Context, _ string, _ int64, yield func(node.TailEvent) bool) error {
			for i := range int64(5) {
				yield(node.TailEvent{Cursor: i})
				<-next
			}
			return nil
		},
		audit: func(_ context.Context, _ node.AuditQuery, yield func(node.AuditEntry) bool) error {
			for i := range uint64(5) {
				yield(node.AuditEntry{Number: i})
				<-next
			}
			return nil
		},
	})
	if err := r.client.Tail(t.Context(), "", -1, func(node.TailEvent) bool { next <- struct{}{}; return true }); err != nil {
		t.Error(err)
	}
	if err := r.client.Audit(t.Context(), node.AuditQuery{Follow: true}, func(node.AuditEntry) bool { next <- struct{}{}; return true }); err != nil {
		t.Error(err)
	}
}

// TestReaderStops makes sure that a client that has enough ends the answer.
func TestReaderStops(t *testing.T) {
	ended := make(chan int, 1)
	r := start(t, &fake{export: func(_ context.Context, _ node.SearchQuery, yield func(node.Version) bool) error {
		count := 0
		for yield(node.Version{Object: node.RawObject(`{"pad":"` + strings.Repeat("x", 10_000) + `"}`)}) {
			count++
		}
		ended <- count
		return nil
	}})
	count := 0
	_, err := r.client.Export(t.Context(), node.SearchQuery{}, func(node.Version) bool { count++; return count < 3 })
	if err != nil || count != 3 {
		t.Errorf("%d, %v", count, err)
	}
	<-ended // or the test does not end
}
