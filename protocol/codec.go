package protocol

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Codec packs, seals, decodes and opens messages. It owns the compressors, so
// one Codec serves a whole node; it is safe for concurrent use.
type Codec struct {
	limits       Limits
	compressor   *zstd.Encoder // EncodeAll only, which is safe for concurrent use
	decompressor *zstd.Decoder // DecodeAll only, likewise
}

// Limits bound what a Codec makes and takes. A limit that is hit is an error
// of kind Limit that names the limit and its value. The default ones are part of
// the format (spec, "Frame"): a node with lower ones rejects honest messages, so
// others are for tests.
type Limits struct {
	Frame   int // bytes of a whole message on the wire; one with leaves gone has room for their hashes
	Header  int // bytes of an encoded header
	Body    int // bytes of a body before compression
	Ratio   int // body bytes for each compressed byte (bodies under 64 KiB are exempt)
	Objects int // objects in a message
	Object  int // bytes of one object
}

// DefaultLimits returns the limits of the format, version 1: 512 KiB a frame,
// 2 KiB a header, 4 MiB a body at a ratio of at most 200, 4,096 objects of at
// most 384 KiB each.
func DefaultLimits() Limits {
	return Limits{Frame: 512 << 10, Header: 2 << 10, Body: 4 << 20, Ratio: 200, Objects: 4096, Object: 384 << 10}
}

// ratioExempt is the length up to which a body may compress as well as it can.
const ratioExempt = 64 << 10

// maxWindow bounds the memory that a compressed body may ask for.
const maxWindow = 8 << 20

// window is the one that compressing uses: objects of a batch resemble their
// neighbours, so a longer one costs memory and gains nothing.
const window = 256 << 10

// overhead is what a frame takes beside header and body, at most: version,
// two lengths, signature and encoding.
const overhead = 1 + 5 + ed25519.SignatureSize + 1 + 5

// partialFrame is the limit of a frame from which leaves are gone. Their hashes
// and the salts of the rest do not compress, and erasing must never fail.
func (l Limits) partialFrame(objects int) int { return l.Frame + 64*objects }

func (l Limits) check() error {
	switch {
	case l.Header < 512 || l.Header > 1<<20:
		return fmt.Errorf("header limit %d is not from 512 to 1 MiB", l.Header)
	case l.Frame < l.Header+overhead+minBody(1) || l.Frame > 1<<30:
		return fmt.Errorf("frame limit %d does not hold a header, or is over 1 GiB", l.Frame)
	case l.Body < minBody(1) || l.Body > 1<<30:
		return fmt.Errorf("body limit %d is not from %d to 1 GiB", l.Body, minBody(1))
	case l.Ratio < 1:
		return fmt.Errorf("ratio limit %d is under 1", l.Ratio)
	case l.Objects < 1 || l.Objects > 1<<20:
		return fmt.Errorf("objects limit %d is not from 1 to %d", l.Objects, 1<<20)
	case l.Object < 1 || l.Object > l.Body:
		return fmt.Errorf("object limit %d is not from 1 to the body limit", l.Object)
	}
	return nil
}

// NewCodec returns a Codec with the given limits. Limits that contradict
// themselves are Invalid. A Codec needs no closing.
func NewCodec(limits Limits) (*Codec, error) {
	const op = "make codec"
	if err := limits.check(); err != nil {
		return nil, E(Invalid, op, err, "start from DefaultLimits")
	}
	compressor, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, E(Other, op, err, "")
	}
	decompressor, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxWindow(maxWindow),
		zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true), zstd.IgnoreChecksum(true))
	if err != nil {
		return nil, E(Other, op, err, "")
	}
	return &Codec{limits: limits, compressor: compressor, decompressor: decompressor}, nil
}

// Limits returns the limits of the Codec.
func (c *Codec) Limits() Limits { return c.limits }

// Body is a packed body: root, count and length for the header, and the
// compressed bytes. Only Pack makes one. It is immutable.
type Body struct {
	contents *contents
	root     Hash
	encoding byte
	packed   []byte
}

// Root returns the root of the Merkle tree over the objects.
func (b *Body) Root() Hash { return b.root }

// Objects returns the number of leaves.
func (b *Body) Objects() int { return len(b.contents.spans) }

// Size returns the number of bytes that the body takes in a frame.
func (b *Body) Size() int { return len(b.packed) }

// Pack makes the body of a message from the creators' bytes of its objects,
// which it does not keep. The seed must be fresh and random: leaf salts come
// from it. An empty object, or none at all, is Invalid; too many, too long or
// too much for one message is Limit.
func (c *Codec) Pack(objects [][]byte, seed [32]byte) (*Body, error) {
	const op = "pack message"
	if len(objects) == 0 {
		return nil, Errorf(Invalid, op, "a message has at least one object")
	}
	if len(objects) > c.limits.Objects {
		return nil, E(Limit, op, fmt.Errorf("%d objects; the limit is %d a message", len(objects), c.limits.Objects),
			"put them into several messages")
	}
	size := seedSize
	for i, o := range objects {
		if len(o) == 0 {
			return nil, Errorf(Invalid, op, "object %d is empty", i)
		}
		if len(o) > c.limits.Object {
			return nil, Errorf(Limit, op, "object %d has %d bytes; the limit is %d", i, len(o), c.limits.Object)
		}
		size += uvarintSize(len(o)) + len(o)
		if size > c.limits.Body {
			return nil, E(Limit, op, fmt.Errorf("the objects have over %d bytes, the limit of a message", c.limits.Body),
				"put them into several messages")
		}
	}
	body := &Body{contents: newContents(objects, seed[:], size)}
	body.encoding, body.packed = c.compress(body.contents)
	if room := c.limits.Frame - c.limits.Header - overhead; len(body.packed) > room {
		return nil, E(Limit, op, fmt.Errorf("the objects take %d bytes as sent; the limit is %d", len(body.packed), room),
			"put them into several messages")
	}
	body.root = body.contents.root()
	return body, nil
}

// compress returns a body as it stands in a frame: compressed where that is
// shorter and a receiver would take it.
func (c *Codec) compress(body *contents) (encoding byte, packed []byte) {
	if body.partial {
		encoding = encodedPartial
	}
	packed = c.compressor.EncodeAll(body.raw, make([]byte, 0, len(body.raw)/4+64))
	if len(packed) >= len(body.raw) || len(body.raw) > c.expansion(len(packed)) {
		return encoding, body.raw
	}
	return encoding | encodedZstd, packed
}

// expansion is the longest body that so many compressed bytes may become.
func (c *Codec) expansion(packed int) int { return max(ratioExempt, c.limits.Ratio*packed) }

// unpack returns the contents of a frame's body, which has not been verified.
// Memory is bounded by limits that were checked before: see checkBody.
func (c *Codec) unpack(h *Header, f frame) (*contents, error) {
	raw, partial := f.body, f.encoding&encodedPartial != 0
	if f.encoding&encodedZstd != 0 {
		room := h.BodyLength
		if partial {
			room = min(room+growth*h.Objects, c.expansion(len(f.body)))
		}
		out, err := c.decompressor.DecodeAll(f.body, make([]byte, 0, room))
		if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			return nil, fmt.Errorf("the body decompresses to more than its %d bytes", room)
		}
		if err != nil {
			return nil, fmt.Errorf("the body does not decompress: %w", err)
		}
		if cap(out) > 2*len(out) {
			out = append([]byte(nil), out...)
		}
		raw = out
	}
	if !partial && len(raw) != h.BodyLength {
		return nil, fmt.Errorf("the body has %d bytes where the header says %d", len(raw), h.BodyLength)
	}
	return parseContents(raw, partial, h.Objects, c.limits.Object)
}

// checkBody refuses, before anything is allocated for it, a body that cannot
// become what the header says within the limits.
func (c *Codec) checkBody(h *Header, f frame) error {
	partial := f.encoding&encodedPartial != 0
	most := c.limits.Frame
	if partial {
		most = c.limits.partialFrame(h.Objects)
	}
	if len(f.bytes) > most {
		return Errorf(Limit, "", "the message has %d bytes; the limit is %d", len(f.bytes), most)
	}
	switch f.encoding {
	case 0:
		if len(f.body) != h.BodyLength {
			return fmt.Errorf("the body has %d bytes where the header says %d", len(f.body), h.BodyLength)
		}
	case encodedPartial:
		if len(f.body) > h.BodyLength+growth*h.Objects {
			return fmt.Errorf("the body has %d bytes, more than leaving leaves out of %d can give", len(f.body), h.BodyLength)
		}
	case encodedZstd:
		if h.BodyLength > c.expansion(len(f.body)) {
			return Errorf(Limit, "", "%d bytes of body in %d compressed ones: the limit is %d to 1", h.BodyLength, len(f.body), c.limits.Ratio)
		}
	}
	return nil
}

// Draft is a message but for its place in the log.
type Draft struct {
	Agreement        AgreementID
	AgreementVersion uint64
	Lane             Lane
	Author           Author
	Epoch            uint32
	Incarnation      Incarnation
	Time             time.Time // cut to microseconds
	Marking          Marking
	Audience         Audience
	Content          Content
	Body             *Body
}

// Seal signs the draft as the entry after prev (the zero Position begins a log;
// only then may supersedes be set) and returns the finished message. A draft
// that breaks a rule of the header is Invalid.
func (c *Codec) Seal(d Draft, prev Position, supersedes *Supersession, key ed25519.PrivateKey) (*Message, error) {
	const op = "seal message"
	if d.Body == nil {
		return nil, Errorf(Invalid, op, "the draft has no body")
	}
	if len(key) != ed25519.PrivateKeySize {
		return nil, Errorf(Invalid, op, "the signing key has %d bytes, not %d", len(key), ed25519.PrivateKeySize)
	}
	if (prev.Sequence == 0) != prev.Head.IsZero() {
		return nil, Errorf(Invalid, op, "position %d must have a head exactly when it is not the beginning", prev.Sequence)
	}
	h := Header{
		Agreement: d.Agreement, AgreementVersion: d.AgreementVersion, Lane: d.Lane, Author: d.Author,
		Epoch: d.Epoch, Incarnation: d.Incarnation, Sequence: prev.Sequence + 1, Previous: prev.Head,
		Time: time.UnixMicro(d.Time.UnixMicro()).UTC(), Marking: d.Marking, Audience: d.Audience, Content: d.Content,
		Root: d.Body.root, Objects: d.Body.Objects(), BodyLength: len(d.Body.contents.raw),
	}
	if supersedes != nil {
		s := *supersedes
		h.Supersedes = &s
	}
	if err := h.check(); err != nil {
		return nil, E(Invalid, op, err, "")
	}
	encoded, err := encodeHeader(&h)
	if err != nil {
		return nil, E(Invalid, op, err, "")
	}
	if len(encoded) > c.limits.Header {
		return nil, Errorf(Limit, op, "the header has %d bytes; the limit is %d", len(encoded), c.limits.Header)
	}
	f := newFrame(encoded, sign(key, domainHeaderSignature, encoded), d.Body.encoding, d.Body.packed)
	if len(f.bytes) > c.limits.Frame {
		return nil, Errorf(Limit, op, "the message has %d bytes; the limit is %d", len(f.bytes), c.limits.Frame)
	}
	return newMessage(h, f, d.Body.contents), nil
}

// Decode reads a frame strictly, without any cryptography. The Sealed keeps a
// reference to the frame, which must not change afterwards. What breaks the
// format is Malformed, what is over a limit is Limit, and a newer format
// version is Unverified.
func (c *Codec) Decode(frame []byte) (*Sealed, error) {
	const op = "decode message"
	f, err := parseFrame(frame, c.limits)
	if err != nil {
		return nil, err
	}
	h, err := decodeHeader(f.header, c.limits)
	if err != nil {
		return nil, err
	}
	if err := c.checkBody(&h, f); err != nil {
		return nil, E(kindOr(err, Malformed), op, err, "")
	}
	return &Sealed{header: h, frame: f}, nil
}

// Open verifies the signature under key, then the body against the root.
// A false signature is BadSignature; a body that does not match is Malformed.
func (c *Codec) Open(s *Sealed, key ed25519.PublicKey) (*Message, error) {
	const op = "open message"
	if len(key) != ed25519.PublicKeySize {
		return nil, Errorf(Invalid, op, "the verifying key has %d bytes, not %d", len(key), ed25519.PublicKeySize)
	}
	if !verify(key, domainHeaderSignature, s.frame.header, s.frame.signature) {
		return nil, badHeaderSignature(s.header)
	}
	body, err := c.unpack(&s.header, s.frame)
	if err != nil {
		return nil, E(kindOr(err, Malformed), op, err, "")
	}
	if body.root() != s.header.Root {
		return nil, Errorf(Malformed, op, "the objects do not match the signed root")
	}
	return newMessage(s.header, s.frame, body), nil
}

// Reopen opens a frame read back from the node's own store, whose integrity
// the store has checked: neither the signature nor the root is verified again.
// The body is decompressed when an object is first asked for; Load does it at
// once and reports what is wrong.
func (c *Codec) Reopen(frame []byte) (*Message, error) {
	s, err := c.Decode(frame)
	if err != nil {
		return nil, err
	}
	return newLazyMessage(s.header, s.frame, func() (*contents, error) {
		body, err := c.unpack(&s.header, s.frame)
		if err != nil {
			return nil, E(kindOr(err, Malformed), "reopen message", err, "the store is damaged: run entente doctor")
		}
		return body, nil
	}), nil
}

// Without returns the message with the given leaves left out, beside those that
// were before: their bytes and salts are gone, their leaf hashes stay, and the
// rest still verifies. Naming a leaf that the message does not have is Invalid.
func (c *Codec) Without(m *Message, leaves ...int) (*Message, error) {
	const op = "leave objects out"
	body, err := m.body()
	if err != nil {
		return nil, err
	}
	gone := make([]bool, m.header.Objects)
	changed := false
	for _, i := range leaves {
		if i < 0 || i >= len(gone) {
			return nil, Errorf(Invalid, op, "the message has no object %d; it has %d", i, len(gone))
		}
		gone[i] = true
		changed = changed || !body.spans[i].gone()
	}
	if !changed {
		return m, nil
	}
	rest := body.without(gone)
	encoding, packed := c.compress(rest)
	f := newFrame(m.frame.header, m.frame.signature, encoding, packed)
	if most := c.limits.partialFrame(m.header.Objects); len(f.bytes) > most {
		return nil, Errorf(Limit, op, "the message has %d bytes; the limit is %d", len(f.bytes), most)
	}
	return newMessage(m.header, f, rest), nil
}
