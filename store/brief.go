package store

import (
	"encoding/binary"
	"sync"
	"time"

	"entente/protocol"
	"entente/protocol/stix"
)

// Brief is what the value index keeps of an object, so that a lookup can decide
// and answer without unpacking messages.
type Brief struct {
	ID        string
	Type      string
	Name      string // cut to 200 bytes
	CreatedBy string
	Modified  time.Time
	Revoked   bool
	Marking   protocol.Marking // what its TLP markings amount to
	// Plain says that there is nothing more to ask about the object by itself:
	// it refers to nothing but its creator, bears no marking but TLP, declares no
	// subject class and is no personal data.
	Plain    bool
	Log      protocol.LogID
	Sequence uint64
}

const (
	briefRevoked = 1 << 3
	briefPlain   = 1 << 4
	briefName    = 200
)

// sealBrief encodes a brief: check, log number, sequence, modified, marking and
// flags, then type, id, creator and name, each with its length.
func sealBrief(o *stix.Object, log uint32, sequence uint64) []byte {
	flags := byte(o.Level.Marking) & 7
	if o.Revoked {
		flags |= briefRevoked
	}
	if len(o.Refs) == 0 && o.Level.Problem == "" && onlyTLP(o) && o.Facets.Declared|o.Inherent() == 0 {
		flags |= briefPlain
	}
	b := make([]byte, 0, 64+len(o.ID)+len(o.CreatedBy)+min(len(o.Name), briefName))
	b = binary.BigEndian.AppendUint32(b, log)
	b = binary.AppendUvarint(b, sequence)
	b = binary.BigEndian.AppendUint64(b, modifiedBits(o.Modified))
	b = append(b, flags)
	for _, s := range []string{o.Type, o.ID, o.CreatedBy, cut(o.Name, briefName)} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return sealValue(b)
}

func onlyTLP(o *stix.Object) bool {
	for _, id := range o.Level.Refs {
		if !stix.IsTLP(id) {
			return false
		}
	}
	return true
}

// cut shortens a text to at most so many bytes, at a character.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && s[most]&0xC0 == 0x80 {
		most--
	}
	return s[:most]
}

func (s *Store) openBrief(sealed []byte) (Brief, error) {
	b, err := openValue("an index entry", sealed)
	if err != nil {
		return Brief{}, err
	}
	damaged := protocol.E(protocol.Conflict, "read the store", nil, "run: entente reindex")
	if len(b) < 5 {
		return Brief{}, damaged
	}
	number := binary.BigEndian.Uint32(b)
	sequence, n := binary.Uvarint(b[4:])
	if b = b[4+max(n, 0):]; n <= 0 || len(b) < 9 {
		return Brief{}, damaged
	}
	out := Brief{Sequence: sequence, Marking: protocol.Marking(b[8] & 7), Revoked: b[8]&briefRevoked != 0, Plain: b[8]&briefPlain != 0}
	if bits := binary.BigEndian.Uint64(b); bits != 0 {
		out.Modified = time.UnixMicro(int64(bits ^ 1<<63)).UTC()
	}
	b = b[9:]
	for _, to := range []*string{&out.Type, &out.ID, &out.CreatedBy, &out.Name} {
		size, n := binary.Uvarint(b)
		if n <= 0 || uint64(len(b)-n) < size {
			return Brief{}, damaged
		}
		*to, b = string(b[n:n+int(size)]), b[n+int(size):]
	}
	s.mu.RLock()
	out.Log = s.ids[number]
	s.mu.RUnlock()
	return out, nil
}

// fed is a message just written, with its objects as they were read on the way.
type fed struct {
	added    int64
	objects  int
	log      uint32
	sequence uint64
	leaves   []Leaf
}

// feed keeps the messages written last, so that the value index seldom has to
// read them back. It is bounded; what falls out is read from the log.
type feed struct {
	mu    sync.Mutex
	items []fed
	floor int64 // everything written after this stamp is in items
}

const feedMost = 64

func (f *feed) push(written []fed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range written {
		for _, leaf := range m.leaves {
			if leaf.Allowed && leaf.Object == nil {
				m.leaves = nil // not at hand after all
			}
		}
		last := m.added + int64(m.objects) - 1
		if m.leaves == nil {
			f.items, f.floor = nil, last
			continue
		}
		if f.items = append(f.items, m); len(f.items) > feedMost {
			old := f.items[0]
			f.floor = old.added + int64(old.objects) - 1
			f.items[0] = fed{}
			f.items = f.items[1:]
		}
	}
}

// after returns the messages after a stamp when all of them are at hand, and
// lets go of those before it.
func (f *feed) after(cursor int64) []fed {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cursor < f.floor {
		return nil
	}
	n := 0
	for n < len(f.items) && f.items[n].added <= cursor {
		n++
	}
	clear(f.items[:n])
	f.items = f.items[n:]
	f.floor = max(f.floor, cursor)
	return append([]fed(nil), f.items...)
}
