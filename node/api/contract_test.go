package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"entente/protocol/stix"
)

// contract holds all that passes a server to the description: every request
// that is answered well, and every answer.
type contract struct {
	t   *testing.T
	doc *openapi3.T

	mu   sync.Mutex
	seen map[string]int // "GET /v1/status 200" → how often
}

// loadDescription reads the description once: it is only read after that.
var loadDescription = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
})

func readDescription(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := loadDescription()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// operation returns what the description says about a pattern of the mux.
func (c *contract) operation(pattern string) (string, *openapi3.Operation) {
	method, path, _ := strings.Cut(pattern, " ")
	item := c.doc.Paths.Value(path)
	if item == nil {
		return path, nil
	}
	return path, item.GetOperation(method)
}

func (c *contract) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := &copied{ReadCloser: r.Body}
		// A copy, since net/http looks at the body of its own when all is done.
		own := *r
		r = &own
		r.Body = body
		out := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(out, r)
		if err := c.check(r, body, out); err != nil {
			c.t.Errorf("%s %s → %d: %v", r.Method, r.URL, out.status, err)
		}
	})
}

func (c *contract) check(r *http.Request, body *copied, out *recorder) error {
	c.mu.Lock()
	c.seen[fmt.Sprintf("%s %d", r.Pattern, out.status)]++
	c.mu.Unlock()
	failed := c.doc.Components.Responses["Failed"].Value
	if r.Pattern == "" || r.Pattern == "/" { // refused by the guard, or nothing is there
		switch out.status {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
			return c.answer(failed, out)
		}
		return errors.New("not what is said to nobody")
	}
	path, op := c.operation(r.Pattern)
	if op == nil {
		return fmt.Errorf("%s is not described", r.Pattern)
	}
	if out.status == http.StatusOK {
		if err := c.question(path, op, r, body); err != nil {
			return fmt.Errorf("answered a request that the description does not allow: %w", err)
		}
	}
	said := op.Responses.Status(out.status)
	if said == nil {
		return errors.New("the status is not described")
	}
	return c.answer(said.Value, out)
}

// question holds a request to the description.
func (c *contract) question(path string, op *openapi3.Operation, r *http.Request, body *copied) error {
	parameters := map[string]string{}
	for _, p := range op.Parameters {
		if p.Value.In == openapi3.ParameterInPath {
			parameters[p.Value.Name] = r.PathValue(p.Value.Name)
		}
	}
	again := r.Clone(context.Background())
	again.Body = io.NopCloser(bytes.NewReader(body.bytes()))
	if again.Header.Get("Content-Type") == "" {
		again.Header.Set("Content-Type", typeJSON)
	}
	return openapi3filter.ValidateRequest(again.Context(), &openapi3filter.RequestValidationInput{
		Request: again, PathParams: parameters,
		Route:   &routers.Route{Spec: c.doc, Path: path, PathItem: c.doc.Paths.Value(path), Method: r.Method, Operation: op},
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
}

// answer holds the body of an answer to the description.
func (c *contract) answer(said *openapi3.Response, out *recorder) error {
	kind, _, _ := strings.Cut(out.Header().Get("Content-Type"), ";")
	media := said.Content[kind]
	if media == nil {
		return fmt.Errorf("the type %q is not described", kind)
	}
	switch kind {
	case typeJSON:
		return holds(media.Schema.Value, out.body.Bytes())
	case "application/x-ndjson":
		for line := range bytes.Lines(out.body.Bytes()) {
			if err := holds(media.Schema.Value, line); err != nil {
				return fmt.Errorf("%s: %w", line, err)
			}
		}
		return nil
	}
	if out.body.Len() == 0 {
		return errors.New("the answer is empty")
	}
	return nil
}

func holds(schema *openapi3.Schema, raw []byte) error {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	return schema.VisitJSON(v, openapi3.VisitAsResponse(), openapi3.MultiErrors(), openapi3.EnableFormatValidation())
}

// copied keeps what is read through it.
type copied struct {
	io.ReadCloser
	mu   sync.Mutex
	read bytes.Buffer
}

// Read implements io.Reader.
func (b *copied) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read.Write(p[:n])
	return n, err
}

func (b *copied) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.read.Bytes())
}

// recorder keeps what is answered through it.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (r *recorder) Write(p []byte) (int, error) {
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

// Unwrap serves http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// running is a real server on a real socket, with its client. What passes is
// held to the description, and nothing of it is left when the test ends.
type running struct {
	*contract
	server *Server
	socket string
	client *Client
	raw    *http.Client // on the socket, without a Client's manners
	halt   func() error // ends Run and returns what it returned; may be called twice
}

// folder returns a new folder whose path is short enough for a socket.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "api")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func start(t *testing.T, service *fake, change ...func(*Config)) *running {
	t.Helper()
	before := goleak.IgnoreCurrent()
	socket := filepath.Join(folder(t), "api.sock")
	cfg := Config{Service: service, Socket: socket, Limits: stix.DefaultLimits(), Registry: prometheus.NewRegistry()}
	for _, f := range change {
		f(&cfg)
	}
	server, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{contract: &contract{t: t, doc: readDescription(t), seen: map[string]int{}}, server: server, socket: socket, client: NewClient(socket)}
	server.handler = r.wrap(server.handler)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	r.raw = &http.Client{Transport: &http.Transport{DialContext: dial}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	r.halt = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		r.client.Close()
		r.raw.CloseIdleConnections()
		if err := r.halt(); err != nil {
			t.Errorf("Run: %v", err)
		}
		goleak.VerifyNone(t, before)
	})
	return r
}

// ask sends a request over the socket and returns status and body.
func (r *running) ask(method, path, body string) (int, string) {
	r.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://localhost"+path, reader)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.do(r.raw, req)
}

func (r *running) do(c *http.Client, req *http.Request) (int, string) {
	r.t.Helper()
	res, err := c.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

// failureOf reads the body of an error.
func failureOf(t *testing.T, body string) Failure {
	t.Helper()
	var f Failure
	if err := json.Unmarshal([]byte(body), &f); err != nil {
		t.Fatalf("%q is no error's body: %v", body, err)
	}
	return f
}
