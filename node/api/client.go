package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"entente/node"
	"entente/protocol"
)

// Client asks a running node over its unix socket. Its errors are the node's,
// with kind and hint; a node that is not there, or that goes away before its
// answer is whole, is Unreachable. It may be used by several goroutines.
type Client struct {
	socket  string
	purpose string
	http    *http.Client
}

// For returns a client that states a purpose with all that it asks: one of
// protocol.Purposes, or "" for none. It shares its connections with c.
func (c *Client) For(purpose string) *Client {
	return &Client{socket: c.socket, purpose: purpose, http: c.http}
}

// NewClient returns a client for the node that serves on the socket. It connects
// when it is asked something.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socket)
	}
	// The API sends nobody elsewhere.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial}, CheckRedirect: stay}}
}

// Close lets go of connections that are kept for the next question.
func (c *Client) Close() { c.http.CloseIdleConnections() }

const (
	typeJSON     = "application/json"
	typeDocument = "application/octet-stream"
	hintStatus   = "see whether the node is still running: entente status"
)

// errCut says that an answer broke off without its last line.
var errCut = errors.New("the answer broke off")

// request is a question on its way.
type request struct {
	method, path string
	query        url.Values
	body         io.Reader // nil for none
	kind         string    // of the body
}

// call sends a request and returns the answer's body, or the error that the
// node answered with.
func (c *Client) call(ctx context.Context, r request) (io.ReadCloser, error) {
	target := "http://localhost/v1" + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, r.body)
	if err != nil {
		return nil, err
	}
	if r.body != nil {
		req.Header.Set("Content-Type", r.kind)
	}
	if c.purpose != "" {
		req.Header.Set(purposeHeader, c.purpose)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unsent(ctx, err)
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	defer res.Body.Close()
	var f Failure
	if err := json.UnmarshalRead(io.LimitReader(res.Body, 1<<20), &f); err != nil || f.Error == "" {
		return nil, protocol.Errorf(protocol.Other, "", "the node answered %s", res.Status)
	}
	return nil, f.err()
}

// unsent says why a request got no answer.
func (c *Client) unsent(ctx context.Context, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // what it adds is a made-up address
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return protocol.E(protocol.Unreachable, "", fmt.Errorf("no node is running here (nothing answers on %s)", c.socket), "start it: entente up")
	case errors.Is(err, fs.ErrPermission):
		return protocol.E(protocol.Unreachable, "", fmt.Errorf("the node here belongs to somebody else (%s may not be used)", c.socket), "run this as the user that runs the node")
	default:
		return protocol.E(protocol.Unreachable, "", err, hintStatus)
	}
}

// watched remembers how reading ended. It is read by the transport's goroutine.
type watched struct {
	reader io.Reader
	mu     sync.Mutex
	err    error // other than the end
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
	}
	return n, err
}

func (w *watched) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// err turns a failure back into the error that it was.
func (f Failure) err() error {
	for k := protocol.Other; k <= protocol.Findings; k++ {
		if k.String() == f.Kind {
			return protocol.E(k, "", errors.New(f.Error), f.Hint)
		}
	}
	return protocol.E(protocol.Other, "", errors.New(f.Error), f.Hint)
}

// unread says why an answer could not be read to its end.
func unread(ctx context.Context, err error) error {
	var meaning *json.SemanticError
	var syntax *jsontext.SyntacticError
	cut := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !cut && (errors.As(err, &meaning) || errors.As(err, &syntax)):
		return protocol.E(protocol.Other, "", fmt.Errorf("the node's answer is not understood: %w", err), "see whether node and command are of one version: entente status, entente version")
	default:
		return protocol.E(protocol.Unreachable, "", fmt.Errorf("%w: %w", errCut, err), hintStatus)
	}
}

// ask asks for a short answer.
func ask[T any](ctx context.Context, c *Client, r request) (T, error) {
	var out T
	answer, err := c.call(ctx, r)
	if err != nil {
		return out, err
	}
	defer answer.Close()
	if err := json.UnmarshalRead(answer, &out); err != nil {
		return *new(T), unread(ctx, err)
	}
	return out, nil
}

func get(path string) request  { return request{method: http.MethodGet, path: path} }
func post(path string) request { return request{method: http.MethodPost, path: path} }

func (r request) with(query url.Values) request {
	r.query = query
	return r
}

// asking gives a request a JSON body.
func (r request) asking(v any) (request, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return r, protocol.E(protocol.Invalid, "ask the node", err, "text is UTF-8")
	}
	r.body, r.kind = bytes.NewReader(raw), typeJSON
	return r, nil
}

// segment puts a name into a path, where not every text can stand.
func segment(what, name string) (string, error) {
	if name == "" || name == "." || name == ".." {
		return "", protocol.E(protocol.Invalid, "", fmt.Errorf("%q is no %s", name, what), "")
	}
	return url.PathEscape(name), nil
}

// follow reads a long answer, event by event.
func (c *Client) follow(ctx context.Context, r request, each func(Event) bool) error {
	answer, err := c.call(ctx, r)
	if err != nil {
		return err
	}
	defer answer.Close()
	in := jsontext.NewDecoder(answer)
	for {
		var e Event
		if err := json.UnmarshalDecode(in, &e); err != nil {
			return unread(ctx, err)
		}
		switch {
		case e.Error != nil:
			return e.Error.err()
		case e.Done:
			return nil
		case !each(e):
			return nil
		}
	}
}

// Status asks for the state of the node.
func (c *Client) Status(ctx context.Context) (node.Status, error) {
	return ask[node.Status](ctx, c, get("/status"))
}

// Members asks for the members that are known.
func (c *Client) Members(ctx context.Context) ([]node.MemberInfo, error) {
	return ask[[]node.MemberInfo](ctx, c, get("/members"))
}

// Agreements asks for all agreements.
func (c *Client) Agreements(ctx context.Context) ([]node.AgreementInfo, error) {
	return ask[[]node.AgreementInfo](ctx, c, get("/agreements"))
}

// Agreement asks for one agreement with its text.
func (c *Client) Agreement(ctx context.Context, name string) (node.AgreementInfo, error) {
	at, err := segment("agreement", name)
	if err != nil {
		return node.AgreementInfo{}, err
	}
	return ask[node.AgreementInfo](ctx, c, get("/agreements/"+at))
}

// Scoreboard asks what the parties of an agreement have given, and what that entitles
// them to.
func (c *Client) Scoreboard(ctx context.Context, agreement string) ([]node.ScoreInfo, error) {
	at, err := segment("agreement", agreement)
	if err != nil {
		return nil, err
	}
	return ask[[]node.ScoreInfo](ctx, c, get("/agreements/"+at+"/scores"))
}

// Logs asks how far the node holds the logs of an agreement.
func (c *Client) Logs(ctx context.Context, agreement string) ([]node.LogInfo, error) {
	at, err := segment("agreement", agreement)
	if err != nil {
		return nil, err
	}
	return ask[[]node.LogInfo](ctx, c, get("/agreements/"+at+"/logs"))
}

// Invite asks for a ticket to a public agreement; valid 0 leaves its life to the
// node.
func (c *Client) Invite(ctx context.Context, agreement string, valid time.Duration) (string, error) {
	at, err := segment("agreement", agreement)
	if err != nil {
		return "", err
	}
	q := url.Values{}
	if valid != 0 {
		q.Set("valid", valid.String())
	}
	t, err := ask[Ticket](ctx, c, post("/agreements/"+at+"/invite").with(q))
	return t.Ticket, err
}

// Declare makes a statement about an agreement in the member's name.
func (c *Client) Declare(ctx context.Context, agreement string, r node.StatementRequest) (node.StatementInfo, error) {
	at, err := segment("agreement", agreement)
	if err != nil {
		return node.StatementInfo{}, err
	}
	return put[node.StatementInfo](ctx, c, "/agreements/"+at+"/statements", r)
}

// Erase has objects that this member has published erased everywhere.
func (c *Client) Erase(ctx context.Context, ids []string, reason string) ([]node.Erasure, error) {
	return put[[]node.Erasure](ctx, c, "/erase", Burial{ids, reason})
}

// Reviews lists what clauses want looked at: what is due, and with all what will be.
func (c *Client) Reviews(ctx context.Context, all bool) (node.ReviewList, error) {
	at := "/reviews"
	if all {
		at += "?all=true"
	}
	return ask[node.ReviewList](ctx, c, get(at))
}

// Review takes a person's word on objects that are to be reviewed.
func (c *Client) Review(ctx context.Context, q node.ReviewRequest) (node.ReviewList, error) {
	return put[node.ReviewList](ctx, c, "/reviews", q)
}

// Erasures lists what this member has had erased, and who has confirmed it.
func (c *Client) Erasures(ctx context.Context) ([]node.Erasure, error) {
	return ask[[]node.Erasure](ctx, c, get("/erasures"))
}

// Import hands in a document with the lines of its signatures file.
func (c *Client) Import(ctx context.Context, payload, signatures []byte) (node.Imported, error) {
	if err := documentsFit(len(payload) + len(signatures)); err != nil {
		return node.Imported{}, err
	}
	if !utf8.Valid(payload) || !utf8.Valid(signatures) {
		return node.Imported{}, protocol.E(protocol.Invalid, "import", errors.New("the file is no UTF-8 text"), "documents are text; see whether this is the right file")
	}
	return put[node.Imported](ctx, c, "/documents", Upload{string(payload), string(signatures)})
}

// Compare asks what one version of an agreement does that another does not, and
// what that means for what the node holds. progress may be nil.
func (c *Client) Compare(ctx context.Context, q node.CompareRequest, progress func(node.Progress)) (node.Comparison, error) {
	r, err := post("/agreements/compare").asking(q)
	if err != nil {
		return node.Comparison{}, err
	}
	var out node.Comparison
	err = c.follow(ctx, r, func(e Event) bool {
		if e.Progress != nil && progress != nil {
			progress(*e.Progress)
		}
		if e.Comparison != nil {
			out = *e.Comparison
		}
		return true
	})
	return out, err
}

// put asks a question that is JSON.
func put[T any](ctx context.Context, c *Client, path string, v any) (T, error) {
	r, err := post(path).asking(v)
	if err != nil {
		return *new(T), err
	}
	return ask[T](ctx, c, r)
}

// Join joins a public agreement by its ticket.
func (c *Client) Join(ctx context.Context, ticket string) (node.Imported, error) {
	return put[node.Imported](ctx, c, "/join", Ticket{ticket})
}

// Ping measures the round trip to a member's nodes.
func (c *Client) Ping(ctx context.Context, member string) ([]node.NodeInfo, error) {
	at, err := segment("member", member)
	if err != nil {
		return nil, err
	}
	return ask[[]node.NodeInfo](ctx, c, post("/members/"+at+"/ping"))
}

// Get asks for the versions of an object.
func (c *Client) Get(ctx context.Context, id string) ([]node.Version, error) {
	at, err := segment("object's id", id)
	if err != nil {
		return nil, err
	}
	return ask[[]node.Version](ctx, c, get("/objects/"+at))
}

// Lookup asks what is known about values, at most 100,000 at once.
func (c *Client) Lookup(ctx context.Context, values []string) ([]node.LookupAnswer, error) {
	return put[[]node.LookupAnswer](ctx, c, "/lookup", Values{values})
}

// ExplainObject asks who may have an object and what was decided about it;
// party may name one reader.
func (c *Client) ExplainObject(ctx context.Context, id, party string) (node.Explanation, error) {
	q := url.Values{"object": {id}}
	if party != "" {
		q.Set("for", party)
	}
	return ask[node.Explanation](ctx, c, get("/explain").with(q))
}

// ExplainRow asks about one row of the audit log.
func (c *Client) ExplainRow(ctx context.Context, number uint64) (node.Explanation, error) {
	return ask[node.Explanation](ctx, c, get("/explain").with(url.Values{"row": {strconv.FormatUint(number, 10)}}))
}

// Publish sends a document of STIX objects (as it is: plain or gzip) to a topic.
// A receipt may come with an error: what it counts as published is published.
func (c *Client) Publish(ctx context.Context, topic string, dryRun, strict bool, document io.Reader, progress func(node.Progress)) (node.Receipt, error) {
	q := url.Values{"topic": {topic}, "dry_run": {strconv.FormatBool(dryRun)}, "strict": {strconv.FormatBool(strict)}}
	r := post("/publish").with(q)
	source := &watched{reader: document}
	r.body, r.kind = source, typeDocument
	var receipt node.Receipt
	err := c.follow(ctx, r, func(e Event) bool {
		if e.Progress != nil && progress != nil {
			progress(*e.Progress)
		}
		if e.Receipt != nil {
			receipt = *e.Receipt
		}
		return true
	})
	if broken := source.failure(); err != nil && broken != nil {
		err = broken // the input's fault, not the node's
	}
	return receipt, err
}

// Search asks for matching versions, newest first.
func (c *Client) Search(ctx context.Context, q node.SearchQuery, yield func(node.Version) bool) error {
	return c.versions(ctx, "/search", q, yield)
}

// Export asks for matching versions in order of arrival. The summary is empty where
// yield ended it.
func (c *Client) Export(ctx context.Context, q node.SearchQuery, yield func(node.Version) bool) (node.ExportSummary, error) {
	var sum node.ExportSummary
	r, err := post("/export").asking(q)
	if err != nil {
		return sum, err
	}
	err = c.follow(ctx, r, func(e Event) bool {
		if e.Export != nil {
			sum = *e.Export
		}
		return e.Version == nil || yield(*e.Version)
	})
	return sum, err
}

func (c *Client) versions(ctx context.Context, path string, q node.SearchQuery, yield func(node.Version) bool) error {
	r, err := post(path).asking(q)
	if err != nil {
		return err
	}
	return c.follow(ctx, r, func(e Event) bool { return e.Version == nil || yield(*e.Version) })
}

// Tail follows a topic ("" for all) from after a cursor; -1 is now, 0 the
// beginning. It ends with an error unless yield ends it: a node that stops is
// Unreachable.
func (c *Client) Tail(ctx context.Context, topic string, after int64, yield func(node.TailEvent) bool) error {
	q := url.Values{"after": {strconv.FormatInt(after, 10)}}
	if topic != "" {
		q.Set("topic", topic)
	}
	return c.follow(ctx, get("/tail").with(q), func(e Event) bool { return e.Tail == nil || yield(*e.Tail) })
}

// Audit asks for rows of the audit log. With Follow it ends as Tail does.
func (c *Client) Audit(ctx context.Context, q node.AuditQuery, yield func(node.AuditEntry) bool) error {
	r, err := post("/audit").asking(q)
	if err != nil {
		return err
	}
	return c.follow(ctx, r, func(e Event) bool { return e.Audit == nil || yield(*e.Audit) })
}

// Reindex builds the node's derived indexes again.
func (c *Client) Reindex(ctx context.Context, progress func(node.Progress)) error {
	return c.follow(ctx, post("/reindex"), func(e Event) bool {
		if e.Progress != nil && progress != nil {
			progress(*e.Progress)
		}
		return true
	})
}
