package protocol

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// growth is by how many bytes a leaf may lengthen a body when others are left
// out: a gone leaf of one byte takes 33 bytes in place of 2.
const growth = 31

// minBody is the length of the shortest body of so many objects.
func minBody(objects int) int { return seedSize + 2*objects }

// contents is an uncompressed body, taken apart (spec, "Body"). It is immutable.
type contents struct {
	raw     []byte
	partial bool // salts and leaf hashes stand in it, not the seed
	spans   []span
}

// span is where a leaf's object lies in the body; where to is zero the leaf is
// gone and its hash lies at from.
type span struct{ from, to uint32 }

func (s span) gone() bool { return s.to == 0 }

// newContents lays out the whole body of some objects, which fit the limits.
func newContents(objects [][]byte, seed []byte, size int) *contents {
	raw := append(make([]byte, 0, size), seed...)
	spans := make([]span, len(objects))
	for i, o := range objects {
		raw = binary.AppendUvarint(raw, uint64(len(o)))
		spans[i] = span{uint32(len(raw)), uint32(len(raw) + len(o))}
		raw = append(raw, o...)
	}
	return &contents{raw: raw, spans: spans}
}

// parseContents takes a body apart without copying; n and the length of raw
// must fit the limits.
func parseContents(raw []byte, partial bool, n, maxObject int) (*contents, error) {
	c := &contents{raw: raw, partial: partial}
	at, gone := 0, 0
	if !partial {
		at = seedSize
	}
	if len(raw) < at+n {
		return nil, fmt.Errorf("the body is too short for %d objects", n)
	}
	c.spans = make([]span, n)
	for i := range c.spans {
		length, width := uvarint(raw[min(at, len(raw)):])
		if width == 0 {
			return nil, fmt.Errorf("the length of object %d is missing or not minimal", i)
		}
		at += width
		s, next, err := c.span(at, length, maxObject)
		if err != nil {
			return nil, fmt.Errorf("object %d: %w", i, err)
		}
		if s.gone() {
			gone++
		}
		c.spans[i], at = s, next
	}
	if at != len(raw) {
		return nil, fmt.Errorf("%d bytes after the last object", len(raw)-at)
	}
	if partial && gone == 0 {
		return nil, errors.New("a partial body has no leaf that is gone")
	}
	return c, nil
}

// span reads one leaf after its length, at the given place.
func (c *contents) span(at int, length uint64, maxObject int) (s span, next int, err error) {
	left := len(c.raw) - at
	switch {
	case c.partial && length == 0:
		if left < sha256.Size {
			return s, 0, errors.New("its leaf hash is cut short")
		}
		return span{from: uint32(at)}, at + sha256.Size, nil
	case c.partial:
		length--
		at += saltSize
		left -= saltSize
	}
	if length == 0 {
		return s, 0, errors.New("it is empty")
	}
	if length > uint64(maxObject) {
		return s, 0, Errorf(Limit, "", "it has %d bytes; the limit is %d", length, maxObject)
	}
	if left < int(length) {
		return s, 0, errors.New("it is cut short")
	}
	next = at + int(length)
	return span{uint32(at), uint32(next)}, next, nil
}

// object returns leaf i, nil where it is gone. Its capacity ends with it.
func (c *contents) object(i int) []byte {
	s := c.spans[i]
	if s.gone() {
		return nil
	}
	return c.raw[s.from:s.to:s.to]
}

// salt returns the salt of a leaf that is not gone. The hasher has the seed.
func (c *contents) salt(i int, h *leafHasher) [saltSize]byte {
	if !c.partial {
		return h.saltOf(i)
	}
	from := c.spans[i].from
	return [saltSize]byte(c.raw[from-saltSize : from])
}

func (c *contents) hasher() *leafHasher {
	h := newLeafHasher()
	if !c.partial {
		h.seed(c.raw[:seedSize])
	}
	return h
}

func (c *contents) leaf(i int, h *leafHasher) Hash {
	if s := c.spans[i]; s.gone() {
		return Hash(c.raw[s.from : s.from+sha256.Size])
	}
	salt := c.salt(i, h)
	return h.leaf(salt[:], c.object(i))
}

func (c *contents) leaves(h *leafHasher) []Hash {
	leaves := make([]Hash, len(c.spans))
	for i := range leaves {
		leaves[i] = c.leaf(i, h)
	}
	return leaves
}

func (c *contents) root() Hash {
	h := c.hasher()
	return h.root(c.leaves(h))
}

// without lays out the body with the leaves left out for which gone is true,
// beside those that are gone already. The seed, from which every salt could be
// had, is not in it.
func (c *contents) without(gone []bool) *contents {
	h := c.hasher()
	out := &contents{partial: true, spans: make([]span, len(c.spans))}
	out.raw = make([]byte, 0, len(c.raw)+growth*len(c.spans))
	for i, s := range c.spans {
		if gone[i] || s.gone() {
			leaf := c.leaf(i, h)
			out.raw = append(out.raw, 0)
			out.spans[i] = span{from: uint32(len(out.raw))}
			out.raw = append(out.raw, leaf[:]...)
			continue
		}
		salt, object := c.salt(i, h), c.object(i)
		out.raw = binary.AppendUvarint(out.raw, uint64(len(object))+1)
		out.raw = append(out.raw, salt[:]...)
		from := uint32(len(out.raw))
		out.raw = append(out.raw, object...)
		out.spans[i] = span{from, uint32(len(out.raw))}
	}
	return out
}

// uvarint reads a minimal unsigned varint; the width is 0 where there is none.
func uvarint(data []byte) (v uint64, width int) {
	v, width = binary.Uvarint(data)
	if width <= 0 || (width > 1 && data[width-1] == 0) {
		return 0, 0
	}
	return v, width
}

func uvarintSize(v int) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}
