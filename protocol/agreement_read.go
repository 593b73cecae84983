package protocol

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Limits of an agreement.
const (
	maxParties = 1000
	maxTopics  = 200
	maxClauses = 5000
	maxWords   = 1000 // of one list in a clause
)

// PartyKinds returns the closed vocabulary of kinds of party.
func PartyKinds() []string {
	return []string{"company", "vendor", "government", "cert", "law-enforcement", "platform", "research", "ngo", "isac", "critical-infrastructure"}
}

// ParseAgreement reads an agreement strictly: known fields and words only. The
// error is of kind Invalid or Limit and shows the line with a caret under the
// fault. Nothing about signatures or earlier versions is checked.
func ParseAgreement(payload []byte) (*Agreement, error) {
	const op = "read agreement"
	r, f, err := readYAML(payload)
	if err != nil {
		return nil, E(kindOfFault(err), op, err, "")
	}
	if kind := f.text("kind", true); kind != kindAgreement {
		r.fail(f.values["kind"], "this is %q; an agreement is %q", kind, kindAgreement)
	}
	if v := f.uint("format", true, 1<<31); v != 1 && r.fault == nil {
		r.fail(f.values["format"], "format %d is not known here; this program reads format 1", v)
	}
	a := &Agreement{Hash: PayloadHash(payload)}
	a.fillFrame(f)
	a.fillParties(f)
	a.fillTopics(f)
	a.fillClauses(f)
	a.fillCuts(f)
	f.done()
	a.checkFrame(f)
	if r.fault != nil {
		return nil, E(Invalid, op, r.fault, "")
	}
	if a.Version == 1 {
		a.ID = AgreementID(a.Hash)
	}
	return a, nil
}

func (a *Agreement) fillFrame(f *mapping) {
	a.Name, a.Title = f.text("name", true), f.text("title", true)
	a.Version = f.uint("version", true, 1<<53)
	if a.Version > 1 {
		a.ID = AgreementID(f.hash("agreement", true))
	}
	for _, n := range f.list("previous", 8) {
		h, err := ParseHash(f.r.text1(n))
		if err != nil {
			f.r.fail(n, "%v", err)
		}
		a.Previous = append(a.Previous, h)
	}
	a.Visibility = Visibility(f.text("visibility", true))
	if a.Visibility == Private {
		f.hash("secret", true)
	}
	if d := f.mapping("dates"); d != nil {
		a.From, a.Until = d.time("from", true), d.time("until", true)
		d.done()
	}
	if b := f.mapping("legal-basis"); b != nil {
		a.LegalBasis = LegalBasis{Text: b.text("text", true), Until: b.time("until", false)}
		b.done()
	}
	a.Amend = int(f.uint("amend", true, maxParties))
	a.Community, a.Clients = f.text("community", false), f.text("clients", false)
}

func (a *Agreement) fillParties(f *mapping) {
	for _, p := range f.mappings("parties", maxParties) {
		party := Party{
			Handle: p.text("handle", true), Name: p.text("name", true), ID: MemberID(p.hash("id", true)), Root: p.key("root"),
			Kind: p.text("kind", true), Country: p.text("country", false), Roles: p.texts("roles", 32, checkHandle),
		}
		p.done()
		p.check("handle", checkHandle(party.Handle))
		if !slices.Contains(PartyKinds(), party.Kind) {
			p.fail("kind", "%q is no kind of party; the kinds are %s", party.Kind, strings.Join(PartyKinds(), ", "))
		}
		if party.Country != "" {
			p.check("country", checkCountry(party.Country))
		}
		for _, other := range a.Parties {
			switch {
			case other.Handle == party.Handle:
				p.fail("handle", "two parties are called %q", party.Handle)
			case other.ID == party.ID:
				p.fail("id", "%s has this id already", other.Handle)
			case other.Root == party.Root:
				p.fail("root", "%s has this root key already; one key never serves two parties", other.Handle)
			}
		}
		a.Parties = append(a.Parties, party)
	}
}

// fail faults a field, or the mapping where the field is missing.
func (f *mapping) fail(name, format string, args ...any) {
	if n := f.values[name]; n != nil {
		f.r.fail(n, format, args...)
		return
	}
	f.r.fail(f.at, format, args...)
}

func (f *mapping) check(name string, err error) {
	if err != nil {
		f.fail(name, "%v", err)
	}
}

func checkCountry(s string) error {
	if len(s) != 2 || s[0] < 'A' || s[0] > 'Z' || s[1] < 'A' || s[1] > 'Z' {
		return fmt.Errorf("%q is no country code; one is two capital letters (ISO 3166-1)", s)
	}
	return nil
}

func (a *Agreement) fillTopics(f *mapping) {
	for _, t := range f.mappings("topics", maxTopics) {
		topic := Topic{Name: t.text("name", true), Description: t.text("description", false), Default: t.marking("default-marking")}
		t.done()
		t.check("name", checkHandle(topic.Name))
		if topic.Default == Red {
			t.fail("default-marking", "RED is for named recipients, never the default of a topic")
		}
		if a.Visibility == Public && topic.Default > Clear {
			t.fail("default-marking", "only TLP:CLEAR passes on a topic of a public agreement")
		}
		if slices.ContainsFunc(a.Topics, func(o Topic) bool { return o.Name == topic.Name }) {
			t.fail("name", "two topics are called %q", topic.Name)
		}
		a.Topics = append(a.Topics, topic)
	}
}

func (f *mapping) marking(name string) Marking {
	n := f.node(name, false)
	if n == nil {
		return NoMarking
	}
	m, err := ParseMarking(f.r.text1(n))
	if err != nil {
		f.r.fail(n, "%v", err)
	}
	return m
}

func (a *Agreement) fillClauses(f *mapping) {
	numbers := map[string]bool{}
	for _, c := range f.mappings("clauses", maxClauses) {
		clause := Clause{Number: c.label("number"), Text: c.text("text", true), Line: c.line()}
		switch effect := c.text("effect", true); effect {
		case "permit":
			clause.Permit = true
		case "forbid":
		default:
			c.fail("effect", "%q is no effect; a clause permits or forbids: permit, forbid", effect)
		}
		clause.From, clause.To = a.selector(c, "from"), a.selector(c, "to")
		clause.Topics = c.texts("topics", maxTopics, a.knowsTopic)
		clause.Types = c.texts("types", maxWords, checkType)
		for _, n := range c.list("markings", 5) {
			m, err := ParseMarking(f.r.text1(n))
			if err != nil {
				f.r.fail(n, "%v", err)
			}
			clause.Marks = append(clause.Marks, m)
		}
		clause.Max = c.marking("max-marking")
		clause.Starts, clause.Ends = c.time("from-date", false), c.time("until-date", false)
		c.done()
		if !clause.Starts.IsZero() && !clause.Ends.IsZero() && !clause.Starts.Before(clause.Ends) {
			c.fail("until-date", "the clause ends before it begins")
		}
		if a.Visibility == Public && clause.Permit && clause.Max > Clear {
			c.fail("max-marking", "only TLP:CLEAR passes on a topic of a public agreement")
		}
		if numbers[clause.Number] {
			c.fail("number", "two clauses have the number %s", clause.Number)
		}
		numbers[clause.Number] = true
		a.Clauses = append(a.Clauses, clause)
	}
}

func (f *mapping) line() int {
	for _, n := range []ast.Node{f.keys["number"], f.at} {
		if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
			return n.GetToken().Position.Line
		}
	}
	return 0
}

func (a *Agreement) knowsTopic(name string) error {
	if !slices.ContainsFunc(a.Topics, func(t Topic) bool { return t.Name == name }) {
		return fmt.Errorf("the agreement has no topic %q", name)
	}
	return nil
}

func checkType(s string) error {
	if len(s) < 3 || len(s) > 250 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("%q is no name of a STIX object type", s)
	}
	return nil
}

func (a *Agreement) selector(c *mapping, name string) Selector {
	if !c.has(name) {
		return Selector{}
	}
	f := c.mapping(name)
	if f == nil {
		return Selector{}
	}
	s := Selector{
		Parties: f.texts("parties", maxParties, func(h string) error {
			if !slices.ContainsFunc(a.Parties, func(p Party) bool { return p.Handle == h }) {
				return fmt.Errorf("no party is called %q", h)
			}
			return nil
		}),
		Kinds: f.texts("kinds", 32, func(k string) error {
			if !slices.Contains(PartyKinds(), k) {
				return fmt.Errorf("%q is no kind of party; the kinds are %s", k, strings.Join(PartyKinds(), ", "))
			}
			return nil
		}),
		Countries: f.texts("countries", 250, checkCountry),
		Roles:     f.texts("roles", 32, checkHandle),
		Public:    f.bool("public"),
	}
	f.done()
	if s.Public && (name == "from" || a.Visibility != Public) {
		f.fail("public", "only a clause of a public agreement may speak of the public, as readers")
	}
	return s
}

func (a *Agreement) fillCuts(f *mapping) {
	for _, c := range f.mappings("cuts", maxClosings) {
		cut := Cut{Member: MemberID(c.hash("member", true)), Log: c.hash("log", true), Position: c.position()}
		c.done()
		a.Cuts = append(a.Cuts, cut)
	}
}

func (a *Agreement) checkFrame(f *mapping) {
	f.check("name", checkHandle(a.Name))
	n := len(a.Parties)
	needed := n/2 + 1
	switch {
	case a.Version == 0:
		f.fail("version", "versions begin with 1")
	case a.Version == 1 && len(a.Previous) > 0:
		f.fail("previous", "the first version has none before it")
	case a.Version > 1 && len(a.Previous) == 0:
		f.fail("previous", "a later version names the hash of the one before it")
	case a.Visibility != Private && a.Visibility != Public:
		f.fail("visibility", "%q; an agreement is private or public", a.Visibility)
	case !a.From.Before(a.Until):
		f.fail("dates", "it ends before it begins")
	case n == 0:
		f.fail("parties", "an agreement has parties")
	case n == 1 && a.Visibility == Private:
		f.fail("parties", "a private agreement has two parties at least")
	case a.Amend < needed || a.Amend > n:
		f.fail("amend", "%d of %d parties: the threshold is above half and at most all, %d to %d", a.Amend, n, needed, n)
	case len(a.Topics) == 0:
		f.fail("topics", "an agreement has topics")
	case len(a.Clauses) == 0:
		f.fail("clauses", "an agreement without clauses permits nothing")
	}
}
