package p2p

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pubsubpb "github.com/libp2p/go-libp2p-pubsub/pb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// gossipProtocol is what PubSub believes it speaks.
const gossipProtocol = pubsub.GossipSubID_v12

var errBadRPC = errors.New("gossip that does not keep to the form")

// rpcReader hands on what a peer's PubSub sent, one whole RPC at a time, after
// a look at the bytes. A decoder would take the last of duplicate fields and
// keep unknown ones, which then travel on; here both end the stream.
type rpcReader struct {
	from *bufio.Reader
	rest []byte // of the RPC being handed on
	buf  []byte
	err  error
}

func newRPCReader(from io.Reader) *rpcReader {
	return &rpcReader{from: bufio.NewReaderSize(from, 4<<10)}
}

// Read implements io.Reader.
func (r *rpcReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.err = r.next()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *rpcReader) next() error {
	size, err := binary.ReadUvarint(r.from)
	if err != nil {
		return err
	}
	if size > maxRPC {
		return fmt.Errorf("%w: %d bytes, at most %d are taken", errBadRPC, size, maxRPC)
	}
	r.buf = binary.AppendUvarint(r.buf[:0], size)
	head := len(r.buf)
	r.buf = slices.Grow(r.buf, int(size))[:head+int(size)]
	if _, err := io.ReadFull(r.from, r.buf[head:]); err != nil {
		return err
	}
	if err := checkRPC(r.buf[head:]); err != nil {
		return err
	}
	r.rest = r.buf
	return nil
}

// shape is a kind of protobuf message in an RPC.
type shape int

const (
	none shape = iota // a scalar
	rpcShape
	subscriptionShape
	messageShape
	controlShape
	haveShape
	wantShape
	graftShape
	pruneShape
)

// field says what a field may be. The zero field is refused.
type field struct {
	known    bool
	wire     protowire.Type
	repeated bool
	inner    shape
	size     int // exact, of the value; 0 is any
}

// idSize is the length of a gossip id.
const idSize = 32

// fieldOf returns what may stand in a message of the shape under a number.
// Left out on purpose: from, seqno, signature and key of a message (the header
// in its data is the signature), peers of a prune (nobody is told of others'
// addresses) and all extensions.
func fieldOf(s shape, number protowire.Number) field {
	scalar := field{known: true, wire: protowire.VarintType}
	text := field{known: true, wire: protowire.BytesType}
	ids := field{known: true, wire: protowire.BytesType, repeated: true, size: idSize}
	many := func(inner shape) field {
		return field{known: true, wire: protowire.BytesType, repeated: true, inner: inner}
	}
	switch {
	case s == rpcShape && number == 1:
		return many(subscriptionShape)
	case s == rpcShape && number == 2:
		return many(messageShape)
	case s == rpcShape && number == 3:
		return field{known: true, wire: protowire.BytesType, inner: controlShape}
	case s == subscriptionShape && (number == 1 || number == 3 || number == 4):
		return scalar
	case s == subscriptionShape && number == 2:
		return text
	case s == messageShape && (number == 2 || number == 4):
		return text
	case s == controlShape && number == 1:
		return many(haveShape)
	case s == controlShape && (number == 2 || number == 5):
		return many(wantShape)
	case s == controlShape && number == 3:
		return many(graftShape)
	case s == controlShape && number == 4:
		return many(pruneShape)
	case s == haveShape && number == 1, s == graftShape && number == 1, s == pruneShape && number == 1:
		return text
	case s == haveShape && number == 2, s == wantShape && number == 1:
		return ids
	case s == pruneShape && number == 3:
		return scalar
	default:
		return field{}
	}
}

// maxParts is the number of repeated parts in one RPC.
const maxParts = 6000

// checkRPC holds an encoded RPC against the form: known fields only, each once
// unless it is repeated, within limits.
func checkRPC(b []byte) error {
	parts := 0
	return checkShape(b, rpcShape, &parts)
}

func checkShape(b []byte, s shape, parts *int) error {
	var seen uint32
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %v", errBadRPC, protowire.ParseError(n))
		}
		f := fieldOf(s, number)
		if !f.known || f.wire != wire {
			return fmt.Errorf("%w: field %d", errBadRPC, number)
		}
		if !f.repeated {
			if seen&(1<<number) != 0 {
				return fmt.Errorf("%w: field %d twice", errBadRPC, number)
			}
			seen |= 1 << number
		} else if *parts++; *parts > maxParts {
			return fmt.Errorf("%w: more than %d parts", errBadRPC, maxParts)
		}
		b = b[n:]
		if wire == protowire.VarintType {
			if _, n = protowire.ConsumeVarint(b); n < 0 {
				return fmt.Errorf("%w: %v", errBadRPC, protowire.ParseError(n))
			}
			b = b[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return fmt.Errorf("%w: %v", errBadRPC, protowire.ParseError(n))
		}
		if f.size != 0 && len(value) != f.size {
			return fmt.Errorf("%w: an id of %d bytes", errBadRPC, len(value))
		}
		if f.inner != none {
			if err := checkShape(value, f.inner, parts); err != nil {
				return err
			}
		}
		b = b[n:]
	}
	return nil
}

// gossipWriter returns what PubSub's writes to a peer go through: nothing of a
// topic that the peer may not read is sent, and it hears of no subscription that
// it may not know of. PubSub filters the mesh by itself, but tells every peer
// what it subscribes to.
func (h *Host) gossipWriter(s *stream) func([]byte) (int, error) {
	plain := s.out
	return func(p []byte) (int, error) {
		m := h.roster.Load().memberships[s.agreement]
		if m == nil {
			return 0, errNotTaken
		}
		if _, party := m.parties[s.remote]; party && len(m.barred[s.remote]) == 0 {
			return plain(p)
		}
		kept, err := withoutBarred(p, func(topic string) bool { return m.mayRead(s.remote, topic) },
			func(topic string) bool { return m.mayHear(s.remote, topic) })
		if err != nil {
			return 0, err
		}
		if len(kept) > 0 {
			if _, err := plain(kept); err != nil {
				return 0, err
			}
		}
		return len(p), nil
	}
}

// withoutBarred returns the RPC, with its length before it, less all that
// belongs to topics which may does not allow, and the subscriptions to those that
// hear does not; nothing where nothing remains.
func withoutBarred(p []byte, may, hear func(topic string) bool) ([]byte, error) {
	size, n := binary.Uvarint(p)
	if n <= 0 || size != uint64(len(p)-n) {
		return nil, errors.New("gossip was not written as one RPC")
	}
	var rpc pubsubpb.RPC
	if err := proto.Unmarshal(p[n:], &rpc); err != nil {
		return nil, err
	}
	rpc.Subscriptions = slices.DeleteFunc(rpc.Subscriptions, func(s *pubsubpb.RPC_SubOpts) bool { return !hear(s.GetTopicid()) })
	rpc.Publish = slices.DeleteFunc(rpc.Publish, func(m *pubsubpb.Message) bool { return !may(m.GetTopic()) })
	if c := rpc.Control; c != nil {
		c.Ihave = slices.DeleteFunc(c.Ihave, func(x *pubsubpb.ControlIHave) bool { return !may(x.GetTopicID()) })
		c.Graft = slices.DeleteFunc(c.Graft, func(x *pubsubpb.ControlGraft) bool { return !may(x.GetTopicID()) })
		c.Prune = slices.DeleteFunc(c.Prune, func(x *pubsubpb.ControlPrune) bool { return !may(x.GetTopicID()) })
		if len(c.Ihave)+len(c.Graft)+len(c.Prune)+len(c.Iwant)+len(c.Idontwant) == 0 {
			rpc.Control = nil
		}
	}
	body, err := proto.Marshal(&rpc)
	if err != nil || len(body) == 0 {
		return nil, err
	}
	return append(binary.AppendUvarint(nil, uint64(len(body))), body...), nil
}
