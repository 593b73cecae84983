package protocol

import "time"

// AuditKind says what a row of the audit log records.
type AuditKind string

// The kinds of audit row.
const (
	AuditDecision AuditKind = "decision" // policy decided about objects
	AuditMessage  AuditKind = "message"  // a message went out or came in
	AuditPeer     AuditKind = "peer"     // something happened with a peer
	AuditDocument AuditKind = "document" // an agreement or record was taken or refused
	AuditNode     AuditKind = "node"     // the node started, stopped, or changed state
)

// AuditRow is one row of the audit log. Objects decided alike in one message
// share a row. Rows are stored in the transaction of what they record.
type AuditRow struct {
	Number    uint64 // assigned by the store, rising without gaps from 1
	Time      time.Time
	Kind      AuditKind
	Action    string // publish, receive, read, export, sync, connect, import …
	Outcome   string // allow, withhold, refuse; accept, ignore, reject; ok, failed
	Agreement AgreementID
	Version   uint64 // of the agreement
	Topic     string
	Log       *LogID // with Sequence: the message that it is about
	Sequence  uint64
	Peer      string // transport peer id that it came from or went to
	Party     MemberID
	Reason    AuditReason
	Positions []int    // leaves of the message that the row is about; nil: all
	Objects   []string // ids of objects that are in no message (withheld, refused)
	Count     int      // number of objects
	Bytes     int64
	Basis     Hash       // of the AuditBasis that a decision rested on; zero: not kept
	Kept      *AuditKept // what else it takes to decide again; nil: nothing
}

// AuditReason says which layer decided, by what, and why, in words.
type AuditReason struct {
	Layer   string     // form, floor, agreement, local
	Clause  string     // number of the clause, where one decided
	Text    string     // the plain words
	Parties []MemberID // for whom it was withheld
}
