package api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"entente/node"
	"entente/protocol"
	"entente/protocol/stix"
)

// Health is the answer of a server that is up.
type Health struct {
	OK bool `json:"ok"`
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, Health{OK: true})
}

func (s *Server) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(description)
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	v, err := s.cfg.Service.Status(r.Context())
	reply(w, r, v, err)
}

func (s *Server) findings(w http.ResponseWriter, r *http.Request) {
	v, err := s.cfg.Service.Status(r.Context())
	reply(w, r, v.Findings, err)
}

func (s *Server) members(w http.ResponseWriter, r *http.Request) {
	v, err := s.cfg.Service.Members(r.Context())
	reply(w, r, v, err)
}

func (s *Server) ping(w http.ResponseWriter, r *http.Request) {
	v, err := s.cfg.Service.Ping(r.Context(), r.PathValue("member"))
	reply(w, r, v, err)
}

func (s *Server) agreements(w http.ResponseWriter, r *http.Request) {
	v, err := s.cfg.Service.Agreements(r.Context(), "")
	reply(w, r, v, err)
}

func (s *Server) agreement(w http.ResponseWriter, r *http.Request) {
	v, err := s.cfg.Service.Agreements(r.Context(), r.PathValue("name"))
	if err == nil && len(v) == 0 {
		err = protocol.E(protocol.NotFound, "", fmt.Errorf("there is no agreement %q here", r.PathValue("name")), "see which there are: entente agreements")
	}
	if err != nil {
		fail(w, reason(r.Context(), err))
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
	if text, given := parameter(r, "valid"); given {
		var err error
		if valid, err = time.ParseDuration(text); err != nil || valid <= 0 {
			fail(w, protocol.E(protocol.Invalid, "invite", fmt.Errorf("%q is no span of time", text), "one looks like 72h"))
			return
		}
	}
	t, err := s.cfg.Service.Invite(r.Context(), r.PathValue("name"), valid)
	reply(w, r, Ticket{t}, err)
}

func (s *Server) scores(w http.ResponseWriter, r *http.Request) {
	out, err := s.cfg.Service.Scoreboard(r.Context(), r.PathValue("name"))
	reply(w, r, out, err)
}

func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	v, err := s.cfg.Service.Logs(r.Context(), r.PathValue("name"))
	reply(w, r, v, err)
}

func (s *Server) declare(w http.ResponseWriter, r *http.Request) {
	var q node.StatementRequest
	if err := question(w, r, maxQuestion, &q); err != nil {
		fail(w, err)
		return
	}
	out, err := s.cfg.Service.Declare(r.Context(), r.PathValue("name"), q)
	reply(w, r, out, err)
}

// Burial asks for objects to be erased everywhere.
type Burial struct {
	IDs    []string `json:"ids"`
	Reason string   `json:"reason,omitempty"` // for people; those who read the topics see it
}

func (s *Server) erase(w http.ResponseWriter, r *http.Request) {
	var b Burial
	err := question(w, r, maxQuestion, &b)
	if err == nil && len(b.IDs) == 0 {
		err = protocol.E(protocol.Invalid, "erase", errors.New("no object to erase"), `send {"ids": ["indicator--…"]}`)
	}
	if err != nil {
		fail(w, err)
		return
	}
	out, err := s.cfg.Service.Erase(r.Context(), b.IDs, b.Reason)
	reply(w, r, out, err)
}

func (s *Server) reviews(w http.ResponseWriter, r *http.Request) {
	all, err := truth(r, "all")
	if err != nil {
		fail(w, err)
		return
	}
	out, err := s.cfg.Service.Reviews(r.Context(), all)
	reply(w, r, out, err)
}

func (s *Server) review(w http.ResponseWriter, r *http.Request) {
	var q node.ReviewRequest
	err := question(w, r, maxQuestion, &q)
	if err == nil && len(q.IDs) == 0 {
		err = protocol.E(protocol.Invalid, "review", errors.New("no object is named"), `send {"ids": ["indicator--…"], "keep": true}`)
	}
	if err != nil {
		fail(w, err)
		return
	}
	out, err := s.cfg.Service.Review(r.Context(), q)
	reply(w, r, out, err)
}

func (s *Server) erasures(w http.ResponseWriter, r *http.Request) {
	out, err := s.cfg.Service.Erasures(r.Context())
	reply(w, r, out, err)
}

// Upload is a document to import: its text, and the lines of its signatures
// file where they are not part of it.
type Upload struct {
	Payload    string `json:"payload,omitempty"`
	Signatures string `json:"signatures,omitempty"`
}

func (s *Server) documents(w http.ResponseWriter, r *http.Request) {
	var u Upload
	err := question(w, r, maxUpload, &u)
	if err == nil {
		err = documentsFit(len(u.Payload) + len(u.Signatures))
	}
	if err != nil {
		fail(w, err)
		return
	}
	v, err := s.cfg.Service.Import(r.Context(), []byte(u.Payload), []byte(u.Signatures))
	reply(w, r, v, err)
}

// documentsFit holds both ends to one limit.
func documentsFit(size int) error {
	switch {
	case size == 0:
		return protocol.E(protocol.Invalid, "import", errors.New("there is nothing to import"), "give a document, or the lines of a signatures file")
	case size > maxDocuments:
		return protocol.Errorf(protocol.Limit, "import", "the files have %d bytes together; %d are the most", size, maxDocuments)
	}
	return nil
}

func (s *Server) compare(w http.ResponseWriter, r *http.Request) {
	var q node.CompareRequest
	err := question(w, r, maxUpload, &q)
	if size := len(q.Old.Document) + len(q.New.Document); err == nil && size > 0 {
		err = documentsFit(size)
	}
	if err != nil {
		fail(w, err)
		return
	}
	out := newStream(w)
	progress := out.throttled()
	v, err := s.cfg.Service.Compare(r.Context(), q, func(p node.Progress) { progress(Event{Progress: &p}) })
	if err != nil {
		out.end(reason(r.Context(), err))
		return
	}
	out.send(Event{Comparison: &v}, true)
	out.end(nil)
}

func (s *Server) join(w http.ResponseWriter, r *http.Request) {
	var t Ticket
	err := question(w, r, maxQuestion, &t)
	if err == nil && t.Ticket == "" {
		err = protocol.E(protocol.Invalid, "join", errors.New("there is no ticket"), `send {"ticket": "entente-invite:…"}`)
	}
	if err != nil {
		fail(w, err)
		return
	}
	v, err := s.cfg.Service.Join(r.Context(), t.Ticket)
	reply(w, r, v, err)
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	v, err := s.cfg.Service.Get(r.Context(), r.PathValue("id"))
	reply(w, r, v, err)
}

// Values is the question of a lookup.
type Values struct {
	Values []string `json:"values"`
}

func (s *Server) lookup(w http.ResponseWriter, r *http.Request) {
	var v Values
	err := question(w, r, maxQuestion, &v)
	switch {
	case err != nil:
	case len(v.Values) == 0:
		err = protocol.E(protocol.Invalid, "lookup", errors.New("no value to look up"), `send {"values": ["198.51.100.7"]}`)
	case len(v.Values) > maxValues:
		err = protocol.E(protocol.Limit, "lookup", fmt.Errorf("%d values were asked for at once; %d are the most", len(v.Values), maxValues), "ask in parts")
	}
	if err != nil {
		fail(w, err)
		return
	}
	out, err := s.cfg.Service.Lookup(r.Context(), v.Values)
	reply(w, r, out, err)
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	object, byObject := parameter(r, "object")
	row, byRow := parameter(r, "row")
	party, byParty := parameter(r, "for")
	number, err := strconv.ParseUint(row, 10, 63)
	switch {
	case byObject && byRow, byRow && byParty:
		err = protocol.E(protocol.Invalid, "explain", errors.New("a row stands for itself"), "give a row alone, or an object")
	case byRow && (err != nil || number == 0):
		err = protocol.E(protocol.Invalid, "explain", fmt.Errorf("%q is no number of a row", row), "rows are numbered from 1: entente audit")
	case !byRow && object == "":
		err = protocol.E(protocol.Invalid, "explain", errors.New("name an object or a row"), hintDescription)
	default:
		err = nil
	}
	if err != nil {
		fail(w, err)
		return
	}
	var v node.Explanation
	if byRow {
		v, err = s.cfg.Service.ExplainRow(r.Context(), number)
	} else {
		v, err = s.cfg.Service.ExplainObject(r.Context(), object, party)
	}
	reply(w, r, v, err)
}

// parameter returns a query parameter and whether it was given.
func parameter(r *http.Request, name string) (string, bool) {
	q := r.URL.Query()
	return q.Get(name), q.Has(name)
}

// truth reads a parameter that is true or false, and nothing else: what is
// taken for false by mistake would publish.
func truth(r *http.Request, name string) (bool, error) {
	switch text, given := parameter(r, name); {
	case !given, text == "false":
		return false, nil
	case text == "true":
		return true, nil
	default:
		return false, protocol.E(protocol.Invalid, "", fmt.Errorf("the parameter %s is %q", name, text), "it is true or false")
	}
}

func (s *Server) publish(w http.ResponseWriter, r *http.Request) {
	topic, _ := parameter(r, "topic")
	dryRun, err := truth(r, "dry_run")
	strict, err2 := truth(r, "strict")
	if err = errors.Join(err, err2); err == nil && topic == "" {
		err = protocol.E(protocol.Invalid, "publish", errors.New("no topic is named"), "give topic=AGREEMENT/TOPIC")
	}
	if err != nil {
		fail(w, err)
		return
	}
	out := newStream(w)
	// The answer begins while the question is still being sent, and may end
	// before all of it was read. net/http cannot use such a connection again: it
	// would begin two reads at once.
	_ = out.control.EnableFullDuplex()
	w.Header().Set("Connection", "close")
	reader, err := stix.NewReader(r.Body, s.cfg.Limits)
	if err != nil {
		out.end(reason(r.Context(), err))
		return
	}
	progress := out.throttled()
	receipt, err := s.cfg.Service.Publish(r.Context(), node.PublishRequest{
		Topic: topic, Items: reader.Next, DryRun: dryRun, Strict: strict,
		Progress: func(p node.Progress) { progress(Event{Progress: &p}) },
	})
	if err != nil {
		err = reason(r.Context(), err)
	}
	if err == nil || receipt.Read > 0 {
		out.send(Event{Receipt: &receipt}, err == nil)
	}
	out.end(err)
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) { s.versions(w, r, false) }
func (s *Server) export(w http.ResponseWriter, r *http.Request) { s.versions(w, r, true) }

func (s *Server) versions(w http.ResponseWriter, r *http.Request, all bool) {
	var q node.SearchQuery
	err := question(w, r, maxQuestion, &q)
	if err == nil && (q.Limit < 0 || q.After < 0) {
		err = protocol.E(protocol.Invalid, opQuestion, errors.New("limit and after are not negative"), hintDescription)
	}
	if err != nil {
		fail(w, err)
		return
	}
	out := newStream(w)
	yield := func(v node.Version) bool { return out.send(Event{Version: &v}, false) }
	if all {
		var sum node.ExportSummary
		if sum, err = s.cfg.Service.Export(r.Context(), q, yield); err == nil {
			out.send(Event{Export: &sum}, false)
		}
	} else {
		err = s.cfg.Service.Search(r.Context(), q, yield)
	}
	if err != nil {
		err = reason(r.Context(), err)
	}
	out.end(err)
}

func (s *Server) tail(w http.ResponseWriter, r *http.Request) {
	cursor := int64(-1)
	if text, given := parameter(r, "after"); given {
		var err error
		if cursor, err = strconv.ParseInt(text, 10, 64); err != nil || cursor < -1 {
			fail(w, protocol.E(protocol.Invalid, "tail", fmt.Errorf("%q is no cursor", text), "it is a number that an earlier event bore, 0 for the beginning, -1 for now"))
			return
		}
	}
	topic, _ := parameter(r, "topic")
	ctx, end := s.following(r)
	defer end()
	out := newStream(w)
	err := s.cfg.Service.Tail(ctx, topic, cursor, func(e node.TailEvent) bool {
		return out.send(Event{Tail: &e}, true)
	})
	out.end(reason(ctx, err))
}

func (s *Server) audit(w http.ResponseWriter, r *http.Request) {
	var q node.AuditQuery
	err := question(w, r, maxQuestion, &q)
	if err == nil && q.Limit < 0 {
		err = protocol.E(protocol.Invalid, opQuestion, errors.New("limit is not negative"), hintDescription)
	}
	if err != nil {
		fail(w, err)
		return
	}
	ctx, end := r.Context(), func() {}
	if q.Follow {
		ctx, end = s.following(r)
	}
	defer end()
	out := newStream(w)
	err = s.cfg.Service.Audit(ctx, q, func(e node.AuditEntry) bool {
		return out.send(Event{Audit: &e}, q.Follow)
	})
	if err != nil || q.Follow {
		err = reason(ctx, err)
	}
	out.end(err)
}

func (s *Server) reindex(w http.ResponseWriter, r *http.Request) {
	out := newStream(w)
	progress := out.throttled()
	err := s.cfg.Service.Reindex(r.Context(), func(p node.Progress) { progress(Event{Progress: &p}) })
	if err != nil {
		err = reason(r.Context(), err)
	}
	out.end(err)
}
