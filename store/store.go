// Package store keeps everything that a node has on disk. The log is the truth;
// indexes are derived from it. It is the only package that knows Badger.
//
// One goroutine writes. It gathers what waits into groups and commits each as
// one transaction: messages, their index entries and the audit rows that record
// them together, or none. A call that writes returns when its group is durable.
//
//	m  messages, as received, by the moment at which they were added
//	l  logs: sequence → message
//	o  objects by id: one small entry a leaf
//	t  topics: messages in order of arrival
//	c  messages of statements in order of arrival
//	d  leaves of messages that are refused and decided about again
//	e  leaves that were let in later than they came
//	a  audit rows
//	v  observable values, built from m in the background
//
// After a failed commit nothing is written any more until the store is opened
// again: whether the group happened is not known, and opening finds out.
package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"entente/protocol"
	"entente/protocol/stix"
)

// Config says where and how a Store keeps its data. The zero value of every
// field but Codec means the default.
type Config struct {
	Dir        string // folder; "" keeps everything in memory, for simulations
	Memory     int64  // budget in bytes for caches and memtables; default 192 MiB
	Async      bool   // do not sync each group: acknowledged writes may be lost to a power cut
	GroupKeys  int    // most keys in one group commit; default 24,000
	GroupBytes int    // most bytes in one group commit; default 4 MiB
	Clock      func() time.Time
	Limits     stix.Limits // for reading stored objects; default stix.DefaultLimits
	Codec      *protocol.Codec
	Logger     Logger
	Free       func(dir string) (free, total int64, err error) // of the disk; default asks the system
}

// Logger takes what the store has to say; slog.Logger does.
type Logger interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
	Error(msg string, args ...any)
}

// Store is open on one folder, which it locks. It is safe for concurrent use.
type Store struct {
	cfg      Config
	db       backend
	lock     *os.File // held while open; nil in memory
	requests chan *request
	stopped  chan struct{} // closed when the writer has ended
	closing  sync.Once
	gate     sync.RWMutex // held for reading while a request is handed over
	closed   bool         // guarded by gate
	ended    error
	water    *highwater

	mu    sync.RWMutex // guards the fields below; the writer alone changes them
	logs  map[protocol.LogID]*logState
	ids   map[uint32]protocol.LogID
	named map[protocol.Hash]protocol.LogID // by the hash of the id
	count counters
	watch chan struct{}

	indexState
	feed    feed // what was written lately, for the value index
	problem atomic.Pointer[string]
	cache   *messageCache
}

// indexState is how far the value index is, and what is known of it.
type indexState struct {
	indexed    atomic.Int64 // added stamp up to which values are indexed
	prefixes   prefixSet
	rebuilding sync.RWMutex // held for writing by Reindex
}

// logState is what is known of one log. The writer owns it.
type logState struct {
	number   uint32
	position protocol.Position
	stopped  bool // by a fork
}

// counters are what a store counts; they are written with each commit.
type counters struct {
	LastAdded int64
	Messages  uint64
	Objects   uint64
	AuditRows uint64
	Logs      uint32
}

const countersSize = 36

func (c counters) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(c.LastAdded))
	b = binary.BigEndian.AppendUint64(b, c.Messages)
	b = binary.BigEndian.AppendUint64(b, c.Objects)
	b = binary.BigEndian.AppendUint64(b, c.AuditRows)
	return sealValue(binary.BigEndian.AppendUint32(b, c.Logs))
}

func decodeCounters(sealed []byte) (counters, error) {
	b, err := openValue("the counters", sealed)
	if err != nil || len(b) != countersSize {
		return counters{}, errors.Join(err, fmt.Errorf("the counters have %d bytes", len(b)))
	}
	return counters{
		LastAdded: int64(binary.BigEndian.Uint64(b)), Messages: binary.BigEndian.Uint64(b[8:]), Objects: binary.BigEndian.Uint64(b[16:]),
		AuditRows: binary.BigEndian.Uint64(b[24:]), Logs: binary.BigEndian.Uint32(b[32:]),
	}, nil
}

func (c *Config) complete() error {
	if c.Codec == nil {
		return errors.New("store: Config.Codec is missing")
	}
	if c.Memory <= 0 {
		c.Memory = 192 << 20
	}
	if c.GroupKeys <= 0 {
		c.GroupKeys = 24000
	}
	if c.GroupBytes <= 0 {
		// A transaction may take 15 % of a memtable, which is a sixth of the budget.
		c.GroupBytes = int(min(4<<20, max(c.Memory/6, 8<<20)/8))
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Limits == (stix.Limits{}) {
		c.Limits = stix.DefaultLimits()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Free == nil {
		c.Free = diskFree
	}
	return nil
}

// Open opens or makes the store. A folder in use by another process is a
// Conflict that names the process; a full disk is Full.
func Open(cfg Config) (s *Store, err error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if cfg.Dir == "" {
		return start(cfg, newMemory())
	}
	return start(cfg, nil)
}

// start opens a store on a backend; on the folder's where it is nil.
func start(cfg Config, db backend) (*Store, error) {
	s := &Store{
		cfg: cfg, db: db, requests: make(chan *request, 256), stopped: make(chan struct{}),
		logs: map[protocol.LogID]*logState{}, ids: map[uint32]protocol.LogID{}, named: map[protocol.Hash]protocol.LogID{}, watch: make(chan struct{}),
		cache: newMessageCache(cfg.Memory / 6), water: &highwater{marks: map[string]mark{}},
	}
	if db == nil {
		if err := s.openFolder(); err != nil {
			return nil, err
		}
	}
	if err := s.recover(); err != nil {
		return nil, errors.Join(err, s.db.close(), s.unlock())
	}
	go s.write()
	return s, nil
}

func (s *Store) openFolder() error {
	const op = "open the store"
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return protocol.E(protocol.Other, op, err, "")
	}
	var err error
	if s.lock, err = lockFolder(s.cfg.Dir); err != nil {
		return err
	}
	if err := s.roomToOpen(); err != nil {
		return errors.Join(err, s.unlock())
	}
	_, total, err := s.cfg.Free(s.cfg.Dir)
	if err != nil {
		return errors.Join(protocol.E(protocol.Other, op, err, ""), s.unlock())
	}
	log := badgerLog{s.cfg.Logger, func(text string) { s.fail("the database reported an error: " + text) }}
	if s.db, err = openDisk(filepath.Join(s.cfg.Dir, "db"), s.cfg.Memory, sizesFor(s.cfg.Memory, total), s.cfg.Async, log); err != nil {
		return errors.Join(protocol.E(protocol.Other, op, err, "if the disk was full, free some space and try again; if a file is damaged, put a backup back, or begin with an empty folder and take the messages back from peers"), s.unlock())
	}
	if s.water, err = openHighwater(filepath.Join(s.cfg.Dir, "highwater")); err != nil {
		return errors.Join(err, s.db.close(), s.unlock())
	}
	return nil
}

// recover reads what was committed. It is how the store starts, after a crash
// as after a proper end.
func (s *Store) recover() error {
	const op = "open the store"
	format, err := s.db.get([]byte{kindState, 'f'})
	if err != nil {
		return protocol.E(protocol.Other, op, err, "")
	}
	if format == nil {
		if err := s.db.commit([]change{{key: []byte{kindState, 'f'}, value: []byte{formatVersion}}}); err != nil {
			return protocol.E(protocol.Other, op, err, "")
		}
	} else if len(format) != 1 || format[0] != formatVersion {
		return protocol.E(protocol.Conflict, op, fmt.Errorf("the store has format %d; this program reads %d", format, formatVersion), "use the version of the program that wrote it")
	}
	sealed, err := s.db.get([]byte{kindState, 'c'})
	if err != nil {
		return protocol.E(protocol.Other, op, err, "")
	}
	if sealed != nil {
		if s.count, err = decodeCounters(sealed); err != nil {
			return err
		}
	}
	if err := s.recoverLogs(); err != nil {
		return err
	}
	if err := s.whole(); err != nil {
		return err
	}
	cursor, err := s.db.get([]byte{kindState, 'v'})
	if err != nil {
		return err
	}
	if cursor != nil {
		if cursor, err = openValue("the cursor of the value index", cursor); err != nil {
			return err
		}
		s.indexed.Store(int64(binary.BigEndian.Uint64(cursor)))
	}
	s.feed.floor = s.count.LastAdded
	return s.prefixes.recover(s.db)
}

// whole compares what was counted with what is there. The database takes some
// damage to its files for the end of them; then what lay behind is missing, and
// its log must not be continued.
func (s *Store) whole() error {
	var messages uint64
	for _, l := range s.logs {
		messages += l.position.Sequence
	}
	var row uint64
	k, _, err := s.db.last([]byte{kindAudit}, key8(kindAudit, ^uint64(0)))
	if err != nil {
		return protocol.E(protocol.Conflict, "open the store", err, "run: entente doctor")
	}
	if k != nil {
		row = lastNumber(k)
	}
	if messages != s.count.Messages || row != s.count.AuditRows {
		return protocol.E(protocol.Conflict, "open the store",
			fmt.Errorf("the store is damaged: %d messages and %d audit rows were written, %d and %d are there", s.count.Messages, s.count.AuditRows, messages, row),
			"put a backup back, or begin with an empty folder and take the messages back from peers")
	}
	return nil
}

func (s *Store) recoverLogs() error {
	var broken error
	err := s.db.scan([]byte{kindLogs}, nil, false, func(k, v []byte) bool {
		id, err := protocol.ParseLogID(k[1:])
		if err == nil {
			v, err = openValue("the number of a log", v)
		}
		if err != nil || len(v) != 5 {
			broken = protocol.E(protocol.Conflict, "open the store", errors.New("the name or number of a log is damaged"), "run: entente doctor")
			return false
		}
		l := &logState{number: binary.BigEndian.Uint32(v), stopped: v[4] != 0}
		s.logs[id], s.ids[l.number], s.named[id.Hash()] = l, id, id
		return true
	})
	if err = errors.Join(err, broken); err != nil {
		return err
	}
	for id, l := range s.logs {
		prefix := logKey(l.number, 0)[:5]
		err := s.db.scan(prefix, nil, true, func(k, v []byte) bool {
			l.position.Sequence = lastNumber(k)
			_, l.position.Head, broken = decodeEntry(v)
			return false
		})
		if err = errors.Join(err, broken); err != nil {
			return fmt.Errorf("log of %s: %w", id.Author, err)
		}
	}
	return nil
}

// Close ends all writing and closes the files. Nothing acknowledged is lost.
// Calls after it fail. Run must have returned.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.gate.Lock()
		s.closed = true
		s.gate.Unlock()
		close(s.requests)
		<-s.stopped
		s.mu.RLock()
		for id, l := range s.logs {
			s.water.settle(id, l.position.Sequence)
		}
		s.mu.RUnlock()
		s.ended = errors.Join(s.water.save(), s.db.close(), s.unlock())
	})
	return s.ended
}

func (s *Store) unlock() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close() // the lock goes with the file
}

// fail stops all writing until the store is opened again.
func (s *Store) fail(text string) {
	s.problem.CompareAndSwap(nil, &text)
}

// Watch returns a channel that is closed at the next commit.
func (s *Store) Watch() <-chan struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.watch
}

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
func (s *Store) Stats() Stats {
	s.mu.RLock()
	c := s.count
	s.mu.RUnlock()
	out := Stats{
		Messages: c.Messages, Objects: c.Objects, Bytes: s.db.size(), LastAdded: c.LastAdded,
		Indexed: s.indexed.Load(), AuditRows: c.AuditRows, Accepting: true,
	}
	if p := s.problem.Load(); p != nil {
		out.Accepting, out.Problem = false, *p
	}
	if s.cfg.Dir != "" {
		free, _, low := s.room()
		out.Free = free
		if low != "" && out.Accepting {
			out.Accepting, out.Problem = false, low
		}
	}
	return out
}

// Accepting reports whether the store takes anything in; it is for hot paths.
func (s *Store) Accepting() bool { return s.problem.Load() == nil && !s.water.low.Load() }

// Setting reads a small named value; nil when unset.
func (s *Store) Setting(name string) ([]byte, error) {
	sealed, err := s.db.get(append([]byte{kindSetting}, name...))
	if err != nil || sealed == nil {
		return nil, err
	}
	return openValue("the setting "+name, sealed)
}

// SetSetting writes a small named value, durable on return.
func (s *Store) SetSetting(name string, value []byte) error {
	return s.doSized(context.Background(), 1, len(name)+inlineValue, func(g *group) error {
		g.set(append([]byte{kindSetting}, name...), sealValue(value))
		return nil
	})
}
