package protocol

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// invitePrefix begins the text of every invite.
const invitePrefix = "entente-invite:"

// Limits of an invite.
const (
	maxInvite          = 8 << 10 // bytes before base64
	maxInviteAddresses = 16
	maxInviteAddress   = 512
)

// Invite lets a node that holds nothing of an agreement yet ask for it (spec,
// "Invites"). With a secret it admits one member to a private agreement; without
// one it is a ticket to a public agreement, which anyone may hold.
type Invite struct {
	Agreement AgreementID
	Inviter   MemberID
	Addresses []string  // multiaddrs that end in /p2p and the peer's id; 1 to 16
	Secret    *[32]byte // one-time; nil: a public ticket
	Expires   time.Time // UTC, microseconds; the first moment at which it is no longer good
}

// SealedInvite is an invite that was decoded strictly but not verified.
type SealedInvite struct {
	claim     Invite
	signature []byte
	signed    []byte
}

// Claim returns the unverified invite: enough to dial its addresses and ask for
// the inviter's record, whose operations key then verifies it.
func (s *SealedInvite) Claim() Invite { return s.claim }

type wireInvite struct {
	Format    uint64   `cbor:"1,keyasint"`
	Agreement []byte   `cbor:"2,keyasint"`
	Inviter   []byte   `cbor:"3,keyasint"`
	Addresses []string `cbor:"4,keyasint"`
	Secret    []byte   `cbor:"5,keyasint,omitempty"`
	Expires   uint64   `cbor:"6,keyasint"`
}

func (*wireInvite) keys() uint64 { return 6 }

func (i *Invite) check() error {
	switch {
	case i.Agreement.IsZero():
		return errors.New("the agreement's id is zero")
	case i.Inviter.IsZero():
		return errors.New("the inviter's id is zero")
	case len(i.Addresses) < 1 || len(i.Addresses) > maxInviteAddresses:
		return fmt.Errorf("%d addresses; an invite has 1 to %d", len(i.Addresses), maxInviteAddresses)
	case i.Secret != nil && *i.Secret == [32]byte{}:
		return errors.New("the secret is zero")
	}
	for _, a := range i.Addresses {
		if err := checkInviteAddress(a); err != nil {
			return err
		}
	}
	_, err := micros(i.Expires)
	return err
}

// checkInviteAddress judges only the shape of a multiaddr; who dials it parses
// it. What passes is safe to show on a terminal.
func checkInviteAddress(a string) error {
	if len(a) > maxInviteAddress {
		return fmt.Errorf("an address has %d bytes; the limit is %d", len(a), maxInviteAddress)
	}
	for i := 0; i < len(a); i++ {
		if a[i] <= ' ' || a[i] > '~' {
			return fmt.Errorf("address %q holds a character that no address has", a)
		}
	}
	at := strings.LastIndex(a, "/p2p/")
	if !strings.HasPrefix(a, "/") || at < 1 || at+len("/p2p/") == len(a) || strings.Contains(a[at+len("/p2p/"):], "/") {
		return fmt.Errorf("address %q is no multiaddr that ends in /p2p/ and a peer's id", a)
	}
	return nil
}

func (i *Invite) encode() ([]byte, error) {
	expires, err := micros(i.Expires)
	if err != nil {
		return nil, err
	}
	w := wireInvite{Format: FormatVersion, Agreement: i.Agreement[:], Inviter: i.Inviter[:],
		Addresses: i.Addresses, Expires: expires}
	if i.Secret != nil {
		w.Secret = i.Secret[:]
	}
	return cborEncoding.Marshal(w)
}

// SealInvite signs an invite with the inviter's operations key and returns its
// text: "entente-invite:" and base64. An invite that nobody could use is
// Invalid.
func SealInvite(i Invite, key ed25519.PrivateKey) (string, error) {
	const op = "make invite"
	if err := i.check(); err != nil {
		return "", E(Invalid, op, err, "")
	}
	signed, err := i.encode()
	if err != nil {
		return "", E(Invalid, op, err, "")
	}
	data, err := sealBytes(op, domainInviteSignature, signed, key)
	if err != nil {
		return "", err
	}
	if len(data) > maxInvite {
		return "", E(Limit, op, fmt.Errorf("the invite has %d bytes; the limit is %d", len(data), maxInvite), "give fewer addresses")
	}
	return invitePrefix + base64.RawURLEncoding.EncodeToString(data), nil
}

// ParseInvite reads the text of an invite, without verifying it: white space
// around it is ignored, since people paste it. What is wrong with it is
// Invalid, with a hint for the person who pasted it; a newer format is
// Unverified.
func ParseInvite(text string) (*SealedInvite, error) {
	const op = "read invite"
	const hint = "copy the whole line that starts with " + invitePrefix
	text = strings.TrimSpace(text)
	encoded, ok := strings.CutPrefix(text, invitePrefix)
	if !ok {
		return nil, E(Invalid, op, fmt.Errorf("the text does not start with %q", invitePrefix), hint)
	}
	if base64.RawURLEncoding.DecodedLen(len(encoded)) > maxInvite {
		return nil, E(Limit, op, fmt.Errorf("the invite has over %d bytes, the limit", maxInvite), hint)
	}
	if strings.ContainsAny(encoded, "\r\n") { // which the decoder would skip
		return nil, E(Invalid, op, errors.New("the text is broken into lines"), hint)
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, E(Invalid, op, errors.New("the text is damaged or cut short: it is not base64"), hint)
	}
	s, err := decodeInvite(op, data)
	if err != nil && KindOf(err) == Malformed {
		return nil, E(Invalid, op, fmt.Errorf("the text is damaged or cut short: %w", errors.Unwrap(err)), hint)
	}
	return s, err
}

func decodeInvite(op string, data []byte) (*SealedInvite, error) {
	signature, signed, err := cutSignature(op, data, maxInvite)
	if err != nil {
		return nil, err
	}
	var w wireInvite
	extensions, err := unmarshalMap(signed, &w)
	if w.Format > FormatVersion {
		return nil, unknownFormat(op, w.Format)
	}
	if err != nil {
		return nil, E(Malformed, op, err, "")
	}
	claim, err := w.invite()
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
	return &SealedInvite{claim: claim, signature: signature, signed: signed}, nil
}

func (w *wireInvite) invite() (Invite, error) {
	i := Invite{Addresses: w.Addresses}
	if w.Format != FormatVersion {
		return i, fmt.Errorf("format version %d is not known", w.Format)
	}
	if w.Expires > maxMicros {
		return i, errors.New("the expiry is after the year 9999")
	}
	i.Expires = timeOf(w.Expires)
	if w.Secret != nil {
		i.Secret = new([32]byte)
		if err := fixed(i.Secret[:], w.Secret, "the secret"); err != nil {
			return i, err
		}
	}
	return i, errors.Join(
		fixed(i.Agreement[:], w.Agreement, "the agreement's id"),
		fixed(i.Inviter[:], w.Inviter, "the inviter's id"))
}

// OpenInvite verifies the signature under the inviter's operations key and that
// the invite has not expired. A false signature is BadSignature, an expired
// invite Refused.
func OpenInvite(s *SealedInvite, key ed25519.PublicKey, now time.Time) (Invite, error) {
	const op = "open invite"
	if !verify(key, domainInviteSignature, s.signed, s.signature) {
		return Invite{}, Errorf(BadSignature, op, "the signature is not by the operations key of member %s", s.claim.Inviter.Short())
	}
	if !now.Before(s.claim.Expires) {
		return Invite{}, E(Refused, op, fmt.Errorf("the invite expired at %s", s.claim.Expires.Format(time.RFC3339)), "ask the inviter for a new one")
	}
	return s.claim, nil
}
