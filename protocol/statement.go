package protocol

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"
)

// StatementKind says what a statement states.
type StatementKind uint8

// The kinds of statement. Only Freshness is defined in this version; the others
// are reserved, and reading one is Unverified.
const (
	Freshness       StatementKind = 1 // the signer holds Head as the newest valid version of the agreement
	Suspension      StatementKind = 2
	DeletionReceipt StatementKind = 3
	Tombstone       StatementKind = 4
)

// maxStatement bounds a signed statement.
const maxStatement = 1 << 10

// Statement is a short text that a member signs with its operations key (spec,
// "Statements").
type Statement struct {
	Kind      StatementKind
	Agreement AgreementID
	Version   uint64 // of the agreement
	Head      Hash   // payload hash of that version
	Member    MemberID
	Time      time.Time // UTC, microseconds
}

// SealedStatement is a statement that was decoded strictly but not verified.
type SealedStatement struct {
	claim     Statement
	signature []byte
	signed    []byte
}

// Claim returns the unverified statement, to find the key that must verify it.
func (s *SealedStatement) Claim() Statement { return s.claim }

type wireStatement struct {
	Format    uint64 `cbor:"1,keyasint"`
	Kind      uint8  `cbor:"2,keyasint"`
	Agreement []byte `cbor:"3,keyasint"`
	Version   uint64 `cbor:"4,keyasint"`
	Head      []byte `cbor:"5,keyasint"`
	Member    []byte `cbor:"6,keyasint"`
	Time      uint64 `cbor:"7,keyasint"`
}

func (*wireStatement) keys() uint64 { return 7 }

func (s *Statement) check() error {
	switch {
	case s.Kind < Freshness || s.Kind > Tombstone:
		return fmt.Errorf("statement kind %d is not known", s.Kind)
	case s.Agreement.IsZero():
		return errors.New("the agreement's id is zero")
	case s.Version < 1 || s.Version > maxInteger:
		return fmt.Errorf("agreement version %d is not from 1 to %d", s.Version, uint64(maxInteger))
	case s.Head.IsZero():
		return errors.New("the hash of the version is zero")
	case s.Member.IsZero():
		return errors.New("the member's id is zero")
	}
	_, err := micros(s.Time)
	return err
}

func (s *Statement) encode() ([]byte, error) {
	at, err := micros(s.Time)
	if err != nil {
		return nil, err
	}
	return cborEncoding.Marshal(wireStatement{Format: FormatVersion, Kind: uint8(s.Kind), Agreement: s.Agreement[:],
		Version: s.Version, Head: s.Head[:], Member: s.Member[:], Time: at})
}

// SealStatement signs a statement with the member's operations key. Its time is
// cut to microseconds. A statement that says nothing, or of a kind that is only
// reserved, is Invalid.
func SealStatement(s Statement, key ed25519.PrivateKey) ([]byte, error) {
	const op = "seal statement"
	if s.Kind != Freshness {
		return nil, Errorf(Invalid, op, "statement kind %d is not defined in this version", s.Kind)
	}
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
// the format is Malformed; a kind that this version only reserves, or a newer
// format, is Unverified.
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
	case w.Kind > uint8(Freshness) && w.Kind <= uint8(Tombstone):
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

func (w *wireStatement) statement() (Statement, error) {
	s := Statement{Kind: StatementKind(w.Kind), Version: w.Version}
	if w.Format != FormatVersion {
		return s, fmt.Errorf("format version %d is not known", w.Format)
	}
	if w.Time > maxMicros {
		return s, errors.New("the time is after the year 9999")
	}
	s.Time = timeOf(w.Time)
	return s, errors.Join(
		fixed(s.Agreement[:], w.Agreement, "the agreement's id"),
		fixed(s.Head[:], w.Head, "the hash of the version"),
		fixed(s.Member[:], w.Member, "the member's id"))
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
