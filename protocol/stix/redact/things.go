package redact

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Things is a set of things to take out of objects.
type Things uint16

// The things, in the order of the documents spec ("Agreements").
const (
	Victims           Things = 1 << iota // who was attacked: identities, and places nearer than a country
	InternalAddresses                    // addresses within a network, and all hardware addresses
	InternalNames                        // names of hosts within a network
	Users                                // names and numbers of users, also in paths
	Recipients                           // e-mail addresses, but those of senders where the object says who sent
	Accounts                             // bank accounts, payment cards, user accounts
	Credentials                          // passwords, tokens, keys, in URLs and elsewhere
	FreeText                             // what people wrote in their own words

	// Source is no thing of an agreement but what attribution: must-not asks for:
	// whoever made the object.
	Source
)

// words are those of the documents spec, in the order of the bits; the last one
// is only ever told.
func words() []string {
	return []string{"victims", "internal-addresses", "internal-names", "users", "recipients", "accounts", "credentials", "free-text", "source"}
}

// ParseThings reads the words of an agreement's obligation. An unknown one is an
// error.
func ParseThings(list []string) (Things, error) {
	var t Things
	for _, w := range list {
		i := slices.Index(words()[:8], w)
		if i < 0 {
			return 0, fmt.Errorf("%.80q is nothing that can be taken out; one of %s", w, strings.Join(words()[:8], ", "))
		}
		t |= 1 << i
	}
	return t, nil
}

// Words returns the words for the things, in the order of the spec.
func (t Things) Words() []string {
	var out []string
	for i, w := range words() {
		if t&(1<<i) != 0 {
			out = append(out, w)
		}
	}
	return out
}

// String returns the words with commas between.
func (t Things) String() string { return strings.Join(t.Words(), ", ") }

// Task is what is to be done with one object. What is in both sets is taken out.
type Task struct {
	Redact       Things
	Pseudonymise Things
	Unattributed bool // leave no trace of the source in the content
}

// none reports whether there is nothing to do.
func (t Task) none() bool { return t.Redact|t.Pseudonymise == 0 && !t.Unattributed }

// all returns everything that must not stay as it is.
func (t Task) all() Things {
	all := (t.Redact | t.Pseudonymise) &^ Source
	if t.Unattributed {
		all |= Source
	}
	return all
}

// Internal says what belongs to a member's own network, beside what always does:
// the networks of RFC 1918, RFC 4193 and RFC 3927 with their IPv6 likes, names
// under .internal, .local, .lan, .corp and .home.arpa, and host names of one word.
// The zero Internal adds nothing.
type Internal struct {
	Networks []netip.Prefix
	Domains  []string // with everything below them, without a dot before
}

// ParseInternal reads networks (10.1.0.0/16, or an address) and domains.
func ParseInternal(networks, domains []string) (Internal, error) {
	var in Internal
	for _, n := range networks {
		prefix, err := netip.ParsePrefix(n)
		if err != nil {
			address, err := netip.ParseAddr(n)
			if err != nil || address.Zone() != "" {
				return in, fmt.Errorf("%.80q is no network; write one as 192.0.2.0/24 or 2001:db8::/32", n)
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		if prefix.Overlaps(netip.MustParsePrefix("240.0.0.0/4")) || prefix.Overlaps(netip.MustParsePrefix("3fff::/20")) {
			return in, fmt.Errorf("%.80q holds addresses that pseudonyms are made of (240.0.0.0/4 and 3fff::/20); name a smaller network", n)
		}
		in.Networks = append(in.Networks, prefix.Masked())
	}
	for _, d := range domains {
		name := strings.ToLower(strings.Trim(d, "."))
		if !hostName(name) {
			return in, fmt.Errorf("%.80q is no domain; write one as corp.example", d)
		}
		in.Domains = append(in.Domains, name)
	}
	return in, nil
}

// always are the networks that are nobody's but the local ones.
func always() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10"),
	}
}

// inside is Internal made ready to be asked.
type inside struct {
	networks []netip.Prefix
	domains  []string
}

func (in Internal) ready() inside {
	out := inside{networks: append(always(), in.Networks...), domains: []string{"internal", "local", "lan", "corp", "home.arpa"}}
	for _, d := range in.Domains {
		out.domains = append(out.domains, strings.ToLower(strings.Trim(d, ".")))
	}
	return out
}

// address reports whether an address or network is within, or has one within. What
// spans half of all addresses says nothing of anybody.
func (in *inside) address(p netip.Prefix) bool {
	address := p.Addr().WithZone("").Unmap()
	bits := p.Bits()
	if p.Addr().Is4In6() {
		bits -= 96
	}
	for _, n := range in.networks {
		if n.Contains(address) && bits >= n.Bits() {
			return true
		}
		if n.Addr().BitLen() == address.BitLen() && bits < n.Bits() && bits >= 8 && netip.PrefixFrom(address, bits).Contains(n.Addr()) {
			return true
		}
	}
	return false
}

// name reports whether a host name of two words or more, in lower case, is
// within. Names for addresses within are.
func (in *inside) name(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, d := range in.domains {
		if host == d || strings.HasSuffix(host, "."+d) {
			return true
		}
	}
	return in.reverse(host)
}

// reverse reads names for addresses, which RFC 1035 and RFC 3596 write backwards.
func (in *inside) reverse(host string) bool {
	if labels, ok := strings.CutSuffix(host, ".in-addr.arpa"); ok {
		parts := strings.Split(labels, ".")
		slices.Reverse(parts)
		bits := 8 * len(parts)
		for len(parts) < 4 {
			parts = append(parts, "0")
		}
		address, err := netip.ParseAddr(strings.Join(parts, "."))
		return err == nil && in.address(netip.PrefixFrom(address, bits))
	}
	if labels, ok := strings.CutSuffix(host, ".ip6.arpa"); ok {
		digits := strings.Split(labels, ".")
		slices.Reverse(digits)
		bits := 4 * len(digits)
		if bits > 128 || strings.Join(digits, "") == "" {
			return false
		}
		text := strings.Join(digits, "") + strings.Repeat("0", 32-len(digits))
		if len(text) != 32 {
			return false
		}
		var b strings.Builder
		for i := 0; i < 32; i += 4 {
			if i > 0 {
				b.WriteByte(':')
			}
			b.WriteString(text[i : i+4])
		}
		address, err := netip.ParseAddr(b.String())
		return err == nil && in.address(netip.PrefixFrom(address, bits))
	}
	return false
}

// hostName reports whether text has the form of a host name.
func hostName(text string) bool {
	if len(text) == 0 || len(text) > 253 {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if len(label) == 0 || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return false
		}
	}
	return true
}
