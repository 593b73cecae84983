package protocol

import (
	"fmt"
	"strings"
)

// yamlKind tells the three kinds of node apart.
type yamlKind uint8

const (
	yamlScalar yamlKind = iota
	yamlMapping
	yamlSequence
)

// yamlNode is one value of a document, with its place.
type yamlNode struct {
	kind   yamlKind
	plain  bool // a scalar without quotes
	block  bool // a scalar after | or >
	line   int  // from 1
	offset int  // in bytes from the start of the line
	text   string
	fields []yamlField
	items  []*yamlNode
}

type yamlField struct {
	key    string
	line   int
	offset int
	value  *yamlNode
}

// field returns the named field of a mapping, or nil.
func (n *yamlNode) field(key string) *yamlField {
	for i := range n.fields {
		if n.fields[i].key == key {
			return &n.fields[i]
		}
	}
	return nil
}

// yamlParser reads the part of YAML that documents are written in (documents
// spec, "Text"). It is a reader of our own, and not the YAML library that
// configuration files use, since a signed text must mean the same for ever and
// to everybody: the grammar is small enough to be written down whole, and
// memory and time are bounded by the length of the text (the library needs two
// minutes and 43 GB for 1 MiB of distinct keys). Tests hold it to the library:
// what is read here, any YAML reader reads alike.
type yamlParser struct {
	lines []string
	at    int // the line that comes next, from 0
	skip  int // bytes of that line which were read already, as its indentation
	nodes int
	depth int
	loose bool // names of fields may have capitals and underscores too
}

// parseYAML checks a text and reads it. Errors are Invalid or Limit.
func parseYAML(payload []byte) (*yamlNode, []string, error) {
	lines, err := checkText(payload)
	if err != nil {
		return nil, nil, err
	}
	p := &yamlParser{lines: lines}
	root, fault := p.document()
	if fault != nil {
		return nil, nil, E(Invalid, "", fault, "")
	}
	return root, lines, nil
}

// CheckText refuses a text that no YAML file of ours may be, in time and memory
// that grow with its length alone: what passes is safe to give to any YAML
// parser. Configuration files and cases of tests pass it as documents do, but that
// names of fields may have capital letters and underscores too, as those of STIX
// have. A file that holds nothing but comments passes.
func CheckText(text []byte) error {
	lines, err := checkText(text)
	if len(text) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	p := &yamlParser{lines: lines, loose: true}
	if _, _, some := p.peek(); !some {
		return nil
	}
	p = &yamlParser{lines: lines, loose: true}
	if _, fault := p.document(); fault != nil {
		return E(Invalid, "", fault, "")
	}
	return nil
}

func (p *yamlParser) document() (*yamlNode, *FaultError) {
	indent, body, ok := p.peek()
	if !ok {
		return nil, newFault(1, p.lines[0], 0, "the document holds nothing but comments")
	}
	if indent != 0 {
		return nil, p.fault(indent, "the first field is indented")
	}
	if isEntry(body) {
		return nil, p.fault(0, "a document begins with fields (\"kind: …\"), not with a list")
	}
	root, fault := p.mapping(0)
	if fault == nil {
		if _, _, more := p.peek(); more {
			fault = p.fault(0, "this line belongs to nothing above it")
		}
	}
	return root, fault
}

// fault makes one at an offset of the line that comes next.
func (p *yamlParser) fault(offset int, format string, args ...any) *FaultError {
	return newFault(p.at+1, p.lines[p.at], offset, format, args...)
}

// peek skips empty lines and comments and returns the next line: how far its
// content is indented and the content. At the end of the text ok is false.
func (p *yamlParser) peek() (indent int, body string, ok bool) {
	for ; p.at < len(p.lines); p.at, p.skip = p.at+1, 0 {
		body = strings.TrimLeft(p.lines[p.at][p.skip:], " ")
		if body != "" && body[0] != '#' {
			return len(p.lines[p.at]) - len(body), strings.TrimRight(body, " "), true
		}
	}
	return 0, "", false
}

func (p *yamlParser) next() { p.at, p.skip = p.at+1, 0 }

// node makes a node at an offset of the next line, within the limits.
func (p *yamlParser) node(kind yamlKind, offset int) (*yamlNode, *FaultError) {
	if p.nodes++; p.nodes > maxTextNodes {
		return nil, p.fault(offset, "the document has over %d values, the limit", maxTextNodes)
	}
	return &yamlNode{kind: kind, line: p.at + 1, offset: offset}, nil
}

// enter counts one level of nesting; the caller leaves it by p.depth--.
func (p *yamlParser) enter(kind yamlKind, offset int) (*yamlNode, *FaultError) {
	if p.depth++; p.depth > maxTextNesting {
		return nil, p.fault(offset, "nested over %d deep, the limit", maxTextNesting)
	}
	return p.node(kind, offset)
}

func isEntry(body string) bool { return body == "-" || strings.HasPrefix(body, "- ") }

// mapping reads the fields whose names stand at the given indentation.
func (p *yamlParser) mapping(indent int) (*yamlNode, *FaultError) {
	n, fault := p.enter(yamlMapping, indent)
	if fault != nil {
		return nil, fault
	}
	for {
		at, body, ok := p.peek()
		switch {
		case !ok || at < indent:
			p.depth--
			return n, nil
		case at > indent:
			return nil, p.fault(at, "indented more than the field above; a text over several lines begins with | or >")
		case isEntry(body):
			return nil, p.fault(at, "a list entry where a field (\"name: value\") is expected")
		}
		key, fault := p.key(at, body)
		if fault != nil {
			return nil, fault
		}
		if len(n.fields) == maxTextFields {
			return nil, p.fault(at, "over %d fields, the limit", maxTextFields)
		}
		if first := n.field(key); first != nil {
			return nil, p.fault(at, "field %q stands twice; first in line %d", key, first.line)
		}
		field := yamlField{key: key, line: p.at + 1, offset: at}
		if field.value, fault = p.fieldValue(indent, at, key, body[len(key)+1:]); fault != nil {
			return nil, fault
		}
		n.fields = append(n.fields, field)
	}
}

// fieldValue reads what stands after "key:" on its line or below it.
func (p *yamlParser) fieldValue(indent, at int, key, rest string) (*yamlNode, *FaultError) {
	value := strings.TrimLeft(rest, " ")
	if value != "" && value[0] != '#' {
		return p.value(indent, at+len(key)+1+len(rest)-len(value), value)
	}
	line, source := p.at+1, p.lines[p.at]
	p.next()
	switch deeper, body, ok := p.peek(); {
	case ok && isEntry(body) && deeper >= indent:
		return p.sequence(deeper)
	case ok && deeper > indent:
		return p.mapping(deeper)
	}
	return nil, newFault(line, source, at, "field %q has no value; leave the line out or give one", key)
}

// sequence reads the entries whose dashes stand at the given indentation.
func (p *yamlParser) sequence(indent int) (*yamlNode, *FaultError) {
	n, fault := p.enter(yamlSequence, indent)
	if fault != nil {
		return nil, fault
	}
	for {
		at, body, ok := p.peek()
		if !ok || at < indent || at == indent && !isEntry(body) {
			p.depth--
			return n, nil
		}
		if at > indent {
			return nil, p.fault(at, "indented more than the entry above")
		}
		item, fault := p.item(at, body)
		if fault != nil {
			return nil, fault
		}
		n.items = append(n.items, item)
	}
}

// item reads what stands after a dash: fields, or one value.
func (p *yamlParser) item(at int, body string) (*yamlNode, *FaultError) {
	value := strings.TrimLeft(body[1:], " ")
	offset := at + len(body) - len(value)
	switch {
	case value == "" || value[0] == '#':
		return nil, p.fault(at, "a list entry without a value; begin it on the line of its dash")
	case isEntry(value):
		return nil, p.fault(offset, "a list directly within a list")
	case p.keyLength(value) > 0:
		p.skip = offset
		return p.mapping(offset)
	}
	return p.value(at, offset, value)
}

// keyLength returns the length of the name that begins "name:", or 0.
func (p *yamlParser) keyLength(s string) int {
	i := 0
	for i < len(s) && (s[i] >= 'a' && s[i] <= 'z' || s[i] >= '0' && s[i] <= '9' || s[i] == '-' ||
		p.loose && (s[i] >= 'A' && s[i] <= 'Z' || s[i] == '_')) {
		i++
	}
	if i == 0 || i > 64 || s[0] == '-' || i == len(s) || s[i] != ':' || i+1 < len(s) && s[i+1] != ' ' {
		return 0
	}
	return i
}

// key reads the name of a field; what else a line may begin with in YAML is
// refused by name.
func (p *yamlParser) key(at int, body string) (string, *FaultError) {
	if n := p.keyLength(body); n > 0 {
		return body[:n], nil
	}
	why := ""
	switch {
	case body == "---" || body == "..." || strings.HasPrefix(body, "--- "):
		why = "a file holds one document, without --- or ..."
	default:
		why = indicatorFault(body[0])
	}
	if why == "" {
		why = "expected a field, \"name: value\", with a name of a-z, 0-9 and hyphens"
	}
	return "", p.fault(at, "%s", why)
}

// indicatorFault explains a character that begins one of the parts of YAML
// which documents do not use, or "".
func indicatorFault(c byte) string {
	switch c {
	case '&', '*':
		return "anchors and aliases are not used in documents; put quotes around a text that begins so"
	case '!':
		return "tags are not used in documents; put quotes around a text that begins so"
	case '%', '@', '`', '?', ',', ']', '}', ':', '-', '#':
		return fmt.Sprintf("a value cannot begin with %c; put quotes around it", c)
	}
	return ""
}

// value reads a value that begins on the next line at an offset. Texts after |
// or > go on below it, indented more than indent.
func (p *yamlParser) value(indent, offset int, value string) (*yamlNode, *FaultError) {
	if value[0] == '|' || value[0] == '>' {
		return p.blockText(indent, offset, value)
	}
	f := &flow{p: p, line: strings.TrimRight(p.lines[p.at], " "), at: offset}
	n, fault := f.value(false)
	if fault == nil {
		fault = f.end()
	}
	if fault != nil {
		return nil, fault
	}
	p.next()
	return n, nil
}

// blockText reads a text over several lines: | keeps line ends, > joins lines
// by a space and makes an empty line a line end; with a hyphen the last line
// end is left out.
func (p *yamlParser) blockText(indent, offset int, header string) (*yamlNode, *FaultError) {
	folded, strip := header[0] == '>', header[1:] == "-"
	if len(header) > 1 && !strip {
		return nil, p.fault(offset+1, "after %c nothing or a hyphen may follow on its line", header[0])
	}
	n, fault := p.node(yamlScalar, offset)
	if fault != nil {
		return nil, fault
	}
	n.block = true
	begin, source := p.at+1, p.lines[p.at]
	p.next()
	lines, fault := p.blockLines(indent, folded)
	if fault != nil {
		return nil, fault
	}
	if len(lines) == 0 {
		return nil, newFault(begin, source, offset, "no text follows, indented more than this line")
	}
	n.text = joinBlock(lines, folded)
	if !strip {
		n.text += "\n"
	}
	return n, nil
}

// blockLines returns the lines of a block text without their indentation and
// without empty lines at the end.
func (p *yamlParser) blockLines(indent int, folded bool) ([]string, *FaultError) {
	var lines []string
	deep, kept := 0, 0
	for ; p.at < len(p.lines); p.next() {
		line := p.lines[p.at]
		body := strings.TrimLeft(line, " ")
		at := len(line) - len(body)
		switch {
		case body == "" && (line != "" || deep == 0):
			return nil, p.fault(0, "an empty line at the start of a text, or one of spaces")
		case body == "":
			lines = append(lines, "")
			continue
		case deep == 0 && at <= indent, at < deep:
			return lines[:kept], nil
		case deep == 0:
			deep = at
		}
		switch {
		case body[len(body)-1] == ' ':
			return nil, p.fault(len(line)-1, "a space at the end of a line")
		case folded && at > deep:
			return nil, p.fault(deep, "indented more than the text above; begin the text with | to keep its lines")
		}
		lines = append(lines, line[deep:])
		kept = len(lines)
	}
	return lines[:kept], nil
}

func joinBlock(lines []string, folded bool) string {
	if !folded {
		return strings.Join(lines, "\n")
	}
	var b strings.Builder
	for i, line := range lines {
		switch {
		case i == 0:
		case line == "":
			b.WriteByte('\n')
		case lines[i-1] != "":
			b.WriteByte(' ')
		}
		b.WriteString(line)
	}
	return b.String()
}
