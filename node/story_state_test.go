package node_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"entente/protocol"
	"entente/store"
)

// stateKinds are the statements that a story may forge.
func stateKinds() map[string]protocol.StatementKind {
	return map[string]protocol.StatementKind{
		"freshness": protocol.Freshness, "suspension": protocol.Suspension, "resumption": protocol.Resumption, "withdrawal": protocol.Withdrawal,
		"tombstone": protocol.Tombstone, "receipt": protocol.Receipt, "score": protocol.Score, "request": protocol.Request,
		"grant": protocol.Grant, "denial": protocol.Denial, "endorsement": protocol.Endorsement,
	}
}

// state has a node make a statement past all that it should ask itself: as says
// for whom it speaks, key whose operations key signs, lane in which topic it goes,
// agreement what it claims to be about, when how far its time is off, leaf the
// objects that it names (MEMBER/KIND:NAME, "none" for one that is nowhere, "anew" for
// one that will be in another log; several with "+"), and
// break what is changed after signing.
func (s *story) state(t *testing.T, at *resident, d *datadriven.TestData, arg func(string) string) string {
	t.Helper()
	or := func(name, other string) *resident {
		if h := arg(name); h != "" {
			return s.lab.members[h]
		}
		return s.lab.members[other]
	}
	as := or("as", at.handle)
	topic := arg("lane")
	if topic == "" {
		topic = protocol.AgreementTopic
	}
	a := s.agreementOf(t, at, arg("in"))
	claim := protocol.Statement{
		Kind: stateKinds()[arg("kind")], Agreement: a.ID, Version: a.Version, Head: a.Hash, Member: as.record.Member,
		Time: time.Now().UTC().Truncate(time.Microsecond), Text: strings.TrimSpace(d.Input),
	}
	if other := arg("agreement"); other != "" {
		claim.Agreement = s.agreementOf(t, at, other).ID
	}
	if off := arg("when"); off != "" {
		span, err := time.ParseDuration(off)
		if err != nil {
			t.Fatal(err)
		}
		claim.Time = claim.Time.Add(span)
	}
	if p := arg("party"); p != "" {
		claim.Party = protocol.MemberID(sha256.Sum256([]byte(p)))
		if r := s.lab.members[p]; r != nil {
			claim.Party = r.record.Member
		}
	}
	switch claim.Kind {
	case protocol.Tombstone, protocol.Receipt, protocol.Request:
		for _, leaf := range strings.Split(arg("leaf"), "+") {
			if leaf == "anew" { // the first object of the log that `force anew` begins
				log := protocol.LogID{Agreement: a.ID, Lane: protocol.TopicLane(topic), Author: protocol.Author{Member: as.record.Member, Node: 1}, Incarnation: laterIncarnation()}
				claim.Leaves = append(claim.Leaves, protocol.Leaf{Log: log.Hash(), Sequence: 1})
				continue
			}
			claim.Leaves = append(claim.Leaves, s.leaf(t, at, a, leaf))
		}
		slices.SortFunc(claim.Leaves, protocol.Leaf.Compare)
	}
	switch claim.Kind {
	case protocol.Receipt, protocol.Grant, protocol.Denial, protocol.Endorsement:
		claim.About = sha256.Sum256([]byte("nothing"))
	}
	if about := arg("about"); about != "" { // the newest request of a member
		claim.About = s.request(t, about)
	}
	switch claim.Kind {
	case protocol.Grant:
		claim.Until = claim.Time.Add(time.Hour)
	case protocol.Score:
		claim.Name, claim.Count, claim.Frontier = "points", 1000, sha256.Sum256([]byte("frontier"))
	}
	signer := or("key", as.handle)
	leaf, err := protocol.SealStatement(claim, signer.keys[protocol.OperationsRole])
	if err != nil {
		return fmt.Sprintf("%s: %v\n", protocol.KindOf(err), err)
	}
	switch arg("break") {
	case "signature":
		leaf[5] ^= 1
	case "malleable": // the same signature with the order of the group added to S
		addOrder(leaf[32:64])
	case "tail":
		leaf = append(leaf, 0)
	}
	if err := at.speak(a, topic, leaf); err != nil {
		return "error: " + err.Error() + "\n"
	}
	return ""
}

// addOrder adds the order of Ed25519's group to a little-endian number.
func addOrder(s []byte) {
	order := [32]byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 31: 0x10}
	carry := 0
	for i := range s {
		sum := int(s[i]) + int(order[i]) + carry
		s[i], carry = byte(sum), sum>>8
	}
}

// agreementOf finds a version in force by its name, or the one of the story.
func (s *story) agreementOf(t *testing.T, at *resident, name string) *protocol.Agreement {
	t.Helper()
	var found *protocol.Agreement
	err := at.kept.Load(func(kind, _ string, _ uint64, payload, _ []byte) error {
		if kind == "agreements" {
			if a, err := protocol.ParseAgreement(payload); err == nil && (name == "" || a.Name == name) && (found == nil || a.Version > found.Version) {
				found = a
			}
		}
		return nil
	})
	if err != nil || found == nil {
		t.Fatalf("no agreement %q at %s: %v", name, at.handle, err)
	}
	return found
}

// leaf finds an object as MEMBER/KIND:NAME in what a node holds.
func (s *story) leaf(t *testing.T, at *resident, a *protocol.Agreement, name string) protocol.Leaf {
	t.Helper()
	if name == "none" {
		return protocol.Leaf{Log: sha256.Sum256([]byte("no log")), Sequence: 1}
	}
	member, object, _ := strings.Cut(name, "/")
	kind, name, _ := strings.Cut(object, ":")
	versions, err := at.store.Get(idOf(kind, name))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions {
		if v.Log.Agreement == a.ID && v.Log.Author.Member == s.lab.members[member].record.Member {
			return protocol.Leaf{Log: v.Log.Hash(), Sequence: v.Sequence, Position: uint64(v.Position)}
		}
	}
	t.Fatalf("%s does not hold %s of %s", at.handle, object, member)
	return protocol.Leaf{}
}

// speak seals statements into the node's log of a topic, and gossips them.
func (r *resident) speak(a *protocol.Agreement, topic string, leaves ...[]byte) error {
	author := protocol.Author{Member: r.record.Member, Node: 1}
	log := protocol.LogID{Agreement: a.ID, Lane: protocol.TopicLane(topic), Author: author, Incarnation: protocol.Incarnation{0xF1}}
	for _, e := range r.store.Logs(a.ID) {
		if e.Log.Author == author && e.Log.Lane == log.Lane {
			log = e.Log
		}
	}
	body, err := r.lab.codec.Pack(leaves, [32]byte{2})
	if err != nil {
		return err
	}
	draft := protocol.Draft{
		Agreement: a.ID, AgreementVersion: a.Version, Lane: log.Lane, Author: author, Epoch: 1, Incarnation: log.Incarnation,
		Time: time.Now(), Audience: protocol.Audience{Kind: protocol.AllParties}, Content: protocol.Control, Body: body,
	}
	entry, err := r.store.Append(context.Background(), log, func(prev protocol.Position) (*protocol.Message, error) {
		return r.lab.codec.Seal(draft, prev, nil, r.keys[protocol.NodeKey])
	}, []store.Leaf{}, nil)
	if err != nil {
		return err
	}
	return r.hosts[0].Broadcast(context.Background(), a.ID, topic, entry.Message.Frame())
}
