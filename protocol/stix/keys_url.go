package stix

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// normalURL brings a URL to its normal form, or host/path where it has no
// scheme. It is written out here rather than with net/url: what circulates as
// URLs of malware is seldom valid, and must not be lost for that.
func normalURL(value string) (string, error) {
	scheme, rest, found := strings.Cut(value, "://")
	if !found {
		if strings.HasPrefix(value, "//") || !strings.ContainsAny(value, "/?") {
			return "", fmt.Errorf("%s is not a URL like https://example.com/path", clip(value))
		}
		scheme, rest = "", value
	} else if scheme = strings.ToLower(scheme); !validScheme(scheme) {
		if !strings.ContainsAny(scheme, "/?") {
			return "", fmt.Errorf("%s does not begin with a scheme like https", clip(value))
		}
		// A second URL in the query of one without scheme.
		scheme, rest = "", value
	}
	rest, _, _ = strings.Cut(rest, "#")
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	var b strings.Builder
	if scheme != "" {
		b.WriteString(scheme)
		b.WriteString("://")
	}
	if authority != "" || scheme != "file" {
		if err := writeAuthority(&b, scheme, authority); err != nil {
			return "", err
		}
	}
	if !strings.HasPrefix(path, "/") {
		b.WriteByte('/')
	}
	writeEscaped(&b, path)
	return b.String(), nil
}

func validScheme(s string) bool {
	if s == "" || len(s) > 32 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

// writeAuthority writes user@host:port.
func writeAuthority(b *strings.Builder, scheme, authority string) error {
	host := authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		if scheme == "" {
			return errors.New("a URL with a user needs its scheme")
		}
		writeEscaped(b, authority[:at])
		b.WriteByte('@')
		host = authority[at+1:]
	}
	host, port, err := splitPort(host)
	if err != nil {
		return err
	}
	switch prefix, err := normalPrefix(host); {
	case strings.HasPrefix(host, "["):
		prefix, err = normalPrefix(strings.Trim(host, "[]"))
		if err != nil {
			return err
		}
		// An IPv4 address in brackets is left as what it maps to.
		if prefix.Addr().Is4() {
			b.WriteString(prefix.Addr().String())
		} else {
			b.WriteString("[" + prefix.Addr().String() + "]")
		}
	case err == nil && prefix.Addr().Is4():
		b.WriteString(prefix.Addr().String())
	default:
		name, err := normalDomain(host)
		if err != nil {
			return err
		}
		b.WriteString(name)
	}
	if port != "" && port != defaultPort(scheme) {
		b.WriteString(":" + port)
	}
	return nil
}

// splitPort takes host, host:port, [v6] and [v6]:port apart. The port comes
// back without leading zeros, or empty.
func splitPort(host string) (name, port string, err error) {
	i := strings.LastIndexByte(host, ':')
	if strings.HasSuffix(host, "]") || i < 0 {
		return host, "", nil
	}
	name, port = host[:i], host[i+1:]
	if port == "" {
		return name, "", nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", "", fmt.Errorf("%s is not a port", clip(port))
	}
	return name, strconv.FormatUint(n, 10), nil
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	case "ftp":
		return "21"
	}
	return ""
}

// writeEscaped writes path and query with as few escapes as RFC 3986 allows:
// %41 becomes A, a lone % and what may not stand in a URL are escaped.
func writeEscaped(b *strings.Builder, s string) {
	const upper = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		c, escaped := s[i], false
		if c == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				c, escaped = byte(n), true
				i += 2
			}
		}
		if unreserved(c) || !escaped && strings.IndexByte("!$&'()*+,;=:@/?", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(upper[c>>4])
		b.WriteByte(upper[c&15])
	}
}

func unreserved(c byte) bool {
	return nameByte(c) || c == '-' || c == '.' || c == '~'
}
