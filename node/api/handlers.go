package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"entente/node"
	"entente/protocol"
	"entente/protocol/stix"
)

const (
	maxQuestion  = 4 << 20 // bytes of a JSON question
	maxDocuments = 4 << 20 // bytes of an imported document
	maxValues    = 100000  // of one lookup
	idleWrite    = 30 * time.Second
)

// answer writes a JSON body.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.MarshalWrite(w, v)
	_, _ = io.WriteString(w, "\n")
}

func failure(err error) Failure {
	return Failure{Kind: protocol.KindOf(err).String(), Error: err.Error(), Hint: protocol.HintOf(err)}
}

// fail writes an error with the status of its kind.
func fail(w http.ResponseWriter, err error) {
	status := protocol.KindOf(err).Status()
	if status < 400 {
		status = http.StatusInternalServerError
	}
	answer(w, status, failure(err))
}

func reply[T any](w http.ResponseWriter, v T, err error) {
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, v)
}

// question reads a JSON body strictly.
func question(w http.ResponseWriter, r *http.Request, into any) bool {
	err := json.UnmarshalRead(http.MaxBytesReader(w, r.Body, maxQuestion), into, json.RejectUnknownMembers(true))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		fail(w, protocol.E(protocol.Limit, "read the question", fmt.Errorf("it is over the limit of %d bytes", large.Limit), "ask in parts"))
		return false
	}
	if err != nil {
		fail(w, protocol.E(protocol.Invalid, "read the question", err, "the API is described at /v1/openapi.yaml"))
		return false
	}
	return true
}

// flag reads a query parameter that is true, false or absent. A question that
// means a dry run and misspells it must not be taken for a real one.
func flag(r *http.Request, name string) (bool, error) {
	switch text := r.URL.Query().Get(name); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, protocol.E(protocol.Invalid, "read the question", fmt.Errorf("%s is %q", name, text), "it is true or false")
	}
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	v, err := s.cfg.Service.Status(r.Context())
	reply(w, v, err)
}

func (s *Server) findings(w http.ResponseWriter, r *http.Request) {
	v, err := s.cfg.Service.Status(r.Context())
	if v.Findings == nil {
		v.Findings = []node.Finding{}
	}
	reply(w, v.Findings, err)
}

func (s *Server) members(w http.ResponseWriter, r *http.Request) {
	v, err := s.cfg.Service.Members(r.Context())
	reply(w, v, err)
}

func (s *Server) ping(w http.ResponseWriter, r *http.Request) {
	v, err := s.cfg.Service.Ping(r.Context(), r.PathValue("member"))
	reply(w, v, err)
}

func (s *Server) agreements(w http.ResponseWriter, r *http.Request) {
	v, err := s.cfg.Service.Agreements(r.Context(), "")
	reply(w, v, err)
}

func (s *Server) agreement(w http.ResponseWriter, r *http.Request) {
	v, err := s.cfg.Service.Agreements(r.Context(), r.PathValue("name"))
	if err == nil && len(v) == 0 {
		err = protocol.Errorf(protocol.NotFound, "", "there is no agreement %q here", r.PathValue("name"))
	}
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, v[0])
}

// Ticket is the answer to a question for an invite.
type Ticket struct {
	Ticket string `json:"ticket"`
}

func (s *Server) invite(w http.ResponseWriter, r *http.Request) {
	var valid time.Duration
	if text := r.URL.Query().Get("valid"); text != "" {
		var err error
		if valid, err = time.ParseDuration(text); err != nil || valid <= 0 {
			fail(w, protocol.E(protocol.Invalid, "invite", fmt.Errorf("%q is no span of time", text), "one looks like 72h"))
			return
		}
	}
	t, err := s.cfg.Service.Invite(r.Context(), r.PathValue("name"), valid)
	reply(w, Ticket{t}, err)
}

// Upload is a document to import: its text, and the lines of its signatures
// file where they are not part of it.
type Upload struct {
	Payload    string `json:"payload,omitempty"`
	Signatures string `json:"signatures,omitempty"`
}

func (s *Server) documents(w http.ResponseWriter, r *http.Request) {
	var u Upload
	if !question(w, r, &u) {
		return
	}
	v, err := s.cfg.Service.Import(r.Context(), []byte(u.Payload), []byte(u.Signatures))
	reply(w, v, err)
}

func (s *Server) join(w http.ResponseWriter, r *http.Request) {
	var t Ticket
	if !question(w, r, &t) {
		return
	}
	v, err := s.cfg.Service.Join(r.Context(), t.Ticket)
	reply(w, v, err)
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	v, err := s.cfg.Service.Get(r.Context(), r.PathValue("id"))
	reply(w, v, err)
}

// Values is the question of a lookup.
type Values struct {
	Values []string `json:"values"`
}

func (s *Server) lookup(w http.ResponseWriter, r *http.Request) {
	var v Values
	if !question(w, r, &v) {
		return
	}
	if len(v.Values) > maxValues {
		fail(w, protocol.E(protocol.Limit, "lookup", fmt.Errorf("%d values were asked for at once; %d are the most", len(v.Values), maxValues), "ask in parts"))
		return
	}
	out, err := s.cfg.Service.Lookup(r.Context(), v.Values)
	reply(w, out, err)
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if text := q.Get("row"); text != "" {
		number, err := strconv.ParseUint(text, 10, 64)
		if err != nil || number == 0 {
			fail(w, protocol.Errorf(protocol.Invalid, "explain", "%q is no number of a row", text))
			return
		}
		v, err := s.cfg.Service.ExplainRow(r.Context(), number)
		reply(w, v, err)
		return
	}
	if q.Get("object") == "" {
		fail(w, protocol.Errorf(protocol.Invalid, "explain", "name an object or a row"))
		return
	}
	v, err := s.cfg.Service.ExplainObject(r.Context(), q.Get("object"), q.Get("for"))
	reply(w, v, err)
}

// stream is a long answer: newline-delimited events. A reader that takes none
// for half a minute is let go.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	encoder *jsontext.Encoder
	broken  bool
	started bool
}

func newStream(w http.ResponseWriter) *stream {
	return &stream{w: w, control: http.NewResponseController(w), encoder: jsontext.NewEncoder(w)}
}

// send writes an event and reports whether the reader is still there.
func (s *stream) send(e Event, flush bool) bool {
	if s.broken {
		return false
	}
	if !s.started {
		s.started = true
		s.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(idleWrite))
	if err := json.MarshalEncode(s.encoder, e); err != nil {
		s.broken = true
		return false
	}
	if flush {
		s.broken = s.control.Flush() != nil
	}
	return !s.broken
}

// end closes the answer: with a proper status when nothing was sent yet, else
// with a last event.
func (s *stream) end(err error) {
	switch {
	case err != nil && !s.started:
		fail(s.w, err)
	case err != nil:
		f := failure(err)
		s.send(Event{Error: &f}, true)
	default:
		s.send(Event{Done: true}, true)
	}
}

func (s *Server) publish(w http.ResponseWriter, r *http.Request) {
	dry, badDry := flag(r, "dry_run")
	strict, badStrict := flag(r, "strict")
	if err := errors.Join(badDry, badStrict); err != nil {
		fail(w, err)
		return
	}
	out := newStream(w)
	// The answer begins while the question is still being sent.
	_ = out.control.EnableFullDuplex()
	reader, err := stix.NewReader(r.Body, s.cfg.Limits)
	if err != nil {
		out.end(err)
		return
	}
	var last time.Time
	receipt, err := s.cfg.Service.Publish(r.Context(), node.PublishRequest{
		Topic: r.URL.Query().Get("topic"), Items: reader.Next, DryRun: dry, Strict: strict,
		Progress: func(p node.Progress) {
			if now := time.Now(); now.Sub(last) > 100*time.Millisecond {
				last = now
				out.send(Event{Progress: &p}, true)
			}
		},
	})
	if err != nil && receipt.Read == 0 {
		out.end(err)
		return
	}
	out.send(Event{Receipt: &receipt}, err == nil)
	out.end(err)
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) { s.versions(w, r, false) }
func (s *Server) export(w http.ResponseWriter, r *http.Request) { s.versions(w, r, true) }

func (s *Server) versions(w http.ResponseWriter, r *http.Request, all bool) {
	var q node.SearchQuery
	if !question(w, r, &q) {
		return
	}
	ask := s.cfg.Service.Search
	if all {
		ask = s.cfg.Service.Export
	}
	out := newStream(w)
	count := 0
	out.end(ask(r.Context(), q, func(v node.Version) bool {
		count++
		return out.send(Event{Version: &v}, count%100 == 0)
	}))
}

func (s *Server) tail(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	cursor := int64(-1)
	if text := q.Get("after"); text != "" {
		var err error
		if cursor, err = strconv.ParseInt(text, 10, 64); err != nil {
			fail(w, protocol.Errorf(protocol.Invalid, "tail", "%q is no cursor; it is a number that an earlier event bore, 0 for the beginning, -1 for now", text))
			return
		}
	}
	out := newStream(w)
	out.end(s.cfg.Service.Tail(r.Context(), q.Get("topic"), cursor, func(e node.TailEvent) bool {
		return out.send(Event{Tail: &e}, true)
	}))
}

func (s *Server) audit(w http.ResponseWriter, r *http.Request) {
	var q node.AuditQuery
	if !question(w, r, &q) {
		return
	}
	out := newStream(w)
	out.end(s.cfg.Service.Audit(r.Context(), q, func(e node.AuditEntry) bool {
		return out.send(Event{Audit: &e}, q.Follow)
	}))
}

func (s *Server) reindex(w http.ResponseWriter, r *http.Request) {
	out := newStream(w)
	var last time.Time
	err := s.cfg.Service.Reindex(r.Context(), func(p node.Progress) {
		if now := time.Now(); now.Sub(last) > 100*time.Millisecond {
			last = now
			out.send(Event{Progress: &p}, true)
		}
	})
	out.end(err)
}

// errCut says that an answer broke off without its last line.
var errCut = errors.New("the answer broke off")
