package protocol

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// The templates of agreements.
const (
	AllianceTemplate = "alliance" // private, several parties that share with each other
	ExchangeTemplate = "exchange" // private, exactly two parties
	FeedTemplate     = "feed"     // public: one party or more publish, anyone reads
)

// TemplateValues are what a template of an agreement is filled with.
type TemplateValues struct {
	Name    string  // short name of the agreement
	Title   string  // empty: the template's own
	Parties []Party // from their member records; Kind must be set
	From    time.Time
	Until   time.Time
	Secret  [32]byte // random; not read for the feed
}

// Templates returns the names of all templates.
func Templates() []string { return []string{AllianceTemplate, ExchangeTemplate, FeedTemplate} }

// RenderTemplate writes version 1 of an agreement from a template, with comments
// that teach every field. People edit the result before they sign it; as it
// stands it parses. Values that no agreement may have are Invalid.
func RenderTemplate(template string, v TemplateValues) ([]byte, error) {
	const op = "write agreement"
	var title, basis, rest string
	n := len(v.Parties)
	switch template {
	case AllianceTemplate:
		title, basis, rest = "Alliance for sharing threat intelligence", allianceBasis, allianceTerms
	case ExchangeTemplate:
		title, basis, rest = "Data exchange agreement", exchangeBasis, exchangeTerms
	case FeedTemplate:
		title, basis, rest = "Public feed of threat intelligence", feedBasis, feedTerms
	default:
		return nil, E(Invalid, op, knownWord("template", template, Templates()), "")
	}
	switch {
	case template == ExchangeTemplate && n != 2:
		return nil, E(Invalid, op, fmt.Errorf("an exchange has two parties, not %d", n), "give the member record of either party")
	case template == AllianceTemplate && n < 2:
		return nil, E(Invalid, op, fmt.Errorf("an alliance has two parties or more, not %d", n), "give the member record of every party, your own too")
	case n == 0:
		return nil, E(Invalid, op, fmt.Errorf("the feed has no party"), "give your own member record")
	}
	if v.Title == "" {
		v.Title = title
	}
	w := &yamlWriter{}
	v.writeHead(w, template != FeedTemplate, basis)
	v.writeParties(w)
	w.WriteString(strings.NewReplacer("{{first}}", v.Parties[0].Handle, "{{last}}", v.Parties[n-1].Handle).Replace(rest))
	text := []byte(w.String())
	if _, err := ParseAgreement(text); err != nil {
		return nil, err
	}
	return text, nil
}

func (v *TemplateValues) writeHead(w *yamlWriter, private bool, basis string) {
	w.comment("", "This is the agreement. What stands here is what is signed, to the last character:",
		"edit it now, then sign it; afterwards every change is a new version.",
		"Lines like this one are for people. Times are in UTC; a date is the moment it begins.", "")
	w.line("", "kind", kindAgreement)
	w.line("", "format", "1")
	w.comment("", "Short name, for files and commands, and a title for people.")
	w.line("", "name", v.Name)
	w.line("", "title", quote(v.Title))
	w.comment("", "Version 1 is the first. The hash of this file will be the agreement's id.")
	w.line("", "version", "1")
	if private {
		w.comment("", "Private: known to its parties only, all of it. The secret is random, so that nobody",
			"who guesses the terms can find out that the agreement exists. Never publish this file.")
		w.line("", "visibility", string(Private))
		w.line("", "secret", quote(hex.EncodeToString(v.Secret[:])))
	} else {
		w.comment("", "Public: anyone may read this file and its topics, so only TLP:CLEAR passes there.")
		w.line("", "visibility", string(Public))
	}
	w.comment("", "\"until\" is the first moment at which the agreement is no longer in force.")
	w.span("dates", v.From, v.Until)
	w.comment("", "What the parties may rest on when they share. Where it ends before the agreement",
		"does, add \"until\": when the basis lapses, the agreement does.")
	w.WriteString("legal-basis:\n  text: |\n" + basis)
	w.comment("", "How many parties must sign a version, this one too: more than half of them.",
		"A party is bound only once it has signed itself.")
	w.line("", "amend", fmt.Sprint(len(v.Parties)/2+1))
	w.comment("", "Who may be told of TLP:GREEN (community) and TLP:AMBER (clients) beyond the parties.",
		"Leave a line out, and there is nobody.")
	if private {
		w.WriteString("community: The parties and the organisations of their sector.\n")
		w.WriteString("clients: Organisations whose networks a party operates under contract.\n")
	} else {
		w.WriteString("community: Anyone.\n")
	}
	w.comment("", "What a holder may still do for itself with what it holds when the agreement is",
		"over: nothing (stop), or read it on under the clauses that say \"survives: true\",",
		"for as long as their obligations let it be kept (until-retention).")
	w.line("", "own-use", string(UseStops))
}

func (v *TemplateValues) writeParties(w *yamlWriter) {
	w.comment("", "The parties, from their member records: id and root must be theirs, so compare them",
		"by another way (a call, a meeting). Optional: country (NL), roles ([reader]). Kinds:",
		strings.Join(PartyKinds()[:7], ", ")+",", strings.Join(PartyKinds()[7:], ", ")+".")
	w.WriteString("parties:\n")
	for _, p := range v.Parties {
		w.party(p)
	}
}

// party writes one entry of the parties.
func (w *yamlWriter) party(p Party) {
	w.line("  - ", "handle", p.Handle)
	w.line("    ", "name", quote(p.Name))
	w.line("    ", "id", quote(p.ID.String()))
	w.line("    ", "root", p.Root.String())
	w.line("    ", "kind", p.Kind)
	if p.Country != "" {
		w.line("    ", "country", quote(p.Country))
	}
	if len(p.Roles) > 0 {
		w.line("    ", "roles", "["+strings.Join(p.Roles, ", ")+"]")
	}
}

// NextVersion returns the text of a version with what the next version must
// have changed in it: number, previous, agreement id and, in a private one, a
// secret of its own. All else stays as it is, comments too, for people to edit.
// Where previous has two texts, the first is continued and the fork of both
// resolved.
func NextVersion(secret [32]byte, previous ...[]byte) ([]byte, error) {
	const op = "begin next version"
	if len(previous) == 0 {
		return nil, Errorf(Invalid, op, "there is no version to continue")
	}
	highest := uint64(0)
	var heads []string
	var first *Agreement
	for i, payload := range previous {
		a, err := ParseAgreement(payload)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = a
		}
		if a.ID != first.ID {
			return nil, Errorf(Conflict, op, "%s is another agreement than %s", a.Name, first.Name)
		}
		highest = max(highest, a.Version)
		heads = append(heads, quote(a.Hash.String()))
	}
	root, lines, err := parseYAML(previous[0])
	if err != nil {
		return nil, err
	}
	change := map[int]string{root.field("version").line: fmt.Sprintf("version: %d\nagreement: %s\nprevious: [%s]", highest+1, quote(first.ID.String()), strings.Join(heads, ", "))}
	if first.Visibility == Private {
		change[root.field("secret").line] = "secret: " + quote(hex.EncodeToString(secret[:]))
	}
	for _, key := range []string{"agreement", "previous"} {
		if field := root.field(key); field != nil {
			for line := field.line; line <= field.lastLine(); line++ {
				change[line] = ""
			}
		}
	}
	text := changeLines(lines, change)
	if _, err := ParseAgreement(text); err != nil {
		return nil, err
	}
	return text, nil
}

// lastLine is the last line on which a scalar or a list of scalars stands.
func (f *yamlField) lastLine() int {
	last := f.value.line
	for _, item := range f.value.items {
		last = max(last, item.line)
	}
	return max(last, f.line)
}
