package policy

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"entente/protocol"
)

// The limits of one agreement. A document within its 1 MiB can hold about this
// much; the product bounds the clause lists of the topics.
const (
	maxParties   = 4096
	maxClauses   = 16384
	maxTopics    = 1024
	maxTopicRule = 1 << 20 // clauses, each counted once for every topic it speaks of
)

// Rules are one agreement, compiled: parties as bits, topics and types as
// numbers, clauses as matchers, with the facts about its parties. Rules are
// immutable but for the classes that were decided already, and may serve any
// number of engines at once.
type Rules struct {
	people
	agreement  *protocol.Agreement
	types      map[string]int
	scores     map[string]int // number of each contribution
	topics     map[string]*topic
	everywhere []*clause // that forbid beyond the agreement
	state      state
	duties     *pool
	self       protocol.MemberID // whose operator's rules those of the topics are
	own        int               // number of that member; zero: it is no party
}

// people are the parties of an agreement and what selectors ask of them.
type people struct {
	readers   []protocol.Party          // sorted by id; the first is the public, with the zero id
	index     map[protocol.MemberID]int // of the parties in readers
	handles   map[string]int
	kinds     map[string]set
	countries map[string]set
	roles     map[string]set
	former    map[protocol.MemberID]bool
	everyone  set // who can be a reader at all: all parties, and the public of a public agreement
}

// topic is what the clauses say about one topic.
type topic struct {
	name     string
	standard protocol.Marking // of objects without one
	class    protocol.Class   // of objects that declare none
	unmarked string           // text for those, where there is no default
	permits  []*clause        // in the document's order
	forbids  []*clause
	local    []*clause      // of the operator, which all forbid
	moments  []int64        // sorted: where a date changes something
	types    map[string]int // column of each type that a clause speaks of; others have column 0
	columns  []int          // number in Rules.types of each column
	asked    facets         // what else tells objects apart
	said     *facets        // the part of it that the agreement asks
	cache    cache
	present  atomic.Pointer[present]  // what held at the moment that was asked last
	shared   atomic.Pointer[audience] // the last list of readers, which most classes have in common
}

// clause is one clause as a matcher.
type clause struct {
	source   *protocol.Clause
	from     set
	to       set
	bare     bool // from has no condition: it speaks of former parties' entries as well
	types    set  // nil: any
	marks    uint8
	starts   int64
	ends     int64
	classes  protocol.Class // of a permit: those that an object may have; of a forbid: one of which it has
	purposes uint16         // places in protocol.Purposes; zero: none need be stated
	score    int            // number of the contribution that entitles, -1: none
	span     int64          // microseconds: modified less than this ago; zero: not asked
	months   int            // the same in months of the calendar
	mine     bool           // of a local clause: it keeps from this member
	unless   *clause        // of a local clause: what it spares; nil: nothing
}

// CompileAgreement makes the rules of one agreement. It refuses, as Invalid or
// Limit, what it does not understand or what can never apply, with the
// clause's number and line: a clause that silently means nothing is a promise
// that nobody keeps. The rules know no facts: see With.
func CompileAgreement(a *protocol.Agreement) (*Rules, error) {
	r := &Rules{
		agreement: a, topics: make(map[string]*topic, len(a.Topics)), types: map[string]int{"": 0},
		scores: make(map[string]int, len(a.Scores)), duties: newPool(),
	}
	if err := r.checkWhole(); err != nil {
		return nil, r.fault(err)
	}
	if err := r.addParties(); err != nil {
		return nil, r.fault(err)
	}
	if err := r.addTopics(); err != nil {
		return nil, r.fault(err)
	}
	for i := range a.Clauses {
		for _, t := range a.Clauses[i].Types {
			if _, ok := r.types[t]; !ok {
				r.types[t] = len(r.types)
			}
		}
	}
	seen := make(map[string]int, len(a.Clauses))
	total := 0
	for i := range a.Clauses {
		source := &a.Clauses[i]
		c, err := r.compileClause(source)
		if err == nil {
			if line, twice := seen[source.Number]; twice {
				err = fmt.Errorf("this number stands on line %d already", line)
			}
		}
		if err != nil {
			return nil, r.fault(fmt.Errorf("clause %s (line %d): %w", name(source.Number), source.Line, err))
		}
		seen[source.Number] = source.Line
		if total += r.file(c); total > maxTopicRule {
			return nil, protocol.Errorf(protocol.Limit, "compile agreement "+name(a.Name),
				"clauses times topics: more than %d; name the topics in clauses that do not speak of all", maxTopicRule)
		}
	}
	return r.With(Facts{}), nil
}

// Agreement returns the document that the rules were made from.
func (r *Rules) Agreement() *protocol.Agreement { return r.agreement }

// fault wraps an error of an agreement with its name and a way out.
func (r *Rules) fault(err error) error {
	return protocol.E(protocol.Invalid, "compile agreement "+name(r.agreement.Name), err,
		"put the document right before it is signed; one that is signed already needs a new version")
}

// checkWhole looks at what concerns no single clause.
func (r *Rules) checkWhole() error {
	a := r.agreement
	switch {
	case a.ID.IsZero():
		return fmt.Errorf("it has no id")
	case a.Visibility != protocol.Private && a.Visibility != protocol.Public:
		return fmt.Errorf("visibility is %q, and must be %q or %q", a.Visibility, protocol.Private, protocol.Public)
	case !a.From.Before(a.Until):
		return fmt.Errorf("it ends (%s) before it begins (%s)", day(a.Until), day(a.From))
	case len(a.Parties) > maxParties:
		return fmt.Errorf("%d parties: at most %d", len(a.Parties), maxParties)
	case len(a.Clauses) > maxClauses:
		return fmt.Errorf("%d clauses: at most %d", len(a.Clauses), maxClauses)
	case len(a.Topics) > maxTopics:
		return fmt.Errorf("%d topics: at most %d", len(a.Topics), maxTopics)
	}
	for i, score := range a.Scores {
		if _, twice := r.scores[score.Name]; twice || score.Name == "" {
			return fmt.Errorf("contribution name %q is empty or stands twice", score.Name)
		}
		r.scores[score.Name] = i
	}
	return nil
}

// addParties numbers the parties in the order of their ids, so that a set read
// from its first bit is a sorted list. Number 0 is the public.
func (r *Rules) addParties() error {
	a := r.agreement
	r.readers = append(make([]protocol.Party, 1, len(a.Parties)+1), a.Parties...)
	r.readers[0] = protocol.Party{Handle: "public"}
	parties := r.readers[1:]
	sort.Slice(parties, func(i, j int) bool { return bytes.Compare(parties[i].ID[:], parties[j].ID[:]) < 0 })
	r.index = make(map[protocol.MemberID]int, len(parties))
	r.everyone = newSet(len(r.readers))
	r.handles = make(map[string]int, len(parties))
	r.kinds, r.countries, r.roles = map[string]set{}, map[string]set{}, map[string]set{}
	for i, p := range parties {
		switch {
		case p.ID.IsZero():
			return fmt.Errorf("party %s has no id", name(p.Handle))
		case p.Handle == "" || r.handles[p.Handle] != 0:
			return fmt.Errorf("party handle %q is empty or stands twice", p.Handle)
		case r.index[p.ID] != 0:
			return fmt.Errorf("parties %s and %s have the same id", p.Handle, r.readers[r.index[p.ID]].Handle)
		}
		r.handles[p.Handle], r.index[p.ID] = i+1, i+1
		r.have(r.kinds, p.Kind, i+1)
		r.have(r.countries, p.Country, i+1)
		for _, role := range p.Roles {
			r.have(r.roles, role, i+1)
		}
		r.everyone.add(i + 1)
	}
	if a.Visibility == protocol.Public {
		r.everyone.add(0)
	}
	r.former = make(map[protocol.MemberID]bool)
	for _, c := range a.Cuts {
		if r.index[c.Member] == 0 && !c.Member.IsZero() {
			r.former[c.Member] = true
		}
	}
	return nil
}

// have notes that a party has a word.
func (r *Rules) have(having map[string]set, word string, party int) {
	if having[word] == nil {
		having[word] = newSet(len(r.readers))
	}
	having[word].add(party)
}

// addTopics makes the topics, without clauses.
func (r *Rules) addTopics() error {
	for _, t := range r.agreement.Topics {
		switch {
		case t.Name == "" || r.topics[t.Name] != nil:
			return fmt.Errorf("topic name %q is empty or stands twice", t.Name)
		case t.Default > protocol.Red:
			return fmt.Errorf("topic %s: its default is no TLP level", t.Name)
		case t.Default == protocol.Red:
			return fmt.Errorf("topic %s: its default is TLP:RED, which never goes on a topic", t.Name)
		case t.Default > protocol.Clear && r.agreement.Visibility == protocol.Public:
			return fmt.Errorf("topic %s: its default is %s, and %s", t.Name, t.Default.String(), textPublic)
		}
		class := t.Class
		if class == 0 {
			class = protocol.Operational
		}
		if !isClass(class) {
			return fmt.Errorf("topic %s: its default class is none", t.Name)
		}
		r.topics[t.Name] = &topic{
			name: t.Name, standard: t.Default, class: class,
			unmarked: "the object bears no TLP marking, and topic " + t.Name + " has no default: add a TLP " +
				"marking definition to its object_marking_refs (TLP:GREEN is " +
				"marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb), or agree on a default for the topic",
			types: map[string]int{}, columns: []int{0},
		}
	}
	return nil
}

// compileClause makes the matcher of one clause.
func (r *Rules) compileClause(source *protocol.Clause) (*clause, error) {
	c := &clause{source: source, score: -1}
	if source.Number == "" {
		return nil, fmt.Errorf("it has no number")
	}
	for _, t := range source.Topics {
		if r.topics[t] == nil {
			return nil, fmt.Errorf("the agreement has no topic %q", t)
		}
	}
	var err error
	if source.From.Public {
		return nil, fmt.Errorf("from: the public publishes nothing; only to: may name it")
	}
	if c.from, err = r.selectParties(source.From); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	c.bare = unconditional(source.From)
	if c.to, err = r.selectReaders(source); err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	if c.types, err = r.selectTypes(source.Types); err != nil {
		return nil, err
	}
	if c.marks, err = selectMarks(source); err != nil {
		return nil, err
	}
	c.starts, c.ends = span(source)
	if c.starts >= c.ends {
		return nil, fmt.Errorf("it ends (%s) before it starts (%s)", day(source.Ends), day(source.Starts))
	}
	return c, r.compileTerms(c)
}

// span returns when a clause speaks, in microseconds.
func span(source *protocol.Clause) (starts, ends int64) {
	starts, ends = math.MinInt64, math.MaxInt64
	if !source.Starts.IsZero() {
		starts = source.Starts.UnixMicro()
	}
	if !source.Ends.IsZero() {
		ends = source.Ends.UnixMicro()
	}
	return starts, ends
}

// unconditional reports whether a selector names no condition at all.
func unconditional(s protocol.Selector) bool {
	return len(s.Parties)+len(s.Kinds)+len(s.Countries)+len(s.Roles) == 0 && !s.Public
}

// selectReaders returns whom to: names. What the public may have everyone may
// have, so a permission for the public is one for the parties too; a forbidding
// clause for the public speaks of those alone who are no party.
func (r *Rules) selectReaders(source *protocol.Clause) (set, error) {
	if !source.To.Public {
		return r.selectParties(source.To)
	}
	rest := source.To
	rest.Public = false
	if !unconditional(rest) {
		return nil, fmt.Errorf("public stands alone: the public has no handle, kind, country or role")
	}
	if r.agreement.Visibility != protocol.Public {
		return nil, fmt.Errorf("public: the agreement is private; sign a public one beside it for what anyone may read")
	}
	s := newSet(len(r.readers))
	if source.Permit {
		s.union(r.everyone)
	}
	s.add(0)
	return s, nil
}

// selectParties returns the parties for which every condition that is given
// holds. A handle must be a party's; a kind, country or role may be one that no
// party has yet, since a later version may bring it.
func (r *Rules) selectParties(sel protocol.Selector) (set, error) {
	s := newSet(len(r.readers))
	for i := range r.readers[1:] {
		s.add(i + 1)
	}
	if len(sel.Parties) > 0 {
		named := newSet(len(r.readers))
		for _, h := range sel.Parties {
			i := r.handles[h]
			if i == 0 {
				return nil, fmt.Errorf("no party has the handle %q", clip(h))
			}
			named.add(i)
		}
		s.intersect(named)
	}
	for _, c := range sel.Countries {
		if len(c) != 2 || strings.Trim(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return nil, fmt.Errorf("%q is no country: two capital letters of ISO 3166-1", clip(c))
		}
	}
	for _, words := range [...][]string{sel.Kinds, sel.Roles} {
		if bad := slices.IndexFunc(words, func(w string) bool { return !isWord(w) }); bad >= 0 {
			return nil, fmt.Errorf("%q is no kind or role: these are words of a-z, 0-9 and hyphen", clip(words[bad]))
		}
	}
	r.narrow(s, sel.Kinds, r.kinds)
	r.narrow(s, sel.Countries, r.countries)
	r.narrow(s, sel.Roles, r.roles)
	return s, nil
}

// narrow leaves in s those who have one of the words, if any are given.
func (r *Rules) narrow(s set, words []string, having map[string]set) {
	if len(words) == 0 {
		return
	}
	wanted := newSet(len(r.readers))
	for _, w := range words {
		wanted.union(having[w])
	}
	s.intersect(wanted)
}

// selectTypes returns the numbers of types, nil for any.
func (r *Rules) selectTypes(types []string) (set, error) {
	if len(types) == 0 {
		return nil, nil
	}
	s := newSet(len(r.types))
	for _, t := range types {
		if !isType(t) {
			return nil, fmt.Errorf("types: %q is no type of STIX 2.1; types of one's own begin with x-", t)
		}
		s.add(r.types[t])
	}
	return s, nil
}

// selectMarks returns the markings that a clause speaks of, as bits.
func selectMarks(source *protocol.Clause) (uint8, error) {
	marks := anyTLP
	if source.Max > protocol.Red {
		return 0, fmt.Errorf("max: %d is no TLP level", source.Max)
	}
	if source.Max != protocol.NoMarking {
		marks = uint8(1<<(source.Max+1)-1) & anyTLP
	}
	if len(source.Marks) == 0 {
		return marks, nil
	}
	exact := uint8(0)
	for _, m := range source.Marks {
		if m == protocol.NoMarking || m > protocol.Red {
			return 0, fmt.Errorf("markings: %d is no TLP level", m)
		}
		exact |= 1 << m
	}
	if marks&exact == 0 {
		return 0, fmt.Errorf("it can never apply: all its markings are above its max, %s", source.Max.String())
	}
	return marks & exact, nil
}

// file puts a clause on the lists of its topics and returns on how many.
func (r *Rules) file(c *clause) int {
	add := func(t *topic) {
		if c.source.Permit {
			t.permits = append(t.permits, c)
		} else {
			t.forbids = append(t.forbids, c)
		}
		for _, m := range [...]int64{c.starts, c.ends} {
			if m != math.MinInt64 && m != math.MaxInt64 {
				t.moments = append(t.moments, m)
			}
		}
		for _, typ := range c.source.Types {
			if _, ok := t.types[typ]; !ok {
				t.types[typ] = len(t.columns)
				t.columns = append(t.columns, r.types[typ])
			}
		}
	}
	if c.source.Everywhere {
		r.everywhere = append(r.everywhere, c)
	}
	if len(c.source.Topics) == 0 {
		for _, t := range r.topics {
			add(t)
		}
		return len(r.topics)
	}
	topics := slices.Compact(slices.Sorted(slices.Values(c.source.Topics)))
	for _, t := range topics {
		add(r.topics[t])
	}
	return len(topics)
}

// name quotes what a document calls itself, for error texts.
func name(s string) string {
	if s == "" {
		return "without name"
	}
	return s
}

// day formats a moment for texts: a date, with the time where it is not midnight.
func day(t time.Time) string {
	t = t.UTC()
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format("2006-01-02 15:04:05Z")
}

// isWord reports whether s is a word of the vocabulary: a-z, 0-9, hyphen.
func isWord(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// isType reports whether s is a type of STIX 2.1 or a custom one. The list is
// closed on purpose: a mistyped name in a forbidding clause would forbid nothing.
func isType(s string) bool {
	switch s {
	case "attack-pattern", "campaign", "course-of-action", "grouping", "identity", "incident", "indicator",
		"infrastructure", "intrusion-set", "location", "malware", "malware-analysis", "note",
		"observed-data", "opinion", "report", "threat-actor", "tool", "vulnerability",
		"relationship", "sighting",
		"artifact", "autonomous-system", "directory", "domain-name", "email-addr", "email-message", "file",
		"ipv4-addr", "ipv6-addr", "mac-addr", "mutex", "network-traffic", "process", "software", "url",
		"user-account", "windows-registry-key", "x509-certificate",
		"marking-definition", "language-content", "extension-definition":
		return true
	}
	return strings.HasPrefix(s, "x-") && isWord(strings.TrimPrefix(s, "x-"))
}
