package stix

import (
	"bufio"
	"io"
	"strconv"

	"entente/protocol"
)

// BundleWriter writes a bundle (STIX 2.1 section 8) around raw objects as they
// come, one a line, without holding them. It is not safe for concurrent use.
type BundleWriter struct {
	out   *bufio.Writer
	count int
	err   error
}

// NewBundleWriter begins a bundle with the given id, which is bundle--UUID (see
// NewID).
func NewBundleWriter(w io.Writer, id string) *BundleWriter {
	b := &BundleWriter{out: bufio.NewWriterSize(w, window)}
	b.put(`{"type":"bundle","id":` + strconv.Quote(id))
	return b
}

// Write adds one object, its bytes unchanged. They must be one JSON object: what
// Parse accepted is. The error is that of the underlying writer.
func (b *BundleWriter) Write(raw []byte) error {
	if b.count++; b.count == 1 {
		b.put(`,"objects":[` + "\n")
	} else {
		b.put(",\n")
	}
	if b.err == nil {
		_, b.err = b.out.Write(raw)
	}
	return b.failure()
}

// Close ends the bundle and writes what is buffered. It does not close the
// underlying writer. A bundle without objects has no list, as STIX wants.
func (b *BundleWriter) Close() error {
	if b.count > 0 {
		b.put("\n]")
	}
	b.put("}\n")
	if b.err == nil {
		b.err = b.out.Flush()
	}
	return b.failure()
}

func (b *BundleWriter) put(text string) {
	if b.err == nil {
		_, b.err = b.out.WriteString(text)
	}
}

func (b *BundleWriter) failure() error {
	if b.err == nil {
		return nil
	}
	return protocol.E(protocol.Other, "write bundle", b.err, "")
}
