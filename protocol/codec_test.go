package protocol

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

func testCodec(t testing.TB) *Codec {
	t.Helper()
	c, err := NewCodec(DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicOf(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

func testHash(name string) Hash { return sha256.Sum256([]byte(name)) }

func testInc(name string) (i Incarnation) {
	h := testHash(name)
	copy(i[:], h[:])
	return i
}

// testDraft is a valid draft around a body.
func testDraft(b *Body) Draft {
	return Draft{
		Agreement: AgreementID(testHash("agreement")), AgreementVersion: 3, Lane: TopicLane("indicators"),
		Author: Author{Member: MemberID(testHash("member")), Node: 2}, Epoch: 7, Incarnation: testInc("incarnation"),
		Time: time.Date(2026, 3, 4, 5, 6, 7, 891234567, time.UTC), Marking: Amber,
		Audience: Audience{Kind: AllParties}, Content: StixObjects, Body: b,
	}
}

// stixLike makes objects of about 600 bytes, alike as indicators are, with
// random values.
func stixLike(n int) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([][]byte, n)
	for i := range out {
		var digest [32]byte
		for j := 0; j < 32; j += 8 {
			binary.LittleEndian.PutUint64(digest[j:], r.Uint64())
		}
		out[i] = fmt.Appendf(nil, `{"type":"indicator","spec_version":"2.1","id":"indicator--%x-%x-4%x-8%x-%x","created":"2026-03-%02dT0%d:%02d:%02d.000Z","modified":"2026-03-%02dT0%d:%02d:%02d.%03dZ","created_by_ref":"identity--3b2c1a70-59f0-4b0a-9d4e-8f1c2d3e4f50","name":"Command and control server %d","description":"Seen in the campaign of %d, delivered by mail with an attachment that fetches a second stage from this host.","indicator_types":["malicious-activity"],"pattern":"[file:hashes.'SHA-256' = '%x' OR ipv4-addr:value = '198.51.%d.%d']","pattern_type":"stix","valid_from":"2026-03-%02dT00:00:00Z","object_marking_refs":["marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"]}`,
			digest[:4], digest[4:6], digest[6:8], digest[8:10], digest[10:16],
			i%28+1, i%10, i%60, i%60, i%28+1, i%10, i%60, i%60, r.IntN(1000), r.IntN(9999), r.IntN(3000), digest, r.IntN(256), r.IntN(256), i%28+1)
	}
	return out
}

func sealed(t testing.TB, c *Codec, objects [][]byte) *Message {
	t.Helper()
	b, err := c.Pack(objects, testHash("seed"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Seal(testDraft(b), Position{}, nil, testKey("node"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func opened(t testing.TB, c *Codec, frame []byte) *Message {
	t.Helper()
	s, err := c.Decode(frame)
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Open(s, publicOf(testKey("node")))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRoundTrip(t *testing.T) {
	c := testCodec(t)
	for _, n := range []int{1, 2, 3, 7, 8, 100, 500} {
		objects := stixLike(n)
		m := sealed(t, c, objects)
		o := opened(t, c, m.Frame())
		if o.Hash() != m.Hash() || o.Position() != m.Position() || o.Position().Sequence != 1 {
			t.Fatalf("%d objects: positions differ", n)
		}
		r, err := c.Reopen(m.Frame())
		if err != nil || r.Load() != nil {
			t.Fatal(err, r.Load())
		}
		for i, want := range objects {
			if !bytes.Equal(m.Object(i), want) || !bytes.Equal(o.Object(i), want) || !bytes.Equal(r.Object(i), want) {
				t.Fatalf("%d objects: object %d differs", n, i)
			}
		}
		if m.Object(-1) != nil || o.Object(n) != nil {
			t.Fatal("an object that does not exist")
		}
		leaves, err := o.Leaves()
		if err != nil || len(leaves) != n || recursiveRoot(leaves) != o.Header().Root {
			t.Fatalf("%d objects: the root is not RFC 6962's", n)
		}
	}
}

// recursiveRoot is the definition of the tree in RFC 6962, as a second opinion.
func recursiveRoot(leaves []Hash) Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	l, r := recursiveRoot(leaves[:k]), recursiveRoot(leaves[k:])
	return sha256.Sum256(bytes.Join([][]byte{[]byte("entente node v1\x00"), l[:], r[:]}, nil))
}

func TestWithout(t *testing.T) {
	c := testCodec(t)
	objects := stixLike(9)
	whole := sealed(t, c, objects)
	once, err := c.Without(whole, 3, 3, 0)
	if err != nil {
		t.Fatal(err)
	}
	twice, err := c.Without(opened(t, c, once.Frame()), 8)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := c.Without(twice, 0, 3); err != nil || same != twice {
		t.Fatal("leaving out what is gone must change nothing", err)
	}
	m := opened(t, c, twice.Frame())
	if m.Hash() != whole.Hash() || !m.Partial() || whole.Partial() {
		t.Fatal("it must be the same message, less some leaves")
	}
	for i, want := range objects {
		if i == 0 || i == 3 || i == 8 {
			want = nil
		}
		if !bytes.Equal(m.Object(i), want) {
			t.Errorf("object %d is %q", i, m.Object(i))
		}
	}
	if err := erasedMeansGone(m, whole); err != nil {
		t.Fatal(err)
	}
	none, err := c.Without(m, 0, 1, 2, 3, 4, 5, 6, 7, 8)
	if err != nil || opened(t, c, none.Frame()).Object(4) != nil {
		t.Fatal("all leaves gone must still verify", err)
	}
	if _, err := c.Without(m, 9); KindOf(err) != Invalid {
		t.Fatal("leaf 9 of 9:", err)
	}
}

// erasedMeansGone looks for the seed and for the salts of erased leaves in
// what is left of a message.
func erasedMeansGone(left, whole *Message) error {
	rest, err := left.body()
	if err != nil {
		return err
	}
	was, err := whole.body()
	if err != nil {
		return err
	}
	if bytes.Contains(rest.raw, was.raw[:seedSize]) {
		return fmt.Errorf("the seed is still there")
	}
	h := was.hasher()
	for i := range was.spans {
		salt := h.saltOf(i)
		if bytes.Contains(rest.raw, salt[:]) == rest.spans[i].gone() {
			return fmt.Errorf("salt %d: it must be there exactly while the object is", i)
		}
	}
	return nil
}

func TestLogOfMessages(t *testing.T) {
	c := testCodec(t)
	b, err := c.Pack(stixLike(2), testHash("seed"))
	if err != nil {
		t.Fatal(err)
	}
	d := testDraft(b)
	old := &Supersession{Incarnation: testInc("old"), Position: Position{Sequence: 41, Head: testHash("head")}}
	first, err := c.Seal(d, Position{}, old, testKey("node"))
	if err != nil {
		t.Fatal(err)
	}
	got := opened(t, c, first.Frame()).Header()
	if got.Supersedes == nil || *got.Supersedes != *old {
		t.Fatalf("supersedes %+v", got.Supersedes)
	}
	if want := d.Time.Truncate(time.Microsecond); !got.Time.Equal(want) || got.Time.Location() != time.UTC {
		t.Fatalf("time %v, want %v", got.Time, want)
	}
	second, err := c.Seal(d, first.Position(), nil, testKey("node"))
	if err != nil {
		t.Fatal(err)
	}
	h := opened(t, c, second.Frame()).Header()
	if h.Sequence != 2 || h.Previous != first.Hash() || h.Log() != got.Log() {
		t.Fatalf("the second header does not follow the first: %+v", h)
	}
	header, signature := second.SignedHeader()
	if v, err := VerifyHeader(header, signature, publicOf(testKey("node"))); err != nil || v.Root != h.Root {
		t.Fatal(err)
	}
	if _, err := VerifyHeader(header, signature, publicOf(testKey("other"))); KindOf(err) != BadSignature {
		t.Fatal(err)
	}
}

func TestCodecIsSafeForConcurrentUse(t *testing.T) {
	c := testCodec(t)
	objects := stixLike(50)
	lazy, err := c.Reopen(sealed(t, c, objects).Frame())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20 {
				if !bytes.Equal(lazy.Object(i), objects[i]) {
					t.Error("a lazily opened object differs")
				}
				part := objects[g*5+i%5:]
				b, err := c.Pack(part, testHash("seed"))
				if err != nil {
					t.Error(err)
					return
				}
				m, err := c.Seal(testDraft(b), Position{}, nil, testKey("node"))
				if err != nil {
					t.Error(err)
					return
				}
				s, err := c.Decode(m.Frame())
				if err != nil {
					t.Error(err)
					return
				}
				o, err := c.Open(s, publicOf(testKey("node")))
				if err != nil || !bytes.Equal(o.Object(0), part[0]) {
					t.Error("opened differs", err)
				}
			}
		})
	}
	wg.Wait()
}
