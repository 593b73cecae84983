package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"entente/protocol"
	"entente/protocol/stix"
)

// dust is text that does not compress, so that its bytes stand on disk as they
// are in the frame.
func dust(name string, n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%x", sha256.Sum256(fmt.Append(nil, name, i)))
	}
	return b.String()[:n]
}

// secretive is an indicator whose name and value are dust.
func secretive(n int) []byte {
	return fmt.Appendf(nil, `{"type":"indicator","spec_version":"2.1","id":%q,"created":"2026-01-02T03:00:05.678Z","modified":"2026-01-02T03:00:05.678Z","name":%q,"description":%q,"indicator_types":["malicious-activity"],"pattern":"[domain-name:value = '%s.example']","pattern_type":"stix","valid_from":"2026-01-02T03:00:00Z"}`,
		indicatorID(n), "name "+dust(fmt.Sprint("name", n), 40), dust(fmt.Sprint("text", n), 3000), dust(fmt.Sprint("value", n), 40))
}

// traces names the files of a folder that hold one of the texts.
func traces(t *testing.T, dir string, texts ...[]byte) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		held, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // removed meanwhile
		}
		for i, text := range texts {
			if bytes.Contains(held, text) {
				found = append(found, fmt.Sprintf("%s (text %d)", filepath.Base(path), i))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// grave is a store on disk with messages of three secrets each, of which one
// object is to be erased.
type grave struct {
	t      *testing.T
	cfg    Config
	author *author
	s      *Store
	texts  [][]byte // what must be gone: a part of the frame, the value, the name
}

const (
	graveMessages = 120
	graveSequence = 57 // of the message with the object to erase, its second
)

func dig(t *testing.T) *grave {
	g := &grave{t: t, cfg: labConfig(t, t.TempDir())}
	g.author = newAuthor(t, g.cfg.Codec, "bank", "indicators")
	g.s = openLab(t, g.cfg)
	running(t, g.s)
	for i := range graveMessages {
		objects := [][]byte{secretive(3 * i), secretive(3*i + 1), secretive(3*i + 2)}
		m := g.author.next(objects...)
		if outcome, _ := put(t, g.s, m); outcome != Stored {
			t.Fatal(outcome)
		}
		if i+1 == graveSequence {
			frame := m.Frame()
			g.texts = [][]byte{frame[len(frame)/2 : len(frame)/2+64], []byte(dust(fmt.Sprint("value", 3*i+1), 40)), []byte(dust(fmt.Sprint("name", 3*i+1), 40))}
		}
	}
	settled(t, g.s)
	if found := traces(t, g.cfg.Dir, g.texts...); len(found) < 3 {
		t.Fatalf("the test looks for what is not there before it is erased: %v", found)
	}
	return g
}

func (g *grave) erase() {
	g.t.Helper()
	erased, err := g.s.Erase(context.Background(), []Erasure{
		{Log: g.author.log, Sequence: graveSequence, Positions: []int{1}},
		{Log: g.author.log, Sequence: 100000, Positions: []int{1}},
		{Log: newAuthor(g.t, g.cfg.Codec, "nobody", "x").log, Sequence: 1, Positions: []int{0}},
	}, protocol.AuditRow{Time: time.Unix(1, 0), Kind: protocol.AuditDecision, Action: "erase", Outcome: "ok", Count: 1})
	if err != nil || erased != 1 {
		g.t.Fatalf("%d erased: %v", erased, err)
	}
}

// check holds that the object is gone and all others are as they were.
func (g *grave) check(s *Store) {
	g.t.Helper()
	n := 3*(graveSequence-1) + 1
	if versions, err := s.Get(indicatorID(n)); err != nil || len(versions) != 0 {
		g.t.Errorf("%d versions are left: %v", len(versions), err)
	}
	key := func(i int) stix.Key {
		return stix.Key{Kind: stix.KeyDomain, Value: dust(fmt.Sprint("value", i), 40) + ".example"}
	}
	hits, err := s.Lookup([]stix.Key{key(n), key(n + 1)})
	if err != nil || len(hits[0]) != 0 || len(hits[1]) != 1 {
		g.t.Errorf("hits %v, %v", hits, err)
	}
	if got := s.Stats().Objects; got != 3*graveMessages-1 {
		g.t.Errorf("%d objects are counted", got)
	}
	messages := 0
	err = s.Range(g.author.log, 0, graveMessages, func(sequence uint64, frame []byte) bool {
		messages++
		sealed, err := g.cfg.Codec.Decode(frame)
		if err != nil {
			g.t.Fatal(err)
		}
		m, err := g.cfg.Codec.Open(sealed, g.author.key.Public().(ed25519.PublicKey))
		if err != nil {
			g.t.Fatal(err)
		}
		for i := range 3 {
			gone := sequence == graveSequence && i == 1
			if raw := m.Object(i); (raw == nil) != gone || !gone && !bytes.Equal(raw, secretive(3*int(sequence-1)+i)) {
				g.t.Errorf("object %d of message %d: %.60q", i, sequence, raw)
			}
		}
		return true
	})
	if err != nil || messages != graveMessages {
		g.t.Errorf("%d messages: %v", messages, err)
	}
}

func TestErasedIsGoneFromDisk(t *testing.T) {
	g := dig(t)
	g.erase()
	g.check(g.s)
	if waits, err := g.s.Purging(); err != nil || !waits {
		t.Errorf("what was erased is said to be gone already: %t, %v", waits, err)
	}
	if err := g.s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found := traces(t, g.cfg.Dir, g.texts...); len(found) > 0 {
		t.Errorf("it is still in %v", found)
	}
	if waits, err := g.s.Purging(); err != nil || waits {
		t.Errorf("after the purge: %t, %v", waits, err)
	}
	// To erase it again is nothing that has the files rewritten again.
	if erased, err := g.s.Erase(t.Context(), []Erasure{{Log: g.author.log, Sequence: graveSequence, Positions: []int{1}}}); err != nil || erased != 0 {
		t.Errorf("%d erased again: %v", erased, err)
	}
	if waits, err := g.s.Purging(); err != nil || waits {
		t.Errorf("after it was erased again: %t, %v", waits, err)
	}
	g.check(g.s)
	// The store goes on, and neither an index nor a restart brings it back.
	next := g.author.next(secretive(9000), secretive(9001), secretive(9002))
	if outcome, _ := put(t, g.s, next); outcome != Stored {
		t.Error(outcome)
	}
	settled(t, g.s)
	if _, err := g.s.Erase(t.Context(), []Erasure{{Log: g.author.log, Sequence: graveMessages + 1, Positions: []int{0, 1, 2}}}); err != nil {
		t.Fatal(err)
	}
	if err := g.s.Reindex(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	g.check(g.s)
	if found := traces(t, g.cfg.Dir, g.texts...); len(found) > 0 {
		t.Errorf("after a reindex it is in %v", found)
	}
}

// TestErasureIsFinishedAfterACrash closes the store between Erase and Purge.
func TestErasureIsFinishedAfterACrash(t *testing.T) {
	g := dig(t)
	g.erase()
	if err := g.s.Close(); err != nil {
		t.Fatal(err)
	}
	s := openLab(t, g.cfg)
	running(t, s)
	g.check(s)
	if waits, err := s.Purging(); err != nil || !waits {
		t.Fatalf("nothing waits: %t, %v", waits, err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found := traces(t, g.cfg.Dir, g.texts...); len(found) > 0 {
		t.Errorf("it is still in %v", found)
	}
	g.check(s)
}

// TestPurgeBesideOthers purges while others read and write.
func TestPurgeBesideOthers(t *testing.T) {
	g := dig(t)
	g.erase()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for reader := range 3 {
		wg.Go(func() {
			for n := reader; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				at := uint64(n % (graveMessages - 1))
				err := g.s.Range(g.author.log, at, at+1, func(_ uint64, frame []byte) bool {
					_, err := g.cfg.Codec.Decode(frame)
					return err == nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	other := newAuthor(t, g.cfg.Codec, "vendor", "indicators")
	written := 0
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if outcome, _ := put(t, g.s, other.next(secretive(20000+written))); outcome != Stored {
				t.Error(outcome)
			}
			written++
		}
	})
	for range 3 {
		if err := g.s.Purge(t.Context()); err != nil {
			t.Error(err)
		}
		g.erase2()
	}
	close(stop)
	wg.Wait()
	if at := g.s.Position(other.log).Sequence; written == 0 || at != uint64(written) {
		t.Errorf("%d were written, and the log is at %d", written, at)
	}
	if found := traces(t, g.cfg.Dir, g.texts...); len(found) > 0 {
		t.Errorf("it is still in %v", found)
	}
}

// erase2 makes a purge necessary again.
func (g *grave) erase2() {
	g.t.Helper()
	if _, err := g.s.Erase(context.Background(), []Erasure{{Log: g.author.log, Sequence: graveSequence, Positions: []int{1}}}); err != nil {
		g.t.Error(err)
	}
}

func TestErasingWhatIsNotThere(t *testing.T) {
	s := openLab(t, labConfig(t, ""))
	running(t, s)
	a := newAuthor(t, labCodec(t), "bank", "indicators")
	put(t, s, a.next(simple(1)))
	for name, e := range map[string]Erasure{
		"another position": {Log: a.log, Sequence: 1, Positions: []int{1}},
		"below none":       {Log: a.log, Sequence: 1, Positions: []int{-1}},
	} {
		if _, err := s.Erase(t.Context(), []Erasure{e}); protocol.KindOf(err) != protocol.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, err := s.Erase(t.Context(), []Erasure{{Log: a.log, Sequence: 1, Positions: []int{0}}, {Log: a.log, Sequence: 1, Positions: []int{0}}}); n != 1 || err != nil {
		t.Errorf("erased twice: %d, %v", n, err)
	}
	if versions, err := s.Get(indicatorID(1)); err != nil || len(versions) > 0 {
		t.Errorf("%v, %v", versions, err)
	}
}
