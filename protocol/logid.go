package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// The kinds of lane on the wire and in keys.
const (
	laneTopic   = 1
	lanePrivate = 2
)

// AgreementTopic is the topic that every agreement has beside those that it names.
// Statements about the agreement itself go there, and no objects. No document can
// name it: short names begin with no hyphen.
const AgreementTopic = "-agreement"

// ValidTopic reports whether a name may be a topic's: 1 to MaxTopicName
// characters, each a-z, 0-9 or a hyphen.
func ValidTopic(name string) bool {
	if len(name) < 1 || len(name) > MaxTopicName {
		return false
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func (l Lane) check() error {
	switch private := l.Private != (LaneID{}); {
	case l.IsTopic() && private:
		return errors.New("a lane is a topic or private, not both")
	case private:
		return nil
	case l.Topic == "":
		return errors.New("the lane has neither a topic nor an id")
	case !ValidTopic(l.Topic):
		return fmt.Errorf("%.80q is no topic name: 1 to %d of a-z, 0-9 and hyphen", l.Topic, MaxTopicName)
	}
	return nil
}

func (l Lane) appendCBOR(dst []byte) []byte {
	dst = appendHead(dst, cborArray, 2)
	if l.IsTopic() {
		return appendTextString(append(dst, laneTopic), l.Topic)
	}
	return appendByteString(append(dst, lanePrivate), l.Private[:])
}

func decodeLane(data []byte) (Lane, error) {
	var w []cbor.RawMessage
	if err := cborStrict.Unmarshal(data, &w); err != nil {
		return Lane{}, fmt.Errorf("the lane: %w", plainCBOR(err))
	}
	if len(w) != 2 || len(w[0]) != 1 {
		return Lane{}, errors.New("the lane is not a kind and a name")
	}
	var l Lane
	switch w[0][0] {
	case laneTopic:
		if err := cborStrict.Unmarshal(w[1], &l.Topic); err != nil {
			return Lane{}, fmt.Errorf("the topic's name: %w", plainCBOR(err))
		}
	case lanePrivate:
		var id []byte
		if err := cborStrict.Unmarshal(w[1], &id); err != nil {
			return Lane{}, fmt.Errorf("the lane's id: %w", plainCBOR(err))
		}
		if err := fixed(l.Private[:], id, "the lane's id"); err != nil {
			return Lane{}, err
		}
	default:
		return Lane{}, fmt.Errorf("lane kind %d is not known", w[0][0])
	}
	return l, l.check()
}

func (id LogID) check() error {
	switch {
	case id.Agreement.IsZero():
		return errors.New("the log's agreement is zero")
	case id.Author.Member.IsZero():
		return errors.New("the log's author is zero")
	case id.Incarnation == Incarnation{}:
		return errors.New("the log's incarnation is zero")
	}
	return id.Lane.check()
}

// appendCBOR appends the id's deterministic encoding (spec, "Log id"):
// [agreement, lane, [member, node], incarnation].
func (id LogID) appendCBOR(dst []byte) []byte {
	dst = appendHead(dst, cborArray, 4)
	dst = appendByteString(dst, id.Agreement[:])
	dst = id.Lane.appendCBOR(dst)
	dst = appendHead(dst, cborArray, 2)
	dst = appendByteString(dst, id.Author.Member[:])
	dst = appendHead(dst, cborUint, uint64(id.Author.Node))
	return appendByteString(dst, id.Incarnation[:])
}

// Hash returns the hash by which others may be told of a log without learning
// what is in its id (spec, "Log id"). It is the order of frontiers.
func (id LogID) Hash() Hash {
	return domainHash(domainLog, id.appendCBOR(make([]byte, 0, 200)))
}

type wireLog struct {
	_           struct{} `cbor:",toarray"`
	Agreement   []byte
	Lane        cbor.RawMessage
	Author      wireAuthor
	Incarnation []byte
}

func (w wireLog) log() (LogID, error) {
	id := LogID{Author: Author{Node: w.Author.Node}}
	err := errors.Join(
		fixed(id.Agreement[:], w.Agreement, "the log's agreement"),
		fixed(id.Author.Member[:], w.Author.Member, "the log's author"),
		fixed(id.Incarnation[:], w.Incarnation, "the log's incarnation"))
	if err != nil {
		return LogID{}, err
	}
	if id.Lane, err = decodeLane(w.Lane); err != nil {
		return LogID{}, err
	}
	return id, id.check()
}

// AppendBinary appends the id in the fixed form of store keys: agreement, kind
// of lane, length and name of the lane, member, node (big endian), incarnation.
// No id's form is the beginning of another's, so keys may go on after it, and
// logs of one agreement and lane lie together. It implements
// encoding.BinaryAppender; only an id that is not valid is an error.
func (id LogID) AppendBinary(dst []byte) ([]byte, error) {
	if err := id.check(); err != nil {
		return dst, E(Invalid, "encode log id", err, "")
	}
	dst = append(dst, id.Agreement[:]...)
	if id.Lane.IsTopic() {
		dst = append(dst, laneTopic, byte(len(id.Lane.Topic)))
		dst = append(dst, id.Lane.Topic...)
	} else {
		dst = append(dst, lanePrivate, byte(len(id.Lane.Private)))
		dst = append(dst, id.Lane.Private[:]...)
	}
	dst = append(dst, id.Author.Member[:]...)
	dst = binary.BigEndian.AppendUint32(dst, id.Author.Node)
	return append(dst, id.Incarnation[:]...), nil
}

// ParseLogID reads exactly what AppendBinary wrote.
func ParseLogID(data []byte) (LogID, error) {
	const op = "decode log id"
	id, rest, err := cutLogID(data)
	if err != nil {
		return LogID{}, E(Malformed, op, err, "")
	}
	if len(rest) > 0 {
		return LogID{}, Errorf(Malformed, op, "%d bytes after the end", len(rest))
	}
	return id, nil
}

func cutLogID(data []byte) (LogID, []byte, error) {
	var id LogID
	cut := func(n int) []byte {
		if len(data) < n {
			data = nil
			return make([]byte, n) // zero parts do not pass check
		}
		var part []byte
		part, data = data[:n], data[n:]
		return part
	}
	copy(id.Agreement[:], cut(32))
	kind := cut(2)
	name := cut(int(kind[1]))
	switch {
	case kind[0] == laneTopic:
		id.Lane.Topic = string(name)
	case kind[0] == lanePrivate && len(name) == len(id.Lane.Private):
		copy(id.Lane.Private[:], name)
	default:
		return LogID{}, nil, errors.New("the lane is neither a topic nor private, or the id is cut short")
	}
	copy(id.Author.Member[:], cut(32))
	id.Author.Node = binary.BigEndian.Uint32(cut(4))
	copy(id.Incarnation[:], cut(16))
	return id, data, id.check()
}
