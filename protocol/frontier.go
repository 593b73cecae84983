package protocol

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// MaxFrontier is the number of entries of one encoded frontier, and of wants in
// one encoded list. A longer frontier goes in several, in order.
const MaxFrontier = 4096

// maxEntry is more than the bytes of the longest entry or want.
const maxEntry = 256

// FrontierEntry tells how far one log is held without a gap.
type FrontierEntry struct {
	Log      LogID
	Base     uint64 // the first sequence number whose body may still be held; at most one after Position
	Position Position
}

// Frontier is a set of entries, sorted by the hash of the log's id.
type Frontier []FrontierEntry

// Want asks for the messages after From up to To of one log.
type Want struct {
	Log  LogID
	From uint64 // exclusive
	To   uint64 // inclusive
}

// hashed is an entry beside the hash that orders it.
type hashed struct {
	hash  Hash
	entry FrontierEntry
}

// sorted returns the entries with their hashes, in order.
func (f Frontier) sorted() []hashed {
	all := make([]hashed, len(f))
	for i, e := range f {
		all[i] = hashed{e.Log.Hash(), e}
	}
	slices.SortFunc(all, func(a, b hashed) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	return all
}

// Sort brings the entries into the order of their logs' hashes.
func (f Frontier) Sort() {
	for i, h := range f.sorted() {
		f[i] = h.entry
	}
}

// Digest returns a hash over the positions of the frontier, whatever the order
// of its entries. Two nodes with equal digests hold the same messages: bases
// are no part of it, nor are logs of which nothing is held.
func (f Frontier) Digest() Hash {
	h := sha256.New()
	h.Write([]byte(domainFrontier))
	for _, e := range f.sorted() {
		if e.entry.Position.Sequence == 0 {
			continue
		}
		var row [32 + 8 + 32]byte
		copy(row[:], e.hash[:])
		binary.BigEndian.PutUint64(row[32:], e.entry.Position.Sequence)
		copy(row[40:], e.entry.Position.Head[:])
		h.Write(row[:])
	}
	var sum Hash
	h.Sum(sum[:0])
	return sum
}

func (e *FrontierEntry) check() error {
	p := e.Position
	switch {
	case p.Sequence > maxInteger:
		return fmt.Errorf("sequence number %d is over %d", p.Sequence, uint64(maxInteger))
	case (p.Sequence == 0) != p.Head.IsZero():
		return fmt.Errorf("position %d must have a head exactly when it is not the beginning", p.Sequence)
	case e.Base > p.Sequence+1:
		return fmt.Errorf("base %d is more than one after position %d", e.Base, p.Sequence)
	}
	return e.Log.check()
}

// EncodeFrontier returns the deterministic encoding (spec, "Frontier"), in the
// right order whatever the order of f. A log named twice or an entry that
// contradicts itself is Invalid; over MaxFrontier entries is Limit.
func EncodeFrontier(f Frontier) ([]byte, error) {
	const op = "encode frontier"
	if len(f) > MaxFrontier {
		return nil, E(Limit, op, fmt.Errorf("%d entries; the limit is %d", len(f), MaxFrontier), "send it in parts")
	}
	all := f.sorted()
	out := appendHead(make([]byte, 0, 4+maxEntry*len(f)), cborArray, uint64(len(f)))
	for i, h := range all {
		if i > 0 && all[i-1].hash == h.hash {
			return nil, Errorf(Invalid, op, "log %s is there twice", h.hash.Short())
		}
		if err := h.entry.check(); err != nil {
			return nil, E(Invalid, op, err, "")
		}
		out = appendHead(out, cborArray, 4)
		out = h.entry.Log.appendCBOR(out)
		out = appendHead(out, cborUint, h.entry.Base)
		out = appendHead(out, cborUint, h.entry.Position.Sequence)
		head := h.entry.Position.Head[:]
		if h.entry.Position.Sequence == 0 {
			head = nil
		}
		out = appendByteString(out, head)
	}
	return out, nil
}

type wireEntry struct {
	_        struct{} `cbor:",toarray"`
	Log      wireLog
	Base     uint64
	Sequence uint64
	Head     []byte
}

// DecodeFrontier reads exactly what EncodeFrontier wrote. Anything else is
// Malformed; over MaxFrontier entries is Limit.
func DecodeFrontier(data []byte) (Frontier, error) {
	const op = "decode frontier"
	var wire []wireEntry
	if err := unmarshalList(op, data, &wire); err != nil {
		return nil, err
	}
	f := make(Frontier, len(wire))
	var before Hash
	for i, w := range wire {
		e, err := w.entry()
		if err != nil {
			return nil, E(Malformed, op, fmt.Errorf("entry %d: %w", i, err), "")
		}
		hash := e.Log.Hash()
		if i > 0 && bytes.Compare(before[:], hash[:]) >= 0 {
			return nil, Errorf(Malformed, op, "entry %d is there twice or not in the order of the logs' hashes", i)
		}
		f[i], before = e, hash
	}
	again, err := EncodeFrontier(f)
	if err == nil && !bytes.Equal(again, data) {
		err = errNotDeterministic
	}
	if err != nil {
		return nil, E(Malformed, op, err, "")
	}
	return f, nil
}

func (w wireEntry) entry() (FrontierEntry, error) {
	e := FrontierEntry{Base: w.Base, Position: Position{Sequence: w.Sequence}}
	var err error
	if e.Log, err = w.Log.log(); err != nil {
		return e, err
	}
	if w.Sequence > 0 || len(w.Head) > 0 {
		if err := fixed(e.Position.Head[:], w.Head, "the head"); err != nil {
			return e, err
		}
	}
	return e, e.check()
}

func (w Want) check() error {
	if w.From >= w.To || w.To > maxInteger {
		return fmt.Errorf("a range after %d up to %d is empty or out of bounds", w.From, w.To)
	}
	return w.Log.check()
}

// EncodeWants returns the deterministic encoding (spec, "Wants") in the order
// given, which is the order in which they should be served. An empty range is
// Invalid; over MaxFrontier wants is Limit.
func EncodeWants(wants []Want) ([]byte, error) {
	const op = "encode wants"
	if len(wants) > MaxFrontier {
		return nil, E(Limit, op, fmt.Errorf("%d wants; the limit is %d", len(wants), MaxFrontier), "send them in parts")
	}
	out := appendHead(make([]byte, 0, 4+maxEntry*len(wants)), cborArray, uint64(len(wants)))
	for i, w := range wants {
		if err := w.check(); err != nil {
			return nil, E(Invalid, op, fmt.Errorf("want %d: %w", i, err), "")
		}
		out = appendHead(out, cborArray, 3)
		out = w.Log.appendCBOR(out)
		out = appendHead(out, cborUint, w.From)
		out = appendHead(out, cborUint, w.To)
	}
	return out, nil
}

type wireWant struct {
	_        struct{} `cbor:",toarray"`
	Log      wireLog
	From, To uint64
}

// DecodeWants reads exactly what EncodeWants wrote. Anything else is Malformed;
// over MaxFrontier wants is Limit.
func DecodeWants(data []byte) ([]Want, error) {
	const op = "decode wants"
	var wire []wireWant
	if err := unmarshalList(op, data, &wire); err != nil {
		return nil, err
	}
	wants := make([]Want, len(wire))
	for i, w := range wire {
		log, err := w.Log.log()
		if err != nil {
			return nil, E(Malformed, op, fmt.Errorf("want %d: %w", i, err), "")
		}
		wants[i] = Want{Log: log, From: w.From, To: w.To}
	}
	again, err := EncodeWants(wants)
	if err == nil && !bytes.Equal(again, data) {
		err = errNotDeterministic
	}
	if err != nil {
		return nil, E(Malformed, op, err, "")
	}
	return wants, nil
}

// unmarshalList reads an array of at most MaxFrontier elements. The number is
// looked at first: elements in memory are many times larger than the bytes
// which claim them.
func unmarshalList(op string, data []byte, into any) error {
	if most := 4 + maxEntry*MaxFrontier; len(data) > most {
		return Errorf(Limit, op, "%d bytes; the limit is %d", len(data), most)
	}
	n, err := arrayLength(data)
	if err != nil {
		return E(Malformed, op, err, "")
	}
	if n > MaxFrontier {
		return Errorf(Limit, op, "%d elements; the limit is %d", n, MaxFrontier)
	}
	if err := cborStrict.Unmarshal(data, into); err != nil {
		return E(Malformed, op, plainCBOR(err), "")
	}
	return nil
}

// arrayLength reads the head of an array of fewer than 65,536 elements.
func arrayLength(data []byte) (int, error) {
	if len(data) == 0 || data[0]&0xe0 != cborArray {
		return 0, errors.New("not a CBOR array")
	}
	switch low := data[0] & 0x1f; {
	case low < 24:
		return int(low), nil
	case low == 24 && len(data) > 1:
		return int(data[1]), nil
	case low == 25 && len(data) > 2:
		return int(binary.BigEndian.Uint16(data[1:])), nil
	default:
		return 0, errors.New("the array's head is cut short, indefinite or too long")
	}
}

// GossipID returns the id of a gossiped message: a hash over its topic and
// every byte (spec, "Gossip id"). A field of the header must never stand in for
// it: a forged or misplaced copy would take the place of the real message.
func GossipID(topic string, data []byte) Hash {
	length := binary.BigEndian.AppendUint64(nil, uint64(len(topic)))
	return domainHash(domainGossip, length, []byte(topic), data)
}
