package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"entente/cmd/entente/bare"
	"entente/node"
	"entente/protocol/stix"
)

// newBenchCommand returns the verb that measures the whole pipe beside the bare
// one.
func newBenchCommand() *cobra.Command {
	b := &bench{}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine: the whole pipe beside the bare machinery",
		Long: `Publishes objects at one node and waits until another holds them: parsed,
decided on, signed, gossiped over loopback, verified, decided on again, stored
and indexed by id at both. The same objects go through the bare machinery
(compression, signature, gossip, Badger with one key an object; nothing parsed,
nothing decided) in the same run. Only the ratio of the two says anything about
the program; the rates say something about the machine.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b.out, b.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return b.profiled(cmd.Context())
		},
	}
	cmd.Flags().IntVar(&b.objects, "objects", 200000, "how many objects go through each pipe")
	cmd.Flags().IntVar(&b.rounds, "rounds", 1, "how often each pipe runs; the best of each counts")
	cmd.Flags().BoolVar(&b.json, "json", false, "print one JSON object")
	cmd.Flags().StringVar(&b.profile, "profile", "", "write a CPU profile to this file and leave the bare pipe out")
	cmd.Flags().StringVar(&b.dir, "dir", "", "folder for the stores (default: the system's temporary folder)")
	return cmd
}

// bench is one run of the verb.
type bench struct {
	out, err io.Writer
	objects  int
	rounds   int
	json     bool
	dir      string
	profile  string
}

// benchResult is what a run measured.
type benchResult struct {
	Objects int         `json:"objects"`
	Cores   int         `json:"cores"`
	Pipes   []benchPipe `json:"pipes"`
	Lookup  benchLookup `json:"lookup"`
}

// benchPipe compares the two pipes under one way of writing.
type benchPipe struct {
	Sync        bool    `json:"sync"`
	Whole       float64 `json:"whole_objects_per_second"`
	Bare        float64 `json:"bare_objects_per_second"`
	Ratio       float64 `json:"ratio"`
	WholeCPU    float64 `json:"whole_cpu_microseconds_per_object"` // both nodes, all threads
	BareCPU     float64 `json:"bare_cpu_microseconds_per_object"`
	PublishOnly float64 `json:"publish_objects_per_second"`    // until the receipt
	IndexLag    float64 `json:"value_index_lag_seconds"`       // after the last object was stored
	PeakMiB     float64 `json:"peak_go_memory_mib_both_nodes"` // from the runtime, both nodes and the input together
}

// benchLookup is how long looking up values took.
type benchLookup struct {
	Values int     `json:"values"`
	P50    float64 `json:"p50_microseconds"`
	P99    float64 `json:"p99_microseconds"`
	Many   float64 `json:"ten_thousand_in_one_call_seconds"`
}

// benchCaches is the default of a node's configuration, in MiB.
const benchCaches = 192

// profiled runs the benchmark, under the profiler where that was asked for.
func (b *bench) profiled(ctx context.Context) error {
	if b.profile == "" {
		return b.run(ctx)
	}
	f, err := os.Create(b.profile)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return errors.Join(err, f.Close())
	}
	err = b.run(ctx)
	pprof.StopCPUProfile()
	return errors.Join(err, f.Close())
}

func (b *bench) run(ctx context.Context) error {
	boundMemory(benchCaches, 2)
	objects := benchObjects(b.objects)
	out := benchResult{Objects: len(objects), Cores: runtime.GOMAXPROCS(0)}
	for _, sync := range []bool{false, true} {
		p := benchPipe{Sync: sync}
		for range b.rounds {
			if b.profile == "" {
				if err := b.bare(ctx, objects, sync, &p); err != nil {
					return fmt.Errorf("bare pipe: %w", err)
				}
			}
			if err := b.whole(ctx, objects, sync, &p, &out.Lookup); err != nil {
				return fmt.Errorf("whole pipe: %w", err)
			}
		}
		if p.Bare > 0 {
			p.Ratio = p.Whole / p.Bare
		}
		out.Pipes = append(out.Pipes, p)
	}
	if b.json {
		e := json.NewEncoder(b.out)
		e.SetIndent("", "  ")
		return e.Encode(out)
	}
	return b.print(out)
}

func (b *bench) print(r benchResult) error {
	t := tabwriter.NewWriter(b.out, 2, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "objects/s, %d objects, %d cores\t\t\t\t\t\t\t\t\t\n", r.Objects, r.Cores)
	fmt.Fprintf(t, "writes\twhole\tbare\tratio\tCPU whole\tCPU bare\tpublish alone\tindex lag\tmemory\t\n")
	for _, p := range r.Pipes {
		name := "asynchronous"
		if p.Sync {
			name = "synchronous"
		}
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.2f\t%.1f µs\t%.1f µs\t%.0f\t%.1f s\t%.0f MiB\t\n", name, p.Whole, p.Bare, p.Ratio, p.WholeCPU, p.BareCPU, p.PublishOnly, p.IndexLag, p.PeakMiB)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(b.out, "lookup of one value among %d: p50 %.0f µs, p99 %.0f µs; 10,000 values in one call: %.2f s\n",
		r.Lookup.Values, r.Lookup.P50, r.Lookup.P99, r.Lookup.Many)
	return err
}

// lessOf keeps the smaller of two measurements, of which 0 is none.
func lessOf(had, got float64) float64 {
	if had == 0 {
		return got
	}
	return min(had, got)
}

// cpuTime is what all threads of the process have computed so far.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bare pushes all objects through the bare machinery.
func (b *bench) bare(ctx context.Context, objects [][]byte, sync bool, p *benchPipe) error {
	dir, err := os.MkdirTemp(b.dir, "entente-bare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	r, err := bare.Run(ctx, bare.Config{CPU: cpuTime, Objects: objects, Batch: 500, Bytes: 400 << 10, Sync: sync, Dir: dir})
	if err != nil {
		return err
	}
	p.Bare = max(p.Bare, r.Rate())
	p.BareCPU = lessOf(p.BareCPU, float64(r.CPU.Microseconds())/float64(r.Objects))
	return nil
}

// whole publishes all objects at one of two nodes and waits for the other.
func (b *bench) whole(ctx context.Context, objects [][]byte, sync bool, p *benchPipe, lookup *benchLookup) (err error) {
	dir, err := os.MkdirTemp(b.dir, "entente-bench-")
	if err != nil {
		return err
	}
	a := alliance{dir: dir}
	defer func() {
		if closed := a.close(); err == nil {
			err = closed
		}
	}()
	logger := slog.New(slog.NewTextHandler(b.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var ends [2]*ally
	for i, handle := range []string{"sender", "receiver"} {
		if ends[i], err = a.add(ctx, handle, handle, "company", assemblyOptions{Async: !sync, Memory: benchCaches << 20}, logger); err != nil {
			return err
		}
	}
	now := time.Now().UTC()
	text, err := demoTerms{From: now.Add(-time.Hour), Until: now.AddDate(1, 0, 0), Parties: ends[:]}.render("sample/bench.yaml")
	if err != nil {
		return err
	}
	if _, err := a.agree(ctx, text, ends[:]...); err != nil {
		return err
	}
	if err := connected(ctx, ends[:]...); err != nil {
		return err
	}
	watch := watchMemory()
	start, computed := time.Now(), cpuTime()
	next := 0
	receipt, err := ends[0].running.node.Publish(ctx, node.PublishRequest{Topic: "bench/objects", Items: func() (stix.Item, error) {
		if next == len(objects) {
			return stix.Item{}, io.EOF
		}
		next++
		return stix.Item{Raw: objects[next-1], Index: next - 1}, nil
	}})
	if err != nil {
		return err
	}
	if receipt.Published != len(objects) {
		return fmt.Errorf("only %d of %d objects were published: %+v", receipt.Published, len(objects), receipt.Reasons)
	}
	published := time.Since(start)
	store := ends[1].running.store
	wait := func(what string, ask func() bool) error {
		return eventually(ctx, what, func() (bool, error) { return ask(), nil })
	}
	if err := wait("the objects to arrive", func() bool { return store.Stats().Objects >= uint64(len(objects)) }); err != nil {
		return err
	}
	whole := time.Since(start)
	p.WholeCPU = lessOf(p.WholeCPU, float64((cpuTime()-computed).Microseconds())/float64(len(objects)))
	p.Whole = max(p.Whole, float64(len(objects))/whole.Seconds())
	p.PublishOnly = max(p.PublishOnly, float64(len(objects))/published.Seconds())
	if err := wait("the value index", func() bool { s := store.Stats(); return s.Indexed >= s.LastAdded }); err != nil {
		return err
	}
	p.IndexLag = (time.Since(start) - whole).Seconds()
	p.PeakMiB = max(p.PeakMiB, watch())
	return b.lookups(ctx, ends[1], lookup)
}

// lookups measures single lookups, and many in one call, through the node.
func (b *bench) lookups(ctx context.Context, at *ally, out *benchLookup) error {
	r := rand.New(rand.NewPCG(7, 7))
	out.Values = b.objects
	times := make([]float64, 0, 2000)
	for range cap(times) {
		value := benchAddress(r.IntN(b.objects))
		start := time.Now()
		a, err := at.running.node.Lookup(ctx, []string{value})
		if err != nil {
			return err
		}
		times = append(times, float64(time.Since(start).Nanoseconds())/1000)
		if len(a[0].Hits) == 0 {
			return fmt.Errorf("%s was published and is not found", value)
		}
	}
	slices.Sort(times)
	out.P50, out.P99 = times[len(times)/2], times[len(times)*99/100]
	many := make([]string, 10000)
	for i := range many {
		many[i] = benchAddress(r.IntN(b.objects))
	}
	start := time.Now()
	_, err := at.running.node.Lookup(ctx, many)
	out.Many = time.Since(start).Seconds()
	return err
}

// watchMemory samples what the Go runtime holds and returns how to ask for the
// highest figure, in MiB.
func watchMemory() func() float64 {
	done, answer := make(chan struct{}), make(chan float64)
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		var most uint64
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.Sys-m.HeapReleased)
			select {
			case <-tick.C:
			case <-done:
				answer <- float64(most) / (1 << 20)
				return
			}
		}
	}()
	return func() float64 { close(done); return <-answer }
}

// benchAddress returns the i-th of the addresses that the objects are about.
func benchAddress(i int) string {
	return fmt.Sprintf("10.%d.%d.%d", byte(i>>16), byte(i>>8), byte(i))
}

// benchObjects makes distinct indicators of about 600 bytes, always the same.
func benchObjects(count int) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	words := []string{"loader", "beacon", "stealer", "scanner", "relay", "dropper", "proxy", "miner"}
	out := make([][]byte, count)
	for i := range out {
		id := fmt.Sprintf("indicator--%08x-%04x-4%03x-8%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Uint64N(1<<48))
		out[i] = fmt.Appendf(nil, `{"type":"indicator","spec_version":"2.1","id":"%s","created":"2026-10-%02dT0%d:00:00.000Z","modified":"2026-10-%02dT0%d:00:00.000Z",`+
			`"name":"%s seen at %s","description":"Observed by sensors in %d networks; the address answered on port %d, and samples of family %s-%d that were collected later spoke to it within minutes.",`+
			`"indicator_types":["malicious-activity"],"pattern":"[ipv4-addr:value = '%s']","pattern_type":"stix","valid_from":"2026-10-%02dT00:00:00Z","confidence":%d,"labels":["%s"],`+
			`"object_marking_refs":["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"]}`,
			id, 1+i%28, i%10, 1+i%28, i%10, words[i%8], benchAddress(i), r.IntN(90), r.IntN(65536), words[r.IntN(8)], r.IntN(500),
			benchAddress(i), 1+i%28, r.IntN(101), words[r.IntN(8)])
	}
	return out
}
