package protocol

import "time"

// Record is a member record or, with Public set, a public profile: the same
// facts about a member's hosts for readers of public agreements, without
// anything of the private host. Only ParseRecord makes one.
type Record struct {
	Public     bool
	Member     MemberID // explicit in profiles and later versions; hash of the payload in a first record
	Name       string   // of the organisation, for people
	Handle     string   // short name: a-z, 0-9 and hyphen
	Version    uint64
	Previous   Hash // zero in version 1
	From       time.Time
	Until      time.Time // at most 366 days after From
	Root       PublicKey
	Operations OperationsKey
	Nodes      []NodeEntry
	Retired    []RetiredNode
	Identities []string // STIX identity ids bound to the member
	Contacts   []string
	Hash       Hash // of the payload
}

// OperationsKey signs freshness statements, suspensions and receipts.
type OperationsKey struct {
	Key   PublicKey
	From  time.Time
	Until time.Time // at most 92 days after From
}

// NodeEntry is one node of a member.
type NodeEntry struct {
	Number    uint32
	Epoch     uint32    // rises with every change of Key
	Key       PublicKey // signs messages
	Transport PublicKey // of the libp2p host; another one on the public host
	Sealing   []string  // HPKE public keys, "x25519:…"
	Addresses []string  // multiaddrs without /p2p
}

// RetiredNode closes the logs of a node: entries up to the positions stay
// valid, entries beyond are refused whatever time they claim.
type RetiredNode struct {
	Number  uint32
	Epoch   uint32
	Key     PublicKey // verifies the entries that stay valid
	At      time.Time
	Closing []Closing
}

// Closing is the last valid position of a log. The log is named by the hash of
// its id, so that a record tells nothing of agreements to those not in them.
type Closing struct {
	Log      Hash
	Position Position
}
