package stix

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
)

// observation is a node of the outer tree. Operators are flattened: a AND b
// AND c is one node of three parts.
type observation struct {
	op         observationOp
	parts      []*observation // of all but observe; one of group
	test       *comparison    // of observe only
	qualifiers []qualifier    // of distinct kinds
}

type observationOp uint8

const (
	observe          observationOp = iota + 1 // [ … ]
	group                                     // ( … ) around what has qualifiers of its own
	bothObserved                              // AND
	eitherObserved                            // OR
	followedObserved                          // FOLLOWEDBY
)

func (op observationOp) word() string {
	switch op {
	case bothObserved:
		return " AND "
	case eitherObserved:
		return " OR "
	default:
		return " FOLLOWEDBY "
	}
}

type qualifierKind uint8

const (
	within qualifierKind = iota + 1
	repeats
	startStop
)

func (k qualifierKind) String() string { return [...]string{"", "WITHIN", "REPEATS", "START"}[k] }

// qualifier narrows an observation expression.
type qualifier struct {
	kind   qualifierKind
	amount literal // seconds of within, times of repeats, start of startStop
	stop   literal // of startStop
}

// comparison is a node of the inner tree, flattened like observation.
type comparison struct {
	op    comparisonOp
	parts []*comparison // of all and any
	test  *test         // of single
}

type comparisonOp uint8

const (
	single comparisonOp = iota + 1
	allOf               // AND
	anyOf               // OR
)

// test compares one object path with a constant.
type test struct {
	path    objectPath
	negated bool   // NOT before the operator
	op      string // = != < <= > >= IN LIKE MATCHES ISSUBSET ISSUPERSET EXISTS
	value   literal
	set     []literal // of IN
}

// objectPath is type:property and what follows.
type objectPath struct {
	object string
	steps  []step
}

// step is one part of a path after the type. The first one is a name.
type step struct {
	kind  stepKind
	name  string
	index int64
}

type stepKind uint8

const (
	stepName stepKind = iota + 1
	stepIndex
	stepAny // [*]
)

// print writes the normal form; inner says that an operator is around, so that
// a node of operators needs parentheses where precedence would not keep it.
func (o *observation) print(b *strings.Builder, inner bool) {
	compound := o.op > group
	enclosed := o.op == group || compound && (inner || len(o.qualifiers) > 0)
	if enclosed {
		b.WriteByte('(')
	}
	switch o.op {
	case observe:
		b.WriteByte('[')
		o.test.print(b)
		b.WriteByte(']')
	case group:
		o.parts[0].print(b, false)
	default:
		for i, part := range o.parts {
			if i > 0 {
				b.WriteString(o.op.word())
			}
			// A part that binds tighter needs no parentheses, nor does one
			// with qualifiers, which brings its own.
			part.print(b, part.op >= o.op && len(part.qualifiers) == 0)
		}
	}
	if enclosed {
		b.WriteByte(')')
	}
	for _, q := range o.qualifiers {
		q.print(b)
	}
}

func (q qualifier) print(b *strings.Builder) {
	b.WriteByte(' ')
	b.WriteString(q.kind.String())
	b.WriteByte(' ')
	q.amount.print(b)
	switch q.kind {
	case within:
		b.WriteString(" SECONDS")
	case repeats:
		b.WriteString(" TIMES")
	case startStop:
		b.WriteString(" STOP ")
		q.stop.print(b)
	}
}

func (c *comparison) print(b *strings.Builder) {
	if c.op == single {
		c.test.print(b)
		return
	}
	word := " AND "
	if c.op == anyOf {
		word = " OR "
	}
	for i, part := range c.parts {
		if i > 0 {
			b.WriteString(word)
		}
		enclosed := c.op == allOf && part.op == anyOf
		if enclosed {
			b.WriteByte('(')
		}
		part.print(b)
		if enclosed {
			b.WriteByte(')')
		}
	}
}

func (t *test) print(b *strings.Builder) {
	if t.op == "EXISTS" {
		b.WriteString("EXISTS ")
		t.path.print(b)
		return
	}
	t.path.print(b)
	if t.negated {
		b.WriteString(" NOT")
	}
	b.WriteByte(' ')
	b.WriteString(t.op)
	b.WriteByte(' ')
	if t.op != "IN" {
		t.value.print(b)
		return
	}
	b.WriteByte('(')
	for i := range t.set {
		if i > 0 {
			b.WriteString(", ")
		}
		t.set[i].print(b)
	}
	b.WriteByte(')')
}

func (p *objectPath) print(b *strings.Builder) {
	b.WriteString(p.object)
	for i, s := range p.steps {
		switch {
		case s.kind == stepIndex:
			b.WriteByte('[')
			b.WriteString(strconv.FormatInt(s.index, 10))
			b.WriteByte(']')
			continue
		case s.kind == stepAny:
			b.WriteString("[*]")
			continue
		case i == 0:
			b.WriteByte(':')
		default:
			b.WriteByte('.')
		}
		if bareName(s.name) {
			b.WriteString(s.name)
		} else {
			printString(b, s.name)
		}
	}
}

// bareName reports whether a property name needs no quotes.
func bareName(name string) bool {
	if name == "" || !nameStart(name[0]) || keyword(name) {
		return false
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return false
		}
	}
	return true
}

func (v *literal) print(b *strings.Builder) {
	switch v.kind {
	case literalString:
		printString(b, v.text)
	case literalInteger:
		b.WriteString(strconv.FormatInt(v.integer, 10))
	case literalFloat:
		text := strconv.FormatFloat(v.float, 'f', -1, 64)
		b.WriteString(text)
		if !strings.Contains(text, ".") {
			b.WriteString(".0")
		}
	case literalBool:
		b.WriteString(strconv.FormatBool(v.integer != 0))
	case literalTime:
		b.WriteString("t'" + v.text + "'")
	case literalHex:
		b.WriteString("h'" + hex.EncodeToString([]byte(v.text)) + "'")
	case literalBinary:
		b.WriteString("b'" + base64.StdEncoding.EncodeToString([]byte(v.text)) + "'")
	}
}

// printString writes a string literal with its two escapes.
func printString(b *strings.Builder, s string) {
	b.WriteByte('\'')
	for {
		i := strings.IndexAny(s, `'\`)
		if i < 0 {
			break
		}
		b.WriteString(s[:i])
		b.WriteByte('\\')
		b.WriteByte(s[i])
		s = s[i+1:]
	}
	b.WriteString(s)
	b.WriteByte('\'')
}
