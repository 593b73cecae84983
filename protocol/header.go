package protocol

import "time"

// Marking is the level of a TLP 2.0 label. Its numbers are signed for ever.
type Marking uint8

// The TLP levels, in rising order of restriction. NoMarking stands for an
// object or header without one.
const (
	NoMarking   Marking = 0
	Clear       Marking = 1
	Green       Marking = 2
	Amber       Marking = 3
	AmberStrict Marking = 4
	Red         Marking = 5
)

// AudienceKind says whom a message is for.
type AudienceKind uint8

// The kinds of audience: all parties of the lane, or a set that only its
// members can name.
const (
	AllParties AudienceKind = 1
	OpaqueSet  AudienceKind = 2
)

// Audience is the explicit audience of a message. ID is zero for AllParties.
type Audience struct {
	Kind AudienceKind
	ID   [16]byte
}

// Content says what the leaves of a body are.
type Content uint8

// The kinds of content. Leaves of Control are signed statements (tombstones,
// receipts), reserved for the life of agreements.
const (
	StixObjects Content = 1
	Control     Content = 2
)

// Supersession names the log, of the same author and lane, that a new
// incarnation takes the place of, and the last position known of it.
type Supersession struct {
	Incarnation Incarnation
	Position    Position
}

// Header is the signed part of a message (spec, "Header"). All fields but
// Supersedes and Marking are required; Previous is zero exactly at sequence 1.
type Header struct {
	Agreement        AgreementID
	AgreementVersion uint64
	Lane             Lane
	Author           Author
	Epoch            uint32 // of the author's node key
	Incarnation      Incarnation
	Sequence         uint64 // from 1
	Previous         Hash   // hash of the header before; zero at sequence 1
	Supersedes       *Supersession
	Time             time.Time // UTC, microseconds
	Marking          Marking   // highest of the objects; NoMarking when sealed
	Audience         Audience
	Content          Content
	Root             Hash // of the Merkle tree over the objects
	Objects          int  // number of leaves, at least 1
	BodyLength       int  // bytes of the body as first sealed, before compression
}

// Log returns the id of the log that the header belongs to.
func (h Header) Log() LogID {
	return LogID{Agreement: h.Agreement, Lane: h.Lane, Author: h.Author, Incarnation: h.Incarnation}
}
