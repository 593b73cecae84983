package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"entente/node"
	"entente/protocol"
)

// TestRoutesAreDescribed fails when a route is not described or a description
// has no route, and when the two differ in parameters or body.
func TestRoutesAreDescribed(t *testing.T) {
	type shape struct {
		Query []string
		Body  bool
	}
	served, described := map[string]shape{}, map[string]shape{}
	s := newServer(Config{Registry: prometheus.NewRegistry()})
	for _, rt := range s.routes() {
		served[rt.pattern] = shape{slices.Sorted(slices.Values(rt.query)), rt.body}
	}
	for path, item := range readDescription(t).Paths.Map() {
		for method, op := range item.Operations() {
			var query []string
			for _, p := range op.Parameters {
				switch p.Value.In {
				case openapi3.ParameterInQuery:
					query = append(query, p.Value.Name)
				case openapi3.ParameterInPath:
					if !strings.Contains(path, "{"+p.Value.Name+"}") {
						t.Errorf("%s has no {%s}", path, p.Value.Name)
					}
				case openapi3.ParameterInHeader:
					if p.Value.Name != purposeHeader {
						t.Errorf("%s %s: a parameter in the header %s", method, path, p.Value.Name)
					}
				default:
					t.Errorf("%s %s: a parameter in %s", method, path, p.Value.In)
				}
			}
			slices.Sort(query)
			described[method+" "+path] = shape{query, op.RequestBody != nil}
		}
	}
	if diff := cmp.Diff(described, served); diff != "" {
		t.Errorf("described (-) and served (+) differ:\n%s", diff)
	}
}

// described are the types behind the schemas.
func described() []reflect.Type {
	return []reflect.Type{
		reflect.TypeFor[Failure](), reflect.TypeFor[Event](), reflect.TypeFor[Health](), reflect.TypeFor[Ticket](), reflect.TypeFor[Upload](), reflect.TypeFor[Values](), reflect.TypeFor[node.InviteRequest](), reflect.TypeFor[node.InviteInfo](), reflect.TypeFor[node.StatementRequest](), reflect.TypeFor[node.StatementInfo](), reflect.TypeFor[Burial](), reflect.TypeFor[node.OnwardRequest](), reflect.TypeFor[node.OnwardQuestion](), reflect.TypeFor[node.OnwardAnswer](), reflect.TypeFor[node.Erasure](), reflect.TypeFor[node.ReviewList](), reflect.TypeFor[node.Review](), reflect.TypeFor[node.ReviewRequest](), reflect.TypeFor[node.LogInfo](), reflect.TypeFor[node.ErasureReceipt](),
		reflect.TypeFor[node.Status](), reflect.TypeFor[node.MemberInfo](), reflect.TypeFor[node.Imported](), reflect.TypeFor[node.SearchQuery](),
		reflect.TypeFor[node.AuditQuery](), reflect.TypeFor[node.LookupAnswer](), reflect.TypeFor[node.Explanation](), reflect.TypeFor[node.CompareRequest](), reflect.TypeFor[node.Trail](),
		reflect.TypeFor[node.ReplayQuery](), reflect.TypeFor[node.ScoreInfo](),
	}
}

// TestSchemasAreTheTypes compares every schema with the Go type behind it: the
// same properties, the same ones always there, the same kinds of value.
func TestSchemasAreTheTypes(t *testing.T) {
	schemas := readDescription(t).Components.Schemas
	done := map[string]bool{"Document": true} // any bytes
	queue := described()
	for len(queue) > 0 {
		typ := queue[0]
		queue = queue[1:]
		if done[typ.Name()] {
			continue
		}
		done[typ.Name()] = true
		ref := schemas[typ.Name()]
		if ref == nil {
			t.Errorf("%s is not described", typ)
			continue
		}
		schema := ref.Value
		if has := schema.AdditionalProperties.Has; has == nil || *has {
			t.Errorf("the schema %s is open", typ.Name())
		}
		properties, required := map[string]bool{}, []string{}
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			properties[name] = true
			if options == "" {
				required = append(required, name)
			}
			property := schema.Properties[name]
			if property == nil {
				t.Errorf("%s.%s is not described", typ.Name(), name)
				continue
			}
			inner, fault := agrees(property, f.Type)
			if fault != "" {
				t.Errorf("%s.%s: %s", typ.Name(), name, fault)
			}
			if inner != nil {
				queue = append(queue, inner)
			}
		}
		for name := range schema.Properties {
			if !properties[name] {
				t.Errorf("%s has no %s, which is described", typ, name)
			}
		}
		said := slices.Sorted(slices.Values(schema.Required))
		slices.Sort(required)
		if !slices.Equal(said, required) {
			t.Errorf("%s: always there are %v, described as %v", typ.Name(), required, said)
		}
	}
	for name := range schemas {
		if !done[name] {
			t.Errorf("no type is behind the schema %s", name)
		}
	}
}

// agrees compares a property with a field's type, and returns the struct that
// is in it, if one is.
func agrees(property *openapi3.SchemaRef, typ reflect.Type) (inner reflect.Type, fault string) {
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	want := func(kind, format string) string {
		if !property.Value.Type.Is(kind) || property.Value.Format != format {
			return fmt.Sprintf("a %s is described as %v %s", typ, property.Value.Type, property.Value.Format)
		}
		return ""
	}
	switch typ {
	case reflect.TypeFor[time.Time]():
		return nil, want("string", "date-time")
	case reflect.TypeFor[node.RawObject]():
		return nil, want("object", "")
	}
	switch typ.Kind() {
	case reflect.Struct:
		if property.Ref != "#/components/schemas/"+typ.Name() {
			return typ, fmt.Sprintf("a %s is described as %q", typ, property.Ref)
		}
		return typ, ""
	case reflect.Slice:
		if fault := want("array", ""); fault != "" {
			return nil, fault
		}
		return agrees(property.Value.Items, typ.Elem())
	case reflect.String:
		return nil, want("string", "")
	case reflect.Bool:
		return nil, want("boolean", "")
	case reflect.Float64:
		return nil, want("number", "double")
	case reflect.Int64, reflect.Uint64, reflect.Uint32:
		return nil, want("integer", "int64")
	case reflect.Int:
		if property.Value.Format == "int64" {
			return nil, want("integer", "int64")
		}
		return nil, want("integer", "")
	}
	return nil, fmt.Sprintf("the test does not know %s", typ)
}

// TestKindsAreDescribed holds the table of kinds and statuses to the real one.
func TestKindsAreDescribed(t *testing.T) {
	kind := readDescription(t).Components.Schemas["Failure"].Value.Properties["kind"].Value
	served := map[string]int{}
	var names []any
	for _, k := range kinds() {
		names = append(names, k.String())
		served[k.String()] = k.Status()
	}
	served[protocol.Findings.String()] = http.StatusInternalServerError // no answer that failed is a 200
	if diff := cmp.Diff(kind.Enum, names); diff != "" {
		t.Errorf("described (-) and real (+) kinds differ:\n%s", diff)
	}
	table := map[string]int{}
	for name, status := range kind.Extensions["x-status"].(map[string]any) {
		table[name] = int(status.(float64))
	}
	if diff := cmp.Diff(table, served); diff != "" {
		t.Errorf("described (-) and real (+) statuses differ:\n%s", diff)
	}
}

func kinds() []protocol.Kind {
	var out []protocol.Kind
	for k := protocol.Other; k <= protocol.Findings; k++ {
		out = append(out, k)
	}
	return out
}

const sampleID = "indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a01"

const sampleBundle = `{"type":"bundle","id":"bundle--5d1f6c1e-2b1f-4a57-9b39-1f7d2f5f8f10","objects":[]}`

// operations are all questions that a client can ask, by the operation that
// answers them.
func operations(c *Client) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"GET /v1/status":                 func(ctx context.Context) error { _, err := c.Status(ctx); return err },
		"GET /v1/members":                func(ctx context.Context) error { _, err := c.Members(ctx); return err },
		"POST /v1/members/{member}/ping": func(ctx context.Context) error { _, err := c.Ping(ctx, "a/b ü?"); return err },
		"GET /v1/agreements":             func(ctx context.Context) error { _, err := c.Agreements(ctx); return err },
		"GET /v1/agreements/{name}":      func(ctx context.Context) error { _, err := c.Agreement(ctx, "harbour"); return err },
		"POST /v1/agreements/{name}/invite": func(ctx context.Context) error {
			_, err := c.Invite(ctx, "harbour", 36*time.Hour+time.Millisecond)
			return err
		},
		"GET /v1/agreements/{name}/scores": func(ctx context.Context) error { _, err := c.Scoreboard(ctx, "harbour"); return err },
		"GET /v1/agreements/{name}/logs":   func(ctx context.Context) error { _, err := c.Logs(ctx, "harbour"); return err },
		"POST /v1/agreements/{name}/statements": func(ctx context.Context) error {
			_, err := c.Declare(ctx, "harbour", node.StatementRequest{Kind: "suspension", Party: "vendor", Text: "a reason"})
			return err
		},
		"POST /v1/agreements/compare": func(ctx context.Context) error {
			q := node.CompareRequest{Old: node.CompareSide{Agreement: "harbour", Version: 2}, New: node.CompareSide{Document: "text: \"ü\"\n"}, Since: time.Unix(1, 0)}
			_, err := c.Compare(ctx, q, nil)
			return err
		},
		"GET /v1/reviews": func(ctx context.Context) error { _, err := c.Reviews(ctx, true); return err },
		"POST /v1/reviews": func(ctx context.Context) error {
			_, err := c.Review(ctx, node.ReviewRequest{IDs: []string{sampleID}, Keep: true, Reason: "a reason"})
			return err
		},
		"GET /v1/requests": func(ctx context.Context) error { _, err := c.Requests(ctx); return err },
		"POST /v1/requests": func(ctx context.Context) error {
			_, err := c.Ask(ctx, node.OnwardQuestion{IDs: []string{sampleID}, To: "club/finds", Reason: "a reason"})
			return err
		},
		"POST /v1/requests/{hash}": func(ctx context.Context) error {
			_, err := c.Answer(ctx, "0a1b2c3d", node.OnwardAnswer{Grant: true, Until: time.Unix(1, 0), Reason: "a reason"})
			return err
		},
		"POST /v1/erase": func(ctx context.Context) error {
			_, err := c.Erase(ctx, []string{sampleID}, "a reason")
			return err
		},
		"GET /v1/erasures": func(ctx context.Context) error { _, err := c.Erasures(ctx); return err },
		"POST /v1/documents": func(ctx context.Context) error {
			_, err := c.Import(ctx, []byte("text: \"ü\"\n"), []byte("line\n"))
			return err
		},
		"GET /v1/invites": func(ctx context.Context) error { _, err := c.Invites(ctx); return err },
		"POST /v1/invites": func(ctx context.Context) error {
			_, err := c.Offer(ctx, node.InviteRequest{Agreement: "harbour", Note: "for the CERT", Valid: "72h"})
			return err
		},
		"POST /v1/invites/{id}/revoke": func(ctx context.Context) error { _, err := c.RevokeInvite(ctx, "0a1b2c3d"); return err },
		"POST /v1/join":                func(ctx context.Context) error { _, err := c.Join(ctx, "entente-invite:x"); return err },
		"POST /v1/publish": func(ctx context.Context) error {
			_, err := c.Publish(ctx, "harbour/indicators", true, false, strings.NewReader(sampleBundle), nil)
			return err
		},
		"GET /v1/objects/{id}": func(ctx context.Context) error { _, err := c.Get(ctx, sampleID); return err },
		"POST /v1/search": func(ctx context.Context) error {
			return c.Search(ctx, node.SearchQuery{}, func(node.Version) bool { return true })
		},
		"POST /v1/export": func(ctx context.Context) error {
			q := node.SearchQuery{Text: "w", Agreement: "a", Topic: "t", Types: []string{"indicator"}, From: "m", Since: time.Unix(1, 0), Until: time.Now(), After: 1, Limit: 2, All: true}
			_, err := c.Export(ctx, q, func(node.Version) bool { return true })
			return err
		},
		"POST /v1/lookup": func(ctx context.Context) error { _, err := c.Lookup(ctx, []string{"198.51.100.7"}); return err },
		"GET /v1/tail": func(ctx context.Context) error {
			return c.Tail(ctx, "", -1, func(node.TailEvent) bool { return true })
		},
		"POST /v1/audit": func(ctx context.Context) error {
			q := node.AuditQuery{After: 1, Since: time.Unix(1, 0), Until: time.Now(), Kinds: []string{"decision"}, Outcomes: []string{"allow"},
				Agreement: "a", Topic: "t", Peer: "p", Party: "m", Object: sampleID, Limit: 3, Follow: true}
			return c.Audit(ctx, q, func(node.AuditEntry) bool { return true })
		},
		"POST /v1/audit/replay": func(ctx context.Context) error {
			q := node.ReplayQuery{Row: 9, After: 1, Since: time.Unix(1, 0), Until: time.Now(), Agreement: "a", Topic: "t", Party: "m", Object: sampleID, All: true, Limit: 3}
			_, err := c.Replay(ctx, q, nil, func(node.Replayed) bool { return true })
			return err
		},
		"GET /v1/explain": func(ctx context.Context) error { _, err := c.ExplainObject(ctx, sampleID, "bank"); return err },
		"GET /v1/trails": func(ctx context.Context) error {
			_, err := c.Trails(ctx, node.TrailQuery{Object: sampleID, Topic: "harbour/indicators", For: "bank"})
			return err
		},
		"POST /v1/policy/reload": func(ctx context.Context) error { _, err := c.ReloadRules(ctx); return err },
		"POST /v1/reindex":       func(ctx context.Context) error { return c.Reindex(ctx, nil) },
	}
}

// TestEveryOperation asks everything, of a node that has everything to say and
// of one that has as little as can be. The harness holds what passes to the
// description.
func TestEveryOperation(t *testing.T) {
	for _, s := range []sampler{everything, nothingMuch} {
		r := start(t, &fake{sample: s, events: 3}, func(c *Config) {
			c.Registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "entente_sample_total", Help: "A sample."}))
		})
		for name, question := range operations(r.client) {
			if err := question(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := r.client.ExplainRow(t.Context(), 412); err != nil {
			t.Error(err)
		}
		for _, path := range []string{"/v1/healthz", "/v1/openapi.yaml", "/v1/findings", "/v1/metrics?name[]=x"} {
			if status, body := r.ask(http.MethodGet, path, ""); status != http.StatusOK {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
		_ = r.halt() // the server notes what it answered after it has answered
		for path, item := range r.doc.Paths.Map() {
			for method := range item.Operations() {
				if r.seen[method+" "+path+" 200"] == 0 {
					t.Errorf("%s %s was not asked", method, path)
				}
			}
		}
		if t.Failed() {
			return
		}
	}
}

// TestAnswersArrive holds what a client returns to what the node answered.
func TestAnswersArrive(t *testing.T) {
	r := start(t, &fake{events: 2})
	equal := func(got, want any, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, got, cmp.Transformer("compact", func(o node.RawObject) string {
			return strings.NewReplacer("\n", "", " ", "").Replace(string(o))
		})); diff != "" {
			t.Error(diff)
		}
	}
	ctx := t.Context()
	status, err := r.client.Status(ctx)
	equal(status, sampleOf[node.Status](t, everything), err)
	versions, err := r.client.Get(ctx, sampleID)
	equal(versions, sampleOf[[]node.Version](t, everything), err)
	answers, err := r.client.Lookup(ctx, []string{"x"})
	equal(answers, sampleOf[[]node.LookupAnswer](t, everything), err)
	why, err := r.client.ExplainObject(ctx, sampleID, "")
	equal(why, sampleOf[node.Explanation](t, everything), err)
	trails, err := r.client.Trails(ctx, node.TrailQuery{Object: sampleID})
	equal(trails, sampleOf[[]node.Trail](t, everything), err)
	rules, err := r.client.ReloadRules(ctx)
	equal(rules, sampleOf[node.RulesInfo](t, everything), err)
	comparison, err := r.client.Compare(ctx, node.CompareRequest{New: node.CompareSide{Agreement: "harbour"}}, nil)
	equal(comparison, sampleOf[node.Comparison](t, everything), err)
	var events []node.TailEvent
	err = r.client.Tail(ctx, "t", 7, func(e node.TailEvent) bool { events = append(events, e); return true })
	equal(events, sampleOf[[]node.TailEvent](t, everything), err)
	var replayed []node.Replayed
	sum, err := r.client.Replay(ctx, node.ReplayQuery{}, func(node.Progress) {}, func(x node.Replayed) bool { replayed = append(replayed, x); return true })
	equal(sum, sampleOf[node.ReplaySummary](t, everything), err)
	equal(replayed, sampleOf[[]node.Replayed](t, everything), err)
	var rows []node.AuditEntry
	err = r.client.Audit(ctx, node.AuditQuery{}, func(e node.AuditEntry) bool { rows = append(rows, e); return true })
	equal(rows, sampleOf[[]node.AuditEntry](t, everything), err)
	var progress []node.Progress
	receipt, err := r.client.Publish(ctx, "t", false, true, strings.NewReader(sampleBundle), func(p node.Progress) { progress = append(progress, p) })
	equal(receipt, sampleOf[node.Receipt](t, everything), err)
	equal(progress, []node.Progress{{Done: 1, Unit: "objects"}}, nil)
}

// TestEveryKindOfError sends every kind through every operation: status and
// body are as described, and the client returns what the node returned.
func TestEveryKindOfError(t *testing.T) {
	for _, kind := range kinds() {
		for _, events := range []int{0, 2} { // before and after the answer has begun
			was := protocol.E(kind, "do", errors.New("it went wrong <here> \"so\""), "run: entente doctor")
			r := start(t, &fake{err: was, events: events})
			for name, question := range operations(r.client) {
				err := question(t.Context())
				if err == nil {
					t.Errorf("%s: %s was lost", name, kind)
					continue
				}
				if protocol.KindOf(err) != kind || protocol.HintOf(err) != protocol.HintOf(was) || err.Error() != was.Error() {
					t.Errorf("%s: %s (%q, %q) came as %s (%q, %q)", name, kind, was, protocol.HintOf(was), protocol.KindOf(err), err, protocol.HintOf(err))
				}
			}
			_ = r.halt() // the server notes what it answered after it has answered
			for name := range operations(r.client) {
				status := kind.Status()
				if kind == protocol.Findings {
					status = http.StatusInternalServerError
				}
				_, op := r.operation(name)
				if long := op.Responses.Status(200).Value.Content["application/x-ndjson"] != nil; long && events > 0 {
					status = http.StatusOK
				}
				if r.seen[fmt.Sprintf("%s %d", name, status)] == 0 {
					t.Errorf("%s: %s has not the status %d: %v", name, kind, status, slices.Sorted(maps.Keys(r.seen)))
				}
			}
		}
	}
}

// TestErrorWithoutKind covers errors that are not ours.
func TestErrorWithoutKind(t *testing.T) {
	r := start(t, &fake{err: fmt.Errorf("reading: %w", io.ErrClosedPipe)})
	_, err := r.client.Status(t.Context())
	if protocol.KindOf(err) != protocol.Other || err.Error() != "reading: io: read/write on closed pipe" || protocol.HintOf(err) != "" {
		t.Errorf("%v (%s, %q)", err, protocol.KindOf(err), protocol.HintOf(err))
	}
}

// TestDescriptionIsServed fetches the description from the server.
func TestDescriptionIsServed(t *testing.T) {
	r := start(t, &fake{})
	status, body := r.ask(http.MethodGet, "/v1/openapi.yaml", "")
	if status != http.StatusOK || body != string(description) {
		t.Errorf("%d, %d bytes; the file has %d", status, len(body), len(description))
	}
}
