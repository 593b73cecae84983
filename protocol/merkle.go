package protocol

import (
	"crypto/sha256"
	"encoding/binary"
)

// saltSize is the number of bytes of a leaf's salt.
const saltSize = 16

// seedSize is the number of bytes of the seed that salts come from.
const seedSize = 32

// leafHasher computes salts and leaf hashes. It is not safe for concurrent use.
type leafHasher struct {
	input []byte                                // domain, salt and object of the next leaf
	salt  [len(domainSalt) + seedSize + 4]byte  // one block: cheaper than an HMAC
	node  [len(domainNode) + 2*sha256.Size]byte // domain and children of the next node
}

func newLeafHasher() *leafHasher {
	l := &leafHasher{input: make([]byte, 0, 4<<10)}
	copy(l.salt[:], domainSalt)
	copy(l.node[:], domainNode)
	return l
}

// seed sets the seed that saltOf derives from.
func (l *leafHasher) seed(seed []byte) { copy(l.salt[len(domainSalt):], seed) }

// saltOf returns the salt of leaf i (spec, "Body root").
func (l *leafHasher) saltOf(i int) (salt [saltSize]byte) {
	binary.BigEndian.PutUint32(l.salt[len(domainSalt)+seedSize:], uint32(i))
	sum := sha256.Sum256(l.salt[:])
	copy(salt[:], sum[:])
	return salt
}

// leaf returns the hash of a leaf (spec, "Body root"). Copying the object next
// to its salt is cheaper than feeding a hash.Hash in parts.
func (l *leafHasher) leaf(salt, object []byte) Hash {
	l.input = append(append(append(l.input[:0], domainLeaf...), salt...), object...)
	return sha256.Sum256(l.input)
}

// root returns the root of the tree over at least one leaf, using the slice of
// leaves as working space. Joining pairs level by level and carrying an odd
// one up gives the shape of RFC 6962: the left subtree is the largest complete
// one.
func (l *leafHasher) root(level []Hash) Hash {
	for len(level) > 1 {
		next := level[:0]
		for i := 0; i+1 < len(level); i += 2 {
			copy(l.node[len(domainNode):], level[i][:])
			copy(l.node[len(domainNode)+sha256.Size:], level[i+1][:])
			next = append(next, sha256.Sum256(l.node[:]))
		}
		if len(level)%2 == 1 {
			next = append(next, level[len(level)-1])
		}
		level = next
	}
	return level[0]
}
