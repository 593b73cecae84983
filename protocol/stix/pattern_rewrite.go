package stix

import (
	"errors"
	"strconv"
	"strings"
)

// PatternValue is one constant of a pattern with the comparison that it is in.
type PatternValue struct {
	Path     string // what it is compared with, in normal form: "ipv4-addr:value"
	Operator string // = != < <= > >= IN LIKE MATCHES ISSUBSET ISSUPERSET EXISTS
	Negated  bool   // NOT before the operator
	Text     string // a string, a number, or the bytes of a binary constant; "" for EXISTS
	Literal  bool   // it is a string, which Rewrite can replace
}

// ErrNarrower is why Rewrite gives up: what is to be left out cannot be without
// having the pattern match more than it did.
var ErrNarrower = errors.New("without it the pattern would match more than it did")

// ErrNothing is why Rewrite gives up where every alternative goes.
var ErrNothing = errors.New("nothing of the pattern would be left")

// errNoString is why Rewrite gives up where a constant has no other text.
var errNoString = errors.New("the constant is no string")

// Rewrite returns a pattern in which visit has replaced or left out constants:
// it is called for each in order, and returns the text in its place and whether
// the constant stays. A constant that goes takes its comparison with it, or in a
// set itself alone. That is done only where the rest matches no more than before:
// among alternatives, and where the comparison is not negated. Else the error is
// ErrNarrower, or ErrNothing where nothing is left. An error of visit ends the run
// and is returned.
func (p *Pattern) Rewrite(visit func(PatternValue) (text string, keep bool, err error)) (*Pattern, error) {
	root, err := p.root.rewrite(visit)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, ErrNothing
	}
	return &Pattern{root: root, warnings: p.warnings}, nil
}

type patternVisit = func(PatternValue) (string, bool, error)

// rewrite returns nil where nothing is left.
func (o *observation) rewrite(visit patternVisit) (*observation, error) {
	out := &observation{op: o.op, qualifiers: o.qualifiers}
	if o.op == observe {
		test, err := o.test.rewrite(visit)
		if err != nil || test == nil {
			return nil, err
		}
		out.test = test
		return out, nil
	}
	for _, part := range o.parts {
		rest, err := part.rewrite(visit)
		switch {
		case err != nil:
			return nil, err
		case rest != nil:
			out.parts = append(out.parts, rest)
		case o.op != eitherObserved:
			return nil, nil
		}
	}
	switch {
	case len(out.parts) == 0:
		return nil, nil
	case len(out.parts) == 1 && o.op == eitherObserved:
		if len(o.qualifiers) == 0 {
			return out.parts[0], nil
		}
		out.op = group
	}
	return out, nil
}

func (c *comparison) rewrite(visit patternVisit) (*comparison, error) {
	if c.op == single {
		rest, err := c.test.rewrite(visit)
		if err != nil || rest == nil {
			return nil, err
		}
		return &comparison{op: single, test: rest}, nil
	}
	out := &comparison{op: c.op}
	for _, part := range c.parts {
		rest, err := part.rewrite(visit)
		switch {
		case err != nil:
			return nil, err
		case rest != nil:
			out.parts = append(out.parts, rest)
		case c.op != anyOf:
			return nil, nil
		}
	}
	switch len(out.parts) {
	case 0:
		return nil, nil
	case 1:
		return out.parts[0], nil
	}
	return out, nil
}

func (t *test) rewrite(visit patternVisit) (*test, error) {
	var path strings.Builder
	t.path.print(&path)
	ask := func(v literal) (literal, bool, error) {
		value := PatternValue{Path: path.String(), Operator: t.op, Negated: t.negated, Text: v.plain(), Literal: v.kind == literalString}
		text, keep, err := visit(value)
		switch {
		case err != nil || !keep || text == value.Text:
			return v, keep, err
		case !value.Literal:
			return v, false, errNoString
		}
		return literal{kind: literalString, text: text}, true, nil
	}
	out := *t
	if t.op != "IN" {
		v, keep, err := ask(t.value)
		switch {
		case err != nil:
			return nil, err
		case !keep && (t.negated || t.op == "!="):
			return nil, ErrNarrower
		case !keep:
			return nil, nil
		}
		out.value = v
		return &out, nil
	}
	out.set = nil
	for _, member := range t.set {
		v, keep, err := ask(member)
		switch {
		case err != nil:
			return nil, err
		case keep:
			out.set = append(out.set, v)
		case t.negated:
			return nil, ErrNarrower
		}
	}
	if len(out.set) == 0 {
		return nil, nil
	}
	return &out, nil
}

// plain returns what a constant says.
func (v *literal) plain() string {
	switch v.kind {
	case literalInteger:
		return strconv.FormatInt(v.integer, 10)
	case literalFloat:
		return strconv.FormatFloat(v.float, 'f', -1, 64)
	case literalBool:
		return strconv.FormatBool(v.integer != 0)
	}
	return v.text
}
