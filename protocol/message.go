package protocol

import (
	"crypto/ed25519"
	"time"
)

// Codec packs, seals, decodes and opens messages. It owns the compressors, so
// one Codec serves a whole node; it is safe for concurrent use.
type Codec struct{ limits Limits }

// Limits bound what a Codec makes and takes. A limit that is hit is an error
// of kind Limit that names the limit and its value.
type Limits struct {
	Frame   int // bytes of a whole message on the wire
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

// NewCodec returns a Codec with the given limits.
func NewCodec(limits Limits) (*Codec, error) { panic("protocol: not built yet") }

// Body is a packed body: root, count and length for the header, and the
// compressed bytes. Only Pack, Open and Message.Without make one.
type Body struct{ _ int }

// Root returns the root of the Merkle tree over the objects.
func (b *Body) Root() Hash { panic("protocol: not built yet") }

// Objects returns the number of leaves.
func (b *Body) Objects() int { panic("protocol: not built yet") }

// Size returns the number of bytes that the body takes in a frame.
func (b *Body) Size() int { panic("protocol: not built yet") }

// Pack makes the body of a message from the creators' bytes of its objects,
// which it does not keep. The seed must be fresh and random: leaf salts come
// from it.
func (c *Codec) Pack(objects [][]byte, seed [32]byte) (*Body, error) {
	panic("protocol: not built yet")
}

// Draft is a message but for its place in the log.
type Draft struct {
	Agreement        AgreementID
	AgreementVersion uint64
	Lane             Lane
	Author           Author
	Epoch            uint32
	Incarnation      Incarnation
	Time             time.Time
	Marking          Marking
	Audience         Audience
	Content          Content
	Body             *Body
}

// Seal signs the draft as the entry after prev (the zero Position begins a log;
// only then may supersedes be set) and returns the finished message.
func (c *Codec) Seal(d Draft, prev Position, supersedes *Supersession, key ed25519.PrivateKey) (*Message, error) {
	panic("protocol: not built yet")
}

// Sealed is a frame that was decoded strictly but not verified: nothing it
// says may be believed, and no state may be written for it.
type Sealed struct{ _ int }

// Decode reads a frame strictly, without any cryptography. The Sealed keeps a
// reference to the frame, which must not change afterwards.
func (c *Codec) Decode(frame []byte) (*Sealed, error) { panic("protocol: not built yet") }

// Header returns the unverified header.
func (s *Sealed) Header() Header { panic("protocol: not built yet") }

// Open verifies the signature under key, then the body against the root.
// A false signature is BadSignature; a body that does not match is Malformed.
func (c *Codec) Open(s *Sealed, key ed25519.PublicKey) (*Message, error) {
	panic("protocol: not built yet")
}

// Reopen opens a frame read back from the node's own store, whose integrity
// the store has checked: the signature is not verified again.
func (c *Codec) Reopen(frame []byte) (*Message, error) { panic("protocol: not built yet") }

// Message is a verified message. Only Seal, Open and Reopen make one. It is
// immutable and safe for concurrent use.
type Message struct{ _ int }

// Header returns the header.
func (m *Message) Header() Header { panic("protocol: not built yet") }

// Hash returns the hash of the header: the head of the log once this message
// is its last.
func (m *Message) Hash() Hash { panic("protocol: not built yet") }

// Position returns sequence and hash.
func (m *Message) Position() Position { panic("protocol: not built yet") }

// SignedHeader returns the header's bytes as signed and the signature over
// them. The caller must not change them.
func (m *Message) SignedHeader() (header, signature []byte) { panic("protocol: not built yet") }

// Frame returns the bytes to send or to store. The caller must not change them.
func (m *Message) Frame() []byte { panic("protocol: not built yet") }

// Object returns the bytes of leaf i as their creator wrote them, or nil where
// the leaf was erased or left out. The caller must not change them.
func (m *Message) Object(i int) []byte { panic("protocol: not built yet") }

// Without returns the message with the given leaves left out: their bytes and
// salts are gone, their leaf hashes stay, and the rest still verifies.
func (c *Codec) Without(m *Message, leaves ...int) (*Message, error) {
	panic("protocol: not built yet")
}
