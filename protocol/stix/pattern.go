package stix

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"entente/protocol"
)

// Bounds of a pattern beside its length, which is Limits.Pattern. They keep a
// hostile pattern from costing stack or memory out of proportion to its bytes.
const (
	maxPatternDepth = 64        // parentheses within parentheses
	maxPatternSet   = 10_000    // members of one IN set
	maxPatternRegex = 16 << 10  // bytes of one MATCHES expression
	patternOp       = "pattern" // Op of every error about a pattern
)

// Pattern is a parsed STIX 2.1 pattern (section 9). It is immutable and safe
// for concurrent use. Only ParsePattern makes one.
type Pattern struct {
	root     *observation
	warnings []string
}

// ParsePattern reads a pattern by the STIX 2.1 grammar (section 9): keywords
// in upper case, property names with a hyphen in quotes. The text may have at
// most DefaultLimits().Pattern bytes and 64 nested parentheses, and a set at
// most 10,000 members.
//
// The error is of kind Invalid or Limit and wraps a *PatternError, which says
// at which character what was expected.
func ParsePattern(text string) (*Pattern, error) {
	return parsePattern(text, DefaultLimits().Pattern)
}

func parsePattern(text string, limit int) (*Pattern, error) {
	if len(text) > limit {
		return nil, protocol.E(protocol.Limit, patternOp,
			fmt.Errorf("%d bytes are over the limit of %d", len(text), limit),
			"split the indicator into several")
	}
	if !utf8.ValidString(text) {
		return nil, protocol.E(protocol.Invalid, patternOp, errors.New("the text is not valid UTF-8"), "")
	}
	p := patternParser{lex: patternLexer{text: text}}
	root, err := p.pattern()
	if err != nil {
		var at *PatternError
		kind, hint := protocol.Invalid, ""
		if errors.As(err, &at) {
			hint = at.hint
			if at.limit {
				kind = protocol.Limit
			}
		}
		return nil, protocol.E(kind, patternOp, err, hint)
	}
	return &Pattern{root: root, warnings: p.warnings}, nil
}

// String returns the pattern in its normal form: one space around operators,
// only the parentheses that matter, = and != for == and <>. Parsing it gives
// the same pattern. It may be longer than what was parsed.
func (p *Pattern) String() string {
	var b strings.Builder
	p.root.print(&b, false)
	return b.String()
}

// Warnings returns what is odd about the pattern though the grammar allows it,
// such as a comparison that can never be true. It may be empty.
func (p *Pattern) Warnings() []string { return append([]string(nil), p.warnings...) }

// PatternError says where a pattern breaks the grammar.
type PatternError struct {
	Position int    // of the character where it breaks, from 1
	Expected string // what could stand there, in words
	Found    string // what stands there, in words
	hint     string
	limit    bool
	text     string
	offset   int // byte offset of Position
}

// Error returns position, what was expected and what was found, on one line.
func (e *PatternError) Error() string {
	if e.Found == "" {
		return fmt.Sprintf("character %d: %s", e.Position, e.Expected)
	}
	return fmt.Sprintf("character %d: expected %s, found %s", e.Position, e.Expected, e.Found)
}

// Caret returns two lines for people: the part of the pattern around the
// fault, and a caret under the character. Control characters are shown as
// spaces, so that a pattern from outside cannot drive a terminal.
func (e *PatternError) Caret() string {
	const before, after = 48, 24
	runes := []rune(e.text[:e.offset])
	lead := ""
	if len(runes) > before {
		runes, lead = runes[len(runes)-before:], "…"
	}
	tail, trail := []rune(e.text[e.offset:min(len(e.text), e.offset+4*(after+1))]), ""
	if len(tail) > after {
		tail, trail = tail[:after], "…"
	}
	line := lead + printable(string(runes)) + printable(string(tail)) + trail
	column := utf8.RuneCountInString(lead) + len(runes)
	return line + "\n" + strings.Repeat(" ", column) + "^"
}

// printable replaces what could move a terminal's cursor by spaces.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
}

// Pattern parses the pattern of an indicator whose pattern_type is "stix".
// Both results are nil for every other object. The text is parsed anew at each
// call.
func (o *Object) Pattern() (*Pattern, error) {
	if len(o.details.pattern) == 0 || o.details.patternType.String() != "stix" {
		return nil, nil
	}
	return ParsePattern(o.details.pattern.String())
}

// PatternError returns why the pattern of an indicator whose pattern_type is
// "stix" cannot be read, or nil. Such an indicator is kept, but no value leads
// to it. Parse does not look: the grammar costs more than the rest of a small
// object, and whoever builds the index parses the pattern anyway.
func (o *Object) PatternError() error {
	_, err := o.Pattern()
	return err
}
