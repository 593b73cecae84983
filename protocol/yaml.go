package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"golang.org/x/text/unicode/norm"
)

// Limits of a document's text (spec, "Documents").
const (
	maxDocument  = 1 << 20
	maxCollections   = 16
	maxListItems = 20000
	maxText      = 16 << 10
)

// prescan refuses what may not stand in a document, in one pass and before any
// parser sees the text: parsers take minutes and gigabytes over a few kilobytes
// of brackets. It is stricter than YAML on purpose.
func prescan(text []byte) error {
	if len(text) > maxDocument {
		return Errorf(Limit, "", "the document has %d bytes; 1 MiB is the most", len(text))
	}
	if !utf8.Valid(text) {
		return &FaultError{Line: 1 + bytes.Count(text[:firstInvalid(text)], []byte("\n")), Column: 1, Text: "the document is not UTF-8"}
	}
	if !norm.NFC.IsNormal(text) {
		at := norm.NFC.QuickSpan(text)
		line := 1 + bytes.Count(text[:at], []byte("\n"))
		return &FaultError{Line: line, Column: 1, Text: "the text is not in Unicode normal form C", Source: lineOf(text, line)}
	}
	for number, line := range strings.Split(string(text), "\n") {
		if fault := scanLine(line); fault != nil {
			fault.Line, fault.Source = number+1, line
			return fault
		}
	}
	return scanNesting(text)
}

func firstInvalid(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(text)
}

// scanLine refuses characters and constructs that one line may not hold.
func scanLine(line string) *FaultError {
	column := 0
	for _, r := range line {
		column++
		switch {
		case r == '\t':
			return &FaultError{Column: column, Text: "a tab; indent with blanks"}
		case r == '\r':
			return &FaultError{Column: column, Text: "a carriage return; lines end with a line feed alone"}
		case r == 0xFEFF:
			return &FaultError{Column: column, Text: "a byte order mark"}
		case unicode.Is(unicode.Bidi_Control, r), unicode.Is(unicode.Cf, r), unicode.IsControl(r), r == 0x2028, r == 0x2029:
			return &FaultError{Column: column, Text: fmt.Sprintf("the invisible character U+%04X", r)}
		}
	}
	trimmed := strings.TrimLeft(line, " ")
	switch {
	case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "..."):
		return &FaultError{Column: 1, Text: "a document marker; a file holds one document and nothing else"}
	case strings.HasPrefix(line, "%"):
		return &FaultError{Column: 1, Text: "a directive"}
	case strings.HasPrefix(trimmed, "? "):
		return &FaultError{Column: 1 + len(line) - len(trimmed), Text: "a complex key"}
	}
	// Indicators open a value only after a key, a dash or a bracket.
	for at := 0; at < len(line); at++ {
		if c := line[at]; (c == '&' || c == '*' || c == '!') && opensValue(line[:at]) {
			return &FaultError{Column: 1 + utf8.RuneCountInString(line[:at]), Text: fmt.Sprintf("%q begins an anchor, an alias or a tag; quote the value", c)}
		}
	}
	return nil
}

// opensValue reports whether a value may begin after the text of a line so far.
func opensValue(before string) bool {
	t := strings.TrimRight(before, " ")
	if t == "" {
		return true
	}
	if len(t) == len(before) && !strings.HasSuffix(t, "[") && !strings.HasSuffix(t, "{") && !strings.HasSuffix(t, ",") {
		return false // nothing but a bracket opens a value without a blank
	}
	switch t[len(t)-1] {
	case ':', '[', '{', ',':
		return true
	case '-':
		return strings.Trim(t, " -") == ""
	}
	return false
}

// scanNesting bounds how deep collections nest: open brackets and braces
// outside quotes, indentation steps, and chains of dashes on one line.
func scanNesting(text []byte) error {
	flow := 0
	var indents []int
	for number, line := range strings.Split(string(text), "\n") {
		trimmed := strings.TrimLeft(line, " ")
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		indent := len(line) - len(trimmed)
		for len(indents) > 0 && indents[len(indents)-1] >= indent {
			indents = indents[:len(indents)-1]
		}
		indents = append(indents, indent)
		for strings.HasPrefix(trimmed, "- ") {
			trimmed = strings.TrimLeft(trimmed[2:], " ")
			indents = append(indents, len(line)-len(trimmed))
		}
		flow += flowDepth(trimmed)
		if len(indents)+flow > maxCollections {
			return &FaultError{Line: number + 1, Column: indent + 1, Text: fmt.Sprintf("collections nest deeper than %d", maxCollections), Source: line}
		}
		flow = max(0, flow-strings.Count(trimmed, "]")-strings.Count(trimmed, "}"))
	}
	return nil
}

// flowDepth counts every opening bracket of a line, also in quotes: counting
// too many is safe, and prose that needs more than a dozen on a line does not.
func flowDepth(line string) int { return strings.Count(line, "[") + strings.Count(line, "{") }

// FaultError says where in a document's text something is wrong. Its text has
// the line with a caret under the fault.
type FaultError struct {
	Line   int // from 1
	Column int // in characters, from 1
	Text   string
	Source string // the line
}

// Error returns place, fault, and the line with a caret under the place.
func (e *FaultError) Error() string {
	s := fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Text)
	if e.Source == "" {
		return s
	}
	source, column := e.Source, e.Column
	if runes := []rune(source); len(runes) > 120 {
		from := min(max(0, column-60), len(runes)-120)
		source, column = string(runes[from:from+120]), column-from
	}
	source = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, source)
	prefix := fmt.Sprintf("  %d | ", e.Line)
	return s + "\n" + prefix + source + "\n" + strings.Repeat(" ", len(prefix)+max(0, column-1)) + "^"
}

func lineOf(text []byte, line int) string {
	lines := strings.SplitN(string(text), "\n", line+1)
	if line-1 < len(lines) && line > 0 {
		return lines[line-1]
	}
	return ""
}

// yamlReading is a document being read: the first fault stays, and all later reads
// return zero values.
type yamlReading struct {
	text  []byte
	fault error
}

// readYAML scans and parses a document whose root is a mapping.
func readYAML(text []byte) (*yamlReading, *mapping, error) {
	if err := prescan(text); err != nil {
		return nil, nil, err
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, nil, errors.New(strings.TrimSpace(err.Error()))
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return nil, nil, &FaultError{Line: 1, Column: 1, Text: "the file holds no document"}
	}
	r := &yamlReading{text: text}
	f := r.fieldsOf(file.Docs[0].Body)
	return r, f, r.fault
}

// fail notes a fault at a node.
func (r *yamlReading) fail(n ast.Node, format string, args ...any) {
	if r.fault != nil {
		return
	}
	f := &FaultError{Line: 1, Column: 1, Text: fmt.Sprintf(format, args...)}
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		f.Line, f.Column = n.GetToken().Position.Line, n.GetToken().Position.Column
	}
	f.Source = lineOf(r.text, f.Line)
	r.fault = f
}

// mapping is a YAML mapping: every key must be asked for, and none may come twice.
type mapping struct {
	r      *yamlReading
	at     ast.Node
	keys   map[string]ast.Node
	values map[string]ast.Node
	asked  map[string]bool
	order  []string
}

func (r *yamlReading) fieldsOf(n ast.Node) *mapping {
	f := &mapping{r: r, at: n, keys: map[string]ast.Node{}, values: map[string]ast.Node{}, asked: map[string]bool{}}
	var entries []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	default:
		r.fail(n, "this should be a mapping of names to values")
		return f
	}
	for _, e := range entries {
		key, ok := e.Key.(*ast.StringNode)
		if !ok {
			r.fail(e.Key, "a name should stand here")
			return f
		}
		if _, twice := f.values[key.Value]; twice {
			r.fail(e.Key, "%q stands here a second time", key.Value)
			return f
		}
		f.keys[key.Value], f.values[key.Value] = e.Key, e.Value
		f.order = append(f.order, key.Value)
	}
	return f
}

// done faults the first name that nothing asked for.
func (f *mapping) done() {
	for _, name := range f.order {
		if !f.asked[name] {
			f.r.fail(f.keys[name], "unknown field %q", name)
			return
		}
	}
}

// has reports whether a field is given, and counts as asking for it.
func (f *mapping) has(name string) bool {
	f.asked[name] = true
	_, ok := f.values[name]
	return ok
}

// node returns the value of a field; a missing one that is needed is a fault.
func (f *mapping) node(name string, needed bool) ast.Node {
	f.asked[name] = true
	n, ok := f.values[name]
	if !ok && needed {
		f.r.fail(f.at, "the field %q is missing", name)
	}
	return n
}

// text returns a string field, within the limit of one.
func (f *mapping) text(name string, needed bool) string {
	n := f.node(name, needed)
	if n == nil {
		return ""
	}
	s := f.r.text1(n)
	if needed && s == "" {
		f.r.fail(n, "%q is empty", name)
	}
	return s
}

func (r *yamlReading) text1(n ast.Node) string {
	var s string
	switch n := n.(type) {
	case *ast.StringNode:
		s = n.Value
	case *ast.LiteralNode:
		s = n.Value.Value
	default:
		r.fail(n, "this should be a text; put it in quotes")
		return ""
	}
	if len(s) > maxText {
		r.fail(n, "the text has %d bytes; %d are the most", len(s), maxText)
	}
	return s
}

// label returns a text that may also be written as a number, such as 2.1.
func (f *mapping) label(name string) string {
	n := f.node(name, true)
	switch n := n.(type) {
	case nil:
		return ""
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value
	default:
		return f.r.text1(n)
	}
}

func (f *mapping) uint(name string, needed bool, most uint64) uint64 {
	n := f.node(name, needed)
	if n == nil {
		return 0
	}
	i, ok := n.(*ast.IntegerNode)
	if ok {
		if v, err := strconv.ParseUint(i.GetToken().Value, 10, 64); err == nil && v <= most {
			return v
		}
	}
	f.r.fail(n, "%q should be a whole number from 0 to %d", name, most)
	return 0
}

func (f *mapping) bool(name string) bool {
	n := f.node(name, false)
	if n == nil {
		return false
	}
	b, ok := n.(*ast.BoolNode)
	if !ok {
		f.r.fail(n, "%q should be true or false", name)
		return false
	}
	return b.Value
}

// time returns a moment in UTC, to the second.
func (f *mapping) time(name string, needed bool) time.Time {
	n := f.node(name, needed)
	if n == nil {
		return time.Time{}
	}
	s := f.r.text1(n)
	t, err := time.Parse("2006-01-02T15:04:05Z", s)
	if err != nil && f.r.fault == nil {
		f.r.fail(n, "%q should be a moment in UTC such as 2026-01-31T00:00:00Z", s)
	}
	return t.UTC()
}

func (f *mapping) hash(name string, needed bool) Hash {
	n := f.node(name, needed)
	if n == nil {
		return Hash{}
	}
	h, err := ParseHash(f.r.text1(n))
	if err != nil {
		f.r.fail(n, "%v", err)
	}
	return h
}

func (f *mapping) key(name string) PublicKey {
	n := f.node(name, true)
	if n == nil {
		return PublicKey{}
	}
	k, err := ParsePublicKey(f.r.text1(n))
	if err != nil {
		f.r.fail(n, "%v", err)
	}
	return k
}

// list returns the elements of a list field; a missing one is empty.
func (f *mapping) list(name string, most int) []ast.Node {
	n := f.node(name, false)
	if n == nil {
		return nil
	}
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		f.r.fail(n, "%q should be a list", name)
		return nil
	}
	if len(s.Values) > most {
		f.r.fail(n, "%q has %d elements; %d are the most", name, len(s.Values), most)
		return nil
	}
	return s.Values
}

// texts returns a list of texts, each of which check accepts.
func (f *mapping) texts(name string, most int, check func(string) error) []string {
	var out []string
	for _, n := range f.list(name, most) {
		s := f.r.text1(n)
		if check != nil {
			if err := check(s); err != nil {
				f.r.fail(n, "%v", err)
			}
		}
		for _, other := range out {
			if other == s {
				f.r.fail(n, "%q stands in this list already", s)
			}
		}
		out = append(out, s)
	}
	if n := f.values[name]; n != nil && len(out) == 0 {
		f.r.fail(n, "the list %q is empty; leave it out to mean no restriction", name)
	}
	return out
}

// mappings returns a list of mappings.
func (f *mapping) mappings(name string, most int) []*mapping {
	var out []*mapping
	for _, n := range f.list(name, most) {
		out = append(out, f.r.fieldsOf(n))
	}
	return out
}

// checkHandle accepts a short name: a-z, 0-9 and hyphens, 1 to 64 of them.
func checkHandle(s string) error {
	if len(s) == 0 || len(s) > 64 || s[0] == '-' || s[len(s)-1] == '-' {
		return fmt.Errorf("%q is no short name: 1 to 64 of a-z, 0-9 and hyphens, no hyphen at the ends", s)
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("%q is no short name: only a-z, 0-9 and hyphens may stand in it", s)
		}
	}
	return nil
}
