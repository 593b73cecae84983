package stix

import "net/netip"

// KeyKind is the kind of an observable value.
type KeyKind uint8

// The kinds of observable value. Their numbers are stored.
const (
	KeyIP KeyKind = iota + 1
	KeyCIDR
	KeyDomain
	KeyURL
	KeyEmail
	KeyHash // md5, sha1, sha256 …: hexadecimal digest, told apart by length
	KeyMAC
	KeyASN
	KeyFileName
	KeyMutex
	KeyOther
)

// Key is an observable value in its normal form, to be looked up by equality
// (and, for addresses, containment). Key is comparable.
type Key struct {
	Kind   KeyKind
	Value  string       // normal form
	Prefix netip.Prefix // of KeyIP (full length) and KeyCIDR; else zero
}

// Keys returns the observable values that an object is about: a
// cyber-observable's own, an indicator's from its pattern. Sorted, distinct.
func (o *Object) Keys() []Key { panic("stix: not built yet") }

// ParseKey recognises what a person typed or a log holds: address, network,
// domain, URL, e-mail address, digest. Defanged forms (hxxp, [.]) are taken.
func ParseKey(value string) (Key, error) { panic("stix: not built yet") }

// Pattern is a parsed STIX 2.1 pattern.
type Pattern struct{ _ int }

// ParsePattern reads a pattern by the STIX 2.1 grammar (section 9). The error
// says where (character) and what was expected.
func ParsePattern(text string) (*Pattern, error) { panic("stix: not built yet") }

// Keys returns the values that the pattern compares for equality, membership
// or containment, not negated.
func (p *Pattern) Keys() []Key { panic("stix: not built yet") }
