package node_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"entente/node"
	"entente/protocol"
	"entente/protocol/stix"
)

var effectObjects = flag.Int("effect-objects", 100_000, "how many objects BenchmarkEffect replays")

// BenchmarkEffect replays what a node holds under the next version of an
// agreement of twelve parties with twenty clauses, one of which is changed.
func BenchmarkEffect(b *testing.B) {
	a := newAlone(b)
	first := a.pact(b, 12)
	ctx := context.Background()
	a.fill(b, *effectObjects)
	text, err := protocol.NextVersion(sha256.Sum256([]byte("next")), first)
	if err != nil {
		b.Fatal(err)
	}
	next := strings.Replace(string(text), "max-marking: TLP:AMBER", "max-marking: TLP:GREEN", 1)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	base, most := m.HeapAlloc, m.HeapAlloc
	for b.Loop() {
		c, err := a.node.Compare(ctx, node.CompareRequest{New: node.CompareSide{Document: next}}, func(node.Progress) {
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		})
		if err != nil || c.Effect == nil || c.Effect.Objects != *effectObjects || c.Effect.Losing == 0 {
			b.Fatalf("%+v, %v", c, err)
		}
	}
	b.ReportMetric(float64(*effectObjects)*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
	b.ReportMetric(1e6*b.Elapsed().Seconds()/(float64(*effectObjects)*float64(b.N)), "s/million")
	b.ReportMetric(float64(most-base)/(1<<20), "more-MiB")
}

// TestCompareInParallel: many goroutines come to one answer, the same each time.
func TestCompareInParallel(t *testing.T) {
	if testing.Short() {
		t.Skip("writes a store to disk; run without -short")
	}
	const objects = 6000
	a := newAlone(t)
	first := a.pact(t, 5)
	a.fill(t, objects)
	text, err := protocol.NextVersion(sha256.Sum256([]byte("next")), first)
	if err != nil {
		t.Fatal(err)
	}
	next := strings.Replace(string(text), "max-marking: TLP:AMBER", "max-marking: TLP:GREEN", 1)
	var before node.Comparison
	for i := range 4 {
		c, err := a.node.Compare(t.Context(), node.CompareRequest{New: node.CompareSide{Document: next}}, nil)
		if err != nil || c.Widens || c.Effect.Objects != objects || c.Effect.Losing != objects/3 || len(c.Effect.Flows) != 4 || len(c.Effect.Flows[0].First) != 5 {
			t.Fatalf("%+v, %v", c, err)
		}
		c.Effect.Now, c.Effect.Then, c.Effect.Since = time.Time{}, time.Time{}, time.Time{}
		if i > 0 && !reflect.DeepEqual(c, before) {
			t.Errorf("once %+v, then %+v", before.Effect, c.Effect)
		}
		before = c
	}
}

// fill publishes indicators, a third of them TLP:CLEAR, GREEN and AMBER each.
func (a *alone) fill(b testing.TB, count int) {
	b.Helper()
	levels := []string{tlpID("clear"), tlpID("green"), tlpID("amber")}
	at := 0
	receipt, err := a.node.Publish(context.Background(), node.PublishRequest{Topic: "iocs", Items: func() (stix.Item, error) {
		if at == count {
			return stix.Item{}, io.EOF
		}
		at++
		raw := fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":"indicator--%08x-aaaa-4aaa-8aaa-aaaaaaaaaaaa","created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z","name":"host %d of a campaign","description":"Seen in traffic to a server that hands out payloads.","indicator_types":["malicious-activity"],"pattern":"[domain-name:value = 'host%d.example%d.com']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z","confidence":%d,"labels":["botnet"],"object_marking_refs":["%s"]}`,
			at, at, at, at%5000, at%100, levels[at%3])
		return stix.Item{Raw: []byte(raw), Index: at - 1, Line: at}, nil
	}})
	if err != nil || receipt.Published != count {
		b.Fatalf("%+v, %v", receipt, err)
	}
}

// pact puts a private agreement of many parties into force, and returns its text.
func (a *alone) pact(b testing.TB, parties int) []byte {
	b.Helper()
	all, keys := []*resident{{handle: "alone", kind: "company", record: a.record}}, []ed25519.PrivateKey{a.root}
	for i := 1; i < parties; i++ {
		handle := fmt.Sprintf("party-%d", i)
		seed := sha256.Sum256([]byte(handle))
		key := ed25519.NewKeyFromSeed(seed[:])
		all = append(all, &resident{handle: handle, kind: "company", record: &protocol.Record{Name: handle, Member: protocol.MemberID(seed), Root: protocol.PublicOf(key)}})
		keys = append(keys, key)
	}
	var body strings.Builder
	body.WriteString("topics:\n  - name: iocs\n    description: For measuring.\n    default-marking: TLP:GREEN\nclauses:\n  - number: \"1\"\n    text: Share.\n    effect: permit\n    max-marking: TLP:AMBER\n")
	for i := 2; i <= 20; i++ {
		fmt.Fprintf(&body, "  - number: \"%d\"\n    text: Not this.\n    effect: forbid\n    types: [x-type-%d]\n", i, i)
	}
	d := protocol.Document{Type: protocol.AgreementType, Payload: agreementText("pact", "private", body.String(), all...)}
	for i, p := range all {
		d.Signatures = append(d.Signatures, protocol.SignDocument(d.Type, d.Payload, p.record.Member, keys[i]))
	}
	if out, err := a.node.Import(context.Background(), d.Payload, protocol.EncodeSignatures(d.Signatures)); err != nil || out.State != "in-force" {
		b.Fatalf("%+v, %v", out, err)
	}
	return d.Payload
}
