package node_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"entente/node"
	"entente/node/p2p"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// lab is a simulated network of whole nodes: real hosts on simulated links,
// stores in memory, virtual time. Everything in it runs inside one synctest
// bubble.
type lab struct {
	t       *testing.T
	net     *simnet.Simnet
	link    simnet.NodeBiDiLinkSettings
	count   int
	codec   *protocol.Codec
	members map[string]*resident
	logs    io.Writer
	watch   func(*resident, *node.Node) p2p.Handler // of those that found makes; may be nil
}

// resident is one member of a lab with its one node.
type resident struct {
	rules     atomic.Pointer[string] // of its operator; nil: none
	lab       *lab
	handle    string
	kind      string
	encrypted bool // its disk, when it starts the next time
	keys      map[protocol.KeyRole]ed25519.PrivateKey
	record    *protocol.Record
	documents [2]protocol.Document // record and profile
	kept      *memoryDocuments
	store     *store.Store
	node      *node.Node
	addresses [2]string
	hosts     [2]*p2p.Host
	random    *rand.ChaCha8
	stop      context.CancelFunc
	ended     chan error
	watch     func(*node.Node) p2p.Handler // stands between the node and its hosts; nil: nothing does
}

func newLab(t *testing.T) *lab {
	t.Helper()
	return newLabOn(t, simnet.StaticLatency(20*time.Millisecond))
}

// newLabOn is newLab with a latency of one's own.
func newLabOn(t *testing.T, latency func(*simnet.Packet) time.Duration) *lab {
	t.Helper()
	// A bubble's time begins with the year 2000; documents may begin no earlier,
	// and those of a test begin an hour before now.
	<-time.After(24 * time.Hour)
	const rate = 100 * simlibp2p.OneMbps
	l := &lab{t: t, net: &simnet.Simnet{LatencyFunc: latency}, members: map[string]*resident{}}
	l.link.Uplink.BitsPerSecond, l.link.Downlink.BitsPerSecond = rate, rate
	l.net.Start()
	t.Cleanup(l.net.Close)
	var err error
	if l.codec, err = protocol.NewCodec(protocol.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) address() string {
	l.count++
	return fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", simnet.IntToPublicIPv4(l.count))
}

// add makes a member and starts its node.
func (l *lab) add(handle, kind string) *resident {
	l.t.Helper()
	r := l.make(handle, kind)
	r.start()
	for _, d := range r.documents {
		r.take(d)
	}
	return r
}

// make makes a member with its store, and does not start its node.
func (l *lab) make(handle, kind string) *resident {
	l.t.Helper()
	r := &resident{lab: l, handle: handle, kind: kind, keys: map[protocol.KeyRole]ed25519.PrivateKey{}, kept: newMemoryDocuments()}
	r.addresses = [2]string{l.address(), l.address()}
	r.random = rand.NewChaCha8(sha256.Sum256([]byte(handle)))
	for _, role := range []protocol.KeyRole{protocol.RootKey, protocol.OperationsRole, protocol.NodeKey, protocol.TransportKey, protocol.PublicTransportKey} {
		seed := sha256.Sum256([]byte("key of " + handle + " for " + string(role)))
		r.keys[role] = ed25519.NewKeyFromSeed(seed[:])
	}
	r.sign()
	var err error
	if r.store, err = store.Open(store.Config{Clock: time.Now, Limits: stix.DefaultLimits(), Codec: l.codec, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		l.t.Fatal(err)
	}
	l.members[handle] = r
	l.t.Cleanup(func() {
		r.down()
		if err := r.store.Close(); err != nil {
			l.t.Errorf("%s: close store: %v", handle, err)
		}
	})
	return r
}

// sign makes the member's first record and profile.
func (r *resident) sign() {
	r.lab.t.Helper()
	now := time.Now().UTC()
	rec := protocol.Record{
		Name: "Organisation " + r.handle, Handle: r.handle, Version: 1, From: now.Add(-time.Hour), Until: now.Add(300 * 24 * time.Hour),
		Root:       protocol.PublicOf(r.keys[protocol.RootKey]),
		Operations: protocol.OperationsKey{Key: protocol.PublicOf(r.keys[protocol.OperationsRole]), From: now.Add(-time.Hour), Until: now.Add(80 * 24 * time.Hour)},
		Identities: []string{idOf("identity", r.handle)},
	}
	for i, public := range []bool{false, true} {
		role, kind := protocol.TransportKey, protocol.RecordType
		if public {
			role, kind = protocol.PublicTransportKey, protocol.ProfileType
		}
		rec.Public = public
		rec.Nodes = []protocol.NodeEntry{{Number: 1, Epoch: 1, Key: protocol.PublicOf(r.keys[protocol.NodeKey]), Transport: protocol.PublicOf(r.keys[role]), Addresses: []string{r.addresses[i]}}}
		text, err := protocol.RenderRecord(rec)
		if err != nil {
			r.lab.t.Fatal(err)
		}
		if !public {
			if r.record, err = protocol.ParseRecord(text); err != nil {
				r.lab.t.Fatal(err)
			}
			rec.Member = r.record.Member
		}
		r.documents[i] = protocol.Document{Type: kind, Payload: text, Signatures: []protocol.Signature{
			protocol.SignDocument(kind, text, r.record.Member, r.keys[protocol.RootKey]),
		}}
	}
}

// start runs the node with fresh hosts on its store and documents.
func (r *resident) start() {
	t := r.lab.t
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	if r.lab.logs != nil {
		logger = slog.New(slog.NewTextHandler(r.lab.logs, nil)).With("node", r.handle)
	}
	var err error
	r.node, err = node.New(node.Config{
		Member: r.record.Member, Number: 1, Epoch: 1, Key: r.keys[protocol.NodeKey], Operator: r.keys[protocol.OperationsRole],
		Store: r.store, Documents: r.kept, Codec: r.lab.codec, Clock: time.Now, Workers: 1, Logger: logger,
		Random: func(b []byte) { _, _ = r.random.Read(b) }, Transform: node.Transform{Secret: sha256.Sum256([]byte("secret of " + r.handle))},
		Rules: r.readRules, Encrypted: r.encrypted,
	})
	if err != nil {
		t.Fatal(err)
	}
	handler := p2p.Handler(r.node)
	if r.watch != nil {
		handler = r.watch(r.node)
	}
	for i, role := range []protocol.KeyRole{protocol.TransportKey, protocol.PublicTransportKey} {
		r.hosts[i], err = p2p.New(p2p.Config{
			Key: r.keys[role], Public: i == 1, Listen: []string{r.addresses[i]}, Handler: handler, Logger: logger,
			Extra: []libp2p.Option{simlibp2p.QUICSimnet(r.lab.net, r.lab.link)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r.node.Attach(r.hosts[0], r.hosts[1])
	ctx, cancel := context.WithCancel(context.Background())
	r.stop, r.ended = cancel, make(chan error, 1)
	go func(n *node.Node, ended chan error) { ended <- n.Run(ctx) }(r.node, r.ended)
}

// down stops the node; start brings it back with what it had.
func (r *resident) down() {
	if r.stop == nil {
		return
	}
	r.stop()
	if err := <-r.ended; err != nil {
		r.lab.t.Errorf("%s: %v", r.handle, err)
	}
	r.stop = nil
}

func (r *resident) take(d protocol.Document) node.Imported {
	r.lab.t.Helper()
	out, err := r.node.Import(context.Background(), d.Payload, protocol.EncodeSignatures(d.Signatures))
	if err != nil {
		r.lab.t.Fatalf("%s takes a document: %v", r.handle, err)
	}
	return out
}

// agree writes an agreement, has all parties sign it, and gives it to them.
func (l *lab) agree(name, visibility, body string, parties ...*resident) node.Imported {
	l.t.Helper()
	return l.conclude(agreementText(name, visibility, body, parties...), parties...)
}

// conclude has all parties sign the text of an agreement, and take it.
func (l *lab) conclude(text []byte, parties ...*resident) node.Imported {
	l.t.Helper()
	d := protocol.Document{Type: protocol.AgreementType, Payload: text}
	for _, p := range parties {
		d.Signatures = append(d.Signatures, protocol.SignDocument(d.Type, d.Payload, p.record.Member, p.keys[protocol.RootKey]))
	}
	var out node.Imported
	for _, p := range parties {
		for _, other := range parties {
			if other != p {
				p.take(other.documents[0])
				p.take(other.documents[1])
			}
		}
		out = p.take(d)
	}
	return out
}

// found makes members that hold each other's documents and an agreement, as they
// would after exchanging them by files, and starts their nodes.
func (l *lab) found(name, body string, kinds map[string]string) []*resident {
	l.t.Helper()
	var all []*resident
	for _, handle := range slices.Sorted(maps.Keys(kinds)) {
		all = append(all, l.make(handle, kinds[handle]))
	}
	d := protocol.Document{Type: protocol.AgreementType, Payload: agreementText(name, "private", body, all...)}
	for _, p := range all {
		d.Signatures = append(d.Signatures, protocol.SignDocument(d.Type, d.Payload, p.record.Member, p.keys[protocol.RootKey]))
	}
	for _, r := range all {
		if l.watch != nil {
			r.watch = func(n *node.Node) p2p.Handler { return l.watch(r, n) }
		}
		save := func(kind, name string, d protocol.Document) {
			if err := r.kept.Save(kind, name, 1, d.Payload, protocol.EncodeSignatures(d.Signatures)); err != nil {
				l.t.Fatal(err)
			}
		}
		for _, p := range all {
			save("members", p.handle, p.documents[0])
			save("profiles", p.handle, p.documents[1])
		}
		save("agreements", name, d)
		r.start()
	}
	return all
}

// agreementText writes version 1 of an agreement; body begins with topics.
func agreementText(name, visibility, body string, parties ...*resident) []byte {
	now := time.Now().UTC().Truncate(time.Second)
	var b strings.Builder
	fmt.Fprintf(&b, "kind: entente/agreement\nformat: 1\nname: %s\ntitle: For a test\nversion: 1\nvisibility: %s\n", name, visibility)
	if visibility == "private" {
		fmt.Fprintf(&b, "secret: \"%x\"\n", sha256.Sum256([]byte("secret of "+name)))
	}
	fmt.Fprintf(&b, "dates:\n  from: %s\n  until: %s\nlegal-basis:\n  text: none\nown-use: stop\namend: %d\nparties:\n",
		now.Add(-time.Hour).Format("2006-01-02T15:04:05Z"), now.Add(200*24*time.Hour).Format("2006-01-02T15:04:05Z"), len(parties)/2+1)
	for _, p := range parties {
		fmt.Fprintf(&b, "  - handle: %s\n    name: %s\n    id: \"%s\"\n    root: %s\n    kind: %s\n", p.handle, p.record.Name, p.record.Member, p.record.Root, p.kind)
	}
	b.WriteString(body)
	return []byte(b.String())
}

// items feeds raw objects to Publish.
func items(objects ...string) func() (stix.Item, error) {
	at := 0
	return func() (stix.Item, error) {
		if at == len(objects) {
			return stix.Item{}, io.EOF
		}
		at++
		return stix.Item{Raw: []byte(objects[at-1]), Index: at - 1, Line: at}, nil
	}
}

// holds returns what a node shows of a topic, sorted by id.
func (r *resident) holds(topic string) []string {
	r.lab.t.Helper()
	var out []string
	_, err := r.node.Export(context.Background(), node.SearchQuery{Topic: topic, All: true}, func(v node.Version) bool {
		out = append(out, v.ID)
		return true
	})
	if err != nil && protocol.KindOf(err) != protocol.NotFound {
		r.lab.t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// eventually waits, in virtual time, until ask says yes.
func (l *lab) eventually(within time.Duration, what string, ask func() bool) {
	l.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(within); ; <-tick.C {
		if ask() {
			return
		}
		if time.Now().After(end) {
			l.t.Fatalf("%s did not happen within %s", what, within)
		}
	}
}

// idOf makes the id of a named object of a test.
func idOf(kind, name string) string {
	s := sha256.Sum256([]byte(kind + " " + name))
	s[6], s[8] = s[6]&0x0f|0x40, s[8]&0x3f|0x80
	return fmt.Sprintf("%s--%x-%x-%x-%x-%x", kind, s[:4], s[4:6], s[6:8], s[8:10], s[10:16])
}

// tlpID returns the id of a TLP 2.0 marking by its level's name.
func tlpID(level string) string {
	return map[string]string{
		"clear": "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487", "green": "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
		"amber": "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421", "strict": "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
		"red": "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
	}[level]
}

// object writes an object of a test: indicators, notes, relationships, malware
// and identities.
func object(kind, name string, with map[string]string) string {
	o := map[string]any{
		"type": kind, "spec_version": "2.1", "id": idOf(kind, name),
		"created": "1999-10-01T00:00:00.000Z", "modified": "1999-10-01T00:00:00.000Z",
	}
	if m, ok := with["modified"]; ok {
		o["modified"] = m
	}
	var markings []string
	if level := with["tlp"]; level != "" {
		markings = append(markings, tlpID(level))
	}
	if name := with["marking"]; name != "" {
		markings = append(markings, idOf("marking-definition", name))
	}
	if len(markings) > 0 {
		o["object_marking_refs"] = markings
	}
	if text := with["description"]; text != "" {
		o["description"] = text
	}
	if by := with["by"]; by != "" {
		o["created_by_ref"] = idOf("identity", by)
	}
	target := func(s string) string {
		k, n, _ := strings.Cut(s, ":")
		return idOf(k, n)
	}
	switch kind {
	case "indicator":
		o["pattern"], o["pattern_type"], o["valid_from"] = with["pattern"], "stix", "1999-10-01T00:00:00Z"
		if with["pattern"] == "" {
			o["pattern"] = "[domain-name:value = '" + name + ".example']"
		}
		o["name"] = name
	case "tool":
		o["name"] = name
	case "malware":
		o["is_family"], o["name"] = true, name
	case "identity":
		o["name"], o["identity_class"] = name, "organization"
	case "marking-definition":
		delete(o, "modified")
		o["name"], o["definition_type"], o["definition"] = name, "statement", map[string]string{"statement": "Copyright " + name}
	case "note":
		o["content"], o["object_refs"] = "about it", []string{target(with["about"])}
	case "relationship":
		o["relationship_type"], o["source_ref"], o["target_ref"] = "indicates", target(with["from"]), target(with["to"])
	}
	raw, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// memoryDocuments keeps documents as the store's folder does, in memory.
type memoryDocuments struct {
	mu   sync.Mutex
	kept map[string]keptDocument
}

type keptDocument struct {
	kind, name          string
	version             uint64
	payload, signatures []byte
}

func newMemoryDocuments() *memoryDocuments { return &memoryDocuments{kept: map[string]keptDocument{}} }

// Save implements node.Documents.
func (m *memoryDocuments) Save(kind, name string, version uint64, payload, signatures []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := fmt.Sprintf("%s/%s/%d", kind, name, version)
	if old, ok := m.kept[key]; ok && string(old.payload) != string(payload) {
		return protocol.E(protocol.Conflict, "save", errors.New("another document is there"), "")
	}
	m.kept[key] = keptDocument{kind, name, version, slices.Clone(payload), slices.Clone(signatures)}
	return nil
}

// Load implements node.Documents.
func (m *memoryDocuments) Load(yield func(kind, name string, version uint64, payload, signatures []byte) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(m.kept)) {
		d := m.kept[key]
		if err := yield(d.kind, d.name, d.version, d.payload, d.signatures); err != nil {
			return err
		}
	}
	return nil
}
