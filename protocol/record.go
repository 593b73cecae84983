package protocol

import "time"

// Limits of a member record (documents spec, "Member records").
const (
	maxRecordLife     = 366 * 24 * time.Hour
	maxOperationsLife = 92 * 24 * time.Hour
	maxNodes          = 64
	maxRetired        = 256
	maxAddresses      = 16
	maxAddress        = 512 // bytes
	maxSealing        = 4
	maxIdentities     = 64
	maxContacts       = 16
	maxClosings       = 10000
)

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

// RetiredNode closes the logs of a node under one of its keys: entries up to
// the positions stay valid, entries beyond are refused whatever time they claim.
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

// Type returns the type of document that the record is.
func (r *Record) Type() DocumentType {
	if r.Public {
		return ProfileType
	}
	return RecordType
}

// InForce returns nil while the record stands. Before From, with the skew that
// clocks are allowed, it is Unverified: to be asked again later. From Until on
// it is Refused.
func (r *Record) InForce(now time.Time) error {
	const op = "use member record"
	switch {
	case now.Add(clockSkew).Before(r.From):
		return Errorf(Unverified, op, "version %d of the record of %s stands from %s only", r.Version, r.Handle, r.From.Format(momentLayout))
	case !now.Before(r.Until):
		return E(Refused, op, Errorf(Refused, "", "version %d of the record of %s ended at %s", r.Version, r.Handle, r.Until.Format(momentLayout)),
			"ask the member for its next record")
	}
	return nil
}

// clockSkew is how far clocks of honest members may be apart.
const clockSkew = 5 * time.Minute

// NodeKey returns the key that an entry of a log must be signed with, if the
// entry is still to be taken: the key of the node in force or, for a log that a
// retired key has closed, that key. Beyond a closing position, and for a node
// that is none of the member's, the answer is Refused.
func (r *Record) NodeKey(node uint32, log Hash, at Position) (PublicKey, error) {
	const op = "find node key"
	for i := range r.Retired {
		old := &r.Retired[i]
		if old.Number != node {
			continue
		}
		for _, c := range old.Closing {
			if c.Log == log {
				return old.Key, c.check(op, at)
			}
		}
	}
	for i := range r.Nodes {
		if r.Nodes[i].Number == node {
			return r.Nodes[i].Key, nil
		}
	}
	return PublicKey{}, Errorf(Refused, op, "node %d of %s is retired or unknown, and this log is not among those it closed", node, r.Handle)
}
