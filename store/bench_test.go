package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"entente/protocol"
	"entente/protocol/stix"
)

// The batches of these benchmarks are those that nodes publish: 500 objects a
// message, up to 64 messages at a time from the network.
const (
	benchObjects  = 500
	benchMessages = 16
)

func benchConfig(b *testing.B, async bool) Config {
	cfg := labConfig(b, b.TempDir())
	cfg.Memory, cfg.Async = 192<<20, async
	return cfg
}

// valued is an indicator with a value of one of four kinds; one in a thousand
// is a network.
func valued(n int) []byte {
	if n%1000 == 7 {
		return indicator(n, 1, fmt.Sprintf("[ipv4-addr:value = '10.%d.%d.0/24']", n>>16&255, n>>8&255))
	}
	switch n % 4 {
	case 0:
		return simple(n)
	case 1:
		return indicator(n, 1, fmt.Sprintf("[domain-name:value = 'host%d.example%d.com']", n, n%5000))
	case 2:
		return indicator(n, 1, fmt.Sprintf("[file:hashes.'SHA-256' = '%x']", labHash(fmt.Sprint(n))))
	default:
		return indicator(n, 1, fmt.Sprintf("[url:value = 'https://example%d.com/path/%d']", n%5000, n))
	}
}

// valueOf is what a lookup for the value of an indicator asks.
func valueOf(n int) string {
	if n%1000 == 7 {
		return fmt.Sprintf("10.%d.%d.77", n>>16&255, n>>8&255)
	}
	switch n % 4 {
	case 0:
		return fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)
	case 1:
		return fmt.Sprintf("host%d.example%d.com", n, n%5000)
	case 2:
		return fmt.Sprintf("%x", labHash(fmt.Sprint(n)))
	default:
		return fmt.Sprintf("https://example%d.com/path/%d", n%5000, n)
	}
}

// batches makes groups of arrivals, each with the audit rows that a node writes.
type batches struct {
	author *author
	made   int
}

func (f *batches) next(b *testing.B, messages int) []Arrival {
	out := make([]Arrival, messages)
	for i := range out {
		objects := make([][]byte, benchObjects)
		for j := range objects {
			objects[j] = valued(f.made)
			f.made++
		}
		m := f.author.next(objects...)
		log := m.Header().Log()
		row := protocol.AuditRow{Time: m.Header().Time, Kind: protocol.AuditMessage, Action: "receive", Outcome: "ok", Log: &log,
			Sequence: m.Header().Sequence, Count: benchObjects, Topic: "feed", Party: log.Author.Member}
		out[i] = Arrival{Message: m, Leaves: leaves(b, objects...), Audit: []protocol.AuditRow{row, row}}
	}
	return out
}

func putAll(b *testing.B, s *Store, in []Arrival) {
	for i, r := range s.PutAll(context.Background(), in) {
		if r.Err != nil || r.Outcome != Stored {
			b.Fatalf("message %d: %v, %v", i, r.Outcome, r.Err)
		}
	}
}

// benchRounds groups are written in one iteration, into a fresh store: what is
// built in the background must not go on while the clock stands.
const benchRounds = 12

func (f *batches) rounds(b *testing.B) [][]Arrival {
	out := make([][]Arrival, benchRounds)
	for i := range out {
		out[i] = f.next(b, benchMessages)
	}
	return out
}

// BenchmarkPutAll writes what was received, beside BenchmarkBareBadger: the
// ratio of the two is what counts. With values, the iteration ends when the
// value index has caught up.
func BenchmarkPutAll(b *testing.B) {
	from := &batches{author: newAuthor(b, labCodec(b), "a", "feed")}
	in := from.rounds(b)
	for _, c := range []struct {
		name          string
		async, values bool
	}{{"sync", false, false}, {"async", true, false}, {"sync+values", false, true}, {"async+values", true, true}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				s, err := Open(benchConfig(b, c.async))
				if err != nil {
					b.Fatal(err)
				}
				ctx, stop := context.WithCancel(context.Background())
				ran := make(chan error, 1)
				go func() {
					if c.values {
						ran <- s.Run(ctx)
					}
					close(ran)
				}()
				b.StartTimer()
				for _, group := range in {
					putAll(b, s, group)
				}
				if c.values {
					if err := s.WaitIndexed(ctx, s.Stats().LastAdded); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				stop()
				if err := errors.Join(<-ran, s.Close()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			perSecond(b, from.made)
		})
	}
}

// BenchmarkBareBadger writes the same frames with one index key an object, and
// nothing else.
func BenchmarkBareBadger(b *testing.B) {
	from := &batches{author: newAuthor(b, labCodec(b), "a", "feed")}
	in := from.rounds(b)
	for _, async := range []bool{false, true} {
		b.Run(map[bool]string{false: "sync", true: "async"}[async], func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				cfg := benchConfig(b, async)
				log := badgerLog{slog.New(slog.DiscardHandler), func(text string) { b.Error(text) }}
				db, err := openDisk(cfg.Dir, cfg.Memory, sizesFor(cfg.Memory, 1<<40), async, log)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				bare(b, db, in)
				b.StopTimer()
				if err := db.close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			perSecond(b, from.made)
		})
	}
}

func bare(b *testing.B, db backend, in [][]Arrival) {
	at := uint64(0)
	for _, group := range in {
		var changes []change
		for _, a := range group {
			changes = append(changes, change{key: key8(kindMessage, at), value: a.Message.Frame()})
			for _, leaf := range a.Leaves {
				at++
				changes = append(changes, change{key: objectKey(leaf.ID, leaf.Modified, int64(at))})
			}
		}
		if err := db.commit(changes); err != nil {
			b.Fatal(err)
		}
	}
}

func perSecond(b *testing.B, objects int) {
	b.ReportMetric(float64(objects)*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
}

// filled is a store with so many objects, indexed, and opened again, so that
// nothing is being put in order behind the reader.
func filled(b *testing.B, objects int) *Store {
	b.Helper()
	cfg := benchConfig(b, true)
	s, err := Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
	defer stop()
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	from := &batches{author: newAuthor(b, cfg.Codec, "a", "feed")}
	for from.made < objects {
		putAll(b, s, from.next(b, benchMessages))
	}
	if err := s.WaitIndexed(ctx, s.Stats().LastAdded); err != nil {
		b.Fatal(err)
	}
	stop()
	if err := errors.Join(<-ran, s.Close()); err != nil {
		b.Fatal(err)
	}
	return openLab(b, cfg)
}

// BenchmarkLookup asks for one value at a time, in random order: three of four
// are held. The budget is 100 µs at p99 among a million. On a machine that does
// other work too, time passes while nothing runs: beside the time by the clock
// stands the time of the processor, and what p99 by the clock is for a fixed
// piece of arithmetic between two lookups.
func BenchmarkLookup(b *testing.B) {
	for _, held := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("values=%d", held), func(b *testing.B) {
			if testing.Short() && held > 100_000 {
				b.Skip("a million values take half a minute to write")
			}
			s := filled(b, held)
			r := rand.New(rand.NewPCG(1, 2))
			var clock, processor, arithmetic []time.Duration
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			sum := 0
			for range 20_000 { // files are mapped, and their first pages come at a price
				ask(b, s, r.IntN(held), held)
			}
			for b.Loop() {
				n := r.IntN(held)
				if n%16 < 4 {
					n += held * 2
				}
				c, p := ask(b, s, n, held)
				clock, processor = append(clock, c), append(processor, p)
				start := time.Now()
				for i := range 20_000 {
					sum ^= i * sum
				}
				arithmetic = append(arithmetic, time.Since(start))
			}
			percentile(b, clock, 50, "p50-µs")
			percentile(b, clock, 99, "p99-µs")
			percentile(b, processor, 99, "p99-processor-µs")
			percentile(b, arithmetic, 50, "p50-arithmetic-µs")
			percentile(b, arithmetic, 99, "p99-arithmetic-µs")
		})
	}
}

// ask looks a value up and returns how long it took.
func ask(b *testing.B, s *Store, n, held int) (clock, processor time.Duration) {
	key, err := stix.ParseKey(valueOf(n))
	if err != nil {
		b.Fatal(err)
	}
	start, before := time.Now(), threadTime(b)
	hits, err := s.Lookup([]stix.Key{key})
	clock, processor = time.Since(start), threadTime(b)-before
	if err != nil || (n < held) != (len(hits[0]) > 0) {
		b.Fatalf("%s of indicator %d of %d: %d hits, %v", valueOf(n), n, held, len(hits[0]), err)
	}
	return clock, processor
}

func percentile(b *testing.B, took []time.Duration, percent int, unit string) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*percent/100].Nanoseconds())/1e3, unit)
}

// threadTime is how long the processor has worked for this thread.
func threadTime(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// BenchmarkLookupMany asks for ten thousand values in one call. The budget is a
// second.
func BenchmarkLookupMany(b *testing.B) {
	const held, most = 100_000, 10_000
	s := filled(b, held)
	r := rand.New(rand.NewPCG(1, 2))
	keys := make([]stix.Key, most)
	for i := range keys {
		var err error
		if keys[i], err = stix.ParseKey(valueOf(r.IntN(held))); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := s.Lookup(keys); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkScan reads everything in order of arrival.
func BenchmarkScan(b *testing.B) {
	const held = 50_000
	s := filled(b, held)
	for b.Loop() {
		count := 0
		if err := s.Scan(Query{}, func(Version) bool { count++; return true }); err != nil || count < held {
			b.Fatalf("%d of %d objects, %v", count, held, err)
		}
	}
	perSecond(b, held)
}

// BenchmarkExport reads as an export does: each object in order of arrival, all
// versions of it, and two others anywhere that it refers to.
func BenchmarkExport(b *testing.B) {
	const held = 50_000
	s := filled(b, held)
	r := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		count := 0
		err := s.Scan(Query{}, func(v Version) bool {
			for _, id := range []string{v.ID, indicatorID(r.IntN(held)), indicatorID(r.IntN(held))} {
				if versions, err := s.Get(id); err != nil || len(versions) != 1 {
					b.Fatalf("%s: %d versions, %v", id, len(versions), err)
				}
			}
			count++
			return count < held/10
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, held/10)
}

// BenchmarkGet reads single objects in random order.
func BenchmarkGet(b *testing.B) {
	const held = 50_000
	s := filled(b, held)
	r := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		if v, err := s.Get(indicatorID(r.IntN(held))); err != nil || len(v) != 1 {
			b.Fatalf("%d versions, %v", len(v), err)
		}
	}
}

// BenchmarkOpen opens a store, which verifies its tables. The budget for the
// start of a whole node is a second with a million objects.
func BenchmarkOpen(b *testing.B) {
	held := 1_000_000
	if testing.Short() {
		held = 100_000
	}
	s := filled(b, held)
	cfg := s.cfg
	for b.Loop() {
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		s = openLab(b, cfg)
	}
}
