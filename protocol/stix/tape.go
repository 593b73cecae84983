package stix

import (
	"iter"
	"strconv"
	"strings"
	"unicode/utf16"
)

// bytes returns what a string node holds between its quotes, escapes as they
// stand.
func (s *scanner) bytes(i int) []byte {
	n := &s.tape[i]
	return s.raw[n.start+1 : n.end-1]
}

// textOf returns the value of a string node.
func (s *scanner) textOf(i int) string {
	if s.tape[i].escaped {
		return unescapeJSON(s.bytes(i))
	}
	return string(s.bytes(i))
}

// content returns the value of a string node, which is not to be changed.
func (s *scanner) content(i int) []byte {
	if s.tape[i].escaped {
		return []byte(unescapeJSON(s.bytes(i)))
	}
	return s.bytes(i)
}

// unescapeJSON resolves the escapes of a string that the scanner accepted.
func unescapeJSON(raw []byte) string {
	var b strings.Builder
	b.Grow(len(raw))
	for at := 0; at < len(raw); {
		if raw[at] != '\\' {
			b.WriteByte(raw[at])
			at++
			continue
		}
		size := escapeSize(raw[at:])
		switch c := raw[at+1]; c {
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'u':
			unit, _ := hex4(raw[at:])
			r := rune(unit)
			if size == 12 {
				low, _ := hex4(raw[at+6:])
				r = utf16.DecodeRune(r, rune(low))
			}
			b.WriteRune(r)
		default:
			b.WriteByte(c)
		}
		at += size
	}
	return b.String()
}

// after returns the index of the first node after value i. A container whose
// end the scanner did not reach ends with the tape.
func (s *scanner) after(i int) int {
	if next := int(s.tape[i].next); next > 0 {
		return next
	}
	return len(s.tape)
}

// members yields the tape indexes of name and value of each member of object i.
func (s *scanner) members(i int) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		end := int(s.tape[i].next)
		for at := i + 1; at < end; at = int(s.tape[at+1].next) {
			if !yield(at, at+1) {
				return
			}
		}
	}
}

// elements yields number and tape index of each element of array i.
func (s *scanner) elements(i int) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		end, number := int(s.tape[i].next), 0
		for at := i + 1; at < end; at = int(s.tape[at].next) {
			if !yield(number, at) {
				return
			}
			number++
		}
	}
}

// get returns the value of the named member of object i, or 0.
func (s *scanner) get(i int, name string) int {
	for at, value := range s.members(i) {
		if s.named(at, name) {
			return value
		}
	}
	return 0
}

// named reports whether string node i holds name.
func (s *scanner) named(i int, name string) bool {
	if s.tape[i].escaped {
		return s.textOf(i) == name
	}
	return string(s.bytes(i)) == name
}

// inner returns how many nodes stand within array or object i.
func (s *scanner) inner(i int) int { return int(s.tape[i].next) - i - 1 }

// empty reports whether array or object i has nothing in it.
func (s *scanner) empty(i int) bool { return s.inner(i) == 0 }

// kindOf returns the kind of node i.
func (s *scanner) kindOf(i int) nodeKind { return s.tape[i].kind }

// integer returns the value of a number node that is a whole number without
// fraction and exponent.
func (s *scanner) integer(i int) (int64, bool) {
	n := &s.tape[i]
	if n.kind != nodeNumber {
		return 0, false
	}
	var value int64
	digits := s.raw[n.start:n.end]
	negative := digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	for _, c := range digits {
		if c-'0' > 9 {
			return 0, false
		}
		value = value*10 + int64(c-'0') // the scanner held it within 2^53
	}
	if negative {
		value = -value
	}
	return value, true
}

// float returns the value of a number node.
func (s *scanner) float(i int) float64 {
	n := &s.tape[i]
	f, _ := strconv.ParseFloat(string(s.raw[n.start:n.end]), 64) // the scanner held it finite
	return f
}
