package stix

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"

	"entente/protocol"
)

// maxObject is the hard bound of one object whatever the limits say: offsets
// in the tape are 32 bits wide.
const maxObject = 1 << 30

// nodeKind says what a node of the tape is.
type nodeKind uint8

const (
	nodeNull nodeKind = iota
	nodeFalse
	nodeTrue
	nodeNumber
	nodeString
	nodeArray
	nodeObject
)

// String names the kind in words for an error text.
func (k nodeKind) String() string {
	return [...]string{"null", "a boolean", "a boolean", "a number", "a string", "a list", "an object"}[k]
}

// node is one JSON value or member name on the tape. The tape holds the whole
// text in order: a container's nodes follow it up to next, members as name and
// value.
type node struct {
	start, end uint32 // bytes of the value, quotes and brackets included
	next       uint32 // index of the first node after this value
	count      uint32 // elements of an array, members of an object
	kind       nodeKind
	escaped    bool // a string with a backslash in it
}

// scanner reads one JSON text strictly into a tape: RFC 8259 in valid UTF-8,
// no lone surrogates, no name twice in an object, no number that I-JSON
// (RFC 7493) cannot carry, nothing beyond the limits. It is one pass and
// allocates only where a tape outgrows what the caller lent.
type scanner struct {
	raw    []byte
	pos    int
	depth  int
	limits Limits
	tape   []node
	nested bool // a member below the top whose name looks like a reference
}

// fault is where and why an object is refused. Parse makes a protocol.Error
// of it, which names the object.
type fault struct {
	kind protocol.Kind
	at   int // byte offset, or -1 where the text names a property
	text string
	hint string
}

func (s *scanner) fail(at int, format string, args ...any) *fault {
	return &fault{kind: protocol.Invalid, at: at, text: fmt.Sprintf(format, args...)}
}

func (s *scanner) over(at int, format string, args ...any) *fault {
	return &fault{kind: protocol.Limit, at: at, text: fmt.Sprintf(format, args...)}
}

// scan reads the whole text: one value and blanks around it.
func (s *scanner) scan() *fault {
	if len(s.raw) > min(s.limits.Object, maxObject) {
		return s.over(0, "%d bytes are over the limit of %d for one object", len(s.raw), s.limits.Object)
	}
	s.blanks()
	if err := s.value(); err != nil {
		return err
	}
	s.blanks()
	if s.pos < len(s.raw) {
		return s.fail(s.pos, "%s after the end of the object", s.found())
	}
	return nil
}

func (s *scanner) blanks() {
	for s.pos < len(s.raw) {
		switch s.raw[s.pos] {
		case ' ', '\n', '\r', '\t':
			s.pos++
		default:
			return
		}
	}
}

// found says what stands at the position, for an error text.
func (s *scanner) found() string { return foundAt(s.raw, s.pos) }

func foundAt(raw []byte, at int) string {
	if at >= len(raw) {
		return "the end of the text"
	}
	r, size := utf8.DecodeRune(raw[at:])
	switch {
	case r == utf8.RuneError && size <= 1, r < ' ', r == 0x7f:
		return fmt.Sprintf("byte 0x%02x", raw[at])
	case r == '\uFEFF':
		return "a byte order mark"
	}
	return strconv.QuoteRune(r)
}

func (s *scanner) value() *fault {
	if s.pos >= len(s.raw) {
		return s.fail(s.pos, "the text ends where a value should stand")
	}
	switch c := s.raw[s.pos]; c {
	case '"':
		return s.text()
	case '{':
		return s.object()
	case '[':
		return s.array()
	case 't':
		return s.word("true", nodeTrue)
	case 'f':
		return s.word("false", nodeFalse)
	case 'n':
		return s.word("null", nodeNull)
	default:
		if c == '-' || c-'0' <= 9 {
			return s.number()
		}
		return s.fail(s.pos, "%s where a value should stand", s.found())
	}
}

func (s *scanner) word(word string, kind nodeKind) *fault {
	end := s.pos + len(word)
	if end > len(s.raw) || string(s.raw[s.pos:end]) != word {
		return s.fail(s.pos, "%s where a value should stand", s.found())
	}
	s.leaf(kind, end, false)
	return nil
}

// leaf puts a value without inner nodes on the tape and moves behind it.
func (s *scanner) leaf(kind nodeKind, end int, escaped bool) {
	s.tape = append(s.tape, node{
		start: uint32(s.pos), end: uint32(end), next: uint32(len(s.tape) + 1), kind: kind, escaped: escaped,
	})
	s.pos = end
}

// open puts the head of a container on the tape and returns its index.
func (s *scanner) open(kind nodeKind) (int, *fault) {
	if s.depth++; s.depth > s.limits.Depth {
		return 0, s.over(s.pos, "nested deeper than the limit of %d", s.limits.Depth)
	}
	head := len(s.tape)
	s.tape = append(s.tape, node{start: uint32(s.pos), kind: kind})
	s.pos++
	return head, nil
}

// close completes the head of a container at its closing bracket.
func (s *scanner) close(head, count int) {
	s.pos++
	s.depth--
	n := &s.tape[head]
	n.end, n.next, n.count = uint32(s.pos), uint32(len(s.tape)), uint32(count)
}

func (s *scanner) array() *fault {
	head, err := s.open(nodeArray)
	if err != nil {
		return err
	}
	s.blanks()
	if s.pos < len(s.raw) && s.raw[s.pos] == ']' {
		s.close(head, 0)
		return nil
	}
	for count := 1; ; count++ {
		if count > s.limits.List {
			return s.over(s.pos, "a list has more elements than the limit of %d", s.limits.List)
		}
		if err := s.value(); err != nil {
			return err
		}
		s.blanks()
		switch {
		case s.pos >= len(s.raw):
			return s.fail(s.pos, "the text ends within a list")
		case s.raw[s.pos] == ']':
			s.close(head, count)
			return nil
		case s.raw[s.pos] != ',':
			return s.fail(s.pos, "%s where a comma or ] should stand", s.found())
		}
		s.pos++
		s.blanks()
	}
}

func (s *scanner) object() *fault {
	head, err := s.open(nodeObject)
	if err != nil {
		return err
	}
	s.blanks()
	if s.pos < len(s.raw) && s.raw[s.pos] == '}' {
		s.close(head, 0)
		return nil
	}
	var seen map[string]struct{} // of an object with many members
	for count := 1; ; count++ {
		if count > s.limits.Members {
			return s.over(s.pos, "an object has more members than the limit of %d", s.limits.Members)
		}
		if err := s.member(head, count, &seen); err != nil {
			return err
		}
		s.blanks()
		switch {
		case s.pos >= len(s.raw):
			return s.fail(s.pos, "the text ends within an object")
		case s.raw[s.pos] == '}':
			s.close(head, count)
			return nil
		case s.raw[s.pos] != ',':
			return s.fail(s.pos, "%s where a comma or } should stand", s.found())
		}
		s.pos++
		s.blanks()
	}
}

// member reads a name, a colon and a value.
func (s *scanner) member(head, count int, seen *map[string]struct{}) *fault {
	if s.pos >= len(s.raw) || s.raw[s.pos] != '"' {
		return s.fail(s.pos, "%s where the name of a property should stand", s.found())
	}
	name := len(s.tape)
	if err := s.text(); err != nil {
		return err
	}
	if err := s.unique(head, count, name, seen); err != nil {
		return err
	}
	if s.depth > 1 && !s.nested {
		s.nested = looksLikeRef(s.content(name))
	}
	s.blanks()
	if s.pos >= len(s.raw) || s.raw[s.pos] != ':' {
		return s.fail(s.pos, "%s where a colon should stand", s.found())
	}
	s.pos++
	s.blanks()
	return s.value()
}

// linearNames is how many names are compared one by one before a map is made.
const linearNames = 24

// unique refuses a name that the open object has already: whoever reads it
// later could take either value.
func (s *scanner) unique(head, count, name int, seen *map[string]struct{}) *fault {
	text := s.content(name)
	if count <= linearNames {
		for other := head + 1; other < name; other = int(s.tape[other+1].next) {
			held := &s.tape[other]
			if int(held.end-held.start)-2 == len(text) || held.escaped {
				if bytes.Equal(s.content(other), text) {
					return s.twice(name, text)
				}
			}
		}
		return nil
	}
	if *seen == nil {
		*seen = make(map[string]struct{}, 4*linearNames)
		for other := head + 1; other < name; other = int(s.tape[other+1].next) {
			(*seen)[s.textOf(other)] = struct{}{}
		}
	}
	if _, held := (*seen)[string(text)]; held {
		return s.twice(name, text)
	}
	(*seen)[string(text)] = struct{}{}
	return nil
}

func (s *scanner) twice(name int, text []byte) *fault {
	return s.fail(int(s.tape[name].start), "property %s stands twice in one object", clip(string(text)))
}

// text reads a string.
func (s *scanner) text() *fault {
	raw, at, escaped := s.raw, s.pos+1, false
	for {
		at = plain(raw, at)
		if at >= len(raw) {
			return s.fail(s.pos, "a string that begins here has no end")
		}
		switch c := raw[at]; {
		case c == '"':
			if at-s.pos-1 > s.limits.String {
				return s.over(s.pos, "a string has %d bytes, over the limit of %d", at-s.pos-1, s.limits.String)
			}
			s.leaf(nodeString, at+1, escaped)
			return nil
		case c == '\\':
			escaped = true
			size := escapeSize(raw[at:])
			if size == 0 {
				return s.fail(at, "a backslash that begins no valid escape in a string")
			}
			at += size
		case c < ' ':
			return s.fail(at, "control character 0x%02x in a string", c)
		default:
			r, size := utf8.DecodeRune(raw[at:])
			if r == utf8.RuneError && size == 1 {
				return s.fail(at, "byte 0x%02x is not valid UTF-8", c)
			}
			at += size
		}
	}
}

// The same byte eight times in a word.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain returns the first index from at on whose byte is a quote, a backslash,
// a control character or not ASCII, or len(raw).
func plain(raw []byte, at int) int {
	for ; at+8 <= len(raw); at += 8 {
		w := binary.LittleEndian.Uint64(raw[at:])
		quote := w ^ ones*'"'
		slash := w ^ ones*'\\'
		// A borrow can set a bit above a true hit, never below it, so the
		// lowest set bit is right.
		hit := ((quote - ones) &^ quote) | ((slash - ones) &^ slash) | ((w - ones*' ') &^ w) | w
		if hit &= highs; hit != 0 {
			return at + bits.TrailingZeros64(hit)/8
		}
	}
	for ; at < len(raw); at++ {
		if c := raw[at]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return at
		}
	}
	return at
}

// escapeSize returns the length of the escape that raw begins with, a
// surrogate pair as one, or 0 where it is no valid one.
func escapeSize(raw []byte) int {
	if len(raw) < 2 {
		return 0
	}
	switch raw[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		unit, ok := hex4(raw)
		switch {
		case !ok, unit >= 0xdc00 && unit < 0xe000:
			return 0
		case unit < 0xd800 || unit >= 0xe000:
			return 6
		}
		if low, ok := hex4(raw[6:]); ok && low >= 0xdc00 && low < 0xe000 {
			return 12
		}
	}
	return 0
}

// hex4 reads \uXXXX at the beginning of raw.
func hex4(raw []byte) (unit uint32, ok bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	for _, c := range raw[2:6] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		unit = unit<<4 | uint32(c)
	}
	return unit, true
}

// maxExactInteger is the greatest whole number that I-JSON carries exactly.
const maxExactInteger = 1<<53 - 1

func (s *scanner) number() *fault {
	at := s.pos
	if s.raw[at] == '-' {
		at++
	}
	whole := at
	digits := func() bool {
		from := at
		for at < len(s.raw) && s.raw[at]-'0' <= 9 {
			at++
		}
		return at > from
	}
	if !digits() || s.raw[whole] == '0' && at-whole > 1 {
		return s.fail(s.pos, "a number that JSON does not allow")
	}
	integer := true
	if at < len(s.raw) && s.raw[at] == '.' {
		integer = false
		if at++; !digits() {
			return s.fail(s.pos, "a number without digits after its point")
		}
	}
	if at < len(s.raw) && s.raw[at]|0x20 == 'e' {
		integer = false
		if at++; at < len(s.raw) && (s.raw[at] == '+' || s.raw[at] == '-') {
			at++
		}
		if !digits() {
			return s.fail(s.pos, "a number without digits in its exponent")
		}
	}
	if at-whole > 15 || !integer {
		if err := s.exact(at, integer); err != nil {
			return err
		}
	}
	s.leaf(nodeNumber, at, false)
	return nil
}

// exact refuses a number that other readers would change or cannot hold.
func (s *scanner) exact(end int, integer bool) *fault {
	text := string(s.raw[s.pos:end])
	if integer {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n > maxExactInteger || n < -maxExactInteger {
			return s.fail(s.pos, "%s is beyond ±(2^53-1), which not every reader holds exactly (RFC 7493 section 2.2)", clip(text))
		}
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return s.fail(s.pos, "%s is beyond what a number can hold (RFC 7493 section 2.2)", clip(text))
	}
	return nil
}
