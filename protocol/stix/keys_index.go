package stix

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"strings"
)

// Bounds of an index key: a value over maxIndexValue bytes is stored as its
// first indexPrefix bytes and a hash of the whole.
const (
	maxIndexValue = 200
	indexPrefix   = 160
	mostIndexed   = 24 // bytes beside the value, for most keys
)

// The bytes after a zero byte in an index key. A zero byte of the value itself
// is followed by indexZero, which sorts after the ends: a value comes before
// any that continues it.
const (
	indexEnd    = 0x01 // the value ends here
	indexHashed = 0x02 // the SHA-256 of the whole value follows
	indexZero   = 0xff
)

// AppendKey appends the form of k for a sorted index to dst and returns it:
// the kind as one byte, then
//
//   - of KeyIP the address in 16 bytes (IPv4 mapped into IPv6), so that the
//     addresses of a network stand together, see AddressRange;
//   - of KeyCIDR the masked address in 16 bytes and the length of its prefix in
//     one, counted in IPv6 (an IPv4 /24 is 120);
//   - of all others the value, 0x00 in it written as 0x00 0xff, and 0x00 0x01
//     at the end; of one over 200 bytes its first 160, 0x00 0x02, and its
//     SHA-256.
//
// No form is the beginning of another one. Within a kind the order is that of
// addresses or values, as far as values differ in their first 160 bytes. The
// form is stored: it does not change.
func AppendKey(dst []byte, k Key) []byte {
	dst = append(slices.Grow(dst, min(len(k.Value), maxIndexValue)+mostIndexed), byte(k.Kind))
	if k.Prefix.IsValid() && (k.Kind == KeyIP || k.Kind == KeyCIDR) {
		address := k.Prefix.Addr().As16()
		dst = append(dst, address[:]...)
		if k.Kind == KeyCIDR {
			dst = append(dst, wideBits(k.Prefix))
		}
		return dst
	}
	if len(k.Value) <= maxIndexValue {
		return append(appendZeros(dst, k.Value), 0, indexEnd)
	}
	sum := sha256.Sum256([]byte(k.Value))
	dst = append(appendZeros(dst, k.Value[:indexPrefix]), 0, indexHashed)
	return append(dst, sum[:]...)
}

func appendZeros(dst []byte, value string) []byte {
	for {
		i := strings.IndexByte(value, 0)
		if i < 0 {
			return append(dst, value...)
		}
		dst = append(append(dst, value[:i]...), 0, indexZero)
		value = value[i+1:]
	}
}

// wideBits counts a prefix in the 128 bits of IPv6.
func wideBits(p netip.Prefix) byte {
	if p.Addr().Is4() {
		return byte(p.Bits() + 96)
	}
	return byte(p.Bits())
}

// AddressRange returns the forms (see AppendKey) of the first and the last
// address of a network: an index holds its addresses between them, both
// included. The prefix must be valid. An IPv6 network so wide that it holds
// ::ffff:0:0/96 has the IPv4 addresses in its range: pass over those.
func AddressRange(p netip.Prefix) (first, last []byte) {
	low := p.Masked().Addr().As16()
	high := low
	for bit := int(wideBits(p)); bit < 128; bit++ {
		high[bit/8] |= 0x80 >> (bit % 8)
	}
	return append([]byte{byte(KeyIP)}, low[:]...), append([]byte{byte(KeyIP)}, high[:]...)
}

// Enclosing returns the networks that contain the address or network of k, k's
// own network included, the smallest first: what to look up to find where an
// address is contained. It is empty for other kinds of key.
func Enclosing(k Key) []Key {
	if !k.Prefix.IsValid() {
		return nil
	}
	addr := k.Prefix.Addr()
	keys := make([]Key, 0, k.Prefix.Bits()+1)
	for bits := min(k.Prefix.Bits(), addr.BitLen()-1); bits >= 0; bits-- {
		p := netip.PrefixFrom(addr, bits).Masked()
		keys = append(keys, Key{Kind: KeyCIDR, Value: p.String(), Prefix: p})
	}
	return keys
}
