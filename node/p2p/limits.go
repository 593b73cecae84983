package p2p

import (
	"math"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
)

// Sizes on the wire, in bytes.
const (
	maxFrame    = 512 << 10         // a message as gossiped or synced
	maxRPC      = maxFrame + 64<<10 // one pubsub RPC: a message and its envelope
	maxControl  = 128 << 10         // of an RPC, all but the messages' data
	maxSync     = 1 << 20           // a frame of a sync or ping stream
	maxDocument = 1<<20 + 256<<10   // a frame that carries a document and its signatures
	creditBytes = 4 << 20           // sent ahead of what the asker took durably
	gossipBytes = 16 << 20          // queued for one peer in one agreement before its stream is cut
)

// Counts.
const (
	maxHeads        = 16 // versions of one agreement tried for a tag
	maxRanges       = 256
	maxFrontier     = 1 << 14 // entries
	frontierChunk   = 2048    // entries in a frame
	maxDocuments    = 1024
	maxSignatures   = 256
	maxRounds       = 1 << 12 // of one sync session
	maxInbound      = 16      // sync sessions served at once
	maxInboundPeer  = 2       // of them to one peer
	maxOutbound     = 8       // sync sessions run at once
	outboundQueue   = 256     // RPCs
	validationQueue = 256     // messages
	deliveryQueue   = 64      // messages
	maxDials        = 16
	connsPerIPv4    = 128
)

// Times.
const (
	firstFrame   = 5 * time.Second
	idle         = 30 * time.Second
	graceOfRate  = 10 * time.Second
	dialTimeout  = 15 * time.Second
	tendInterval = time.Second
	stallTime    = 5 * time.Second // without gossip to a peer that did not keep up
	graftDelay   = time.Second     // from a new link in the mesh to the sync that it causes
)

// leastRate is what a sync peer must reach after graceOfRate, in bytes a second.
const leastRate = 16 << 10

// newResourceManager bounds what all peers, and each of them, may use. One
// protocol carries everything here, so a peer with 200 agreements in common
// holds several hundred streams of it; and a company's nodes may share one
// IPv4 address, which the library's defaults cut off at eight connections.
func newResourceManager() (network.ResourceManager, error) {
	whole := rcmgr.ResourceLimits{
		Streams: 1 << 16, StreamsInbound: 1 << 15, StreamsOutbound: 1 << 15,
		Conns: 4096, ConnsInbound: 2048, ConnsOutbound: 2048, FD: 4096,
	}
	each := rcmgr.ResourceLimits{
		Streams: 4096, StreamsInbound: 2048, StreamsOutbound: 2048,
		Conns: 16, ConnsInbound: 8, ConnsOutbound: 8,
	}
	passing := rcmgr.ResourceLimits{
		Streams: 4096, StreamsInbound: 2048, StreamsOutbound: 2048,
		Conns: 1024, ConnsInbound: 512, ConnsOutbound: 512, FD: 1024,
	}
	limits := rcmgr.PartialLimitConfig{
		System: whole, Transient: passing,
		ProtocolDefault: whole, ProtocolPeerDefault: each, PeerDefault: each,
		ServiceDefault: whole, ServicePeerDefault: each,
	}.Build(rcmgr.DefaultLimits.AutoScale())
	loopback4 := netip.MustParsePrefix("127.0.0.0/8")
	loopback6 := netip.MustParsePrefix("::1/128")
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: connsPerIPv4}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: connsPerIPv4}, {PrefixLength: 48, ConnCount: 4 * connsPerIPv4}},
		),
		rcmgr.WithNetworkPrefixLimit(
			[]rcmgr.NetworkPrefixLimit{{Network: loopback4, ConnCount: math.MaxInt}},
			[]rcmgr.NetworkPrefixLimit{{Network: loopback6, ConnCount: math.MaxInt}},
		),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: []rate.PrefixLimit{{Prefix: loopback4}, {Prefix: loopback6}},
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: 8, Burst: connsPerIPv4}}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: rate.Limit{RPS: 8, Burst: connsPerIPv4}}},
				GracePeriod:      time.Minute,
			},
		}),
	)
}
