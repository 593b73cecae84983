package stix

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"entente/protocol"
)

// Bounds of values, in bytes.
const (
	maxKeyValue = 8 << 10 // of any value before and after it is brought to its normal form
	maxDomain   = 253
	maxLabel    = 63
	maxLocal    = 256 // of the part of an e-mail address before the @; RFC 5321 says 64, the field does not
)

// errNoKey makes the error for a value that has no normal form.
func errNoKey(format string, args ...any) error {
	return protocol.E(protocol.Invalid, "value", fmt.Errorf(format, args...), "")
}

// NewKey brings a value of known kind to its normal form, so that two ways to
// write the same thing are one key:
//
//   - KeyIP, KeyCIDR: as net/netip prints them; an IPv4 address that is mapped
//     into IPv6 is the IPv4 address; no zones; host bits of a network are zero.
//     A KeyCIDR of a single address comes back as KeyIP.
//   - KeyDomain: lower case, ASCII (UTS 46), no dot at the end; underscores and
//     odd hyphens are allowed, a last label of digits only is not.
//   - KeyURL: scheme and host like a domain or address, default port and
//     fragment dropped, "/" for an empty path, escapes only where needed and in
//     upper case; user, case of the path, and query stay. A URL without scheme
//     stays without. The host alone is not a key of the URL.
//   - KeyEmail: the domain as above, the local part in lower case: mail systems
//     that tell the case apart are rarer than people who write it differently.
//   - KeyHash: lower case, 32 to 128 digits of a known digest length; TLSH
//     without its T1; ssdeep as it is.
//   - KeyMAC: lower case with colons. KeyASN: the number in decimal.
//   - KeyFileName: lower case, in Unicode form NFC. KeyMutex: as it is.
//
// For KeyOther see OtherKey; NewKey takes its "what:value". The error is of
// kind Invalid.
func NewKey(kind KeyKind, value string) (Key, error) {
	if len(value) > maxKeyValue {
		return Key{}, errNoKey("%d bytes are over the limit of %d", len(value), maxKeyValue)
	}
	if value == "" || !utf8.ValidString(value) {
		return Key{}, errNoKey("empty, or not valid UTF-8")
	}
	var normal string
	var err error
	switch kind {
	case KeyIP, KeyCIDR:
		return networkKey(kind, value)
	case KeyDomain:
		normal, err = normalDomain(value)
	case KeyURL:
		normal, err = normalURL(value)
	case KeyEmail:
		normal, err = normalEmail(value)
	case KeyHash:
		normal, err = normalHash(value)
	case KeyMAC:
		normal, err = normalMAC(value)
	case KeyASN:
		normal, err = normalASN(value)
	case KeyFileName:
		normal = fold(value)
	case KeyMutex:
		normal = value
	case KeyOther:
		what, rest, _ := strings.Cut(value, ":")
		return OtherKey(what, rest)
	default:
		return Key{}, errNoKey("%v is not known", kind)
	}
	if err == nil && len(normal) > maxKeyValue {
		err = fmt.Errorf("%d bytes are over the limit of %d", len(normal), maxKeyValue)
	}
	if err != nil {
		return Key{}, protocol.E(protocol.Invalid, kind.String(), err, "")
	}
	return Key{Kind: kind, Value: normal}, nil
}

// What a KeyOther may be about: the part of its value before the colon.
const (
	OtherSerial   = "serial"   // serial number of a certificate: hexadecimal, lower case, no leading zeros
	OtherRegistry = "registry" // Windows registry key: lower case, hive written out
	OtherPath     = "path"     // folder: lower case, / between the parts
	OtherAccount  = "account"  // login or id of a user account, lower case
)

// OtherKey returns the KeyOther of a value that has no kind of its own. Its
// Value is what, a colon, and the normal form.
func OtherKey(what, value string) (Key, error) {
	if len(value) > maxKeyValue-32 {
		return Key{}, errNoKey("%d bytes are over the limit of %d", len(value), maxKeyValue-32)
	}
	normal := fold(value)
	switch what {
	case OtherSerial:
		// Folded again: marks that a separator kept apart may meet.
		normal = fold(strings.NewReplacer(":", "", " ", "").Replace(normal))
		if trimmed := strings.TrimLeft(normal, "0"); trimmed != "" {
			normal = trimmed
		}
	case OtherRegistry:
		normal = normalRegistry(normal)
	case OtherPath:
		normal = strings.ReplaceAll(normal, `\`, "/")
		if trimmed := strings.TrimRight(normal, "/"); trimmed != "" {
			normal = trimmed
		}
	case OtherAccount:
	default:
		return Key{}, errNoKey("%s is not one of serial, registry, path, account", clip(what))
	}
	if normal == "" || !utf8.ValidString(value) || len(normal) > maxKeyValue-32 {
		return Key{}, errNoKey("empty, too long, or not valid UTF-8")
	}
	return Key{Kind: KeyOther, Value: what + ":" + normal}, nil
}

// fold brings text to lower case and Unicode form NFC.
func fold(s string) string {
	if ascii(s) {
		return strings.ToLower(s)
	}
	return norm.NFC.String(strings.ToLower(norm.NFC.String(s)))
}

// normalRegistry writes the hive out and drops a backslash at the end. Its
// argument is in lower case.
func normalRegistry(key string) string {
	key = strings.TrimRight(key, `\`)
	hive, rest, found := strings.Cut(key, `\`)
	for _, row := range [...][2]string{
		{"hklm", "hkey_local_machine"}, {"hkcu", "hkey_current_user"}, {"hkcr", "hkey_classes_root"},
		{"hku", "hkey_users"}, {"hkcc", "hkey_current_config"},
	} {
		if hive == row[0] {
			hive = row[1]
		}
	}
	if !found {
		return hive
	}
	return hive + `\` + rest
}

// networkKey takes an address, or a network whose prefix is asked for or whole.
func networkKey(kind KeyKind, value string) (Key, error) {
	prefix, err := normalPrefix(value)
	if err != nil {
		return Key{}, protocol.E(protocol.Invalid, kind.String(), err, "")
	}
	if prefix.IsSingleIP() {
		return Key{Kind: KeyIP, Value: prefix.Addr().String(), Prefix: prefix}, nil
	}
	if kind == KeyIP {
		return Key{}, errNoKey("%s is a network, not an address", clip(value))
	}
	return Key{Kind: KeyCIDR, Value: prefix.String(), Prefix: prefix}, nil
}

// normalPrefix reads an address or network; host bits are cleared.
func normalPrefix(value string) (netip.Prefix, error) {
	var addr netip.Addr
	bits := -1
	if strings.Contains(value, "/") {
		p, err := netip.ParsePrefix(value)
		if err != nil {
			return p, fmt.Errorf("%s is not a network like 198.51.100.0/24", clip(value))
		}
		addr, bits = p.Addr(), p.Bits()
	} else {
		a, err := netip.ParseAddr(value)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("%s is not an address", clip(value))
		}
		addr, bits = a, a.BitLen()
	}
	if addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%s has a zone, which means something on one machine only", clip(value))
	}
	if addr.Is4In6() && bits >= 96 {
		addr, bits = addr.Unmap(), bits-96
	}
	return netip.PrefixFrom(addr, bits).Masked(), nil
}

// normalDomain brings a host name to its form in the DNS.
func normalDomain(value string) (string, error) {
	if !ascii(value) {
		// As resolvers map it, but for the rules that names in the wild break.
		profile := idna.New(idna.MapForLookup(), idna.StrictDomainName(false), idna.CheckHyphens(false))
		mapped, err := profile.ToASCII(value)
		if err != nil {
			return "", fmt.Errorf("%s is not an internationalised domain name", clip(value))
		}
		value = mapped
	}
	value = strings.ToLower(strings.TrimSuffix(value, "."))
	if value == "" || len(value) > maxDomain {
		return "", errors.New("a domain name has 1 to 253 characters")
	}
	label, digits := 0, true
	for i := range len(value) {
		c := value[i]
		switch {
		case c == '.':
			if label == 0 {
				return "", fmt.Errorf("%s has an empty label", clip(value))
			}
			label, digits = 0, true
			continue
		case digit(c):
		case c >= 'a' && c <= 'z' || c == '-' || c == '_':
			digits = false
		default:
			return "", fmt.Errorf("%s has a character that no domain name has: %q", clip(value), c)
		}
		if label++; label > maxLabel {
			return "", fmt.Errorf("%s has a label of more than %d characters", clip(value), maxLabel)
		}
	}
	if label == 0 || digits {
		return "", fmt.Errorf("%s does not end in the name of a top-level domain", clip(value))
	}
	return value, nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// normalEmail takes local@domain, where domain may be an address in brackets.
func normalEmail(value string) (string, error) {
	at := strings.LastIndexByte(value, '@')
	if at < 1 || at > maxLocal {
		return "", fmt.Errorf("%s is not local@domain with a local part of 1 to %d bytes", clip(value), maxLocal)
	}
	local, domain := fold(value[:at]), value[at+1:]
	if strings.ContainsFunc(local, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' }) {
		return "", fmt.Errorf("%s has a blank or bracket in its local part", clip(value))
	}
	if inner, ok := strings.CutPrefix(domain, "["); ok {
		inner = strings.TrimPrefix(strings.ToLower(strings.TrimSuffix(inner, "]")), "ipv6:")
		prefix, err := normalPrefix(inner)
		if err != nil || !prefix.IsSingleIP() {
			return "", fmt.Errorf("%s has no address between its brackets", clip(value))
		}
		return local + "@[" + prefix.Addr().String() + "]", nil
	}
	domain, err := normalDomain(domain)
	if err != nil {
		return "", err
	}
	return local + "@" + domain, nil
}

// normalHash takes a digest in hexadecimal, a TLSH or an ssdeep.
func normalHash(value string) (string, error) {
	lower := strings.ToLower(value)
	if len(lower) == 72 && strings.HasPrefix(lower, "t1") {
		lower = lower[2:]
	}
	if all(lower, lowerHex) {
		switch len(lower) {
		// MD5, SHA-1, SHA-224, SHA-256, TLSH, SHA-384, SHA-512.
		case 32, 40, 56, 64, 70, 96, 128:
			return lower, nil
		}
		return "", fmt.Errorf("no digest has %d hexadecimal digits (MD5 32, SHA-1 40, SHA-256 64, SHA-512 128)", len(lower))
	}
	if isSSDeep(value) {
		return value, nil
	}
	return "", fmt.Errorf("%s is not a digest in hexadecimal", clip(value))
}

// isSSDeep reports whether value is blocksize:hash:hash.
func isSSDeep(value string) bool {
	size, rest, _ := strings.Cut(value, ":")
	one, two, found := strings.Cut(rest, ":")
	if n, err := strconv.ParseUint(size, 10, 32); err != nil || n < 3 || !found || len(one) < 6 || len(one) > 64 || len(two) > 64 {
		return false
	}
	return all(one, anyBase64) && all(two, anyBase64)
}

// normalMAC takes six octets with colons, hyphens, dots or nothing between.
func normalMAC(value string) (string, error) {
	if len(value) == 12 && all(value, anyHex) {
		value = value[:4] + "." + value[4:8] + "." + value[8:]
	}
	mac, err := net.ParseMAC(value)
	if err != nil || len(mac) != 6 {
		return "", fmt.Errorf("%s is not a hardware address like 02:00:5e:00:53:01", clip(value))
	}
	return mac.String(), nil
}

// normalASN takes a number of 32 bits, with or without AS before it.
func normalASN(value string) (string, error) {
	rest := value
	if len(rest) > 2 && strings.EqualFold(rest[:2], "AS") {
		rest = strings.TrimSpace(rest[2:])
	}
	n, err := strconv.ParseUint(rest, 10, 32)
	if err != nil {
		return "", fmt.Errorf("%s is not the number of an autonomous system like AS64496", clip(value))
	}
	return strconv.FormatUint(n, 10), nil
}
