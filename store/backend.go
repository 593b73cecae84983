package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// change is one entry of a commit: a value to set, or a key to delete.
type change struct {
	key, value []byte
	delete     bool
}

// backend is an ordered key-value store. Keys and values given to it must not
// be changed afterwards; those it gives out are the caller's only until the
// callback returns.
type backend interface {
	// commit applies all changes or none; when it returns nil they are durable
	// as far as the backend was opened to be. After an error nothing more may be
	// committed: whether the changes happened is not known.
	commit(changes []change) error
	// get returns a copy of a value, or nil.
	get(key []byte) ([]byte, error)
	// scan calls yield in order of keys for those that begin with prefix and are
	// at or after from (at or before it, in reverse), until yield returns false.
	// It sees one snapshot.
	scan(prefix, from []byte, reverse bool, yield func(key, value []byte) bool) error
	// last returns copies of the last entry that begins with prefix and is at or
	// before from; nil where there is none.
	last(prefix, from []byte) (key, value []byte, err error)
	// exist reports which prefixes some key begins with.
	exist(prefixes [][]byte) ([]bool, error)
	// room is the most entries of one commit, and the most bytes: of keys, and of
	// values shorter than inlineValue, with entryBytes each.
	room() (keys, bytes int)
	// renew gets everything that was written out of the files that are being
	// written. It must not run beside a commit; readers wait for it. It fails with
	// errBusy when readers leave it no gap.
	renew() error
	// flatten and then collect, until it reports that there is no more, make sure
	// that nothing is left anywhere of values that were replaced and keys that were
	// deleted before the last renew. Only flatten may run beside a commit.
	flatten() error
	collect() (more bool, err error)
	// size is the number of bytes on disk.
	size() int64
	close() error
}

// inlineValue is the length from which values go to Badger's value log.
const inlineValue = 512

// disk is the backend on Badger.
type disk struct {
	options  badger.Options
	gate     sync.RWMutex                  // held for writing while renew has the database closed
	pause    atomic.Pointer[chan struct{}] // closed when those who come may go on; nil when they need not wait
	db       *badger.DB                    // owner: gate
	broken   error                         // owner: gate; why there is no database any more
	keys     int                           // most entries of a commit
	bytes    int                           // most bytes of them
	measured atomic.Int64                  // bytes on disk, when last measured
	at       atomic.Int64                  // when that was, in Unix seconds
}

// diskSizes are the sizes of files that follow from a memory budget and the
// size of a disk, in bytes.
type diskSizes struct {
	memtable int64 // of three
	valueLog int64 // of one file
}

// sizesFor gives memtables a sixth of the budget and value log files a third,
// as was measured to serve best; on a small disk less, see watermark. 8 MiB is
// the smallest memtable whose transactions take the largest message, 16 MiB the
// smallest value log file that takes the longest audit row.
func sizesFor(memory, total int64) diskSizes {
	return diskSizes{
		memtable: max(min(memory/6, total/64, 128<<20), 8<<20),
		valueLog: max(min(memory/3, total/32, 256<<20), 16<<20),
	}
}

// openDisk opens Badger within a memory budget. The figures for the default
// budget are measured: 32 MiB memtables times three, caches of 48 and 32 MiB,
// values from 512 bytes in the value log.
func openDisk(dir string, memory int64, sizes diskSizes, async bool, logger badger.Logger) (*disk, error) {
	o := badger.DefaultOptions(dir).WithLogger(logger).WithSyncWrites(!async).
		WithMemTableSize(sizes.memtable).WithNumMemtables(3).WithValueThreshold(inlineValue).
		WithValueLogFileSize(sizes.valueLog).
		WithBlockCacheSize(memory / 4).WithIndexCacheSize(memory / 6).
		WithNumCompactors(2).WithNumLevelZeroTables(4).WithNumLevelZeroTablesStall(12).
		WithDetectConflicts(false).WithCompression(options.None).WithMetricsEnabled(false)
	if err := checkTables(dir); err != nil {
		return nil, err
	}
	db, err := badger.Open(o)
	if err != nil {
		return nil, err
	}
	d := &disk{db: db, options: o}
	d.keys, d.bytes = int(db.MaxBatchCount())-8, int(db.MaxBatchSize())-4096
	return d, nil
}

// use hands out the database; done must follow.
func (d *disk) use() (db *badger.DB, done func(), err error) {
	if pause := d.pause.Load(); pause != nil {
		<-*pause
	}
	d.gate.RLock()
	if d.broken != nil {
		defer d.gate.RUnlock()
		return nil, nil, d.broken
	}
	return d.db, d.gate.RUnlock, nil
}

// view is a read transaction.
func (d *disk) view(read func(txn *badger.Txn) error) error {
	db, done, err := d.use()
	if err != nil {
		return err
	}
	defer done()
	return db.View(read)
}

// flatten implements backend. Badger keeps what was replaced or deleted in its
// memtables' logs until they are flushed, in tables until these are compacted to
// the lowest level, and in the value log until its files are rewritten; and the
// files that are being written never are, which is what renew is for.
func (d *disk) flatten() error {
	db, done, err := d.use()
	if err != nil {
		return err
	}
	defer done()
	return db.Flatten(1)
}

// collect implements backend: it rewrites one file of the value log.
func (d *disk) collect() (more bool, err error) {
	db, done, err := d.use()
	if err != nil {
		return false, err
	}
	defer done()
	// Any file that holds one discarded byte is rewritten.
	if err = db.RunValueLogGC(1e-12); errors.Is(err, badger.ErrNoRewrite) {
		return false, nil
	}
	return err == nil, err
}

// errBusy says that readers were at work all the time.
var errBusy = errors.New("the store is read all the time")

// lock takes the gate for writing. A reader may ask again while it reads, so who
// waits for the gate must not keep others out for long: they are held up for
// moments only, until the gate is free in one of them.
func (d *disk) lock() bool {
	const moments, moment, look = 100, 50 * time.Millisecond, time.Millisecond
	for range moments {
		pause := make(chan struct{})
		d.pause.Store(&pause)
		for waited := time.Duration(0); waited < moment; waited += look {
			if d.gate.TryLock() {
				d.pause.Store(nil)
				close(pause)
				return true
			}
			time.Sleep(look)
		}
		d.pause.Store(nil)
		close(pause)
		time.Sleep(moment)
	}
	return false
}

// renew implements backend: the database is closed, opened again to compact what
// the flush left on top, and opened for good. A database that does not open again
// stays closed, and says why to all who ask.
func (d *disk) renew() error {
	if !d.lock() {
		return errBusy
	}
	defer d.gate.Unlock()
	if d.broken != nil {
		return d.broken
	}
	err := d.db.Close()
	if err == nil {
		if d.db, err = badger.Open(d.options.WithCompactL0OnClose(true)); err == nil {
			err = d.db.Close()
		}
	}
	if err == nil {
		d.db, err = badger.Open(d.options)
	}
	if err != nil {
		d.broken = fmt.Errorf("the database did not open again: %w", err)
	}
	return d.broken
}

func (d *disk) commit(changes []change) error {
	db, done, err := d.use()
	if err != nil {
		return err
	}
	defer done()
	txn := db.NewTransaction(true)
	defer txn.Discard()
	for _, c := range changes {
		var err error
		if c.delete {
			err = txn.Delete(c.key)
		} else {
			err = txn.Set(c.key, c.value)
		}
		if err != nil {
			return err
		}
	}
	return txn.Commit()
}

func (d *disk) get(key []byte) (value []byte, err error) {
	err = d.view(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		value, err = item.ValueCopy(nil)
		if value == nil {
			value = []byte{}
		}
		return err
	})
	return value, err
}

func (d *disk) scan(prefix, from []byte, reverse bool, yield func(key, value []byte) bool) error {
	return d.view(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Reverse, o.PrefetchSize = reverse, 16
		// Keys of the indexes have no values, so there is nothing to fetch ahead.
		o.PrefetchValues = len(prefix) > 0 && (prefix[0] == kindMessage || prefix[0] == kindAudit)
		if !reverse {
			o.Prefix = prefix
		}
		it := txn.NewIterator(o)
		defer it.Close()
		start := from
		if reverse && len(from) == 0 {
			start = append(slices.Clone(prefix), bytes.Repeat([]byte{0xff}, 64)...)
		} else if len(from) == 0 {
			start = prefix
		}
		for it.Seek(start); it.ValidForPrefix(prefix); it.Next() {
			item := it.Item()
			more := true
			if err := item.Value(func(v []byte) error { more = yield(item.Key(), v); return nil }); err != nil {
				return err
			}
			if !more {
				return nil
			}
		}
		return nil
	})
}

func (d *disk) last(prefix, from []byte) (key, value []byte, err error) {
	return key, value, d.view(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Reverse, o.PrefetchValues = true, false // what comes before is not asked for
		it := txn.NewIterator(o)
		defer it.Close()
		it.Seek(from)
		if !it.ValidForPrefix(prefix) {
			return nil
		}
		key = it.Item().KeyCopy(nil)
		value, err = it.Item().ValueCopy(nil)
		return err
	})
}

func (d *disk) exist(prefixes [][]byte) ([]bool, error) {
	out := make([]bool, len(prefixes))
	order := make([]int, len(prefixes))
	for i := range order {
		order[i] = i
	}
	// In the order of the keys, one iterator finds its way with short steps.
	slices.SortFunc(order, func(a, b int) int { return bytes.Compare(prefixes[a], prefixes[b]) })
	return out, d.view(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues = false
		it := txn.NewIterator(o)
		defer it.Close()
		for _, i := range order {
			it.Seek(prefixes[i])
			out[i] = it.ValidForPrefix(prefixes[i])
		}
		return nil
	})
}

// room stays a little below the limits: Badger adds a mark of its own.
func (d *disk) room() (keys, bytes int) {
	return d.keys, d.bytes
}

// size measures what the files take, every ten seconds at the most. They are
// sparse, so their lengths say nothing, and what Badger says is a minute old.
func (d *disk) size() int64 {
	now := time.Now().Unix()
	if last := d.at.Load(); now-last < 10 || !d.at.CompareAndSwap(last, now) {
		return d.measured.Load()
	}
	entries, err := os.ReadDir(d.options.Dir)
	if err != nil {
		return d.measured.Load()
	}
	var total int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				total += st.Blocks * 512
			}
		}
	}
	d.measured.Store(total)
	return total
}

func (d *disk) close() error {
	d.gate.Lock()
	defer d.gate.Unlock()
	if d.broken != nil {
		return nil
	}
	d.broken = errors.New("the database is closed")
	return d.db.Close()
}

// memory is the backend of simulations: a sorted slice, replaced as a whole by
// each commit, so that every reader has its snapshot. Made for tens of
// thousands of entries, not for millions.
type memory struct{ entries atomic.Pointer[[]change] }

func newMemory() *memory {
	m := &memory{}
	m.entries.Store(&[]change{})
	return m
}

func (m *memory) commit(changes []change) error {
	fresh := slices.Clone(changes)
	// The last change of a key counts; a stable sort keeps their order.
	slices.SortStableFunc(fresh, func(a, b change) int { return bytes.Compare(a.key, b.key) })
	old := *m.entries.Load()
	out := make([]change, 0, len(old)+len(fresh))
	for i, c := range fresh {
		if i+1 < len(fresh) && bytes.Equal(fresh[i+1].key, c.key) {
			continue
		}
		n, found := slices.BinarySearchFunc(old, c.key, func(e change, key []byte) int { return bytes.Compare(e.key, key) })
		out = append(out, old[:n]...)
		if old = old[n:]; found {
			old = old[1:]
		}
		if !c.delete {
			out = append(out, c)
		}
	}
	out = append(out, old...)
	m.entries.Store(&out)
	return nil
}

func (m *memory) get(key []byte) ([]byte, error) {
	entries := *m.entries.Load()
	n, found := slices.BinarySearchFunc(entries, key, func(e change, key []byte) int { return bytes.Compare(e.key, key) })
	if !found {
		return nil, nil
	}
	return append([]byte{}, entries[n].value...), nil
}

func (m *memory) scan(prefix, from []byte, reverse bool, yield func(key, value []byte) bool) error {
	entries := *m.entries.Load()
	at := func(key []byte) (int, bool) {
		return slices.BinarySearchFunc(entries, key, func(e change, key []byte) int { return bytes.Compare(e.key, key) })
	}
	if !reverse {
		if len(from) == 0 {
			from = prefix
		}
		n, _ := at(from)
		for ; n < len(entries) && bytes.HasPrefix(entries[n].key, prefix); n++ {
			if !yield(entries[n].key, entries[n].value) {
				return nil
			}
		}
		return nil
	}
	if len(from) == 0 {
		from = append(slices.Clone(prefix), bytes.Repeat([]byte{0xff}, 64)...)
	}
	n, found := at(from)
	if !found {
		n--
	}
	for ; n >= 0 && bytes.HasPrefix(entries[n].key, prefix); n-- {
		if !yield(entries[n].key, entries[n].value) {
			return nil
		}
	}
	return nil
}

func (m *memory) last(prefix, from []byte) (key, value []byte, err error) {
	return key, value, m.scan(prefix, from, true, func(k, v []byte) bool {
		key, value = slices.Clone(k), slices.Clone(v)
		return false
	})
}

func (m *memory) exist(prefixes [][]byte) ([]bool, error) {
	out := make([]bool, len(prefixes))
	for i, prefix := range prefixes {
		err := m.scan(prefix, nil, false, func(_, _ []byte) bool {
			out[i] = true
			return false
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (m *memory) room() (keys, bytes int) { return 1 << 20, 64 << 20 }

// renew, flatten and collect implement backend: replaced values are garbage at
// once.
func (m *memory) renew() error           { return nil }
func (m *memory) flatten() error         { return nil }
func (m *memory) collect() (bool, error) { return false, nil }

func (m *memory) size() int64  { return 0 }
func (m *memory) close() error { return nil }

// badgerLog passes on what Badger says. A line at ERROR is fatal for writing:
// Badger only logs it when the value log cannot be synced.
type badgerLog struct {
	logger Logger
	failed func(text string)
}

// Errorf implements badger.Logger.
func (l badgerLog) Errorf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.logger.Error("badger", "text", text)
	l.failed(text)
}

// Warningf implements badger.Logger.
func (l badgerLog) Warningf(format string, args ...any) {
	l.logger.Warn("badger", "text", fmt.Sprintf(format, args...))
}

// Infof implements badger.Logger; Badger's chatter is left out.
func (l badgerLog) Infof(string, ...any) {}

// Debugf implements badger.Logger.
func (l badgerLog) Debugf(string, ...any) {}
