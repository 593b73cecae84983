package cases

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"entente/policy"
	"entente/protocol"
)

// Source is a file of cases with the folder that its samples are read from; nil
// where there is none.
type Source struct {
	File    *File
	Samples fs.FS
}

// Report is what the cases of one agreement came to. As JSON its fields are
// stable: later versions only add.
type Report struct {
	Agreement string   `json:"agreement"` // name
	Version   uint64   `json:"version"`
	Passed    int      `json:"passed"`
	Failed    int      `json:"failed"`
	Cases     []Result `json:"cases"` // in the order of the files
	Coverage  Coverage `json:"coverage"`
}

// Result is what one case came to.
type Result struct {
	File        string   `json:"file"`
	Line        int      `json:"line"`
	Case        string   `json:"case"`
	Passed      bool     `json:"passed"`
	Differences []string `json:"differences,omitempty"` // what was expected and what was answered, where it failed
	Answers     []Answer `json:"answers"`               // one for a topic, else one for each reader
}

// Answer is what the engine said.
type Answer struct {
	Reader  string   `json:"reader,omitempty"` // handle; empty: the question was of the whole topic
	Outcome string   `json:"outcome"`          // allow, withhold or refuse
	Layer   string   `json:"layer"`            // form, floor, agreement or local
	Clause  string   `json:"clause,omitempty"` // number of the one that decided
	Text    string   `json:"text"`
	Readers []string `json:"readers,omitempty"` // of a topic: who may read, the author aside
	// Obligations are what the permission demands, each in the words of agreements:
	// "retain 90 days".
	Obligations []string `json:"obligations,omitempty"`

	verdict policy.Verdict
}

// Run holds an agreement to the cases of files. The error is of kind Invalid
// where the agreement does not compile, or a case speaks of what the agreement
// or the samples do not have, with the place; cases that fail are no error but
// results. It reads no clock.
func Run(ctx context.Context, a *protocol.Agreement, sources ...Source) (*Report, error) {
	return RunUnder(ctx, a, nil, protocol.MemberID{}, sources...)
}

// RunUnder is Run at the node of self, under its operator's own rules. A case may
// rest on them: "because: local", with the number of the clause. The clauses of
// these rules come last in the coverage.
func RunUnder(ctx context.Context, a *protocol.Agreement, local *protocol.LocalRules, self protocol.MemberID, sources ...Source) (*Report, error) {
	run, err := newRunner(a, local, self)
	if err != nil {
		return nil, err
	}
	report := &Report{Agreement: a.Name, Version: a.Version}
	for _, source := range sources {
		asked, err := run.bind(source)
		if err != nil {
			return nil, source.File.fault("test "+a.Name+" with "+source.File.Name, err)
		}
		for i := range asked {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			asked[i].answers = run.ask(run.rules, &asked[i])
			r := run.judge(&asked[i])
			r.File = source.File.Name
			report.Cases = append(report.Cases, r)
			if r.Passed {
				report.Passed++
				run.passed = append(run.passed, asked[i])
			} else {
				report.Failed++
			}
		}
	}
	report.Coverage, err = run.coverage(ctx)
	return report, err
}

// runner is one agreement under test.
type runner struct {
	agreement *protocol.Agreement
	rules     *policy.Rules
	parties   map[string]*protocol.Party
	handles   map[protocol.MemberID]string
	topics    map[string]bool
	clauses   map[string]bool
	passed    []question
	local     *protocol.LocalRules // of self; nil: none
	self      protocol.MemberID
}

// compile makes the rules of the agreement, or of one much like it, under the
// local rules.
func (r *runner) compile(a *protocol.Agreement) (*policy.Rules, error) {
	rules, err := policy.CompileAgreement(a)
	if err != nil || r.local == nil {
		return rules, err
	}
	return rules.Under(r.local, r.self)
}

func newRunner(a *protocol.Agreement, local *protocol.LocalRules, self protocol.MemberID) (*runner, error) {
	r := &runner{agreement: a, local: local, self: self, parties: map[string]*protocol.Party{}, handles: map[protocol.MemberID]string{{}: public},
		topics: map[string]bool{}, clauses: map[string]bool{}}
	var err error
	if r.rules, err = r.compile(a); err != nil {
		return nil, err
	}
	for i := range a.Parties {
		p := &a.Parties[i]
		r.parties[p.Handle], r.handles[p.ID] = p, p.Handle
	}
	for _, t := range a.Topics {
		r.topics[t.Name] = true
	}
	for _, c := range a.Clauses {
		r.clauses[c.Number] = true
	}
	if local != nil {
		for _, c := range local.Clauses {
			r.clauses[c.Number] = true
		}
	}
	return r, nil
}

// public is the word for a reader who is no party.
const public = "public"

// question is a case in the engine's terms.
type question struct {
	of      *Case
	author  protocol.MemberID
	to      []policy.Reader // none: of the whole topic
	topic   string
	subject policy.Subject
	at      time.Time
	facts   *policy.Facts       // nil: none
	readers []protocol.MemberID // expected, sorted
	answers []Answer
}

// bind turns the cases of a file into questions of this agreement.
func (r *runner) bind(source Source) ([]question, error) {
	f := source.File
	if f.agreement.given() && f.agreement.text != r.agreement.Name {
		return nil, wrong(f.agreement.place, "these are cases of %.80q, and the agreement is %q", f.agreement.text, r.agreement.Name)
	}
	from := &samples{from: source.Samples}
	out := make([]question, 0, len(f.Cases))
	for i := range f.Cases {
		q, err := r.question(&f.Cases[i], from)
		if err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	return out, nil
}

func (r *runner) question(c *Case, from *samples) (question, error) {
	q := question{of: c, topic: c.topic.text, at: c.At}
	var err error
	if q.author, err = r.member(c.from, false); err != nil {
		return q, err
	}
	if !r.topics[q.topic] {
		return q, wrong(c.topic.place, "the agreement has no topic %.80q; it has %s", q.topic, sorted(r.topics))
	}
	if c.clause.given() && c.clause.text != "" && !r.clauses[c.clause.text] {
		return q, wrong(c.clause.place, "the agreement has no clause %.80q", c.clause.text)
	}
	for _, w := range c.to.list {
		id, err := r.member(w, true)
		if err != nil {
			return q, err
		}
		q.to = append(q.to, policy.Reader{Member: id, Purpose: c.purpose.text})
	}
	for _, w := range c.readers.list {
		id, err := r.member(w, true)
		if err != nil {
			return q, err
		}
		if id != q.author {
			q.readers = append(q.readers, id)
		}
	}
	slices.SortFunc(q.readers, byID)
	if q.facts, err = r.facts(c); err != nil {
		return q, err
	}
	q.subject, err = from.subject(&c.object)
	return q, err
}

// member finds a party by its handle, or anybody by the id of 64 digits: one who
// is no party any more can be asked about as well.
func (r *runner) member(w word, reader bool) (protocol.MemberID, error) {
	if p := r.parties[w.text]; p != nil {
		return p.ID, nil
	}
	if w.text == public && reader {
		return protocol.MemberID{}, nil
	}
	var id protocol.MemberID
	if id.UnmarshalText([]byte(w.text)) == nil {
		return id, nil
	}
	known := map[string]bool{}
	for handle := range r.parties {
		known[handle] = true
	}
	if reader {
		known[public] = true
	}
	return protocol.MemberID{}, wrong(w.place, "%.80q is no party of the agreement; there are %s", w.text, sorted(known))
}

func byID(a, b protocol.MemberID) int { return bytes.Compare(a[:], b[:]) }

// sorted lists words, the first few of many.
func sorted(words map[string]bool) string {
	const most = 20
	var list []string
	for w := range words {
		list = append(list, w)
	}
	slices.Sort(list)
	if len(list) > most {
		list = append(list[:most], "…")
	}
	return strings.Join(list, ", ")
}

// ask puts a question to the rules of the agreement, or of one much like it. Who
// asks for an object does so at a node of its own.
func (r *runner) ask(rules *policy.Rules, q *question) []Answer {
	if q.facts != nil {
		rules = rules.With(*q.facts)
	}
	if q.of.elsewhere != nil {
		return []Answer{r.outside(rules, q)}
	}
	if q.of.publish() {
		v := r.engine(rules, q.author).Outbound(r.agreement.ID, q.topic, q.author, q.subject, q.at)
		a := answerOf(v)
		for _, id := range v.Readers {
			if id != q.author {
				a.Readers = append(a.Readers, r.handle(id))
			}
		}
		return []Answer{a}
	}
	var out []Answer
	for _, reader := range q.to {
		d := r.engine(rules, reader.Member).Read(reader, r.agreement.ID, q.topic, q.author, q.subject, q.at)
		a := answerOf(policy.Verdict{Decision: d})
		a.Reader = r.handle(reader.Member)
		out = append(out, a)
	}
	return out
}

// engine returns an engine at a member's node. One agreement never contradicts
// itself, which is all that NewEngine refuses.
func (r *runner) engine(rules *policy.Rules, self protocol.MemberID) *policy.Engine {
	e, _ := policy.NewEngine(self, rules)
	return e
}

func answerOf(v policy.Verdict) Answer {
	return Answer{Outcome: v.Outcome.String(), Layer: v.Layer.String(), Clause: v.Clause, Text: v.Text, Obligations: duties(v.Duties), verdict: v}
}

// handle is how a member is called in reports.
func (r *runner) handle(id protocol.MemberID) string {
	if h, ok := r.handles[id]; ok {
		return h
	}
	return id.Short()
}

// judge holds the answers to a question to what its case expects.
func (r *runner) judge(q *question) Result {
	c := q.of
	out := Result{Line: c.Line, Case: c.Name, Answers: q.answers}
	differ := func(a *Answer, format string, args ...any) {
		text := fmt.Sprintf(format, args...) + "; the answer is " + a.String()
		if a.Reader != "" {
			text = a.Reader + ": " + text
		}
		out.Differences = append(out.Differences, text)
	}
	for i := range q.answers {
		a := &q.answers[i]
		if a.Outcome != c.expect.String() || c.because.given() && a.Layer != c.because.text || c.clause.given() && a.Clause != c.clause.text {
			differ(a, "expected %s", c.expected())
		}
		if c.strict && !slices.Equal(a.Obligations, c.duties) {
			differ(a, "expected %s, and there are %s", all(c.duties), all(a.Obligations))
		}
		if !c.readers.given {
			continue
		}
		may := slices.DeleteFunc(slices.Clone(a.verdict.Readers), func(id protocol.MemberID) bool { return id == q.author })
		slices.SortFunc(may, byID)
		if !slices.Equal(may, q.readers) {
			differ(a, "expected that %s may read, and %s may", r.names(q.readers), r.names(may))
		}
	}
	out.Passed = len(out.Differences) == 0
	return out
}

// expected says what a case expects, as Answer.String says what is answered.
func (c *Case) expected() string {
	var by []string
	if c.because.given() {
		by = append(by, c.because.text)
	}
	switch {
	case c.clause.given() && c.clause.text == "":
		by = append(by, "no clause")
	case c.clause.given():
		by = append(by, "clause "+c.clause.text)
	}
	if len(by) == 0 {
		return c.expect.String()
	}
	return c.expect.String() + " by " + strings.Join(by, ", ")
}

// names lists members for people.
func (r *runner) names(ids []protocol.MemberID) string {
	if len(ids) == 0 {
		return "nobody"
	}
	var list []string
	for _, id := range ids {
		list = append(list, r.handle(id))
	}
	return strings.Join(list, ", ")
}

// String returns the answer on one line: outcome, layer, clause and its text.
func (a *Answer) String() string {
	by := a.Layer
	if a.Clause != "" {
		by += ", clause " + a.Clause
	}
	return a.Outcome + " by " + by + ": " + strings.Join(strings.Fields(a.Text), " ")
}
