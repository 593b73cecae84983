package protocol

import "strings"

// flow reads what stands on one line: scalars, [lists] and {fields}.
type flow struct {
	p    *yamlParser
	line string // without spaces at its end
	at   int    // in bytes
}

func (f *flow) fault(format string, args ...any) *FaultError { return f.p.fault(f.at, format, args...) }

func (f *flow) spaces() {
	for f.at < len(f.line) && f.line[f.at] == ' ' {
		f.at++
	}
}

// has reports whether c comes next, and takes it.
func (f *flow) has(c byte) bool {
	f.spaces()
	if f.at < len(f.line) && f.line[f.at] == c {
		f.at++
		return true
	}
	return false
}

// end asks that nothing but a comment is left of the line.
func (f *flow) end() *FaultError {
	rest := f.line[f.at:]
	body := strings.TrimLeft(rest, " ")
	if body == "" || body[0] == '#' && len(body) < len(rest) {
		return nil
	}
	return f.fault("unexpected text after the value")
}

// value reads one value. Within brackets a plain text ends at a comma or a
// closing bracket.
func (f *flow) value(within bool) (*yamlNode, *FaultError) {
	f.spaces()
	if f.at == len(f.line) {
		return nil, f.fault("a value is missing; a list in brackets ends on the line it begins on")
	}
	switch c := f.line[f.at]; c {
	case '[':
		return f.sequence()
	case '{':
		return f.mapping()
	case '"', '\'':
		return f.quoted(c)
	case '|', '>':
		return nil, f.fault("a text over several lines cannot stand in brackets")
	default:
		return f.plain(within)
	}
}

func (f *flow) sequence() (*yamlNode, *FaultError) {
	n, fault := f.p.enter(yamlSequence, f.at)
	if fault != nil {
		return nil, fault
	}
	f.at++
	for !f.has(']') {
		if len(n.items) > 0 && !f.has(',') {
			return nil, f.fault("expected a comma or ]")
		}
		item, fault := f.value(true)
		if fault != nil {
			return nil, fault
		}
		n.items = append(n.items, item)
	}
	f.p.depth--
	return n, nil
}

func (f *flow) mapping() (*yamlNode, *FaultError) {
	n, fault := f.p.enter(yamlMapping, f.at)
	if fault != nil {
		return nil, fault
	}
	f.at++
	for !f.has('}') {
		if len(n.fields) > 0 && !f.has(',') {
			return nil, f.fault("expected a comma or }")
		}
		f.spaces()
		size := f.p.keyLength(f.line[f.at:])
		if size == 0 {
			return nil, f.fault("expected a field, \"name: value\"")
		}
		field := yamlField{key: f.line[f.at : f.at+size], line: f.p.at + 1, offset: f.at}
		if n.field(field.key) != nil {
			return nil, f.fault("field %q stands twice", field.key)
		}
		if len(n.fields) == maxTextFields {
			return nil, f.fault("over %d fields, the limit", maxTextFields)
		}
		f.at += size + 1
		if field.value, fault = f.value(true); fault != nil {
			return nil, fault
		}
		n.fields = append(n.fields, field)
	}
	f.p.depth--
	return n, nil
}

// quoted reads a text in quotes. Double quotes know \" and \\ alone, so that no
// character can hide behind an escape; in single quotes a quote is doubled.
func (f *flow) quoted(quote byte) (*yamlNode, *FaultError) {
	n, fault := f.p.node(yamlScalar, f.at)
	if fault != nil {
		return nil, fault
	}
	var b strings.Builder
	for i := f.at + 1; i < len(f.line); i++ {
		c := f.line[i]
		next := byte(0)
		if i+1 < len(f.line) {
			next = f.line[i+1]
		}
		switch {
		case c == '\\' && quote == '"' && (next == '"' || next == '\\'), c == '\'' && quote == '\'' && next == '\'':
			b.WriteByte(next)
			i++
		case c == '\\' && quote == '"':
			f.at = i
			return nil, f.fault(`only \" and \\ are known after a backslash; write other characters as they are`)
		case c == quote:
			f.at = i + 1
			n.text = b.String()
			return n, nil
		default:
			b.WriteByte(c)
		}
	}
	return nil, f.fault("the quote is not closed on its line; begin a text over several lines with | or >")
}

func (f *flow) plain(within bool) (*yamlNode, *FaultError) {
	if why := indicatorFault(f.line[f.at]); why != "" {
		return nil, f.fault("%s", why)
	}
	n, fault := f.p.node(yamlScalar, f.at)
	if fault != nil {
		return nil, fault
	}
	n.plain = true
	end := f.at
	for ; end < len(f.line); end++ {
		c := f.line[end]
		if within && (c == ',' || c == ']' || c == '}') || c == '#' && f.line[end-1] == ' ' {
			break
		}
		last := end+1 == len(f.line)
		if c == ':' && (last || f.line[end+1] == ' ' || within && strings.IndexByte(",[]{}", f.line[end+1]) >= 0) {
			f.at = end
			return nil, f.fault("a colon that ends a word would begin a field; put quotes around the text")
		}
		if within && (c == '[' || c == '{') {
			f.at = end
			return nil, f.fault("put quotes around a text with brackets")
		}
	}
	n.text = strings.TrimRight(f.line[f.at:end], " ")
	f.at = end
	if end < len(f.line) && f.line[end] == '#' {
		f.at-- // a comment begins with a space
	}
	return n, nil
}
