package stix

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"unicode/utf8"

	"entente/protocol"
)

// buffer is a window that moves over the input.
type buffer struct {
	in       io.Reader
	buf      []byte
	pos, end int   // the next byte; behind the last one that was read
	keep     int   // first byte that must stay, or -1
	base     int64 // offset of buf[0] in the document
	line     int   // line of buf[counted]
	counted  int
	breakAt  int64 // where a string ran over the end of a line, or -1
	err      error // what reading ended with
}

// more reads on and reports whether there is anything. It moves the window.
func (w *buffer) more() bool {
	if w.err != nil {
		return false
	}
	if w.buf == nil {
		w.buf = make([]byte, window)
	}
	from := w.pos
	if w.keep >= 0 {
		from = w.keep
	}
	if from > 0 && (from == w.pos || w.end == len(w.buf)) {
		w.line, w.counted = w.lineAt(from), 0
		copy(w.buf, w.buf[from:w.end])
		w.base += int64(from)
		w.pos, w.end = w.pos-from, w.end-from
		if w.keep >= 0 {
			w.keep = 0
		}
	}
	if w.end == len(w.buf) {
		w.buf = append(w.buf, make([]byte, len(w.buf))...)
	}
	for range 100 {
		n, err := w.in.Read(w.buf[w.end:])
		w.end += n
		w.err = err
		if n > 0 {
			return true
		}
		if err != nil {
			return false
		}
	}
	w.err = io.ErrNoProgress
	return false
}

// token passes over blanks and returns the byte behind them.
func (w *buffer) token() (byte, bool) {
	for {
		for ; w.pos < w.end; w.pos++ {
			switch c := w.buf[w.pos]; c {
			case ' ', '\n', '\r', '\t':
			default:
				return c, true
			}
		}
		if !w.more() {
			return 0, false
		}
	}
}

// lineAt returns the line of buf[i], which is not before counted.
func (w *buffer) lineAt(i int) int {
	if i > w.counted {
		w.line += bytes.Count(w.buf[w.counted:i], []byte("\n"))
		w.counted = i
	}
	return w.line
}

// found says what stands at the position, for an error text.
func (w *buffer) found() string {
	for !utf8.FullRune(w.buf[w.pos:w.end]) && w.more() {
	}
	return foundAt(w.buf[:w.end], w.pos)
}

// isCorrupt reports whether unpacking failed because of the data.
func isCorrupt(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.As(err, &corrupt)
}

// member reads the name of the next member and its colon, or the end of the
// object. A name that is too long to matter comes back empty.
func (r *Reader) member(first bool) (name string, end bool, err error) {
	w := &r.window
	c, ok := w.token()
	if ok && c == '}' {
		w.pos++
		return "", true, nil
	}
	if ok && !first {
		if c != ',' {
			return "", false, r.fatal(protocol.Invalid, "", "%s where a comma or } should stand", w.found())
		}
		w.pos++
		c, ok = w.token()
	}
	if ok && c != '"' {
		return "", false, r.fatal(protocol.Invalid, "", "%s where the name of a property should stand", w.found())
	}
	if ok {
		if name, err = r.text(); err != nil {
			return "", false, err
		}
		c, ok = w.token()
	}
	if !ok {
		return "", false, r.broken()
	}
	if c != ':' {
		return "", false, r.fatal(protocol.Invalid, "", "%s where a colon should stand", w.found())
	}
	w.pos++
	return name, false, nil
}

// text reads a string and returns its value, or "" of a long or malformed one.
func (r *Reader) text() (string, error) {
	w := &r.window
	alone := w.keep < 0
	if alone {
		w.keep = w.pos
	}
	from := w.base + int64(w.pos)
	w.pos++
	if err := r.passText(); err != nil {
		return "", err
	}
	text := ""
	if w.keep >= 0 {
		if raw := w.buf[from-w.base : w.pos]; len(raw) <= maxKey {
			s := scanner{raw: raw, limits: Limits{Object: maxKey, String: maxKey}}
			if s.scan() == nil {
				text = s.textOf(0)
			}
		}
	}
	if alone {
		w.keep = -1
	}
	return text, nil
}

// pass moves behind the value that begins here, of which so many objects are
// open already. It looks at brackets and strings only; Parse reads the rest.
func (r *Reader) pass(open int) error {
	w := &r.window
	r.stack = r.stack[:0]
	if open == 0 {
		r.deep = false
		if c := w.buf[w.pos]; c != '{' && c != '[' && c != '"' {
			return r.passWord()
		}
	}
	for range open {
		r.stack = append(r.stack, '}')
	}
	for {
		if w.pos >= w.end && !w.more() {
			return r.broken()
		}
		chunk := w.buf[w.pos:w.end]
		at := 0
		for at < len(chunk) && !structural(chunk[at]) {
			at++
		}
		w.pos += at
		if at == len(chunk) {
			r.bound()
			continue
		}
		w.pos++
		if err := r.bracket(chunk[at]); err != nil {
			return err
		}
		if len(r.stack) == 0 {
			r.bound()
			return nil
		}
	}
}

func structural(c byte) bool {
	return c == '"' || c == '{' || c == '}' || c == '[' || c == ']'
}

// bracket takes a byte that has a meaning outside strings, which was passed.
func (r *Reader) bracket(c byte) error {
	w := &r.window
	switch c {
	case '"':
		return r.passText()
	case '{', '[':
		r.stack = append(r.stack, c+2) // its closing one in ASCII
		if len(r.stack) > r.limits.Depth {
			if r.deep = true; len(r.stack) > maxBrackets {
				w.pos--
				return r.fatal(protocol.Limit, "", "nested deeper than %d, the limit is %d", maxBrackets, r.limits.Depth)
			}
		}
	default:
		last := len(r.stack) - 1
		if last < 0 || r.stack[last] != c {
			w.pos--
			return r.fatal(protocol.Invalid, "", "%s closes what is not open", w.found())
		}
		r.stack = r.stack[:last]
	}
	return nil
}

// bound lets go of an object that is over the size limit. The rest of it is
// passed over without being kept.
func (r *Reader) bound() {
	if w := &r.window; w.keep >= 0 && w.pos-w.keep > r.limits.Object {
		w.keep = -1
	}
}

// passText moves behind the closing quote of a string whose first one was
// passed.
func (r *Reader) passText() error {
	w := &r.window
	for {
		w.pos = stringStop(w.buf[:w.end], w.pos)
		if w.pos >= w.end {
			r.bound()
			if !w.more() {
				return r.broken()
			}
			continue
		}
		switch w.buf[w.pos] {
		case '"':
			w.pos++
			return nil
		case '\\':
			for w.end-w.pos < 2 {
				if !w.more() {
					return r.broken()
				}
			}
			w.pos += 2
		default:
			if w.buf[w.pos] == '\n' && w.breakAt < 0 {
				w.breakAt = w.base + int64(w.pos)
			}
			w.pos++
		}
	}
}

// stringStop returns the first index from at on whose byte is a quote, a
// backslash or a control character, or len(raw).
func stringStop(raw []byte, at int) int {
	for ; at+8 <= len(raw); at += 8 {
		word := binary.LittleEndian.Uint64(raw[at:])
		quote := word ^ ones*'"'
		slash := word ^ ones*'\\'
		hit := ((quote - ones) &^ quote) | ((slash - ones) &^ slash) | ((word - ones*' ') &^ word)
		if hit &= highs; hit != 0 {
			return at + bits.TrailingZeros64(hit)/8
		}
	}
	for ; at < len(raw); at++ {
		if c := raw[at]; c < ' ' || c == '"' || c == '\\' {
			return at
		}
	}
	return at
}

// passWord moves behind a number, true, false or null.
func (r *Reader) passWord() error {
	w := &r.window
	if c := w.buf[w.pos]; c != '-' && c != 't' && c != 'f' && c != 'n' && c-'0' > 9 {
		return r.fatal(protocol.Invalid, "", "%s where a value should stand", w.found())
	}
	for {
		for ; w.pos < w.end; w.pos++ {
			switch w.buf[w.pos] {
			case ',', ']', '}', ' ', '\n', '\r', '\t':
				r.bound()
				return nil
			}
		}
		r.bound()
		if !w.more() {
			return r.broken()
		}
	}
}
