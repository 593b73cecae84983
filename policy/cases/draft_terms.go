package cases

import (
	"fmt"
	"strings"
	"time"

	"entente/policy"
	"entente/protocol"
)

// terms are what a drafted case says beyond type, marking and parties.
type terms struct {
	classes    protocol.Class
	pap        protocol.PAP
	confidence int
	context    bool
	modified   time.Time
	purpose    string
	entitled   string // a contribution by which its reader is entitled
	encrypted  bool
}

// termsOf returns those under which a clause speaks, at their lowest: of its own
// class, then of each other that it names or need not name, then of all of them.
func (d *drafter) termsOf(c *protocol.Clause) []terms {
	t := terms{pap: c.If.PAP, confidence: c.If.Confidence, context: c.If.Context, entitled: c.If.Contribution}
	if len(c.If.Purposes) > 0 {
		t.purpose = c.If.Purposes[0]
	}
	for i := range d.of.Clauses {
		if o := d.of.Clauses[i].Then; o != nil && o.AtRest {
			t.encrypted = true
		}
	}
	var out []terms
	if c.If.Classes == 0 {
		out = append(out, t)
	}
	for class := protocol.Operational; class <= protocol.PersonalData; class <<= 1 {
		if c.If.Classes&class != 0 || c.If.Classes == 0 && !c.Permit {
			t.classes = class
			out = append(out, t)
		}
	}
	if t.classes = c.If.Classes; t.classes != 0 {
		out = append(out, t)
	}
	return out
}

// farSides keeps cases like one that a clause decides, each but for one condition
// of it; and one after the end, where it survives.
func (d *drafter) farSides(c *protocol.Clause, decided drafted) {
	but := func(given bool, what string, change func(*drafted)) {
		if !given {
			return
		}
		k := decided
		change(&k)
		d.again(k, k.at, fmt.Sprintf("clause %s does not speak of it %s", c.Number, what))
	}
	but(c.If.Classes != 0 && c.If.Classes != protocol.PersonalData<<1-1, "when it is of another class", func(k *drafted) {
		for class := protocol.Operational; class <= protocol.PersonalData; class <<= 1 {
			if c.If.Classes&class == 0 {
				k.terms.classes = class
			}
		}
	})
	but(c.If.PAP != protocol.NoPAP && c.If.PAP < protocol.PAPRed, "when its PAP level is higher", func(k *drafted) { k.terms.pap++ })
	but(c.If.Context, "without context", func(k *drafted) { k.terms.context = false })
	but(c.If.Confidence > 0, "with less confidence", func(k *drafted) { k.terms.confidence-- })
	but(!c.If.Age.IsZero(), "when it is too old", func(k *drafted) { k.terms.modified = c.If.Age.Before(k.at) })
	but(len(c.If.Purposes) > 0, "for no purpose", func(k *drafted) { k.terms.purpose = "" })
	but(c.If.Contribution != "", "for who did not contribute", func(k *drafted) { k.terms.entitled = "" })
	if c.Survives {
		k := decided
		if k.at = d.of.Until; !c.If.Age.IsZero() {
			k.terms.modified = k.at
		}
		d.again(k, k.at, fmt.Sprintf("clause %s goes on after the end", c.Number))
	}
}

// subject is the object of the case.
func (t *terms) subject(typ string, m protocol.Marking) policy.Subject {
	s := policy.Subject{Type: typ, Marking: m, Classes: t.classes, PAP: t.pap, Confidence: t.confidence, Context: t.context, Modified: t.modified}
	if typ == "user-account" || typ == "email-message" {
		s.Inherent = protocol.PersonalData
	}
	return s
}

// facts are what the answer rests on beside the agreement.
func (t *terms) facts(reader protocol.MemberID, at time.Time) *policy.Facts {
	out := &policy.Facts{Encrypted: t.encrypted}
	if t.entitled != "" {
		out.Entitled = map[string]map[protocol.MemberID]time.Time{t.entitled: {reader: at.AddDate(1, 0, 0)}}
	}
	return out
}

// fields writes what stands in the object.
func (t *terms) fields() string {
	var b strings.Builder
	if t.classes != 0 {
		fmt.Fprintf(&b, ", classes: [%s]", t.classes)
	}
	if t.pap != protocol.NoPAP {
		fmt.Fprintf(&b, ", pap: %s", t.pap)
	}
	if t.confidence > 0 {
		fmt.Fprintf(&b, ", confidence: %d", t.confidence)
	}
	if t.context {
		b.WriteString(", context: true")
	}
	if !t.modified.IsZero() {
		fmt.Fprintf(&b, ", modified: %s", t.modified.UTC().Format("2006-01-02T15:04:05Z"))
	}
	return b.String()
}

// lines writes what stands beside it.
func (t *terms) lines(reader string) string {
	var b strings.Builder
	if t.purpose != "" {
		fmt.Fprintf(&b, "    purpose: %s\n", t.purpose)
	}
	var facts []string
	if t.encrypted {
		facts = append(facts, "encrypted: true")
	}
	if t.entitled != "" {
		facts = append(facts, fmt.Sprintf("entitled: [{contribution: %s, parties: [%s]}]", plain(t.entitled), plain(reader)))
	}
	if len(facts) > 0 {
		fmt.Fprintf(&b, "    facts: {%s}\n", strings.Join(facts, ", "))
	}
	return b.String()
}

// obligations writes them as a case has them.
func obligations(o *protocol.Obligations) string {
	var out []string
	for _, one := range duties(o) {
		field, value, _ := strings.Cut(one, " ")
		switch field {
		case "redact", "pseudonymise", "actions":
			value = "[" + value + "]"
		case "licence":
			value = fmt.Sprintf("%q", value)
		}
		out = append(out, field+": "+value)
	}
	return strings.Join(out, ", ")
}
