package protocol

// readOwnUse makes the author choose: what is right after the end differs too
// much for a default.
func (r *agreementReader) readOwnUse() OwnUse {
	words := []string{string(UseStops), string(UseUntilRetention)}
	return OwnUse(one(r.section, "own-use", true, oneOf("own use after the end", words)))
}

// readScores reads who may suspend, and the contributions that clauses ask for.
func (r *agreementReader) readScores() {
	if r.get("suspend", false) != nil {
		s := r.readSelector(r.section, "suspend")
		r.a.Suspend = &s
	}
	r.each("contributions", maxScores, func(n *yamlNode) {
		s := r.group(n, "a contribution", "name", "text", "topics", "types", "objects", "within", "signers", "entitles", "grace")
		c := Contribution{
			Name: one(s, "name", true, handle), Text: one(s, "text", true, prose),
			Topics: many(s, "topics", maxTopics, r.defined("topic", r.topics)), Types: many(s, "types", maxWords, objectType),
			Objects: int(one(s, "objects", true, wholeNumber(1, 1<<31-1))), Within: one(s, "within", true, ParsePeriod),
			Signers: int(one(s, "signers", true, wholeNumber(1, maxParties))), Entitles: one(s, "entitles", true, ParsePeriod),
			Grace: one(s, "grace", false, ParsePeriod),
		}
		switch {
		case r.scores[c.Name]:
			s.failAt("name", "two contributions have the name %q", c.Name)
		case c.Signers >= len(r.a.Parties):
			s.failAt("signers", "%d others must sign a score, but a party has %d others", c.Signers, len(r.a.Parties)-1)
		}
		r.scores[c.Name] = true
		r.a.Scores = append(r.a.Scores, c)
	})
}

// readTerms reads what a clause asks and demands beyond parties, topics, types,
// markings and dates.
func (r *agreementReader) readTerms(s section, c *Clause) {
	if n := s.get("conditions", false); n != nil && s.fault == nil {
		r.readConditions(s, n, c)
	}
	if n := s.get("obligations", false); n != nil && s.fault == nil {
		if !c.Permit {
			s.failAt("obligations", "a clause that forbids has no obligations: nothing passes under it")
		}
		c.Then = r.readObligations(s, n)
	}
	if s.get("scope", false) != nil {
		one(s, "scope", true, oneOf("scope", []string{"everywhere"}))
		c.Everywhere = true
		if c.Permit {
			s.failAt("scope", "only a clause that forbids reaches beyond the agreement")
		}
	}
	if c.Survives = s.flag("survives"); c.Survives {
		switch {
		case !c.Permit:
			s.failAt("survives", "clauses that forbid always go on; only one that permits may say so")
		case r.a.Use.After == UseStops:
			s.failAt("survives", "the agreement says own-use: stop, so nothing survives its end")
		}
	}
}

func (r *agreementReader) readConditions(clause section, n *yamlNode, c *Clause) {
	known := []string{"classes", "max-pap", "purposes", "context", "confidence", "age", "contribution"}
	if r.local {
		known = known[:6] // scores are counted under agreements
	}
	s := clause.group(n, "conditions", known...)
	if len(s.node.fields) == 0 {
		s.failNode(n, "no condition stands here; leave the field out")
	}
	c.If = Conditions{
		PAP: one(s, "max-pap", false, ParsePAP), Purposes: many(s, "purposes", maxWords, oneOf("purpose", Purposes())),
		Context: s.flag("context"), Confidence: int(one(s, "confidence", false, wholeNumber(1, 100))),
		Age: one(s, "age", false, ParsePeriod), Contribution: one(s, "contribution", false, r.defined("contribution", r.scores)),
	}
	for _, class := range many(s, "classes", len(classWords()), ParseClass) {
		c.If.Classes |= class
	}
	for _, key := range []string{"purposes", "contribution"} {
		if !c.Permit && s.get(key, false) != nil {
			if r.local {
				s.failAt(key, "whom to spare stands under \"unless\"")
			}
			s.failAt(key, "only a clause that permits asks for this")
		}
	}
	if c.To.Public && (len(c.If.Purposes) > 0 || c.If.Contribution != "") {
		s.failNode(n, "the public states no purpose and contributes nothing")
	}
}

func (r *agreementReader) readObligations(clause section, n *yamlNode) *Obligations {
	s := clause.group(n, "obligations", "redact", "pseudonymise", "retain", "review", "attribution", "onward", "actions",
		"encrypt", "notify", "licence", "embargo")
	if len(s.node.fields) == 0 {
		s.failNode(n, "no obligation stands here; leave the field out")
	}
	thing := oneOf("thing to take out", RedactionThings())
	o := &Obligations{
		Redact: many(s, "redact", maxWords, thing), Pseudonymise: many(s, "pseudonymise", maxWords, thing),
		Retain: one(s, "retain", false, ParsePeriod), Review: one(s, "review", false, ParsePeriod),
		Actions: many(s, "actions", maxWords, oneOf("permitted action", PermittedActions())),
		Licence: one(s, "licence", false, lineText), Embargo: one(s, "embargo", false, moment),
	}
	o.Attribution = Attribution(place(s, "attribution", attributionWords()))
	if s.get("onward", false) != nil {
		o.Onward = OnwardNever + Onward(place(s, "onward", onwardWords()))
	}
	if s.get("notify", false) != nil {
		o.Notify = NotifyMay + Notify(place(s, "notify", []string{"may", "must-not"}))
	}
	if s.get("encrypt", false) != nil {
		place(s, "encrypt", []string{"at-rest"})
		o.AtRest = true
	}
	r.checkObligations(s, o)
	return o
}

// place reads a word of a closed vocabulary as its place in it; zero where the
// field is missing.
func place(s section, key string, words []string) int {
	word := one(s, key, false, oneOf(key, words))
	for i, w := range words {
		if w == word {
			return i
		}
	}
	return 0
}

func (r *agreementReader) checkObligations(s section, o *Obligations) {
	for _, thing := range o.Redact {
		for _, other := range o.Pseudonymise {
			if thing == other {
				s.failAt("pseudonymise", "%s are taken out already, so no pseudonym is left of them", thing)
			}
		}
	}
	switch {
	case !o.Review.IsZero() && !o.Retain.IsZero() && o.Review.Shorter(o.Retain) != o.Review:
		s.failAt("review", "a review after %s comes too late: nothing is kept longer than %s", o.Review, o.Retain)
	case len(o.Actions) > 1 && o.Actions[0] == "none":
		s.failAt("actions", "\"none\" stands alone")
	case o.Onward == OnwardClients && r.a.Use.Clients == "":
		s.failAt("onward", "the agreement does not say who clients are: add the field \"clients\"")
	case !o.Embargo.IsZero() && !o.Embargo.Before(r.a.Until):
		s.failAt("embargo", "the embargo lasts until %s, when the agreement is over", o.Embargo.Format(momentLayout))
	}
	for i, a := range o.Actions {
		if i > 0 && a == "none" {
			s.failAt("actions", "\"none\" stands alone")
		}
	}
}
