package p2p

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pubsubpb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/encoding/protowire"

	"entente/protocol"
)

// gossip writes an RPC as it would be framed.
func gossip(t *testing.T, s network.Stream, body []byte) {
	t.Helper()
	if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(body))), body...)); err != nil {
		t.Fatal(err)
	}
}

// A party that sends an RPC with more in it than there should be loses the
// stream; nothing of the RPC is judged, and good ones are taken afterwards.
func TestBadRPCEndsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := newRaw(t)
		message := func(sequence uint64) *pubsubpb.RPC {
			frame := makeFrame(protocol.Author{Member: protocol.MemberID{7}}, sequence, "indicators", nil)
			return &pubsubpb.RPC{Publish: []*pubsubpb.Message{{Topic: ptr("indicators"), Data: frame}}}
		}
		s := r.open(kindGossip)
		bad := protowire.AppendVarint(protowire.AppendTag(encodeRPC(t, message(1)), 99, protowire.VarintType), 1)
		gossip(t, s, bad)
		_ = s.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := s.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "deadline") {
			t.Errorf("the stream lives on: %v", err)
		}
		if n := a.count(&a.checked); n != 0 {
			t.Errorf("%d frames of a bad RPC were judged", n)
		}
		s = r.open(kindGossip)
		gossip(t, s, encodeRPC(t, message(1)))
		eventually(t, 5*time.Second, "the good message taken", func() bool { return a.held(r.pact.id) == 1 })
		// Of another topic, even one that the agreement does not have: dropped.
		other := message(2)
		other.Publish[0].Topic = ptr("elsewhere")
		gossip(t, s, encodeRPC(t, other))
		gossip(t, s, encodeRPC(t, message(2)))
		eventually(t, 5*time.Second, "the next good message taken", func() bool { return a.held(r.pact.id) == 2 })
		if n := a.count(&a.checked); n != 2 {
			t.Errorf("%d frames were judged, not the two good ones", n)
		}
		_ = s.Reset()
	})
}

// A peer in the mesh that does not read gets a bounded number of bytes queued;
// then gossip to it rests, and an event says so.
func TestPeerThatDoesNotReadIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := newRaw(t)
		opened := make(chan network.Stream, 64)
		r.host.SetStreamHandler(protocolID, func(s network.Stream) {
			var tag [tagSize]byte
			if _, err := io.ReadFull(s, tag[:]); err != nil || kind(tag[0]) != kindGossip {
				_ = s.Reset()
				return
			}
			reply := headKey(r.pact.heads[0]).reply(&tag, s.Conn().RemotePeer(), r.host.ID())
			_, _ = s.Write(reply[:])
			opened <- s // and never reads
		})
		s := r.open(kindGossip)
		gossip(t, s, encodeRPC(t, &pubsubpb.RPC{
			Subscriptions: []*pubsubpb.RPC_SubOpts{{Subscribe: ptr(true), Topicid: ptr("indicators")}},
			Control:       &pubsubpb.ControlMessage{Graft: []*pubsubpb.ControlGraft{{TopicID: ptr("indicators")}}},
		}))
		<-opened
		pass(2 * time.Second)
		body := string(make([]byte, 400<<10))
		const most = 2 * gossipBytes / (400 << 10)
		sent := 0
		for ; sent < most; sent++ {
			if events, _ := a.seen(protocol.PeerDropped); events > 0 {
				break
			}
			a.publish(t, r.pact, "indicators", body)
			pass(100 * time.Millisecond)
		}
		eventually(t, 5*time.Second, "an event for what was dropped", func() bool {
			events, _ := a.seen(protocol.PeerDropped)
			return events > 0
		})
		if sent == most {
			t.Errorf("%d MiB were queued for a peer that does not read", most*400>>10)
		}
		eventually(t, time.Minute, "gossip tried again", func() bool { return len(opened) > 0 })
		_ = s.Reset()
	})
}
