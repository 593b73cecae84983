package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"

	"entente/node"
	"entente/protocol"
)

func described(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("the description is no OpenAPI document: %v", err)
	}
	return doc
}

// TestRoutesAreDescribed holds routes and description to be the same.
func TestRoutesAreDescribed(t *testing.T) {
	s := &Server{cfg: Config{Registry: prometheus.NewRegistry()}}
	served, told := s.table(), map[string]bool{}
	for path, item := range described(t).Paths.Map() {
		for method := range item.Operations() {
			told[method+" "+path] = true
			if served[method+" "+path] == nil {
				t.Errorf("%s %s is described and not served", method, path)
			}
		}
	}
	for pattern := range served {
		if !told[pattern] {
			t.Errorf("%s is served and not described", pattern)
		}
	}
}

// checker is a transport that holds every question and answer that passes to
// the description.
type checker struct {
	t      *testing.T
	next   http.RoundTripper
	router routers.Router
	events *openapi3.Schema
	mu     sync.Mutex
	seen   map[string]int // by operation
}

// RoundTrip implements http.RoundTripper.
func (c *checker) RoundTrip(r *http.Request) (*http.Response, error) {
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		c.t.Errorf("%s %s: %v", r.Method, r.URL, err)
		return c.next.RoundTrip(r)
	}
	id := route.Operation.OperationID
	c.mu.Lock()
	c.seen[id]++
	c.mu.Unlock()
	input := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, ExcludeRequestBody: id == "publish"},
	}
	if r.Body != nil && id != "publish" {
		r.Header.Set("Content-Type", "application/json")
	}
	if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
		c.t.Errorf("question of %s: %v", id, err)
	}
	res, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return res, err
	}
	kind := res.Header.Get("Content-Type")
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: res.StatusCode, Header: res.Header, Options: &openapi3filter.Options{}}
	if kind == "application/x-ndjson" || kind == "application/yaml" || strings.HasPrefix(kind, "text/plain") {
		answer.Options.ExcludeResponseBody = true
	}
	if kind == "application/x-ndjson" {
		c.checkEvents(id, body)
	}
	answer.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(r.Context(), answer); err != nil {
		c.t.Errorf("answer of %s: %v\n%s", id, err, body)
	}
	return res, nil
}

func (c *checker) checkEvents(id string, body []byte) {
	lines := bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
	for _, line := range lines {
		var v any
		if err := json.Unmarshal(line, &v); err != nil {
			c.t.Errorf("event of %s: %v: %s", id, err, line)
			continue
		}
		if err := c.events.VisitJSON(v, openapi3.VisitAsResponse()); err != nil {
			c.t.Errorf("event of %s: %v\n%s", id, err, line)
		}
	}
	if last := lines[len(lines)-1]; !bytes.Contains(last, []byte(`"done":true`)) && !bytes.Contains(last, []byte(`"error":`)) {
		c.t.Errorf("the last event of %s is %s", id, last)
	}
}

// checked returns a client whose traffic is held to the description.
func checked(t *testing.T, socket string) (*Client, *checker) {
	t.Helper()
	doc := described(t)
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	client := NewClient(socket)
	c := &checker{t: t, next: client.http.Transport, router: router, events: doc.Components.Schemas["Event"].Value, seen: map[string]int{}}
	client.http.Transport = c
	t.Cleanup(c.next.(*http.Transport).CloseIdleConnections)
	return client, c
}

// everything asks all that the client can ask; it returns the errors by name.
func everything(t *testing.T, c *Client) map[string]error {
	t.Helper()
	ctx := t.Context()
	out := map[string]error{}
	note := func(name string, err error) { out[name] = err }
	_, err := c.Status(ctx)
	note("status", err)
	_, err = c.Members(ctx)
	note("members", err)
	_, err = c.Agreements(ctx)
	note("agreements", err)
	_, err = c.Agreement(ctx, "har/bour ü")
	note("agreement", err)
	_, err = c.Invite(ctx, "harbour", 3600e9)
	note("invite", err)
	_, err = c.Import(ctx, []byte("payload"), []byte("signatures"))
	note("import", err)
	_, err = c.Join(ctx, "ticket")
	note("join", err)
	_, err = c.Ping(ctx, "vendor")
	note("ping", err)
	_, err = c.Get(ctx, "indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a01")
	note("get", err)
	_, err = c.Lookup(ctx, []string{"192.0.2.1"})
	note("lookup", err)
	_, err = c.ExplainObject(ctx, "indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a01", "vendor")
	note("explain object", err)
	_, err = c.ExplainRow(ctx, 7)
	note("explain row", err)
	_, err = c.Publish(ctx, "harbour/indicators", true, true, strings.NewReader("[]"), func(node.Progress) {})
	note("publish", err)
	query := node.SearchQuery{Text: "x", Types: []string{"indicator"}, Limit: 3}
	note("search", c.Search(ctx, query, func(node.Version) bool { return true }))
	note("export", c.Export(ctx, query, func(node.Version) bool { return true }))
	note("audit", c.Audit(ctx, node.AuditQuery{Kinds: []string{"message"}, Limit: 5}, func(node.AuditEntry) bool { return true }))
	note("tail", c.Tail(ctx, "harbour/indicators", 0, func(node.TailEvent) bool { return true }))
	note("reindex", c.Reindex(ctx, func(node.Progress) {}))
	return out
}

// TestAnswersAreAsDescribed asks everything, and again with every kind of error.
func TestAnswersAreAsDescribed(t *testing.T) {
	f := &fake{many: 3}
	_, socket := serve(t, f, "")
	client, c := checked(t, socket)
	for name, err := range everything(t, client) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for path, item := range described(t).Paths.Map() {
		for method, op := range item.Operations() {
			if strings.Contains("health describe metrics findings", op.OperationID) {
				continue // asked by TestPlainPaths
			}
			if c.seen[op.OperationID] == 0 {
				t.Errorf("%s %s was not asked", method, path)
			}
		}
	}
	for _, kind := range kinds() {
		f.set(protocol.E(kind, "do it", errors.New("the cause"), "the hint"))
		for name, err := range everything(t, client) {
			want := kind
			if kind == protocol.Findings && !strings.Contains("tail search export audit publish reindex", name) {
				want = protocol.Findings
			}
			if protocol.KindOf(err) != want || err.Error() != "do it: the cause" || protocol.HintOf(err) != "the hint" {
				t.Errorf("%s: a %s came as %s %q, hint %q", name, kind, protocol.KindOf(err), err, protocol.HintOf(err))
			}
		}
	}
}

// TestPlainPaths asks what the client has no method for.
func TestPlainPaths(t *testing.T) {
	_, socket := serve(t, &fake{}, "")
	client, c := checked(t, socket)
	for _, path := range []string{"/healthz", "/openapi.yaml", "/findings"} {
		body, err := client.call(t.Context(), http.MethodGet, path, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if err != nil || len(text) == 0 {
			t.Errorf("%s: %q, %v", path, text, err)
		}
		if path == "/openapi.yaml" && !bytes.Equal(text, description) {
			t.Error("another description is served")
		}
	}
	if len(c.seen) != 3 {
		t.Errorf("seen %v", c.seen)
	}
}
