package stix

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"

	"entente/protocol"
)

// ParseKey recognises what a person typed or a log holds: address, network,
// domain, URL, e-mail address, digest, hardware address, AS number, name of a
// file. Blanks, quotes and angle brackets around it, a port after an address
// or host, and defanged forms (hxxp, [.], (dot), [at]) are taken.
//
// A prefix forces the kind where a value could be several: ip, cidr, domain,
// url, email, hash (or md5, sha1, sha256, sha512), mac, asn, name (or
// file-name), mutex, other (or serial, registry, path, account), each with a
// colon. After name, mutex and other the value is taken as it is.
//
// The error is of kind Invalid, and its hint names the prefixes.
func ParseKey(value string) (Key, error) {
	const hint = "put the kind before it: ip: cidr: domain: url: email: hash: mac: asn: name: mutex: other:"
	key, err := parseKey(value)
	if err != nil {
		return Key{}, protocol.E(protocol.Invalid, "look at "+clip(value), err, hint)
	}
	return key, nil
}

func parseKey(value string) (Key, error) {
	if len(value) > maxKeyValue {
		return Key{}, errNoKey("%d bytes are over the limit of %d", len(value), maxKeyValue)
	}
	if !utf8.ValidString(value) {
		return Key{}, errors.New("not valid UTF-8")
	}
	value = unwrap(value)
	if value == "" {
		return Key{}, errors.New("nothing to look up")
	}
	if kind, what, rest := forced(value); kind != 0 {
		return forcedKey(kind, what, rest)
	}
	return detect(refang(value))
}

// unwrap removes blanks, quotes and brackets around a value, and what
// separated it from the next one.
func unwrap(value string) string {
	pairs := [...][2]string{{`"`, `"`}, {"'", "'"}, {"`", "`"}, {"<", ">"}, {"“", "”"}, {"‘", "’"}, {"«", "»"}}
	for range 4 {
		before := value
		value = strings.TrimRight(strings.TrimSpace(value), ",;")
		for _, p := range pairs {
			if len(value) >= len(p[0])+len(p[1]) && strings.HasPrefix(value, p[0]) && strings.HasSuffix(value, p[1]) {
				value = value[len(p[0]) : len(value)-len(p[1])]
			}
		}
		if value == before {
			break
		}
	}
	return value
}

// forced splits kind:value. The kind is 0 where there is no such prefix.
func forced(value string) (kind KeyKind, what, rest string) {
	prefix, rest, found := strings.Cut(value, ":")
	if !found || len(prefix) > len("file-name") || strings.HasPrefix(rest, "//") {
		return 0, "", value
	}
	switch prefix = strings.ToLower(prefix); prefix {
	case "md5", "sha1", "sha-1", "sha224", "sha256", "sha-256", "sha384", "sha512", "sha-512", "ssdeep", "tlsh":
		kind = KeyHash
	case "name", "filename":
		kind = KeyFileName
	case "mailto":
		kind = KeyEmail
	case OtherSerial, OtherRegistry, OtherPath, OtherAccount:
		kind, what = KeyOther, prefix
	default:
		var err error
		if kind, err = ParseKeyKind(prefix); err != nil {
			return 0, "", value
		}
	}
	return kind, what, unwrap(rest)
}

func forcedKey(kind KeyKind, what, rest string) (Key, error) {
	switch kind {
	case KeyOther:
		if what == "" {
			return NewKey(KeyOther, rest)
		}
		return OtherKey(what, rest)
	case KeyFileName, KeyMutex, KeyHash, KeyMAC, KeyASN:
		return NewKey(kind, rest)
	}
	rest = refang(rest)
	key, err := NewKey(kind, rest)
	if err != nil && kind == KeyURL && !strings.Contains(rest, "://") {
		// What was forced to be a URL may be a bare host.
		return NewKey(KeyURL, rest+"/")
	}
	return key, err
}

// refang undoes what people do to make a value harmless. Round brackets and
// words count before the first slash only: behind it they may be part of a
// path, while square brackets cannot stand there.
func refang(value string) string {
	for _, separator := range [...]string{"[://]", "[:]//", "[:/]/", "[:]\\\\", ":\\\\", "(:)//", "[:]/", "://"} {
		scheme, rest, found := strings.Cut(value, separator)
		if found && len(scheme) > 1 && len(scheme) <= 12 && !strings.ContainsAny(scheme, ":/") {
			return refangScheme(scheme) + "://" + refangHost(rest)
		}
	}
	return refangHost(value)
}

func refangScheme(scheme string) string {
	switch lower := strings.Trim(strings.ToLower(scheme), "[]()"); lower {
	case "hxxp", "hxtp", "htxp", "xxxx", "meow", "h**p", "hxp":
		return "http"
	case "hxxps", "hxtps", "htxps", "meows", "h**ps", "hxps":
		return "https"
	case "fxp", "fxps":
		return strings.Replace(lower, "x", "t", 1)
	default:
		return lower
	}
}

func refangHost(value string) string {
	i := strings.IndexByte(value, '/')
	if strings.Contains(value, "[/]") {
		value = strings.ReplaceAll(value, "[/]", "/")
		i = strings.IndexByte(value, '/')
	}
	if i < 0 {
		i = len(value)
	}
	head, tail := value[:i], value[i:]
	if !ascii(head) {
		// The full stops of East Asian writing, which IDNA takes for dots.
		head = strings.NewReplacer("。", ".", "．", ".", "｡", ".").Replace(head)
	}
	if strings.ContainsAny(head, "[]({\\") {
		head = replaceFold(head,
			"[.]", ".", "(.)", ".", "{.}", ".", "[.", ".", ".]", ".", `\.`, ".",
			"[dot]", ".", "(dot)", ".", "{dot}", ".", "[d]", ".",
			"[@]", "@", "[at]", "@", "(at)", "@", "(@)", "@", "{at}", "@", "[:]", ":")
	}
	if strings.Contains(tail, "[") {
		tail = replaceFold(tail, "[.]", ".", "[dot]", ".", "[:]", ":")
	}
	return head + tail
}

// replaceFold replaces each even argument by the odd one after it, whatever
// the case of its letters.
func replaceFold(s string, pairs ...string) string {
	lower := strings.ToLower(s)
	if len(lower) != len(s) {
		lower = s // a letter whose lower case is longer: match as it is
	}
	var b strings.Builder
next:
	for i := 0; i < len(s); {
		for p := 0; p < len(pairs); p += 2 {
			if strings.HasPrefix(lower[i:], pairs[p]) {
				b.WriteString(pairs[p+1])
				i += len(pairs[p])
				continue next
			}
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// detect tries the kinds, the most particular one first.
func detect(value string) (Key, error) {
	if strings.Contains(value, "://") {
		return NewKey(KeyURL, value)
	}
	if key, ok := detectDigits(value); ok {
		return key, nil
	}
	if addr, err := netip.ParseAddrPort(value); err == nil {
		return NewKey(KeyIP, addr.Addr().String())
	}
	if inner, ok := strings.CutPrefix(value, "["); ok && strings.HasSuffix(inner, "]") {
		return NewKey(KeyIP, strings.TrimSuffix(inner, "]"))
	}
	if head, tail, found := strings.Cut(value, "/"); found {
		return detectSlash(value, head, tail)
	}
	if strings.Contains(value, "@") {
		return NewKey(KeyEmail, value)
	}
	if len(value) > 2 && strings.EqualFold(value[:2], "AS") && strings.Trim(value[2:], "0123456789") == "" {
		return NewKey(KeyASN, value)
	}
	return detectName(value)
}

// detectDigits tries the kinds that consist of digits.
func detectDigits(value string) (Key, bool) {
	if numeric(value) {
		if key, err := NewKey(KeyIP, value); err == nil {
			return key, true
		}
	}
	if len(value) == len("02:00:5e:00:53:01") || len(value) == len("0200.5e00.5301") {
		if key, err := NewKey(KeyMAC, value); err == nil {
			return key, true
		}
	}
	if len(value) >= 32 || strings.Count(value, ":") == 2 {
		if key, err := NewKey(KeyHash, value); err == nil {
			return key, true
		}
	}
	return Key{}, false
}

// detectSlash tells networks from URLs without a scheme.
func detectSlash(value, head, tail string) (Key, error) {
	_, err := netip.ParseAddr(head)
	if err == nil && strings.Trim(tail, "0123456789") == "" && tail != "" {
		return NewKey(KeyCIDR, value)
	}
	if !strings.Contains(head, ".") {
		return Key{}, errors.New("not recognised: nothing before the slash is a host")
	}
	return NewKey(KeyURL, value)
}

// detectName tells host names, with or without a port, from names of files.
func detectName(value string) (Key, error) {
	host, port, found := strings.Cut(value, ":")
	if found && port != "" && strings.Trim(port, "0123456789") == "" {
		value = host
	}
	if !strings.Contains(strings.TrimSuffix(value, "."), ".") {
		return Key{}, errors.New("not recognised as an address, domain, URL, e-mail address or digest")
	}
	if !found && fileExtension(value[strings.LastIndexByte(value, '.')+1:]) && !strings.ContainsAny(value, `\/`) {
		return NewKey(KeyFileName, value)
	}
	return NewKey(KeyDomain, value)
}

// fileExtension reports whether a name with this ending is a file: endings
// that are common in indicators and no top-level domain.
func fileExtension(ending string) bool {
	switch strings.ToLower(ending) {
	case "exe", "dll", "sys", "bat", "cmd", "vbs", "vbe", "ps1", "psm1", "js", "jse", "wsf", "hta", "lnk", "scr", "cpl",
		"doc", "docx", "docm", "dot", "dotm", "xls", "xlsx", "xlsm", "xlsb", "ppt", "pptx", "pptm", "pdf", "rtf",
		"jar", "apk", "msi", "iso", "img", "txt", "log", "dat", "bin", "tmp", "ini", "cfg", "rar", "7z", "gz", "tar", "dmg", "elf",
		"php", "asp", "aspx", "jsp", "htm", "html", "xml", "json", "png", "jpg", "jpeg", "gif", "bmp", "swf", "ocx", "chm", "eml", "vbscript":
		return true
	}
	return false
}
