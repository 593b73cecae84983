package policy

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"entente/protocol"
)

// member returns the id that the tests give to a handle. The last byte of the
// handle leads, so that the order of ids is not the order of the document.
func member(handle string) protocol.MemberID {
	if handle == "" || handle == "public" {
		return protocol.MemberID{}
	}
	return protocol.MemberID(sha256.Sum256([]byte(handle)))
}

var (
	testFrom  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	testUntil = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	testNow   = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
)

// alliance is a private agreement of three with one clause that permits all.
func alliance(clauses ...protocol.Clause) *protocol.Agreement {
	for i := range clauses {
		clauses[i].Line = 40 + i
	}
	return &protocol.Agreement{
		ID: protocol.AgreementID{1}, Name: "alliance", Version: 3, Visibility: protocol.Private,
		From: testFrom, Until: testUntil,
		Parties: []protocol.Party{
			{Handle: "bank", ID: member("bank"), Kind: "company", Country: "DE"},
			{Handle: "vendor", ID: member("vendor"), Kind: "company", Country: "US", Roles: []string{"analyst"}},
			{Handle: "cert", ID: member("cert"), Kind: "cert", Country: "DE", Roles: []string{"analyst", "liaison"}},
		},
		Topics:  []protocol.Topic{{Name: "iocs", Default: protocol.Green}, {Name: "reports"}},
		Clauses: clauses,
	}
}

func compileOne(t testing.TB, self string, a *protocol.Agreement) *Engine {
	t.Helper()
	e, err := Compile(member(self), []*protocol.Agreement{a})
	if err != nil {
		t.Fatalf("Compile: %v", err)
	}
	return e
}

// TestCompileRefuses holds Compile to what it must not let pass, with the
// clause and the line in the text.
func TestCompileRefuses(t *testing.T) {
	base := protocol.Clause{Number: "2.1", Text: "x", Permit: true}
	with := func(change func(*protocol.Clause)) func(*protocol.Agreement) {
		return func(a *protocol.Agreement) {
			c := base
			change(&c)
			c.Line = 77
			a.Clauses = append(a.Clauses, c)
		}
	}
	for _, tc := range []struct {
		name   string
		change func(*protocol.Agreement)
		want   string
	}{
		{"unknown topic", with(func(c *protocol.Clause) { c.Topics = []string{"ioc"} }), `clause 2.1 (line 77): the agreement has no topic "ioc"`},
		{"unknown handle", with(func(c *protocol.Clause) { c.From.Parties = []string{"bonk"} }), `clause 2.1 (line 77): from: no party has the handle "bonk"`},
		{"unknown type", with(func(c *protocol.Clause) { c.Types = []string{"indicater"} }), `"indicater" is no type of STIX 2.1`},
		{"custom type without prefix", with(func(c *protocol.Clause) { c.Types = []string{"x-"} }), `"x-" is no type`},
		{"bad country", with(func(c *protocol.Clause) { c.To.Countries = []string{"de"} }), `"de" is no country`},
		{"bad kind", with(func(c *protocol.Clause) { c.To.Kinds = []string{"Company"} }), `"Company" is no kind or role`},
		{"bad role", with(func(c *protocol.Clause) { c.To.Roles = []string{""} }), `"" is no kind or role`},
		{"from the public", with(func(c *protocol.Clause) { c.From.Public = true }), "the public publishes nothing"},
		{"to the public of a private agreement", with(func(c *protocol.Clause) { c.To.Public = true }), "the agreement is private"},
		{"public and others", with(func(c *protocol.Clause) { c.To = protocol.Selector{Public: true, Kinds: []string{"cert"}} }), "public stands alone"},
		{"marking over RED", with(func(c *protocol.Clause) { c.Marks = []protocol.Marking{6} }), "markings: 6 is no TLP level"},
		{"no marking", with(func(c *protocol.Clause) { c.Marks = []protocol.Marking{0} }), "markings: 0 is no TLP level"},
		{"max over RED", with(func(c *protocol.Clause) { c.Max = 9 }), "max: 9 is no TLP level"},
		{"max under markings", with(func(c *protocol.Clause) { c.Max, c.Marks = protocol.Green, []protocol.Marking{protocol.Amber} }), "it can never apply"},
		{"ends before it starts", with(func(c *protocol.Clause) { c.Starts, c.Ends = testUntil, testFrom }), "it ends (2026-01-01) before it starts (2027-01-01)"},
		{"class that is none", with(func(c *protocol.Clause) { c.If.Classes = protocol.Operational | protocol.UnknownClass }), "classes: a number that stands for no subject class"},
		{"PAP over RED", with(func(c *protocol.Clause) { c.If.PAP = 5 }), "max-pap: 5 is no PAP level"},
		{"confidence over 100", with(func(c *protocol.Clause) { c.If.Confidence = 101 }), "confidence: 101 is not from 1 to 100"},
		{"confidence below 0", with(func(c *protocol.Clause) { c.If.Confidence = -1 }), "confidence: -1 is not"},
		{"age without unit", with(func(c *protocol.Clause) { c.If.Age = protocol.Period{Count: 3} }), "age: a period without a unit"},
		{"age without count", with(func(c *protocol.Clause) { c.If.Age = protocol.Period{Unit: protocol.Days} }), "age: 0 is no count"},
		{"age without end", with(func(c *protocol.Clause) { c.If.Age = protocol.Period{Count: 1 << 40, Unit: protocol.Years} }), "is no count from 1 to 10000"},
		{"unknown purpose", with(func(c *protocol.Clause) { c.If.Purposes = []string{"sport"} }), `purposes: "sport" is no purpose`},
		{"forbids for a purpose", with(func(c *protocol.Clause) { c.Permit, c.If.Purposes = false, []string{"oversight"} }), "a clause that forbids asks for no purpose"},
		{"purpose of the public", func(a *protocol.Agreement) {
			a.Visibility, a.Topics[0].Default = protocol.Public, protocol.Clear
			a.Clauses[0].To.Public, a.Clauses[0].If.Purposes = true, []string{"oversight"}
		}, "the public states no purpose"},
		{"unknown contribution", with(func(c *protocol.Clause) { c.If.Contribution = "gives" }), `contribution: the agreement has none of the name "gives"`},
		{"contribution twice", func(a *protocol.Agreement) { a.Scores = []protocol.Contribution{{Name: "gives"}, {Name: "gives"}} }, `contribution name "gives" is empty or stands twice`},
		{"forbids with obligations", with(func(c *protocol.Clause) { c.Permit, c.Then = false, &protocol.Obligations{AtRest: true} }), "a clause that forbids has no obligations"},
		{"unknown thing", with(func(c *protocol.Clause) { c.Then = &protocol.Obligations{Redact: []string{"victim"}} }), `redact: "victim" is none of the words`},
		{"unknown pseudonym", with(func(c *protocol.Clause) { c.Then = &protocol.Obligations{Pseudonymise: []string{""}} }), `pseudonymise: ""`},
		{"unknown action", with(func(c *protocol.Clause) { c.Then = &protocol.Obligations{Actions: []string{"block"}} }), `actions: "block"`},
		{"unknown onward", with(func(c *protocol.Clause) { c.Then = &protocol.Obligations{Onward: 9} }), "stands for nothing"},
		{"permits everywhere", with(func(c *protocol.Clause) { c.Everywhere = true }), "only a clause that forbids reaches beyond"},
		{"survives without own use", with(func(c *protocol.Clause) { c.Survives = true }), "survives: only a clause that permits"},
		{"forbids and survives", func(a *protocol.Agreement) {
			a.Use.After = protocol.UseUntilRetention
			a.Clauses[0].Permit, a.Clauses[0].Survives = false, true
		}, "survives: only a clause that permits"},
		{"default class that is none", func(a *protocol.Agreement) { a.Topics[0].Class = 1 << 9 }, "topic iocs: its default class is none"},
		{"no number", with(func(c *protocol.Clause) { c.Number = "" }), "clause without name (line 77): it has no number"},
		{"number twice", with(func(c *protocol.Clause) { c.Number = "1" }), "clause 1 (line 77): this number stands on line 40 already"},
		{"no id", func(a *protocol.Agreement) { a.ID = protocol.AgreementID{} }, "it has no id"},
		{"no visibility", func(a *protocol.Agreement) { a.Visibility = "open" }, `visibility is "open"`},
		{"ends at its beginning", func(a *protocol.Agreement) { a.Until = a.From }, "it ends (2026-01-01) before it begins"},
		{"party twice", func(a *protocol.Agreement) { a.Parties[1].ID = a.Parties[0].ID }, "have the same id"},
		{"handle twice", func(a *protocol.Agreement) { a.Parties[1].Handle = "bank" }, `party handle "bank" is empty or stands twice`},
		{"party without id", func(a *protocol.Agreement) { a.Parties[2].ID = protocol.MemberID{} }, "party cert has no id"},
		{"topic twice", func(a *protocol.Agreement) { a.Topics[1].Name = "iocs" }, `topic name "iocs" is empty or stands twice`},
		{"default RED", func(a *protocol.Agreement) { a.Topics[0].Default = protocol.Red }, "never goes on a topic"},
		{"default GREEN in public", func(a *protocol.Agreement) { a.Visibility = protocol.Public }, "a public agreement carries TLP:CLEAR only"},
		{"too many parties", func(a *protocol.Agreement) { a.Parties = make([]protocol.Party, maxParties+1) }, "4097 parties: at most 4096"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := alliance(protocol.Clause{Number: "1", Permit: true, Text: "all"})
			tc.change(a)
			_, err := Compile(member("bank"), []*protocol.Agreement{a})
			if err == nil {
				t.Fatal("compiled, though it must not")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q does not say %q", err, tc.want)
			}
			if protocol.KindOf(err) != protocol.Invalid {
				t.Errorf("kind %v, want invalid input", protocol.KindOf(err))
			}
			if protocol.HintOf(err) == "" {
				t.Error("no hint")
			}
		})
	}
}

// TestCompileRefusesSets holds Compile to what concerns more than one clause.
func TestCompileRefusesSets(t *testing.T) {
	t.Run("one agreement twice", func(t *testing.T) {
		a := alliance()
		_, err := Compile(member("bank"), []*protocol.Agreement{a, a})
		if protocol.KindOf(err) != protocol.Conflict {
			t.Errorf("got %v, want a conflict", err)
		}
	})
	t.Run("clauses times topics", func(t *testing.T) {
		a := alliance()
		for len(a.Topics) < 100 {
			a.Topics = append(a.Topics, protocol.Topic{Name: "t" + strings.Repeat("x", len(a.Topics))})
		}
		for i := 0; i < maxClauses; i++ {
			a.Clauses = append(a.Clauses, protocol.Clause{Number: string(rune('一' + i)), Permit: true})
		}
		if _, err := CompileAgreement(a); protocol.KindOf(err) != protocol.Limit {
			t.Errorf("got %v, want a limit", err)
		}
	})
}

// TestFloor walks the markings through a private and a public agreement that
// permit everything: nothing lifts the floor.
func TestFloor(t *testing.T) {
	private := compileOne(t, "bank", alliance(protocol.Clause{Number: "1", Permit: true, Text: "all to all"}))
	open := alliance(protocol.Clause{Number: "1", Permit: true, Text: "all to anyone", To: protocol.Selector{Public: true}})
	open.Visibility = protocol.Public
	open.Topics[0].Default = protocol.Clear
	public := compileOne(t, "bank", open)
	for m := protocol.Clear; m <= 7; m++ {
		s := Subject{Type: "indicator", Marking: m}
		v := private.Outbound(open.ID, "iocs", member("bank"), s, testNow)
		if want := m < protocol.Red; (v.Outcome == Allow) != want {
			t.Errorf("private %v: %v", m, v.Outcome)
		}
		if m >= protocol.Red && (v.Outcome != Withhold || v.Layer != Floor || len(v.Denied) != 2 || len(v.Readers) != 1) {
			t.Errorf("private %v: want withheld from both others by the floor, got %+v", m, v)
		}
		v = public.Outbound(open.ID, "iocs", member("bank"), s, testNow)
		if want := m == protocol.Clear; (v.Outcome == Allow) != want {
			t.Errorf("public %v: %v", m, v.Outcome)
		}
		stranger := Reader{Member: member("stranger")}
		for _, reader := range []Reader{{}, stranger} {
			if d := private.Read(reader, open.ID, "iocs", member("bank"), s, testNow); d.Outcome == Allow {
				t.Errorf("private %v is readable by one who is no party", m)
			}
			d := public.Read(reader, open.ID, "iocs", member("bank"), s, testNow)
			if want := m == protocol.Clear; (d.Outcome == Allow) != want {
				t.Errorf("public %v read by nobody: %v", m, d.Outcome)
			}
		}
	}
	forged := Subject{Type: "indicator", Marking: protocol.Clear, Problem: "marking-definition--1 says it is TLP:CLEAR"}
	v := private.Outbound(open.ID, "iocs", member("bank"), forged, testNow)
	if v.Outcome != Withhold || v.Marking != protocol.Red || !strings.Contains(v.Text, forged.Problem) {
		t.Errorf("forged marking: %+v", v.Decision)
	}
	if d := private.Inbound(open.ID, "iocs", member("vendor"), forged, testNow); d.Outcome != Refuse || !strings.Contains(d.Text, forged.Problem) {
		t.Errorf("forged marking inbound: %+v", d)
	}
}
