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
	next       uint32 // index of the first node after this value; 0 while a container is open
	kind       nodeKind
	escaped    bool // a string with a backslash in it
}

// scanner reads one JSON text strictly into a tape: RFC 8259 in valid UTF-8,
// no lone surrogates, no name twice in an object, no number that I-JSON
// (RFC 7493) cannot carry, nothing beyond the limits. It is one pass: each
// method takes where it begins, and returns where it ended. It allocates only
// where a tape outgrows what the caller lent.
type scanner struct {
	raw    []byte
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
	at, err := s.value(blanks(s.raw, 0))
	if err != nil {
		return err
	}
	if at = blanks(s.raw, at); at < len(s.raw) {
		return s.fail(at, "%s after the end of the object", foundAt(s.raw, at))
	}
	return nil
}

// blanks returns the first index from at on whose byte is none.
func blanks(raw []byte, at int) int {
	for at < len(raw) && raw[at] <= ' ' && (raw[at] == ' ' || raw[at] == '\n' || raw[at] == '\r' || raw[at] == '\t') {
		at++
	}
	return at
}

// foundAt says what stands at an index, for an error text.
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

func (s *scanner) value(at int) (end int, err *fault) {
	if at >= len(s.raw) {
		return at, s.fail(at, "the text ends where a value should stand")
	}
	switch c := s.raw[at]; c {
	case '"':
		return s.text(at)
	case '{':
		return s.object(at)
	case '[':
		return s.array(at)
	case 't':
		return s.word(at, "true", nodeTrue)
	case 'f':
		return s.word(at, "false", nodeFalse)
	case 'n':
		return s.word(at, "null", nodeNull)
	default:
		if c == '-' || c-'0' <= 9 {
			return s.number(at)
		}
		return at, s.fail(at, "%s where a value should stand", foundAt(s.raw, at))
	}
}

func (s *scanner) word(at int, word string, kind nodeKind) (end int, err *fault) {
	end = at + len(word)
	if end > len(s.raw) || string(s.raw[at:end]) != word {
		return at, s.fail(at, "%s where a value should stand", foundAt(s.raw, at))
	}
	s.leaf(kind, at, end, false)
	return end, nil
}

// leaf puts a value without inner nodes on the tape.
func (s *scanner) leaf(kind nodeKind, start, end int, escaped bool) {
	s.tape = append(s.tape, node{})
	n := &s.tape[len(s.tape)-1]
	n.start, n.end, n.next = uint32(start), uint32(end), uint32(len(s.tape))
	n.kind, n.escaped = kind, escaped
}

// open puts the head of a container on the tape and returns its index.
func (s *scanner) open(kind nodeKind, at int) (head int, err *fault) {
	if s.depth++; s.depth > s.limits.Depth {
		return 0, s.over(at, "nested deeper than the limit of %d", s.limits.Depth)
	}
	s.tape = append(s.tape, node{start: uint32(at), kind: kind})
	return len(s.tape) - 1, nil
}

// close completes the head of a container, whose closing bracket is at the
// given index, and returns the index behind it.
func (s *scanner) close(head, at int) (end int) {
	s.depth--
	n := &s.tape[head]
	n.end, n.next = uint32(at+1), uint32(len(s.tape))
	return at + 1
}

func (s *scanner) array(at int) (end int, err *fault) {
	head, err := s.open(nodeArray, at)
	if err != nil {
		return at, err
	}
	raw := s.raw
	if at = blanks(raw, at+1); at < len(raw) && raw[at] == ']' {
		return s.close(head, at), nil
	}
	for count := 1; ; count++ {
		if count > s.limits.List {
			return at, s.over(at, "a list has more elements than the limit of %d", s.limits.List)
		}
		if at, err = s.value(at); err != nil {
			return at, err
		}
		at = blanks(raw, at)
		switch {
		case at >= len(raw):
			return at, s.fail(at, "the text ends within a list")
		case raw[at] == ']':
			return s.close(head, at), nil
		case raw[at] != ',':
			return at, s.fail(at, "%s where a comma or ] should stand", foundAt(raw, at))
		}
		at = blanks(raw, at+1)
	}
}

func (s *scanner) object(at int) (end int, err *fault) {
	head, err := s.open(nodeObject, at)
	if err != nil {
		return at, err
	}
	raw := s.raw
	if at = blanks(raw, at+1); at < len(raw) && raw[at] == '}' {
		return s.close(head, at), nil
	}
	var names nameSet
	for count := 1; ; count++ {
		if count > s.limits.Members {
			return at, s.over(at, "an object has more members than the limit of %d", s.limits.Members)
		}
		if at, err = s.member(at, head, &names); err != nil {
			return at, err
		}
		at = blanks(raw, at)
		switch {
		case at >= len(raw):
			return at, s.fail(at, "the text ends within an object")
		case raw[at] == '}':
			return s.close(head, at), nil
		case raw[at] != ',':
			return at, s.fail(at, "%s where a comma or } should stand", foundAt(raw, at))
		}
		at = blanks(raw, at+1)
	}
}

// member reads a name, a colon and a value.
func (s *scanner) member(at, head int, names *nameSet) (end int, err *fault) {
	raw := s.raw
	if at >= len(raw) || raw[at] != '"' {
		return at, s.fail(at, "%s where the name of a property should stand", foundAt(raw, at))
	}
	name := len(s.tape)
	if at, err = s.text(at); err != nil {
		return at, err
	}
	text := s.content(name)
	if s.twice(head, name, text, names) {
		return at, s.fail(int(s.tape[name].start), "property %s stands twice in one object", clip(string(text)))
	}
	if s.depth > 1 && !s.nested {
		s.nested = looksLikeRef(text)
	}
	if at = blanks(raw, at); at >= len(raw) || raw[at] != ':' {
		return at, s.fail(at, "%s where a colon should stand", foundAt(raw, at))
	}
	return s.value(blanks(raw, at+1))
}

// linearNames is how many names are compared one by one before a map is made.
const linearNames = 24

// nameSet tells whether a name is new in an object. For most names one bit is
// the proof: no name of theirs was seen before.
type nameSet struct {
	count int
	bits  uint64              // one for each name, see nameBit
	all   map[string]struct{} // of an object with many members
}

// nameBit spreads names over 64 bits by their length, first and last byte. The
// factors keep the names of the common types of STIX apart.
func nameBit(name []byte) uint64 {
	n := len(name)
	if n == 0 {
		return 1
	}
	return 1 << ((27*uint(n) + 21*uint(name[0]) + uint(name[n-1])) % 64)
}

// twice reports whether the open object has the name already, and notes it:
// whoever reads a name that stands twice could take either value.
func (s *scanner) twice(head, name int, text []byte, names *nameSet) bool {
	names.count++
	if names.count <= linearNames {
		bit := nameBit(text)
		fresh := names.bits&bit == 0
		names.bits |= bit
		return !fresh && s.among(head, name, text)
	}
	if names.all == nil {
		names.all = make(map[string]struct{}, 4*linearNames)
		for other := head + 1; other < name; other = int(s.tape[other+1].next) {
			names.all[s.textOf(other)] = struct{}{}
		}
	}
	if _, held := names.all[string(text)]; held {
		return true
	}
	names.all[string(text)] = struct{}{}
	return false
}

// among compares a name with those of the open object before it.
func (s *scanner) among(head, name int, text []byte) bool {
	for other := head + 1; other < name; other = int(s.tape[other+1].next) {
		if bytes.Equal(s.content(other), text) {
			return true
		}
	}
	return false
}

// text reads a string.
func (s *scanner) text(from int) (end int, err *fault) {
	raw, at, escaped := s.raw, from+1, false
	for {
		at = plain(raw, at)
		if at >= len(raw) {
			return at, s.fail(from, "a string that begins here has no end")
		}
		switch c := raw[at]; {
		case c == '"':
			if at-from-1 > s.limits.String {
				return at, s.over(from, "a string has %d bytes, over the limit of %d", at-from-1, s.limits.String)
			}
			s.leaf(nodeString, from, at+1, escaped)
			return at + 1, nil
		case c == '\\':
			escaped = true
			size := escapeSize(raw[at:])
			if size == 0 {
				return at, s.fail(at, "a backslash that begins no valid escape in a string")
			}
			at += size
		case c < ' ':
			return at, s.fail(at, "control character 0x%02x in a string", c)
		default:
			for at < len(raw) && raw[at] >= utf8.RuneSelf {
				r, size := utf8.DecodeRune(raw[at:])
				if r == utf8.RuneError && size == 1 {
					return at, s.fail(at, "byte 0x%02x is not valid UTF-8", raw[at])
				}
				at += size
			}
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
		// A byte that is too small to subtract from gets its high bit, and so
		// is a hit; it borrows from the byte above it, where a false hit may
		// follow, never below it: the lowest bit is right.
		hit := (quote - ones) | (slash - ones) | (w - ones*' ') | w
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

func (s *scanner) number(from int) (end int, err *fault) {
	raw, whole := s.raw, from
	if raw[from] == '-' {
		whole++
	}
	at := digits(raw, whole)
	if at == whole || raw[whole] == '0' && at-whole > 1 {
		return at, s.fail(from, "a number that JSON does not allow")
	}
	integer := true
	if at < len(raw) && raw[at] == '.' {
		integer = false
		point := at + 1
		if at = digits(raw, point); at == point {
			return at, s.fail(from, "a number without digits after its point")
		}
	}
	if at < len(raw) && raw[at]|0x20 == 'e' {
		integer = false
		if at++; at < len(raw) && (raw[at] == '+' || raw[at] == '-') {
			at++
		}
		exponent := at
		if at = digits(raw, exponent); at == exponent {
			return at, s.fail(from, "a number without digits in its exponent")
		}
	}
	if at-whole > 15 || !integer {
		if err := s.exact(from, at, integer); err != nil {
			return at, err
		}
	}
	s.leaf(nodeNumber, from, at, false)
	return at, nil
}

// digits returns the first index from at on whose byte is no decimal digit.
func digits(raw []byte, at int) int {
	for at < len(raw) && raw[at]-'0' <= 9 {
		at++
	}
	return at
}

// exact refuses a number that other readers would change or cannot hold.
func (s *scanner) exact(from, end int, integer bool) *fault {
	text := string(s.raw[from:end])
	if integer {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n > maxExactInteger || n < -maxExactInteger {
			return s.fail(from, "%s is beyond ±(2^53-1), which not every reader holds exactly (RFC 7493 section 2.2)", clip(text))
		}
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return s.fail(from, "%s is beyond what a number can hold (RFC 7493 section 2.2)", clip(text))
	}
	return nil
}
