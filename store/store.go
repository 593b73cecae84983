// Package store keeps everything that a node has on disk. The log is the truth;
// indexes are derived from it. It is the only package that knows Badger.
package store

import (
	"context"
	"time"

	"entente/protocol"
	"entente/protocol/stix"
)

// Config says where and how a Store keeps its data. The zero value of every
// field but Dir means the default.
type Config struct {
	Dir        string // folder; "" keeps everything in memory, for simulations
	Memory     int64  // budget in bytes for caches and memtables; default 192 MiB
	Async      bool   // do not sync each group: acknowledged writes may be lost to a power cut
	GroupKeys  int    // most keys in one group commit
	GroupBytes int    // most bytes in one group commit
	Clock      func() time.Time
	Limits     stix.Limits // for reading stored objects back into indexes
	Codec      *protocol.Codec
	Logger     Logger
}

// Logger takes what the store has to say; slog.Logger does.
type Logger interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
	Error(msg string, args ...any)
}

// Store is open on one folder, which it locks. It is safe for concurrent use.
type Store struct{ _ int }

// Open opens or makes the store. A folder in use by another process is a
// Conflict that names the process; a full disk is Full.
func Open(cfg Config) (*Store, error) { panic("store: not built yet") }

// Run builds the indexes and keeps the store in shape until ctx ends. It must
// be running for lookups by value to catch up; everything else works without.
func (s *Store) Run(ctx context.Context) error { panic("store: not built yet") }

// Close ends all writing and closes the files. Nothing acknowledged is lost.
func (s *Store) Close() error { panic("store: not built yet") }

// Leaf is what the store must know of one object of a message to index it.
type Leaf struct {
	Position int // in the message
	ID       string
	Modified time.Time // zero for objects without versions
	Allowed  bool      // false: refused by policy here; kept in the log, in no index
}

// Entry is a message in the store.
type Entry struct {
	Added   int64 // microseconds; of leaf 0: leaf i has Added+i
	Message *protocol.Message
}

// SealFunc signs the next entry of a log, knowing the position it follows.
type SealFunc func(prev protocol.Position) (*protocol.Message, error)

// Append writes the next entry of a log of this node. seal is called by the
// writer with the log's last position; message, index entries and audit rows
// are one transaction, durable on return.
func (s *Store) Append(ctx context.Context, log protocol.LogID, seal SealFunc, leaves []Leaf, audit []protocol.AuditRow) (Entry, error) {
	panic("store: not built yet")
}

// Outcome is what became of a message that Put was given.
type Outcome uint8

// The outcomes of Put.
const (
	Stored    Outcome = iota + 1 // new and next in its log
	Duplicate                    // held already; nothing was written
	Gap                          // ahead of its log: kept aside, bounded, until the gap is filled
	Fork                         // another message with this sequence is held; both headers are proof now, the log is stopped
	Stopped                      // the log was stopped by a fork earlier
)

// Put writes a received message with its index entries and audit rows in one
// transaction, durable on return. A message that follows a gap is kept aside
// and stored, through fill, once what is missing has come.
func (s *Store) Put(ctx context.Context, m *protocol.Message, leaves []Leaf, audit []protocol.AuditRow) (Outcome, Entry, error) {
	panic("store: not built yet")
}

// Arrival is one message for PutAll.
type Arrival struct {
	Message *protocol.Message
	Leaves  []Leaf
	Audit   []protocol.AuditRow
}

// PutResult is what became of one Arrival.
type PutResult struct {
	Outcome Outcome
	Entry   Entry
	Err     error
}

// PutAll is Put for several messages, in order, sharing group commits.
func (s *Store) PutAll(ctx context.Context, in []Arrival) []PutResult { panic("store: not built yet") }

// Audit appends rows that belong to no message, durable on return.
func (s *Store) Audit(ctx context.Context, rows ...protocol.AuditRow) error {
	panic("store: not built yet")
}

// Position returns the last position of a log held without a gap; the zero
// Position for an unknown log.
func (s *Store) Position(log protocol.LogID) protocol.Position { panic("store: not built yet") }

// Logs returns the frontier of an agreement: all its logs that are held.
func (s *Store) Logs(agreement protocol.AgreementID) protocol.Frontier { panic("store: not built yet") }

// Range calls yield with the stored frames of a log after from up to to, in
// order, until yield returns false.
func (s *Store) Range(log protocol.LogID, from, to uint64, yield func(sequence uint64, frame []byte) bool) error {
	panic("store: not built yet")
}

// Version is one stored version of an object, with one arrival of it.
type Version struct {
	ID               string
	Modified         time.Time
	Raw              []byte
	Added            int64 // unique, of this leaf
	Log              protocol.LogID
	Sequence         uint64
	Position         int // leaf
	AgreementVersion uint64
	Time             time.Time // of the header
}

// Get returns all stored versions of an object, newest first, one a
// provenance. None is no error.
func (s *Store) Get(id string) ([]Version, error) { panic("store: not built yet") }

// Has reports for which of the ids at least one version is held.
func (s *Store) Has(ids []string) ([]bool, error) { panic("store: not built yet") }

// Hit is a version that bears an observable value.
type Hit struct {
	Key      stix.Key
	ID       string
	Modified time.Time
	Added    int64
}

// Lookup returns, for each key, the versions that bear it: equality, and for
// addresses and networks containment in both directions.
func (s *Store) Lookup(keys []stix.Key) ([][]Hit, error) { panic("store: not built yet") }

// At returns the version whose leaf was added at the stamp.
func (s *Store) At(added int64) (Version, error) { panic("store: not built yet") }

// Query selects versions; zero fields do not restrict.
type Query struct {
	Agreement protocol.AgreementID
	Topic     string
	Types     []string
	After     int64     // added stamp, exclusive
	Before    int64     // added stamp, exclusive
	Since     time.Time // modified, inclusive
	Until     time.Time // modified, exclusive
	Reverse   bool      // newest first
}

// Scan calls yield with matching versions in order of their added stamps until
// yield returns false. It reads a snapshot and never blocks the writer.
func (s *Store) Scan(q Query, yield func(Version) bool) error { panic("store: not built yet") }

// AuditQuery selects audit rows; zero fields do not restrict.
type AuditQuery struct {
	After     uint64 // row number, exclusive
	Since     time.Time
	Until     time.Time
	Kinds     []protocol.AuditKind
	Outcomes  []string
	Agreement protocol.AgreementID
	Topic     string
	Peer      string
	Party     protocol.MemberID
	Object    string // id: rows about a message that holds it, and rows that name it
	Reverse   bool
}

// AuditRows calls yield with matching rows until it returns false.
func (s *Store) AuditRows(q AuditQuery, yield func(protocol.AuditRow) bool) error {
	panic("store: not built yet")
}

// Watch returns a channel that is closed at the next commit.
func (s *Store) Watch() <-chan struct{} { panic("store: not built yet") }

// Stats is what the store knows of itself.
type Stats struct {
	Messages  uint64
	Objects   uint64
	Bytes     int64 // on disk
	Free      int64 // on the disk
	LastAdded int64
	Indexed   int64 // added stamp up to which lookups see everything
	AuditRows uint64
	Accepting bool   // false: taking nothing in
	Problem   string // why not
}

// Stats returns current figures; it is cheap.
func (s *Store) Stats() Stats { panic("store: not built yet") }

// Reindex drops all derived indexes and builds them again from the log,
// calling progress with messages done and in all.
func (s *Store) Reindex(ctx context.Context, progress func(done, total uint64)) error {
	panic("store: not built yet")
}

// Setting reads a small named value; nil when unset.
func (s *Store) Setting(name string) ([]byte, error) { panic("store: not built yet") }

// SetSetting writes a small named value, durable on return.
func (s *Store) SetSetting(name string, value []byte) error { panic("store: not built yet") }
