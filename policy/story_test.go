package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"entente/protocol"
)

// TestStories runs the stories in testdata: agreements in short form, then
// questions with the answers that are expected. The form of an agreement:
//
//	agreement NAME private|public [version=3] [from=DATE] [until=DATE] [basis=DATE]
//	party HANDLE [kind=K] [country=C] [roles=R,R]
//	former HANDLE
//	topic NAME [default=LEVEL]
//	fact suspended HANDLE DATE | fact entitled HANDLE DATE | fact terminated DATE | fact clear-only | fact encrypted
//	clause NUMBER permit|forbid [from.parties=H,H] [from.kinds=…] [to.public] [topics=…]
//	       [types=…] [max=LEVEL] [marks=LEVEL,…] [starts=DATE] [ends=DATE]
//	       [TERM=…, see setTerm] : PROSE
//
// The one contribution of an agreement has the name gives. Of versions of one
// name, the later ones say which they are with version=.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &story{known: map[string]*protocol.Agreement{}}
		datadriven.RunTest(t, path, s.run)
	})
}

// story is the state of one story: the agreements of the last compile.
type story struct {
	known  map[string]*protocol.Agreement
	engine *Engine
}

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	if d.Cmd == "compile" {
		return s.compile(t, d)
	}
	q := s.question(t, d)
	switch d.Cmd {
	case "outbound":
		return renderVerdict(s, q, s.engine.Outbound(q.agreement, q.topic, q.author, q.subject, q.now))
	case "inbound":
		return s.engine.Inbound(q.agreement, q.topic, q.author, q.subject, q.now).line() + "\n"
	case "read":
		dec := s.engine.Read(Reader{Member: q.reader, Purpose: q.purpose, Remote: q.remote}, q.agreement, q.topic, q.author, q.subject, q.now)
		return dec.line() + "\n(told outside: " + dec.Outward() + ")\n"
	case "barred":
		barred, until := s.engine.Barred(q.agreement, q.topic, q.now)
		return fmt.Sprintf("%s until %s\n", s.handles(q.agreement, barred), until.Format(time.DateOnly))
	case "explain":
		if q.purpose != "" {
			as := Reader{Member: q.reader, Purpose: q.purpose, Remote: q.remote}
			return s.engine.ExplainTo(q.agreement, q.topic, q.author, q.subject, q.now, as).String()
		}
		return s.engine.Explain(q.agreement, q.topic, q.author, q.subject, q.now).String()
	default:
		d.Fatalf(t, "no such command: %s", d.Cmd)
		return ""
	}
}

func (s *story) compile(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	self := "bank"
	d.MaybeScanArgs(t, "self", &self)
	clear(s.known)
	facts := Facts{Suspended: map[protocol.MemberID]time.Time{}, Entitled: map[string]map[protocol.MemberID]time.Time{"gives": {}}}
	var a *protocol.Agreement
	var all []*protocol.Agreement
	for i, line := range strings.Split(d.Input, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if words[0] == "agreement" {
			a = &protocol.Agreement{ID: protocol.AgreementID{byte(len(all) + 1)}, Name: words[1], Version: 3, Hash: protocol.Hash{byte(len(all) + 1)},
				Visibility: protocol.Visibility(words[2]), From: testFrom, Until: testUntil, Scores: []protocol.Contribution{{Name: "gives"}}}
			if other := s.known[a.Name]; other != nil {
				a.ID = other.ID
			}
			all = append(all, a)
			s.known[a.Name] = a
		}
		if words[0] == "fact" {
			if err := setFact(&facts, words[1:]); err != nil {
				d.Fatalf(t, "line %d: %v", i+1, err)
			}
			continue
		}
		if err := readLine(a, words, i+1); err != nil {
			d.Fatalf(t, "line %d: %v", i+1, err)
		}
	}
	var rules []*Rules
	for _, a := range all {
		r, err := CompileAgreement(a)
		if err != nil {
			return "error: " + err.Error() + "\n"
		}
		rules = append(rules, r.With(facts))
	}
	e, err := NewEngine(member(self), rules...)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	s.engine = e
	return "ok\n"
}

// readLine reads one line of an agreement in short form.
func readLine(a *protocol.Agreement, words []string, line int) error {
	var party protocol.Party
	var topic protocol.Topic
	var clause protocol.Clause
	rest := words[min(2, len(words)):]
	switch words[0] {
	case "agreement":
		rest = words[3:]
	case "party":
		party = protocol.Party{Handle: words[1], ID: member(words[1])}
	case "former":
		a.Cuts = append(a.Cuts, protocol.Cut{Member: member(words[1])})
	case "topic":
		topic.Name = words[1]
	case "clause":
		clause = protocol.Clause{Number: words[1], Permit: words[2] == "permit", Line: line}
		rest = words[3:]
		if colon := slices.Index(words, ":"); colon > 0 {
			clause.Text = strings.Join(words[colon+1:], " ")
			rest = words[3:colon]
		}
	default:
		return fmt.Errorf("no such word: %s", words[0])
	}
	for _, w := range rest {
		key, value, _ := strings.Cut(w, "=")
		if err := setWord(a, &party, &topic, &clause, key, strings.Split(value, ",")); err != nil {
			return err
		}
	}
	switch words[0] {
	case "party":
		a.Parties = append(a.Parties, party)
	case "topic":
		a.Topics = append(a.Topics, topic)
	case "clause":
		a.Clauses = append(a.Clauses, clause)
	}
	return nil
}

// setWord sets what key=list of a line says.
func setWord(a *protocol.Agreement, p *protocol.Party, t *protocol.Topic, c *protocol.Clause, key string, list []string) (err error) {
	moment := func(to *time.Time) { *to, err = time.Parse(time.DateOnly, list[0]) }
	level := func(s string, to *protocol.Marking) { *to, err = protocol.ParseMarking(s) }
	side := &c.From
	if strings.HasPrefix(key, "to.") {
		side = &c.To
	}
	switch strings.TrimPrefix(strings.TrimPrefix(key, "from."), "to.") {
	case "parties":
		side.Parties = list
	case "kinds":
		side.Kinds = list
	case "countries":
		side.Countries = list
	case "roles":
		side.Roles, p.Roles = list, list
	case "public":
		side.Public = true
	case "topics":
		c.Topics = list
	case "types":
		c.Types = list
	case "max":
		level(list[0], &c.Max)
	case "marks":
		for _, l := range list {
			var m protocol.Marking
			level(l, &m)
			c.Marks = append(c.Marks, m)
		}
	case "starts":
		moment(&c.Starts)
	case "ends":
		moment(&c.Ends)
	case "kind":
		p.Kind = list[0]
	case "country":
		p.Country = list[0]
	case "default":
		level(list[0], &t.Default)
	case "from":
		moment(&a.From)
	case "until":
		moment(&a.Until)
	case "basis":
		moment(&a.LegalBasis.Until)
	case "version":
		_, err = fmt.Sscan(list[0], &a.Version)
	default:
		err = setTerm(a, p, t, c, key, list)
	}
	return err
}

// storyQuestion is one question of a story.
type storyQuestion struct {
	agreement      protocol.AgreementID
	topic          string
	author, reader protocol.MemberID
	subject        Subject
	now            time.Time
	purpose        string
	remote         bool
}

func (s *story) question(t *testing.T, d *datadriven.TestData) storyQuestion {
	t.Helper()
	agreement, author, reader, now, marked, header := "alliance", "bank", "", "2026-06-01", "", ""
	q := storyQuestion{topic: "iocs", subject: Subject{Type: "indicator"}}
	d.MaybeScanArgs(t, "agreement", &agreement)
	d.MaybeScanArgs(t, "topic", &q.topic)
	d.MaybeScanArgs(t, "author", &author)
	d.MaybeScanArgs(t, "reader", &reader)
	d.MaybeScanArgs(t, "type", &q.subject.Type)
	d.MaybeScanArgs(t, "tlp", &marked)
	d.MaybeScanArgs(t, "header", &header)
	d.MaybeScanArgs(t, "problem", &q.subject.Problem)
	d.MaybeScanArgs(t, "version", &q.subject.Version)
	d.MaybeScanArgs(t, "now", &now)
	s.terms(t, d, &q)
	if a := s.known[agreement]; a != nil {
		q.agreement = a.ID
	}
	q.author, q.reader = member(author), member(reader)
	var errs [3]error
	q.subject.Marking, errs[0] = protocol.ParseMarking(marked)
	q.subject.Header, errs[1] = protocol.ParseMarking(header)
	q.now, errs[2] = time.Parse(time.DateOnly, now)
	for _, err := range errs {
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
	}
	return q
}

// handles names members, in the order given.
func (s *story) handles(id protocol.AgreementID, members []protocol.MemberID) string {
	list := make([]string, 0, len(members))
	for _, m := range members {
		handle := m.Short()
		for _, p := range s.engine.Rules(id).readers {
			if p.ID == m {
				handle = p.Handle
			}
		}
		list = append(list, handle)
	}
	return "[" + strings.Join(list, " ") + "]"
}

func renderVerdict(s *story, q storyQuestion, v Verdict) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", v.line())
	if len(v.Readers) > 0 {
		fmt.Fprintf(&b, "readers %s\n", s.handles(q.agreement, v.Readers))
	}
	for _, d := range v.Denied {
		fmt.Fprintf(&b, "denied %s %s\n", s.handles(q.agreement, []protocol.MemberID{d.Reader}), d.Decision.line())
	}
	return b.String()
}
