package cases

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"entente/policy"
	"entente/protocol"
)

// File is a file of cases, read but not yet held against an agreement.
type File struct {
	Name  string // as Parse was given it, for reports
	Cases []Case

	agreement word
	wide      bool // has lines that are too long to show
}

// Case is one case of a file: a question and the answer that is expected.
type Case struct {
	Name string
	Line int // of the file, from 1
	At   time.Time

	object    object
	from      word
	to        words
	topic     word
	expect    policy.Outcome
	clause    word
	because   word
	readers   words
	purpose   word
	facts     *factsText
	elsewhere *elsewhere
	duties    []string
	strict    bool // the obligations are compared
}

// publish reports whether the case asks of a whole topic.
func (c *Case) publish() bool { return !c.to.given && c.elsewhere == nil }

// Parse reads a file of cases strictly, see the package comment: at most 1 MiB,
// known fields and words only. Errors are Invalid or Limit and show the place
// with a caret. name is only for errors and reports. Nothing about the agreement
// is checked.
func Parse(name string, text []byte) (*File, error) {
	op := "read cases " + name
	if err := protocol.CheckText(text); err != nil {
		return nil, protocol.E(protocol.KindOf(err), op, err, protocol.HintOf(err))
	}
	f := &File{Name: name}
	for line := range bytes.Lines(text) {
		f.wide = f.wide || len(line) > mostLine
	}
	var raw fileText
	if err := decode(text, &raw); err != nil {
		return nil, f.fault(op, err)
	}
	if err := f.take(raw); err != nil {
		return nil, f.fault(op, err)
	}
	return f, nil
}

// strict are the options under which every part of a file is read.
func strict() []yaml.DecodeOption {
	return []yaml.DecodeOption{yaml.Strict(), yaml.DisallowUnknownField()}
}

// decode reads the text. The library passes over fields that are null, which
// would make another question of a case: those are refused.
func decode(text []byte, raw *fileText) error {
	parsed, err := parser.ParseBytes(text, 0)
	if err != nil {
		return err
	}
	for _, doc := range parsed.Docs {
		if doc.Body == nil {
			continue
		}
		var nulls nullFinder
		if ast.Walk(&nulls, doc.Body); nulls.first != nil {
			return wrong(nulls.first, "null says nothing; leave the field out, or put quotes around the word")
		}
		for _, field := range fieldsOf(doc.Body) {
			if name := field.Key.GetToken().Value; name == "kind" || name == "secret" {
				// Nothing of it is shown: an agreement has a secret, and errors go to logs.
				return protocol.E(protocol.Invalid, "", errors.New("it is no file of cases but a signed document, or the draft of one"),
					"name the agreement first, then files of cases")
			}
		}
		if err := group(doc.Body, raw); err != nil {
			return err
		}
	}
	return nil
}

// fieldsOf returns the fields of a group, in their order.
func fieldsOf(node ast.Node) []*ast.MappingValueNode {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// group reads a group of fields into a struct. Of several unknown fields the
// library names any; people are told of the first.
func group(node ast.Node, into any) error {
	known := map[string]bool{}
	shape := reflect.TypeOf(into).Elem()
	for i := range shape.NumField() {
		known[shape.Field(i).Tag.Get("yaml")] = true
	}
	for _, field := range fieldsOf(node) {
		if name := field.Key.GetToken(); !known[name.Value] {
			return &yaml.UnknownFieldError{Message: fmt.Sprintf("unknown field %q", name.Value), Token: name}
		}
	}
	return yaml.NodeToValue(node, into, strict()...)
}

// nullFinder visits nodes and keeps the first that is null.
type nullFinder struct{ first *token.Token }

// Visit implements ast.Visitor.
func (f *nullFinder) Visit(node ast.Node) ast.Visitor {
	if node.Type() == ast.NullType && f.first == nil {
		f.first = node.GetToken()
	}
	return f
}

// Bounds in bytes of what errors show of a file: a line, and all of them. Where
// there is more they name the place alone, as the library takes long to print it.
const (
	mostLine    = 2 << 10
	mostExcerpt = 4 << 10
)

// fault makes an error for people of what is wrong with a file of cases.
func (f *File) fault(op string, err error) error {
	if protocol.KindOf(err) != protocol.Other {
		return protocol.E(protocol.KindOf(err), op, err, protocol.HintOf(err))
	}
	hint := ""
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) {
		hint = "the file has agreement, at and cases; a case has name, object, from, to, topic, at, expect, clause, because, readers, purpose, facts, obligations and elsewhere; " +
			"an object has type, marking, classes, pap, confidence, context and modified, or file, or all of a STIX object"
	}
	text := yaml.FormatError(err, false, !f.wide)
	if len(text) > mostExcerpt {
		text = yaml.FormatError(err, false, false)
	}
	return protocol.E(protocol.Invalid, op, errors.New(strings.TrimSpace(text)), hint)
}

// fileText is a file as it stands.
type fileText struct {
	Agreement word       `yaml:"agreement"`
	At        word       `yaml:"at"`
	Cases     []caseText `yaml:"cases"`
}

// caseFields are the fields of a case as they stand.
type caseFields struct {
	Name    word   `yaml:"name"`
	Object  object `yaml:"object"`
	From    word   `yaml:"from"`
	To      words  `yaml:"to"`
	Topic   word   `yaml:"topic"`
	At      word   `yaml:"at"`
	Expect  word   `yaml:"expect"`
	Clause  word   `yaml:"clause"`
	Because word   `yaml:"because"`
	Readers words  `yaml:"readers"`
	Purpose word   `yaml:"purpose"`

	Elsewhere   *elsewhere  `yaml:"elsewhere"`
	Facts       *factsText  `yaml:"facts"`
	Obligations *dutiesText `yaml:"obligations"`
}

// caseText is a case as it stands, with where it begins.
type caseText struct {
	caseFields
	place *token.Token
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (c *caseText) UnmarshalYAML(node ast.Node) error {
	c.place = node.GetToken()
	fields := fieldsOf(node)
	if len(fields) == 0 {
		return wrong(c.place, "a case is a group of fields: name, object, from, topic, expect and more")
	}
	c.place = fields[0].Key.GetToken()
	return group(node, &c.caseFields)
}

// word is a single value as it was written, with its place.
type word struct {
	text  string
	place *token.Token // nil: not given
}

func (w *word) given() bool { return w.place != nil }

// UnmarshalYAML implements yaml.NodeUnmarshaler. Numbers stay as they were
// written: clause 2.10 is not clause 2.1.
func (w *word) UnmarshalYAML(node ast.Node) error {
	w.place = node.GetToken()
	switch n := node.(type) {
	case *ast.StringNode:
		w.text = n.Value
	case *ast.LiteralNode:
		w.text = n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		w.text = w.place.Value
	default:
		return wrong(w.place, "one word is expected here")
	}
	return nil
}

// mostWords bounds a list; an agreement has no more parties.
const mostWords = 1000

// words is one value or a list of them.
type words struct {
	list  []word
	place *token.Token
	given bool
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (w *words) UnmarshalYAML(node ast.Node) error {
	w.given, w.place = true, node.GetToken()
	values := []ast.Node{node}
	if list, ok := node.(*ast.SequenceNode); ok {
		values = list.Values
	}
	if len(values) > mostWords {
		return wrong(w.place, "%d words in a list; at most %d", len(values), mostWords)
	}
	for _, v := range values {
		var one word
		if err := one.UnmarshalYAML(v); err != nil {
			return err
		}
		if slices.ContainsFunc(w.list, func(other word) bool { return other.text == one.text }) {
			return wrong(one.place, "%.80q stands twice in the list", one.text)
		}
		w.list = append(w.list, one)
	}
	return nil
}

// wrong is a fault at a place of the file, shown with a caret.
func wrong(place *token.Token, format string, args ...any) error {
	return &yaml.SyntaxError{Message: fmt.Sprintf(format, args...), Token: place}
}

// take checks what can be checked without the agreement.
func (f *File) take(raw fileText) error {
	var standard time.Time
	var err error
	f.agreement = raw.Agreement
	if raw.At.given() {
		if standard, err = moment(raw.At); err != nil {
			return err
		}
	}
	if len(raw.Cases) == 0 {
		return protocol.Errorf(protocol.Invalid, "", "it holds no cases; begin a list under \"cases:\"")
	}
	names := make(map[string]int, len(raw.Cases))
	for _, r := range raw.Cases {
		c, err := r.read(standard)
		if err != nil {
			return err
		}
		if line, twice := names[c.Name]; twice {
			return wrong(r.Name.place, "two cases have the name %.80q; the first stands in line %d", c.Name, line)
		}
		names[c.Name] = c.Line
		f.Cases = append(f.Cases, c)
	}
	return nil
}

// read checks one case.
func (r *caseText) read(standard time.Time) (Case, error) {
	c := Case{Name: r.Name.text, Line: r.place.Position.Line, At: standard,
		object: r.Object, from: r.From, to: r.To, topic: r.Topic, clause: r.Clause, because: r.Because, readers: r.Readers,
		purpose: r.Purpose, facts: r.Facts, elsewhere: r.Elsewhere}
	for _, need := range []struct {
		field string
		given bool
	}{
		{"name", r.Name.text != ""}, {"object", r.Object.place != nil}, {"from", r.From.text != ""},
		{"topic", r.Topic.text != ""}, {"expect", r.Expect.text != ""},
	} {
		if !need.given {
			return c, wrong(r.place, "the case has no field %q", need.field)
		}
	}
	var err error
	if c.expect, err = outcome(r.Expect); err != nil {
		return c, err
	}
	if r.At.given() {
		if c.At, err = moment(r.At); err != nil {
			return c, err
		}
	}
	if c.strict = r.Obligations != nil; c.strict {
		if c.duties, err = r.Obligations.read(); err != nil {
			return c, err
		}
	}
	if c.elsewhere != nil {
		if err := c.elsewhere.check(&c); err != nil {
			return c, err
		}
	}
	switch {
	case c.purpose.given() && !c.to.given:
		return c, wrong(c.purpose.place, "\"purpose\" goes with \"to\": it is who reads that states one")
	case c.purpose.given() && !slices.Contains(protocol.Purposes(), c.purpose.text):
		return c, wrong(c.purpose.place, "%.40q is no purpose; the purposes are %s", c.purpose.text, strings.Join(protocol.Purposes(), ", "))
	case c.At.IsZero():
		return c, wrong(r.place, "the case has no moment: give it \"at\", or give the file one for all its cases")
	case c.because.given() && !slices.Contains(layers(), c.because.text):
		return c, wrong(c.because.place, "%.40q is no layer; the layers are %s", c.because.text, strings.Join(layers(), ", "))
	case c.to.given && len(c.to.list) == 0:
		return c, wrong(c.to.place, "nobody is named; leave \"to\" out to ask of the whole topic")
	case c.readers.given && !c.publish():
		return c, wrong(c.readers.place, "\"readers\" goes with a case that has no \"to\": there it is known who reads")
	}
	return c, nil
}

// layers returns the words for the layers, in the order in which they are asked.
func layers() []string {
	return []string{policy.Form.String(), policy.Floor.String(), policy.Governing.String(), policy.Local.String()}
}

// outcome reads the word for an answer.
func outcome(w word) (policy.Outcome, error) {
	all := []policy.Outcome{policy.Allow, policy.Withhold, policy.Refuse}
	for _, o := range all {
		if o.String() == w.text {
			return o, nil
		}
	}
	return 0, wrong(w.place, "%.40q is no answer; expect allow, withhold or refuse", w.text)
}

// moment reads a time in UTC, or a date, which is the moment it begins.
func moment(w word) (time.Time, error) {
	for _, layout := range []string{"2006-01-02T15:04:05Z", time.DateOnly} {
		if t, err := time.Parse(layout, w.text); err == nil && t.Year() >= 2000 {
			return t, nil
		}
	}
	return time.Time{}, wrong(w.place, "%.40q is no time; write 2026-12-31 or, in UTC, 2026-12-31T15:00:00Z", w.text)
}
