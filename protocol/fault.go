package protocol

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// FaultError is what is wrong at one place of a document's text. The errors of
// ParseRecord, ParseAgreement and ParseAny wrap one wherever there is a place
// to show; errors.As finds it.
type FaultError struct {
	File   string // as Located gave it; empty: the text has no name
	Line   int    // from 1
	Column int    // from 1, in characters
	Text   string // what is wrong, on one line
	Source string // the line of the document, made safe to print
}

// excerptWidth is how much of a long line an error shows.
const excerptWidth = 100

// Error returns "FILE:LINE:COLUMN: TEXT", or "line L, column C: TEXT" where the
// document has no name, then the line with a caret under the fault.
func (f *FaultError) Error() string {
	where := fmt.Sprintf("line %d, column %d", f.Line, f.Column)
	if f.File != "" {
		where = fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
	}
	return where + ": " + f.Text + "\n" + f.Excerpt()
}

// Excerpt returns two lines for a terminal: the line of the document with its
// number, and a caret under the fault. A long line is cut to what is around it.
func (f *FaultError) Excerpt() string {
	source, at := []rune(f.Source), f.Column-1
	if len(source) > excerptWidth {
		from := min(max(0, at-excerptWidth/2), len(source)-excerptWidth)
		source, at = source[from:from+excerptWidth], at-from
	}
	margin := fmt.Sprintf("%5d | ", f.Line)
	return margin + string(source) + "\n" + strings.Repeat(" ", len(margin)-2) + "| " + strings.Repeat(" ", max(0, at)) + "^"
}

// Located returns the error with the name of the file that the document came
// from, where it wraps a FaultError; else the error as it is.
func Located(err error, file string) error {
	var fault *FaultError
	if !errors.As(err, &fault) {
		return err
	}
	named := *fault
	named.File = file
	return E(KindOf(err), "", &named, HintOf(err))
}

// newFault makes a fault at a byte offset of a line.
func newFault(line int, source string, offset int, format string, args ...any) *FaultError {
	offset = min(offset, len(source))
	return &FaultError{Line: line, Column: utf8.RuneCountInString(source[:offset]) + 1,
		Text: fmt.Sprintf(format, args...), Source: masked(printable(source))}
}

// masked hides the secret of a private agreement, since errors go to logs.
func masked(line string) string {
	value, secret := strings.CutPrefix(strings.TrimLeft(line, " "), "secret:")
	if !secret {
		return line
	}
	hide := func(r rune) rune {
		if strings.ContainsRune(" '\"", r) {
			return r
		}
		return '*'
	}
	return strings.TrimSuffix(line, value) + strings.Map(hide, value)
}

// printable replaces what must not reach a terminal; every character stays one.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if why := refusedRune(r); why != "" {
			return '?'
		}
		return r
	}, s)
}
