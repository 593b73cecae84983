package protocol

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// ParseRecord reads a member record or public profile strictly (documents spec,
// "Member records"). Errors are Invalid or Limit, wrap a *FaultError where there
// is a place to show, and say what would be right. Nothing about signatures or
// earlier versions is checked: VerifyRecord does.
func ParseRecord(payload []byte) (*Record, error) {
	r := &Record{Hash: PayloadHash(payload)}
	err := readForm(payload, "read member record", []string{kindRecord, kindProfile}, func(root section, kind string) {
		r.Public = kind == kindProfile
		r.read(root)
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Record) read(s section) {
	s.what = "a member record"
	known := []string{"kind", "format", "handle", "name", "version", "member", "previous", "valid", "root", "operations",
		"nodes", "retired", "identities", "contacts"}
	if r.Public {
		s.what = "a public profile"
	}
	s.only(known...)
	r.Handle, r.Name = one(s, "handle", true, handle), one(s, "name", true, lineText)
	r.Version = one(s, "version", true, wholeNumber(1, maxInteger))
	r.readChain(s)
	if n := s.get("valid", true); n != nil {
		life := s.group(n, `"valid"`, "from", "until")
		r.From, r.Until = one(life, "from", true, moment), one(life, "until", true, moment)
		checkSpan(life, "until", r.From, r.Until, maxRecordLife, "a record")
	}
	r.Root = one(s, "root", true, ParsePublicKey)
	if n := s.get("operations", true); n != nil {
		o := s.group(n, `"operations"`, "key", "from", "until")
		r.Operations = OperationsKey{Key: one(o, "key", true, ParsePublicKey), From: one(o, "from", true, moment), Until: one(o, "until", true, moment)}
		checkSpan(o, "until", r.Operations.From, r.Operations.Until, maxOperationsLife, "an operations key")
	}
	s.each("nodes", maxNodes, func(n *yamlNode) { r.Nodes = append(r.Nodes, r.readNode(s, n)) })
	s.each("retired", maxRetired, func(n *yamlNode) { r.Retired = append(r.Retired, readRetired(s, n)) })
	r.Identities = many(s, "identities", maxIdentities, identity)
	r.Contacts = many(s, "contacts", maxContacts, lineText)
	if s.fault == nil {
		r.checkKeys(s)
		r.checkNumbers(s)
	}
	if r.Version == 1 && !r.Public {
		r.Member = MemberID(r.Hash)
	}
}

// readChain reads what ties a version to the member and to the one before it.
func (r *Record) readChain(s section) {
	first := r.Version == 1
	if first && !r.Public && s.get("member", false) != nil {
		s.failAt("member", "a first member record does not name the member: the member's id is the hash of this file")
	}
	r.Member = one(s, "member", !first || r.Public, memberID)
	if first && s.get("previous", false) != nil {
		s.failAt("previous", "version 1 has none before it")
	}
	r.Previous = one(s, "previous", !first, hashOf)
}

func (r *Record) readNode(s section, n *yamlNode) NodeEntry {
	known := []string{"number", "epoch", "key", "transport", "addresses", "sealing"}
	if r.Public {
		known = known[:5]
	}
	node := s.group(n, "a node", known...)
	return NodeEntry{
		Number: one(node, "number", true, small), Epoch: one(node, "epoch", true, small),
		Key: one(node, "key", true, ParsePublicKey), Transport: one(node, "transport", true, ParsePublicKey),
		Sealing: many(node, "sealing", maxSealing, sealingKey), Addresses: many(node, "addresses", maxAddresses, address),
	}
}

func readRetired(s section, n *yamlNode) RetiredNode {
	old := s.group(n, "a retired node", "number", "epoch", "key", "at", "closing")
	r := RetiredNode{
		Number: one(old, "number", true, small), Epoch: one(old, "epoch", true, small),
		Key: one(old, "key", true, ParsePublicKey), At: one(old, "at", true, moment),
	}
	seen := map[Hash]bool{}
	old.each("closing", maxClosings, func(n *yamlNode) {
		place := old.group(n, "a closing position", "log", "sequence", "head")
		c := place.closing()
		if seen[c.Log] {
			place.failAt("log", "this log is closed twice")
		}
		seen[c.Log] = true
		r.Closing = append(r.Closing, c)
	})
	return r
}

// keyPlace is where a key stands in a record.
type keyPlace struct {
	key  PublicKey
	what string
	at   *yamlNode
}

// keyPlaces returns every key of the record in the order of its fields.
func (r *Record) keyPlaces(s section) []keyPlace {
	places := []keyPlace{{r.Root, "the root key", s.get("root", true)},
		{r.Operations.Key, "the operations key", s.get("operations", true).field("key").value}}
	for i, n := range r.Nodes {
		at := s.get("nodes", true).items[i]
		places = append(places, keyPlace{n.Key, fmt.Sprintf("the key of node %d", n.Number), at.field("key").value},
			keyPlace{n.Transport, fmt.Sprintf("the transport key of node %d", n.Number), at.field("transport").value})
	}
	for i, n := range r.Retired {
		places = append(places, keyPlace{n.Key, fmt.Sprintf("the retired key of node %d", n.Number),
			s.get("retired", true).items[i].field("key").value})
	}
	return places
}

// checkKeys holds that one key never serves twice.
func (r *Record) checkKeys(s section) {
	seen := map[PublicKey]string{}
	for _, p := range r.keyPlaces(s) {
		if other, twice := seen[p.key]; twice {
			s.failNode(p.at, "%s is also %s; one key never serves twice", p.what, other)
			return
		}
		seen[p.key] = p.what
	}
}

// checkNumbers holds that a number names one node, and that its epochs rise
// from those that are retired.
func (r *Record) checkNumbers(s section) {
	current := map[uint32]uint32{}
	for i, n := range r.Nodes {
		if _, twice := current[n.Number]; twice {
			s.failNode(s.get("nodes", true).items[i].field("number").value, "two nodes have the number %d", n.Number)
		}
		current[n.Number] = n.Epoch
	}
	type life struct{ number, epoch uint32 }
	seen := map[life]bool{}
	for i, n := range r.Retired {
		at := s.get("retired", true).items[i].field("epoch").value
		if epoch, running := current[n.Number]; running && n.Epoch >= epoch {
			s.failNode(at, "node %d runs in epoch %d, so epoch %d cannot be retired", n.Number, epoch, n.Epoch)
		}
		if seen[life{n.Number, n.Epoch}] {
			s.failNode(at, "epoch %d of node %d is retired twice", n.Epoch, n.Number)
		}
		seen[life{n.Number, n.Epoch}] = true
	}
}

// address takes a multiaddr by its form; the network layer reads it.
func address(s string) (string, error) {
	const like = "one looks like /dns4/node.bank.example/tcp/4001"
	if len(s) > maxAddress {
		return "", fmt.Errorf("the address has %d bytes; the limit is %d", len(s), maxAddress)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return "", errors.New("an address is of printable ASCII without spaces; " + like)
		}
	}
	switch {
	case len(s) < 2 || s[0] != '/':
		return "", fmt.Errorf("%.60q is no multiaddr; %s", s, like)
	case strings.Contains(s+"/", "/p2p/"):
		return "", errors.New("an address here does not name a peer (/p2p/…): the transport key does")
	}
	return s, nil
}

// identity takes the id of a STIX identity object.
func identity(s string) (string, error) {
	id, ok := strings.CutPrefix(s, "identity--")
	ok = ok && len(id) == 36
	for i := 0; ok && i < len(id); i++ {
		c := id[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			ok = c == '-'
		} else {
			ok = c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
		}
	}
	if !ok {
		return "", fmt.Errorf("%.80q is no id of a STIX identity, which is \"identity--\" and a UUID in lower case", s)
	}
	return s, nil
}

// sealingKey takes a public key for encryption: the name of its kind, a colon,
// and base64. Which kinds a node can use is for it to say.
func sealingKey(s string) (string, error) {
	kind, encoded, ok := strings.Cut(s, ":")
	if _, err := handle(kind); !ok || err != nil || len(encoded) < 16 || len(encoded) > 4096 {
		return "", fmt.Errorf("%.60q is no sealing key, which is a kind, a colon and base64", s)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || kind == "x25519" && len(raw) != 32 {
		return "", fmt.Errorf("%.60q is no sealing key: what follows the colon is damaged", s)
	}
	return s, nil
}
