package protocol

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Class is a set of subject classes: what an object is about, as far as law and
// agreements tell subjects apart. An object may be of several.
type Class uint16

// The subject classes (documents spec, "Subject classes").
const (
	Operational    Class = 1 << iota // attacks, how they are made and how they are stopped
	Criminal                         // persons and acts under criminal investigation
	PolicyDialogue                   // positions, requests and answers between states and companies
	Political                        // political opinion or activity
	Military                         // armed forces and their operations
	Religious                        // belief
	Racial                           // race or ethnic origin
	PersonalData                     // natural persons, whoever they are

	UnknownClass Class = 1 << 15 // of an object that declares a class which is not known here: no clause can name it
)

// classWords are the words for the classes, in the order of their bits.
func classWords() []string {
	return []string{"operational", "criminal", "policy-dialogue", "political", "military", "religious", "racial", "personal-data"}
}

// ParseClass reads the word for one class.
func ParseClass(s string) (Class, error) {
	for i, w := range classWords() {
		if w == s {
			return 1 << i, nil
		}
	}
	return 0, knownWord("subject class", s, classWords())
}

// String returns the words for the classes, with " and " between.
func (c Class) String() string {
	var words []string
	for i, w := range classWords() {
		if c&(1<<i) != 0 {
			words = append(words, w)
		}
	}
	if c&UnknownClass != 0 {
		words = append(words, "a class that is not known here")
	}
	return strings.Join(words, " and ")
}

// PAP is a level of the Permissible Actions Protocol, which says how visibly a
// recipient may act on an object.
type PAP uint8

// The PAP levels, from the widest to the narrowest. NoPAP is the mark of objects
// without one.
const (
	NoPAP PAP = iota
	PAPClear
	PAPGreen
	PAPAmber
	PAPRed
)

func papWords() []string { return []string{"PAP:CLEAR", "PAP:GREEN", "PAP:AMBER", "PAP:RED"} }

// ParsePAP reads a level as it is written, "PAP:AMBER"; "PAP:WHITE" is the older
// word for "PAP:CLEAR".
func ParsePAP(s string) (PAP, error) {
	if s == "PAP:WHITE" {
		return PAPClear, nil
	}
	for i, w := range papWords() {
		if w == s {
			return PAP(i + 1), nil
		}
	}
	return NoPAP, knownWord("PAP level", s, papWords())
}

// String returns the label, or "no PAP level".
func (p PAP) String() string {
	if p == NoPAP || p > PAPRed {
		return "no PAP level"
	}
	return papWords()[p-1]
}

// Conditions narrow what a clause speaks of. The zero Conditions narrow nothing,
// but for classes: a clause that permits and names none permits what is
// operational and nothing else.
type Conditions struct {
	Classes      Class    // of a permit: all classes of the object are among them; of a forbid: one of them is
	PAP          PAP      // the highest level; NoPAP: any
	Purposes     []string // the reader states one of them; empty: none need be stated
	Context      bool     // the object says what it means (documents spec, "Context")
	Confidence   int      // at least this, 1 to 100; zero: not asked
	Age          Period   // modified no longer ago than this; zero: not asked
	Contribution string   // the reader is entitled by this score; empty: not asked
}

// Obligations are what a permission demands of those who use it. Where several
// clauses permit, all their obligations hold, the strictest of each kind.
type Obligations struct {
	Redact       []string // things that are taken out before the object goes
	Pseudonymise []string // things that are replaced by pseudonyms of this agreement
	Retain       Period   // kept no longer than this after receipt; zero: no ceiling
	Review       Period   // after which a person looks whether it is still needed; zero: not asked
	Attribution  Attribution
	Onward       Onward
	Actions      []string  // FIRST IEP 2.0, permitted actions; empty: any
	AtRest       bool      // kept on encrypted disks only
	Notify       Notify    // FIRST IEP 2.0, affected party notifications
	Licence      string    // a line that goes with every export
	Embargo      time.Time // until then neither passed on nor acted on visibly; zero: none
}

// Attribution says whether a recipient names the source.
type Attribution uint8

// The words for attribution (FIRST IEP 2.0, provider attribution).
const (
	AttributionFree    Attribution = iota // may: left out, or "may"
	AttributionMust                       // the object names its source, and so does who passes it on
	AttributionMustNot                    // neither the object nor who passes it on names the source
)

func attributionWords() []string { return []string{"may", "must", "must-not"} }

// String returns the word.
func (a Attribution) String() string { return attributionWords()[min(int(a), 2)] }

// Onward says to whom a recipient may pass an object on.
type Onward uint8

// The words for onward sharing, from the narrowest to the widest but for
// OnwardOpen, where the clause says nothing and TLP alone decides.
const (
	OnwardOpen    Onward = iota
	OnwardNever          // nobody
	OnwardAsk            // whom the source has granted it
	OnwardClients        // the recipient's clients, as the agreement defines them
	OnwardAny            // anybody whom its marking allows
)

func onwardWords() []string { return []string{"never", "ask", "clients", "any"} }

// String returns the word, or "".
func (o Onward) String() string {
	if o == OnwardOpen || o > OnwardAny {
		return ""
	}
	return onwardWords()[o-1]
}

// Notify says whether a recipient may tell those whom an object concerns.
type Notify uint8

// The words for notification.
const (
	NotifyFree Notify = iota
	NotifyMay
	NotifyMustNot
)

// Purposes returns the closed vocabulary of purposes.
func Purposes() []string {
	return []string{"network-defence", "incident-response", "threat-research", "product-protection", "victim-notification",
		"criminal-investigation", "prosecution", "policy-making", "oversight", "academic-research"}
}

// RedactionThings returns the closed vocabulary of what can be taken out of an
// object or replaced by pseudonyms (documents spec, "Redaction").
func RedactionThings() []string {
	return []string{"victims", "internal-addresses", "internal-names", "users", "recipients", "accounts", "credentials", "free-text"}
}

// PermittedActions returns the closed vocabulary of actions on an object, those of
// FIRST IEP 2.0.
func PermittedActions() []string {
	return []string{"none", "contact-first", "internally-visible", "externally-visible-indirect", "externally-visible-direct"}
}

// Period is a span of calendar time: "90 days", "5 years". The zero Period is none.
type Period struct {
	Count int
	Unit  PeriodUnit
}

// PeriodUnit is the unit of a Period.
type PeriodUnit uint8

// The units. Months and years are those of the calendar, in UTC.
const (
	Minutes PeriodUnit = iota + 1
	Hours
	Days
	Weeks
	Months
	Years
)

func unitWords() []string { return []string{"minute", "hour", "day", "week", "month", "year"} }

// maxPeriod bounds the count of a Period.
const maxPeriod = 10000

// ParsePeriod reads a count and a unit, singular or plural: "1 year", "90 days".
func ParsePeriod(s string) (Period, error) {
	count, unit, found := strings.Cut(s, " ")
	n, err := strconv.Atoi(count)
	for i, w := range unitWords() {
		if found && err == nil && n > 0 && n <= maxPeriod && strconv.Itoa(n) == count && (unit == w+"s" || unit == w && n == 1) {
			return Period{n, PeriodUnit(i + 1)}, nil
		}
	}
	return Period{}, fmt.Errorf("%.40q is no period; write a number from 1 to %d and minutes, hours, days, weeks, months or years: 90 days", s, maxPeriod)
}

// IsZero reports whether there is none.
func (p Period) IsZero() bool { return p == Period{} }

// String returns the period as ParsePeriod reads it.
func (p Period) String() string {
	if p.IsZero() || p.Unit > Years {
		return ""
	}
	word := unitWords()[p.Unit-1]
	if p.Count != 1 {
		word += "s"
	}
	return strconv.Itoa(p.Count) + " " + word
}

// After returns the moment a period after t, in UTC. A day that the month does
// not have is the last of it.
func (p Period) After(t time.Time) time.Time { return p.shift(t.UTC(), p.Count) }

// Before returns the moment a period before t, in UTC.
func (p Period) Before(t time.Time) time.Time { return p.shift(t.UTC(), -p.Count) }

func (p Period) shift(t time.Time, n int) time.Time {
	switch p.Unit {
	case Minutes:
		return t.Add(time.Duration(n) * time.Minute)
	case Hours:
		return t.Add(time.Duration(n) * time.Hour)
	case Days:
		return t.AddDate(0, 0, n)
	case Weeks:
		return t.AddDate(0, 0, 7*n)
	case Months:
		return shiftMonths(t, n)
	case Years:
		return shiftMonths(t, 12*n)
	}
	return t
}

// shiftMonths keeps the day within the month that it comes to.
func shiftMonths(t time.Time, n int) time.Time {
	first := t.AddDate(0, 0, 1-t.Day()).AddDate(0, n, 0)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

// Shorter returns the shorter of two periods, where zero is without end. Months
// count as 30 days and years as 365 in that comparison alone.
func (p Period) Shorter(q Period) Period {
	switch {
	case p.IsZero():
		return q
	case q.IsZero() || p.rough() <= q.rough():
		return p
	}
	return q
}

func (p Period) rough() time.Duration {
	span := [...]time.Duration{0, time.Minute, time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 365 * 24 * time.Hour}
	return time.Duration(p.Count) * span[min(p.Unit, Years)]
}
