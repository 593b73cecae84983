package p2p

import (
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2p "github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"
)

// gossipID is the type that PubSub names protocols by.
type gossipID = libp2p.ID

// tracer watches a PubSub for what it loses. PubSub calls it from its main
// loop, so it must not block.
type tracer struct {
	g      *group
	mu     sync.Mutex
	queued map[peer.ID]int // owner: mu; bytes
}

// OnNewOutboundStream implements pubsub.RawTracer.
func (t *tracer) OnNewOutboundStream(id peer.ID, _ libp2p.ID) {
	t.mu.Lock()
	t.queued[id] = 0
	t.mu.Unlock()
	t.g.view.opened(id)
}

// OnClosedOutboundStream implements pubsub.RawTracer.
func (t *tracer) OnClosedOutboundStream(id peer.ID) {
	t.mu.Lock()
	delete(t.queued, id)
	t.mu.Unlock()
	t.g.view.missed(id)
}

// SendRPC implements pubsub.RawTracer. PubSub's queues count RPCs and not
// bytes; a peer for which too many bytes wait is cut off and left to sync.
func (t *tracer) SendRPC(rpc *pubsub.RPC, id peer.ID) {
	t.mu.Lock()
	before := t.queued[id]
	t.queued[id] = before + proto.Size(&rpc.RPC)
	over := before <= gossipBytes && t.queued[id] > gossipBytes
	t.mu.Unlock()
	if !over {
		return
	}
	g := t.g
	g.owner.tasks.run(func() {
		g.view.stall(id)
		g.owner.streams.cut(func(s *stream) bool {
			return s.kind == kindGossip && s.outbound && s.agreement == g.agreement && s.remote == id
		})
		g.owner.lost(g.agreement, id, "the peer did not keep up; gossip to it rests")
	})
}

// SendRPCCompleted implements pubsub.RawTracer.
func (t *tracer) SendRPCCompleted(rpc *pubsub.RPC, id peer.ID, _ time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if queued, ok := t.queued[id]; ok {
		t.queued[id] = max(0, queued-proto.Size(&rpc.RPC))
	}
}

// DropRPC implements pubsub.RawTracer. Control messages are sent again by
// PubSub; messages are not.
func (t *tracer) DropRPC(rpc *pubsub.RPC, id peer.ID) {
	if len(rpc.GetPublish()) > 0 {
		t.g.owner.lost(t.g.agreement, id, "the queue to the peer was full")
	}
}

// UndeliverableMessage implements pubsub.RawTracer.
func (t *tracer) UndeliverableMessage(m *pubsub.Message) {
	t.g.owner.lost(t.g.agreement, m.ReceivedFrom, "the node did not keep up")
}

// RejectMessage implements pubsub.RawTracer.
func (t *tracer) RejectMessage(m *pubsub.Message, reason string) {
	if reason == pubsub.RejectValidationQueueFull || reason == pubsub.RejectValidationThrottled {
		t.g.owner.lost(t.g.agreement, m.ReceivedFrom, reason)
	}
}

// Join implements pubsub.RawTracer.
func (t *tracer) Join(string) {}

// Leave implements pubsub.RawTracer.
func (t *tracer) Leave(string) {}

// Graft implements pubsub.RawTracer. What the peer published before the mesh was
// whole went elsewhere and leaves no gap to be seen if it was the last of its
// log, so the peer is asked now and not only when the clock says so.
func (t *tracer) Graft(id peer.ID, _ string) {
	t.g.owner.sync.trigger(t.g.agreement, id, graftDelay, false)
}

// Prune implements pubsub.RawTracer.
func (t *tracer) Prune(peer.ID, string) {}

// ValidateMessage implements pubsub.RawTracer.
func (t *tracer) ValidateMessage(*pubsub.Message) {}

// DeliverMessage implements pubsub.RawTracer.
func (t *tracer) DeliverMessage(*pubsub.Message) {}

// DuplicateMessage implements pubsub.RawTracer.
func (t *tracer) DuplicateMessage(*pubsub.Message) {}

// ThrottlePeer implements pubsub.RawTracer.
func (t *tracer) ThrottlePeer(peer.ID) {}

// RecvRPC implements pubsub.RawTracer.
func (t *tracer) RecvRPC(*pubsub.RPC) {}
