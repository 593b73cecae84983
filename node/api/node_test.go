package api

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"entente/node"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// organisation is a member with its keys and its record.
type organisation struct {
	handle   string
	keys     map[protocol.KeyRole]ed25519.PrivateKey
	record   *protocol.Record
	document protocol.Document
}

func newOrganisation(t *testing.T, handle string) *organisation {
	t.Helper()
	o := &organisation{handle: handle, keys: map[protocol.KeyRole]ed25519.PrivateKey{}}
	for _, role := range []protocol.KeyRole{protocol.RootKey, protocol.OperationsRole, protocol.NodeKey, protocol.TransportKey} {
		seed := sha256.Sum256([]byte("key of " + handle + " for " + string(role)))
		o.keys[role] = ed25519.NewKeyFromSeed(seed[:])
	}
	now := time.Now().UTC()
	text, err := protocol.RenderRecord(protocol.Record{
		Name: "Organisation " + handle, Handle: handle, Version: 1, From: now.Add(-time.Hour), Until: now.Add(300 * 24 * time.Hour),
		Root:       protocol.PublicOf(o.keys[protocol.RootKey]),
		Operations: protocol.OperationsKey{Key: protocol.PublicOf(o.keys[protocol.OperationsRole]), From: now.Add(-time.Hour), Until: now.Add(80 * 24 * time.Hour)},
		Nodes: []protocol.NodeEntry{{Number: 1, Epoch: 1, Key: protocol.PublicOf(o.keys[protocol.NodeKey]), Transport: protocol.PublicOf(o.keys[protocol.TransportKey]),
			Addresses: []string{"/ip4/192.0.2.7/tcp/4710"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.record, err = protocol.ParseRecord(text); err != nil {
		t.Fatal(err)
	}
	o.document = protocol.Document{Type: protocol.RecordType, Payload: text}
	o.sign(&o.document)
	return o
}

func (o *organisation) sign(d *protocol.Document) {
	d.Signatures = append(d.Signatures, protocol.SignDocument(d.Type, d.Payload, o.record.Member, o.keys[protocol.RootKey]))
}

// newNode makes a real node without hosts: it shares with nobody, and answers.
// run lets it run until the test ends.
func newNode(t *testing.T, o *organisation) (n *node.Node, run func()) {
	t.Helper()
	codec, err := protocol.NewCodec(protocol.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	documents, err := store.OpenDocuments(dir)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := store.Open(store.Config{Clock: time.Now, Limits: stix.DefaultLimits(), Codec: codec})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8(sha256.Sum256([]byte(o.handle)))
	n, err = node.New(node.Config{
		Member: o.record.Member, Number: 1, Epoch: 1, Key: o.keys[protocol.NodeKey], Operator: o.keys[protocol.OperationsRole],
		Store: kept, Documents: documents, Codec: codec, Clock: time.Now, Random: func(b []byte) { _, _ = random.Read(b) }, Home: dir, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	return n, func() {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- n.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("the node: %v", err)
			}
			if err := kept.Close(); err != nil {
				t.Errorf("its store: %v", err)
			}
		})
	}
}

// treaty writes an agreement between members, signed by all.
func treaty(name, visibility, marking string, parties ...*organisation) protocol.Document {
	from := time.Now().UTC().Add(-time.Hour)
	const form = "2006-01-02T15:04:05Z"
	var b strings.Builder
	fmt.Fprintf(&b, "kind: entente/agreement\nformat: 1\nname: %s\ntitle: For a test\nversion: 1\nvisibility: %s\n", name, visibility)
	if visibility == "private" {
		fmt.Fprintf(&b, "secret: \"%x\"\n", sha256.Sum256([]byte(name)))
	}
	fmt.Fprintf(&b, "dates:\n  from: %s\n  until: %s\nlegal-basis:\n  text: none\nown-use: stop\namend: 2\nparties:\n", from.Format(form), from.Add(5000*time.Hour).Format(form))
	for _, p := range parties {
		fmt.Fprintf(&b, "  - handle: %s\n    name: %s\n    id: \"%s\"\n    root: %s\n    kind: company\n", p.handle, p.record.Name, p.record.Member, p.record.Root)
	}
	fmt.Fprintf(&b, "topics:\n  - name: indicators\n    description: What to look for.\n    default-marking: %s\nclauses:\n  - number: \"1\"\n    text: Share.\n    effect: permit\n", marking)
	d := protocol.Document{Type: protocol.AgreementType, Payload: []byte(b.String())}
	for _, p := range parties {
		p.sign(&d)
	}
	return d
}

const realObjects = `
{"type":"indicator","spec_version":"2.1","id":"indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a01","created":"2026-01-02T03:04:05.000Z","modified":"2026-01-02T03:04:05.000Z","name":"beacon","pattern":"[ipv4-addr:value = '198.51.100.77']","pattern_type":"stix","valid_from":"2026-01-02T03:04:05Z"}
{"type":"malware","spec_version":"2.1","id":"malware--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a02","created":"2026-01-02T03:04:05.000Z","modified":"2026-01-02T03:04:05.000Z","name":"gull","is_family":true}
{"type":"relationship","spec_version":"2.1","id":"relationship--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a03","created":"2026-01-02T03:04:05.000Z","modified":"2026-01-02T03:04:05.000Z","relationship_type":"indicates","source_ref":"indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a01","target_ref":"malware--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a02"}
{"type":"note","spec_version":"2.1","id":"note--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a04","created":"2026-01-02T03:04:05.000Z","modified":"2026-01-02T03:04:05.000Z","content":"for few","object_refs":["malware--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a02"],"object_marking_refs":["marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"]}
{"type":"indicator","spec_version":"2.1","id":"indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a05"}
`

// TestRealNode asks a real node everything. What it is held to is that the
// description is right about a node, not only about what the tests make up.
func TestRealNode(t *testing.T) {
	bank, cert := newOrganisation(t, "bank"), newOrganisation(t, "cert")
	ctx := t.Context()
	n, run := newNode(t, bank)
	r := start(t, &fake{}, func(c *Config) { c.Service = n })
	run()
	for _, d := range []protocol.Document{
		bank.document, cert.document, treaty("harbour", "private", "TLP:AMBER", bank, cert), treaty("warnings", "public", "TLP:CLEAR", bank, cert),
	} {
		if _, err := r.client.Import(ctx, d.Payload, protocol.EncodeSignatures(d.Signatures)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dryRun := range []bool{true, false} {
		receipt, err := r.client.Publish(ctx, "harbour/indicators", dryRun, false, strings.NewReader(realObjects), nil)
		if err != nil || receipt.Read != 5 || receipt.Published != 3 || receipt.Withheld != 1 || receipt.Refused != 1 || receipt.DryRun != dryRun {
			t.Fatalf("dry run %t: %v, %+v", dryRun, err, receipt)
		}
	}
	if err := r.client.Reindex(ctx, nil); err != nil {
		t.Error(err)
	}
	versions, err := r.client.Get(ctx, sampleID)
	if err != nil || len(versions) != 1 || versions[0].Marking != "TLP:AMBER" {
		t.Errorf("get: %v, %+v", err, versions)
	}
	answers, err := r.client.Lookup(ctx, []string{"198.51.100.0/24", "what is this?"})
	if err != nil || len(answers) != 2 || len(answers[0].Hits) != 1 || answers[1].Error == "" {
		t.Errorf("lookup: %v, %+v", err, answers)
	}
	count := map[string]int{}
	see := func(what string) func(node.Version) bool {
		return func(node.Version) bool { count[what]++; return true }
	}
	if err := r.client.Search(ctx, node.SearchQuery{Text: "beacon"}, see("search")); err != nil {
		t.Error(err)
	}
	if _, err := r.client.Export(ctx, node.SearchQuery{}, see("export")); err != nil {
		t.Error(err)
	}
	err = r.client.Tail(ctx, "harbour/indicators", 0, func(e node.TailEvent) bool {
		count["tail"]++
		return !e.Idle
	})
	if err != nil {
		t.Error(err)
	}
	var row uint64
	err = r.client.Audit(ctx, node.AuditQuery{Object: "note--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a04"}, func(e node.AuditEntry) bool {
		count["audit"]++
		row = e.Number
		return true
	})
	if err != nil || row == 0 {
		t.Errorf("audit: %v, row %d", err, row)
	}
	if count["search"] != 1 || count["export"] != 3 || count["tail"] != 4 {
		t.Errorf("%v", count)
	}
	if why, err := r.client.ExplainRow(ctx, row); err != nil || len(why.Recorded) != 1 {
		t.Errorf("explain a row: %v, %+v", err, why)
	}
	if why, err := r.client.ExplainObject(ctx, sampleID, ""); err != nil || len(why.Now) == 0 {
		t.Errorf("explain an object: %v, %+v", err, why)
	}
	if status, err := r.client.Status(ctx); err != nil || status.Member != "bank" || status.Store.Objects != 3 {
		t.Errorf("status: %v, %+v", err, status)
	}
	if members, err := r.client.Members(ctx); err != nil || len(members) != 2 {
		t.Errorf("members: %v, %+v", err, members)
	}
	if all, err := r.client.Agreements(ctx); err != nil || len(all) != 2 {
		t.Errorf("agreements: %v, %+v", err, all)
	}
	if one, err := r.client.Agreement(ctx, "harbour"); err != nil || one.State != "in-force" || !strings.Contains(one.Document, "number: \"1\"") {
		t.Errorf("agreement: %v, %+v", err, one)
	}
	if status, body := r.ask(http.MethodGet, "/v1/findings", ""); status != http.StatusOK {
		t.Errorf("findings: %d %s", status, body)
	}
	r.realRefusals()
}

// realRefusals asks a real node what it has to refuse.
func (r *running) realRefusals() {
	ctx, c, t := r.t.Context(), r.client, r.t
	nothing := func(node.Version) bool { return true }
	for name, kind := range map[string]struct {
		err  func() error
		kind protocol.Kind
	}{
		"an unknown topic": {func() error {
			_, err := c.Publish(ctx, "none/such", false, false, strings.NewReader(realObjects), nil)
			return err
		}, protocol.NotFound},
		"no STIX": {func() error {
			_, err := c.Publish(ctx, "harbour/indicators", false, false, strings.NewReader("<html>"), nil)
			return err
		}, protocol.Invalid},
		"an unknown object":            {func() error { _, err := c.Get(ctx, "indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7aff"); return err }, protocol.NotFound},
		"a withheld object":            {func() error { _, err := c.Get(ctx, "note--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a04"); return err }, protocol.NotFound},
		"an unknown row":               {func() error { _, err := c.ExplainRow(ctx, 1<<40); return err }, protocol.NotFound},
		"an unknown agreement":         {func() error { _, err := c.Agreement(ctx, "none"); return err }, protocol.NotFound},
		"an unknown member":            {func() error { _, err := c.Ping(ctx, "none"); return err }, protocol.NotFound},
		"an unknown publisher":         {func() error { return c.Search(ctx, node.SearchQuery{From: "none"}, nothing) }, protocol.NotFound},
		"an unknown kind of row":       {func() error { return c.Audit(ctx, node.AuditQuery{Kinds: []string{"x"}}, nil) }, protocol.Invalid},
		"a tail of nothing":            {func() error { return c.Tail(ctx, "none/such", 0, nil) }, protocol.NotFound},
		"an invite to what is private": {func() error { _, err := c.Invite(ctx, "harbour", 0); return err }, protocol.Invalid},
		"no ticket":                    {func() error { _, err := c.Join(ctx, "entente-invite:x"); return err }, protocol.Invalid},
		"no document":                  {func() error { _, err := c.Import(ctx, []byte("kind: x\n"), nil); return err }, protocol.Invalid},
	} {
		if err := kind.err(); protocol.KindOf(err) != kind.kind {
			t.Errorf("%s: %v (%s, hint %q), not %s", name, err, protocol.KindOf(err), protocol.HintOf(err), kind.kind)
		}
	}
}
