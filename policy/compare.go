package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"entente/protocol"
)

// Change is what became of one thing from one version to another.
type Change string

// The changes.
const (
	Added   Change = "added"
	Removed Change = "removed"
	Changed Change = "changed"
)

// Part is a part of an agreement that a Difference is about.
type Part string

// The parts, in the order in which differences are listed.
const (
	PartDocument     Part = "agreement" // name, visibility, dates and what else stands once
	PartParty        Part = "party"
	PartTopic        Part = "topic"
	PartContribution Part = "contribution"
	PartClause       Part = "clause"
	PartCut          Part = "cut"
)

// Difference is one thing that two versions of an agreement say differently.
type Difference struct {
	Part   Part
	Name   string // of the thing: handle, topic, number of a clause; "" in PartDocument
	Change Change
	Field  string // that changed; "" where the whole thing was added or removed
	Old    string // in words; "" where there is nothing
	New    string
	Prose  bool // only people read it: it changes no decision
}

// String returns the difference as one line for people.
func (d Difference) String() string {
	what := string(d.Part)
	if d.Name != "" {
		what += " " + d.Name
	}
	switch {
	case d.Change == Added && d.Field == "":
		return strings.TrimSuffix(what+" added: "+d.New, ": ")
	case d.Change == Removed && d.Field == "":
		return strings.TrimSuffix(what+" removed: "+d.Old, ": ")
	case d.Part == PartDocument:
		what = d.Field
	default:
		what += ", " + d.Field
	}
	switch {
	case d.Prose:
		return what + ": only the wording changed"
	}
	return what + ": " + d.said(d.New) + " (before: " + d.said(d.Old) + ")"
}

// said puts a field that is left out into words.
func (d Difference) said(value string) string {
	switch {
	case value != "":
		return value
	case d.Part == PartClause && slices.Contains([]string{"from", "to"}, d.Field):
		return "anyone"
	case slices.Contains([]string{"topics", "types", "max-marking", "markings", "max-pap", "actions"}, d.Field):
		return "any"
	case d.Field == "everywhere" || d.Field == "survives" || d.Field == "suspended" || d.Field == "context":
		return "no"
	default:
		return "none"
	}
}

// Widening is one reason why, under the new version, something may flow to
// someone that may not flow there under the old one, or with less asked of those
// who get it.
type Widening struct {
	Part Part
	Name string // of the thing, as in Difference
	Text string // one line for people
}

// Differences is what changed from one version of an agreement to another. It
// depends on the two documents alone.
type Differences struct {
	Name     string // of the agreement
	Old      uint64 // version; zero: there was none
	New      uint64
	List     []Difference // by part, then in the order of the documents
	Widening []Widening   // empty: nothing that the old version keeps back can flow
}

// Widens reports whether anything at all, held or yet to come, may newly flow to
// someone, or with less asked. It errs on the side of yes: what the documents do
// not show to be narrower counts as wider.
func (d Differences) Widens() bool { return len(d.Widening) > 0 }

// Compare returns what changed from old to new. old may be nil: a first version
// widens everything. Both must come from protocol.ParseAgreement; they need not
// compile, nor be of one agreement.
func Compare(old, new *protocol.Agreement) Differences {
	d := Differences{Name: new.Name, New: new.Version}
	if old == nil {
		old = &protocol.Agreement{Name: new.Name}
	}
	d.Old = old.Version
	d.fields(PartDocument, "", documentFields(old), documentFields(new))
	compareParts(&d, PartParty, old.Parties, new.Parties, partyKey, partyFields)
	compareParts(&d, PartTopic, old.Topics, new.Topics, func(t protocol.Topic) string { return t.Name }, topicFields)
	compareParts(&d, PartContribution, old.Scores, new.Scores, func(s protocol.Contribution) string { return s.Name }, scoreFields)
	compareParts(&d, PartClause, old.Clauses, new.Clauses, func(c protocol.Clause) string { return c.Number }, clauseFields)
	d.renumbered()
	compareParts(&d, PartCut, old.Cuts, new.Cuts, func(c protocol.Cut) string { return c.Log.String() }, cutFields)
	d.Widening = widening(old, new)
	return d
}

// field is one thing that a part of a document says, in words.
type field struct {
	name, value string
	prose       bool
}

// fields adds what two lists of the same fields say differently.
func (d *Differences) fields(part Part, name string, old, new []field) {
	for i, f := range new {
		if old[i].value == f.value {
			continue
		}
		change := Changed
		switch "" {
		case old[i].value:
			change = Added
		case f.value:
			change = Removed
		}
		d.List = append(d.List, Difference{
			Part: part, Name: name, Change: change, Field: f.name, Old: old[i].value, New: f.value,
			Prose: f.prose && change == Changed,
		})
	}
}

// compareParts adds the differences between two lists of things that have a name:
// those of the new list in its order, then those that are gone.
func compareParts[T any](d *Differences, part Part, old, new []T, key func(T) string, say func(T) (string, []field)) {
	before := make(map[string]T, len(old))
	for _, o := range old {
		before[key(o)] = o
	}
	still := make(map[string]bool, len(new))
	for _, n := range new {
		still[key(n)] = true
		name, fields := say(n)
		o, was := before[key(n)]
		if !was {
			d.List = append(d.List, Difference{Part: part, Name: name, Change: Added, New: words(fields)})
			continue
		}
		was0, fields0 := say(o)
		if part == PartParty {
			// A party is found by its id, so its handle may change.
			d.fields(part, name, []field{{name: "handle", value: was0}}, []field{{name: "handle", value: name}})
		}
		d.fields(part, name, fields0, fields)
	}
	for _, o := range old {
		if !still[key(o)] {
			name, fields := say(o)
			d.List = append(d.List, Difference{Part: part, Name: name, Change: Removed, Old: words(fields)})
		}
	}
}

// renumbered joins a clause that is gone and one that is new and says the same
// under another number.
func (d *Differences) renumbered() {
	gone := map[string][]int{}
	for i, x := range d.List {
		if x.Part == PartClause && x.Change == Removed && x.Field == "" {
			gone[x.Old] = append(gone[x.Old], i)
		}
	}
	drop := map[int]bool{}
	for i, x := range d.List {
		if x.Part != PartClause || x.Change != Added || x.Field != "" || len(gone[x.New]) == 0 {
			continue
		}
		from := gone[x.New][0]
		gone[x.New] = gone[x.New][1:]
		drop[from] = true
		d.List[i] = Difference{Part: PartClause, Name: x.Name, Change: Changed, Field: "number", Old: d.List[from].Name, New: x.Name}
	}
	at := -1
	d.List = slices.DeleteFunc(d.List, func(Difference) bool { at++; return drop[at] })
}

// words puts the fields of a thing into one line.
func words(fields []field) string {
	var out []string
	for _, f := range fields {
		switch {
		case f.value == "":
		case f.prose:
			out = append(out, strconv.Quote(clip(f.value)))
		default:
			out = append(out, f.name+" "+f.value)
		}
	}
	return strings.Join(out, "; ")
}

func documentFields(a *protocol.Agreement) []field {
	amend := ""
	if a.Amend > 0 {
		amend = fmt.Sprintf("%d of %d parties", a.Amend, len(a.Parties))
	}
	suspend := ""
	if a.Suspend != nil {
		suspend = selected(*a.Suspend)
	}
	id := ""
	if !a.ID.IsZero() {
		id = a.ID.String()
	}
	return []field{
		{name: "name", value: a.Name},
		{name: "id", value: id},
		{name: "title", value: a.Title, prose: true},
		{name: "visibility", value: string(a.Visibility)},
		{name: "begins", value: moment(a.From)},
		{name: "ends", value: moment(a.Until)},
		{name: "legal basis", value: a.LegalBasis.Text, prose: true},
		{name: "legal basis ends", value: moment(a.LegalBasis.Until)},
		{name: "signatures needed", value: amend},
		{name: "who may suspend", value: suspend},
		{name: "community", value: a.Use.Community},
		{name: "clients", value: a.Use.Clients},
		{name: "own use after the end", value: string(a.Use.After)},
	}
}

func partyKey(p protocol.Party) string { return string(p.ID[:]) }

func partyFields(p protocol.Party) (string, []field) {
	return p.Handle, []field{
		{name: "name", value: p.Name, prose: true},
		{name: "kind", value: p.Kind},
		{name: "country", value: p.Country},
		{name: "roles", value: list(p.Roles)},
		{name: "root key", value: rootKey(p.Root)},
		{name: "suspended", value: truth(p.Suspended)},
	}
}

func rootKey(k protocol.PublicKey) string {
	if k == (protocol.PublicKey{}) {
		return ""
	}
	return k.String()
}

func topicFields(t protocol.Topic) (string, []field) {
	standard := ""
	if t.Default != protocol.NoMarking {
		standard = t.Default.String()
	}
	return t.Name, []field{
		{name: "description", value: t.Description, prose: true},
		{name: "default marking", value: standard},
		{name: "default class", value: t.Class.String()},
	}
}

func scoreFields(s protocol.Contribution) (string, []field) {
	return s.Name, []field{
		{name: "text", value: s.Text, prose: true},
		{name: "objects", value: strconv.Itoa(s.Objects)},
		{name: "within", value: s.Within.String()},
		{name: "signers", value: strconv.Itoa(s.Signers)},
		{name: "entitles for", value: s.Entitles.String()},
		{name: "grace", value: s.Grace.String()},
		{name: "topics", value: list(s.Topics)},
		{name: "types", value: list(s.Types)},
	}
}

func cutFields(c protocol.Cut) (string, []field) {
	return c.Log.String()[:12], []field{
		{name: "member", value: c.Member.String()},
		{name: "closed after entry", value: strconv.FormatUint(c.Position.Sequence, 10)},
		{name: "head", value: c.Position.Head.String()},
	}
}

func clauseFields(c protocol.Clause) (string, []field) {
	effect, to := "forbid", selected(c.To)
	if c.Permit {
		effect = "permit"
	}
	most := ""
	if c.Max != protocol.NoMarking {
		most = c.Max.String()
	}
	marks := make([]string, len(c.Marks))
	for i, m := range c.Marks {
		marks[i] = m.String()
	}
	fields := []field{
		{name: "text", value: c.Text, prose: true},
		{name: "effect", value: effect},
		{name: "from", value: selected(c.From)},
		{name: "to", value: to},
		{name: "topics", value: list(c.Topics)},
		{name: "types", value: list(c.Types)},
		{name: "max-marking", value: most},
		{name: "markings", value: list(marks)},
		{name: "starts", value: moment(c.Starts)},
		{name: "ends", value: moment(c.Ends)},
		{name: "everywhere", value: truth(c.Everywhere)},
		{name: "survives", value: truth(c.Survives)},
	}
	fields = append(fields, conditionFields(c.If)...)
	o := protocol.Obligations{}
	if c.Then != nil {
		o = *c.Then
	}
	return c.Number, append(fields, obligationFields(o)...)
}

func conditionFields(c protocol.Conditions) []field {
	pap, confidence := "", ""
	if c.PAP != protocol.NoPAP {
		pap = c.PAP.String()
	}
	if c.Confidence > 0 {
		confidence = strconv.Itoa(c.Confidence)
	}
	return []field{
		{name: "classes", value: c.Classes.String()},
		{name: "max-pap", value: pap},
		{name: "purposes", value: list(c.Purposes)},
		{name: "context", value: truth(c.Context)},
		{name: "confidence", value: confidence},
		{name: "age", value: c.Age.String()},
		{name: "contribution", value: c.Contribution},
	}
}

func obligationFields(o protocol.Obligations) []field {
	attribution, notify, rest := "", "", ""
	if o.Attribution != protocol.AttributionFree {
		attribution = o.Attribution.String()
	}
	switch o.Notify {
	case protocol.NotifyMay:
		notify = "may"
	case protocol.NotifyMustNot:
		notify = "must-not"
	}
	if o.AtRest {
		rest = "at-rest"
	}
	return []field{
		{name: "redact", value: list(o.Redact)},
		{name: "pseudonymise", value: list(o.Pseudonymise)},
		{name: "retain", value: o.Retain.String()},
		{name: "review", value: o.Review.String()},
		{name: "attribution", value: attribution},
		{name: "onward", value: o.Onward.String()},
		{name: "actions", value: list(o.Actions)},
		{name: "encrypt", value: rest},
		{name: "notify", value: notify},
		{name: "licence", value: o.Licence},
		{name: "embargo", value: moment(o.Embargo)},
	}
}

// selected puts a choice of parties into words; "" is everyone.
func selected(s protocol.Selector) string {
	if s.Public {
		return "the public"
	}
	var out []string
	for _, f := range []struct {
		name string
		list []string
	}{{"parties", s.Parties}, {"kinds", s.Kinds}, {"countries", s.Countries}, {"roles", s.Roles}} {
		if len(f.list) > 0 {
			out = append(out, f.name+" "+list(f.list))
		}
	}
	return strings.Join(out, ", ")
}

// list joins words whose order means nothing.
func list(words []string) string {
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(words))), " ")
}

func truth(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// moment is a date of a document, "" where there is none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return day(t)
}
