package protocol

import (
	"crypto/ed25519"
	"crypto/sha256"
)

// Domains of hashes and signatures (spec, "Domains"). Each begins what is
// hashed or signed, ends with a zero byte, and none is the beginning of
// another, so bytes made for one purpose never serve another.
const (
	domainHeaderSignature    = "entente header v1\x00"
	domainHeaderHash         = "entente header hash v1\x00"
	domainSalt               = "entente salt v1\x00"
	domainLeaf               = "entente leaf v1\x00"
	domainNode               = "entente node v1\x00"
	domainLog                = "entente log v1\x00"
	domainFrontier           = "entente frontier v1\x00"
	domainGossip             = "entente gossip v1\x00"
	domainStatementSignature = "entente statement v1\x00"
	domainStatement          = "entente statement hash v1\x00"
	domainInviteSignature    = "entente invite v1\x00"
	domainInviteDoor         = "entente invite door v1\x00"
	domainInviteMark         = "entente invite mark v1\x00"
	domainIntroduction       = "entente introduction v1\x00"
	domainAcquaintance       = "entente acquaintance v1\x00"
)

// domainHash returns SHA-256 over the domain and the parts.
func domainHash(domain string, parts ...[]byte) Hash {
	h := sha256.New()
	h.Write([]byte(domain))
	for _, p := range parts {
		h.Write(p)
	}
	var sum Hash
	h.Sum(sum[:0])
	return sum
}

func sign(key ed25519.PrivateKey, domain string, message []byte) []byte {
	return ed25519.Sign(key, append([]byte(domain), message...))
}

// verify reports whether signature is one by key; a key of the wrong length
// verifies nothing.
//
// Ed25519 as RFC 8032 defines it refuses a signature that another than the
// signer altered, but the holder of a key can make many signatures over the
// same bytes. So a signature is never part of an identity: messages are known
// by the hash of their header.
func verify(key ed25519.PublicKey, domain string, message, signature []byte) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, append([]byte(domain), message...), signature)
}
