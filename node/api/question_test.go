package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"entente/node"
	"entente/protocol"
)

// TestQuestionsAreReadStrictly lists bodies that are refused, with words of the
// reason.
func TestQuestionsAreReadStrictly(t *testing.T) {
	r := start(t, &fake{})
	for _, c := range []struct{ path, body, text string }{
		{"/v1/lookup", ``, `it is empty`},
		{"/v1/lookup", ` `, `it is empty`},
		{"/v1/lookup", `{"values":["x"]`, `it ends in the middle`},
		{"/v1/lookup", `{"values":["x"`, `it ends in the middle`},
		{"/v1/lookup", `null`, `a JSON object is wanted, not a null`},
		{"/v1/lookup", `["x"]`, `a JSON object is wanted, not a list`},
		{"/v1/lookup", `"x"`, `a JSON object is wanted, not a string`},
		{"/v1/lookup", `7`, `a JSON object is wanted, not a number`},
		{"/v1/lookup", `values=x`, `it is no JSON`},
		{"/v1/lookup", `{values:["x"]}`, `it is no JSON`},
		{"/v1/lookup", `{"values":["x"],}`, `it is no JSON`},
		{"/v1/lookup", `{"values":["x"]} {"values":["y"]}`, `something behind the end`},
		{"/v1/lookup", `{"values":["x"]}}`, `it is no JSON`},
		{"/v1/lookup", `{"values":["x"],"values":["y"]}`, `the field "values" is given twice`},
		{"/v1/lookup", `{"values":["x"],"v\u0061lues":["y"]}`, `the field "values" is given twice`},
		{"/v1/lookup", `{"Values":["x"]}`, `there is no field "Values"`},
		{"/v1/lookup", `{"values":["x"],"limit":3}`, `there is no field "limit"`},
		{"/v1/lookup", `{"values":"x"}`, `"values" cannot be a string`},
		{"/v1/lookup", `{"values":["x",7]}`, `"values/1" cannot be a number`},
		{"/v1/lookup", `{"values":["` + "\xff" + `"]}`, `invalid UTF-8`},
		{"/v1/lookup", `{"values":["\ud800"]}`, `surrogate`},
		{"/v1/lookup", `{}`, `no value to look up`},
		{"/v1/lookup", `{"values":[]}`, `no value to look up`},
		{"/v1/search", `{"limit":-1}`, `not negative`},
		{"/v1/search", `{"after":-1}`, `not negative`},
		{"/v1/search", `{"limit":1.5}`, `"limit"`},
		{"/v1/search", `{"limit":99999999999999999999}`, `"limit"`},
		{"/v1/search", `{"since":"yesterday"}`, `"since"`},
		{"/v1/search", `{"types":{"a":1}}`, `"types" cannot be a object`},
		{"/v1/export", `{"all":"yes"}`, `"all" cannot be a string`},
		{"/v1/audit", `{"follow":1}`, `"follow" cannot be a number`},
		{"/v1/audit", `{"limit":-5}`, `not negative`},
		{"/v1/audit", `{"after":-5}`, `"after"`},
		{"/v1/audit", `{"outcome":["refuse"]}`, `there is no field "outcome"`},
		{"/v1/audit/replay", `{"limit":-5}`, `not negative`},
		{"/v1/audit/replay", `{"row":-5}`, `"row"`},
		{"/v1/audit/replay", `{"rows":[1]}`, `there is no field "rows"`},
		{"/v1/join", `{}`, `there is no ticket`},
		{"/v1/join", `{"ticket":""}`, `there is no ticket`},
		{"/v1/documents", `{}`, `nothing to import`},
		{"/v1/documents", `{"payload":"","signatures":""}`, `nothing to import`},
		{"/v1/search", strings.Repeat(`{"text":`, 20000), `exceeded max depth`},
		{"/v1/search", `{"types":` + strings.Repeat(`[`, 20000), `exceeded max depth`},
	} {
		status, body := r.ask(http.MethodPost, c.path, c.body)
		f := failureOf(t, body)
		if status != http.StatusBadRequest || f.Kind != "invalid input" || !strings.Contains(f.Error, c.text) || f.Hint == "" {
			t.Errorf("%s %.60s: %d %+v, without %q", c.path, c.body, status, f, c.text)
		}
		if strings.Contains(f.Error, "Go ") || strings.Contains(f.Error, "json:") || strings.Contains(f.Error, "jsontext") {
			t.Errorf("%s %.60s: the answer speaks of the program's inside: %s", c.path, c.body, f.Error)
		}
	}
}

// TestParameters lists addresses that are refused.
func TestParameters(t *testing.T) {
	r := start(t, &fake{})
	for _, c := range []struct{ method, address, text string }{
		{"GET", "/v1/tail?after=x", `"x" is no cursor`},
		{"GET", "/v1/tail?after=", `"" is no cursor`},
		{"GET", "/v1/tail?after=-2", `"-2" is no cursor`},
		{"GET", "/v1/tail?after=1e3", `"1e3" is no cursor`},
		{"GET", "/v1/tail?after=99999999999999999999", `is no cursor`},
		{"GET", "/v1/tail?cursor=3", `no parameter "cursor"`},
		{"GET", "/v1/tail?topic=a&topic=b", `"topic" is given 2 times`},
		{"GET", "/v1/explain", `name an object or a row`},
		{"GET", "/v1/explain?object=", `name an object or a row`},
		{"GET", "/v1/trails?for=bank", `name an object`},
		{"GET", "/v1/trails?object=x&party=bank", `no parameter "party"`},
		{"POST", "/v1/policy/reload?force=1", `no parameter "force"`},
		{"GET", "/v1/explain?for=bank", `name an object or a row`},
		{"GET", "/v1/explain?row=0", `"0" is no number of a row`},
		{"GET", "/v1/explain?row=", `"" is no number of a row`},
		{"GET", "/v1/explain?row=9223372036854775808", `no number of a row`},
		{"GET", "/v1/explain?row=-1", `"-1" is no number of a row`},
		{"GET", "/v1/explain?row=1.0", `"1.0" is no number of a row`},
		{"GET", "/v1/explain?row=1&object=" + sampleID, `a row stands for itself`},
		{"GET", "/v1/explain?row=1&for=bank", `a row stands for itself`},
		{"GET", "/v1/explain?id=" + sampleID, `no parameter "id"`},
		{"GET", "/v1/status?pretty=1", `no parameter "pretty"`},
		{"GET", "/v1/status?%zz", `cannot be read`},
		{"POST", "/v1/agreements/harbour/invite?valid=3", `"3" is no span of time`},
		{"POST", "/v1/agreements/harbour/invite?valid=", `"" is no span of time`},
		{"POST", "/v1/agreements/harbour/invite?valid=-1h", `"-1h" is no span of time`},
		{"POST", "/v1/agreements/harbour/invite?valid=0s", `"0s" is no span of time`},
		{"POST", "/v1/agreements/harbour/invite?valid=3d", `"3d" is no span of time`},
		{"POST", "/v1/lookup?value=x", `no parameter "value"`},
	} {
		status, body := r.ask(c.method, c.address, "")
		if f := failureOf(t, body); status != http.StatusBadRequest || f.Kind != "invalid input" || !strings.Contains(f.Error, c.text) || f.Hint == "" {
			t.Errorf("%s: %d %+v, without %q", c.address, status, f, c.text)
		}
	}
	// A body where none belongs was meant to say something.
	for _, address := range []string{"/v1/reindex", "/v1/agreements/harbour/invite", "/v1/members/bank/ping"} {
		status, body := r.ask(http.MethodPost, address, `{"valid":"72h"}`)
		if f := failureOf(t, body); status != http.StatusBadRequest || !strings.Contains(f.Error, "takes no body") {
			t.Errorf("%s with a body: %d %+v", address, status, f)
		}
	}
}

// TestParametersArrive holds what a service is asked to what was sent.
func TestParametersArrive(t *testing.T) {
	var got []string
	note := func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) }
	r := start(t, &fake{
		invite: func(agreement string, valid time.Duration) (string, error) {
			note("invite %s %s", agreement, valid)
			return "t", nil
		},
		tail: func(_ context.Context, topic string, cursor int64, _ func(node.TailEvent) bool) error {
			note("tail %q %d", topic, cursor)
			return nil
		},
		explain: func(id, party string, row uint64) (node.Explanation, error) {
			note("explain %q %q %d", id, party, row)
			return node.Explanation{}, nil
		},
		agreements: func(name string) ([]node.AgreementInfo, error) {
			note("agreements %q", name)
			return []node.AgreementInfo{{Name: name}}, nil
		},
	})
	ctx, c := t.Context(), r.client
	_, err1 := c.Invite(ctx, "a/b?c=d#e %2F", 0)
	_, err2 := c.Invite(ctx, "harbour", 90*time.Minute)
	err3 := c.Tail(ctx, "", 0, nil)
	err4 := c.Tail(ctx, "harbour/käse & brot", 12, nil)
	_, err5 := c.ExplainObject(ctx, sampleID, "")
	_, err6 := c.ExplainObject(ctx, sampleID, "public")
	_, err7 := c.ExplainRow(ctx, 9223372036854775807)
	_, err8 := c.Agreements(ctx)
	_, err9 := c.Agreement(ctx, "...")
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9); err != nil {
		t.Error(err)
	}
	want := []string{
		`invite a/b?c=d#e %2F 0s`, `invite harbour 1h30m0s`, `tail "" 0`, `tail "harbour/käse & brot" 12`, `explain "` + sampleID + `" "" 0`,
		`explain "` + sampleID + `" "public" 0`, `explain "" "" 9223372036854775807`, `agreements ""`, `agreements "..."`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked:\n%s\nwanted:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, name := range []string{"", ".", ".."} { // what a path would swallow
		_, err := c.Agreement(ctx, name)
		if protocol.KindOf(err) != protocol.Invalid {
			t.Errorf("the agreement %q: %v", name, err)
		}
	}
}

// TestTooLarge sends what is just within a limit and what is just over it.
func TestTooLarge(t *testing.T) {
	sizes := make(chan int, 1)
	r := start(t, &fake{
		lookup: func(_ context.Context, values []string) ([]node.LookupAnswer, error) {
			sizes <- len(values)
			return []node.LookupAnswer{}, nil
		},
		imports: func(payload, signatures []byte) (node.Imported, error) {
			sizes <- len(payload) + len(signatures)
			return node.Imported{}, nil
		},
	})
	values := func(n int) string { return `{"values":["x"` + strings.Repeat(`,"x"`, n-1) + `]}` }
	pad := func(body string, to int) string { return body + strings.Repeat(" ", to-len(body)) }
	// Line ends and quotes are two bytes each in JSON.
	document := func(n int) string { return `{"payload":"` + strings.Repeat(`\n\"`, n/2) + `"}` }
	for _, c := range []struct {
		path, body string
		taken      int // 0: refused
	}{
		{"/v1/lookup", values(100_000), 100_000},
		{"/v1/lookup", values(100_001), 0},
		{"/v1/lookup", pad(values(1), 4<<20), 1},
		{"/v1/lookup", pad(values(1), 4<<20+1), 0},
		{"/v1/lookup", strings.Repeat(" ", 30<<20), 0},
		{"/v1/search", `{"text":"` + strings.Repeat("x", 4<<20) + `"}`, 0},
		{"/v1/documents", document(4 << 20), 4 << 20},
		{"/v1/documents", document(4<<20 + 2), 0},
		{"/v1/documents", document(30 << 20), 0},
	} {
		status, body := r.ask(http.MethodPost, c.path, c.body)
		if c.taken > 0 {
			if status != http.StatusOK || <-sizes != c.taken {
				t.Errorf("%s with %d bytes: %d %.100s", c.path, len(c.body), status, body)
			}
			continue
		}
		if f := failureOf(t, body); status != http.StatusRequestEntityTooLarge || f.Kind != "limit" {
			t.Errorf("%s with %d bytes: %d %+v", c.path, len(c.body), status, f)
		}
	}
	text := []byte(strings.Repeat("\n\"", 2<<20))
	if _, err := r.client.Import(t.Context(), text, nil); err != nil || <-sizes != len(text) {
		t.Errorf("the largest document: %v", err)
	}
	if _, err := r.client.Import(t.Context(), text, []byte("x")); protocol.KindOf(err) != protocol.Limit {
		t.Errorf("a document over the limit: %v", err)
	}
	if _, err := r.client.Import(t.Context(), []byte("\x00\xff\xfe"), nil); protocol.KindOf(err) != protocol.Invalid || protocol.HintOf(err) == "" {
		t.Errorf("a document that is no text: %v", err)
	}
}

// FuzzQuestion reads anything as a question: it is taken as it is, or refused
// with a kind that a program can act on and without a word of Go.
func FuzzQuestion(f *testing.F) {
	for _, seed := range []string{`{}`, `{"types":["a"],"limit":3}`, `{"since":"2026-01-01T00:00:00Z"}`, `{"a":1,"a":2}`, `[1`, `{"text":"\ud800"}`, "\xff", `{}{}`, `{"all":null}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var q node.SearchQuery
		err := strictly(jsontext.NewDecoder(strings.NewReader(string(raw))), &q)
		if err == nil {
			if !jsontext.Value(raw).IsValid() {
				t.Fatalf("%q was taken and is no JSON", raw)
			}
			return
		}
		err = unclear(err)
		if protocol.KindOf(err) != protocol.Invalid || protocol.HintOf(err) == "" || strings.Contains(err.Error(), "json: ") {
			t.Fatalf("%q: %v (%s)", raw, err, protocol.KindOf(err))
		}
	})
}

// TestPurposes: a purpose that is stated reaches the node, and one that does not
// exist is refused before it does.
func TestPurposes(t *testing.T) {
	asked := make(chan string, 4)
	r := start(t, &fake{get: func(ctx context.Context, _ string) ([]node.Version, error) {
		asked <- node.PurposeOf(ctx)
		return []node.Version{}, nil
	}})
	if _, err := r.client.For("prosecution").Get(t.Context(), sampleID); err != nil {
		t.Fatal(err)
	}
	if got := <-asked; got != "prosecution" {
		t.Errorf("the node was told %q", got)
	}
	_, err := r.client.For("curiosity").Get(t.Context(), sampleID)
	if protocol.KindOf(err) != protocol.Invalid || !strings.Contains(protocol.HintOf(err), "prosecution") {
		t.Errorf("%v, hint %q", err, protocol.HintOf(err))
	}
	if len(asked) > 0 {
		t.Error("the node was asked for no purpose at all")
	}
}
