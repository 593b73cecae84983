package protocol

import (
	"bytes"
	"crypto/ed25519"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestPackRefusals(t *testing.T) {
	c := testCodec(t)
	random := make([]byte, 300<<10)
	r := rand.NewChaCha8(testHash("noise"))
	if _, err := r.Read(random); err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 384<<10)
	for _, tt := range []struct {
		name    string
		objects [][]byte
		kind    Kind
		says    string
	}{
		{"none", nil, Invalid, "at least one object"},
		{"an empty one", [][]byte{[]byte("a"), nil}, Invalid, "object 1 is empty"},
		{"too many", slicesOf(4097, []byte("a")), Limit, "4097 objects; the limit is 4096"},
		{"too long", [][]byte{make([]byte, 384<<10+1)}, Limit, "the limit is 393216"},
		{"too much", slicesOf(11, zeros), Limit, "4194304"},
		{"does not compress", [][]byte{random, random[1:]}, Limit, "as sent"},
		{"compresses beyond the ratio and is too long as it is", slicesOf(2, zeros), Limit, "as sent"},
	} {
		_, err := c.Pack(tt.objects, testHash("seed"))
		if KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v (%v)", tt.name, err, KindOf(err))
		}
	}
	if _, err := c.Pack([][]byte{zeros}, testHash("seed")); err != nil {
		t.Errorf("an object at the limit: %v", err)
	}
	largest := append([][]byte{random}, slicesOf(4000, []byte(`{"a":1}`))...)
	m := sealed(t, c, largest)
	if len(m.Frame()) > c.limits.Frame {
		t.Errorf("a frame of %d bytes", len(m.Frame()))
	}
	part, err := c.Without(m, 1, 4000)
	if err != nil {
		t.Fatal("erasing must work on the largest message:", err)
	}
	opened(t, c, part.Frame())
}

func slicesOf(n int, b []byte) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = b
	}
	return out
}

func TestSealRefusals(t *testing.T) {
	c := testCodec(t)
	body, err := c.Pack([][]byte{[]byte("{}")}, testHash("seed"))
	if err != nil {
		t.Fatal(err)
	}
	key, next := testKey("node"), Position{Sequence: 5, Head: testHash("head")}
	old := func() *Supersession {
		return &Supersession{Incarnation: testInc("old"), Position: Position{Sequence: 1, Head: testHash("head")}}
	}
	type call struct {
		d    Draft
		prev Position
		over *Supersession
		key  ed25519.PrivateKey
	}
	for _, tt := range []struct {
		says   string
		change func(*call)
	}{
		{"", func(*call) {}},
		{"", func(c *call) { c.prev, c.over = Position{}, old() }},
		{"", func(c *call) { c.d.Marking, c.d.Lane = NoMarking, Lane{Private: LaneID{1}} }},
		{"no body", func(c *call) { c.d.Body = nil }},
		{"key has 3 bytes", func(c *call) { c.key = c.key[:3] }},
		{"agreement's id is zero", func(c *call) { c.d.Agreement = AgreementID{} }},
		{"agreement version 0", func(c *call) { c.d.AgreementVersion = 0 }},
		{"agreement version", func(c *call) { c.d.AgreementVersion = 1 << 53 }},
		{"neither a topic nor an id", func(c *call) { c.d.Lane = Lane{} }},
		{"not both", func(c *call) { c.d.Lane.Private[0] = 1 }},
		{"no topic name", func(c *call) { c.d.Lane = TopicLane("No Topic") }},
		{"no topic name", func(c *call) { c.d.Lane = TopicLane(strings.Repeat("a", 65)) }},
		{"member id is zero", func(c *call) { c.d.Author.Member = MemberID{} }},
		{"incarnation is zero", func(c *call) { c.d.Incarnation = Incarnation{} }},
		{"not from 1970", func(c *call) { c.d.Time = time.Time{} }},
		{"to 9999", func(c *call) { c.d.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"marking 6", func(c *call) { c.d.Marking = 6 }},
		{"audience kind 0", func(c *call) { c.d.Audience = Audience{} }},
		{"exactly when it is an opaque set", func(c *call) { c.d.Audience.ID[0] = 1 }},
		{"exactly when it is an opaque set", func(c *call) { c.d.Audience.Kind = OpaqueSet }},
		{"content kind 0", func(c *call) { c.d.Content = 0 }},
		{"must have a head", func(c *call) { c.prev.Head = Hash{} }},
		{"must have a head", func(c *call) { c.prev.Sequence = 0 }},
		{"sequence number", func(c *call) { c.prev.Sequence = maxInteger }},
		{"only the first message", func(c *call) { c.over = old() }},
		{"of another incarnation", func(c *call) { c.prev, c.over = Position{}, old(); c.over.Incarnation = c.d.Incarnation }},
		{"superseded position", func(c *call) { c.prev, c.over = Position{}, old(); c.over.Position.Head = Hash{} }},
		{"superseded position", func(c *call) { c.prev, c.over = Position{}, old(); c.over.Position.Sequence = 0 }},
	} {
		in := call{testDraft(body), next, nil, key}
		tt.change(&in)
		m, err := c.Seal(in.d, in.prev, in.over, in.key)
		if tt.says == "" {
			if err != nil {
				t.Errorf("a good draft: %v", err)
				continue
			}
			opened(t, c, m.Frame())
		} else if KindOf(err) != Invalid || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: %v (%v)", tt.says, err, KindOf(err))
		}
	}
}

// TestOpenRefusals holds what the vectors, which refuse by bytes, do not: keys,
// limits, and what the store gives back.
func TestOpenRefusals(t *testing.T) {
	c := testCodec(t)
	m := sealed(t, c, stixLike(100))
	s, err := c.Decode(m.Frame())
	if err != nil {
		t.Fatal(err)
	}
	if s.Hash() != m.Hash() || s.Header().Root != m.Header().Root {
		t.Error("the decoded header differs")
	}
	for _, tt := range []struct {
		name string
		key  ed25519.PublicKey
		kind Kind
	}{
		{"another key", publicOf(testKey("other")), BadSignature},
		{"a short key", publicOf(testKey("node"))[:31], Invalid},
		{"no key", nil, Invalid},
		{"a key that is no point", bytes.Repeat([]byte{0xff}, 32), BadSignature},
	} {
		if _, err := c.Open(s, tt.key); KindOf(err) != tt.kind {
			t.Errorf("%s: %v (%v)", tt.name, err, KindOf(err))
		}
	}
	if _, err := c.Decode(make([]byte, 1<<20)); KindOf(err) != Limit {
		t.Errorf("1 MiB: %v", err)
	}
	large := newMessageMaker(t, strings.Repeat("x", 384<<10+1))
	if s, err = c.Decode(large.frame(nil, 0, large.body.raw)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(s, publicOf(testKey("node"))); KindOf(err) != Limit {
		t.Errorf("an object over the limit: %v", err)
	}
	damaged := bytes.Clone(m.Frame())
	copy(damaged[len(damaged)-40:], make([]byte, 40))
	broken, err := c.Reopen(damaged)
	if err != nil {
		t.Fatal(err)
	}
	if err := broken.Load(); err == nil {
		if root := broken.mustRoot(t); root == m.Header().Root {
			t.Error("damage changed nothing")
		}
	} else if KindOf(err) != Malformed || HintOf(err) == "" || broken.Object(0) != nil {
		t.Errorf("damage: %v", err)
	}
}

func (m *Message) mustRoot(t *testing.T) Hash {
	t.Helper()
	leaves, err := m.Leaves()
	if err != nil {
		t.Fatal(err)
	}
	return recursiveRoot(leaves)
}

func TestSmallerLimits(t *testing.T) {
	big := testCodec(t)
	m := sealed(t, big, stixLike(100))
	for name, limit := range map[string]func(*Limits){
		"frame":   func(l *Limits) { l.Frame, l.Objects = 3000, 20 },
		"header":  func(l *Limits) { l.Header = 512 },
		"body":    func(l *Limits) { l.Body, l.Object = 1000, 1000 },
		"ratio":   func(l *Limits) { l.Ratio = 2 },
		"objects": func(l *Limits) { l.Objects = 99 },
	} {
		l := DefaultLimits()
		limit(&l)
		c, err := NewCodec(l)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Decode(m.Frame())
		if name == "header" { // a header of this size is under the smallest limit
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if KindOf(err) != Limit || !strings.Contains(err.Error(), "limit is") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, limit := range map[string]func(*Limits){
		"frame":   func(l *Limits) { l.Frame = 100 },
		"header":  func(l *Limits) { l.Header = 10 },
		"body":    func(l *Limits) { l.Body = 0 },
		"ratio":   func(l *Limits) { l.Ratio = 0 },
		"objects": func(l *Limits) { l.Objects = 0 },
		"object":  func(l *Limits) { l.Object = l.Body + 1 },
	} {
		l := DefaultLimits()
		limit(&l)
		if _, err := NewCodec(l); KindOf(err) != Invalid || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBombMemory holds that a bomb costs no more than what its header may
// claim: refused before decompressing, or cut off at the signed length.
func TestBombMemory(t *testing.T) {
	c := testCodec(t)
	mm := newMessageMaker(t, "one", "two")
	unknownSize := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58}
	frame := mm.frame(nil, encodedZstd, zstdBomb(unknownSize, 1<<30))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s, err := c.Decode(frame)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Open(s, publicOf(testKey("node"))); KindOf(err) != Malformed {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 512<<10 {
		t.Errorf("a bomb of 1 GiB costs %d bytes", n)
	}
}
