package protocol

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// FillAgreement begins an agreement with the terms of another: version 1, under
// v.Name and v.Secret, between v.Parties, who take the places of the parties with
// the same handles. Of each party its name, id and root are v's; kind, country and
// roles are parts of the terms. All else stays as it is, comments and dates too,
// for people to edit; v.From and v.Until are not read, an empty v.Title leaves the
// title. A party of one and not of the other is Invalid.
func FillAgreement(text []byte, v TemplateValues) ([]byte, error) {
	const op = "write agreement"
	from, err := ParseAgreement(text)
	if err != nil {
		return nil, err
	}
	if len(from.Cuts) > 0 {
		return nil, E(Invalid, op, fmt.Errorf("version %d of %s names closing positions of logs, which a new agreement has none of", from.Version, from.Name), "take its first version, or a copy without cuts")
	}
	root, lines, err := parseYAML(text)
	if err != nil {
		return nil, err
	}
	change := map[int]string{root.field("name").line: "name: " + v.Name, root.field("version").line: "version: 1"}
	if from.Visibility == Private {
		change[root.field("secret").line] = "secret: " + quote(hex.EncodeToString(v.Secret[:]))
	}
	if v.Title != "" {
		change[root.field("title").line] = "title: " + quote(v.Title)
	}
	for _, key := range []string{"agreement", "previous"} {
		if field := root.field(key); field != nil {
			for line := field.line; line <= field.lastLine(); line++ {
				change[line] = ""
			}
		}
	}
	if err := fillParties(root.field("parties").value.items, v.Parties, lines, change); err != nil {
		return nil, err
	}
	filled := changeLines(lines, change)
	if _, err := ParseAgreement(filled); err != nil {
		return nil, err
	}
	return filled, nil
}

// fillParties says which lines of the parties change, and to what.
func fillParties(items []*yamlNode, parties []Party, lines []string, change map[int]string) error {
	const op = "write agreement"
	var handles []string
	for _, item := range items {
		handle := item.field("handle").value.text
		handles = append(handles, handle)
		at := slices.IndexFunc(parties, func(p Party) bool { return p.Handle == handle })
		if at < 0 {
			return E(Invalid, op, fmt.Errorf("there is no member record of party %q", handle), "name the record of every party with --party; handles must be alike")
		}
		for key, value := range map[string]string{"name": quote(parties[at].Name), "id": quote(parties[at].ID.String()), "root": parties[at].Root.String()} {
			field := item.field(key)
			line := lines[field.line-1]
			if _, taken := change[field.line]; taken || strings.Contains(line, "{") {
				return E(Invalid, op, fmt.Errorf("line %d: the fields of a party stand on one line", field.line), "give each field of the parties a line of its own")
			}
			change[field.line] = line[:field.offset] + key + ": " + value
		}
	}
	for _, p := range parties {
		if !slices.Contains(handles, p.Handle) {
			return E(Invalid, op, fmt.Errorf("%q is no party of the terms, which are for %s", p.Handle, strings.Join(handles, ", ")), "add it to the parties of the file first")
		}
	}
	return nil
}

// changeLines puts texts in the place of lines, counted from 1; an empty text
// takes the line out.
func changeLines(lines []string, change map[int]string) []byte {
	var b strings.Builder
	for i, line := range lines {
		text, changed := change[i+1]
		switch {
		case !changed:
			b.WriteString(line + "\n")
		case text != "":
			b.WriteString(text + "\n")
		}
	}
	return []byte(b.String())
}
