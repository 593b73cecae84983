package policy

import "math/bits"

// set is a bit set of parties or types of one agreement. All sets over the
// same things have the same length, but for types, of which local rules may add
// some: has is asked of such, too.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

func (s set) add(i int)      { s[i>>6] |= 1 << (i & 63) }
func (s set) remove(i int)   { s[i>>6] &^= 1 << (i & 63) }
func (s set) has(i int) bool { return i>>6 < len(s) && s[i>>6]&(1<<(i&63)) != 0 }

func (s set) count() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// union adds the members of t.
func (s set) union(t set) {
	for i, w := range t {
		s[i] |= w
	}
}

// subtract removes the members of t.
func (s set) subtract(t set) {
	for i, w := range t {
		s[i] &^= w
	}
}

// intersect removes what is not in t.
func (s set) intersect(t set) {
	for i, w := range t {
		s[i] &= w
	}
}

// next returns the first member at or after i, or -1.
func (s set) next(i int) int {
	w := i >> 6
	if w >= len(s) {
		return -1
	}
	rest := s[w] >> (i & 63) << (i & 63)
	for rest == 0 {
		if w++; w >= len(s) {
			return -1
		}
		rest = s[w]
	}
	return w<<6 + bits.TrailingZeros64(rest)
}
