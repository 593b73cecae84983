package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"entente/protocol"
)

// The first byte of a key says what it is. All numbers are big-endian, so that
// keys order as their numbers do.
const (
	kindMessage = 'm' // added(8) → record: check, log number, allowed leaves, frame
	kindLog     = 'l' // log number(4) sequence(8) → added(8)
	kindLogs    = 'L' // log id → log number(4), state(1)
	kindFork    = 'f' // log number(4) sequence(8) header hash(32) → signed header
	kindObject  = 'o' // id hash(16) modified(8) added(8) → nothing: one a leaf
	kindTopic   = 't' // topic hash(12) added(8) → nothing: one a message
	kindControl = 'c' // added(8) → nothing: one a message of statements
	kindDoubt   = 'd' // added(8) → leaves that were refused and are decided about again
	kindAdmit   = 'e' // stamp(8) → added(8), leaves that were let in at the stamp
	kindAudit   = 'a' // row(8) → check, row
	kindNamed   = 'n' // id hash(16) row(8) → nothing: rows that name an object, or refused it
	kindAbout   = 'x' // log number(4) sequence(8) row(8) → nothing: rows about a message
	kindBasis   = 'b' // hash(32) → row(8): the row that writes a basis down
	kindValue   = 'v' // observable key, added(8) → nothing: derived in the background
	kindSetting = 's' // name → value
	kindState   = 'S' // counters, format, cursor of the value index
)

const formatVersion = 1

func key8(kind byte, n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{kind}, n) }

func logKey(number uint32, sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32([]byte{kindLog}, number), sequence)
}

func aboutKey(number uint32, sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32([]byte{kindAbout}, number), sequence)
}

func idHash(id string) []byte {
	sum := sha256.Sum256([]byte(id))
	return sum[:16]
}

// modifiedBits orders moments as numbers; the zero time comes first.
func modifiedBits(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMicro()) ^ 1<<63
}

func objectKey(id string, modified time.Time, added int64) []byte {
	k := make([]byte, 0, 33)
	k = append(append(k, kindObject), idHash(id)...)
	k = binary.BigEndian.AppendUint64(k, modifiedBits(modified))
	return binary.BigEndian.AppendUint64(k, uint64(added))
}

func objectPrefix(id string) []byte { return append([]byte{kindObject}, idHash(id)...) }

func topicPrefix(agreement protocol.AgreementID, lane protocol.Lane) []byte {
	h := sha256.New()
	h.Write(agreement[:])
	h.Write([]byte(lane.String()))
	return append([]byte{kindTopic}, h.Sum(nil)[:12]...)
}

func lastNumber(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-8:]) }

// sealValue puts a check in front of a value: what is read back must be what
// was written, or nothing. Disks flip bits, and Badger returns them.
func sealValue(value []byte) []byte {
	sum := sha256.Sum256(value)
	return append(sum[:checkBytes:checkBytes], value...)
}

const checkBytes = 8

func openValue(what string, sealed []byte) ([]byte, error) {
	if len(sealed) >= checkBytes {
		sum := sha256.Sum256(sealed[checkBytes:])
		if string(sum[:checkBytes]) == string(sealed[:checkBytes]) {
			return sealed[checkBytes:], nil
		}
	}
	return nil, protocol.E(protocol.Conflict, "read the store", fmt.Errorf("%s is damaged on disk", what), "run: entente doctor")
}

// record is a stored message.
type record struct {
	log     uint32
	refused []byte // a bit for each leaf that policy did not take; nil: none
	frame   []byte
}

func (r record) encode() []byte {
	b := make([]byte, 0, len(r.frame)+len(r.refused)+8)
	b = binary.BigEndian.AppendUint32(b, r.log)
	b = binary.AppendUvarint(b, uint64(len(r.refused)))
	return sealValue(append(append(b, r.refused...), r.frame...))
}

func decodeRecord(sealed []byte) (record, error) {
	b, err := openValue("a message", sealed)
	if err != nil {
		return record{}, err
	}
	if len(b) < 5 {
		return record{}, protocol.Errorf(protocol.Conflict, "read the store", "a message is too short")
	}
	r := record{log: binary.BigEndian.Uint32(b)}
	n, size := binary.Uvarint(b[4:])
	if size <= 0 || n > uint64(len(b)-4-size) {
		return record{}, protocol.Errorf(protocol.Conflict, "read the store", "a message is cut short")
	}
	b = b[4+size:]
	r.refused, r.frame = b[:n], b[n:]
	return r, nil
}

func (r record) allowed(position int) bool {
	return position/8 >= len(r.refused) || r.refused[position/8]&(1<<(position%8)) == 0
}
