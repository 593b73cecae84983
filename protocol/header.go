package protocol

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// FormatVersion is the version of header, body and frame that this package
// writes, and the only one it reads.
const FormatVersion = 1

// MaxTopicName is the number of bytes that a topic's name may have.
const MaxTopicName = 64

// AudienceKind says whom a message is for.
type AudienceKind uint8

// The kinds of audience: all parties of the lane, or a set that only its
// members can name.
const (
	AllParties AudienceKind = 1
	OpaqueSet  AudienceKind = 2
)

// Audience is the explicit audience of a message. ID is zero for AllParties.
type Audience struct {
	Kind AudienceKind
	ID   [16]byte
}

// Content says what the leaves of a body are.
type Content uint8

// The kinds of content. Leaves of Control are signed statements (tombstones,
// receipts), reserved for the life of agreements.
const (
	StixObjects Content = 1
	Control     Content = 2
)

// Supersession names the log, of the same author and lane, that a new
// incarnation takes the place of, and the last position known of it.
type Supersession struct {
	Incarnation Incarnation
	Position    Position
}

// Header is the signed part of a message (spec, "Header"). All fields but
// Supersedes and Marking are required; Previous is zero exactly at sequence 1.
type Header struct {
	Agreement        AgreementID
	AgreementVersion uint64
	Lane             Lane
	Author           Author
	Epoch            uint32 // of the author's node key
	Incarnation      Incarnation
	Sequence         uint64 // from 1
	Previous         Hash   // hash of the header before; zero at sequence 1
	Supersedes       *Supersession
	Time             time.Time // UTC, microseconds
	Marking          Marking   // highest of the objects; NoMarking when sealed
	Audience         Audience
	Content          Content
	Root             Hash // of the Merkle tree over the objects
	Objects          int  // number of leaves, at least 1
	BodyLength       int  // bytes of the body as first sealed, before compression
}

// Log returns the id of the log that the header belongs to.
func (h Header) Log() LogID {
	return LogID{Agreement: h.Agreement, Lane: h.Lane, Author: h.Author, Incarnation: h.Incarnation}
}

// HeaderHash returns the hash of a header from its signed bytes: the head of
// its log, and the identity of its message (spec, "Header").
func HeaderHash(header []byte) Hash { return domainHash(domainHeaderHash, header) }

// DecodeHeader reads the signed bytes of a header strictly, under the default
// limits. Nothing is verified: see VerifyHeader.
func DecodeHeader(header []byte) (Header, error) { return decodeHeader(header, DefaultLimits()) }

// VerifyHeader checks the signature over a header that is kept without its
// body (a proof of a fork, a message whose objects have expired) and returns
// the header. A false signature is BadSignature, bytes that break the format
// are Malformed.
func VerifyHeader(header, signature []byte, key ed25519.PublicKey) (Header, error) {
	h, err := DecodeHeader(header)
	if err != nil {
		return Header{}, err
	}
	if !verify(key, domainHeaderSignature, header, signature) {
		return Header{}, badHeaderSignature(h)
	}
	return h, nil
}

func badHeaderSignature(h Header) error {
	return E(BadSignature, "open message", fmt.Errorf(
		"the signature on message %d of %s in %s is not by the key it was checked with", h.Sequence, h.Author, h.Lane),
		"")
}

// check holds every rule for a single header that its encoding alone does not.
func (h *Header) check() error {
	switch {
	case h.Agreement.IsZero():
		return errors.New("the agreement's id is zero")
	case h.AgreementVersion < 1 || h.AgreementVersion > maxInteger:
		return fmt.Errorf("agreement version %d is not from 1 to %d", h.AgreementVersion, uint64(maxInteger))
	case h.Author.Member.IsZero():
		return errors.New("the author's member id is zero")
	case h.Incarnation == Incarnation{}:
		return errors.New("the incarnation is zero")
	case h.Sequence < 1 || h.Sequence > maxInteger:
		return fmt.Errorf("sequence number %d is not from 1 to %d", h.Sequence, uint64(maxInteger))
	case (h.Sequence == 1) != h.Previous.IsZero():
		return fmt.Errorf("the previous header must be named except at sequence number 1; this is %d", h.Sequence)
	case h.Marking > Red:
		return fmt.Errorf("marking %d is not from 1 to 5", h.Marking)
	case h.Content != StixObjects && h.Content != Control:
		return fmt.Errorf("content kind %d is not known", h.Content)
	case h.Objects < 1:
		return errors.New("a message has at least one object")
	case h.BodyLength < minBody(h.Objects):
		return fmt.Errorf("%d bytes of body cannot hold %d objects", h.BodyLength, h.Objects)
	}
	if err := h.Lane.check(); err != nil {
		return err
	}
	if _, err := micros(h.Time); err != nil {
		return err
	}
	if err := h.Audience.check(); err != nil {
		return err
	}
	return h.checkSupersedes()
}

func (a Audience) check() error {
	switch zero := a.ID == [16]byte{}; {
	case a.Kind != AllParties && a.Kind != OpaqueSet:
		return fmt.Errorf("audience kind %d is not known", a.Kind)
	case (a.Kind == AllParties) != zero:
		return errors.New("an audience has an id exactly when it is an opaque set")
	}
	return nil
}

func (h *Header) checkSupersedes() error {
	s := h.Supersedes
	switch {
	case s == nil:
		return nil
	case h.Sequence != 1:
		return fmt.Errorf("only the first message of a log may supersede another log; this is %d", h.Sequence)
	case s.Incarnation == Incarnation{} || s.Incarnation == h.Incarnation:
		return errors.New("a log supersedes one of another incarnation")
	case s.Position.Sequence < 1 || s.Position.Sequence > maxInteger || s.Position.Head.IsZero():
		return errors.New("the superseded position needs a sequence number from 1 and the hash of its header")
	}
	return nil
}

// micros returns a time as the format has it, refusing what it cannot hold.
func micros(t time.Time) (uint64, error) {
	us := t.UnixMicro()
	if us < 0 || us > maxMicros {
		return 0, fmt.Errorf("the time %s is not from 1970 to 9999", t.UTC().Format(time.RFC3339))
	}
	return uint64(us), nil
}

// timeOf is the reverse of micros; us must have been checked.
func timeOf(us uint64) time.Time { return time.UnixMicro(int64(us)).UTC() }

// wireHeader is the map of a header with its keys, which are signed for ever.
type wireHeader struct {
	Format           uint64            `cbor:"1,keyasint"`
	Agreement        []byte            `cbor:"2,keyasint"`
	AgreementVersion uint64            `cbor:"3,keyasint"`
	Lane             cbor.RawMessage   `cbor:"4,keyasint"`
	Author           wireAuthor        `cbor:"5,keyasint"`
	Epoch            uint32            `cbor:"6,keyasint"`
	Incarnation      []byte            `cbor:"7,keyasint"`
	Sequence         uint64            `cbor:"8,keyasint"`
	Previous         []byte            `cbor:"9,keyasint,omitempty"`
	Supersedes       *wireSupersession `cbor:"10,keyasint,omitempty"`
	Time             uint64            `cbor:"11,keyasint"`
	Marking          uint8             `cbor:"12,keyasint,omitempty"`
	Audience         []any             `cbor:"13,keyasint"`
	Content          uint8             `cbor:"14,keyasint"`
	Root             []byte            `cbor:"15,keyasint"`
	Objects          uint32            `cbor:"16,keyasint"`
	BodyLength       uint32            `cbor:"17,keyasint"`
}

func (*wireHeader) keys() uint64 { return 17 }

type wireAuthor struct {
	_      struct{} `cbor:",toarray"`
	Member []byte
	Node   uint32
}

type wireSupersession struct {
	_           struct{} `cbor:",toarray"`
	Incarnation []byte
	Sequence    uint64
	Head        []byte
}

// encodeHeader returns the bytes to sign. The header must pass check.
func encodeHeader(h *Header) ([]byte, error) {
	at, err := micros(h.Time)
	if err != nil {
		return nil, err
	}
	w := wireHeader{
		Format: FormatVersion, Agreement: h.Agreement[:], AgreementVersion: h.AgreementVersion,
		Lane: h.Lane.appendCBOR(nil), Author: wireAuthor{Member: h.Author.Member[:], Node: h.Author.Node},
		Epoch: h.Epoch, Incarnation: h.Incarnation[:], Sequence: h.Sequence, Time: at,
		Marking: uint8(h.Marking), Audience: []any{uint8(h.Audience.Kind)}, Content: uint8(h.Content),
		Root: h.Root[:], Objects: uint32(h.Objects), BodyLength: uint32(h.BodyLength),
	}
	if h.Sequence > 1 {
		w.Previous = h.Previous[:]
	}
	if h.Audience.Kind == OpaqueSet {
		w.Audience = append(w.Audience, h.Audience.ID[:])
	}
	if s := h.Supersedes; s != nil {
		w.Supersedes = &wireSupersession{Incarnation: s.Incarnation[:], Sequence: s.Position.Sequence, Head: s.Position.Head[:]}
	}
	return cborEncoding.Marshal(w)
}

func decodeHeader(data []byte, limits Limits) (Header, error) {
	const op = "decode header"
	if len(data) > limits.Header {
		return Header{}, Errorf(Limit, op, "the header has %d bytes; the limit is %d", len(data), limits.Header)
	}
	var w wireHeader
	extensions, err := unmarshalMap(data, &w)
	if w.Format > FormatVersion {
		return Header{}, unknownFormat(op, w.Format)
	}
	if err != nil {
		return Header{}, E(Malformed, op, err, "")
	}
	h, err := w.header()
	if err == nil {
		err = h.check()
	}
	if err != nil {
		return Header{}, E(Malformed, op, err, "")
	}
	again, err := encodeHeader(&h)
	if err == nil {
		err = sameBytes(data, again, extensions)
	}
	if err != nil {
		return Header{}, E(Malformed, op, err, "")
	}
	if h.Objects > limits.Objects {
		return Header{}, Errorf(Limit, op, "the message has %d objects; the limit is %d", h.Objects, limits.Objects)
	}
	if h.BodyLength > limits.Body {
		return Header{}, Errorf(Limit, op, "the body has %d bytes; the limit is %d", h.BodyLength, limits.Body)
	}
	return h, nil
}

// unknownFormat is no fault of the sender's: it may simply be newer.
func unknownFormat(op string, version uint64) error {
	return E(Unverified, op, fmt.Errorf("format version %d is newer than this node, which knows version %d", version, FormatVersion),
		"update this node")
}

// header turns the map into words, checking lengths of byte strings.
func (w *wireHeader) header() (Header, error) {
	h := Header{
		AgreementVersion: w.AgreementVersion, Epoch: w.Epoch, Sequence: w.Sequence,
		Marking: Marking(w.Marking), Content: Content(w.Content),
		Objects: int(w.Objects), BodyLength: int(w.BodyLength),
	}
	h.Author.Node = w.Author.Node
	if w.Format != FormatVersion {
		return h, fmt.Errorf("format version %d is not known", w.Format)
	}
	if w.Time > maxMicros {
		return h, fmt.Errorf("the time, %d µs since 1970, is after the year 9999", w.Time)
	}
	h.Time = timeOf(w.Time)
	err := errors.Join(
		fixed(h.Agreement[:], w.Agreement, "the agreement's id"),
		fixed(h.Author.Member[:], w.Author.Member, "the author's member id"),
		fixed(h.Incarnation[:], w.Incarnation, "the incarnation"),
		fixed(h.Root[:], w.Root, "the body's root"))
	if err != nil {
		return h, err
	}
	if w.Previous != nil {
		if err := fixed(h.Previous[:], w.Previous, "the hash of the previous header"); err != nil {
			return h, err
		}
	}
	if h.Lane, err = decodeLane(w.Lane); err != nil {
		return h, err
	}
	if h.Audience, err = decodeAudience(w.Audience); err != nil {
		return h, err
	}
	if s := w.Supersedes; s != nil {
		h.Supersedes = &Supersession{Position: Position{Sequence: s.Sequence}}
		err = errors.Join(
			fixed(h.Supersedes.Incarnation[:], s.Incarnation, "the superseded incarnation"),
			fixed(h.Supersedes.Position.Head[:], s.Head, "the superseded head"))
	}
	return h, err
}

func decodeAudience(w []any) (Audience, error) {
	if len(w) < 1 || len(w) > 2 {
		return Audience{}, fmt.Errorf("the audience has %d elements, not 1 or 2", len(w))
	}
	kind, ok := w[0].(uint64)
	if !ok || kind > 255 {
		return Audience{}, errors.New("the audience's kind is not a small integer")
	}
	a := Audience{Kind: AudienceKind(kind)}
	if len(w) == 1 {
		return a, nil
	}
	id, ok := w[1].([]byte)
	if !ok {
		return Audience{}, errors.New("the audience's id is not a byte string")
	}
	return a, fixed(a.ID[:], id, "the audience's id")
}
