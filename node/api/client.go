package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"entente/node"
	"entente/protocol"
)

// Client asks a running node over its unix socket. Its errors are the node's,
// with kind and hint; a node that is not there is Unreachable.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client for the node that serves on the socket.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// call sends a request and returns the answer's body, or the error that the
// node answered with.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, body io.Reader) (io.ReadCloser, error) {
	target := "http://localhost/v1" + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			return nil, protocol.E(protocol.Unreachable, "", fmt.Errorf("no node is running here (nothing answers on %s)", c.socket), "start it: entente up")
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, protocol.E(protocol.Unreachable, "", err, "see whether the node is still running: entente status")
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

// err turns a failure back into the error that it was.
func (f Failure) err() error {
	for k := protocol.Other; k <= protocol.Findings; k++ {
		if k.String() == f.Kind {
			return protocol.E(k, "", errors.New(f.Error), f.Hint)
		}
	}
	return protocol.E(protocol.Other, "", errors.New(f.Error), f.Hint)
}

func ask[T any](ctx context.Context, c *Client, method, path string, query url.Values, question any) (T, error) {
	var out T
	var body io.Reader
	if question != nil {
		raw, err := json.Marshal(question)
		if err != nil {
			return out, err
		}
		body = bytes.NewReader(raw)
	}
	answer, err := c.call(ctx, method, path, query, body)
	if err != nil {
		return out, err
	}
	defer answer.Close()
	return out, json.UnmarshalRead(answer, &out)
}

// follow reads a long answer, event by event.
func (c *Client) follow(ctx context.Context, method, path string, query url.Values, body io.Reader, each func(Event) bool) error {
	answer, err := c.call(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	in := jsontext.NewDecoder(answer)
	for {
		var e Event
		if err := json.UnmarshalDecode(in, &e); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return protocol.E(protocol.Unreachable, "", errors.Join(errCut, err), "see whether the node is still running: entente status")
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

func jsonBody(v any) io.Reader {
	raw, err := json.Marshal(v)
	if err != nil {
		return errReader{err}
	}
	return bytes.NewReader(raw)
}

type errReader struct{ err error }

// Read implements io.Reader.
func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// Status asks for the state of the node.
func (c *Client) Status(ctx context.Context) (node.Status, error) {
	return ask[node.Status](ctx, c, http.MethodGet, "/status", nil, nil)
}

// Members asks for the members that are known.
func (c *Client) Members(ctx context.Context) ([]node.MemberInfo, error) {
	return ask[[]node.MemberInfo](ctx, c, http.MethodGet, "/members", nil, nil)
}

// Agreements asks for all agreements.
func (c *Client) Agreements(ctx context.Context) ([]node.AgreementInfo, error) {
	return ask[[]node.AgreementInfo](ctx, c, http.MethodGet, "/agreements", nil, nil)
}

// Agreement asks for one agreement with its text.
func (c *Client) Agreement(ctx context.Context, name string) (node.AgreementInfo, error) {
	return ask[node.AgreementInfo](ctx, c, http.MethodGet, "/agreements/"+url.PathEscape(name), nil, nil)
}

// Invite asks for a ticket to a public agreement; valid 0 leaves its life to the
// node.
func (c *Client) Invite(ctx context.Context, agreement string, valid time.Duration) (string, error) {
	q := url.Values{}
	if valid > 0 {
		q.Set("valid", valid.String())
	}
	t, err := ask[Ticket](ctx, c, http.MethodPost, "/agreements/"+url.PathEscape(agreement)+"/invite", q, nil)
	return t.Ticket, err
}

// Import hands in a document with the lines of its signatures file.
func (c *Client) Import(ctx context.Context, payload, signatures []byte) (node.Imported, error) {
	if len(payload)+len(signatures) > maxDocuments {
		return node.Imported{}, protocol.Errorf(protocol.Limit, "import", "the files have %d bytes together; 4 MiB is the most", len(payload)+len(signatures))
	}
	return ask[node.Imported](ctx, c, http.MethodPost, "/documents", nil, Upload{string(payload), string(signatures)})
}

// Join joins a public agreement by its ticket.
func (c *Client) Join(ctx context.Context, ticket string) (node.Imported, error) {
	return ask[node.Imported](ctx, c, http.MethodPost, "/join", nil, Ticket{ticket})
}

// Ping measures the round trip to a member's nodes.
func (c *Client) Ping(ctx context.Context, member string) ([]node.NodeInfo, error) {
	return ask[[]node.NodeInfo](ctx, c, http.MethodPost, "/members/"+url.PathEscape(member)+"/ping", nil, nil)
}

// Get asks for the versions of an object.
func (c *Client) Get(ctx context.Context, id string) ([]node.Version, error) {
	return ask[[]node.Version](ctx, c, http.MethodGet, "/objects/"+url.PathEscape(id), nil, nil)
}

// Lookup asks what is known about values.
func (c *Client) Lookup(ctx context.Context, values []string) ([]node.LookupAnswer, error) {
	return ask[[]node.LookupAnswer](ctx, c, http.MethodPost, "/lookup", nil, Values{values})
}

// ExplainObject asks who may have an object and what was decided about it.
func (c *Client) ExplainObject(ctx context.Context, id, party string) (node.Explanation, error) {
	return ask[node.Explanation](ctx, c, http.MethodGet, "/explain", url.Values{"object": {id}, "for": {party}}, nil)
}

// ExplainRow asks about one row of the audit log.
func (c *Client) ExplainRow(ctx context.Context, number uint64) (node.Explanation, error) {
	return ask[node.Explanation](ctx, c, http.MethodGet, "/explain", url.Values{"row": {strconv.FormatUint(number, 10)}}, nil)
}

// Publish sends a document of STIX objects (as it is: plain or gzip) to a topic.
// A receipt may come with an error: what it counts as published is published.
func (c *Client) Publish(ctx context.Context, topic string, dryRun, strict bool, document io.Reader, progress func(node.Progress)) (node.Receipt, error) {
	q := url.Values{"topic": {topic}, "dry_run": {strconv.FormatBool(dryRun)}, "strict": {strconv.FormatBool(strict)}}
	var receipt node.Receipt
	err := c.follow(ctx, http.MethodPost, "/publish", q, document, func(e Event) bool {
		if e.Progress != nil && progress != nil {
			progress(*e.Progress)
		}
		if e.Receipt != nil {
			receipt = *e.Receipt
		}
		return true
	})
	return receipt, err
}

// Search asks for matching versions, newest first.
func (c *Client) Search(ctx context.Context, q node.SearchQuery, yield func(node.Version) bool) error {
	return c.versions(ctx, "/search", q, yield)
}

// Export asks for matching versions in order of arrival.
func (c *Client) Export(ctx context.Context, q node.SearchQuery, yield func(node.Version) bool) error {
	return c.versions(ctx, "/export", q, yield)
}

func (c *Client) versions(ctx context.Context, path string, q node.SearchQuery, yield func(node.Version) bool) error {
	return c.follow(ctx, http.MethodPost, path, nil, jsonBody(q), func(e Event) bool { return e.Version == nil || yield(*e.Version) })
}

// Tail follows a topic from after a cursor (-1: now).
func (c *Client) Tail(ctx context.Context, topic string, after int64, yield func(node.TailEvent) bool) error {
	q := url.Values{"topic": {topic}, "after": {strconv.FormatInt(after, 10)}}
	return c.follow(ctx, http.MethodGet, "/tail", q, nil, func(e Event) bool { return e.Tail == nil || yield(*e.Tail) })
}

// Audit asks for rows of the audit log.
func (c *Client) Audit(ctx context.Context, q node.AuditQuery, yield func(node.AuditEntry) bool) error {
	return c.follow(ctx, http.MethodPost, "/audit", nil, jsonBody(q), func(e Event) bool { return e.Audit == nil || yield(*e.Audit) })
}

// Reindex builds the node's derived indexes again.
func (c *Client) Reindex(ctx context.Context, progress func(node.Progress)) error {
	return c.follow(ctx, http.MethodPost, "/reindex", nil, nil, func(e Event) bool {
		if e.Progress != nil && progress != nil {
			progress(*e.Progress)
		}
		return true
	})
}
