package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"text/template"
	"time"

	"entente/node"
	"entente/node/p2p"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/protocol/stix/redact"
	"entente/store"
)

// keyring is every secret key of one node of a member.
type keyring struct {
	Root, Operations, Node, Transport, PublicTransport ed25519.PrivateKey
}

func newKeyring(random io.Reader) (keyring, error) {
	var k keyring
	for _, to := range []*ed25519.PrivateKey{&k.Root, &k.Operations, &k.Node, &k.Transport, &k.PublicTransport} {
		_, key, err := ed25519.GenerateKey(random)
		if err != nil {
			return k, err
		}
		*to = key
	}
	return k, nil
}

// Lives of what init signs; renewing is the member's to do in time.
const (
	recordLife     = 365 * 24 * time.Hour
	operationsLife = 90 * 24 * time.Hour
)

// firstRecords makes and signs a member's first record and public profile, for
// one node that listens at the given addresses.
func firstRecords(keys keyring, handle, name string, listen, publicListen []string, now time.Time) (record, profile protocol.Document, parsed *protocol.Record, err error) {
	now = now.UTC().Truncate(time.Second)
	identity, err := newIdentity()
	if err != nil {
		return record, profile, nil, err
	}
	r := protocol.Record{
		Name: name, Handle: handle, Version: 1, From: now.Add(-time.Hour), Until: now.Add(recordLife),
		Root:       protocol.PublicOf(keys.Root),
		Operations: protocol.OperationsKey{Key: protocol.PublicOf(keys.Operations), From: now.Add(-time.Hour), Until: now.Add(operationsLife)},
		Nodes: []protocol.NodeEntry{{
			Number: 1, Epoch: 1, Key: protocol.PublicOf(keys.Node), Transport: protocol.PublicOf(keys.Transport), Addresses: listen,
		}},
		Identities: []string{identity},
	}
	text, err := protocol.RenderRecord(r)
	if err != nil {
		return record, profile, nil, err
	}
	if parsed, err = protocol.ParseRecord(text); err != nil {
		return record, profile, nil, err
	}
	record = signed(protocol.RecordType, text, parsed.Member, keys.Root)
	r.Public, r.Member = true, parsed.Member
	r.Nodes = []protocol.NodeEntry{{
		Number: 1, Epoch: 1, Key: protocol.PublicOf(keys.Node), Transport: protocol.PublicOf(keys.PublicTransport), Addresses: publicListen,
	}}
	if text, err = protocol.RenderRecord(r); err != nil {
		return record, profile, nil, err
	}
	return record, signed(protocol.ProfileType, text, parsed.Member, keys.Root), parsed, nil
}

func signed(kind protocol.DocumentType, text []byte, member protocol.MemberID, key ed25519.PrivateKey) protocol.Document {
	return protocol.Document{Type: kind, Payload: text, Signatures: []protocol.Signature{protocol.SignDocument(kind, text, member, key)}}
}

// newIdentity draws the id of a STIX identity for a member.
func newIdentity() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("identity--%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

// assemblyOptions say how a node is put together.
type assemblyOptions struct {
	Home         string
	Listen       []string // of the member host
	PublicListen []string // of the public host; none: no public host
	Memory       int64    // budget of the store; 0: its default
	Async        bool     // do not wait for the disk
	Encrypted    bool     // the disk is encrypted, as its operator says
	Logger       *slog.Logger
	Internal     redact.Internal        // what belongs to the member's own network
	Rules        func() ([]byte, error) // of the operator; nil: none
	NoRules      bool                   // it is meant that there are none
}

// assembly is a node with its store and hosts.
type assembly struct {
	node  *node.Node
	store *store.Store
	hosts []*p2p.Host
}

// assemble opens a node's store and hosts and joins them. close must be called
// unless run is.
func assemble(keys keyring, member protocol.MemberID, o assemblyOptions) (a *assembly, err error) {
	a = &assembly{}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	codec, err := protocol.NewCodec(protocol.DefaultLimits())
	if err != nil {
		return a, err
	}
	documents, err := store.OpenDocuments(o.Home)
	if err != nil {
		return a, err
	}
	a.store, err = store.Open(store.Config{
		Dir: filepath.Join(o.Home, "store"), Memory: o.Memory, Async: o.Async, Clock: time.Now, Limits: stix.DefaultLimits(), Codec: codec, Logger: o.Logger,
	})
	if err != nil {
		return a, err
	}
	secret, err := redactionSecret(o.Home)
	if err != nil {
		return a, err
	}
	a.node, err = node.New(node.Config{
		Transform: node.Transform{Secret: secret, Internal: o.Internal},
		Member:    member, Number: 1, Epoch: 1, Key: keys.Node, Operator: keys.Operations, Store: a.store, Documents: documents, Codec: codec,
		Clock: time.Now, Random: fillRandom, Logger: o.Logger, Home: o.Home, Version: version(),
		Rules: o.Rules, NoRules: o.NoRules, Encrypted: o.Encrypted,
	})
	if err != nil {
		return a, err
	}
	host := func(key ed25519.PrivateKey, public bool, listen []string) (node.Network, error) {
		if len(listen) == 0 {
			return nil, nil
		}
		h, err := p2p.New(p2p.Config{Key: key, Public: public, Listen: listen, Handler: a.node, Logger: o.Logger})
		if err != nil {
			return nil, err
		}
		a.hosts = append(a.hosts, h)
		return h, nil
	}
	private, err := host(keys.Transport, false, o.Listen)
	if err != nil {
		return a, err
	}
	public, err := host(keys.PublicTransport, true, o.PublicListen)
	if err != nil {
		return a, err
	}
	a.node.Attach(private, public)
	return a, nil
}

// run runs the node until ctx ends, then closes everything: what was
// acknowledged is on disk when it returns.
func (a *assembly) run(ctx context.Context) error {
	return errors.Join(a.node.Run(ctx), a.close())
}

func (a *assembly) close() error {
	var failed error
	for _, h := range a.hosts {
		failed = errors.Join(failed, h.Close())
	}
	if a.store != nil {
		failed = errors.Join(failed, a.store.Close())
	}
	return failed
}

// fillRandom fills b from the system's source, which does not fail.
func fillRandom(b []byte) {
	if _, err := rand.Read(b); err != nil {
		panic(err) // crypto/rand promises that this does not happen
	}
}

// version returns what this program calls itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "development"
	}
	return info.Main.Version
}

// freePorts finds TCP ports of the loopback address that nothing uses.
func freePorts(count int) ([]int, error) {
	var out []int
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		held = append(held, l)
		out = append(out, l.Addr().(*net.TCPAddr).Port)
	}
	return out, nil
}

// isTerminal reports whether a writer is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// demoTerms fill in the agreements of the built-in sample.
type demoTerms struct {
	From, Until time.Time
	Parties     []*ally
}

// render writes an agreement of the sample for the parties.
func (t demoTerms) render(file string) ([]byte, error) {
	text, err := sample.ReadFile(file)
	if err != nil {
		return nil, err
	}
	form, err := template.New(file).Parse(string(text))
	if err != nil {
		return nil, err
	}
	var parties, out strings.Builder
	for _, p := range t.Parties {
		fmt.Fprintf(&parties, "  - handle: %s\n    name: %s\n    id: \"%s\"\n    root: %s\n    kind: %s\n", p.handle, p.name, p.parsed.Member, p.parsed.Root, p.kind)
	}
	var secret protocol.Hash
	fillRandom(secret[:])
	err = form.Execute(&out, map[string]string{
		"From": t.From.Format("2006-01-02T15:04:05Z"), "Until": t.Until.Format("2006-01-02T15:04:05Z"),
		"Secret": secret.String(), "Parties": strings.TrimRight(parties.String(), "\n"),
	})
	return []byte(out.String()), err
}
