package protocol

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
)

// Bits of the encoding byte of a frame.
const (
	encodedZstd    = 1 << 0 // the body is compressed
	encodedPartial = 1 << 1 // some leaves are gone
	encodedKnown   = encodedZstd | encodedPartial
)

// frame is a message on the wire, taken apart (spec, "Frame"). The slices lie
// in bytes.
type frame struct {
	bytes     []byte
	header    []byte
	signature []byte
	encoding  byte
	body      []byte
}

// newFrame lays a frame out.
func newFrame(header, signature []byte, encoding byte, body []byte) frame {
	size := 2 + uvarintSize(len(header)) + len(header) + len(signature) + uvarintSize(len(body)) + len(body)
	b := append(make([]byte, 0, size), FormatVersion)
	b = binary.AppendUvarint(b, uint64(len(header)))
	b = append(b, header...)
	at := len(b)
	f := frame{header: b[at-len(header) : at : at]}
	b = append(b, signature...)
	f.signature = b[at:len(b):len(b)]
	f.encoding = encoding
	b = append(b, encoding)
	b = binary.AppendUvarint(b, uint64(len(body)))
	at = len(b)
	b = append(b, body...)
	f.body = b[at:len(b):len(b)]
	f.bytes = b
	return f
}

// parseFrame takes a frame apart without copying.
func parseFrame(data []byte, limits Limits) (frame, error) {
	const op = "decode message"
	f := frame{bytes: data}
	if most := limits.partialFrame(limits.Objects); len(data) > most {
		return f, Errorf(Limit, op, "the message has %d bytes; the limit is %d", len(data), most)
	}
	if len(data) == 0 {
		return f, Errorf(Malformed, op, "the message is empty")
	}
	if data[0] > FormatVersion {
		return f, unknownFormat(op, uint64(data[0]))
	}
	if data[0] != FormatVersion {
		return f, Errorf(Malformed, op, "format version %d is not known", data[0])
	}
	var err error
	rest := data[1:]
	if f.header, rest, err = cutBytes(rest, "the header", limits.Header); err != nil {
		return f, E(kindOr(err, Malformed), op, err, "")
	}
	if len(rest) < ed25519.SignatureSize+1 {
		return f, Errorf(Malformed, op, "the signature is cut short")
	}
	f.signature, rest = rest[:ed25519.SignatureSize:ed25519.SignatureSize], rest[ed25519.SignatureSize:]
	f.encoding, rest = rest[0], rest[1:]
	if f.encoding&^encodedKnown != 0 {
		return f, Errorf(Malformed, op, "encoding %d of the body is not known", f.encoding)
	}
	if f.body, rest, err = cutBytes(rest, "the body", len(rest)); err != nil {
		return f, E(kindOr(err, Malformed), op, err, "")
	}
	if len(rest) > 0 {
		return f, Errorf(Malformed, op, "%d bytes after the end", len(rest))
	}
	return f, nil
}

// kindOr returns the kind of err, or kind where err has none.
func kindOr(err error, kind Kind) Kind {
	if k := KindOf(err); k != Other {
		return k
	}
	return kind
}

// cutBytes cuts a length-prefixed byte string off data.
func cutBytes(data []byte, name string, limit int) (part, rest []byte, err error) {
	length, width := uvarint(data)
	if width == 0 {
		return nil, nil, fmt.Errorf("the length of %s is missing or not minimal", name)
	}
	data = data[width:]
	if length > uint64(len(data)) {
		return nil, nil, fmt.Errorf("%s is cut short: %d of %d bytes", name, len(data), length)
	}
	if length > uint64(limit) {
		return nil, nil, Errorf(Limit, "", "%s has %d bytes; the limit is %d", name, length, limit)
	}
	if length == 0 {
		return nil, nil, errors.New(name + " is empty")
	}
	return data[:length:length], data[length:], nil
}
