package cases

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"entente/policy"
	"entente/protocol"
)

// factsText are the facts of a case as they stand: what the decision rests on
// beside the agreement.
type factsText struct {
	Encrypted  word           `yaml:"encrypted"`
	ClearOnly  word           `yaml:"clear-only"`
	Terminated word           `yaml:"terminated"`
	Suspended  words          `yaml:"suspended"`
	Entitled   []entitledText `yaml:"entitled"`
}

type entitledText struct {
	Contribution word  `yaml:"contribution"`
	Parties      words `yaml:"parties"`
}

// facts turns them into those of the engine; nil where none are given.
func (r *runner) facts(c *Case) (*policy.Facts, error) {
	if c.facts == nil {
		return nil, nil
	}
	out := &policy.Facts{Suspended: map[protocol.MemberID]time.Time{}, Entitled: map[string]map[protocol.MemberID]time.Time{}}
	var err error
	if out.Encrypted, err = flag(c.facts.Encrypted); err != nil {
		return nil, err
	}
	if out.ClearOnly, err = flag(c.facts.ClearOnly); err != nil {
		return nil, err
	}
	if c.facts.Terminated.given() {
		if out.Terminated, err = moment(c.facts.Terminated); err != nil {
			return nil, err
		}
	}
	after := c.At.AddDate(1, 0, 0)
	for _, w := range c.facts.Suspended.list {
		id, err := r.member(w, false)
		if err != nil {
			return nil, err
		}
		out.Suspended[id] = after
	}
	for _, e := range c.facts.Entitled {
		name := e.Contribution.text
		if !slices.ContainsFunc(r.agreement.Scores, func(s protocol.Contribution) bool { return s.Name == name }) {
			return nil, wrong(e.Contribution.place, "the agreement has no contribution %.80q", name)
		}
		out.Entitled[name] = map[protocol.MemberID]time.Time{}
		for _, w := range e.Parties.list {
			id, err := r.member(w, false)
			if err != nil {
				return nil, err
			}
			out.Entitled[name][id] = after
		}
	}
	return out, nil
}

// everybodyEntitled are the facts under which every clause may speak.
func everybodyEntitled(a *protocol.Agreement) policy.Facts {
	out := policy.Facts{Encrypted: true, Entitled: map[string]map[protocol.MemberID]time.Time{}}
	for _, s := range a.Scores {
		out.Entitled[s.Name] = map[protocol.MemberID]time.Time{}
		for _, p := range a.Parties {
			out.Entitled[s.Name][p.ID] = a.Until
		}
	}
	return out
}

// flag reads true or false; false where nothing is given.
func flag(w word) (bool, error) {
	if !w.given() || w.text == "false" {
		return false, nil
	}
	if w.text == "true" {
		return true, nil
	}
	return false, wrong(w.place, "%.40q is neither true nor false", w.text)
}

// dutiesText are obligations as they stand, in the words of agreements.
type dutiesText struct {
	Redact       words `yaml:"redact"`
	Pseudonymise words `yaml:"pseudonymise"`
	Retain       word  `yaml:"retain"`
	Review       word  `yaml:"review"`
	Attribution  word  `yaml:"attribution"`
	Onward       word  `yaml:"onward"`
	Actions      words `yaml:"actions"`
	Encrypt      word  `yaml:"encrypt"`
	Notify       word  `yaml:"notify"`
	Licence      word  `yaml:"licence"`
	Embargo      word  `yaml:"embargo"`
}

// read checks the words and returns the obligations as said by duties.
func (d *dutiesText) read() ([]string, error) {
	var o protocol.Obligations
	var err error
	for _, list := range []struct {
		of    words
		to    *[]string
		known []string
	}{
		{d.Redact, &o.Redact, protocol.RedactionThings()}, {d.Pseudonymise, &o.Pseudonymise, protocol.RedactionThings()},
		{d.Actions, &o.Actions, protocol.PermittedActions()},
	} {
		for _, w := range list.of.list {
			if _, err := oneOf(w, list.known...); err != nil {
				return nil, err
			}
			*list.to = append(*list.to, w.text)
		}
	}
	for _, p := range []struct {
		of word
		to *protocol.Period
	}{{d.Retain, &o.Retain}, {d.Review, &o.Review}} {
		if p.of.given() {
			if *p.to, err = protocol.ParsePeriod(p.of.text); err != nil {
				return nil, wrong(p.of.place, "%s", err)
			}
		}
	}
	place := func(w word, known ...string) int {
		if !w.given() || err != nil {
			return -1
		}
		at := 0
		at, err = oneOf(w, known...)
		return at
	}
	o.Attribution = protocol.Attribution(max(0, place(d.Attribution, "may", "must", "must-not")))
	o.Onward = protocol.OnwardNever + protocol.Onward(place(d.Onward, "never", "ask", "clients", "any"))
	o.Notify = protocol.NotifyMay + protocol.Notify(place(d.Notify, "may", "must-not"))
	o.AtRest = place(d.Encrypt, "at-rest") == 0
	o.Licence = strings.TrimSpace(d.Licence.text)
	if d.Embargo.given() && err == nil {
		o.Embargo, err = moment(d.Embargo)
	}
	return duties(&o), err
}

// oneOf returns the place of a word among those that are known.
func oneOf(w word, known ...string) (int, error) {
	at := slices.Index(known, w.text)
	if at < 0 {
		return 0, wrong(w.place, "%.40q is not known here; the words are %s", w.text, strings.Join(known, ", "))
	}
	return at, nil
}

// duties says obligations one by one, in the words of agreements; none for nil.
func duties(o *protocol.Obligations) []string {
	if o == nil {
		return nil
	}
	var out []string
	say := func(given bool, what, text string) {
		if given {
			out = append(out, what+" "+text)
		}
	}
	list := func(words []string) string { return strings.Join(slices.Sorted(slices.Values(words)), ", ") }
	say(len(o.Redact) > 0, "redact", list(o.Redact))
	say(len(o.Pseudonymise) > 0, "pseudonymise", list(o.Pseudonymise))
	say(!o.Retain.IsZero(), "retain", o.Retain.String())
	say(!o.Review.IsZero(), "review", o.Review.String())
	say(o.Attribution != protocol.AttributionFree, "attribution", o.Attribution.String())
	say(o.Onward != protocol.OnwardOpen, "onward", o.Onward.String())
	say(len(o.Actions) > 0, "actions", list(o.Actions))
	say(o.AtRest, "encrypt", "at-rest")
	say(o.Notify == protocol.NotifyMay, "notify", "may")
	say(o.Notify == protocol.NotifyMustNot, "notify", "must-not")
	say(o.Licence != "", "licence", strings.ReplaceAll(o.Licence, "\n", "; "))
	say(!o.Embargo.IsZero(), "embargo", day(o.Embargo))
	return out
}

// terms fills in what a short form says beyond type and marking.
func (s *short) terms(out *policy.Subject) error {
	var err error
	for _, w := range s.Classes.list {
		c, err := protocol.ParseClass(w.text)
		if err != nil {
			return wrong(w.place, "%s", err)
		}
		out.Classes |= c
	}
	// As package stix has it of objects: these concern natural persons.
	if out.Type == "user-account" || out.Type == "email-message" {
		out.Inherent = protocol.PersonalData
	}
	if s.PAP.given() {
		if out.PAP, err = protocol.ParsePAP(s.PAP.text); err != nil {
			return wrong(s.PAP.place, "%s", err)
		}
	}
	if s.Confidence.given() {
		if out.Confidence, err = strconv.Atoi(s.Confidence.text); err != nil || out.Confidence < 0 || out.Confidence > 100 {
			return wrong(s.Confidence.place, "%.40q is no confidence; write a number from 0 to 100", s.Confidence.text)
		}
	}
	if out.Context, err = flag(s.Context); err != nil {
		return err
	}
	if s.Modified.given() {
		out.Modified, err = moment(s.Modified)
	}
	return err
}

// all is a list of obligations for people.
func all(list []string) string {
	if len(list) == 0 {
		return "no obligations"
	}
	return fmt.Sprintf("the obligations %s", strings.Join(list, "; "))
}
