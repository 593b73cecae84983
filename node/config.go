package node

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"time"

	"entente/protocol"
	"entente/protocol/stix"
	"entente/protocol/stix/redact"
	"entente/store"
)

// Config is all that a Node is made from. Store and Documents stay the
// caller's: it closes them after Run has returned.
type Config struct {
	Member    protocol.MemberID
	Number    uint32             // of this node
	Epoch     uint32             // of Key
	Key       ed25519.PrivateKey // signs messages
	Operator  ed25519.PrivateKey // the operations key: signs invites and statements
	Store     *store.Store
	Documents Documents
	Codec     *protocol.Codec
	Limits    stix.Limits // zero: stix.DefaultLimits
	Clock     func() time.Time
	Random    func([]byte) // fills the slice; crypto/rand in production
	Logger    *slog.Logger
	Home      string // folder, for status; may be ""
	Version   string // of the program
	Workers   int    // parse and pack in parallel; default GOMAXPROCS
	Encrypted bool   // the disk that holds the store is encrypted, as its operator says
	// Secret makes the ids and pseudonyms of what agreements oblige to transform; as
	// long as it is the same, they are. Zero: such objects are refused.
	Secret   [32]byte
	Internal redact.Internal // what counts as the inside of this member's network, beside what always does
	Input    int64           // most bytes of objects one publication may hold; default 256 MiB
}

// Documents keeps agreements, member records and profiles on disk, each
// version as signed with its signatures beside it.
type Documents interface {
	// Save writes a version or adds to its signatures. Another payload under
	// the same kind, name and version is a Conflict.
	Save(kind, name string, version uint64, payload, signatures []byte) error
	// Load calls yield with everything that is kept.
	Load(yield func(kind, name string, version uint64, payload, signatures []byte) error) error
}

// Network is one host as the node uses it: the member host or the public one.
type Network interface {
	// Run keeps the host going until ctx ends and waits for all it started.
	Run(ctx context.Context) error
	// Update replaces what the host joins and whom it admits.
	Update(memberships []protocol.Membership) error
	// Broadcast gossips a frame; having no peers is no failure.
	Broadcast(ctx context.Context, agreement protocol.AgreementID, topic string, frame []byte) error
	// Sync asks for a catch-up with some peer soon.
	Sync(agreement protocol.AgreementID)
	// Fetch gets the documents of a public agreement from a host at addresses.
	Fetch(ctx context.Context, addresses []string, agreement protocol.AgreementID) ([]protocol.Document, error)
	// Doors says which invites are open, by their doors, and whether strangers may
	// come in to show one; Call shows one to its maker and returns the answer.
	Doors(doors []protocol.Hash, strangers bool)
	Call(ctx context.Context, addresses []string, secret [32]byte, documents []protocol.Document) ([]protocol.Document, error)
	// Peers, Ping, Addresses and PeerID tell about the host and its peers.
	Peers() []protocol.PeerStatus
	Ping(ctx context.Context, transport protocol.PublicKey) (time.Duration, error)
	Addresses() []string
	PeerID() string
}

const (
	// skew is how far ahead of this node's clock a message may claim to be.
	skew = 5 * time.Minute
	// messageObjects and messageBytes close a batch: beyond about a hundred
	// objects compression gains nothing, and a frame must stay well below its
	// limit even when nothing compresses.
	messageObjects = 500
	messageBytes   = 400 << 10
	defaultInput   = 256 << 20
)

func (c *Config) check() error {
	switch {
	case c.Store == nil:
		return fmt.Errorf("node: Config.Store is missing")
	case c.Documents == nil:
		return fmt.Errorf("node: Config.Documents is missing")
	case c.Codec == nil:
		return fmt.Errorf("node: Config.Codec is missing")
	case c.Clock == nil || c.Random == nil:
		return fmt.Errorf("node: Config.Clock and Config.Random are required")
	case len(c.Key) != ed25519.PrivateKeySize:
		return fmt.Errorf("node: Config.Key is no Ed25519 key")
	case c.Member.IsZero():
		return fmt.Errorf("node: Config.Member is missing")
	}
	if c.Limits == (stix.Limits{}) {
		c.Limits = stix.DefaultLimits()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Workers <= 0 {
		c.Workers = defaultWorkers()
	}
	if c.Input <= 0 {
		c.Input = defaultInput
	}
	return nil
}
