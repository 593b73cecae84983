package node_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"entente/node"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// alone is a member whose node has no hosts, with its store on disk: for
// measuring what a node does by itself.
type alone struct {
	node   *node.Node
	record *protocol.Record
	root   ed25519.PrivateKey
}

func newAlone(b testing.TB) *alone {
	b.Helper()
	key := func(name string) ed25519.PrivateKey {
		seed := sha256.Sum256([]byte(name))
		return ed25519.NewKeyFromSeed(seed[:])
	}
	a := &alone{root: key("root")}
	now := time.Now().UTC()
	text, err := protocol.RenderRecord(protocol.Record{
		Name: "Organisation alone", Handle: "alone", Version: 1, From: now.Add(-time.Hour), Until: now.Add(300 * 24 * time.Hour),
		Root:       protocol.PublicOf(a.root),
		Operations: protocol.OperationsKey{Key: protocol.PublicOf(key("operations")), From: now.Add(-time.Hour), Until: now.Add(80 * 24 * time.Hour)},
		Nodes:      []protocol.NodeEntry{{Number: 1, Epoch: 1, Key: protocol.PublicOf(key("node")), Transport: protocol.PublicOf(key("transport")), Addresses: []string{"/ip4/127.0.0.1/tcp/4710"}}},
	})
	if err != nil {
		b.Fatal(err)
	}
	if a.record, err = protocol.ParseRecord(text); err != nil {
		b.Fatal(err)
	}
	codec, err := protocol.NewCodec(protocol.DefaultLimits())
	if err != nil {
		b.Fatal(err)
	}
	s, err := store.Open(store.Config{Dir: b.TempDir(), Codec: codec, Async: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	a.node, err = node.New(node.Config{
		Member: a.record.Member, Number: 1, Epoch: 1, Key: key("node"), Operator: key("operations"), Store: s, Documents: newMemoryDocuments(),
		Codec: codec, Clock: time.Now, Logger: slog.New(slog.DiscardHandler), Random: func(p []byte) { _, _ = rand.Read(p) },
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- a.node.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := errors.Join(<-ran, s.Close()); err != nil {
			b.Error(err)
		}
	})
	a.take(b, protocol.RecordType, text)
	return a
}

func (a *alone) take(b testing.TB, kind protocol.DocumentType, text []byte) {
	b.Helper()
	signature := protocol.SignDocument(kind, text, a.record.Member, a.root)
	if _, err := a.node.Import(context.Background(), text, protocol.EncodeSignatures([]protocol.Signature{signature})); err != nil {
		b.Fatal(err)
	}
}

// agree puts a public agreement with itself alone into force, of one topic.
func (a *alone) agree(b *testing.B, topic string) {
	b.Helper()
	text := agreementText("pact", "public", fmt.Sprintf(`topics:
  - name: %s
    description: For measuring.
    default-marking: TLP:CLEAR
clauses:
  - number: "1"
    text: Share.
    effect: permit
    to:
      public: true
`, topic), &resident{handle: "alone", kind: "company", record: a.record})
	a.take(b, protocol.AgreementType, text)
}

// attack feeds a real bundle to Publish, or skips the benchmark.
func attack(b *testing.B, name string) func() (stix.Item, error) {
	b.Helper()
	f, err := os.Open(filepath.Join("..", "..", "shared", "data", "attack", name))
	if err != nil {
		b.Skip("the real data is not here:", err)
	}
	b.Cleanup(func() { _ = f.Close() })
	r, err := stix.NewReader(f, stix.DefaultLimits())
	if err != nil {
		b.Fatal(err)
	}
	return r.Next
}

// BenchmarkExportAttack publishes the whole of ATT&CK for enterprises and reads
// it back through policy and closure, as an export does.
func BenchmarkExportAttack(b *testing.B) {
	a := newAlone(b)
	a.agree(b, "techniques")
	ctx := context.Background()
	start := time.Now()
	receipt, err := a.node.Publish(ctx, node.PublishRequest{Topic: "techniques", Items: attack(b, "enterprise-attack-2.1.json.gz")})
	if err != nil || receipt.Published == 0 {
		b.Fatalf("%+v, %v", receipt, err)
	}
	published := time.Since(start)
	for b.Loop() {
		count := 0
		if _, err := a.node.Export(ctx, node.SearchQuery{Topic: "techniques"}, func(node.Version) bool { count++; return true }); err != nil {
			b.Fatal(err)
		}
		if count != receipt.Published {
			b.Fatalf("%d objects of %d", count, receipt.Published)
		}
	}
	b.ReportMetric(float64(receipt.Published)*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
	b.ReportMetric(float64(receipt.Published)/published.Seconds(), "published/s")
}
