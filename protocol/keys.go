package protocol

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
)

const (
	publicKeyPrefix = "ed25519:"
	secretKeyPrefix = "entente-secret-"
)

// KeyRole says what a secret key is for; it stands in the text of the key, so
// that no key serves in another's place by mistake.
type KeyRole string

// The roles of keys.
const (
	RootKey            KeyRole = "root"             // signs agreements and member records; may be kept offline
	OperationsRole     KeyRole = "operations"       // signs invites, statements and receipts
	NodeKey            KeyRole = "node"             // signs messages
	TransportKey       KeyRole = "transport"        // identifies the member host to its peers
	PublicTransportKey KeyRole = "public-transport" // identifies the public host
)

// PublicOf returns the public half of a secret key.
func PublicOf(key ed25519.PrivateKey) PublicKey {
	var k PublicKey
	copy(k[:], key.Public().(ed25519.PublicKey))
	return k
}

// String returns the text form of the key.
func (k PublicKey) String() string {
	return publicKeyPrefix + base64.RawURLEncoding.EncodeToString(k[:])
}

// MarshalText implements encoding.TextMarshaler.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *PublicKey) UnmarshalText(text []byte) error {
	v, err := ParsePublicKey(string(text))
	*k = v
	return err
}

// ParsePublicKey reads the text form of a key, and no other spelling of it.
func ParsePublicKey(s string) (PublicKey, error) {
	var k PublicKey
	b, ok := strings.CutPrefix(s, publicKeyPrefix)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(b)
	if !ok || err != nil || len(raw) != len(k) {
		return k, fmt.Errorf("%.60q is no public key; one looks like %s followed by 43 characters", s, publicKeyPrefix)
	}
	copy(k[:], raw)
	return k, nil
}

// FormatSecretKey returns the text of a secret key, as key files hold it.
func FormatSecretKey(role KeyRole, key ed25519.PrivateKey) string {
	return secretKeyPrefix + string(role) + ":" + base64.RawURLEncoding.EncodeToString(key.Seed()) + "\n"
}

// ParseSecretKey reads the text of a secret key of the given role. The error
// never quotes the text.
func ParseSecretKey(role KeyRole, text string) (ed25519.PrivateKey, error) {
	body, ok := strings.CutPrefix(strings.TrimSpace(text), secretKeyPrefix)
	found, seed, split := strings.Cut(body, ":")
	if !ok || !split {
		return nil, Errorf(Invalid, "read key", "this is no secret key of Entente")
	}
	if KeyRole(found) != role {
		return nil, Errorf(Invalid, "read key", "this is a key for %q; one for %q is needed", found, role)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(seed)
	if err != nil || len(raw) != ed25519.SeedSize {
		return nil, Errorf(Invalid, "read key", "the key is damaged: it should be 43 characters after the colon")
	}
	return ed25519.NewKeyFromSeed(raw), nil
}
