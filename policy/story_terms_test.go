package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"entente/protocol"
)

// setTerm sets what key=list of a line says of the terms of an agreement, a party,
// a topic or a clause. Blanks in periods and licences are written as underscores.
func setTerm(a *protocol.Agreement, p *protocol.Party, t *protocol.Topic, c *protocol.Clause, key string, list []string) (err error) {
	value := strings.ReplaceAll(list[0], "_", " ")
	period := func(to *protocol.Period) { *to, err = protocol.ParsePeriod(value) }
	switch key {
	case "own-use":
		a.Use.After = protocol.OwnUse(value)
	case "suspended":
		p.Suspended = true
	case "class":
		t.Class, err = classSet(list)
	case "classes":
		c.If.Classes, err = classSet(list)
	case "max-pap":
		c.If.PAP, err = protocol.ParsePAP("PAP:" + value)
	case "purposes":
		c.If.Purposes = list
	case "context":
		c.If.Context = true
	case "confidence":
		_, err = fmt.Sscan(value, &c.If.Confidence)
	case "age":
		period(&c.If.Age)
	case "contribution":
		c.If.Contribution = value
	case "everywhere":
		c.Everywhere = true
	case "survives":
		c.Survives = true
	default:
		if c.Then == nil {
			c.Then = &protocol.Obligations{}
		}
		return setObligation(c.Then, key, value, list)
	}
	return err
}

func setObligation(o *protocol.Obligations, key, value string, list []string) (err error) {
	word := func(words ...string) int {
		for i, w := range words {
			if w == value {
				return i
			}
		}
		err = fmt.Errorf("no word for %s: %s", key, value)
		return 0
	}
	switch key {
	case "redact":
		o.Redact = list
	case "pseudonymise":
		o.Pseudonymise = list
	case "retain":
		o.Retain, err = protocol.ParsePeriod(value)
	case "review":
		o.Review, err = protocol.ParsePeriod(value)
	case "attribution":
		o.Attribution = protocol.Attribution(word("may", "must", "must-not"))
	case "onward":
		o.Onward = protocol.Onward(word("", "never", "ask", "clients", "any"))
	case "actions":
		o.Actions = list
	case "encrypt":
		o.AtRest = true
	case "notify":
		o.Notify = protocol.Notify(word("", "may", "must-not"))
	case "licence":
		o.Licence = value
	case "embargo":
		o.Embargo, err = time.Parse(time.DateOnly, value)
	default:
		err = fmt.Errorf("no such word: %s", key)
	}
	return err
}

func classSet(words []string) (all protocol.Class, err error) {
	for _, w := range words {
		class, err := protocol.ParseClass(w)
		if err != nil && w != "unheard-of" {
			return 0, err
		}
		if err != nil {
			class = protocol.UnknownClass
		}
		all |= class
	}
	return all, nil
}

// setFact reads the words of a line that begins with fact.
func setFact(f *Facts, words []string) (err error) {
	date := func(at int) (when time.Time) {
		if len(words) <= at {
			err = fmt.Errorf("no date")
			return when
		}
		when, err = time.Parse(time.DateOnly, words[at])
		return when
	}
	switch words[0] {
	case "suspended":
		f.Suspended[member(words[1])] = date(2)
	case "entitled":
		f.Entitled["gives"][member(words[1])] = date(2)
	case "terminated":
		f.Terminated = date(1)
	case "clear-only":
		f.ClearOnly = true
	case "encrypted":
		f.Encrypted = true
	default:
		err = fmt.Errorf("no such fact: %s", words[0])
	}
	return err
}

// terms reads what a question says beyond type, marking, parties and date.
func (s *story) terms(t *testing.T, d *datadriven.TestData, q *storyQuestion) {
	t.Helper()
	var pap, classes, modified, origin string
	d.MaybeScanArgs(t, "pap", &pap)
	d.MaybeScanArgs(t, "classes", &classes)
	d.MaybeScanArgs(t, "modified", &modified)
	d.MaybeScanArgs(t, "origin", &origin)
	d.MaybeScanArgs(t, "confidence", &q.subject.Confidence)
	d.MaybeScanArgs(t, "purpose", &q.purpose)
	q.remote, q.subject.Context = d.HasArg("remote"), d.HasArg("context")
	if d.HasArg("personal") {
		q.subject.Inherent = protocol.PersonalData
	}
	var errs [3]error
	if pap != "" {
		q.subject.PAP, errs[0] = protocol.ParsePAP("PAP:" + pap)
	}
	if classes != "" {
		q.subject.Classes, errs[1] = classSet(strings.Split(classes, "+"))
	}
	if modified != "" {
		q.subject.Modified, errs[2] = time.Parse(time.DateOnly, modified)
	}
	for _, err := range errs {
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
	}
	if origin != "" {
		name, topic, _ := strings.Cut(origin, "/")
		q.subject.Origins = []Origin{{s.known[name].ID, topic, member("bank"), Subject{Type: q.subject.Type, Marking: protocol.Green}}}
	}
}
