package protocol

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of what stands in a document (documents spec, "Fields").
const (
	maxName  = 200      // bytes of a name or another text of one line
	maxProse = 16 << 10 // bytes of a text over several lines
	maxWords = 1000     // entries of a list of words
)

// form is a document that is being read. The first fault stays; what is read
// after it is zero.
type form struct {
	lines []string
	fault error
}

// section is a group of fields of a form.
type section struct {
	*form
	node *yamlNode
	what string // "a party", for error texts
}

// readForm reads a text whose first field says that it is of one of the kinds,
// and that its format is known here.
func readForm(payload []byte, op string, kinds []string, read func(root section, kind string)) error {
	node, lines, err := parseYAML(payload)
	if err != nil {
		return E(KindOf(err), op, errors.Unwrap(err), HintOf(err))
	}
	f := &form{lines: lines}
	root := section{f, node, "the document"}
	kind := one(root, "kind", true, func(s string) (string, error) { return s, knownWord("kind of document", s, kinds) })
	one(root, "format", true, func(s string) (struct{}, error) {
		if s != "1" {
			return struct{}{}, fmt.Errorf("format %.20q is not known here, only format 1; a newer version of this program may know it", s)
		}
		return struct{}{}, nil
	})
	if f.fault == nil {
		read(root, kind)
	}
	if f.fault != nil {
		return E(Invalid, op, f.fault, "")
	}
	return nil
}

// fail notes a fault at a place, unless there is one already.
func (f *form) fail(line, offset int, format string, args ...any) {
	if f.fault == nil {
		f.fault = newFault(line, f.lines[line-1], offset, format, args...)
	}
}

func (f *form) failNode(n *yamlNode, format string, args ...any) {
	f.fail(n.line, n.offset, format, args...)
}

// group returns the node as a group of fields, none but the known ones.
func (f *form) group(n *yamlNode, what string, known ...string) section {
	s := section{f, n, what}
	if n.kind != yamlMapping {
		f.failNode(n, "%s is written as fields, \"name: value\"", what)
		s.node = &yamlNode{kind: yamlMapping, line: n.line, offset: n.offset}
		return s
	}
	s.only(known...)
	return s
}

// only faults the first field that is not among the known ones.
func (s section) only(known ...string) {
	for _, field := range s.node.fields {
		if !slices.Contains(known, field.key) {
			s.fail(field.line, field.offset, "%s has no field %q%s", s.what, field.key, suggest(field.key, known))
			return
		}
	}
}

// get returns the value of a field, or nil; a needed one that is missing is a
// fault of the whole group.
func (s section) get(key string, needed bool) *yamlNode {
	field := s.node.field(key)
	if field == nil {
		if needed {
			s.failNode(s.node, "%s lacks the field %q", s.what, key)
		}
		return nil
	}
	return field.value
}

// failAt faults the value of a field, or the group where it is missing.
func (s section) failAt(key, format string, args ...any) {
	n := s.node
	if field := s.node.field(key); field != nil {
		n = field.value
	}
	s.failNode(n, format, args...)
}

// scalar reads a node that holds one word or text.
func scalar[T any](f *form, n *yamlNode, parse func(string) (T, error)) (v T) {
	if n.kind != yamlScalar {
		f.failNode(n, "one value is expected here, not a list or fields")
		return v
	}
	if n.plain && slices.Contains([]string{"~", "null", "true", "false"}, strings.ToLower(n.text)) {
		f.failNode(n, "%s has a meaning of its own in YAML; leave the field out, or put quotes around a text", n.text)
		return v
	}
	v, err := parse(n.text)
	if err != nil {
		f.failNode(n, "%v", err)
	}
	return v
}

// one reads the field of a group by parse; a missing one is the zero value.
func one[T any](s section, key string, needed bool, parse func(string) (T, error)) (v T) {
	n := s.get(key, needed)
	if n == nil || s.fault != nil {
		return v
	}
	return scalar(s.form, n, parse)
}

// many reads a field that is a list of words, none of them twice. A missing one
// is nil; an empty list is a fault, since people would read it as "none".
func many[T comparable](s section, key string, most int, parse func(string) (T, error)) []T {
	var out []T
	s.each(key, most, func(item *yamlNode) {
		v := scalar(s.form, item, parse)
		if slices.Contains(out, v) {
			s.failNode(item, "%.80q stands in this list twice", item.text)
		}
		out = append(out, v)
	})
	return out
}

// flag reads a field that may say "true" and nothing else.
func (s section) flag(key string) bool {
	n := s.get(key, false)
	if n != nil && (!n.plain || n.text != "true") {
		s.failNode(n, "only \"true\" may stand here; leave the field out for the contrary")
	}
	return n != nil
}

// each calls read for the entries of a list until there is a fault.
func (s section) each(key string, most int, read func(item *yamlNode)) {
	n := s.get(key, false)
	switch {
	case n == nil || s.fault != nil:
	case n.kind != yamlSequence:
		s.failNode(n, "%q is a list; put its entries in [brackets] or below it, each after a hyphen", key)
	case len(n.items) == 0:
		s.failNode(n, "the list is empty; leave the field out")
	case len(n.items) > most:
		s.failNode(n, "%d entries; the limit is %d", len(n.items), most)
	default:
		for _, item := range n.items {
			if s.fault == nil {
				read(item)
			}
		}
	}
}

// knownWord asks that a word is one of a closed vocabulary.
func knownWord(what, word string, known []string) error {
	if slices.Contains(known, word) {
		return nil
	}
	return fmt.Errorf("unknown %s %.60q%s; known: %s", what, word, suggest(word, known), strings.Join(known, ", "))
}

// oneOf returns a parser for words of a closed vocabulary.
func oneOf(what string, known []string) func(string) (string, error) {
	return func(s string) (string, error) { return s, knownWord(what, s, known) }
}

// suggest returns a question for the known word that is one or two letters
// away, or "".
func suggest(word string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if len(word) > 64 || len(k) < 3 {
			continue
		}
		if d := letters(word, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// letters is the number of bytes to change, add or take away between two words.
func letters(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// lineText takes a text of one line.
func lineText(s string) (string, error) {
	switch {
	case s == "":
		return "", errors.New("the text is empty")
	case len(s) > maxName:
		return "", fmt.Errorf("the text has %d bytes; the limit is %d", len(s), maxName)
	case strings.ContainsRune(s, '\n'):
		return "", errors.New("this text stands on one line")
	case strings.TrimSpace(s) != s:
		return "", errors.New("the text begins or ends with a space")
	}
	return s, nil
}

// prose takes a text of one or more lines and leaves out the last line's end.
func prose(s string) (string, error) {
	s = strings.TrimSuffix(s, "\n")
	switch {
	case strings.TrimSpace(s) == "":
		return "", errors.New("the text is empty")
	case len(s) > maxProse:
		return "", fmt.Errorf("the text has %d bytes; the limit is %d", len(s), maxProse)
	}
	return s, nil
}

// handle takes the short name of a party, member, topic or document. Only such
// characters may stand in it that nobody can take for others.
func handle(s string) (string, error) {
	if !ValidTopic(s) || s[0] == '-' || s[len(s)-1] == '-' {
		return "", fmt.Errorf("%+.80q is no short name: 1 to %d of a-z, 0-9 and hyphens, none at its ends", s, MaxTopicName)
	}
	return s, nil
}

// wholeNumber returns a parser for numbers from least to most, written in
// decimal digits alone.
func wholeNumber(least, most uint64) func(string) (uint64, error) {
	return func(s string) (uint64, error) {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil || strconv.FormatUint(v, 10) != s || v < least || v > most {
			return 0, fmt.Errorf("%.40q is no whole number from %d to %d", s, least, most)
		}
		return v, nil
	}
}

func small(s string) (uint32, error) {
	v, err := wholeNumber(1, 1<<31-1)(s)
	return uint32(v), err
}

// momentLayout is how times are written: in UTC, to the second.
const momentLayout = "2006-01-02T15:04:05Z"

// moment takes a time in UTC, or a date, which is the moment it begins.
func moment(s string) (time.Time, error) {
	for _, layout := range []string{momentLayout, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil && t.Format(layout) == s && t.Year() >= 2000 {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is no time; write 2026-12-31 or, in UTC, 2026-12-31T15:00:00Z", s)
}

func hashOf(s string) (Hash, error) { return ParseHash(s) }

func memberID(s string) (MemberID, error) {
	h, err := ParseHash(s)
	if err == nil && h.IsZero() {
		err = errors.New("the id is zero")
	}
	return MemberID(h), err
}

// country takes a code of ISO 3166-1 by its form.
func country(s string) (string, error) {
	if len(s) != 2 || s[0] < 'A' || s[0] > 'Z' || s[1] < 'A' || s[1] > 'Z' {
		return "", fmt.Errorf("%.20q is no country; write the two capital letters of ISO 3166-1", s)
	}
	return s, nil
}

// level takes a TLP 2.0 label as it is written, and no other spelling of it.
func level(s string) (Marking, error) {
	labels := make([]string, 0, Red)
	for m := Clear; m <= Red; m++ {
		if m.String() == s {
			return m, nil
		}
		labels = append(labels, m.String())
	}
	return NoMarking, knownWord("marking", s, labels)
}

// closing reads the place of a closed log: log, sequence, head.
func (s section) closing() Closing {
	return Closing{Log: one(s, "log", true, hashOf), Position: Position{
		Sequence: one(s, "sequence", true, wholeNumber(1, maxInteger)), Head: one(s, "head", true, hashOf)}}
}

// checkSpan holds that a time begins before it ends and is not too long.
func checkSpan(s section, key string, from, until time.Time, most time.Duration, what string) {
	switch {
	case s.fault != nil:
	case !from.Before(until):
		s.failAt(key, "%s ends at %s, which is not after %s, where it begins", what, until.Format(momentLayout), from.Format(momentLayout))
	case most > 0 && until.Sub(from) > most:
		s.failAt(key, "%s lives %d days at most; this would be %d", what, int(most.Hours()/24), int(until.Sub(from).Hours()/24+0.999))
	}
}

// undefined says that a word names nothing in this document. Few names are
// listed, many are not.
func undefined(what, word string, known []string) error {
	slices.Sort(known)
	list := ""
	if len(known) > 0 && len(known) <= 12 {
		list = "; known: " + strings.Join(known, ", ")
	}
	return fmt.Errorf("the agreement has no %s %.60q%s%s", what, word, suggest(word, known), list)
}
