package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"entente/protocol"
	"entente/protocol/stix"
)

// found looks a value up and returns the ids of what bears it, sorted, without
// repetition.
func found(t testing.TB, s *Store, value string) []string {
	t.Helper()
	key, err := stix.ParseKey(value)
	if err != nil {
		t.Fatal(err)
	}
	hits, err := s.Lookup([]stix.Key{key})
	if err != nil {
		t.Fatalf("%s: %v", value, err)
	}
	var ids []string
	for _, h := range hits[0] {
		ids = append(ids, h.Brief.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// TestLookup asks for values in the forms that people type, for what bears
// them, and for what is near but another.
func TestLookup(t *testing.T) {
	patterns := []string{
		0:  "[ipv4-addr:value = '198.51.100.7']",
		1:  "[ipv4-addr:value = '198.51.100.0/24']",
		2:  "[ipv4-addr:value = '198.51.0.0/16']",
		3:  "[ipv4-addr:value = '198.51.101.7']",
		4:  "[ipv6-addr:value = '2001:db8::7']",
		5:  "[ipv6-addr:value = '2001:db8::/64']",
		6:  "[ipv6-addr:value = '2001:db8::/32']",
		7:  "[domain-name:value = 'example.com']",
		8:  "[domain-name:value = 'sub.example.com']",
		9:  "[url:value = 'http://example.com/a?b=c']",
		10: "[url:value = 'http://example.com/']",
		11: "[email-addr:value = 'someone@example.com']",
		12: "[file:hashes.'SHA-256' = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855']",
		13: "[file:hashes.MD5 = 'D41D8CD98F00B204E9800998ECF8427E']",
		14: "[ipv4-addr:value = '203.0.113.1' OR domain-name:value = 'both.example']",
		15: "[ipv4-addr:value = '0.0.0.0/0']",
	}
	both(t, func(t *testing.T, cfg Config) {
		s := openLab(t, cfg)
		running(t, s)
		a := newAuthor(t, cfg.Codec, "a", "feed")
		var objects [][]byte
		for n, p := range patterns {
			objects = append(objects, indicator(n, 1, p))
		}
		put(t, s, a.next(objects...))
		settled(t, s)
		for value, want := range map[string][]int{
			"198.51.100.7":               {0, 1, 2, 15},
			"198[.]51[.]100[.]7":         {0, 1, 2, 15},
			"198.51.100.8":               {1, 2, 15},
			"198.51.101.7":               {2, 3, 15},
			"198.51.100.0/24":            {0, 1, 2, 15},
			"198.51.100.0/25":            {0, 1, 2, 15},
			"198.51.100.128/25":          {1, 2, 15},
			"198.51.0.0/16":              {0, 1, 2, 3, 15},
			"198.48.0.0/12":              {0, 1, 2, 3, 15},
			"198.51.102.0/24":            {2, 15},
			"192.0.2.1":                  {15},
			"0.0.0.0/0":                  {0, 1, 2, 3, 14, 15},
			"2001:db8::7":                {4, 5, 6},
			"2001:0DB8:0::0007":          {4, 5, 6},
			"2001:db8::8":                {5, 6},
			"2001:db8:0:1::7":            {6},
			"2001:db8::/64":              {4, 5, 6},
			"2001:db8::/48":              {4, 5, 6},
			"2001:db8::/16":              {4, 5, 6},
			"2001:db9::/32":              nil,
			"::/0":                       {4, 5, 6},
			"::ffff:198.51.100.7":        {0, 1, 2, 15},
			"example.com":                {7},
			"EXAMPLE.com.":               {7},
			"sub.example.com":            {8},
			"other.example.com":          nil,
			"com":                        nil,
			"example.comx":               nil,
			"http://example.com/a?b=c":   {9},
			"hxxp://example[.]com/a?b=c": {9},
			"http://example.com/a":       nil,
			"http://EXAMPLE.com":         {10},
			"someone@example.com":        {11},
			"someone@EXAMPLE.com":        {11},
			"anyone@example.com":         nil,
			"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855": {12},
			"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b856": nil,
			"d41d8cd98f00b204e9800998ecf8427e":                                 {13},
			"203.0.113.1":                                                      {14, 15},
			"both.example":                                                     {14},
		} {
			if strings.Trim(value, "com") == "" {
				value = "domain:" + value
			}
			var ids []string
			for _, n := range want {
				ids = append(ids, indicatorID(n))
			}
			slices.Sort(ids)
			if got := found(t, s, value); !slices.Equal(got, ids) {
				t.Errorf("%s: %v, want %v", value, numbersOf(got), want)
			}
		}
	})
}

// numbersOf makes the ids of indicators readable.
func numbersOf(ids []string) (out []string) {
	for _, id := range ids {
		out = append(out, strings.TrimLeft(id[len(id)-12:], "0"))
	}
	slices.Sort(out)
	return out
}

// TestContainment compares lookups of random addresses and networks, crowded
// into a small space, with what netip says of each pair.
func TestContainment(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := openLab(t, cfg)
		running(t, s)
		r := rand.New(rand.NewPCG(7, 8))
		random := func() netip.Prefix {
			if r.IntN(2) == 0 {
				bits := []int{32, 32, 32, 31, 30, 28, 24, 16, 8, 0}[r.IntN(10)]
				return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(2)), byte(r.IntN(16))}), bits).Masked()
			}
			high := [16]byte{0x20, 0x01, 7: byte(r.IntN(2)), 15: byte(r.IntN(16))}
			if r.IntN(8) == 0 {
				high = [16]byte{10: 0xff, 11: byte(r.IntN(2)) * 0xff, 15: byte(r.IntN(16))} // near mapped IPv4
			}
			if high[11] == 0xff {
				high[11] = 0xfe
			}
			return netip.PrefixFrom(netip.AddrFrom16(high), []int{128, 128, 128, 127, 124, 96, 95, 64, 32, 0}[r.IntN(10)]).Masked()
		}
		text := func(p netip.Prefix) string {
			if p.IsSingleIP() {
				return p.Addr().String()
			}
			return p.String()
		}
		var held []netip.Prefix
		var objects [][]byte
		for n := range 150 {
			p := random()
			held = append(held, p)
			kind := "ipv6-addr"
			if p.Addr().Is4() {
				kind = "ipv4-addr"
			}
			objects = append(objects, indicator(n, 1, fmt.Sprintf("[%s:value = '%s']", kind, text(p))))
		}
		put(t, s, newAuthor(t, cfg.Codec, "a", "feed").next(objects...))
		settled(t, s)
		for range 300 {
			asked := random()
			var want []string
			for n, p := range held {
				if p.Overlaps(asked) { // one contains the other
					want = append(want, indicatorID(n))
				}
			}
			slices.Sort(want)
			if got := found(t, s, text(asked)); !slices.Equal(got, want) {
				t.Fatalf("%s: %v, want %v", asked, numbersOf(got), numbersOf(want))
			}
		}
	})
}

// A value that everything bears brings back no more than the bound, and a
// network that contains everything neither.
func TestLookupIsBounded(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := openLab(t, cfg)
		running(t, s)
		a := newAuthor(t, cfg.Codec, "a", "feed")
		var same, apart [][]byte
		for n := range maxHits + 50 {
			same = append(same, indicator(n, 1, "[domain-name:value = 'everywhere.example']"))
			apart = append(apart, simple(10000+n))
		}
		put(t, s, a.next(same...))
		put(t, s, a.next(apart...))
		settled(t, s)
		for _, value := range []string{"everywhere.example", "10.0.0.0/8"} {
			if got := found(t, s, value); len(got) != maxHits {
				t.Errorf("%s: %d hits, want %d", value, len(got), maxHits)
			}
		}
		if got := found(t, s, "::/0"); len(got) != 0 {
			t.Errorf("a network of IPv6 contains %d addresses of IPv4", len(got))
		}
	})
}

// What an index entry keeps is what the object says.
func TestBrief(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := openLab(t, cfg)
		running(t, s)
		a := newAuthor(t, cfg.Codec, "a", "feed")
		const green = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
		const creator = "identity--11111111-1111-4111-8111-111111111111"
		long := strings.Repeat("ä", 150)
		with := func(n int, properties string) []byte {
			return []byte(strings.Replace(string(simple(n)), `"name":"indicator `, properties+`,"name":"indicator `, 1))
		}
		objects := [][]byte{
			simple(0),
			with(1, `"object_marking_refs":["`+green+`"],"created_by_ref":"`+creator+`"`),
			with(2, `"object_marking_refs":["marking-definition--22222222-2222-4222-8222-222222222222"]`),
			with(3, `"revoked":true`),
			[]byte(strings.Replace(string(simple(4)), `"indicator 4"`, `"`+long+`"`, 1)),
			with(5, `"x_owner_ref":"`+creator+`"`),
			with(6, `"labels":["entente-class:criminal"]`),
			with(7, `"labels":["c2"]`),
		}
		m := a.next(objects...)
		_, entry := put(t, s, m)
		settled(t, s)
		for n, want := range []Brief{
			0: {Name: "indicator 0", Plain: true},
			1: {Name: "indicator 1", Plain: true, Marking: protocol.Green, CreatedBy: creator},
			2: {Name: "indicator 2"},
			3: {Name: "indicator 3", Plain: true, Revoked: true},
			4: {Name: strings.Repeat("ä", 100), Plain: true},
			5: {Name: "indicator 5"},
			6: {Name: "indicator 6"},
			7: {Name: "indicator 7", Plain: true},
		} {
			o, err := stix.Parse(objects[n], stix.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			want.ID, want.Type, want.Modified, want.Log, want.Sequence = indicatorID(n), "indicator", o.Modified, a.log, 1
			hits, err := s.Lookup(o.Keys())
			if err != nil || len(hits) != 1 || len(hits[0]) != 1 {
				t.Fatalf("object %d: %v, %v", n, hits, err)
			}
			if got := hits[0][0]; got.Brief != want || got.Added != entry.Added+int64(n) {
				t.Errorf("object %d: %+v\nwant %+v", n, got.Brief, want)
			}
		}
	})
}

// Lookups fall behind without Run, say so, and catch up with it.
func TestWaitIndexed(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		s := openLab(t, cfg)
		put(t, s, newAuthor(t, cfg.Codec, "a", "feed").next(simples(0, 10)...))
		if st := s.Stats(); st.Indexed >= st.LastAdded || len(found(t, s, "10.0.0.3")) != 0 {
			t.Fatalf("indexed without Run: %+v", st)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := s.WaitIndexed(ctx, s.Stats().LastAdded); err == nil {
			t.Fatal("waiting ended without an index")
		}
		running(t, s)
		settled(t, s)
		if got := found(t, s, "10.0.0.3"); len(got) != 1 {
			t.Fatalf("with Run: %v", got)
		}
	})
}
