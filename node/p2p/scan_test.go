package p2p

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	pubsubpb "github.com/libp2p/go-libp2p-pubsub/pb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

func ptr[T any](v T) *T { return &v }

// everything is an RPC with all that a peer's PubSub may send.
func everything() *pubsubpb.RPC {
	id := string(bytes.Repeat([]byte{0xfe}, idSize))
	return &pubsubpb.RPC{
		Subscriptions: []*pubsubpb.RPC_SubOpts{{Subscribe: ptr(true), Topicid: ptr("a"), RequestsPartial: ptr(false), SupportsSendingPartial: ptr(false)}, {Topicid: ptr("b")}},
		Publish:       []*pubsubpb.Message{{Topic: ptr("a"), Data: []byte("data")}, {Topic: ptr("b"), Data: []byte("data")}},
		Control: &pubsubpb.ControlMessage{
			Ihave:     []*pubsubpb.ControlIHave{{TopicID: ptr("a"), MessageIDs: []string{id, id}}, {TopicID: ptr("b"), MessageIDs: []string{id}}},
			Iwant:     []*pubsubpb.ControlIWant{{MessageIDs: []string{id}}},
			Graft:     []*pubsubpb.ControlGraft{{TopicID: ptr("a")}, {TopicID: ptr("b")}},
			Prune:     []*pubsubpb.ControlPrune{{TopicID: ptr("a"), Backoff: ptr(uint64(60))}, {TopicID: ptr("b")}},
			Idontwant: []*pubsubpb.ControlIDontWant{{MessageIDs: []string{id}}},
		},
	}
}

func encodeRPC(t testing.TB, rpc *pubsubpb.RPC) []byte {
	t.Helper()
	// IDs are bytes that the schema calls text; the library writes them as they are.
	body, err := proto.Marshal(rpc)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestFormOfRPCs(t *testing.T) {
	good := encodeRPC(t, everything())
	if err := checkRPC(good); err != nil {
		t.Fatalf("all that PubSub sends is refused: %v", err)
	}
	change := func(f func(*pubsubpb.RPC)) []byte {
		rpc := everything()
		f(rpc)
		return encodeRPC(t, rpc)
	}
	message := func(extra []byte) []byte {
		inner := append(encodeMessage(t), extra...)
		return protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), inner)
	}
	bad := map[string][]byte{
		"a sender":             change(func(r *pubsubpb.RPC) { r.Publish[0].From = []byte{1} }),
		"a sequence number":    change(func(r *pubsubpb.RPC) { r.Publish[0].Seqno = []byte{1} }),
		"a signature":          change(func(r *pubsubpb.RPC) { r.Publish[0].Signature = []byte{1} }),
		"a key":                change(func(r *pubsubpb.RPC) { r.Publish[0].Key = []byte{1} }),
		"peers to connect to":  change(func(r *pubsubpb.RPC) { r.Control.Prune[0].Peers = []*pubsubpb.PeerInfo{{PeerID: []byte{1}}} }),
		"extensions":           change(func(r *pubsubpb.RPC) { r.Control.Extensions = &pubsubpb.ControlExtensions{} }),
		"partial messages":     change(func(r *pubsubpb.RPC) { r.Partial = &pubsubpb.PartialMessagesExtension{} }),
		"a test extension":     change(func(r *pubsubpb.RPC) { r.TestExtension = &pubsubpb.TestExtension{} }),
		"a short id":           change(func(r *pubsubpb.RPC) { r.Control.Iwant[0].MessageIDs = []string{"short"} }),
		"too many parts":       change(func(r *pubsubpb.RPC) { r.Subscriptions = slices.Repeat(r.Subscriptions, maxParts) }),
		"control twice":        slices.Concat(good, encodeRPC(t, &pubsubpb.RPC{Control: everything().Control})),
		"data twice":           message(protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), []byte("other"))),
		"a topic twice":        message(protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), []byte("other"))),
		"an unknown field":     message(protowire.AppendBytes(protowire.AppendTag(nil, 15, protowire.BytesType), []byte("x"))),
		"a wrong wire type":    protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 7),
		"a group":              protowire.AppendTag(nil, 1, protowire.StartGroupType),
		"a field of number 40": protowire.AppendVarint(protowire.AppendTag(nil, 40, protowire.VarintType), 7),
		"cut short":            good[:len(good)-1],
	}
	for name, b := range bad {
		if err := checkRPC(b); !errors.Is(err, errBadRPC) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := checkRPC(message(nil)); err != nil {
		t.Errorf("a plain message is refused: %v", err)
	}
}

func encodeMessage(t testing.TB) []byte {
	t.Helper()
	b, err := proto.Marshal(&pubsubpb.Message{Topic: ptr("a"), Data: []byte("data")})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReaderHandsOnWholeRPCs(t *testing.T) {
	one := encodeRPC(t, everything())
	framed := append(binary.AppendUvarint(nil, uint64(len(one))), one...)
	stream := slices.Repeat(framed, 3)
	got, err := io.ReadAll(iotest.OneByteReader(newRPCReader(iotest.HalfReader(bytes.NewReader(stream)))))
	if err != nil || !bytes.Equal(got, stream) {
		t.Errorf("three RPCs came through as %d bytes of %d, %v", len(got), len(stream), err)
	}
	// A bad one ends it, and not a byte of it is handed on.
	bad := slices.Concat(framed, []byte{2, 0x7a, 0x00}, framed)
	got, err = io.ReadAll(newRPCReader(bytes.NewReader(bad)))
	if !errors.Is(err, errBadRPC) || !bytes.Equal(got, framed) {
		t.Errorf("before a bad RPC %d bytes came through, not %d: %v", len(got), len(framed), err)
	}
	huge := binary.AppendUvarint(nil, 1<<40)
	if _, err = io.ReadAll(newRPCReader(bytes.NewReader(huge))); !errors.Is(err, errBadRPC) {
		t.Errorf("an RPC of 1 TiB: %v", err)
	}
}

func TestWithoutBarredTopics(t *testing.T) {
	one := encodeRPC(t, everything())
	framed := append(binary.AppendUvarint(nil, uint64(len(one))), one...)
	notB, all, none := func(topic string) bool { return topic != "b" }, func(string) bool { return true }, func(string) bool { return false }
	kept, err := withoutBarred(framed, notB, notB)
	if err != nil {
		t.Fatal(err)
	}
	size, n := binary.Uvarint(kept)
	if size != uint64(len(kept)-n) {
		t.Fatalf("the length says %d of %d bytes", size, len(kept)-n)
	}
	var rpc pubsubpb.RPC
	if err := proto.Unmarshal(kept[n:], &rpc); err != nil {
		t.Fatal(err)
	}
	c := rpc.Control
	if len(rpc.Subscriptions) != 1 || len(rpc.Publish) != 1 || len(c.Ihave) != 1 || len(c.Graft) != 1 || len(c.Prune) != 1 ||
		len(c.Iwant) != 1 || len(c.Idontwant) != 1 || bytes.Contains(kept, []byte{'\x01', 'b'}) {
		t.Errorf("kept %v", &rpc)
	}
	if kept, err = withoutBarred(framed, notB, all); err != nil {
		t.Fatal(err)
	}
	_, n = binary.Uvarint(kept)
	if err := proto.Unmarshal(kept[n:], &rpc); err != nil || len(rpc.Subscriptions) != 2 || len(rpc.Publish) != 1 {
		t.Errorf("kept %v, %v, of what a peer may hear of and not read", &rpc, err)
	}
	only := encodeRPC(t, &pubsubpb.RPC{Subscriptions: []*pubsubpb.RPC_SubOpts{{Topicid: ptr("b")}}})
	kept, err = withoutBarred(append(binary.AppendUvarint(nil, uint64(len(only))), only...), none, none)
	if err != nil || len(kept) != 0 {
		t.Errorf("of nothing else %d bytes are kept, %v", len(kept), err)
	}
	if _, err := withoutBarred(framed[:9], notB, notB); err == nil {
		t.Error("a part of an RPC goes through")
	}
}

func FuzzCheckRPC(f *testing.F) {
	f.Add(encodeRPC(f, everything()))
	f.Add(protowire.AppendTag(nil, 1, protowire.StartGroupType))
	f.Fuzz(func(t *testing.T, b []byte) {
		if checkRPC(b) != nil {
			return
		}
		// What passes decodes, and nothing of it is unknown or lost.
		var rpc pubsubpb.RPC
		if err := proto.Unmarshal(b, &rpc); err != nil {
			t.Fatalf("the form is right, yet: %v", err)
		}
		if len(rpc.ProtoReflect().GetUnknown()) > 0 {
			t.Fatal("an unknown field passed")
		}
		for _, m := range rpc.Publish {
			if len(m.ProtoReflect().GetUnknown()) > 0 || m.From != nil || m.Signature != nil || m.Seqno != nil || m.Key != nil {
				t.Fatal("a message with more than topic and data passed")
			}
		}
	})
}
