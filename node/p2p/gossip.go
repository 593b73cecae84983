package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pubsubpb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"entente/protocol"
)

// group is the gossip of one agreement: its own PubSub over its own view.
type group struct {
	owner     *Host
	agreement protocol.AgreementID
	degree    int
	view      *view
	ps        *pubsub.PubSub
	ctx       context.Context
	cancel    context.CancelFunc
	topics    map[string]*joined // owner: Host.mu
}

// joined is one topic that the host reads, or only publishes on: then there is
// no subscription, and PubSub sends straight to some that read it.
type joined struct {
	topic        *pubsub.Topic
	subscription *pubsub.Subscription
}

func (j *joined) leave() {
	if j.subscription != nil {
		j.subscription.Cancel()
	}
	_ = j.topic.Close()
}

// degreeFor returns the degree of the mesh for a number of nodes.
func degreeFor(nodes int) int {
	switch {
	case nodes <= 16:
		return 4
	case nodes <= 1000:
		return 6
	default:
		return 8
	}
}

func (h *Host) newGroup(m *membership) (*group, error) {
	v, err := newView(h, m.Agreement)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(h.ctx)
	g := &group{
		owner: h, agreement: m.Agreement, degree: degreeFor(len(m.parties) + 1),
		view: v, ctx: ctx, cancel: cancel, topics: map[string]*joined{},
	}
	g.ps, err = pubsub.NewGossipSub(ctx, v, g.options(m)...)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start gossip: %w", err)
	}
	return g, nil
}

// options returns how each PubSub is set up. Validation is inline on a single
// worker, so that the messages of a log stay in order; it never throttles, and
// a full queue before it counts as a drop, which sync repairs.
func (g *group) options(m *membership) []pubsub.Option {
	quiet := slog.New(slog.DiscardHandler)
	options := []pubsub.Option{
		pubsub.WithLogger(quiet),
		pubsub.WithRPCLogger(quiet),
		pubsub.WithGossipSubProtocols([]gossipID{gossipProtocol}, pubsub.GossipSubDefaultFeatures),
		pubsub.WithGossipSubParams(gossipParams(g.degree, m.Public)),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithFloodPublish(false),
		pubsub.WithPeerExchange(false),
		pubsub.WithMaxMessageSize(maxRPC),
		pubsub.WithMaxControlMessageSize(maxControl),
		pubsub.WithPeerOutboundQueueSize(outboundQueue),
		pubsub.WithValidateQueueSize(validationQueue),
		pubsub.WithValidateWorkers(1),
		pubsub.WithDefaultValidator(g.validate, pubsub.WithValidatorInline(true)),
		pubsub.WithSubscriptionFilter(subscriptions{g}),
		pubsub.WithPeerFilter(g.mayTake),
		pubsub.WithAppSpecificRpcInspector(g.inspect),
		pubsub.WithRawTracer(&tracer{g: g, queued: map[peer.ID]int{}}),
	}
	if m.Public {
		options = append(options, pubsub.WithPeerScore(scoring()))
	}
	return options
}

// mostMembers is the number of nodes that one node's mesh may grow to. Members
// behind firewalls reach the few with public addresses and nobody else. PubSub
// cuts a mesh that reaches its upper bound down to the degree, and most of them
// would be left without a link.
const mostMembers = 1024

// gossipParams returns the mesh's parameters for a degree.
func gossipParams(degree int, public bool) pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	p.D, p.Dlo, p.Dhi, p.Dscore = degree, degree-1, mostMembers, degree-1
	if public {
		p.Dhi = 4 * degree
	}
	p.Dout = (degree - 1) / 2
	p.Dlazy = degree
	p.PrunePeers = 0
	p.MaxIHaveLength = 1000
	p.MaxIDontWantLength = 64
	p.IDontWantMessageThreshold = 16 << 10
	p.Connectors = 1
	p.MaxPendingConnections = 1
	p.SlowHeartbeatWarning = 0
	return p
}

// scoring returns the scores on a public host, where anyone may take part: what
// costs is invalid messages, broken promises and many peers on one address.
// Silence is normal here, so deliveries that do not come cost nothing.
func scoring() (*pubsub.PeerScoreParams, *pubsub.PeerScoreThresholds) {
	return &pubsub.PeerScoreParams{
			Topics: map[string]*pubsub.TopicScoreParams{}, TopicScoreCap: 10,
			AppSpecificScore: func(peer.ID) float64 { return 0 }, AppSpecificWeight: 1,
			IPColocationFactorWeight: -1, IPColocationFactorThreshold: connsPerIPv4 / 2,
			BehaviourPenaltyWeight: -1, BehaviourPenaltyThreshold: 8, BehaviourPenaltyDecay: 0.98,
			DecayInterval: 10 * time.Second, DecayToZero: 0.01, RetainScore: 10 * time.Minute,
		}, &pubsub.PeerScoreThresholds{
			GossipThreshold: -20, PublishThreshold: -40, GraylistThreshold: -80,
			AcceptPXThreshold: 1e9, OpportunisticGraftThreshold: 1,
		}
}

// topicScore returns the scores of one topic on a public host.
func topicScore() *pubsub.TopicScoreParams {
	return &pubsub.TopicScoreParams{
		TopicWeight:      1,
		TimeInMeshWeight: 0.01, TimeInMeshQuantum: time.Minute, TimeInMeshCap: 60,
		FirstMessageDeliveriesWeight: 0.1, FirstMessageDeliveriesDecay: 0.9, FirstMessageDeliveriesCap: 50,
		InvalidMessageDeliveriesWeight: -10, InvalidMessageDeliveriesDecay: 0.99,
	}
}

// messageID returns the gossip id of a message, which covers topic and every
// byte of data and never a field of a header (protocol.GossipID).
func messageID(m *pubsubpb.Message) string {
	id := protocol.GossipID(m.GetTopic(), m.GetData())
	return string(id[:])
}

// validate asks the handler. What it returned with Accept travels on with the
// message to the pump.
func (g *group) validate(_ context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	if from == g.owner.self {
		return pubsub.ValidationAccept
	}
	person := g.owner.roster.Load().person(g.owner.membership(g.agreement), from)
	verdict, message := g.owner.cfg.Handler.Check(person, g.agreement, m.GetTopic(), m.GetData())
	switch {
	case verdict == protocol.Accept && message != nil:
		m.ValidatorData = message
		return pubsub.ValidationAccept
	case verdict == protocol.Reject:
		return pubsub.ValidationReject
	default:
		return pubsub.ValidationIgnore
	}
}

// mayTake is PubSub's peer filter.
func (g *group) mayTake(id peer.ID, topic string) bool {
	m := g.owner.membership(g.agreement)
	return m != nil && m.knows(topic) && m.mayRead(id, topic) && g.view.admits(id)
}

var errNotParty = errors.New("not a party's node, or not its topic")

// inspect is PubSub's RPC inspector. The form of the bytes was checked before
// (scan.go); here it is who and about what.
func (g *group) inspect(id peer.ID, rpc *pubsub.RPC) error {
	m := g.owner.membership(g.agreement)
	if m == nil || !g.view.admits(id) {
		return errNotParty
	}
	for _, message := range rpc.GetPublish() {
		if !m.topics[message.GetTopic()] || len(message.GetData()) > maxFrame {
			return errNotParty
		}
	}
	return nil
}

// subscriptions is PubSub's subscription filter.
type subscriptions struct{ g *group }

// CanSubscribe implements pubsub.SubscriptionFilter.
func (f subscriptions) CanSubscribe(topic string) bool {
	m := f.g.owner.membership(f.g.agreement)
	return m != nil && m.knows(topic)
}

// FilterIncomingSubscriptions implements pubsub.SubscriptionFilter.
func (f subscriptions) FilterIncomingSubscriptions(id peer.ID, given []*pubsubpb.RPC_SubOpts) ([]*pubsubpb.RPC_SubOpts, error) {
	return pubsub.FilterSubscriptions(given, func(topic string) bool { return f.g.mayTake(id, topic) }), nil
}

// join joins and leaves topics until they are those of the membership.
// The caller holds Host.mu.
func (g *group) join(m *membership) error {
	for name, t := range g.topics {
		if !m.knows(name) || m.topics[name] != (t.subscription != nil) {
			t.leave()
			delete(g.topics, name)
		}
	}
	for name, read := range m.topics {
		if g.topics[name] != nil {
			continue
		}
		topic, err := g.ps.Join(name)
		if err != nil {
			return fmt.Errorf("join topic %q: %w", name, err)
		}
		if m.Public {
			if err := topic.SetScoreParams(topicScore()); err != nil {
				return fmt.Errorf("score topic %q: %w", name, err)
			}
		}
		if !read {
			g.topics[name] = &joined{topic: topic}
			continue
		}
		self := g.owner.self
		subscription, err := topic.Subscribe(pubsub.WithBufferSize(deliveryQueue),
			pubsub.WithMessageFilter(func(m *pubsub.Message) bool { return m.ReceivedFrom != self }))
		if err != nil {
			return fmt.Errorf("read topic %q: %w", name, err)
		}
		g.topics[name] = &joined{topic, subscription}
		g.owner.tasks.run(func() { g.pump(subscription) })
	}
	return nil
}

// pump hands accepted messages to the handler, one at a time and in order.
func (g *group) pump(s *pubsub.Subscription) {
	for {
		m, err := s.Next(g.ctx)
		if err != nil {
			return
		}
		message, ok := m.ValidatorData.(*protocol.Message)
		if !ok {
			continue
		}
		person := g.owner.roster.Load().person(g.owner.membership(g.agreement), m.ReceivedFrom)
		if !g.owner.cfg.Handler.Deliver(g.ctx, person, g.agreement, message) {
			g.owner.lost(g.agreement, m.ReceivedFrom, "the node did not take a message")
		}
	}
}

// stop ends the gossip. Its goroutines end soon after.
func (g *group) stop() {
	g.cancel()
	g.owner.streams.cut(func(s *stream) bool { return s.kind == kindGossip && s.agreement == g.agreement })
}

// serveGossip gives an inbound stream to the agreement's PubSub.
func (h *Host) serveGossip(m *membership, s *stream) {
	g := h.group(m.Agreement)
	if g == nil {
		_ = s.Reset()
		return
	}
	handler := g.view.streamHandler()
	if handler == nil {
		_ = s.Reset()
		return
	}
	s.in = newRPCReader(counted{s.Stream, s.traffic})
	g.view.came(s.remote)
	handler(s)
}
