package p2p

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"github.com/libp2p/go-libp2p/core/peer"

	"entente/protocol"
)

// protocolID is the one libp2p protocol of this project.
const protocolID = "/entente/1"

// kind says what a stream is for.
type kind byte

const (
	kindGossip    kind = 1
	kindSync      kind = 2
	kindDocuments kind = 3
	kindPing      kind = 4
	kindInvite    kind = 5
)

// The first frame of a stream is its tag: kind, nonce, MAC. The answer to a tag
// that fits is the MAC of the same under another label, so that neither side
// says a word of an agreement to one who does not hold it.
const (
	nonceSize = 16
	tagSize   = 1 + nonceSize + sha256.Size
	replySize = sha256.Size
)

// tagKey is what a tag is keyed with.
type tagKey [32]byte

// headKey returns the key for a version of an agreement. The version's hash is
// a secret of the parties where the agreement is private.
func headKey(head protocol.Hash) tagKey { return tagKey(head) }

// openKey returns the key by which anyone may ask for the documents of a public
// agreement, or ping a host of it, knowing its id alone.
func openKey(agreement protocol.AgreementID) tagKey {
	return sha256.Sum256(append([]byte("entente/1 public agreement\x00"), agreement[:]...))
}

// newTag makes the tag that initiator sends to responder.
func newTag(key tagKey, k kind, initiator, responder peer.ID) (tag [tagSize]byte) {
	tag[0] = byte(k)
	// Read never fails (crypto/rand).
	_, _ = rand.Read(tag[1 : 1+nonceSize])
	mac := tagMAC(key, "tag", tag[:1+nonceSize], initiator, responder)
	copy(tag[1+nonceSize:], mac[:])
	return tag
}

// fits reports whether the tag was made with the key for these two peers.
func (k tagKey) fits(tag *[tagSize]byte, initiator, responder peer.ID) bool {
	mac := tagMAC(k, "tag", tag[:1+nonceSize], initiator, responder)
	return hmac.Equal(mac[:], tag[1+nonceSize:])
}

// reply is what the responder proves itself with.
func (k tagKey) reply(tag *[tagSize]byte, initiator, responder peer.ID) [replySize]byte {
	return tagMAC(k, "reply", tag[:], initiator, responder)
}

func tagMAC(key tagKey, label string, what []byte, initiator, responder peer.ID) (mac [sha256.Size]byte) {
	h := hmac.New(sha256.New, key[:])
	for _, part := range [][]byte{[]byte("entente/1 stream " + label), what, []byte(initiator), []byte(responder)} {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(part)))
		h.Write(size[:])
		h.Write(part)
	}
	h.Sum(mac[:0])
	return mac
}
