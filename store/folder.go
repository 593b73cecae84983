package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"entente/protocol"
)

// lockFolder takes the folder for this process. The lock goes with the process
// however it ends.
func lockFolder(dir string) (*os.File, error) {
	const op = "open the store"
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, protocol.E(protocol.Other, op, err, "")
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		text, _ := io.ReadAll(io.LimitReader(f, 32))
		_ = f.Close()
		return nil, protocol.E(protocol.Conflict, op, fmt.Errorf("another process (%s) uses %s", strings.TrimSpace(string(text)), dir),
			"stop it, or use another folder with --home")
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintf("pid %d\n", os.Getpid()))); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// diskFree asks the system about the disk that a folder is on.
func diskFree(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}

// watermark is how much must stay free: Badger writes to mapped files, and a
// page that finds no room kills the process with SIGBUS, again at each start.
// It is a twentieth of the disk, but no more than 2 GiB, and no less than four
// times what the database may claim at once, which is a memtable and a value
// log file. On a small disk a tenth is enough, but never less than twice that
// claim: one for what is written now, one for the flush and the compaction that
// follow.
func watermark(total int64, sizes diskSizes) int64 {
	claim := sizes.memtable + sizes.valueLog
	mark := max(min(total/20, 2<<30), 4*claim)
	return min(mark, max(total/10, 2*claim))
}

// room says how much is free, and what is wrong when it is too little.
func (s *Store) room() (free, total int64, low string) {
	free, total, err := s.cfg.Free(s.cfg.Dir)
	if err != nil {
		s.water.low.Store(true)
		return 0, 0, "the disk cannot be asked how much is free: " + err.Error()
	}
	if mark := watermark(total, sizesFor(s.cfg.Memory, total)); free < mark {
		s.water.low.Store(true)
		return free, total, fmt.Sprintf("the disk of %s has %d MiB free; below %d MiB nothing is taken in", s.cfg.Dir, free>>20, mark>>20)
	}
	s.water.low.Store(false)
	return free, total, ""
}

// ballastBytes is set aside so that a store on a full disk can be opened.
const ballastBytes = 8 << 20

// roomToOpen makes sure that opening does not kill the process: on a full disk
// it gives up the ballast, and puts it back when there is room.
func (s *Store) roomToOpen() error {
	path := filepath.Join(s.cfg.Dir, "ballast")
	free, total, err := s.cfg.Free(s.cfg.Dir)
	if err != nil {
		return protocol.E(protocol.Other, "open the store", err, "")
	}
	// Opening replays what the memtables' logs hold, and may flush it.
	need := sizesFor(s.cfg.Memory, total).memtable
	if free < need {
		if _, err := os.Stat(path); err == nil && free+ballastBytes >= need {
			return os.Remove(path)
		}
		return protocol.E(protocol.Full, "open the store", fmt.Errorf("the disk of %s has %d MiB free; opening needs %d", s.cfg.Dir, free>>20, need>>20),
			"free some space and try again; nothing is lost")
	}
	if info, err := os.Stat(path); err == nil && info.Size() == ballastBytes {
		return nil
	}
	if free < need+4*ballastBytes {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return protocol.E(protocol.Other, "open the store", err, "")
	}
	return errors.Join(unix.Fallocate(int(f.Fd()), 0, 0, ballastBytes), f.Close())
}

// highwater remembers, outside the database, how far this node's own logs have
// been written, so that a database put back from an old copy is noticed before
// a sequence number is signed twice. It reserves numbers ahead, 1,024 at a
// time, and a proper end writes exact ones: after a crash up to 1,024 lost
// messages may go unnoticed here, which sync with peers finds out.
type highwater struct {
	path string
	low  atomic.Bool // the disk is too full; here because it is what hot paths ask

	mu      sync.Mutex
	marks   map[string]mark // by hash of the log's id
	pending map[string]uint64
}

type mark struct {
	Base uint64 `json:"base"` // certainly written
	Upto uint64 `json:"upto"` // may have been written
}

const reserveAhead = 1024

func openHighwater(path string) (*highwater, error) {
	h := &highwater{path: path, marks: map[string]mark{}}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		// A check of its own, on the first line: a number that is off by a bit would
		// let a sequence number be signed twice, or a log never go on.
		sum, marks, _ := bytes.Cut(text, []byte("\n"))
		if want := checkLine(marks); string(sum) != want {
			err = errors.New("its first line does not fit the rest")
		} else {
			err = json.Unmarshal(marks, &h.marks)
		}
		if err != nil {
			return nil, protocol.E(protocol.Conflict, "open the store", fmt.Errorf("%s is damaged: %w", path, err),
				"remove it only if you are sure that the database is not an old copy")
		}
	}
	return h, nil
}

func logName(id protocol.LogID) string {
	h := id.Hash()
	return hex.EncodeToString(h[:])
}

// own notes that a log of this node is being written after a position.
func (h *highwater) own(id protocol.LogID, position uint64) {
	if h.path == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pending == nil {
		h.pending = map[string]uint64{}
	}
	h.pending[logName(id)] = position
}

// reserve makes sure, before a group is committed, that the file covers it.
func (h *highwater) reserve(g *group) error {
	if h.path == "" {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	changed := false
	for name, position := range h.pending {
		if m := h.marks[name]; position+1 >= m.Upto {
			base := m.Base
			for id, l := range g.store.logs {
				if logName(id) == name {
					base = l.position.Sequence
				}
			}
			h.marks[name] = mark{Base: base, Upto: position + 1 + reserveAhead}
			changed = true
		}
	}
	clear(h.pending)
	if !changed {
		return nil
	}
	return h.write()
}

func (h *highwater) write() error {
	text, err := json.Marshal(h.marks)
	if err != nil {
		return err
	}
	return WriteFileAtomic(h.path, append([]byte(checkLine(text)+"\n"), text...), 0o600)
}

func checkLine(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:checkBytes])
}

// settle notes at a proper end how far a log has come.
func (h *highwater) settle(id protocol.LogID, position uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ours := h.marks[logName(id)]; ours {
		h.marks[logName(id)] = mark{Base: position, Upto: position}
	}
}

func (h *highwater) save() error {
	if h.path == "" {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.write()
}

// Behind reports whether the store holds less of a log of this node than was
// certainly written: it is an old copy, and the log must not be continued.
func (s *Store) Behind(log protocol.LogID) bool {
	s.water.mu.Lock()
	m := s.water.marks[logName(log)]
	s.water.mu.Unlock()
	return m.Base > 0 && s.Position(log).Sequence < m.Base
}

// WriteFileAtomic replaces a file as a whole, durably: after a crash it has the
// old content or the new.
func WriteFileAtomic(path string, data []byte, mode os.FileMode) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Documents keeps agreements, member records and profiles as files that people
// can read: KIND/NAME.vN.yaml as signed, and NAME.vN.sigs beside it.
type Documents struct{ dir string }

// OpenDocuments uses the folder, making it when it is not there.
func OpenDocuments(dir string) (*Documents, error) {
	return &Documents{dir}, os.MkdirAll(dir, 0o700)
}

// Save writes a version, or replaces its signatures. Another payload under the
// same kind, name and version is a Conflict; a name that is no plain file name
// is Invalid.
func (d *Documents) Save(kind, name string, version uint64, payload, signatures []byte) error {
	const op = "keep document"
	for _, s := range []string{kind, name} {
		if s == "" || len(s) > 128 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return protocol.Errorf(protocol.Invalid, op, "%.80q is no name for a file", s)
		}
	}
	dir := filepath.Join(d.dir, kind)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	document, beside := protocol.FileNames(name, version)
	path := filepath.Join(dir, document)
	have, err := os.ReadFile(path)
	switch {
	case err == nil && string(have) != string(payload):
		return protocol.E(protocol.Conflict, op, fmt.Errorf("%s is there with other content", path), "move it away if it is wrong")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	// Signatures first: a document without its signatures would be read as
	// unsigned, signatures without a document are not read at all.
	if err := WriteFileAtomic(filepath.Join(dir, beside), signatures, 0o600); err != nil {
		return err
	}
	if have != nil {
		return nil
	}
	return WriteFileAtomic(path, payload, 0o600)
}

// Load calls yield with everything that is kept, until it fails.
func (d *Documents) Load(yield func(kind, name string, version uint64, payload, signatures []byte) error) error {
	name := regexp.MustCompile(`^([a-z0-9-]+)\.v([1-9][0-9]{0,15})\.yaml$`)
	for _, kind := range []string{"members", "profiles", "agreements"} {
		entries, err := os.ReadDir(filepath.Join(d.dir, kind))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			m := name.FindStringSubmatch(e.Name())
			if m == nil {
				continue
			}
			version, err := strconv.ParseUint(m[2], 10, 64)
			if err != nil {
				continue
			}
			path := filepath.Join(d.dir, kind, e.Name())
			payload, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			signatures, err := os.ReadFile(strings.TrimSuffix(path, ".yaml") + ".sigs")
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if err := yield(kind, m[1], version, payload, signatures); err != nil {
				return err
			}
		}
	}
	return nil
}
