package stix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"entente/protocol"
)

func TestParseKey(t *testing.T) {
	const md5, sha256 = "d41d8cd98f00b204e9800998ecf8427e", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, c := range [][2]string{
		{"198.51.100.1", "ip:198.51.100.1"},
		{" 198.51.100.1\n", "ip:198.51.100.1"},
		{`"198.51.100.1",`, "ip:198.51.100.1"},
		{"198[.]51[.]100[.]1", "ip:198.51.100.1"},
		{"198.51.100[.]1:8080", "ip:198.51.100.1"},
		{"198.51.100.1:8080", "ip:198.51.100.1"},
		{"198.51.100.1/32", "ip:198.51.100.1"},
		{"::ffff:198.51.100.1", "ip:198.51.100.1"},
		{"2001:DB8::1", "ip:2001:db8::1"},
		{"[2001:db8::1]", "ip:2001:db8::1"},
		{"[2001:db8::1]:443", "ip:2001:db8::1"},
		{"2001[:]db8[:][:]1", "ip:2001:db8::1"},
		{"198.51.100.77/24", "cidr:198.51.100.0/24"},
		{"2001:db8::1/32", "cidr:2001:db8::/32"},
		{"::ffff:198.51.100.7/120", "cidr:198.51.100.0/24"},
		{"0.0.0.0/0", "cidr:0.0.0.0/0"},
		{"Evil.Example.COM.", "domain:evil.example.com"},
		{"evil[.]example(.)com", "domain:evil.example.com"},
		{"evil[dot]example(DOT)com", "domain:evil.example.com"},
		{"evil[.example.]com", "domain:evil.example.com"},
		{`evil\.example\.com`, "domain:evil.example.com"},
		{"evil.example.com:8443", "domain:evil.example.com"},
		{"_dmarc.example.com", "domain:_dmarc.example.com"},
		{"-odd-.example.com", "domain:-odd-.example.com"},
		{"bücher.example", "domain:xn--bcher-kva.example"},
		{"BÜCHER。example", "domain:xn--bcher-kva.example"},
		{"fußball.example", "domain:xn--fuball-cta.example"},
		{"domain:localhost", "domain:localhost"},
		{"DOMAIN: run.exe", "domain:run.exe"},
		{"https://example.com", "url:https://example.com/"},
		{"hxxps[:]//evil[.]example.com/A%7e%2f", "url:https://evil.example.com/A~%2F"},
		{"hXXp://evil.example.com:80/?Q=1#frag", "url:http://evil.example.com/?Q=1"},
		{"hxxp[://]evil.example[.]com", "url:http://evil.example.com/"},
		{"http://user:pw@Example.com:8080/", "url:http://user:pw@example.com:8080/"},
		{"https://example.com:0443/a b", "url:https://example.com/a%20b"},
		{"http://example.com/50%", "url:http://example.com/50%25"},
		{"http://example.com/ж", "url:http://example.com/%D0%B6"},
		{"http://[2001:DB8::1]:80/x", "url:http://[2001:db8::1]/x"},
		{"http://198.51.100.1/x(.)y", "url:http://198.51.100.1/x(.)y"},
		{"ftp://example.com:21/x", "url:ftp://example.com/x"},
		{"<https://example.com/>", "url:https://example.com/"},
		{"example.com/gate.php?u=http://a.example/", "url:example.com/gate.php?u=http://a.example/"},
		{"Example.com/Gate", "url:example.com/Gate"},
		{"198.51.100.1/x", "url:198.51.100.1/x"},
		{"url:example.com", "url:example.com/"},
		{"file:///C:/x", "url:file:///C:/x"},
		{"Some.One@Example.COM", "email:some.one@example.com"},
		{"someone[@]example[.]com", "email:someone@example.com"},
		{"someone[at]example[dot]com", "email:someone@example.com"},
		{"mailto:someone@example.com", "email:someone@example.com"},
		{"a@[198.51.100.1]", "email:a@[198.51.100.1]"},
		{"a@bücher.example", "email:a@xn--bcher-kva.example"},
		{strings.ToUpper(md5), "hash:" + md5},
		{"MD5: " + md5, "hash:" + md5},
		{"sha256:" + sha256, "hash:" + sha256},
		{"T1" + strings.Repeat("AB", 35), "hash:" + strings.Repeat("ab", 35)},
		{"3:AXGBicFlgVNhBGcL6wCrFQEv:AXGHsNhxLsr2C", "hash:3:AXGBicFlgVNhBGcL6wCrFQEv:AXGHsNhxLsr2C"},
		{"02-00-5E-00-53-01", "mac:02:00:5e:00:53:01"},
		{"0200.5e00.5301", "mac:02:00:5e:00:53:01"},
		{"mac:02005E005301", "mac:02:00:5e:00:53:01"},
		{"AS64496", "asn:64496"},
		{"asn:64496", "asn:64496"},
		{"Evil.EXE", "file-name:evil.exe"},
		{"name:Evil.com", "file-name:evil.com"},
		{"file-name:x", "file-name:x"},
		{`mutex:Global\Evil`, `mutex:Global\Evil`},
		{"serial:02:0A", "other:serial:20a"},
		{"other:account:Root", "other:account:root"},
		{`registry:HKLM\Software\X`, `other:registry:hkey_local_machine\software\x`},
	} {
		key, err := ParseKey(c[0])
		if err != nil || key.String() != c[1] {
			t.Errorf("ParseKey(%q) = %v, %v; want %s", c[0], key, err, c[1])
			continue
		}
		// What is printed is taken, and is the same key.
		if again, err := ParseKey(key.String()); err != nil || again != key {
			t.Errorf("ParseKey(%q) = %v, %v; want %v", key.String(), again, err, key)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for _, value := range []string{
		"", "  ", `""`, "word", "two words", "1234", "198.51.100", "198.51.100.256", "198.51.100.1/33", "198.051.100.1", "fe80::1%eth0",
		"1.2.3.4.5", "example..com", ".example.com", "*.example.com", "exa mple.com", strings.Repeat("a", 64) + ".com", strings.Repeat("a.", 127) + "com",
		"http://", "http:///x", "http://a..b/", "http://example.com:99999/", "http://example.com:x/", "://example.com", "1http://example.com",
		"@example.com", "a@", "a@b@", "a b@example.com", "a@[example.com]", "mac:02:00:5e", "asn:4294967296", "asn:-1", "AS",
		strings.Repeat("a", 33), "hash:" + strings.Repeat("a", 33), "md5:xyz", "ip:example.com", "ip:198.51.100.0/24", "cidr:x", "email:x", "domain:",
		"other:thing", "other:colour:red", "serial:", "\xff\xfe", strings.Repeat("x", 8<<10+1), "name:", "a/b",
	} {
		key, err := ParseKey(value)
		if protocol.KindOf(err) != protocol.Invalid || protocol.HintOf(err) == "" || key != (Key{}) {
			t.Errorf("ParseKey(%q) = %v, %v", value, key, err)
		}
	}
}

func TestKeyKinds(t *testing.T) {
	want := []string{"ip", "cidr", "domain", "url", "email", "hash", "mac", "asn", "file-name", "mutex", "other"}
	for i, name := range want {
		kind, err := ParseKeyKind(name)
		if err != nil || int(kind) != i+1 || kind.String() != name {
			t.Errorf("%s is %d, %v", name, kind, err)
		}
	}
	for _, name := range []string{"", "IP", "kind 0", "ipv4"} {
		if _, err := ParseKeyKind(name); protocol.KindOf(err) != protocol.Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
	if KeyKind(0).String() != "kind 0" || KeyKind(200).String() != "kind 200" {
		t.Error("unknown kinds have names")
	}
}

// hashes makes a dictionary of algorithms and digests in turn.
func hashes(pairs ...string) []byte {
	var members []string
	for i := 0; i < len(pairs); i += 2 {
		members = append(members, fmt.Sprintf("%q:%q", pairs[i], pairs[i+1]))
	}
	return []byte("{" + strings.Join(members, ",") + "}")
}

func TestObjectKeys(t *testing.T) {
	const md5, sha1 = "D41D8CD98F00B204E9800998ECF8427E", "da39a3ee5e6b4b0d3255bfef95601890afd80709"
	for _, c := range []struct {
		kind    string
		details details
		want    string
	}{
		{"ipv4-addr", details{value: "198.51.100.1"}, "ip:198.51.100.1"},
		{"ipv4-addr", details{value: "198.51.100.1/24"}, "cidr:198.51.100.0/24"},
		{"ipv6-addr", details{value: "2001:DB8::1"}, "ip:2001:db8::1"},
		{"domain-name", details{value: "Example.COM"}, "domain:example.com"},
		{"url", details{value: "http://Example.COM"}, "url:http://example.com/"},
		{"url", details{value: "example.com"}, "domain:example.com"},
		{"email-addr", details{value: "A@Example.COM"}, "email:a@example.com"},
		{"mac-addr", details{value: "02:00:5e:00:53:01"}, "mac:02:00:5e:00:53:01"},
		{"autonomous-system", details{number: 64496}, "asn:64496"},
		{"autonomous-system", details{}, ""},
		{"mutex", details{name: "Evil"}, "mutex:Evil"},
		{"file", details{name: "A.exe", hashes: hashes("SHA-1", sha1, "MD5", md5, "x-twin", md5, "x", "zz")},
			"hash:" + strings.ToLower(md5) + " hash:" + sha1 + " file-name:a.exe"},
		{"artifact", details{hashes: hashes("MD5", md5)}, "hash:" + strings.ToLower(md5)},
		{"x509-certificate", details{serial: "02:0a", hashes: hashes("SHA-1", sha1)}, "hash:" + sha1 + " other:serial:20a"},
		{"windows-registry-key", details{value: `HKCU\X`}, `other:registry:hkey_current_user\x`},
		{"directory", details{value: "/tmp/"}, "other:path:/tmp"},
		{"user-account", details{value: "Root"}, "other:account:root"},
		{"malware", details{name: "evil.exe", value: "198.51.100.1"}, ""},
		{"ipv4-addr", details{value: "nonsense"}, ""},
	} {
		var got []string
		o := &Object{Type: c.kind, details: c.details}
		for _, k := range o.Keys() {
			got = append(got, k.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s %+v: %v, want %s", c.kind, c.details, got, c.want)
		}
	}
}

func TestKeysAreBounded(t *testing.T) {
	p, err := ParsePattern("[autonomous-system:number IN (5,4,3,2,1,1,1)]")
	if err != nil {
		t.Fatal(err)
	}
	keys, dropped := p.KeysUpTo(3)
	if len(keys) != 3 || dropped != 2 || keys[0].Value != "1" || keys[2].Value != "3" {
		t.Errorf("%v, %d left out", keys, dropped)
	}
	if keys, dropped := p.KeysUpTo(5); len(keys) != 5 || dropped != 0 {
		t.Errorf("%v, %d left out", keys, dropped)
	}
}

// drawValue makes a value that often is one of some kind, often nearly.
func drawValue(t *rapid.T) string {
	part := rapid.SampledFrom([]string{"http", "hxxps", "://", "[:]//", "198.51.100.1", "198.51", "2001:db8::1", "[", "]", "/", "/24", "/33", ":80", ":", "@",
		"example", "Example", ".com", ".", "[.]", "(dot)", "%", "%41", "%2f", "%zz", "?", "#", "&", "=", "bücher", "İ", "ß", "ﬀ", "\u0301", "。", "xn--a", "_", "-", " ", "\x00", `\`, `"`, "'",
		"d41d8cd98f00b204e9800998ecf8427e", "AS1", "md5:", "url:", "name:", "other:serial:", "00", "::ffff:", "[::1]", "exe", "9", "<", ">"})
	return strings.Join(rapid.SliceOfN(part, 1, 8).Draw(t, "value"), "")
}

// checkKey holds what must be true of every key.
func checkKey(t interface{ Fatalf(string, ...any) }, k Key) {
	if again, err := NewKey(k.Kind, k.Value); err != nil || again != k {
		t.Fatalf("%v is not its own normal form: %v, %v", k, again, err)
	}
	if (k.Kind == KeyIP || k.Kind == KeyCIDR) != k.Prefix.IsValid() || k.Kind == KeyIP && !k.Prefix.IsSingleIP() {
		t.Fatalf("%v has prefix %v", k, k.Prefix)
	}
}

func TestNormalFormIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := drawValue(t)
		for kind := KeyIP; kind <= KeyOther; kind++ {
			if key, err := NewKey(kind, value); err == nil {
				checkKey(t, key)
			}
		}
		if key, err := ParseKey(value); err == nil {
			checkKey(t, key)
		}
	})
}

func TestIndexForm(t *testing.T) {
	values := rapid.OneOf(
		rapid.StringOfN(rapid.SampledFrom([]rune("ab\x00\x01\x02\u00ff")), 0, 6, -1),
		rapid.Map(rapid.IntRange(158, 205), func(n int) string { return strings.Repeat("a", n) }),
		rapid.Map(rapid.IntRange(158, 205), func(n int) string { return strings.Repeat("a", n) + "\x00b" }),
	)
	addresses := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 127, 255}), 16, 16), func(b []byte) netip.Addr {
		a := netip.AddrFrom16([16]byte(b))
		if b[0] == 0 {
			a = netip.AddrFrom4([4]byte(b[12:]))
		}
		return a
	})
	key := rapid.Custom(func(t *rapid.T) Key {
		if rapid.Bool().Draw(t, "address") {
			a := addresses.Draw(t, "a")
			k, err := networkKey(KeyCIDR, netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")).String())
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		return Key{Kind: rapid.SampledFrom([]KeyKind{KeyDomain, KeyURL}).Draw(t, "kind"), Value: values.Draw(t, "value")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := key.Draw(t, "a"), key.Draw(t, "b")
		x, y := AppendKey(nil, a), AppendKey([]byte("z"), b)[1:]
		if bytes.Equal(x, y) != (a == b) {
			t.Fatalf("%v and %v: %x and %x", a, b, x, y)
		}
		if a != b && (bytes.HasPrefix(x, y) || bytes.HasPrefix(y, x)) {
			t.Fatalf("the form of one of %v and %v begins that of the other", a, b)
		}
		if a.Kind == b.Kind && a.Kind >= KeyDomain && len(a.Value) <= indexPrefix && len(b.Value) <= indexPrefix &&
			bytes.Compare(x, y) != strings.Compare(a.Value, b.Value) {
			t.Fatalf("%v and %v are not in order", a, b)
		}
		if a.Kind == KeyCIDR && b.Kind == KeyIP && a.Prefix.Addr().Is4() == b.Prefix.Addr().Is4() {
			first, last := AddressRange(a.Prefix)
			inside := bytes.Compare(first, y) <= 0 && bytes.Compare(y, last) <= 0
			if inside != a.Prefix.Contains(b.Prefix.Addr()) || inside != slices.Contains(Enclosing(b), a) {
				t.Fatalf("%v in %v: %v", b, a, inside)
			}
		}
	})
}

func TestIndexFormBounds(t *testing.T) {
	long := Key{Kind: KeyURL, Value: strings.Repeat("\x00", 8<<10)}
	if n := len(AppendKey(nil, long)); n > 1+2*indexPrefix+2+32 {
		t.Errorf("%d bytes", n)
	}
	other := Key{Kind: KeyURL, Value: long.Value + "x"}
	if bytes.Equal(AppendKey(nil, long), AppendKey(nil, other)) {
		t.Error("two long values have one form")
	}
	// The form is stored, so it is fixed here byte for byte.
	for _, c := range []struct{ value, form string }{
		{"198.51.100.1", "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc6\x33\x64\x01"},
		{"198.51.100.0/24", "\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc6\x33\x64\x00\x78"},
		{"2001:db8::/32", "\x02\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x20"},
		{"example.com", "\x03example.com\x00\x01"},
		{"mutex:a\x00b", "\x0aa\x00\xffb\x00\x01"},
	} {
		key, err := ParseKey(c.value)
		if form := string(AppendKey(nil, key)); err != nil || form != c.form {
			t.Errorf("%s: %x, %v; want %x", c.value, form, err, c.form)
		}
	}
}

// TestRealValues runs over the attributes of events that a vendor published.
// What their writer calls an address, domain, digest or URL must be read as
// one; the few that are not are broken at the source, and are shown.
func TestRealValues(t *testing.T) {
	files, err := filepath.Glob("../../../shared/data/misp-events/*.json")
	if err != nil || len(files) == 0 {
		t.Skip("real events are not here: ../../../shared/data/misp-events")
	}
	kinds := map[string]KeyKind{"ip-dst": KeyIP, "ip-src": KeyIP, "domain": KeyDomain, "hostname": KeyDomain, "url": KeyURL,
		"md5": KeyHash, "sha1": KeyHash, "sha256": KeyHash, "email-src": KeyEmail, "email-dst": KeyEmail, "ssdeep": KeyHash}
	type attribute struct{ Type, Value string }
	type event struct {
		Attribute []attribute
		Object    []struct{ Attribute []attribute }
	}
	read, all, misses := 0, 0, 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var one struct {
			Event    event
			Response json.RawMessage
		}
		if err := json.Unmarshal(raw, &one); err != nil {
			t.Logf("%s is not JSON: %v", filepath.Base(file), err)
			continue
		}
		events := []event{one.Event}
		var list []struct{ Event event }
		if json.Unmarshal(one.Response, &list) == nil {
			for _, e := range list {
				events = append(events, e.Event)
			}
		}
		for _, e := range events {
			attributes := e.Attribute
			for _, o := range e.Object {
				attributes = append(attributes, o.Attribute...)
			}
			for _, a := range attributes {
				want, known := kinds[a.Type]
				if !known {
					continue
				}
				all++
				if key, err := ParseKey(a.Value); err == nil && key.Kind == want {
					read++
				} else if misses++; misses <= 20 {
					t.Logf("%s %q: %v, %v", a.Type, a.Value, key, err)
				}
			}
		}
	}
	t.Logf("%d of %d values read as what their writer says", read, all)
	if all == 0 || read*100 < all*98 {
		t.Errorf("only %d of %d values are read as what their writer says", read, all)
	}
}

func FuzzParseKey(f *testing.F) {
	for _, value := range []string{"198.51.100.1", "hxxps[:]//evil[.]example.com/%41", "bücher.example", "a@[::1]", "name:x", "AS1", "::ffff:1.2.3.4/96", "1.2.3.4:80",
		"3:AXGBicFlgVNhBGcL6wCrFQEv:AXGHsNhxLsr2C", "other:registry:hklm\\x", "example.com/a?b=http://c", "d41d8cd98f00b204e9800998ecf8427e"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		key, err := ParseKey(value)
		if err != nil {
			return
		}
		checkKey(t, key)
		AppendKey(nil, key)
		if key.Kind == KeyURL || key.Kind == KeyIP || key.Kind == KeyCIDR || key.Kind == KeyDomain || key.Kind == KeyHash {
			if again, err := ParseKey(key.String()); err != nil || again != key {
				t.Fatalf("%q is %v, which is read as %v, %v", value, key, again, err)
			}
		}
	})
}

func BenchmarkParseKey(b *testing.B) {
	for _, value := range []string{"198.51.100.1", "evil.example.com", "hxxps://evil[.]example[.]com/gate.php?id=1", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"} {
		b.Run(value, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseKey(value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
