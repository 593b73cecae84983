package protocol

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	publicKeyPrefix = "ed25519:"
	secretKeyPrefix = "entente-secret-ed25519:"
	domainSecretKey = "entente secret key v1\x00"
)

// KeyRole says what a secret key is for. It is part of the key's text, so that
// no key serves in another's place by mistake.
type KeyRole string

// The roles of keys. No key has two of them.
const (
	RootKey            KeyRole = "root"             // signs agreements and member records; may be kept offline
	OperationsRole     KeyRole = "operations"       // signs invites, freshness statements, suspensions, receipts
	NodeKey            KeyRole = "node"             // signs the messages of one node
	TransportKey       KeyRole = "transport"        // identifies the host that serves private agreements
	PublicTransportKey KeyRole = "public-transport" // identifies the host that serves public agreements
)

// KeyRoles returns all roles.
func KeyRoles() []KeyRole {
	return []KeyRole{RootKey, OperationsRole, NodeKey, TransportKey, PublicTransportKey}
}

// NewKey returns the key that grows from a seed, which must be random.
func NewKey(seed [ed25519.SeedSize]byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(seed[:]) }

// PublicOf returns the public half of a secret key.
func PublicOf(key ed25519.PrivateKey) PublicKey {
	var k PublicKey
	copy(k[:], key[ed25519.SeedSize:])
	return k
}

// String returns the text form of the key.
func (k PublicKey) String() string {
	return publicKeyPrefix + base64.RawURLEncoding.EncodeToString(k[:])
}

// IsZero reports whether the key is unset.
func (k PublicKey) IsZero() bool { return k == PublicKey{} }

// MarshalText implements encoding.TextMarshaler.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; it takes what
// ParsePublicKey takes.
func (k *PublicKey) UnmarshalText(text []byte) error {
	v, err := ParsePublicKey(string(text))
	if err == nil {
		*k = v
	}
	return err
}

// ParsePublicKey reads the text form of a key, and no other spelling of it. A
// key that is no point of the curve in its one encoding, or one of the few
// under which anybody can make signatures, is refused (documents spec, "Keys").
func ParsePublicKey(s string) (PublicKey, error) {
	var k PublicKey
	encoded, ok := strings.CutPrefix(s, publicKeyPrefix)
	if !ok || len(encoded) != base64.RawURLEncoding.EncodedLen(len(k)) {
		return k, fmt.Errorf("%.60q is no public key: one is %q and 43 characters", s, publicKeyPrefix)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(raw) != len(k) {
		return k, fmt.Errorf("%.60q is no public key: what follows %q is not base64", s, publicKeyPrefix)
	}
	copy(k[:], raw)
	if k.weak() {
		return PublicKey{}, fmt.Errorf("%.60q is a weak key: others could sign under it", s)
	}
	return k, nil
}

// weak reports whether the key has another encoding than the curve gives its
// point, or a point whose order divides 8.
func (k PublicKey) weak() bool {
	y := k
	y[31] &= 0x7f // without the sign of x
	beyond := y[31] == 0x7f && y[0] >= 0xed
	for _, b := range y[1:31] {
		beyond = beyond && b == 0xff
	}
	return beyond || strings.Contains(smallOrder, hex.EncodeToString(y[:]))
}

// smallOrder holds y of the eight points whose order divides 8, little endian.
const smallOrder = "0000000000000000000000000000000000000000000000000000000000000000 " +
	"0100000000000000000000000000000000000000000000000000000000000000 " +
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f " +
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a " +
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"

// FormatSecretKey returns the text of a secret key as key files hold it: role,
// seed and a check of both, on one line.
func FormatSecretKey(role KeyRole, key ed25519.PrivateKey) string {
	seed := key.Seed()
	return secretKeyPrefix + string(role) + ":" + base64.RawURLEncoding.EncodeToString(seed) + ":" + secretKeyCheck(role, seed) + "\n"
}

// secretKeyCheck tells a damaged key, or one whose role was altered, from a good one.
func secretKeyCheck(role KeyRole, seed []byte) string {
	sum := sha256.Sum256(slices.Concat([]byte(domainSecretKey), []byte(role), []byte{0}, seed))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// ParseSecretKey reads the text of a secret key of the given role; lines that
// begin with # are passed over. Anything else is Invalid. The error never
// quotes the key.
func ParseSecretKey(role KeyRole, text string) (ed25519.PrivateKey, error) {
	const op = "read secret key"
	var body string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if body != "" {
			return nil, Errorf(Invalid, op, "the file holds more than one line")
		}
		body = line
	}
	body, ok := strings.CutPrefix(body, secretKeyPrefix)
	parts := strings.Split(body, ":")
	if !ok || len(parts) != 3 {
		return nil, E(Invalid, op, fmt.Errorf("this is no secret key: one begins with %q", secretKeyPrefix), "")
	}
	if found := KeyRole(parts[0]); found != role {
		if !slices.Contains(KeyRoles(), found) {
			return nil, Errorf(Invalid, op, "the key's role is unknown; this program knows %v", KeyRoles())
		}
		return nil, E(Invalid, op, fmt.Errorf("this is a key for %q; one for %q is needed", found, role), "")
	}
	seed, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil || len(seed) != ed25519.SeedSize || secretKeyCheck(role, seed) != parts[2] {
		return nil, E(Invalid, op, errors.New("the key is damaged or cut short"), "restore the key file from its backup")
	}
	return ed25519.NewKeyFromSeed(seed), nil
}
