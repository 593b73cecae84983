package stix

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"entente/protocol"
)

// Item is one raw object out of a document, with where it stood.
type Item struct {
	Raw   []byte // its own memory; nil in an ItemError of an object over the size limit
	Index int    // in the document, from 0
	Byte  int64  // offset of its first byte in the (unpacked) document
	Line  int    // of the document, from 1; 0 where unknown
}

// ItemError is the failure of one object among others that can go on.
type ItemError struct {
	Item Item
	Err  error
}

// Error implements error.
func (e *ItemError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ItemError) Unwrap() error { return e.Err }

// Bounds of the reader that no limit changes.
const (
	window      = 64 << 10 // bytes read at once
	maxBrackets = 1000     // nesting at which a document is given up, not the object alone
	maxKey      = 1 << 10  // bytes of a name in a bundle that is looked at
)

// place is where in the document the reader stands.
type place uint8

const (
	between  place = iota // before a document, or behind one
	inArray               // within a list of objects
	inBundle              // among the members of a bundle
)

// Reader takes the objects out of a document: a bundle, an array, one object,
// objects one after the other (one a line, or as they come); plain or gzip.
// Several documents may follow each other. It does not parse the objects, it
// only finds where each begins and ends, in memory for one object, whatever the
// size of the document. It is not safe for concurrent use.
type Reader struct {
	window buffer
	limits Limits
	place  place
	bundle bundleState
	first  bool   // no element or member of the open list or bundle was read yet
	index  int    // of the next object
	whole  int    // objects returned
	stack  []byte // open brackets of the value that is being passed over
	deep   bool   // the value that was passed over is nested beyond the limit
	err    error  // what ended the document
}

// bundleState is what was seen of the open bundle.
type bundleState struct {
	open, typed, objects bool
}

// NewReader looks at the first bytes of r to tell what it is. The error is of
// kind Invalid where that is neither JSON nor gzip, or empty.
func NewReader(r io.Reader, limits Limits) (*Reader, error) {
	input := bufio.NewReaderSize(r, window)
	head, err := input.Peek(4)
	if len(head) == 0 && err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errEmpty()
		}
		return nil, protocol.E(protocol.Other, readOp, err, "")
	}
	reader := &Reader{limits: limits, window: buffer{in: input, line: 1, keep: -1, breakAt: -1}}
	if bytes.HasPrefix(head, []byte{0x1f, 0x8b}) {
		unpacked, err := gzip.NewReader(input)
		if err != nil {
			return nil, protocol.E(protocol.Invalid, readOp, fmt.Errorf("the gzip data is damaged: %w", err), "")
		}
		reader.window.in = unpacked
	}
	return reader, reader.open()
}

const readOp = "read document"

func errEmpty() error {
	return protocol.E(protocol.Invalid, readOp, errors.New("it is empty"), "give a STIX 2.1 bundle, an array, or objects")
}

// open checks that the document begins like JSON.
func (r *Reader) open() error {
	w := &r.window
	c, ok := w.token()
	if !ok {
		if w.err != nil && !errors.Is(w.err, io.EOF) {
			return r.broken()
		}
		return errEmpty()
	}
	if c == '{' || c == '[' {
		return nil
	}
	for w.end-w.pos < 5 && w.more() {
	}
	text, hint := foreign(w.buf[w.pos:w.end])
	if text == "" {
		text = "found " + w.found() + " where { or [ should begin a JSON document"
	}
	return r.fatal(protocol.Invalid, hint, "%s", text)
}

// foreign recognises what people give by mistake.
func foreign(head []byte) (text, hint string) {
	for _, known := range []struct{ magic, text, hint string }{
		{"\xef\xbb\xbf", "the document begins with a byte order mark, which JSON does not allow", "save the file as UTF-8 without BOM"},
		{"\xff\xfe", "the document is UTF-16", "save the file as UTF-8 without BOM"},
		{"\xfe\xff", "the document is UTF-16", "save the file as UTF-8 without BOM"},
		{"PK\x03\x04", "the document is a zip archive", "unpack it first"},
		{"\x28\xb5\x2f\xfd", "the document is packed with zstd", "unpack it first; gzip is taken as it is"},
		{"\x1f\x8b", "the document is packed with gzip twice", "unpack it once"},
		{"BZh", "the document is packed with bzip2", "unpack it first; gzip is taken as it is"},
		{"\xfd7zXZ", "the document is packed with xz", "unpack it first; gzip is taken as it is"},
		{"<", "the document is XML or HTML, not JSON", "STIX 1 must be converted to STIX 2.1 first, for example with the stix2-elevator"},
		{"%PDF", "the document is a PDF, not JSON", ""},
	} {
		if bytes.HasPrefix(head, []byte(known.magic)) {
			return known.text, known.hint
		}
	}
	return "", "give a STIX 2.1 bundle, an array, or objects, in JSON"
}

// fatal ends the document with an error that says where.
func (r *Reader) fatal(kind protocol.Kind, hint, format string, args ...any) error {
	w := &r.window
	text := fmt.Sprintf("byte %d (line %d): %s", w.base+int64(w.pos), w.lineAt(w.pos), fmt.Sprintf(format, args...))
	if w.breakAt >= 0 {
		text += fmt.Sprintf("; a string that runs over the end of a line at byte %d may lack its quote", w.breakAt)
	}
	if r.index > 0 {
		text += fmt.Sprintf("; %d whole objects were read before", r.whole)
	}
	r.err = protocol.E(kind, readOp, errors.New(text), hint)
	return r.err
}

// broken is the error for input that ends, or fails, within the document.
func (r *Reader) broken() error {
	cause := r.window.err
	if cause == nil || errors.Is(cause, io.EOF) {
		return r.fatal(protocol.Invalid, "fetch the file again", "the document ends in the middle: it is truncated")
	}
	if errors.Is(cause, io.ErrUnexpectedEOF) {
		return r.fatal(protocol.Invalid, "fetch the file again", "the packed document ends in the middle: it is truncated")
	}
	if errors.Is(cause, gzip.ErrChecksum) || errors.Is(cause, gzip.ErrHeader) || isCorrupt(cause) {
		return r.fatal(protocol.Invalid, "fetch the file again", "the gzip data is damaged: %v", cause)
	}
	r.err = protocol.E(protocol.Other, readOp, cause, "")
	return r.err
}

// Next returns the next object, io.EOF after the last, or an error that says
// where the document breaks and how many objects were whole (a truncated bundle
// is an error after its last whole object). An object that alone breaks a limit,
// or is none, is an *ItemError, and Next may be called again; after any other
// error Next returns the same one.
func (r *Reader) Next() (Item, error) {
	for r.err == nil {
		item, done, err := r.step()
		if done || err != nil {
			return item, err
		}
	}
	return Item{}, r.err
}

// step reads up to the next object or change of place.
func (r *Reader) step() (item Item, done bool, err error) {
	switch r.place {
	case inArray:
		return r.stepArray()
	case inBundle:
		return Item{}, false, r.stepBundle()
	}
	c, ok := r.window.token()
	switch {
	case !ok && errors.Is(r.window.err, io.EOF):
		r.err = io.EOF
		return Item{}, true, io.EOF
	case !ok:
		return Item{}, true, r.broken()
	case c == '[':
		r.window.pos++
		r.place, r.first = inArray, true
		return Item{}, false, nil
	case c == '{':
		return r.document()
	}
	return Item{}, true, r.fatal(protocol.Invalid, "", "%s behind the end of the document", r.window.found())
}

// stepArray reads the next element of a list of objects.
func (r *Reader) stepArray() (item Item, done bool, err error) {
	w := &r.window
	c, ok := w.token()
	if ok && c == ']' {
		w.pos++
		if r.place, r.first = between, false; r.bundle.open {
			r.place = inBundle
		}
		return Item{}, false, nil
	}
	if ok && !r.first {
		if c != ',' {
			return Item{}, true, r.fatal(protocol.Invalid, "", "%s where a comma or ] should stand behind an object", w.found())
		}
		w.pos++
		c, ok = w.token()
	}
	if !ok {
		return Item{}, true, r.broken()
	}
	r.first = false
	w.keep = w.pos
	at := r.here()
	if err := r.pass(0); err != nil {
		return Item{}, true, err
	}
	item, err = r.take(at)
	if err == nil && c != '{' {
		err = &ItemError{Item: item, Err: r.itemError(item, protocol.Invalid, "an object should stand here, not "+foundAt(item.Raw, 0))}
	}
	return item, true, err
}

// here is where the next object begins.
func (r *Reader) here() Item {
	w := &r.window
	return Item{Index: r.index, Byte: w.base + int64(w.pos), Line: w.lineAt(w.pos)}
}

// take returns the object that was passed over.
func (r *Reader) take(item Item) (Item, error) {
	w := &r.window
	r.index++
	if w.keep < 0 {
		return Item{}, &ItemError{Item: item, Err: r.itemError(item, protocol.Limit,
			fmt.Sprintf("it is over the limit of %d bytes for one object", r.limits.Object))}
	}
	item.Raw = bytes.Clone(w.buf[w.keep:w.pos])
	w.keep = -1
	if r.deep {
		return Item{}, &ItemError{Item: item, Err: r.itemError(item, protocol.Limit,
			fmt.Sprintf("it is nested deeper than the limit of %d", r.limits.Depth))}
	}
	r.whole++
	return item, nil
}

func (r *Reader) itemError(item Item, kind protocol.Kind, text string) error {
	return protocol.Errorf(kind, fmt.Sprintf("object %d at byte %d (line %d)", item.Index, item.Byte, item.Line), "%s", text)
}

// document reads the beginning of an object that no list holds: a bundle, or an
// object itself. It keeps the bytes until it knows.
func (r *Reader) document() (item Item, done bool, err error) {
	w := &r.window
	w.keep = w.pos
	at := r.here()
	w.pos++
	r.bundle, r.deep = bundleState{}, false
	for first := true; ; first = false {
		name, end, err := r.member(first)
		if err != nil {
			return Item{}, true, err
		}
		if end {
			item, err = r.take(at)
			return item, true, err
		}
		c, ok := w.token()
		switch {
		case !ok:
			return Item{}, true, r.broken()
		case name == "Event" || name == "response":
			return Item{}, true, r.fatal(protocol.Invalid, mispHint, "this looks like a MISP event, not like STIX")
		case name == "objects" && c == '[':
			w.pos++
			w.keep = -1
			r.bundle = bundleState{open: true, objects: true}
			r.place, r.first = inArray, true
			return Item{}, false, nil
		case name == "type" && c == '"':
			kind, err := r.text()
			if err != nil {
				return Item{}, true, err
			}
			if kind == "bundle" {
				w.keep = -1
				r.bundle = bundleState{open: true, typed: true}
				r.place, r.first = inBundle, false
				return Item{}, false, nil
			}
			if err := r.pass(1); err != nil {
				return Item{}, true, err
			}
			item, err = r.take(at)
			return item, true, err
		}
		if err := r.pass(0); err != nil {
			return Item{}, true, err
		}
	}
}

// stepBundle reads the next member of a bundle, or its end.
func (r *Reader) stepBundle() error {
	w := &r.window
	name, end, err := r.member(r.first)
	r.first = false
	if err != nil {
		return err
	}
	if end {
		r.place, r.bundle = between, bundleState{}
		return nil
	}
	c, ok := w.token()
	switch {
	case !ok:
		return r.broken()
	case name == "objects" && r.bundle.objects, name == "type" && r.bundle.typed:
		return r.fatal(protocol.Invalid, "", "%q stands twice in the bundle", name)
	case name == "objects" && c != '[':
		return r.fatal(protocol.Invalid, "", "the objects of a bundle must be a list, found %s", w.found())
	case name == "objects":
		w.pos++
		r.bundle.objects = true
		r.place, r.first = inArray, true
		return nil
	case name == "type":
		kind := ""
		if c == '"' {
			if kind, err = r.text(); err != nil {
				return err
			}
		}
		if kind != "bundle" {
			return r.fatal(protocol.Invalid, "", "the document has a list of objects, but its type is not bundle")
		}
		r.bundle.typed = true
		return nil
	}
	return r.pass(0)
}
