package protocol

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	kindRecord    = "entente/member-record"
	kindProfile   = "entente/public-profile"
	kindAgreement = "entente/agreement"

	maxRecordLife     = 366 * 24 * time.Hour
	maxOperationsLife = 92 * 24 * time.Hour
	maxNodes          = 256
	maxAddresses      = 16
	maxClosings       = 10000
)

// ParseRecord reads a member record or public profile strictly: known fields
// only, all of them in their form. The error is of kind Invalid or Limit and
// shows the line. Nothing about signatures is checked.
func ParseRecord(payload []byte) (*Record, error) {
	const op = "read member record"
	r, f, err := readYAML(payload)
	if err != nil {
		return nil, E(kindOfFault(err), op, err, "")
	}
	rec := &Record{Hash: PayloadHash(payload)}
	switch kind := f.text("kind", true); kind {
	case kindRecord:
	case kindProfile:
		rec.Public = true
	default:
		r.fail(f.values["kind"], "this is %q; a member record is %q or %q", kind, kindRecord, kindProfile)
	}
	if v := f.uint("format", true, 1<<31); v != 1 && r.fault == nil {
		r.fail(f.values["format"], "format %d is not known here; this program reads format 1", v)
	}
	rec.fill(f)
	f.done()
	rec.check(f)
	if r.fault != nil {
		return nil, E(Invalid, op, r.fault, "")
	}
	return rec, nil
}

func kindOfFault(err error) Kind {
	if k := KindOf(err); k != Other {
		return k
	}
	return Invalid
}

func (rec *Record) fill(f *mapping) {
	rec.Handle, rec.Name = f.text("handle", true), f.text("name", true)
	rec.Version = f.uint("version", true, 1<<53)
	rec.Member = MemberID(f.hash("member", rec.Public || rec.Version > 1))
	rec.Previous = f.hash("previous", rec.Version > 1)
	if life := f.mapping("valid"); life != nil {
		rec.From, rec.Until = life.time("from", true), life.time("until", true)
		life.done()
	}
	rec.Root = f.key("root")
	if o := f.mapping("operations"); o != nil {
		rec.Operations = OperationsKey{Key: o.key("key"), From: o.time("from", true), Until: o.time("until", true)}
		o.done()
	}
	for _, n := range f.mappings("nodes", maxNodes) {
		rec.Nodes = append(rec.Nodes, NodeEntry{
			Number: uint32(n.uint("number", true, 1<<31)), Epoch: uint32(n.uint("epoch", true, 1<<31)),
			Key: n.key("key"), Transport: n.key("transport"),
			Sealing:   n.texts("sealing", 4, nil),
			Addresses: n.texts("addresses", maxAddresses, checkAddress),
		})
		n.done()
	}
	for _, n := range f.mappings("retired", maxNodes) {
		e := RetiredNode{
			Number: uint32(n.uint("number", true, 1<<31)), Epoch: uint32(n.uint("epoch", true, 1<<31)),
			Key: n.key("key"), At: n.time("at", true),
		}
		for _, c := range n.mappings("closing", maxClosings) {
			e.Closing = append(e.Closing, Closing{Log: c.hash("log", true), Position: c.position()})
			c.done()
		}
		n.done()
		rec.Retired = append(rec.Retired, e)
	}
	rec.Identities = f.texts("identities", 64, checkIdentity)
	rec.Contacts = f.texts("contacts", 64, nil)
}

// mapping returns a field that holds a mapping; a missing one is a fault.
func (f *mapping) mapping(name string) *mapping {
	n := f.node(name, true)
	if n == nil {
		return nil
	}
	return f.r.fieldsOf(n)
}

func (f *mapping) position() Position {
	return Position{Sequence: f.uint("sequence", true, 1<<53), Head: f.hash("head", true)}
}

func (rec *Record) check(f *mapping) {
	r := f.r
	fail := func(field, format string, args ...any) {
		if n := f.values[field]; n != nil {
			r.fail(n, format, args...)
		} else {
			r.fail(f.at, format, args...)
		}
	}
	if err := checkHandle(rec.Handle); err != nil {
		fail("handle", "%v", err)
	}
	switch {
	case rec.Version == 0:
		fail("version", "versions begin with 1")
	case rec.Version == 1 && !rec.Previous.IsZero():
		fail("previous", "the first version has none before it")
	case rec.Version == 1 && !rec.Public && !rec.Member.IsZero():
		fail("member", "the first record does not name the member: its own hash is the member's id")
	case !rec.From.Before(rec.Until):
		fail("valid", "it ends on %s, which is not after its beginning", rec.Until.Format(time.RFC3339))
	case rec.Until.Sub(rec.From) > maxRecordLife:
		fail("valid", "a record lives 366 days at the most")
	case !rec.Operations.From.Before(rec.Operations.Until):
		fail("operations", "the operations key ends before it begins")
	case rec.Operations.Until.Sub(rec.Operations.From) > maxOperationsLife:
		fail("operations", "an operations key lives 92 days at the most")
	}
	seenKeys := map[PublicKey]string{rec.Root: "the root key"}
	use := func(k PublicKey, what string) {
		if other, twice := seenKeys[k]; twice {
			fail("nodes", "%s is the same as %s; one key never serves twice", what, other)
		}
		seenKeys[k] = what
	}
	use(rec.Operations.Key, "the operations key")
	numbers := map[uint32]bool{}
	for _, n := range rec.Nodes {
		if numbers[n.Number] {
			fail("nodes", "two nodes have the number %d", n.Number)
		}
		numbers[n.Number] = true
		if n.Number == 0 || n.Epoch == 0 {
			fail("nodes", "numbers and epochs of nodes begin with 1")
		}
		use(n.Key, fmt.Sprintf("the key of node %d", n.Number))
		use(n.Transport, fmt.Sprintf("the transport key of node %d", n.Number))
	}
	if rec.Version == 1 && !rec.Public {
		rec.Member = MemberID(rec.Hash)
	}
}

// checkAddress accepts a multiaddr in form; the network layer reads it.
func checkAddress(s string) error {
	if !strings.HasPrefix(s, "/") || len(s) > 512 || strings.ContainsAny(s, " \n") || strings.Contains(s, "/p2p/") {
		return fmt.Errorf("%q is no address; one looks like /dns4/node.bank.example/tcp/4001 and does not name a peer", s)
	}
	return nil
}

func checkIdentity(s string) error {
	if !regexp.MustCompile(`^identity--[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(s) {
		return fmt.Errorf("%q is no id of a STIX identity", s)
	}
	return nil
}

// VerifyRecord checks that a document is a record that continues prev, or a
// first record (prev nil), signed by the root keys that must have signed: its
// own, and that of the version before it. It returns the record.
//
// Errors: Invalid for its form, Conflict where it does not continue prev,
// Unverified where a signature is missing, BadSignature where one is false.
func VerifyRecord(d Document, prev *Record) (*Record, error) {
	const op = "verify member record"
	rec, err := ParseRecord(d.Payload)
	if err != nil {
		return nil, err
	}
	if (d.Type == ProfileType) != rec.Public || d.Type == AgreementType {
		return nil, Errorf(Malformed, op, "the envelope says %s, the document says otherwise", d.Type)
	}
	if prev == nil && rec.Version != 1 {
		return nil, E(Unverified, op, fmt.Errorf("version %d of the record of %s continues a version that is not here", rec.Version, rec.Handle), "import its earlier versions first")
	}
	needed := []PublicKey{rec.Root}
	if prev != nil {
		if rec.Member != prev.Member || rec.Public != prev.Public || rec.Version != prev.Version+1 || rec.Previous != prev.Hash {
			return nil, Errorf(Conflict, op, "version %d of the record of %s does not continue version %d, which is here", rec.Version, rec.Handle, prev.Version)
		}
		if err := rec.continues(prev); err != nil {
			return nil, E(Conflict, op, err, "")
		}
		needed = append(needed, prev.Root)
	}
	signed := map[PublicKey]bool{}
	for _, s := range d.Signatures {
		if err := VerifySignature(d.Type, d.Payload, s); err != nil {
			return nil, err
		}
		signed[s.Key] = true
	}
	for _, key := range needed {
		if !signed[key] {
			return nil, E(Unverified, op, fmt.Errorf("the record of %s is not signed by its root key %s", rec.Handle, key), "put its .sigs file beside it, or ask for the signed record")
		}
	}
	return rec, nil
}

// continues holds a version to what may change: epochs never fall, a key
// changes only with its epoch, and a node that goes is retired.
func (rec *Record) continues(prev *Record) error {
	for _, old := range prev.Nodes {
		at := slices.IndexFunc(rec.Nodes, func(n NodeEntry) bool { return n.Number == old.Number })
		if at < 0 {
			if !slices.ContainsFunc(rec.Retired, func(n RetiredNode) bool { return n.Number == old.Number && n.Key == old.Key }) {
				return fmt.Errorf("node %d is gone and not among the retired nodes", old.Number)
			}
			continue
		}
		now := rec.Nodes[at]
		if now.Epoch < old.Epoch || (now.Key != old.Key) != (now.Epoch > old.Epoch) {
			return fmt.Errorf("node %d: the epoch rises exactly when the key changes", old.Number)
		}
	}
	for _, old := range prev.Retired {
		if !slices.ContainsFunc(rec.Retired, func(n RetiredNode) bool { return n.Number == old.Number && n.Key == old.Key && n.Epoch == old.Epoch }) {
			return fmt.Errorf("node %d was retired and must stay among the retired nodes", old.Number)
		}
	}
	return nil
}
