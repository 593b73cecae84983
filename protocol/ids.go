package protocol

import (
	"encoding/hex"
	"fmt"
)

// Hash is a SHA-256 value. Its text form is 64 lowercase hexadecimal digits.
type Hash [32]byte

// MemberID names an organisation: the SHA-256 of the bytes of its first member
// record (spec, "Member records").
type MemberID Hash

// AgreementID names an agreement through all of its versions: the SHA-256 of
// the bytes of its first version (spec, "Agreements").
type AgreementID Hash

// Incarnation is drawn at random when an author begins a log, so that a node
// which lost its state never continues a sequence it cannot remember.
type Incarnation [16]byte

// LaneID is the random name of a private lane, known to its recipients only.
type LaneID [16]byte

// Author is who signed a message: a member and the number of one of its nodes.
// Signed data never names a transport peer id, so transport keys can rotate.
type Author struct {
	Member MemberID
	Node   uint32
}

// Lane is what a log runs in: a topic of the agreement, or a private lane.
// Exactly one of the fields is set; the zero Lane is invalid. Lane is comparable.
type Lane struct {
	Topic   string // name of the topic, when the lane is a topic
	Private LaneID // random id, when the lane is private
}

// LogID names one log: the sequence of messages of one author in one lane of
// one agreement during one incarnation. LogID is comparable.
type LogID struct {
	Agreement   AgreementID
	Lane        Lane
	Author      Author
	Incarnation Incarnation
}

// Position is a place in a log: a sequence number and the hash of the header
// that bears it. The zero Position is the place before the first message.
type Position struct {
	Sequence uint64
	Head     Hash
}

// TopicLane returns the lane of the named topic.
func TopicLane(name string) Lane { return Lane{Topic: name} }

// IsTopic reports whether the lane is a topic rather than a private lane.
func (l Lane) IsTopic() bool { return l.Topic != "" }

// String returns the topic's name, or "private:" and the lane's id.
func (l Lane) String() string {
	if l.IsTopic() {
		return l.Topic
	}
	return "private:" + hex.EncodeToString(l.Private[:])
}

// String returns the hash as 64 hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Short returns the first 12 hexadecimal digits, for people to compare.
func (h Hash) Short() string { return h.String()[:12] }

// IsZero reports whether the hash is unset.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; it takes exactly what
// MarshalText gives.
func (h *Hash) UnmarshalText(text []byte) error {
	v, err := ParseHash(string(text))
	if err != nil {
		return err
	}
	*h = v
	return nil
}

// ParseHash reads 64 lowercase hexadecimal digits.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != 2*len(h) {
		return h, fmt.Errorf("a hash is 64 hexadecimal digits, not %d characters", len(s))
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return h, fmt.Errorf("a hash is written in the digits 0-9 and a-f; character %d is not", i+1)
		}
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return h, err
	}
	return h, nil
}

// String returns the id as 64 hexadecimal digits.
func (m MemberID) String() string { return Hash(m).String() }

// Short returns the first 12 hexadecimal digits.
func (m MemberID) Short() string { return Hash(m).Short() }

// IsZero reports whether the id is unset.
func (m MemberID) IsZero() bool { return m == MemberID{} }

// MarshalText implements encoding.TextMarshaler.
func (m MemberID) MarshalText() ([]byte, error) { return Hash(m).MarshalText() }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *MemberID) UnmarshalText(text []byte) error { return (*Hash)(m).UnmarshalText(text) }

// String returns the id as 64 hexadecimal digits.
func (a AgreementID) String() string { return Hash(a).String() }

// Short returns the first 12 hexadecimal digits.
func (a AgreementID) Short() string { return Hash(a).Short() }

// IsZero reports whether the id is unset.
func (a AgreementID) IsZero() bool { return a == AgreementID{} }

// MarshalText implements encoding.TextMarshaler.
func (a AgreementID) MarshalText() ([]byte, error) { return Hash(a).MarshalText() }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *AgreementID) UnmarshalText(text []byte) error { return (*Hash)(a).UnmarshalText(text) }

// String returns the incarnation as 32 hexadecimal digits.
func (i Incarnation) String() string { return hex.EncodeToString(i[:]) }

// String returns the member's short id and the node's number, for people.
func (a Author) String() string { return fmt.Sprintf("%s/%d", a.Member.Short(), a.Node) }
