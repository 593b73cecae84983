package protocol

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Limits of a document's text (documents spec, "Text"). They bound time and
// memory of reading: both grow with the length of the text alone.
const (
	MaxDocument    = 1 << 20 // bytes
	maxTextLines   = 1 << 16
	maxTextNesting = 16      // fields, lists and flow brackets within each other
	maxTextNodes   = 1 << 16 // values, lists and groups of fields
	maxTextFields  = 64      // in one group of fields
)

// checkText refuses bytes that are no text of ours and returns its lines
// without their line feeds. It is linear and looks at every character, those of
// comments included: what people read is what is signed, so nothing in a
// document may be invisible, reorder what is shown, or be written in two ways.
func checkText(payload []byte) ([]string, error) {
	if len(payload) > MaxDocument {
		return nil, E(Limit, "", fmt.Errorf("the document has %d bytes; the limit is %d", len(payload), MaxDocument), "")
	}
	if n := bytes.Count(payload, []byte("\n")); n > maxTextLines {
		return nil, E(Limit, "", fmt.Errorf("the document has %d lines; the limit is %d", n, maxTextLines), "")
	}
	lines := strings.Split(string(payload), "\n")
	for i, line := range lines {
		if fault := checkLine(i+1, line); fault != nil {
			return nil, E(Invalid, "", fault, textHint)
		}
	}
	if last := len(lines) - 1; lines[last] == "" {
		lines = lines[:last]
	} else {
		return nil, E(Invalid, "", newFault(last+1, lines[last], len(lines[last]), "the last line has no line feed at its end"), "")
	}
	if len(lines) == 0 {
		return nil, Errorf(Invalid, "", "the document is empty")
	}
	return lines, nil
}

const textHint = "documents are UTF-8 in normal form C with plain line feeds and no invisible characters"

func checkLine(number int, line string) *FaultError {
	ascii := true
	for i, r := range line {
		if r >= utf8.RuneSelf {
			ascii = false
		}
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(line[i:]); size == 1 {
				return newFault(number, line, i, "byte 0x%02x is not UTF-8", line[i])
			}
		}
		if why := refusedRune(r); why != "" {
			return newFault(number, line, i, "%U is %s", r, why)
		}
	}
	if !ascii && !norm.NFC.IsNormalString(line) {
		return newFault(number, line, norm.NFC.QuickSpanString(line), "a character here is not in Unicode normal form C")
	}
	return nil
}

// refusedRune says why a character may not stand in a document, or "". The
// ranges are fixed here and in the spec, never taken from a library's tables:
// what a signed document may hold does not change with an update.
func refusedRune(r rune) string {
	switch {
	case r == '\t':
		return "a tab; indent with spaces"
	case r == '\r':
		return "a carriage return; end lines with a line feed alone"
	case r < 0x20, r >= 0x7f && r <= 0x9f:
		return "a control character"
	case r < 0xad:
		return ""
	case r == 0xfeff:
		return "a byte order mark"
	case r == 0x061c, r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return "a control of writing direction, which can make a text read otherwise than it is signed"
	case r == 0xad, r == 0x034f, r == 0x180e, r >= 0x200b && r <= 0x200d, r >= 0x2060 && r <= 0x206f,
		r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x3164, r == 0xffa0, r >= 0xfff9 && r <= 0xfffb:
		return "an invisible character"
	case r == 0x2028, r == 0x2029:
		return "a line separator; end lines with a line feed"
	case r >= 0xe000 && r <= 0xf8ff, r >= 0xf0000:
		return "a character of private use, which every computer may show differently"
	case r >= 0xe0000, r&0xfffe == 0xfffe, r >= 0xfdd0 && r <= 0xfdef:
		return "no character"
	}
	return ""
}
