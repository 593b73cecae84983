package p2p

import (
	"crypto/ed25519"
	"fmt"
	"iter"
	"slices"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"entente/protocol"
)

// roster is what the host joins and whom it admits: an immutable whole that
// Update replaces.
type roster struct {
	memberships map[protocol.AgreementID]*membership
	nodes       map[peer.ID]protocol.Peer // of all memberships, addresses merged
	shared      map[peer.ID][]*membership // by node, in the order given
	order       []*membership
}

// membership is a protocol.Membership with what is looked up often.
type membership struct {
	protocol.Membership
	keys    []tagKey        // the version in force first
	topics  map[string]bool // known; true where this host reads
	parties map[peer.ID]protocol.Peer
	waiting map[peer.ID]protocol.Peer // with whom documents and pings pass alone
	barred  map[peer.ID]map[string]bool
	closed  map[string]bool // topics that nobody but parties may read
}

// newRoster checks and indexes memberships for the host self.
func newRoster(memberships []protocol.Membership, public bool, self peer.ID) (*roster, error) {
	const op = "update the network"
	r := &roster{
		memberships: make(map[protocol.AgreementID]*membership, len(memberships)),
		nodes:       map[peer.ID]protocol.Peer{},
		shared:      map[peer.ID][]*membership{},
	}
	for _, given := range memberships {
		if given.Public != public {
			return nil, protocol.Errorf(protocol.Invalid, op, "agreement %s: a host serves private or public agreements, never both", given.Agreement.Short())
		}
		if len(given.Heads) == 0 {
			return nil, protocol.Errorf(protocol.Invalid, op, "agreement %s has no version", given.Agreement.Short())
		}
		if r.memberships[given.Agreement] != nil {
			return nil, protocol.Errorf(protocol.Invalid, op, "agreement %s is named twice", given.Agreement.Short())
		}
		m := newMembership(given, self)
		r.memberships[given.Agreement] = m
		r.order = append(r.order, m)
		for id, p := range m.all() {
			r.nodes[id] = merge(r.nodes[id], p)
			r.shared[id] = append(r.shared[id], m)
		}
	}
	return r, nil
}

func newMembership(given protocol.Membership, self peer.ID) *membership {
	m := &membership{
		Membership: given,
		topics:     make(map[string]bool, len(given.Topics)),
		parties:    make(map[peer.ID]protocol.Peer, len(given.Nodes)),
		waiting:    map[peer.ID]protocol.Peer{},
		barred:     map[peer.ID]map[string]bool{},
		closed:     map[string]bool{},
	}
	for _, head := range given.Heads[:min(len(given.Heads), maxHeads)] {
		m.keys = append(m.keys, headKey(head))
	}
	for _, topic := range given.Outlets {
		m.topics[topic] = false
	}
	for _, topic := range given.Topics {
		m.topics[topic] = true
	}
	for topic, members := range given.Barred {
		m.closed[topic] = slices.Contains(members, protocol.MemberID{})
	}
	nodes := given.Nodes
	if given.Public {
		nodes = slices.Concat(nodes, sources(given.Sources))
	}
	for _, node := range nodes {
		id, err := peerID(node.Transport)
		if err != nil || id == self {
			continue
		}
		m.parties[id] = merge(m.parties[id], node)
		for topic, members := range given.Barred {
			if slices.Contains(members, node.Author.Member) {
				if m.barred[id] == nil {
					m.barred[id] = map[string]bool{}
				}
				m.barred[id][topic] = true
			}
		}
	}
	for _, node := range given.Waiting {
		id, err := peerID(node.Transport)
		if _, party := m.parties[id]; err == nil && id != self && !party {
			m.waiting[id] = merge(m.waiting[id], node)
		}
	}
	return m
}

// papers reports whether nothing but documents and pings pass with a peer.
func (m *membership) papers(id peer.ID) bool {
	_, waiting := m.waiting[id]
	return m.Papers || waiting
}

// all yields the nodes that are known of the agreement.
func (m *membership) all() iter.Seq2[peer.ID, protocol.Peer] {
	return func(yield func(peer.ID, protocol.Peer) bool) {
		for _, nodes := range []map[peer.ID]protocol.Peer{m.parties, m.waiting} {
			for id, p := range nodes {
				if !yield(id, p) {
					return
				}
			}
		}
	}
}

// has reports whether a node is known of the agreement.
func (m *membership) has(id peer.ID) bool {
	_, party := m.parties[id]
	_, waiting := m.waiting[id]
	return party || waiting
}

// sources returns the hosts that addresses of tickets name. They are readers, or
// nodes of parties, of whom their records say more.
func sources(addresses []string) []protocol.Peer {
	var out []protocol.Peer
	for _, text := range addresses {
		info, err := peer.AddrInfoFromString(text)
		if err != nil || len(info.Addrs) == 0 {
			continue
		}
		key, err := transportKey(info.ID)
		if err != nil {
			continue
		}
		out = append(out, protocol.Peer{Transport: key, Addresses: []string{info.Addrs[0].String()}})
	}
	return out
}

// merge joins what two memberships say of one node.
func merge(a, b protocol.Peer) protocol.Peer {
	if a.Transport == (protocol.PublicKey{}) {
		b.Addresses = slices.Clone(b.Addresses)
		return b
	}
	for _, address := range b.Addresses {
		if !slices.Contains(a.Addresses, address) {
			a.Addresses = append(slices.Clip(a.Addresses), address)
		}
	}
	return a
}

// knows reports whether the topic is one that this host reads or publishes on.
func (m *membership) knows(topic string) bool {
	_, ok := m.topics[topic]
	return ok
}

// mayRead reports whether the peer may learn of the topic's traffic.
func (m *membership) mayRead(id peer.ID, topic string) bool {
	if _, party := m.parties[id]; !party && m.closed[topic] {
		return false
	}
	return !m.barred[id][topic]
}

// mayHear reports whether the peer may be told that this host reads the topic:
// all parties may, who know it from the agreement, so that those that publish
// there without reading find somebody to send to.
func (m *membership) mayHear(id peer.ID, topic string) bool {
	return m.parties[id].Author.Member != protocol.MemberID{} || !m.closed[topic]
}

// match finds the agreement and the version that the tag names, among those
// that the remote peer is entitled to. It does the same work whatever it finds,
// and as much as the peer has agreements in common with this host, so that the
// time it takes tells of no others.
func (r *roster) match(tag *[tagSize]byte, public bool, remote, self peer.ID) (m *membership, key tagKey) {
	candidates := r.shared[remote]
	if public {
		candidates = r.order
	}
	for _, c := range candidates {
		for _, k := range c.acceptable(kind(tag[0]), remote) {
			if k.fits(tag, remote, self) && m == nil {
				m, key = c, k
			}
		}
	}
	return m, key
}

// acceptable returns the keys that open a stream of the kind: that of the
// version in force; for documents and ping older ones too, and the id of a
// public agreement.
func (m *membership) acceptable(k kind, remote peer.ID) []tagKey {
	switch k {
	case kindGossip, kindSync:
		if m.papers(remote) {
			return nil
		}
		return m.keys[:1]
	case kindDocuments, kindPing:
		if m.Public {
			return slices.Insert(slices.Clone(m.keys), 1, openKey(m.Agreement))
		}
		return m.keys
	default:
		return nil
	}
}

// peerID returns the libp2p id of a transport key.
func peerID(key protocol.PublicKey) (peer.ID, error) {
	public, err := crypto.UnmarshalEd25519PublicKey(key[:])
	if err != nil {
		return "", err
	}
	return peer.IDFromPublicKey(public)
}

// transportKey returns the Ed25519 key that a peer id holds.
func transportKey(id peer.ID) (key protocol.PublicKey, err error) {
	public, err := id.ExtractPublicKey()
	if err != nil {
		return key, err
	}
	raw, err := public.Raw()
	if err != nil {
		return key, err
	}
	if public.Type() != crypto.Ed25519 || len(raw) != ed25519.PublicKeySize {
		return key, fmt.Errorf("peer %s has no Ed25519 key", id)
	}
	copy(key[:], raw)
	return key, nil
}

// person returns what is known of a peer: all where it is a node of a
// membership, else its key alone.
func (r *roster) person(m *membership, id peer.ID) protocol.Peer {
	if m != nil {
		for _, nodes := range []map[peer.ID]protocol.Peer{m.parties, m.waiting} {
			if p, ok := nodes[id]; ok {
				return p
			}
		}
	}
	if p, ok := r.nodes[id]; ok {
		return p
	}
	key, err := transportKey(id)
	if err != nil {
		return protocol.Peer{}
	}
	return protocol.Peer{Transport: key}
}
