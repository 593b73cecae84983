package protocol

import "sync"

// Sealed is a frame that was decoded strictly but not verified: nothing it
// says may be believed, and no state may be written for it.
type Sealed struct {
	header Header
	frame  frame
}

// Header returns the unverified header.
func (s *Sealed) Header() Header { return s.header }

// Hash returns the hash of the header, by which a node knows what it holds
// already.
func (s *Sealed) Hash() Hash { return HeaderHash(s.frame.header) }

// Message is a verified message. Only Seal, Open, Reopen and Without make one.
// It is immutable and safe for concurrent use.
type Message struct {
	header Header
	hash   Hash
	frame  frame
	body   func() (*contents, error) // returns the same at every call
}

func newMessage(h Header, f frame, body *contents) *Message {
	return &Message{header: h, hash: HeaderHash(f.header), frame: f,
		body: func() (*contents, error) { return body, nil }}
}

func newLazyMessage(h Header, f frame, load func() (*contents, error)) *Message {
	return &Message{header: h, hash: HeaderHash(f.header), frame: f, body: sync.OnceValues(load)}
}

// Header returns the header. The caller must not change what Supersedes
// points to.
func (m *Message) Header() Header { return m.header }

// Hash returns the hash of the header: the head of the log once this message
// is its last.
func (m *Message) Hash() Hash { return m.hash }

// Position returns sequence and hash.
func (m *Message) Position() Position { return Position{Sequence: m.header.Sequence, Head: m.hash} }

// SignedHeader returns the header's bytes as signed and the signature over
// them. The caller must not change them.
func (m *Message) SignedHeader() (header, signature []byte) {
	return m.frame.header, m.frame.signature
}

// Frame returns the bytes to send or to store. The caller must not change them.
func (m *Message) Frame() []byte { return m.frame.bytes }

// Partial reports whether leaves were erased or left out.
func (m *Message) Partial() bool { return m.frame.encoding&encodedPartial != 0 }

// Load makes sure that the body is decompressed and reports why it cannot be;
// only a message from Reopen can fail. It is Malformed: the store is damaged.
func (m *Message) Load() error {
	_, err := m.body()
	return err
}

// Object returns the bytes of leaf i as their creator wrote them, or nil where
// the leaf was erased or left out, does not exist, or cannot be read (see
// Load). The caller must not change them.
func (m *Message) Object(i int) []byte {
	body, err := m.body()
	if err != nil || i < 0 || i >= len(body.spans) {
		return nil
	}
	return body.object(i)
}

// Leaves returns the hashes of all leaves, those of erased objects included,
// as the tree's root is over them. It computes them anew.
func (m *Message) Leaves() ([]Hash, error) {
	body, err := m.body()
	if err != nil {
		return nil, err
	}
	return body.leaves(body.hasher()), nil
}
