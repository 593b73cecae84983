// Package p2p is the wire: hosts, gossip, sync and direct streams, gating. It
// is the only package that knows libp2p.
package p2p

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"time"

	"entente/protocol"
)

// Handler is the node behind a Host. Its methods are called from many
// goroutines at once. A peer is identified by its Transport key; Author is zero
// for a reader of public agreements.
type Handler interface {
	// Check judges a gossiped frame inside the validator: it must be quick,
	// must not block and must write no state. The message, set when the verdict
	// is Accept, is carried to Deliver so that nothing is verified twice.
	Check(from protocol.Peer, agreement protocol.AgreementID, topic string, frame []byte) (protocol.Verdict, *protocol.Message)
	// Deliver takes an accepted gossiped message. It may block for a while;
	// when it reports false the message was not taken, and the Host schedules
	// a sync.
	Deliver(ctx context.Context, from protocol.Peer, agreement protocol.AgreementID, m *protocol.Message) bool
	// Frontier tells what reader may know of the logs held.
	Frontier(reader protocol.Peer, agreement protocol.AgreementID) protocol.Frontier
	// Wants says which ranges to ask of a peer that has theirs.
	Wants(from protocol.Peer, agreement protocol.AgreementID, theirs protocol.Frontier) []protocol.Want
	// Serve calls yield with the frames of a range, in order, as reader may
	// have them, until yield returns false.
	Serve(ctx context.Context, reader protocol.Peer, agreement protocol.AgreementID, want protocol.Want, yield func(frame []byte) bool) error
	// Take takes synced frames in the order they were sent and returns when
	// they are durable. An error ends the session with that peer.
	Take(ctx context.Context, from protocol.Peer, agreement protocol.AgreementID, frames [][]byte) error
	// Documents returns the versions and signatures of an agreement that reader
	// may have, oldest first, and the records (profiles, where it is public) of
	// its parties.
	Documents(reader protocol.Peer, agreement protocol.AgreementID) []protocol.Document
	// TakeDocuments takes the answer to a question for documents.
	TakeDocuments(ctx context.Context, from protocol.Peer, agreement protocol.AgreementID, documents []protocol.Document) error
	// Event takes note of something that happened with a peer. It must not block.
	Event(e protocol.PeerEvent)
}

// Config describes a Host.
type Config struct {
	Key       ed25519.PrivateKey // transport identity
	Public    bool               // a host for public agreements: open to readers
	Listen    []string           // multiaddrs
	Handler   Handler
	Logger    *slog.Logger
	SyncEvery time.Duration // with a random peer; default 45 s
}

// Host is a libp2p host with everything on it. It serves either private or
// public agreements, never both.
type Host struct{ _ int }

// New makes a host that listens but knows nobody yet.
func New(cfg Config) (*Host, error) { panic("p2p: not built yet") }

// Run keeps connections, gossip and sync going until ctx ends, then closes the
// host and waits for everything it started.
func (h *Host) Run(ctx context.Context) error { panic("p2p: not built yet") }

// Update replaces what the host joins and whom it admits. Connections to nodes
// that are in no membership any more are closed.
func (h *Host) Update(memberships []protocol.Membership) error { panic("p2p: not built yet") }

// Broadcast gossips a frame to the topic. It fails with Unreachable when the
// host has not joined it; having no peers is no failure.
func (h *Host) Broadcast(ctx context.Context, agreement protocol.AgreementID, topic string, frame []byte) error {
	panic("p2p: not built yet")
}

// Sync asks for a sync of the agreement soon, with a peer of the Host's choice.
func (h *Host) Sync(agreement protocol.AgreementID) { panic("p2p: not built yet") }

// Fetch asks the host at any of the addresses (multiaddrs with /p2p) for the
// documents of a public agreement.
func (h *Host) Fetch(ctx context.Context, addresses []string, agreement protocol.AgreementID) ([]protocol.Document, error) {
	panic("p2p: not built yet")
}

// Peers tells about every peer known from memberships or connected.
func (h *Host) Peers() []protocol.PeerStatus { panic("p2p: not built yet") }

// Ping measures the round trip to a peer, dialling it if need be.
func (h *Host) Ping(ctx context.Context, transport protocol.PublicKey) (time.Duration, error) {
	panic("p2p: not built yet")
}

// Addresses returns the multiaddrs on which the host can be reached, without /p2p.
func (h *Host) Addresses() []string { panic("p2p: not built yet") }

// PeerID returns the host's libp2p peer id.
func (h *Host) PeerID() string { panic("p2p: not built yet") }
