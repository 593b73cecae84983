package stix

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// tokenKind tells the tokens of a pattern apart.
type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenName             // identifier; hyphens allowed
	tokenWord             // keyword
	tokenValue            // literal, booleans included
	tokenSymbol           // one of [ ] ( ) , : . * = != < <= > >=
)

// token is one token. Its text is the identifier, keyword or symbol.
type token struct {
	kind  tokenKind
	start int // byte offsets
	end   int
	text  string
	value literal
}

// literalKind tells literals apart.
type literalKind uint8

const (
	literalString literalKind = iota + 1
	literalInteger
	literalFloat
	literalBool
	literalTime
	literalHex
	literalBinary
)

// literal is a constant of a pattern, decoded.
type literal struct {
	kind    literalKind
	text    string  // string, or timestamp as written; bytes of hex and binary
	integer int64   // also 1 and 0 for true and false
	float   float64 // of literalFloat only
}

// patternLexer cuts a pattern into tokens. The text is valid UTF-8.
type patternLexer struct {
	text string
	pos  int
}

// fail makes the error for what stands at a byte offset. With an empty found
// the error is a statement of its own.
func (l *patternLexer) fail(offset int, expected, found string) *PatternError {
	return &PatternError{
		Position: utf8.RuneCountInString(l.text[:offset]) + 1,
		Expected: expected, Found: found,
		text: l.text, offset: offset,
	}
}

// next returns the next token, tokenEnd at the end.
func (l *patternLexer) next() (token, error) {
	if err := l.skip(); err != nil {
		return token{}, err
	}
	start := l.pos
	if start == len(l.text) {
		return token{kind: tokenEnd, start: start, end: start}, nil
	}
	c := l.text[start]
	switch {
	case c == '\'':
		return l.quoted(start, start)
	case nameStart(c):
		return l.name(start)
	case digit(c), (c == '+' || c == '-' || c == '.') && l.numberFollows(start):
		return l.number(start)
	}
	return l.symbol(start)
}

// skip passes white space and comments.
func (l *patternLexer) skip() error {
	for l.pos < len(l.text) {
		c := l.text[l.pos]
		switch {
		case c == ' ' || c >= '\t' && c <= '\r':
			l.pos++
		case c == '/' && strings.HasPrefix(l.text[l.pos:], "/*"):
			n := strings.Index(l.text[l.pos+2:], "*/")
			if n < 0 {
				return l.fail(l.pos, "the comment that begins here is never closed with */", "")
			}
			l.pos += n + 4
		case c == '/' && strings.HasPrefix(l.text[l.pos:], "//"):
			n := strings.IndexAny(l.text[l.pos:], "\r\n")
			if n < 0 {
				n = len(l.text) - l.pos
			}
			l.pos += n
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(l.text[l.pos:])
			if !wideSpace(r) {
				return nil
			}
			l.pos += n
		default:
			return nil
		}
	}
	return nil
}

// wideSpace reports whether the grammar counts r, outside ASCII, as white space.
func wideSpace(r rune) bool {
	switch r {
	case 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000:
		return true
	}
	return r >= 0x2000 && r <= 0x200a
}

func digit(c byte) bool     { return c >= '0' && c <= '9' }
func nameStart(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }
func nameByte(c byte) bool  { return nameStart(c) || digit(c) }

// keyword reports whether the grammar reserves the word.
func keyword(word string) bool {
	switch word {
	case "AND", "OR", "NOT", "FOLLOWEDBY", "LIKE", "MATCHES", "ISSUPERSET", "ISSUBSET", "EXISTS", "LAST",
		"IN", "START", "STOP", "SECONDS", "true", "false", "WITHIN", "REPEATS", "TIMES":
		return true
	}
	return false
}

// name reads an identifier, a keyword, or a literal that begins with a letter.
func (l *patternLexer) name(start int) (token, error) {
	end := start + 1
	for end < len(l.text) && (nameByte(l.text[end]) || l.text[end] == '-') {
		end++
	}
	word := l.text[start:end]
	if len(word) == 1 && end < len(l.text) && l.text[end] == '\'' && (word == "t" || word == "h" || word == "b") {
		return l.quoted(start, end)
	}
	l.pos = end
	t := token{kind: tokenName, start: start, end: end, text: word}
	switch {
	case word == "true":
		t.kind, t.value = tokenValue, literal{kind: literalBool, integer: 1}
	case word == "false":
		t.kind, t.value = tokenValue, literal{kind: literalBool}
	case keyword(word):
		t.kind = tokenWord
	}
	return t, nil
}

// quoted reads a string, or with a letter before the quote a timestamp, hex or
// binary literal.
func (l *patternLexer) quoted(start, quote int) (token, error) {
	i, escaped := quote+1, false
	for ; i < len(l.text) && l.text[i] != '\''; i++ {
		if l.text[i] != '\\' {
			continue
		}
		if i+1 == len(l.text) || l.text[i+1] != '\'' && l.text[i+1] != '\\' {
			err := l.fail(i, `\' or \\`, "a lone backslash")
			err.hint = `in a STIX pattern a backslash within quotes is written \\`
			return token{}, err
		}
		escaped = true
		i++
	}
	if i == len(l.text) {
		return token{}, l.fail(quote, "the string that begins here is never closed with '", "")
	}
	raw := l.text[quote+1 : i]
	t := token{kind: tokenValue, start: start, end: i + 1}
	l.pos = i + 1
	if start == quote {
		if escaped {
			raw = unescape(raw)
		}
		t.value = literal{kind: literalString, text: raw}
		return t, nil
	}
	var ok bool
	var what string
	switch l.text[start] {
	case 't':
		t.value, ok = timeLiteral(raw)
		what = "a timestamp like t'2026-01-31T12:00:00Z'"
	case 'h':
		t.value, ok = hexLiteral(raw)
		what = "pairs of hexadecimal digits like h'00ff'"
	case 'b':
		t.value, ok = binaryLiteral(raw)
		what = "base64 with its padding like b'AP8='"
	}
	if !ok {
		return token{}, l.fail(start, what, clip(l.text[start:t.end]))
	}
	return t, nil
}

// unescape undoes \' and \\ in the inside of a string.
func unescape(raw string) string {
	b := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\\' {
			i++
		}
		b = append(b, raw[i])
	}
	return string(b)
}

// timeLiteral checks an RFC 3339 time in UTC: the calendar, and 60 as a leap
// second. Its text stays as it is: the number of digits is the precision.
func timeLiteral(raw string) (literal, bool) {
	if len(raw) < len("2006-01-02T15:04:05Z") || len(raw) > 64 || raw[len(raw)-1] != 'Z' {
		return literal{}, false
	}
	whole, fraction := raw[:19], raw[19:len(raw)-1]
	if fraction != "" && (len(fraction) < 2 || fraction[0] != '.' || strings.Trim(fraction[1:], "0123456789") != "") {
		return literal{}, false
	}
	if strings.HasSuffix(whole, ":60") {
		whole = whole[:17] + "59"
	}
	_, err := time.Parse("2006-01-02T15:04:05", whole)
	return literal{kind: literalTime, text: raw}, err == nil
}

func hexLiteral(raw string) (literal, bool) {
	b, err := hex.DecodeString(raw)
	return literal{kind: literalHex, text: string(b)}, err == nil
}

// binaryLiteral decodes base64. The grammar wants at least one group; line
// ends, which the decoder would pass over, are not base64.
func binaryLiteral(raw string) (literal, bool) {
	if raw == "" || strings.ContainsAny(raw, "\r\n") {
		return literal{}, false
	}
	b, err := base64.StdEncoding.DecodeString(raw)
	return literal{kind: literalBinary, text: string(b)}, err == nil
}

// numberFollows reports whether a sign or point at offset i begins a number.
func (l *patternLexer) numberFollows(i int) bool {
	if l.text[i] != '.' {
		i++
	}
	if i < len(l.text) && l.text[i] == '.' {
		i++
	}
	return i < len(l.text) && digit(l.text[i])
}

// number reads an integer of 64 bits or a decimal fraction without exponent.
func (l *patternLexer) number(start int) (token, error) {
	i := start
	if l.text[i] == '+' || l.text[i] == '-' {
		i++
	}
	first := i
	for i < len(l.text) && digit(l.text[i]) {
		i++
	}
	t := token{kind: tokenValue, start: start}
	if i+1 < len(l.text) && l.text[i] == '.' && digit(l.text[i+1]) {
		for i++; i < len(l.text) && digit(l.text[i]); i++ {
		}
		f, err := strconv.ParseFloat(l.text[start:i], 64)
		if err != nil {
			return token{}, l.fail(start, "a number of at most 64 bits", clip(l.text[start:i]))
		}
		t.value = literal{kind: literalFloat, float: f}
	} else {
		if l.text[first] == '0' && i > first+1 {
			return token{}, l.fail(start, "a number without leading zeros", clip(l.text[start:i]))
		}
		n, err := strconv.ParseInt(l.text[start:i], 10, 64)
		if err != nil {
			return token{}, l.fail(start, "a number of at most 64 bits", clip(l.text[start:i]))
		}
		t.value = literal{kind: literalInteger, integer: n}
	}
	t.end, l.pos = i, i
	return t, nil
}

// symbol reads punctuation and comparison operators; == and <> become = and !=.
func (l *patternLexer) symbol(start int) (token, error) {
	t := token{kind: tokenSymbol, start: start}
	two := l.text[start:min(start+2, len(l.text))]
	switch two {
	case "==":
		t.text, t.end = "=", start+2
	case "<>":
		t.text, t.end = "!=", start+2
	case "!=", "<=", ">=":
		t.text, t.end = two, start+2
	default:
		if !strings.Contains("[](),:.*=<>", two[:1]) {
			r, _ := utf8.DecodeRuneInString(l.text[start:])
			return token{}, l.stray(start, r)
		}
		t.text, t.end = two[:1], start+1
	}
	l.pos = t.end
	return t, nil
}

// stray is the error for a character that no token begins with.
func (l *patternLexer) stray(start int, r rune) *PatternError {
	err := l.fail(start, "a part of a pattern", fmt.Sprintf("the character %q", r))
	switch r {
	case '"', '‘', '’', '“', '”', '`':
		err.hint = "a STIX pattern quotes strings with the straight single quote '"
	}
	return err
}

// clip quotes a piece of a pattern for an error text.
func clip(s string) string {
	const most = 40
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}
