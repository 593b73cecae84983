package node

import "time"

// The types of this file are what the node answers: they are the JSON of the
// local API and of every verb's --json, documented in its OpenAPI description
// and only ever added to.

// Severity of a finding.
type Severity string

// The severities.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "error"
)

// Finding is something that the operator should know or do.
type Finding struct {
	Code     string   `json:"code"` // stable, "disk-low"
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`
	Hint     string   `json:"hint,omitempty"` // a command to run
}

// Why is a decision in words for people and programs.
type Why struct {
	Outcome     string   `json:"outcome"`             // allow, withhold, refuse
	Layer       string   `json:"layer"`               // form, floor, agreement, local
	Agreement   string   `json:"agreement,omitempty"` // name
	AgreementID string   `json:"agreement_id,omitempty"`
	Version     uint64   `json:"version,omitzero"`
	Clause      string   `json:"clause,omitempty"`
	Text        string   `json:"text"`              // the clause's or the rule's plain words
	Readers     []string `json:"readers,omitempty"` // handles: for whom it holds
}

// ObjectOutcome is what became of one object that was to be published.
type ObjectOutcome struct {
	Index   int      `json:"index"` // in the input, from 0
	ID      string   `json:"id,omitempty"`
	Type    string   `json:"type,omitempty"`
	Line    int      `json:"line,omitzero"`
	Why     Why      `json:"why"`
	Missing []string `json:"missing,omitempty"` // references that resolve to nothing the readers may have
}

// ReasonCount groups the objects that met one fate for one reason.
type ReasonCount struct {
	Why   Why             `json:"why"`
	Count int             `json:"count"`
	First []ObjectOutcome `json:"first"` // up to 10 examples
}

// MessageRef names one message.
type MessageRef struct {
	Agreement   string `json:"agreement"`
	Topic       string `json:"topic"`
	Author      string `json:"author"` // handle/node
	Incarnation string `json:"incarnation"`
	Sequence    uint64 `json:"sequence"`
	Hash        string `json:"hash"`
	Objects     int    `json:"objects"`
	Bytes       int    `json:"bytes"`
}

// Receipt is the answer to a publication.
type Receipt struct {
	DryRun        bool          `json:"dry_run"`
	Agreement     string        `json:"agreement"`
	Topic         string        `json:"topic"`
	Read          int           `json:"read"` // objects found in the input
	Published     int           `json:"published"`
	Unchanged     int           `json:"unchanged"` // held already in the very same version
	Withheld      int           `json:"withheld"`
	Refused       int           `json:"refused"`
	Readers       []string      `json:"readers"` // handles of who may read; "public" for anyone
	Reasons       []ReasonCount `json:"reasons"`
	Redacted      *Redaction    `json:"redacted,omitempty"` // what agreements obliged to take out; absent: nothing
	Grants        []string      `json:"grants,omitempty"`   // hashes: by which sources let objects be passed on here
	Messages      []MessageRef  `json:"messages,omitempty"`
	FirstSequence uint64        `json:"first_sequence,omitzero"`
	LastSequence  uint64        `json:"last_sequence,omitzero"`
	Bytes         int64         `json:"bytes"` // of the messages
	Seconds       float64       `json:"seconds"`
}

// Progress of something that takes a while.
type Progress struct {
	Done  int64  `json:"done"`
	Total int64  `json:"total,omitzero"` // 0: unknown
	Unit  string `json:"unit"`
}

// Provenance is one arrival of a version.
type Provenance struct {
	Agreement        string    `json:"agreement"`
	AgreementVersion uint64    `json:"agreement_version"`
	Topic            string    `json:"topic"`
	Author           string    `json:"author"` // handle/node
	Member           string    `json:"member"` // id
	Incarnation      string    `json:"incarnation"`
	Sequence         uint64    `json:"sequence"`
	Position         int       `json:"position"`
	Time             time.Time `json:"time"`  // the author's
	Added            int64     `json:"added"` // microseconds, unique here
}

// Version is one version of an object as a reader may have it.
type Version struct {
	Object     RawObject    `json:"object"`
	ID         string       `json:"id"`
	Type       string       `json:"type"`
	Name       string       `json:"name,omitempty"`
	Marking    string       `json:"marking"` // "TLP:GREEN"
	Added      int64        `json:"added"`
	Provenance []Provenance `json:"provenance"`
	Handling   *Handling    `json:"handling,omitempty"` // what may and must be done with it; always there in answers
	Conflict   bool         `json:"conflict,omitzero"`  // the same id and modified exist with other content
}

// RawObject is an object's JSON as its creator wrote it.
type RawObject []byte

// MarshalJSON implements json.Marshaler.
func (r RawObject) MarshalJSON() ([]byte, error) { return r, nil }

// UnmarshalJSON implements json.Unmarshaler.
func (r *RawObject) UnmarshalJSON(b []byte) error { *r = append((*r)[:0], b...); return nil }

// LookupAnswer is what is known about one value.
type LookupAnswer struct {
	Value string      `json:"value"` // as asked
	Kind  string      `json:"kind,omitempty"`
	Error string      `json:"error,omitempty"` // the value was not understood
	Hits  []LookupHit `json:"hits"`
}

// LookupHit is one object that bears a value.
type LookupHit struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"`
	Name      string    `json:"name,omitempty"`
	Match     string    `json:"match"` // the value that the object bears
	Marking   string    `json:"marking"`
	Modified  time.Time `json:"modified,omitzero"`
	Revoked   bool      `json:"revoked,omitzero"`
	Agreement string    `json:"agreement"`
	Topic     string    `json:"topic"`
	Author    string    `json:"author"`
	Handling  *Handling `json:"handling,omitempty"` // always there in answers
}

// SearchQuery asks for objects. Zero fields do not restrict.
type SearchQuery struct {
	Text      string    `json:"text,omitempty"`      // every word must occur in name, description, labels or pattern
	Agreement string    `json:"agreement,omitempty"` // name or id
	Topic     string    `json:"topic,omitempty"`
	Types     []string  `json:"types,omitempty"`
	From      string    `json:"from,omitempty"` // publisher: handle or id
	Since     time.Time `json:"since,omitzero"` // modified
	Until     time.Time `json:"until,omitzero"`
	After     int64     `json:"after,omitzero"` // added stamp: resume
	Limit     int       `json:"limit,omitzero"`
	All       bool      `json:"all,omitzero"` // every version, not the newest only
}

// TailEvent is one line of a tail.
type TailEvent struct {
	Version *Version `json:"version,omitempty"`
	Cursor  int64    `json:"cursor"`        // resume after this
	Idle    bool     `json:"idle,omitzero"` // caught up, waiting
}

// MemberInfo tells about a member.
type MemberInfo struct {
	ID         string     `json:"id"`
	Handle     string     `json:"handle"`
	Name       string     `json:"name"`
	Self       bool       `json:"self,omitzero"`
	Version    uint64     `json:"version"`
	Until      time.Time  `json:"until"`  // the record's
	Public     bool       `json:"public"` // a public profile only
	Root       string     `json:"root"`
	Nodes      []NodeInfo `json:"nodes"`
	Agreements []string   `json:"agreements"`
}

// NodeInfo tells about a node of a member.
type NodeInfo struct {
	Number    uint32   `json:"number"`
	PeerID    string   `json:"peer_id"`
	Addresses []string `json:"addresses"`
	Connected bool     `json:"connected"`
	RTTMillis float64  `json:"rtt_ms,omitzero"`
	LastError string   `json:"last_error,omitempty"`
	Host      string   `json:"host"` // member or public
}

// AgreementInfo tells about an agreement.
type AgreementInfo struct {
	ID         string      `json:"id"`
	Name       string      `json:"name"`
	Title      string      `json:"title"`
	Version    uint64      `json:"version"`
	Visibility string      `json:"visibility"`
	State      string      `json:"state"` // in-force, waiting (signatures), not-yet, expired, lapsed, not-a-party
	From       time.Time   `json:"from"`
	Until      time.Time   `json:"until"`
	Parties    []PartyInfo `json:"parties"`
	Topics     []string    `json:"topics"`
	Signed     []string    `json:"signed"`  // handles
	Missing    int         `json:"missing"` // signatures still needed
	// ClearOnly says that nobody vouched lately that this version is the newest, so
	// that only TLP:CLEAR passes; Vouched until when somebody has.
	ClearOnly bool      `json:"clear_only,omitzero"`
	Vouched   time.Time `json:"vouched_until,omitzero"`
	Proposed  uint64    `json:"proposed,omitzero"`  // the highest version that is proposed and not valid yet
	Document  string    `json:"document,omitempty"` // text as signed; where one agreement was asked for
	// Signatures are the lines of that text's signatures file.
	Signatures string `json:"signatures,omitempty"`
	// Versions are all that are here, oldest first; where one was asked for.
	Versions []VersionInfo `json:"versions,omitempty"`
}

// VersionInfo tells about one version of an agreement.
type VersionInfo struct {
	Version  uint64    `json:"version"`
	Hash     string    `json:"hash"`     // SHA-256 of its text
	Previous []string  `json:"previous"` // hashes of the versions it continues
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"`
	Signed   []string  `json:"signed"` // handles of its parties that have
	Counts   bool      `json:"counts"` // it is the version that the agreement's state speaks of
	Valid    bool      `json:"valid"`  // those whom it and the version before it demand have signed
	// Waits says that it counts or is proposed, names this member, and that this
	// member has not signed it.
	Waits bool `json:"waits,omitzero"`
	// Closed are the members whose logs it is the first to close, by handle.
	Closed []string `json:"closed,omitempty"`
}

// PartyInfo tells about a party of an agreement.
type PartyInfo struct {
	Handle string `json:"handle"`
	Name   string `json:"name"`
	ID     string `json:"id"`
	Kind   string `json:"kind"`
	Signed bool   `json:"signed"`
	Known  bool   `json:"known"`            // its member record is here
	Halted string `json:"halted,omitempty"` // why it gets and gives nothing
}

// Status is the state of the node.
type Status struct {
	Member          string          `json:"member"` // handle
	MemberID        string          `json:"member_id"`
	Name            string          `json:"name"`
	Node            uint32          `json:"node"`
	Version         string          `json:"version"`
	Started         time.Time       `json:"started"`
	Home            string          `json:"home"`
	PeerID          string          `json:"peer_id"`
	Addresses       []string        `json:"addresses"`
	PublicPeerID    string          `json:"public_peer_id,omitempty"`
	PublicAddresses []string        `json:"public_addresses,omitempty"`
	Agreements      []AgreementInfo `json:"agreements"`
	Peers           []PeerInfo      `json:"peers"`
	Store           StoreInfo       `json:"store"`
	Rules           *RulesInfo      `json:"rules,omitempty"` // the operator's own; none: there are none
	Findings        []Finding       `json:"findings"`
}

// PeerInfo tells about a peer.
type PeerInfo struct {
	Member    string  `json:"member"` // handle, or "reader"
	Node      uint32  `json:"node"`
	PeerID    string  `json:"peer_id"`
	Host      string  `json:"host"`
	Connected bool    `json:"connected"`
	Address   string  `json:"address,omitempty"`
	RTTMillis float64 `json:"rtt_ms,omitzero"`
	LastError string  `json:"last_error,omitempty"`
}

// StoreInfo tells about the store.
type StoreInfo struct {
	Messages        uint64  `json:"messages"`
	Objects         uint64  `json:"objects"`
	Bytes           int64   `json:"bytes"`
	Free            int64   `json:"free"`
	AuditRows       uint64  `json:"audit_rows"`
	IndexLagSeconds float64 `json:"index_lag_seconds"`
	Accepting       bool    `json:"accepting"`
}

// AuditEntry is a row of the audit log with names in place of ids.
type AuditEntry struct {
	Number    uint64    `json:"number"`
	Time      time.Time `json:"time"`
	Kind      string    `json:"kind"`
	Action    string    `json:"action"`
	Outcome   string    `json:"outcome"`
	Agreement string    `json:"agreement,omitempty"`
	Version   uint64    `json:"version,omitzero"`
	Topic     string    `json:"topic,omitempty"`
	Author    string    `json:"author,omitempty"`
	Sequence  uint64    `json:"sequence,omitzero"`
	Peer      string    `json:"peer,omitempty"`
	Party     string    `json:"party,omitempty"`
	Layer     string    `json:"layer,omitempty"`
	Clause    string    `json:"clause,omitempty"`
	Text      string    `json:"text,omitempty"`
	For       []string  `json:"for,omitempty"` // parties for whom it was withheld
	Objects   []string  `json:"objects,omitempty"`
	Count     int       `json:"count,omitzero"`
	Bytes     int64     `json:"bytes,omitzero"`
}

// AuditQuery asks for audit rows. Zero fields do not restrict.
type AuditQuery struct {
	After     uint64    `json:"after,omitzero"`
	Since     time.Time `json:"since,omitzero"`
	Until     time.Time `json:"until,omitzero"`
	Kinds     []string  `json:"kinds,omitempty"`
	Outcomes  []string  `json:"outcomes,omitempty"`
	Agreement string    `json:"agreement,omitempty"`
	Topic     string    `json:"topic,omitempty"`
	Peer      string    `json:"peer,omitempty"`
	Party     string    `json:"party,omitempty"` // handle or id
	Object    string    `json:"object,omitempty"`
	Limit     int       `json:"limit,omitzero"` // 0: 1,000; newest
	Follow    bool      `json:"follow,omitzero"`
}

// Explanation answers why something was decided so.
type Explanation struct {
	Question string       `json:"question"`           // in words
	Recorded []AuditEntry `json:"recorded,omitempty"` // decisions that the audit log holds
	Now      []ReaderWhy  `json:"now,omitempty"`      // what would be decided now, by reader
	// MadeFrom are ids of the objects that this node made it from by taking something
	// out, MadeInto of those that it made of it. Nobody else can tell them.
	MadeFrom []string `json:"made_from,omitempty"`
	MadeInto []string `json:"made_into,omitempty"`
}

// ReaderWhy is the decision for one reader.
type ReaderWhy struct {
	Reader    string `json:"reader"` // handle, "public"
	Agreement string `json:"agreement"`
	Topic     string `json:"topic"`
	Why       Why    `json:"why"`
}

// Imported tells what became of an imported document.
type Imported struct {
	Kind    string `json:"kind"` // agreement, signatures, member-record, public-profile
	Name    string `json:"name"`
	Version uint64 `json:"version"`
	ID      string `json:"id"`
	State   string `json:"state"`
	Text    string `json:"text"` // what happened and what to do next
}
