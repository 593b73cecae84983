package store

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"entente/protocol"
	"entente/protocol/stix"
)

// The lab makes real messages of real logs, and stores to put them into.

func labHash(name string) protocol.Hash { return sha256.Sum256([]byte(name)) }

func labCodec(t testing.TB) *protocol.Codec {
	t.Helper()
	c, err := protocol.NewCodec(protocol.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// clock is a hand-set clock.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)} }

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// author writes one log.
type author struct {
	t     testing.TB
	codec *protocol.Codec
	log   protocol.LogID
	key   ed25519.PrivateKey
	at    protocol.Position
}

func newAuthor(t testing.TB, codec *protocol.Codec, name, topic string) *author {
	h := labHash(name)
	a := &author{t: t, codec: codec, key: ed25519.NewKeyFromSeed(h[:])}
	a.log = protocol.LogID{Agreement: protocol.AgreementID(labHash("agreement")), Lane: protocol.TopicLane(topic),
		Author: protocol.Author{Member: protocol.MemberID(h), Node: 1}}
	copy(a.log.Incarnation[:], h[:])
	return a
}

// seal makes the message after a position without moving on.
func (a *author) seal(prev protocol.Position, objects ...[]byte) *protocol.Message {
	a.t.Helper()
	body, err := a.codec.Pack(objects, labHash(fmt.Sprint(a.log.Incarnation, prev.Sequence)))
	if err != nil {
		a.t.Fatal(err)
	}
	m, err := a.codec.Seal(protocol.Draft{
		Agreement: a.log.Agreement, AgreementVersion: 3, Lane: a.log.Lane, Author: a.log.Author, Incarnation: a.log.Incarnation,
		Time: time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC), Marking: protocol.Green,
		Audience: protocol.Audience{Kind: protocol.AllParties}, Content: protocol.StixObjects, Body: body,
	}, prev, nil, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return m
}

// next makes the next message of the log.
func (a *author) next(objects ...[]byte) *protocol.Message {
	a.t.Helper()
	m := a.seal(a.at, objects...)
	a.at = m.Position()
	return m
}

// sealer is a SealFunc around objects.
func (a *author) sealer(objects ...[]byte) SealFunc {
	return func(prev protocol.Position) (*protocol.Message, error) { return a.seal(prev, objects...), nil }
}

func uuidOf(n int) string {
	h := labHash(fmt.Sprint("id", n))
	return fmt.Sprintf("%x-%x-4%03x-8%03x-%x", h[:4], h[4:6], h[6:8][0:1], h[8:9], h[10:16])
}

func indicatorID(n int) string {
	return "indicator--" + uuidOf(n)[:8] + "-0000-4000-8000-" + fmt.Sprintf("%012d", n)
}

// indicator is a STIX indicator with a pattern; version n of minutes.
func indicator(n int, minute int, pattern string) []byte {
	at := fmt.Sprintf("2026-01-02T03:%02d:05.678Z", minute)
	return fmt.Appendf(nil, `{"type":"indicator","spec_version":"2.1","id":%q,"created":"2026-01-02T03:00:05.678Z","modified":%q,"name":"indicator %d","indicator_types":["malicious-activity"],"pattern":%q,"pattern_type":"stix","valid_from":"2026-01-02T03:00:00Z"}`,
		indicatorID(n), at, n, pattern)
}

func simple(n int) []byte {
	return indicator(n, 1, fmt.Sprintf("[ipv4-addr:value = '10.%d.%d.%d']", n>>16&255, n>>8&255, n&255))
}

func simples(from, to int) (out [][]byte) {
	for n := from; n < to; n++ {
		out = append(out, simple(n))
	}
	return out
}

// leaves describes objects as the node does.
func leaves(t testing.TB, objects ...[]byte) []Leaf {
	t.Helper()
	out := make([]Leaf, len(objects))
	for i, raw := range objects {
		o, err := stix.Parse(raw, stix.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		out[i] = Leaf{Position: i, ID: o.ID, Modified: o.Modified, Object: o, Allowed: true}
	}
	return out
}

func arrival(t testing.TB, m *protocol.Message) Arrival {
	t.Helper()
	var raw [][]byte
	for i := range m.Header().Objects {
		raw = append(raw, m.Object(i))
	}
	return Arrival{Message: m, Leaves: leaves(t, raw...)}
}

// labConfig is for small stores with room on any disk.
func labConfig(t testing.TB, dir string) Config {
	return Config{Dir: dir, Memory: 48 << 20, Codec: labCodec(t),
		Free: func(string) (int64, int64, error) { return 1 << 40, 1 << 41, nil }}
}

func openLab(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// both runs a test on disk and in memory.
func both(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Run("disk", func(t *testing.T) { test(t, labConfig(t, t.TempDir())) })
	t.Run("memory", func(t *testing.T) { test(t, labConfig(t, "")) })
}

// running runs the indexer until the test ends.
func running(t testing.TB, s *Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

func settled(t testing.TB, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.WaitIndexed(ctx, s.Stats().LastAdded); err != nil {
		t.Fatalf("the index does not catch up: %v; %+v", err, s.Stats())
	}
}

func put(t testing.TB, s *Store, m *protocol.Message) (Outcome, Entry) {
	t.Helper()
	a := arrival(t, m)
	outcome, entry, err := s.Put(context.Background(), a.Message, a.Leaves, a.Audit)
	if err != nil {
		t.Fatal(err)
	}
	return outcome, entry
}

// faulty breaks commits of the backend below.
type faulty struct {
	backend
	mu   sync.Mutex
	left int  // commits that still work; negative: all
	done bool // the broken commit happens all the same
}

var errBroken = errors.New("the disk broke")

func (f *faulty) set(left int, done bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.done = left, done
}

func (f *faulty) commit(changes []change) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		if f.done {
			return errors.Join(f.backend.commit(changes), errBroken)
		}
		return errBroken
	}
	f.left--
	return f.backend.commit(changes)
}
