package stix

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"entente/protocol"
)

// MaxKeys is how many values one object leads to at most. An indicator with
// more keeps the first ones in sorted order.
const MaxKeys = 10_000

// KeyKind is the kind of an observable value.
type KeyKind uint8

// The kinds of observable value. Their numbers are stored.
const (
	KeyIP       KeyKind = iota + 1 // one address of either family
	KeyCIDR                        // a network of more than one address
	KeyDomain                      // domain or host name
	KeyURL                         // the whole URL; its host is not a key beside it
	KeyEmail                       // e-mail address
	KeyHash                        // digest in hexadecimal, told apart by length; ssdeep as its text
	KeyMAC                         // hardware address
	KeyASN                         // number of an autonomous system
	KeyFileName                    // name of a file without its folder
	KeyMutex                       // name of a mutex
	KeyOther                       // "what:value", see OtherKey
)

// String returns the kind's name: ip, cidr, domain, url, email, hash, mac,
// asn, file-name, mutex or other.
func (k KeyKind) String() string {
	names := [...]string{"", "ip", "cidr", "domain", "url", "email", "hash", "mac", "asn", "file-name", "mutex", "other"}
	if int(k) >= len(names) || k == 0 {
		return "kind " + strconv.Itoa(int(k))
	}
	return names[k]
}

// ParseKeyKind returns the kind of the given name. The error is of kind
// Invalid and lists the names.
func ParseKeyKind(name string) (KeyKind, error) {
	names := make([]string, 0, KeyOther)
	for k := KeyIP; k <= KeyOther; k++ {
		if name == k.String() {
			return k, nil
		}
		names = append(names, k.String())
	}
	return 0, protocol.E(protocol.Invalid, "kind of value", fmt.Errorf("%s is none", clip(name)),
		"one of "+strings.Join(names, ", "))
}

// Key is an observable value in its normal form, to be looked up by equality
// (and, for addresses, containment). Key is comparable. NewKey documents the
// normal forms.
type Key struct {
	Kind   KeyKind
	Value  string       // normal form
	Prefix netip.Prefix // of KeyIP (full length) and KeyCIDR; else zero
}

// String returns kind and value, as ParseKey takes them: "domain:example.com".
func (k Key) String() string { return k.Kind.String() + ":" + k.Value }

// Compare orders keys by kind, then by value.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Kind, other.Kind), strings.Compare(k.Value, other.Value))
}

// Keys returns the observable values that an object is about: a
// cyber-observable's own, an indicator's from its pattern where pattern_type
// is "stix". Sorted, distinct, at most MaxKeys. A value that has no normal
// form, and a pattern that cannot be parsed (see PatternError), give none.
func (o *Object) Keys() []Key {
	keys, _ := o.KeysUpTo(MaxKeys)
	return keys
}

// KeysUpTo is Keys with a bound of its own. It also returns how many values
// were left out.
func (o *Object) KeysUpTo(most int) (keys []Key, dropped int) {
	if pattern, _ := o.Pattern(); pattern != nil {
		return pattern.KeysUpTo(most)
	}
	return o.observableKeys().finish(most)
}

// observableKeys collects what a cyber-observable says of itself.
func (o *Object) observableKeys() keyList {
	var list keyList
	d := &o.details
	switch o.Type {
	case "ipv4-addr", "ipv6-addr":
		list.add(aboutAddress, d.value)
	case "domain-name":
		list.add(aboutHost, d.value)
	case "url":
		list.add(aboutURL, d.value)
	case "email-addr":
		list.add(aboutEmail, d.value)
	case "mac-addr":
		list.add(aboutMAC, d.value)
	case "autonomous-system":
		if d.number > 0 {
			list.add(aboutASN, strconv.FormatInt(d.number, 10))
		}
	case "mutex":
		list.add(aboutMutex, d.name)
	case "file":
		list.digests(d.hashes)
		list.add(aboutFileName, d.name)
	case "artifact":
		list.digests(d.hashes)
	case "x509-certificate":
		list.digests(d.hashes)
		list.add(aboutSerial, d.serial)
	case "windows-registry-key":
		list.add(aboutRegistry, d.value)
	case "directory":
		list.add(aboutPath, d.value)
	case "user-account":
		list.add(aboutAccount, d.value)
	}
	return list
}

// keyList collects keys. Values without a normal form are passed over: they
// cannot be looked up.
type keyList []Key

func (l *keyList) add(what subject, value string) {
	if value == "" {
		return
	}
	if key, err := what.key(value); err == nil {
		*l = append(*l, key)
	}
}

// digests takes a dictionary of hashes that Parse accepted.
func (l *keyList) digests(dictionary []byte) {
	if dictionary == nil {
		return
	}
	s := scanner{raw: dictionary, limits: hardLimits(), tape: make([]node, 0, 8)}
	if s.scan() != nil {
		return
	}
	*l = slices.Grow(*l, s.inner(0)/2+1) // and one beside them
	for _, value := range s.members(0) {
		l.add(aboutHash, s.textOf(value))
	}
}

// finish sorts, removes doubles and cuts.
func (l keyList) finish(most int) (keys []Key, dropped int) {
	if len(l) > 1 {
		slices.SortFunc(l, Key.Compare)
		l = slices.Compact(l)
	}
	if len(l) > most {
		return l[:most:most], len(l) - most
	}
	return l, 0
}

// subject is what a property is about: which normal forms its value may have.
type subject uint8

const (
	aboutNothing  subject = iota
	aboutAddress          // address or network
	aboutHost             // domain; tolerates an address
	aboutEndpoint         // what a reference to an address object may lead to: address, network, domain, MAC
	aboutURL              // URL; tolerates a bare host, which many writers call one
	aboutEmail
	aboutHash
	aboutMAC
	aboutASN
	aboutFileName
	aboutMutex
	aboutSerial
	aboutRegistry
	aboutPath
	aboutAccount
)

// key returns the key that the value of such a property is.
func (s subject) key(value string) (Key, error) {
	switch s {
	case aboutAddress:
		return addressKey(value)
	case aboutHost:
		return hostKey(value)
	case aboutEndpoint:
		if key, err := NewKey(KeyMAC, value); err == nil {
			return key, nil
		}
		return hostKey(value)
	case aboutURL:
		if key, err := NewKey(KeyURL, value); err == nil {
			return key, nil
		}
		return hostKey(value)
	case aboutEmail:
		return NewKey(KeyEmail, value)
	case aboutHash:
		return NewKey(KeyHash, value)
	case aboutMAC:
		return NewKey(KeyMAC, value)
	case aboutASN:
		return NewKey(KeyASN, value)
	case aboutFileName:
		return NewKey(KeyFileName, value)
	case aboutMutex:
		return NewKey(KeyMutex, value)
	case aboutSerial:
		return OtherKey(OtherSerial, value)
	case aboutRegistry:
		return OtherKey(OtherRegistry, value)
	case aboutPath:
		return OtherKey(OtherPath, value)
	case aboutAccount:
		return OtherKey(OtherAccount, value)
	}
	return Key{}, errNoKey("nothing is known of this property")
}

// addressKey takes an address or a network; a network of one address is that
// address.
func addressKey(value string) (Key, error) {
	if key, err := NewKey(KeyIP, value); err == nil {
		return key, nil
	}
	return NewKey(KeyCIDR, value)
}

// hostKey takes a name, or an address where a name should be.
func hostKey(value string) (Key, error) {
	if numeric(value) {
		if key, err := addressKey(value); err == nil {
			return key, nil
		}
	}
	return NewKey(KeyDomain, value)
}

// numeric reports whether value has no other characters than addresses,
// networks and digests have. It spares the making of an error for most names.
func numeric(value string) bool {
	return all(value, inAddress)
}
