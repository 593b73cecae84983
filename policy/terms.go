package policy

import (
	"fmt"
	"slices"

	"entente/protocol"
)

// allClasses are the subject classes that clauses can name.
const allClasses = protocol.PersonalData<<1 - 1

// isClass reports whether c is a set of classes that clauses can name.
func isClass(c protocol.Class) bool { return c != 0 && c&^allClasses == 0 }

// compileTerms makes the rest of a clause: conditions, and what it may say of
// obligations, scope and survival. ParseAgreement refuses the same; here stands
// what enforces it.
func (r *Rules) compileTerms(c *clause) error {
	source, ask := c.source, &c.source.If
	if c.classes = ask.Classes; c.classes == 0 {
		if c.classes = protocol.Operational; !source.Permit {
			c.classes = allClasses | protocol.UnknownClass
		}
	} else if !isClass(c.classes) {
		return fmt.Errorf("classes: a number that stands for no subject class")
	}
	switch {
	case ask.PAP > protocol.PAPRed:
		return fmt.Errorf("max-pap: %d is no PAP level", ask.PAP)
	case ask.Confidence < 0 || ask.Confidence > 100:
		return fmt.Errorf("confidence: %d is not from 1 to 100", ask.Confidence)
	case !source.Permit && (len(ask.Purposes) > 0 || ask.Contribution != ""):
		return fmt.Errorf("a clause that forbids asks for no purpose and no contribution")
	case source.To.Public && (len(ask.Purposes) > 0 || ask.Contribution != ""):
		return fmt.Errorf("the public states no purpose and contributes nothing")
	case !source.Permit && source.Then != nil:
		return fmt.Errorf("a clause that forbids has no obligations")
	case source.Permit && source.Everywhere:
		return fmt.Errorf("only a clause that forbids reaches beyond the agreement")
	case source.Survives && (!source.Permit || r.agreement.Use.After != protocol.UseUntilRetention):
		return fmt.Errorf("survives: only a clause that permits, of an agreement with own-use: until-retention")
	}
	for _, word := range ask.Purposes {
		i := slices.Index(protocol.Purposes(), word)
		if i < 0 {
			return fmt.Errorf("purposes: %q is no purpose", clip(word))
		}
		c.purposes |= 1 << i
	}
	if ask.Contribution != "" {
		i, ok := r.scores[ask.Contribution]
		if !ok {
			return fmt.Errorf("contribution: the agreement has none of the name %q", clip(ask.Contribution))
		}
		c.score = i
	}
	if err := c.compileAge(ask.Age); err != nil {
		return err
	}
	return checkObligations(source.Then)
}

// compileAge makes a span of an age: days and what is shorter are fixed, months
// and years are those of the calendar.
func (c *clause) compileAge(age protocol.Period) error {
	const second = int64(1e6)
	count := int64(age.Count)
	switch {
	case age.IsZero():
		return nil
	case age.Count < 1 || age.Count > 10000:
		return fmt.Errorf("age: %d is no count from 1 to 10000", age.Count)
	}
	switch age.Unit {
	case protocol.Minutes:
		c.span = count * 60 * second
	case protocol.Hours:
		c.span = count * 3600 * second
	case protocol.Days:
		c.span = count * 86400 * second
	case protocol.Weeks:
		c.span = count * 7 * 86400 * second
	case protocol.Months:
		c.months = age.Count
	case protocol.Years:
		c.months = 12 * age.Count
	default:
		return fmt.Errorf("age: a period without a unit")
	}
	return nil
}

// checkObligations refuses words that nobody could fulfil.
func checkObligations(o *protocol.Obligations) error {
	if o == nil {
		return nil
	}
	for _, list := range [...]struct {
		field string
		words []string
		known []string
	}{
		{"redact", o.Redact, protocol.RedactionThings()}, {"pseudonymise", o.Pseudonymise, protocol.RedactionThings()},
		{"actions", o.Actions, protocol.PermittedActions()},
	} {
		for _, word := range list.words {
			if !slices.Contains(list.known, word) {
				return fmt.Errorf("%s: %q is none of the words for it", list.field, clip(word))
			}
		}
	}
	if o.Attribution > protocol.AttributionMustNot || o.Onward > protocol.OnwardAny || o.Notify > protocol.NotifyMustNot {
		return fmt.Errorf("obligations: a number that stands for nothing")
	}
	return nil
}
