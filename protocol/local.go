package protocol

import (
	"bytes"
	"slices"
	"time"
)

// Limits of local rules (documents spec, "Local rules").
const (
	maxLocal      = 1000 // clauses
	maxAgreements = 200  // that one clause names
)

// LocalRules are the operator's own rules for one node, which only narrow what
// agreements permit. Only ParseLocalRules makes them; they are not to be changed.
type LocalRules struct {
	Hash    Hash   // of the text
	Source  []byte // the text as it was read
	Title   string
	Clauses []LocalClause
}

// LocalClause is a clause that forbids. Its handles, topics and roles are those of
// each agreement that it binds in; in one that does not have them it names nobody.
type LocalClause struct {
	Clause
	Agreements []string    // names or ids in hexadecimal; empty: all
	Unless     *Conditions // it does not forbid what meets all of these; nil: nothing is spared
}

// Binds reports whether the clause binds under an agreement.
func (c *LocalClause) Binds(id AgreementID, name string) bool {
	return len(c.Agreements) == 0 || slices.Contains(c.Agreements, name) || slices.Contains(c.Agreements, id.String())
}

// ParseLocalRules reads local rules strictly (documents spec, "Local rules"), with
// the reader of agreements. Errors are Invalid or Limit and wrap a *FaultError
// where there is a place to show.
func ParseLocalRules(text []byte) (*LocalRules, error) {
	rules := &LocalRules{Hash: PayloadHash(text), Source: bytes.Clone(text)}
	err := readForm(text, "read local rules", []string{kindLocal}, func(root section, _ string) {
		// What an agreement would define is known only where the rules are applied.
		a := &Agreement{Until: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}
		r := &agreementReader{section: root, a: a, local: true}
		r.what = "a file of local rules"
		r.only("kind", "format", "title", "clauses")
		rules.Title = one(root, "title", false, lineText)
		r.readLocal(rules)
	})
	if err != nil {
		return nil, err
	}
	return rules, nil
}

func (r *agreementReader) readLocal(rules *LocalRules) {
	numbers := map[string]int{}
	r.get("clauses", true)
	r.each("clauses", maxLocal, func(n *yamlNode) {
		s := r.group(n, "a clause of local rules", "number", "text", "effect", "agreements", "from", "to", "topics", "types",
			"markings", "max-marking", "from-date", "until-date", "conditions", "unless")
		c := LocalClause{Clause: r.readClause(s, numbers), Agreements: many(s, "agreements", maxAgreements, handle)}
		if c.Permit {
			s.failAt("effect", "local rules only narrow, so each of them says \"forbid\"; what may be shared at all is for agreements to permit")
		}
		if n := s.get("unless", false); n != nil && s.fault == nil {
			spared := Clause{Permit: true, To: c.To}
			r.readConditions(s, n, &spared)
			c.Unless = &spared.If
		}
		r.checkClause(s, &c.Clause)
		if c.Max != NoMarking && len(c.Marks) > 0 && slices.Min(c.Marks) > c.Max {
			s.failAt("markings", "the clause never applies: all its markings are above its max-marking, %s", c.Max)
		}
		rules.Clauses = append(rules.Clauses, c)
	})
}

// IsLocalRules reports whether a text says that it is local rules, by its field
// "kind". A text that cannot be read at all is none.
func IsLocalRules(text []byte) bool {
	found := false
	err := readForm(text, "read", []string{kindAgreement, kindRecord, kindProfile, kindLocal}, func(_ section, kind string) {
		found = kind == kindLocal
	})
	return err == nil && found
}
