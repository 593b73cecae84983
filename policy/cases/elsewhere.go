package cases

import (
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"entente/policy"
	"entente/protocol"
)

// elsewhere is a reader under another agreement, who could have all that this
// agreement does not keep from it: what clauses of scope everywhere are tried with.
type elsewhere struct {
	elsewhereFields
	place *token.Token
}

type elsewhereFields struct {
	Kind    word  `yaml:"kind"`
	Country word  `yaml:"country"`
	Roles   words `yaml:"roles"`
	Public  word  `yaml:"public"`
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (e *elsewhere) UnmarshalYAML(node ast.Node) error {
	e.place = node.GetToken()
	return group(node, &e.elsewhereFields)
}

// check refuses what is no reader, and what such a case cannot say.
func (e *elsewhere) check(c *Case) error {
	open, err := flag(e.Public)
	switch {
	case err != nil:
		return err
	case open == e.Kind.given() || open && (e.Country.given() || e.Roles.given):
		return wrong(e.place, "somebody elsewhere has a kind, and may have a country and roles, or is \"public: true\" alone")
	case !open && !slices.Contains(protocol.PartyKinds(), e.Kind.text):
		return wrong(e.Kind.place, "%.40q is no kind of party; the kinds are %s", e.Kind.text, sorted(setOf(protocol.PartyKinds())))
	case c.to.given, c.readers.given, c.strict:
		return wrong(e.place, "\"to\", \"readers\" and \"obligations\" do not go with \"elsewhere\": there another agreement says who reads, and what obliges")
	}
	return nil
}

func setOf(list []string) map[string]bool {
	out := map[string]bool{}
	for _, w := range list {
		out[w] = true
	}
	return out
}

// outside asks whether what is forbidden everywhere keeps an object that came
// under these rules from somebody under another agreement, which itself permits
// everything.
func (r *runner) outside(rules *policy.Rules, q *question) Answer {
	e := q.of.elsewhere
	open := e.Public.text == "true"
	giver := protocol.Party{Handle: "giver", ID: protocol.MemberID{1}, Kind: "company"}
	taker := protocol.Party{Handle: "taker", ID: protocol.MemberID{2}, Kind: e.Kind.text, Country: e.Country.text}
	for _, w := range e.Roles.list {
		taker.Roles = append(taker.Roles, w.text)
	}
	other := &protocol.Agreement{
		ID: protocol.AgreementID{1}, Name: "elsewhere", Version: 1, Visibility: protocol.Private, From: q.at, Until: q.at.AddDate(1, 0, 0),
		Parties: []protocol.Party{giver, taker}, Use: protocol.Use{After: protocol.UseStops},
		Clauses: []protocol.Clause{{Number: "1", Text: "Nothing forbids it.", Permit: true, If: protocol.Conditions{Classes: protocol.PersonalData<<1 - 1}}},
	}
	reader := policy.Reader{Member: taker.ID, Remote: true}
	if open {
		other.Visibility, other.Parties = protocol.Public, other.Parties[:1]
		other.Clauses[0].To.Public = true
		reader = policy.Reader{}
	}
	for _, t := range r.agreement.Topics {
		if t.Name == q.topic {
			if open {
				t.Default = protocol.NoMarking // nothing is public because nobody marked it
			}
			other.Topics = []protocol.Topic{t}
		}
	}
	there, err := policy.CompileAgreement(other)
	if err != nil {
		return Answer{Outcome: policy.Refuse.String(), Layer: policy.Form.String(), Text: err.Error()}
	}
	engine, _ := policy.NewEngine(giver.ID, rules, there)
	s := q.subject
	s.Origins = []policy.Origin{{Agreement: r.agreement.ID, Topic: q.topic, Author: q.author, Subject: q.subject}}
	d := engine.Read(reader, other.ID, q.topic, giver.ID, s, q.at)
	if d.Agreement != r.agreement.ID {
		d.Clause = "" // of the other agreement
	}
	a := answerOf(policy.Verdict{Decision: d})
	a.Reader = "elsewhere"
	return a
}
