package protocol

import "time"

// ParseAgreement reads an agreement strictly (documents spec, "Agreements"):
// known fields and words only, and nothing that contradicts itself. Errors are
// Invalid or Limit, wrap a *FaultError where there is a place to show, and say
// what would be right. Nothing about signatures or earlier versions is checked:
// VerifyAgreement does.
func ParseAgreement(payload []byte) (*Agreement, error) {
	a := &Agreement{Hash: PayloadHash(payload)}
	err := readForm(payload, "read agreement", []string{kindAgreement}, func(root section, _ string) {
		r := &agreementReader{section: root, a: a, handles: map[string]bool{}, roles: map[string]bool{}, topics: map[string]bool{}, scores: map[string]bool{}}
		r.read()
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// agreementReader reads one agreement and remembers the words that its clauses
// may use.
type agreementReader struct {
	section
	a       *Agreement
	handles map[string]bool
	roles   map[string]bool
	topics  map[string]bool
	scores  map[string]bool
	local   bool // local rules: what an agreement defines is not known yet
}

func (r *agreementReader) read() {
	r.what = "an agreement"
	r.only("kind", "format", "name", "title", "version", "agreement", "previous", "visibility", "secret", "dates",
		"legal-basis", "amend", "suspend", "community", "clients", "own-use", "parties", "topics", "contributions", "clauses", "cuts")
	a, s := r.a, r.section
	a.Name, a.Title = one(s, "name", true, handle), one(s, "title", true, lineText)
	a.Version = one(s, "version", true, wholeNumber(1, maxInteger))
	r.readChain()
	r.readVisibility()
	if n := s.get("dates", true); n != nil {
		dates := s.group(n, `"dates"`, "from", "until")
		a.From, a.Until = one(dates, "from", true, moment), one(dates, "until", true, moment)
		checkSpan(dates, "until", a.From, a.Until, 0, "the agreement")
	}
	if n := s.get("legal-basis", true); n != nil {
		basis := s.group(n, `"legal-basis"`, "text", "until")
		a.LegalBasis = LegalBasis{Text: one(basis, "text", true, prose), Until: one(basis, "until", false, moment)}
		if !a.LegalBasis.Until.IsZero() {
			checkSpan(basis, "until", a.From, a.LegalBasis.Until, 0, "the legal basis")
		}
	}
	a.Use = Use{Community: one(s, "community", false, prose), Clients: one(s, "clients", false, prose), After: r.readOwnUse()}
	r.readParties()
	r.readAmend()
	r.readTopics()
	r.readScores()
	r.readClauses()
	r.readCuts()
	if a.Version == 1 {
		a.ID = AgreementID(a.Hash)
	}
}

// readChain reads what ties a version to the agreement and to those before it.
func (r *agreementReader) readChain() {
	if r.a.Version != 1 {
		r.a.ID = AgreementID(one(r.section, "agreement", true, memberID))
		r.get("previous", true)
		r.a.Previous = many(r.section, "previous", maxPrevious, hashOf)
		return
	}
	for _, key := range []string{"agreement", "previous"} {
		if r.get(key, false) != nil {
			r.failAt(key, "version 1 has no field %q: it is the first, and its hash is the agreement's id", key)
		}
	}
}

func (r *agreementReader) readVisibility() {
	words := []string{string(Private), string(Public)}
	r.a.Visibility = Visibility(one(r.section, "visibility", true, oneOf("visibility", words)))
	switch {
	case r.a.Visibility == Public && r.get("secret", false) != nil:
		r.failAt("secret", "a public agreement has no secret: it is published")
	case r.a.Visibility == Private:
		r.a.secret = one(r.section, "secret", true, hashOf)
		if r.fault == nil && r.a.secret.IsZero() {
			r.failAt("secret", "the secret is zero; it is 32 random bytes, so that nobody can guess the agreement's hash")
		}
	}
}

func (r *agreementReader) readParties() {
	ids, roots, names := map[MemberID]string{}, map[PublicKey]string{}, map[string]string{}
	r.get("parties", true)
	r.each("parties", maxParties, func(n *yamlNode) {
		s := r.group(n, "a party", "handle", "name", "id", "root", "kind", "country", "roles", "suspended")
		p := Party{
			Handle: one(s, "handle", true, handle), Name: one(s, "name", true, lineText),
			ID: one(s, "id", true, memberID), Root: one(s, "root", true, ParsePublicKey),
			Kind: one(s, "kind", true, oneOf("kind of party", PartyKinds())), Country: one(s, "country", false, country),
			Roles: many(s, "roles", maxRoles, handle), Suspended: s.flag("suspended"),
		}
		switch other, twice := ids[p.ID]; {
		case r.handles[p.Handle]:
			s.failAt("handle", "two parties have the handle %q", p.Handle)
		case twice:
			s.failAt("id", "%s has this id already; a member is one party", other)
		case roots[p.Root] != "":
			s.failAt("root", "%s has this root key already; one key never serves two parties", roots[p.Root])
		case names[alike(p.Name)] != "":
			s.failAt("name", "people would take this name for that of %s; name the two so that nobody mistakes them", names[alike(p.Name)])
		}
		names[alike(p.Name)] = p.Handle
		r.handles[p.Handle], ids[p.ID], roots[p.Root] = true, p.Handle, p.Handle
		for _, role := range p.Roles {
			r.roles[role] = true
		}
		r.a.Parties = append(r.a.Parties, p)
	})
	if r.a.Visibility == Private && len(r.a.Parties) == 1 {
		r.failAt("parties", "a private agreement has two parties at least")
	}
}

// readAmend holds the threshold above half, so that two versions that exclude
// each other prove that somebody signed both.
func (r *agreementReader) readAmend() {
	n := len(r.a.Parties)
	r.a.Amend = int(one(r.section, "amend", true, wholeNumber(1, maxParties)))
	switch {
	case r.a.Amend > n:
		r.failAt("amend", "%d must sign a version, but there are %d parties", r.a.Amend, n)
	case 2*r.a.Amend <= n:
		r.failAt("amend", "%d of %d parties is not above half; from %d to %d may be asked for", r.a.Amend, n, n/2+1, n)
	}
}

func (r *agreementReader) readTopics() {
	r.get("topics", true)
	r.each("topics", maxTopics, func(n *yamlNode) {
		s := r.group(n, "a topic", "name", "description", "default-marking", "default-class")
		t := Topic{
			Name: one(s, "name", true, handle), Description: one(s, "description", false, prose),
			Default: one(s, "default-marking", false, level), Class: one(s, "default-class", false, ParseClass),
		}
		if t.Class == 0 {
			t.Class = Operational
		}
		switch {
		case r.topics[t.Name]:
			s.failAt("name", "two topics have the name %q", t.Name)
		case t.Default == Red:
			s.failAt("default-marking", "TLP:RED is for named recipients, so it is no default of a topic")
		}
		r.checkPublic(s, "default-marking", t.Default)
		r.topics[t.Name] = true
		r.a.Topics = append(r.a.Topics, t)
	})
}

// checkPublic holds that nothing above CLEAR is spoken of in public agreements.
func (r *agreementReader) checkPublic(s section, key string, marks ...Marking) {
	for _, m := range marks {
		if r.a.Visibility == Public && m > Clear {
			s.failAt(key, "%s in a public agreement, where only TLP:CLEAR passes", m)
		}
	}
}

func (r *agreementReader) readClauses() {
	numbers := map[string]int{}
	r.get("clauses", true)
	r.each("clauses", maxClauses, func(n *yamlNode) {
		s := r.group(n, "a clause", "number", "text", "effect", "from", "to", "topics", "types", "markings", "max-marking",
			"from-date", "until-date", "conditions", "obligations", "scope", "survives")
		c := r.readClause(s, numbers)
		r.checkClause(s, &c)
		r.a.Clauses = append(r.a.Clauses, c)
	})
}

// readClause reads what clauses of agreements and of local rules have in common.
func (r *agreementReader) readClause(s section, numbers map[string]int) Clause {
	c := Clause{
		Number: one(s, "number", true, clauseNumber), Text: one(s, "text", true, prose), Line: s.node.line,
		Permit: one(s, "effect", true, oneOf("effect", []string{"permit", "forbid"})) == "permit",
		From:   r.readSelector(s, "from"), To: r.readSelector(s, "to"),
		Topics: many(s, "topics", maxTopics, r.defined("topic", r.topics)),
		Types:  many(s, "types", maxWords, objectType),
		Marks:  many(s, "markings", int(Red), level), Max: one(s, "max-marking", false, level),
		Starts: one(s, "from-date", false, moment), Ends: one(s, "until-date", false, moment),
	}
	if first, twice := numbers[c.Number]; twice {
		s.failAt("number", "two clauses have the number %s; the first stands in line %d", c.Number, first)
	}
	numbers[c.Number] = c.Line
	r.readTerms(s, &c)
	return c
}

func (r *agreementReader) checkClause(s section, c *Clause) {
	r.checkPublic(s, "markings", c.Marks...)
	r.checkPublic(s, "max-marking", c.Max)
	if !c.Ends.IsZero() {
		checkSpan(s, "until-date", laterOf(c.Starts, r.a.From), c.Ends, 0, "the clause")
	}
	if !c.Starts.IsZero() && !c.Starts.Before(r.a.Until) {
		s.failAt("from-date", "the clause begins at %s, when the agreement is over", c.Starts.Format(momentLayout))
	}
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// defined returns a parser for words that this agreement defines. In local rules
// they are those of whichever agreement.
func (r *agreementReader) defined(what string, words map[string]bool) func(string) (string, error) {
	if r.local {
		return handle
	}
	return func(s string) (string, error) {
		if words[s] {
			return s, nil
		}
		known := make([]string, 0, len(words))
		for w := range words {
			known = append(known, w)
		}
		return "", undefined(what, s, known)
	}
}

func (r *agreementReader) readSelector(clause section, key string) Selector {
	n := clause.get(key, false)
	if n == nil || r.fault != nil {
		return Selector{}
	}
	s := clause.group(n, "a choice of parties", "parties", "kinds", "countries", "roles", "public")
	if len(s.node.fields) == 0 {
		meaning := "everybody"
		if key == "suspend" {
			meaning = "nobody"
		}
		s.failNode(n, "the choice of parties is empty; leave %q out to mean %s", key, meaning)
	}
	choice := Selector{
		Parties: many(s, "parties", maxParties, r.defined("party", r.handles)), Kinds: many(s, "kinds", maxRoles, oneOf("kind of party", PartyKinds())),
		Countries: many(s, "countries", maxWords, country), Roles: many(s, "roles", maxRoles, r.defined("role", r.roles)),
		Public: s.flag("public"),
	}
	switch {
	case !choice.Public:
	case !r.local && r.a.Visibility != Public || key != "to":
		s.failAt("public", "only \"to\" in a clause of a public agreement may name the public")
	case len(s.node.fields) > 1:
		s.failAt("public", "the public has no handle, kind, country or role; write a clause of its own for parties")
	}
	return choice
}

func (r *agreementReader) readCuts() {
	seen := map[Hash]bool{}
	if r.a.Version == 1 && r.get("cuts", false) != nil {
		r.failAt("cuts", "version 1 removes nobody, so it closes no log")
	}
	r.each("cuts", maxCuts, func(n *yamlNode) {
		s := r.group(n, "a cut", "member", "log", "sequence", "head")
		c := s.closing()
		if seen[c.Log] {
			s.failAt("log", "this log is closed twice")
		}
		seen[c.Log] = true
		r.a.Cuts = append(r.a.Cuts, Cut{Log: c.Log, Member: one(s, "member", true, memberID), Position: c.Position})
	})
}
