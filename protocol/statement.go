package protocol

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"
)

// StatementKind says what a statement states.
type StatementKind uint8

// The kinds of statement (spec, "Statements").
const (
	Freshness  StatementKind = 1  // the signer holds Head as the newest valid version of the agreement
	Suspension StatementKind = 2  // Party gets and gives nothing, until it is lifted or lapses
	Resumption StatementKind = 3  // the suspension of Party is lifted
	Withdrawal StatementKind = 4  // the signer takes no further part in the agreement
	Tombstone  StatementKind = 5  // the objects at Leaves are to be erased
	Receipt    StatementKind = 6  // the objects at Leaves were erased, as the tombstone About asks
	Score      StatementKind = 7  // Party has given Count objects by the contribution Name, up to Frontier
	Request    StatementKind = 8  // may the objects at Leaves be passed on, as Text says
	Grant      StatementKind = 9  // they may, as the request About asks, before Until
	Denial     StatementKind = 10 // they may not

	Endorsement StatementKind = 11 // the signer has signed the version of the agreement whose payload hash is About
)

// SuspensionLife is how long a suspension works that no amendment confirms.
const SuspensionLife = 14 * 24 * time.Hour

// Limits of statements (spec, "Statements").
const (
	maxStatement       = 32 << 10
	maxStatementKind   = 63 // kinds up to here may come in later versions
	maxStatementText   = 1 << 10
	maxStatementLeaves = 512
)

// Statement is a short text that a member signs with its operations key (spec,
// "Statements"). Which of the later fields a kind has is fixed: those named in
// the comment of the kind, and Text.
type Statement struct {
	Kind      StatementKind
	Agreement AgreementID
	Version   uint64 // of the agreement
	Head      Hash   // payload hash of that version
	Member    MemberID
	Time      time.Time // UTC, microseconds
	Party     MemberID
	Text      string // for people; may be empty but in a request
	Leaves    []Leaf // in order, none twice
	About     Hash   // of the statement that this one answers
	Name      string
	Count     uint64
	Frontier  Hash
	Until     time.Time
}

// Leaf names one object of a message without saying anything of it to those who
// do not hold the message.
type Leaf struct {
	Log      Hash   // hash of the log's id
	Sequence uint64 // of the message
	Position uint64 // of the object in it, from 0
}

// Compare orders leaves by log, sequence and position.
func (l Leaf) Compare(m Leaf) int {
	if c := bytes.Compare(l.Log[:], m.Log[:]); c != 0 {
		return c
	}
	if c := compareNumbers(l.Sequence, m.Sequence); c != 0 {
		return c
	}
	return compareNumbers(l.Position, m.Position)
}

func compareNumbers(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// SealedStatement is a statement that was decoded strictly but not verified.
type SealedStatement struct {
	claim     Statement
	signature []byte
	signed    []byte
}

// Claim returns the unverified statement, to find the key that must verify it.
func (s *SealedStatement) Claim() Statement { return s.claim }

// Hash names the statement, whatever signature it bears.
func (s *SealedStatement) Hash() Hash { return domainHash(domainStatement, s.signed) }

// Bytes returns the statement as it was given: signature, then what it covers.
func (s *SealedStatement) Bytes() []byte { return slices.Concat(s.signature, s.signed) }

// SealStatement signs a statement with the member's operations key. Its times
// are cut to microseconds and its leaves sorted. A statement that says nothing,
// or lacks what its kind needs, is Invalid.
func SealStatement(s Statement, key ed25519.PrivateKey) ([]byte, error) {
	const op = "seal statement"
	s.Leaves = slices.Clone(s.Leaves)
	slices.SortFunc(s.Leaves, Leaf.Compare)
	if err := s.check(); err != nil {
		return nil, E(Invalid, op, err, "")
	}
	signed, err := s.encode()
	if err != nil {
		return nil, E(Invalid, op, err, "")
	}
	return sealBytes(op, domainStatementSignature, signed, key)
}

// sealBytes signs bytes and returns the signature followed by them.
func sealBytes(op, domain string, signed []byte, key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, Errorf(Invalid, op, "the signing key has %d bytes, not %d", len(key), ed25519.PrivateKeySize)
	}
	return append(sign(key, domain, signed), signed...), nil
}

// cutSignature is the reverse of sealBytes, without verifying.
func cutSignature(op string, data []byte, limit int) (signature, signed []byte, err error) {
	if len(data) > limit {
		return nil, nil, Errorf(Limit, op, "%d bytes; the limit is %d", len(data), limit)
	}
	if len(data) <= ed25519.SignatureSize {
		return nil, nil, Errorf(Malformed, op, "%d bytes are too few for a signature and what it covers", len(data))
	}
	data = bytes.Clone(data)
	return data[:ed25519.SignatureSize:ed25519.SignatureSize], data[ed25519.SignatureSize:], nil
}

// DecodeStatement reads a statement strictly, without verifying it. What breaks
// the format is Malformed; a kind or format that is not known yet is Unverified.
func DecodeStatement(data []byte) (*SealedStatement, error) {
	const op = "decode statement"
	signature, signed, err := cutSignature(op, data, maxStatement)
	if err != nil {
		return nil, err
	}
	var w wireStatement
	extensions, err := unmarshalMap(signed, &w)
	switch {
	case w.Format > FormatVersion:
		return nil, unknownFormat(op, w.Format)
	case w.Kind > uint8(Endorsement) && w.Kind <= maxStatementKind:
		return nil, E(Unverified, op, fmt.Errorf("statement kind %d is not defined in this version", w.Kind), "update this node")
	case err != nil:
		return nil, E(Malformed, op, err, "")
	}
	claim, err := w.statement()
	if err == nil {
		err = claim.check()
	}
	if err != nil {
		return nil, E(Malformed, op, err, "")
	}
	again, err := claim.encode()
	if err == nil {
		err = sameBytes(signed, again, extensions)
	}
	if err != nil {
		return nil, E(Malformed, op, err, "")
	}
	return &SealedStatement{claim: claim, signature: signature, signed: signed}, nil
}

// OpenStatement verifies the signature under the operations key of the claimed
// member and returns the statement. A false signature is BadSignature. Whether
// the key was valid at the statement's time is for the caller to ask.
func OpenStatement(s *SealedStatement, key ed25519.PublicKey) (Statement, error) {
	if !verify(key, domainStatementSignature, s.signed, s.signature) {
		return Statement{}, Errorf(BadSignature, "open statement",
			"the signature is not by the operations key of member %s", s.claim.Member.Short())
	}
	return s.claim, nil
}
