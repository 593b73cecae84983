package protocol

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func exampleLogs() []LogID {
	h := exampleHeader()
	private := h.Log()
	private.Lane = Lane{Private: LaneID(testInc("lane"))}
	long := h.Log()
	long.Lane = TopicLane(strings.Repeat("a-topic9", 8))
	long.Author.Node = 1<<32 - 1
	small := h.Log()
	small.Lane, small.Author.Node = TopicLane("a"), 0
	return []LogID{h.Log(), private, long, small}
}

func TestLogIDVectors(t *testing.T) {
	file := vectorFile{About: "Ids of logs in the fixed form of store keys (SPEC.md, Log id), with their CBOR and hash."}
	for _, id := range exampleLogs() {
		data, err := id.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		file.Accept = append(file.Accept, accept(id.Lane.String(), data, map[string]any{
			"agreement": id.Agreement, "lane": id.Lane.String(), "member": id.Author.Member, "node": id.Author.Node,
			"incarnation": id.Incarnation.String(), "cbor": hexOf(id.appendCBOR(nil)), "hash": id.Hash()}))
	}
	good := unhex(t, file.Accept[0].Hex)
	for n := range len(good) {
		if _, err := ParseLogID(good[:n]); KindOf(err) != Malformed {
			t.Fatalf("%d bytes of %d: %v", n, len(good), err)
		}
	}
	badLane, badName := bytes.Clone(good), bytes.Clone(good)
	badLane[32], badName[34] = 3, 'A'
	file.Refuse = []refusal{
		refuse("no bytes", nil, Malformed),
		refuse("cut short", good[:len(good)-1], Malformed),
		refuse("trailing byte", append(bytes.Clone(good), 0), Malformed),
		refuse("lane kind 3", badLane, Malformed),
		refuse("topic in capitals", badName, Malformed),
		refuse("zeros", make([]byte, len(good)), Malformed),
	}
	checkVectors(t, "logid.json", file, func(data []byte) error {
		id, err := ParseLogID(data)
		if err != nil {
			return err
		}
		if again, err := id.AppendBinary(nil); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x is written again as %x (%v)", data, again, err)
		}
		return nil
	})
}

// TestLogIDIsCanonical holds the encoder written by hand to the library's.
func TestLogIDIsCanonical(t *testing.T) {
	for _, id := range exampleLogs() {
		name := any(id.Lane.Topic)
		kind := laneTopic
		if !id.Lane.IsTopic() {
			kind, name = lanePrivate, id.Lane.Private[:]
		}
		want := item(t, []any{id.Agreement[:], []any{kind, name}, []any{id.Author.Member[:], id.Author.Node}, id.Incarnation[:]})
		if got := id.appendCBOR(nil); !bytes.Equal(got, want) {
			t.Errorf("%x, not %x", got, want)
		}
	}
	for _, n := range []uint64{0, 23, 24, 255, 256, 1<<16 - 1, 1 << 16, 1<<32 - 1, 1 << 32, 1<<64 - 1} {
		if got, want := appendHead(nil, cborUint, n), item(t, n); !bytes.Equal(got, want) {
			t.Errorf("%d is %x, not %x", n, got, want)
		}
	}
}

func exampleFrontier() Frontier {
	var f Frontier
	for i, id := range exampleLogs() {
		e := FrontierEntry{Log: id, Base: uint64(i), Position: Position{Sequence: uint64(i) * 1000, Head: testHash(fmt.Sprint(i))}}
		if i == 0 {
			e.Position.Head = Hash{}
		}
		f = append(f, e)
	}
	return f
}

// rawEntry is an entry of a frontier, encoded whatever it says.
func rawEntry(log LogID, rest ...[]byte) []byte {
	out := appendHead(nil, cborArray, uint64(1+len(rest)))
	return append(log.appendCBOR(out), bytes.Join(rest, nil)...)
}

func rawList(entries ...[]byte) []byte {
	return append(appendHead(nil, cborArray, uint64(len(entries))), bytes.Join(entries, nil)...)
}

func TestFrontierVectors(t *testing.T) {
	f := exampleFrontier()
	data, err := EncodeFrontier(f)
	if err != nil {
		t.Fatal(err)
	}
	empty, err := EncodeFrontier(nil)
	if err != nil {
		t.Fatal(err)
	}
	file := vectorFile{About: "Frontiers (SPEC.md, Frontier) and their digests."}
	file.Accept = []vector{
		accept("four logs", data, map[string]any{"digest": f.Digest()}),
		accept("empty", empty, map[string]any{"digest": Frontier(nil).Digest()}),
	}
	f.Sort()
	head := appendByteString(nil, slices.Repeat([]byte{1}, 32))
	a, b := rawEntry(f[0].Log, []byte{1}, []byte{1}, head), rawEntry(f[1].Log, []byte{1}, []byte{1}, head)
	bad := f[0].Log
	bad.Lane.Topic = "UPPER"
	file.Refuse = []refusal{
		refuse("no bytes", nil, Malformed),
		refuse("null", []byte{0xf6}, Malformed),
		refuse("a map", []byte{0xa0}, Malformed),
		refuse("cut short", data[:len(data)-1], Malformed),
		refuse("trailing byte", append(bytes.Clone(data), 0), Malformed),
		refuse("number not minimal", append([]byte{0x98, 4}, data[1:]...), Malformed),
		refuse("indefinite", append(append([]byte{0x9f}, data[1:]...), 0xff), Malformed),
		refuse("out of order", rawList(b, a), Malformed),
		refuse("the same log twice", rawList(a, a), Malformed),
		refuse("sequence with a zero head", rawList(rawEntry(f[0].Log, []byte{1}, []byte{1}, appendByteString(nil, make([]byte, 32)))), Malformed),
		refuse("sequence with no head", rawList(rawEntry(f[0].Log, []byte{1}, []byte{1}, []byte{0x40})), Malformed),
		refuse("no sequence with a head", rawList(rawEntry(f[0].Log, []byte{1}, []byte{0}, head)), Malformed),
		refuse("no sequence with a zero head", rawList(rawEntry(f[0].Log, []byte{1}, []byte{0}, appendByteString(nil, make([]byte, 32)))), Malformed),
		refuse("short head", rawList(rawEntry(f[0].Log, []byte{1}, []byte{1}, appendByteString(nil, make([]byte, 31)))), Malformed),
		refuse("base two after the sequence", rawList(rawEntry(f[0].Log, []byte{3}, []byte{1}, head)), Malformed),
		refuse("sequence over 2^53-1", rawList(rawEntry(f[0].Log, []byte{1}, appendHead(nil, cborUint, 1<<53), head)), Malformed),
		refuse("three elements", rawList(rawEntry(f[0].Log, []byte{1}, []byte{1})), Malformed),
		refuse("five elements", rawList(rawEntry(f[0].Log, []byte{1}, []byte{1}, head, []byte{0})), Malformed),
		refuse("bad topic", rawList(rawEntry(bad, []byte{1}, []byte{1}, head)), Malformed),
		refuse("4097 entries", append(appendHead(nil, cborArray, 4097), make([]byte, 4097)...), Limit),
		refuse("2^32 entries claimed", []byte{0x9a, 0xff, 0xff, 0xff, 0xff}, Malformed),
	}
	checkVectors(t, "frontier.json", file, func(data []byte) error {
		_, err := DecodeFrontier(data)
		return err
	})
}

func TestWantVectors(t *testing.T) {
	logs := exampleLogs()
	data, err := EncodeWants([]Want{{logs[1], 0, 5}, {logs[0], 1000, 1<<53 - 1}, {logs[1], 7, 8}})
	if err != nil {
		t.Fatal(err)
	}
	file := vectorFile{About: "Lists of wants (SPEC.md, Wants), in the order in which they are to be served."}
	file.Accept = []vector{accept("three wants", data, nil), accept("none", []byte{0x80}, nil)}
	file.Refuse = []refusal{
		refuse("no bytes", nil, Malformed),
		refuse("cut short", data[:len(data)-1], Malformed),
		refuse("trailing byte", append(bytes.Clone(data), 0), Malformed),
		refuse("empty range", rawList(rawEntry(logs[0], []byte{1}, []byte{1})), Malformed),
		refuse("range backwards", rawList(rawEntry(logs[0], []byte{2}, []byte{1})), Malformed),
		refuse("sequence over 2^53-1", rawList(rawEntry(logs[0], []byte{2}, appendHead(nil, cborUint, 1<<53))), Malformed),
		refuse("sequence not minimal", rawList(rawEntry(logs[0], []byte{24, 2}, []byte{3})), Malformed),
		refuse("two elements", rawList(rawEntry(logs[0], []byte{2})), Malformed),
		refuse("4097 wants", append(appendHead(nil, cborArray, 4097), make([]byte, 4097)...), Limit),
	}
	checkVectors(t, "wants.json", file, func(data []byte) error {
		_, err := DecodeWants(data)
		return err
	})
}

func exampleStatement() Statement {
	return Statement{Kind: Freshness, Agreement: AgreementID(testHash("agreement")), Version: 3, Head: testHash("head"),
		Member: MemberID(testHash("member")), Time: time.UnixMicro(1772600767891234).UTC()}
}

// exampleStatements has one statement of each kind.
func exampleStatements() []Statement {
	base := exampleStatement()
	leaves := []Leaf{{testHash("log"), 7, 0}, {testHash("log"), 7, 12}}
	var out []Statement
	add := func(k StatementKind, change func(*Statement)) {
		s := base
		s.Kind = k
		if change != nil {
			change(&s)
		}
		out = append(out, s)
	}
	add(Freshness, nil)
	add(Suspension, func(s *Statement) {
		s.Party, s.Text = MemberID(testHash("party")), "Its root key was stolen.\nMore by telephone."
	})
	add(Resumption, func(s *Statement) { s.Party = MemberID(testHash("party")) })
	add(Withdrawal, nil)
	add(Tombstone, func(s *Statement) { s.Leaves, s.Text = leaves, "Art. 17" })
	add(Receipt, func(s *Statement) { s.Leaves, s.About = leaves, testHash("tombstone") })
	add(Score, func(s *Statement) {
		s.Party, s.Name, s.Count, s.Frontier = MemberID(testHash("party")), "give", 117, testHash("frontier")
	})
	add(Request, func(s *Statement) { s.Leaves, s.Text = leaves, "To our clients, to warn them." })
	add(Grant, func(s *Statement) { s.About, s.Until = testHash("request"), base.Time.AddDate(0, 1, 0) })
	add(Denial, func(s *Statement) { s.About, s.Text = testHash("request"), "Not before the arrest." })
	add(Endorsement, func(s *Statement) { s.About = testHash("payload") })
	return out
}

// signedRefusals signs maps that are wrong, and wraps a right one wrongly.
func signedRefusals(t *testing.T, domain string, p pairs, intKey uint64, more ...refusal) []refusal {
	var out []refusal
	for _, r := range append(brokenMaps(t, p, intKey, 3), more...) {
		signed := unhex(t, r.Hex)
		r.Hex = hexOf(append(sign(testKey("operations"), domain, signed), signed...))
		out = append(out, r)
	}
	good := p.bytes()
	return append(out,
		refuse("only a signature", make([]byte, 64), Malformed),
		refuse("signed by another key", append(sign(testKey("node"), domain, good), good...), BadSignature),
		refuse("signed without a domain", append(sign(testKey("operations"), "", good), good...), BadSignature),
		refuse("signed as a header", append(sign(testKey("operations"), domainHeaderSignature, good), good...), BadSignature))
}

func TestStatementVectors(t *testing.T) {
	data, err := SealStatement(exampleStatement(), testKey("operations"))
	if err != nil {
		t.Fatal(err)
	}
	p := pairsOf(t, data[64:])
	withExtensions := extended(t, p).bytes()
	file := vectorFile{About: "Statements (SPEC.md, Statements), by the key whose seed is SHA-256(\"operations\").",
		Keys: map[string]any{"operations_public": hexOf(publicOf(testKey("operations")))}}
	s := exampleStatement()
	file.Accept = []vector{
		accept("freshness", data, map[string]any{"kind": s.Kind, "agreement": s.Agreement, "version": s.Version,
			"head": s.Head, "member": s.Member, "time_us": s.Time.UnixMicro()}),
		accept("with extensions", append(sign(testKey("operations"), domainStatementSignature, withExtensions), withExtensions...), nil),
	}
	for _, s := range exampleStatements()[1:] {
		data, err := SealStatement(s, testKey("operations"))
		if err != nil {
			t.Fatal(err)
		}
		file.Accept = append(file.Accept, accept(s.Kind.String(), data, map[string]any{"statement": s}))
	}
	tombstone, err := SealStatement(exampleStatements()[4], testKey("operations"))
	if err != nil {
		t.Fatal(err)
	}
	dead := pairsOf(t, tombstone[64:])
	leaf := item(t, []any{make([]byte, 32), 1, 0})
	one := item(t, []any{bytes.Repeat([]byte{1}, 32), 1, 0})
	file.Refuse = signedRefusals(t, domainStatementSignature, p, 4,
		refuse("format version 2", p.with(t, 1, []byte{2}).bytes(), Unverified),
		refuse("format version 0", p.with(t, 1, []byte{0}).bytes(), Malformed),
		refuse("kind 0", p.with(t, 2, []byte{0}).bytes(), Malformed),
		refuse("a suspension of nobody", p.with(t, 2, []byte{2}).bytes(), Malformed),
		refuse("freshness with a party", p.with(t, 8, item(t, bytes.Repeat([]byte{1}, 32))).bytes(), Malformed),
		refuse("freshness with a text", p.with(t, 9, item(t, "x")).bytes(), Malformed),
		refuse("a text that is empty", p.with(t, 2, []byte{4}).with(t, 9, item(t, "")).bytes(), Malformed),
		refuse("a text with a control character", p.with(t, 2, []byte{4}).with(t, 9, item(t, "a\tb")).bytes(), Malformed),
		refuse("a text over 1 KiB", p.with(t, 2, []byte{4}).with(t, 9, item(t, strings.Repeat("x", 1025))).bytes(), Malformed),
		refuse("a tombstone of nothing", dead.without(t, 10).bytes(), Malformed),
		refuse("a leaf of no log", dead.with(t, 10, append([]byte{0x81}, leaf...)).bytes(), Malformed),
		refuse("a leaf twice", dead.with(t, 10, append(append([]byte{0x82}, one...), one...)).bytes(), Malformed),
		refuse("513 leaves", dead.with(t, 10, append([]byte{0x99, 2, 1}, bytes.Repeat(one, 513)...)).bytes(), Malformed),
		refuse("kind 12, not known yet", p.with(t, 2, []byte{12}).bytes(), Unverified),
		refuse("kind 63, not known yet", p.with(t, 2, item(t, 63)).bytes(), Unverified),
		refuse("kind 64", p.with(t, 2, item(t, 64)).bytes(), Malformed),
		refuse("version 0", p.with(t, 4, []byte{0}).bytes(), Malformed),
		refuse("zero agreement", p.with(t, 3, item(t, make([]byte, 32))).bytes(), Malformed),
		refuse("zero head", p.with(t, 5, item(t, make([]byte, 32))).bytes(), Malformed),
		refuse("zero member", p.with(t, 6, item(t, make([]byte, 32))).bytes(), Malformed),
		refuse("no time", p.without(t, 7).bytes(), Malformed),
		refuse("time after 9999", p.with(t, 7, item(t, uint64(maxMicros+1))).bytes(), Malformed),
		refuse("over 32 KiB", p.with(t, 40, item(t, make([]byte, 32<<10))).bytes(), Limit))
	checkVectors(t, "statement.json", file, func(data []byte) error {
		s, err := DecodeStatement(data)
		if err != nil {
			return err
		}
		_, err = OpenStatement(s, publicOf(testKey("operations")))
		return err
	})
}

func exampleInvite() Invite {
	secret := [32]byte(testHash("secret"))
	return Invite{Agreement: AgreementID(testHash("agreement")), Inviter: MemberID(testHash("member")),
		Addresses: []string{"/ip4/192.0.2.7/udp/4001/quic-v1/p2p/12D3KooWExample", "/dns/node.example/tcp/443/tls/ws/p2p/12D3KooWExample"},
		Secret:    &secret, Expires: time.UnixMicro(1772600767891234).UTC()}
}

// inviteBytes returns what is behind the text of an invite.
func inviteBytes(t testing.TB, i Invite) []byte {
	t.Helper()
	text, err := SealInvite(i, testKey("operations"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := base64.RawURLEncoding.DecodeString(text[len(invitePrefix):])
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestInviteVectors(t *testing.T) {
	ticket := exampleInvite()
	ticket.Secret, ticket.Addresses = nil, ticket.Addresses[:1]
	data := inviteBytes(t, exampleInvite())
	p := pairsOf(t, data[64:])
	text, err := SealInvite(ticket, testKey("operations"))
	if err != nil {
		t.Fatal(err)
	}
	file := vectorFile{About: "Invites (SPEC.md, Invites), the bytes behind the base64, by the key whose seed is SHA-256(\"operations\").",
		Keys: map[string]any{"operations_public": hexOf(publicOf(testKey("operations")))}}
	file.Accept = []vector{
		accept("with a secret", data, map[string]any{"addresses": exampleInvite().Addresses, "secret": hexOf(exampleInvite().Secret[:])}),
		accept("ticket", inviteBytes(t, ticket), map[string]any{"text": text}),
	}
	address := func(name string, addresses ...string) refusal {
		return refuse(name, p.with(t, 4, item(t, addresses)).bytes(), Invalid)
	}
	file.Refuse = signedRefusals(t, domainInviteSignature, p, 1,
		refuse("format version 2", p.with(t, 1, []byte{2}).bytes(), Unverified),
		refuse("no agreement", p.without(t, 2).bytes(), Invalid),
		refuse("zero inviter", p.with(t, 3, item(t, make([]byte, 32))).bytes(), Invalid),
		refuse("secret of 31 bytes", p.with(t, 5, item(t, make([]byte, 31))).bytes(), Invalid),
		refuse("empty secret", p.with(t, 5, []byte{0x40}).bytes(), Invalid),
		refuse("zero secret", p.with(t, 5, item(t, make([]byte, 32))).bytes(), Invalid),
		refuse("expires after 9999", p.with(t, 6, item(t, uint64(maxMicros+1))).bytes(), Invalid),
		address("no addresses"), address("17 addresses", slices.Repeat([]string{"/ip4/192.0.2.7/tcp/1/p2p/x"}, 17)...),
		address("address without /p2p", "/ip4/192.0.2.7/tcp/1"), address("address of a relay's other side", "/ip4/192.0.2.7/tcp/1/p2p/x/p2p-circuit"),
		address("address with an escape", "/ip4/\x1b[2J/p2p/x"), address("no multiaddr", "https://example.com/p2p/x"),
		address("address without peer", "/ip4/192.0.2.7/tcp/1/p2p/"))
	for i, r := range file.Refuse {
		if r.Kind == Malformed.String() { // people paste invites: what is wrong with them is Invalid
			file.Refuse[i].Kind = Invalid.String()
		}
	}
	checkVectors(t, "invite.json", file, func(data []byte) error {
		s, err := ParseInvite(invitePrefix + base64.RawURLEncoding.EncodeToString(data))
		if err != nil {
			return err
		}
		_, err = OpenInvite(s, publicOf(testKey("operations")), time.UnixMicro(0))
		return err
	})
}

func exampleRow() AuditRow {
	log := exampleLogs()[0]
	return AuditRow{Number: 17, Time: time.UnixMicro(1772600767891234).UTC(), Kind: AuditDecision, Action: "publish", Outcome: "withhold",
		Agreement: AgreementID(testHash("agreement")), Version: 3, Topic: "indicators", Log: &log, Sequence: 9,
		Peer: "12D3KooWExample", Party: MemberID(testHash("member")),
		Reason:    AuditReason{Layer: "agreement", Clause: "2.1", Text: "no indicators to vendors", Parties: []MemberID{MemberID(testHash("vendor"))}},
		Positions: []int{0, 5, 4095}, Objects: []string{"indicator--1"}, Count: 4, Bytes: 1 << 40}
}

func TestAuditRowVectors(t *testing.T) {
	data, err := EncodeAuditRow(exampleRow())
	if err != nil {
		t.Fatal(err)
	}
	least, err := EncodeAuditRow(AuditRow{Kind: AuditNode})
	if err != nil {
		t.Fatal(err)
	}
	replayable := exampleRow()
	replayable.Basis, replayable.Kept = testHash("basis"), exampleKept()
	again, err := EncodeAuditRow(replayable)
	if err != nil {
		t.Fatal(err)
	}
	p := pairsOf(t, data)
	file := vectorFile{About: "Audit rows (SPEC.md, Audit row)."}
	file.Accept = []vector{accept("everything", data, nil), accept("only a kind", least, nil),
		accept("a kind of a later version", item(t, map[uint64]any{3: "something new"}), nil),
		accept("with extensions", extended(t, p).bytes(), nil), accept("with what it takes to decide again", again, nil)}
	file.Refuse = append(brokenMaps(t, p, 7, 6),
		refuse("no kind", p.without(t, 3).bytes(), Malformed),
		refuse("number 0 written", p.with(t, 1, []byte{0}).bytes(), Malformed),
		refuse("empty text written", p.with(t, 4, []byte{0x60}).bytes(), Malformed),
		refuse("reason of three elements", p.with(t, 13, item(t, []any{"a", "b", "c"})).bytes(), Malformed),
		refuse("empty reason", p.with(t, 13, item(t, []any{"", "", "", []any{}})).bytes(), Malformed),
		refuse("party of 31 bytes", p.with(t, 13, item(t, []any{"a", "", "", []any{make([]byte, 31)}})).bytes(), Malformed),
		refuse("negative position", p.with(t, 14, item(t, []int{-1})).bytes(), Malformed),
		refuse("negative bytes", p.with(t, 17, item(t, -1)).bytes(), Malformed),
		refuse("text not UTF-8", p.with(t, 4, []byte{0x61, 0xff}).bytes(), Malformed),
		refuse("basis of 31 bytes", p.with(t, 18, item(t, make([]byte, 31))).bytes(), Malformed),
		refuse("basis of nothing", p.with(t, 18, item(t, make([]byte, 32))).bytes(), Malformed),
		refuse("kept of two elements", p.with(t, 19, item(t, []any{"", []any{}})).bytes(), Malformed))
	checkVectors(t, "auditrow.json", file, func(data []byte) error {
		_, err := DecodeAuditRow(data)
		return err
	})
}

func TestGossipIDVectors(t *testing.T) {
	file := vectorFile{About: "Gossip ids (SPEC.md, Gossip id): hex is the message's bytes."}
	for _, topic := range []string{"", "a", "ab"} {
		for _, data := range [][]byte{nil, []byte("bc"), []byte("c")} {
			file.Accept = append(file.Accept, accept(fmt.Sprintf("topic %q", topic), data, map[string]any{"topic": topic, "id": GossipID(topic, data)}))
		}
	}
	seen := map[string]bool{}
	for _, v := range file.Accept {
		id := fmt.Sprint(v.Means["id"])
		if seen[id] {
			t.Errorf("%s: an id twice", v.Name)
		}
		seen[id] = true
	}
	checkVectors(t, "gossipid.json", file, func([]byte) error { return nil })
}
