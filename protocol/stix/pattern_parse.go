package stix

import (
	"fmt"
	"net/netip"
	"strings"
)

// patternParser reads a pattern by recursive descent. Only parentheses
// recurse, and depth bounds them.
type patternParser struct {
	lex      patternLexer
	tok      token // the one to be looked at next
	depth    int
	warnings []string
}

// pattern reads the whole text.
func (p *patternParser) pattern() (*observation, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	root, err := p.observations()
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokenEnd {
		return nil, p.expected("AND, OR, FOLLOWEDBY, a qualifier or the end")
	}
	return root, nil
}

func (p *patternParser) advance() error {
	t, err := p.lex.next()
	if err != nil {
		return err
	}
	p.tok = t
	return nil
}

// expected makes the error for the token at hand.
func (p *patternParser) expected(what string) *PatternError {
	found := "the end"
	if p.tok.kind != tokenEnd {
		found = clip(p.lex.text[p.tok.start:p.tok.end])
	}
	err := p.lex.fail(p.tok.start, what, found)
	if p.tok.kind == tokenName && (keyword(strings.ToUpper(p.tok.text)) || keyword(strings.ToLower(p.tok.text))) {
		err.hint = "keywords of a STIX pattern are written in upper case, true and false in lower case"
	}
	return err
}

func (p *patternParser) at(kind tokenKind, text string) bool {
	return p.tok.kind == kind && p.tok.text == text
}

// take passes the given token, or fails.
func (p *patternParser) take(kind tokenKind, text, what string) error {
	if !p.at(kind, text) {
		return p.expected(what)
	}
	return p.advance()
}

// enter and leave count parentheses.
func (p *patternParser) enter() error {
	if p.depth++; p.depth > maxPatternDepth {
		err := p.lex.fail(p.tok.start, fmt.Sprintf("more than %d nested parentheses", maxPatternDepth), "")
		err.limit = true
		return err
	}
	return p.advance()
}

func (p *patternParser) leave(what string) error {
	p.depth--
	return p.take(tokenSymbol, ")", what)
}

// observations reads FOLLOWEDBY, which binds loosest, over OR over AND.
func (p *patternParser) observations() (*observation, error) {
	return p.joined("FOLLOWEDBY", followedObserved, func() (*observation, error) {
		return p.joined("OR", eitherObserved, func() (*observation, error) {
			return p.joined("AND", bothObserved, p.observation)
		})
	})
}

// joined reads one or more operands with the operator between them.
func (p *patternParser) joined(word string, op observationOp, operand func() (*observation, error)) (*observation, error) {
	first, err := operand()
	if err != nil || !p.at(tokenWord, word) {
		return first, err
	}
	node := &observation{op: op}
	node.add(first)
	for p.at(tokenWord, word) {
		if err := p.advance(); err != nil {
			return nil, err
		}
		next, err := operand()
		if err != nil {
			return nil, err
		}
		node.add(next)
	}
	return node, nil
}

// add takes a part in; one of the same operator is spread out where that means
// the same: always for AND and OR, at the left for FOLLOWEDBY.
func (o *observation) add(part *observation) {
	if part.op == o.op && len(part.qualifiers) == 0 && (o.op != followedObserved || len(o.parts) == 0) {
		o.parts = append(o.parts, part.parts...)
		return
	}
	o.parts = append(o.parts, part)
}

// observation reads [ … ] or ( … ) and its qualifiers.
func (p *patternParser) observation() (*observation, error) {
	var node *observation
	switch {
	case p.at(tokenSymbol, "["):
		if err := p.advance(); err != nil {
			return nil, err
		}
		c, err := p.comparisons()
		if err != nil {
			return nil, err
		}
		if err := p.take(tokenSymbol, "]", "AND, OR or ]"); err != nil {
			return nil, err
		}
		p.checkTypes(c)
		node = &observation{op: observe, test: c}
	case p.at(tokenSymbol, "("):
		if err := p.enter(); err != nil {
			return nil, err
		}
		inner, err := p.observations()
		if err != nil {
			return nil, err
		}
		if err := p.leave("AND, OR, FOLLOWEDBY, a qualifier or )"); err != nil {
			return nil, err
		}
		node = inner
		if len(inner.qualifiers) > 0 && p.atQualifier() {
			node = &observation{op: group, parts: []*observation{inner}}
		}
	default:
		return nil, p.expected("[ or (")
	}
	for p.atQualifier() {
		if err := p.qualifier(node); err != nil {
			return nil, err
		}
	}
	return node, nil
}

func (p *patternParser) atQualifier() bool {
	return p.tok.kind == tokenWord && (p.tok.text == "WITHIN" || p.tok.text == "REPEATS" || p.tok.text == "START")
}

// qualifier reads one qualifier into node, which may have each kind once.
func (p *patternParser) qualifier(node *observation) error {
	q, start := qualifier{}, p.tok.start
	var err error
	switch p.tok.text {
	case "WITHIN":
		q.kind = within
		if q.amount, err = p.amount(true); err == nil {
			err = p.take(tokenWord, "SECONDS", "SECONDS")
		}
	case "REPEATS":
		q.kind = repeats
		if q.amount, err = p.amount(false); err == nil {
			err = p.take(tokenWord, "TIMES", "TIMES")
		}
	case "START":
		q.kind = startStop
		if q.amount, err = p.moment(); err != nil {
			return err
		}
		if !p.at(tokenWord, "STOP") {
			return p.expected("STOP")
		}
		if q.stop, err = p.moment(); err == nil && strings.TrimSuffix(q.stop.text, "Z") <= strings.TrimSuffix(q.amount.text, "Z") {
			p.warn("START %s is not before STOP %s: nothing can match", q.amount.text, q.stop.text)
		}
	}
	if err != nil {
		return err
	}
	for _, other := range node.qualifiers {
		if other.kind == q.kind {
			return p.lex.fail(start, fmt.Sprintf("a second %s for the same expression", q.kind), "")
		}
	}
	node.qualifiers = append(node.qualifiers, q)
	return nil
}

// amount passes a keyword and reads the positive number after it.
func (p *patternParser) amount(fractions bool) (literal, error) {
	if err := p.advance(); err != nil {
		return literal{}, err
	}
	v, kind := p.tok.value, p.tok.kind
	positive := v.kind == literalInteger && v.integer > 0 || fractions && v.kind == literalFloat && v.float > 0
	if kind != tokenValue || !positive {
		if fractions {
			return v, p.expected("a number above 0")
		}
		return v, p.expected("a whole number above 0")
	}
	return v, p.advance()
}

// moment passes a keyword and reads the timestamp after it.
func (p *patternParser) moment() (literal, error) {
	if err := p.advance(); err != nil {
		return literal{}, err
	}
	if p.tok.kind != tokenValue || p.tok.value.kind != literalTime {
		return literal{}, p.expected("a timestamp like t'2026-01-31T12:00:00Z'")
	}
	v := p.tok.value
	return v, p.advance()
}

// comparisons reads OR, which binds looser, over AND.
func (p *patternParser) comparisons() (*comparison, error) {
	return p.combined("OR", anyOf, func() (*comparison, error) {
		return p.combined("AND", allOf, p.comparison)
	})
}

func (p *patternParser) combined(word string, op comparisonOp, operand func() (*comparison, error)) (*comparison, error) {
	first, err := operand()
	if err != nil || !p.at(tokenWord, word) {
		return first, err
	}
	node := &comparison{op: op}
	node.add(first)
	for p.at(tokenWord, word) {
		if err := p.advance(); err != nil {
			return nil, err
		}
		next, err := operand()
		if err != nil {
			return nil, err
		}
		node.add(next)
	}
	return node, nil
}

func (c *comparison) add(part *comparison) {
	if part.op == c.op {
		c.parts = append(c.parts, part.parts...)
		return
	}
	c.parts = append(c.parts, part)
}

// comparison reads one test, or several in parentheses.
func (p *patternParser) comparison() (*comparison, error) {
	if p.at(tokenSymbol, "(") {
		if err := p.enter(); err != nil {
			return nil, err
		}
		inner, err := p.comparisons()
		if err != nil {
			return nil, err
		}
		return inner, p.leave("AND, OR or )")
	}
	node := &struct {
		comparison
		test test
	}{}
	node.op, node.comparison.test = single, &node.test
	return &node.comparison, p.propertyTest(&node.test)
}

// propertyTest reads path, operator and constant.
func (p *patternParser) propertyTest(t *test) error {
	if p.at(tokenWord, "EXISTS") {
		if err := p.advance(); err != nil {
			return err
		}
		t.op = "EXISTS"
		return p.path(&t.path)
	}
	if err := p.path(&t.path); err != nil {
		return err
	}
	if p.at(tokenWord, "NOT") {
		t.negated = true
		if err := p.advance(); err != nil {
			return err
		}
	}
	if p.tok.kind != tokenSymbol && p.tok.kind != tokenWord {
		return p.expectedOperator(t)
	}
	t.op = p.tok.text
	switch t.op {
	case "=", "!=":
		return p.constant(t, "a constant: a string in single quotes, a number, true or false", func(literal) bool { return true })
	case "<", "<=", ">", ">=":
		return p.constant(t, "a constant that has an order: a string, number or timestamp",
			func(v literal) bool { return v.kind != literalBool })
	case "LIKE", "MATCHES":
		return p.text(t)
	case "ISSUBSET", "ISSUPERSET":
		return p.constant(t, "an address or network in single quotes like '198.51.100.0/24'",
			func(v literal) bool { return v.kind == literalString && isNetwork(v.text) })
	case "IN":
		return p.set(t)
	}
	return p.expectedOperator(t)
}

// expectedOperator says what may follow a path; a hyphen in a property name is
// the commonest reason for getting here.
func (p *patternParser) expectedOperator(t *test) *PatternError {
	if t.negated {
		return p.expected("a comparison operator after NOT")
	}
	return p.expected("a comparison operator like = or IN, or a further part of the path")
}

// constant passes the operator and reads a constant that fits it.
func (p *patternParser) constant(t *test, what string, fits func(literal) bool) error {
	if err := p.advance(); err != nil {
		return err
	}
	if p.tok.kind != tokenValue || !fits(p.tok.value) {
		err := p.expected(what)
		if p.tok.kind == tokenName && err.hint == "" {
			err.hint = "strings in a STIX pattern are in single quotes"
		}
		return err
	}
	t.value = p.tok.value
	return p.advance()
}

// text reads the string of LIKE and MATCHES. A regular expression is neither
// compiled nor run here; its length is bounded for whoever does.
func (p *patternParser) text(t *test) error {
	err := p.constant(t, "a string in single quotes after "+t.op, func(v literal) bool { return v.kind == literalString })
	if err == nil && len(t.value.text) > maxPatternRegex {
		e := p.lex.fail(p.tok.start, fmt.Sprintf("%s with more than %d bytes", t.op, maxPatternRegex), "")
		e.limit = true
		return e
	}
	return err
}

// set reads ( constant, … ), which may be empty.
func (p *patternParser) set(t *test) error {
	if err := p.advance(); err != nil {
		return err
	}
	if err := p.take(tokenSymbol, "(", "( after IN"); err != nil {
		return err
	}
	if p.at(tokenSymbol, ")") {
		p.warn("%s IN () can never match", clip(t.path.object))
		return p.advance()
	}
	for {
		if p.tok.kind != tokenValue {
			return p.expected("a constant")
		}
		if len(t.set) == maxPatternSet {
			e := p.lex.fail(p.tok.start, fmt.Sprintf("more than %d members in one set", maxPatternSet), "")
			e.limit = true
			return e
		}
		t.set = append(t.set, p.tok.value)
		if err := p.advance(); err != nil {
			return err
		}
		if !p.at(tokenSymbol, ",") {
			return p.take(tokenSymbol, ")", ", or )")
		}
		if err := p.advance(); err != nil {
			return err
		}
	}
}

// path reads type:property and what follows.
func (p *patternParser) path(path *objectPath) error {
	if p.tok.kind != tokenName {
		return p.expected("an object type like ipv4-addr, EXISTS or (")
	}
	path.object = p.tok.text
	if err := p.advance(); err != nil {
		return err
	}
	if err := p.take(tokenSymbol, ":", ": after the object type"); err != nil {
		return err
	}
	path.steps = make([]step, 0, 2)
	if err := p.property(path); err != nil {
		return err
	}
	for {
		var err error
		switch {
		case p.at(tokenSymbol, "."):
			if err = p.advance(); err == nil {
				err = p.property(path)
			}
		case p.at(tokenSymbol, "["):
			err = p.index(path)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// property reads a name, in quotes where it is not letters, digits and _.
func (p *patternParser) property(path *objectPath) error {
	name := ""
	switch {
	case p.tok.kind == tokenName && strings.Contains(p.tok.text, "-"):
		err := p.expected("a property name; one with a hyphen stands in single quotes")
		err.hint = "write '" + p.tok.text + "' with its quotes"
		return err
	case p.tok.kind == tokenName:
		name = p.tok.text
	case p.tok.kind == tokenValue && p.tok.value.kind == literalString:
		name = p.tok.value.text
	default:
		return p.expected("a property name")
	}
	path.steps = append(path.steps, step{kind: stepName, name: name})
	return p.advance()
}

// index reads [3], [-1] or [*].
func (p *patternParser) index(path *objectPath) error {
	if err := p.advance(); err != nil {
		return err
	}
	switch {
	case p.at(tokenSymbol, "*"):
		path.steps = append(path.steps, step{kind: stepAny})
	case p.tok.kind == tokenValue && p.tok.value.kind == literalInteger:
		path.steps = append(path.steps, step{kind: stepIndex, index: p.tok.value.integer})
	default:
		return p.expected("a whole number or * as index")
	}
	if err := p.advance(); err != nil {
		return err
	}
	return p.take(tokenSymbol, "]", "] after the index")
}

// checkTypes warns of an AND between different object types: both sides speak
// of one object, so it can never be true. Some writers mean two objects.
func (p *patternParser) checkTypes(c *comparison) {
	if c.op != allOf {
		for _, part := range c.parts {
			p.checkTypes(part)
		}
		return
	}
	first := ""
	for _, part := range c.parts {
		if part.op != single {
			p.checkTypes(part)
			continue
		}
		switch object := part.test.path.object; {
		case first == "":
			first = object
		case first != object:
			p.warn("%s AND %s in one observation: no object is both", clip(first), clip(object))
			return
		}
	}
}

// warn notes something odd. The number is bounded: a hostile pattern is full
// of oddities.
func (p *patternParser) warn(format string, args ...any) {
	if len(p.warnings) < 8 {
		p.warnings = append(p.warnings, fmt.Sprintf(format, args...))
	}
}

// isNetwork reports whether text is an address or a network of either family.
func isNetwork(text string) bool {
	if strings.Contains(text, "/") {
		_, err := netip.ParsePrefix(text)
		return err == nil
	}
	_, err := netip.ParseAddr(text)
	return err == nil
}
