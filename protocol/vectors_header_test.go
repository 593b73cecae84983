package protocol

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// exampleHeader is a header with everything optional in it.
func exampleHeader() Header {
	return Header{
		Agreement: AgreementID(testHash("agreement")), AgreementVersion: 3, Lane: TopicLane("indicators"),
		Author: Author{Member: MemberID(testHash("member")), Node: 2}, Epoch: 7, Incarnation: testInc("new"),
		Sequence: 1, Supersedes: &Supersession{Incarnation: testInc("old"), Position: Position{Sequence: 41, Head: testHash("head")}},
		Time: time.UnixMicro(1772600767891234).UTC(), Marking: Amber, Audience: Audience{Kind: AllParties},
		Content: StixObjects, Root: testHash("root"), Objects: 2, BodyLength: 1234,
	}
}

func mustEncode(t testing.TB, h Header) []byte {
	t.Helper()
	b, err := encodeHeader(&h)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func headerMeans(h Header, data []byte) map[string]any {
	m := map[string]any{
		"agreement": h.Agreement, "agreement_version": h.AgreementVersion, "lane": h.Lane.String(),
		"member": h.Author.Member, "node": h.Author.Node, "epoch": h.Epoch, "incarnation": h.Incarnation.String(),
		"sequence": h.Sequence, "time_us": h.Time.UnixMicro(), "audience_kind": h.Audience.Kind, "content": h.Content,
		"root": h.Root, "objects": h.Objects, "body_length": h.BodyLength,
		"header_hash": HeaderHash(data), "log_hash": h.Log().Hash(),
	}
	if h.Marking != NoMarking {
		m["marking"] = uint8(h.Marking)
	}
	if h.Sequence > 1 {
		m["previous"] = h.Previous
	}
	if h.Audience.Kind == OpaqueSet {
		m["audience_id"] = fmt.Sprintf("%x", h.Audience.ID)
	}
	if s := h.Supersedes; s != nil {
		m["supersedes"] = []any{s.Incarnation.String(), s.Position.Sequence, s.Position.Head}
	}
	return m
}

func headerVectors(t *testing.T) vectorFile {
	file := vectorFile{About: "Headers (SPEC.md, Header). Hex is the signed bytes; kind is the kind of error of a refusal."}
	full := exampleHeader()
	next := exampleHeader()
	next.Sequence, next.Supersedes, next.Previous = 1<<53-1, nil, testHash("previous")
	next.Lane, next.Marking = Lane{Private: LaneID(testInc("lane"))}, NoMarking
	next.Audience = Audience{Kind: OpaqueSet, ID: testInc("audience")}
	next.Content, next.Author.Node, next.Epoch = Control, 1<<32-1, 0
	least := exampleHeader()
	least.Supersedes, least.Marking, least.Time = nil, NoMarking, time.UnixMicro(0).UTC()
	least.Author.Node, least.Objects, least.BodyLength, least.AgreementVersion = 0, 1, 34, 1
	least.Lane = TopicLane("x")
	for _, v := range []struct {
		name string
		h    Header
	}{{"first of a log, superseding another", full}, {"private lane, opaque audience, sealed, largest numbers", next}, {"smallest", least}} {
		data := mustEncode(t, v.h)
		file.Accept = append(file.Accept, accept(v.name, data, headerMeans(v.h, data)))
	}
	withExtensions := extended(t, pairsOf(t, mustEncode(t, full))).bytes()
	file.Accept = append(file.Accept, accept("with extensions, which are signed and ignored", withExtensions, headerMeans(full, withExtensions)))
	file.Refuse = append(brokenMaps(t, pairsOf(t, mustEncode(t, full)), 12, 2), headerRefusals(t, full, next)...)
	return file
}

// headerRefusals are the headers whose encoding is right and whose meaning is
// not.
func headerRefusals(t *testing.T, full, next Header) []refusal {
	p, q := pairsOf(t, mustEncode(t, full)), pairsOf(t, mustEncode(t, next))
	var out []refusal
	set := func(name string, from pairs, key uint64, value any, kind Kind) {
		t.Helper()
		out = append(out, refuse(name, from.with(t, key, item(t, value)).bytes(), kind))
	}
	for _, e := range p {
		key := uint64(e.key[0])
		if key != 10 && key != 12 { // the optional ones
			out = append(out, refuse(fmt.Sprintf("key %d missing", key), p.without(t, key).bytes(), Malformed))
		}
	}
	set("format version 0", p, 1, uint64(0), Malformed)
	set("format version 2", p, 1, uint64(2), Unverified)
	set("zero agreement", p, 2, make([]byte, 32), Malformed)
	set("agreement version 0", p, 3, uint64(0), Malformed)
	set("agreement version over 2^53-1", p, 3, uint64(1)<<53, Malformed)
	for _, lane := range []struct {
		name  string
		value any
	}{
		{"kind 0", []any{0, "x"}}, {"kind 3", []any{3, "x"}}, {"empty topic", []any{1, ""}}, {"topic in capitals", []any{1, "Indicators"}},
		{"topic with a dot", []any{1, "a.b"}}, {"topic of 65 bytes", []any{1, strings.Repeat("a", 65)}}, {"topic as bytes", []any{1, []byte("abc")}},
		{"private as text", []any{2, "0123456789abcdef"}}, {"private id of 15 bytes", []any{2, make([]byte, 15)}}, {"private id zero", []any{2, make([]byte, 16)}},
		{"three elements", []any{1, "x", 1}}, {"one element", []any{1}}, {"not an array", "indicators"}, {"kind a text", []any{"1", "x"}},
	} {
		set("lane: "+lane.name, p, 4, lane.value, Malformed)
	}
	member := full.Author.Member[:]
	set("zero member", p, 5, []any{make([]byte, 32), 2}, Malformed)
	set("author of three elements", p, 5, []any{member, 2, 3}, Malformed)
	set("node over 2^32-1", p, 5, []any{member, uint64(1) << 32}, Malformed)
	set("epoch over 2^32-1", p, 6, uint64(1)<<32, Malformed)
	set("zero incarnation", p, 7, make([]byte, 16), Malformed)
	set("sequence 0", p, 8, uint64(0), Malformed)
	set("sequence over 2^53-1", q, 8, uint64(1)<<53, Malformed)
	out = append(out, refuse("no previous at sequence 2", p.without(t, 10).with(t, 8, []byte{2}).bytes(), Malformed))
	out = append(out, refuse("previous at sequence 1", q.with(t, 8, []byte{1}).bytes(), Malformed))
	set("zero previous", q, 9, make([]byte, 32), Malformed)
	set("empty previous", q, 9, []byte{}, Malformed)
	inc, head := testInc("old"), testHash("head")
	set("supersedes its own incarnation", p, 10, []any{full.Incarnation[:], 41, head[:]}, Malformed)
	set("supersedes sequence 0", p, 10, []any{inc[:], 0, head[:]}, Malformed)
	set("supersedes a zero head", p, 10, []any{inc[:], 41, make([]byte, 32)}, Malformed)
	set("supersedes a zero incarnation", p, 10, []any{make([]byte, 16), 41, head[:]}, Malformed)
	withSupersedes := append(append(q[:9:9], pair{item(t, 10), item(t, []any{inc[:], 41, head[:]})}), q[9:]...)
	out = append(out, refuse("supersedes after sequence 1", withSupersedes.bytes(), Malformed))
	set("time after 9999", p, 11, uint64(253402300800000000), Malformed)
	set("marking 0", p, 12, 0, Malformed)
	set("marking 6", p, 12, 6, Malformed)
	set("marking 256", p, 12, 256, Malformed)
	set("audience of all parties with an id", p, 13, []any{1, inc[:]}, Malformed)
	set("opaque audience without an id", p, 13, []any{2}, Malformed)
	set("opaque audience with a zero id", p, 13, []any{2, make([]byte, 16)}, Malformed)
	set("opaque audience with a short id", p, 13, []any{2, make([]byte, 15)}, Malformed)
	set("audience kind 3", p, 13, []any{3}, Malformed)
	set("empty audience", p, 13, []any{}, Malformed)
	set("content 0", p, 14, 0, Malformed)
	set("content 3", p, 14, 3, Malformed)
	set("no objects", p, 16, 0, Malformed)
	set("4097 objects", p.with(t, 17, item(t, 100000)), 16, 4097, Limit)
	set("body shorter than its objects can be", p, 17, 35, Malformed)
	set("body over 4 MiB", p, 17, 4<<20+1, Limit)
	set("header over 2 KiB", p, 32, bytes.Repeat([]byte{7}, 2048), Limit)
	return out
}

func TestHeaderVectors(t *testing.T) {
	built := headerVectors(t)
	checkVectors(t, "header.json", built, func(data []byte) error {
		_, err := DecodeHeader(data)
		return err
	})
	for _, v := range built.Accept {
		h, err := DecodeHeader(unhex(t, v.Hex))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := item(t, headerMeans(h, unhex(t, v.Hex))), item(t, v.Means); !bytes.Equal(got, want) {
			t.Errorf("%s is read as %x, not as %x", v.Name, got, want)
		}
	}
}
