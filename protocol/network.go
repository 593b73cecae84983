package protocol

import (
	"time"
)

// Membership is what the network layer must know of one agreement in force:
// how to tell its streams apart, what to join and whom to admit. A slice of
// memberships is a complete, immutable description; a new one replaces it.
type Membership struct {
	Agreement AgreementID
	Public    bool
	Heads     []Hash   // payload hashes: the version in force first, then older ones
	Topics    []string // that this node reads
	Outlets   []string // that it publishes on and does not read
	Publisher bool     // this node may publish here (a party)
	// Barred names, for each topic, the parties that no clause lets read it:
	// nothing of the topic is announced or sent to their nodes.
	Barred map[string][]MemberID
	Nodes  []Peer // nodes of the parties other than this one
	// Papers says that nothing passes but documents and pings: an agreement that
	// is not in force yet, or what two members who know each other by an invite
	// have to tell each other.
	Papers bool
	// Waiting are the nodes of parties that have not signed yet: with them too
	// documents and pings pass and nothing else.
	Waiting []Peer
	// Held, with Papers, is a digest of what this node has to tell. When it
	// changes the others are asked to ask.
	Held Hash
	// Sources are multiaddrs with /p2p of other hosts that hold a public
	// agreement, as tickets name them.
	Sources []string
}

// Peer is a node that may be connected to.
type Peer struct {
	Author    Author    // zero for a reader of public agreements
	Name      string    // handle of the member, for people
	Transport PublicKey // the libp2p identity
	Addresses []string  // multiaddrs without /p2p
}

// PeerStatus is what the network layer knows of one peer right now.
type PeerStatus struct {
	Peer
	PeerID    string
	Host      string // "member" or "public"
	Connected bool
	Address   string // of the connection
	Since     time.Time
	RTT       time.Duration
	LastError string
	Sent      uint64 // bytes
	Received  uint64
}

// PeerEventKind names what happened with a peer.
type PeerEventKind string

// What may happen with a peer.
const (
	PeerConnected    PeerEventKind = "connected"
	PeerDisconnected PeerEventKind = "disconnected"
	PeerRefused      PeerEventKind = "refused" // by the gater, a tag, or a limit
	PeerSynced       PeerEventKind = "synced"
	PeerDropped      PeerEventKind = "dropped" // pubsub lost messages for it
)

// PeerEvent is one event with a peer, for the audit log.
type PeerEvent struct {
	Time      time.Time
	Kind      PeerEventKind
	Peer      Peer
	PeerID    string
	Agreement AgreementID // zero where it concerns no single agreement
	Detail    string
	Messages  int
	Bytes     int64
}
