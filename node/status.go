package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"entente/protocol"
)

// Status tells the state of the node. Findings are part of it: status, doctor,
// metrics and exit codes all read the same list.
func (n *Node) Status(_ context.Context) (Status, error) {
	w := n.world.Load()
	s := Status{
		Member: w.memberName(n.cfg.Member), MemberID: n.cfg.Member.String(), Node: n.cfg.Number,
		Version: n.cfg.Version, Started: n.started, Home: n.cfg.Home,
		Agreements: n.agreementInfos(w), Peers: n.peerInfos(w),
	}
	if m := w.members[n.cfg.Member]; m != nil {
		s.Name = m.latest().Name
	}
	if net := n.networks[memberHost]; net != nil {
		s.PeerID, s.Addresses = net.PeerID(), net.Addresses()
	}
	if net := n.networks[publicHost]; net != nil {
		s.PublicPeerID, s.PublicAddresses = net.PeerID(), net.Addresses()
	}
	stats := n.cfg.Store.Stats()
	s.Store = StoreInfo{
		Messages: stats.Messages, Objects: stats.Objects, Bytes: stats.Bytes, Free: stats.Free,
		AuditRows: stats.AuditRows, Accepting: stats.Accepting,
	}
	switch since, behind, err := n.cfg.Store.Unindexed(); {
	case err != nil:
		return s, err
	case behind:
		s.Store.IndexLagSeconds = max(0, n.now().Sub(since).Seconds())
	}
	s.Findings = n.findings(w, &s)
	return s, nil
}

func (n *Node) findings(w *world, s *Status) []Finding {
	out := append(slices.Clone(w.findings), n.rulesFindings(w, s)...)
	add := func(code string, severity Severity, hint, format string, args ...any) {
		out = append(out, Finding{Code: code, Severity: severity, Text: fmt.Sprintf(format, args...), Hint: hint})
	}
	now := n.now()
	stats := n.cfg.Store.Stats()
	if !stats.Accepting {
		add("store-stopped", Critical, "free space on the disk, or see the log", "the store takes nothing in: %s", stats.Problem)
	}
	if s.Store.IndexLagSeconds > 60 {
		add("index-behind", Warning, "wait, or run: entente reindex", "lookups by value are %.0f seconds behind", s.Store.IndexLagSeconds)
	}
	if len(w.agreements) == 0 {
		add("no-agreement", Info, "entente agreements import FILE, or entente agreements join TICKET", "no agreement is here, so nothing is shared")
	}
	for _, g := range w.agreements {
		switch left := g.doc.Until.Sub(now); {
		case g.state == stateForked:
			add("agreement-forked", Critical, "entente agreements history "+g.doc.Name+"; write a version that names both: entente agreements amend LEFT RIGHT", "%s: %s", g.doc.Name, g.stateText())
		case g.inForce() && left < 14*24*time.Hour:
			add("agreement-ending", Warning, "agree on a new version", "the agreement %s ends in %s", g.doc.Name, days(left))
		case !g.inForce():
			add("agreement-"+g.state, Warning, "entente agreements show "+g.doc.Name, "the agreement %s is not in force: %s", g.doc.Name, g.stateText())
		}
		if g.stale {
			add("agreement-unvouched", Warning, "see whether the other parties are connected: entente status; entente ping MEMBER", "%s", g.staleText())
		}
		for _, a := range g.proposals {
			if !g.signedBy(a.Hash, n.cfg.Member) {
				add("agreement-proposed", Warning, "entente agreements accept "+g.doc.Name+"@"+a.Hash.Short(), "version %d of %s is proposed and waits for this member's signature", a.Version, g.doc.Name)
			}
		}
		for _, p := range g.doc.Parties {
			if h, ok := g.halted[p.ID]; ok && g.inForce() {
				add("party-halted", Warning, "entente agreements show "+g.doc.Name, "under %s, %s gets and gives nothing: %s", g.doc.Name, p.Handle, h.text)
			}
			if g.party && p.ID != n.cfg.Member && w.members[p.ID] == nil {
				add("record-missing", Warning, "invite them: entente agreements invite; or ask them for it, then: entente members add FILE",
					"the member record of %s, a party to %s, is not here: nothing can be exchanged with them", p.Handle, g.doc.Name)
			}
		}
	}
	for id, m := range w.members {
		r := m.latest()
		if left := r.Until.Sub(now); left < 14*24*time.Hour && id == n.cfg.Member {
			add("record-ending", Warning, "entente members renew", "this member's record ends in %s", days(left))
		}
	}
	n.scoreFindings(w, now, add)
	if m := w.members[n.cfg.Member]; m != nil {
		if left := m.latest().Operations.Until.Sub(now); left < 14*24*time.Hour {
			add("operations-key-ending", Warning, "entente members renew", "this member's operations key ends in %s; without it nobody hears which versions it holds, and others share only TLP:CLEAR", days(max(left, 0)))
		}
	}
	if asked := n.requestsWaiting(); asked > 0 {
		add("request-waiting", Warning, "entente requests", "%s for this member's word: may what it gave be passed on", waits(asked))
	}
	if due := n.reviewed.due.Load(); due > 0 {
		add("review-due", Warning, "entente review", "%s due for review: a person is to say whether they are still needed", quantity(int(due), "object"))
	}
	if name := n.encryptionAsked(w); name != "" {
		add("disk-encryption", Warning, "where the disk is encrypted, say so in config.yaml: encrypted-disk: true",
			"%s wants what it carries kept on encrypted disks only, and it is not known that this node's disk is one: such objects are not taken", name)
	}
	if known, connected := countPeers(s.Peers); known > 0 && connected == 0 {
		add("no-peers", Warning, "entente ping MEMBER", "none of the %d known nodes of other members is connected", known)
	}
	slices.SortFunc(out, func(a, b Finding) int {
		return strings.Compare(string(a.Severity)+a.Code+a.Text, string(b.Severity)+b.Code+b.Text)
	})
	return out
}

// days puts a span into words.
func days(left time.Duration) string {
	if left < 48*time.Hour {
		return quantity(int(left.Hours()), "hour")
	}
	return quantity(int(left.Hours()/24), "day")
}

// quantity puts a number before a noun that takes an s.
func quantity(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func countPeers(peers []PeerInfo) (known, connected int) {
	for _, p := range peers {
		if p.Member == "reader" {
			continue
		}
		known++
		if p.Connected {
			connected++
		}
	}
	return known, connected
}

func (n *Node) peerStatuses() []protocol.PeerStatus {
	var out []protocol.PeerStatus
	for _, net := range n.networks {
		if net != nil {
			out = append(out, net.Peers()...)
		}
	}
	return out
}

func (n *Node) peerInfos(w *world) []PeerInfo {
	out := []PeerInfo{}
	for _, p := range n.peerStatuses() {
		name := "reader"
		if !p.Author.Member.IsZero() {
			name = w.memberName(p.Author.Member)
		}
		out = append(out, PeerInfo{
			Member: name, Node: p.Author.Node, PeerID: p.PeerID, Host: p.Host, Connected: p.Connected,
			Address: p.Address, RTTMillis: millis(p.RTT), LastError: p.LastError,
		})
	}
	slices.SortFunc(out, func(a, b PeerInfo) int { return strings.Compare(a.Member+a.Host+a.PeerID, b.Member+b.Host+b.PeerID) })
	return out
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Members lists the members that are known, this one first.
func (n *Node) Members(_ context.Context) ([]MemberInfo, error) {
	w := n.world.Load()
	peers := n.peerStatuses()
	out := []MemberInfo{}
	for id, m := range w.members {
		r := m.latest()
		info := MemberInfo{
			ID: id.String(), Handle: r.Handle, Name: r.Name, Self: id == n.cfg.Member, Version: r.Version, Until: r.Until,
			Public: len(m.records) == 0, Root: r.Root.String(), Agreements: []string{}, Nodes: []NodeInfo{},
		}
		for _, e := range r.Nodes {
			info.Nodes = append(info.Nodes, nodeInfo(id, e, r.Public, peers))
		}
		for _, g := range w.agreements {
			if g.isParty(id) {
				info.Agreements = append(info.Agreements, g.doc.Name)
			}
		}
		slices.Sort(info.Agreements)
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b MemberInfo) int {
		if a.Self != b.Self {
			return map[bool]int{true: -1, false: 1}[a.Self]
		}
		return strings.Compare(a.Handle+a.ID, b.Handle+b.ID)
	})
	return out, nil
}

func nodeInfo(id protocol.MemberID, e protocol.NodeEntry, public bool, peers []protocol.PeerStatus) NodeInfo {
	info := NodeInfo{Number: e.Number, Addresses: e.Addresses, Host: "member"}
	if public {
		info.Host = "public"
	}
	for _, p := range peers {
		if p.Author == (protocol.Author{Member: id, Node: e.Number}) && p.Host == info.Host {
			info.PeerID, info.Connected, info.RTTMillis, info.LastError = p.PeerID, p.Connected, millis(p.RTT), p.LastError
		}
	}
	return info
}

// Ping measures the round trip to each node of a member, over every host on
// which it is known. A node that does not answer has LastError set; when none
// does, the error is Unreachable.
func (n *Node) Ping(ctx context.Context, member string) ([]NodeInfo, error) {
	w := n.world.Load()
	id, err := w.memberNamed(member)
	if err != nil {
		return nil, err
	}
	if id == n.cfg.Member {
		return nil, protocol.Errorf(protocol.Invalid, "ping", "%s is this member itself", member)
	}
	m := w.members[id]
	if m == nil {
		return nil, protocol.E(protocol.Unverified, "ping", fmt.Errorf("the member record of %s is not here", member), "entente members add FILE")
	}
	out := []NodeInfo{}
	answered := false
	var last error
	for at, records := range [][]kept[*protocol.Record]{m.records, m.profiles} {
		if len(records) == 0 || n.networks[at] == nil {
			continue
		}
		r := records[len(records)-1].parsed
		for _, e := range r.Nodes {
			rtt, err := n.networks[at].Ping(ctx, e.Transport)
			info := nodeInfo(id, e, r.Public, n.peerStatuses())
			if err != nil {
				info.LastError, last = err.Error(), err
			} else {
				info.Connected, info.RTTMillis, info.LastError, answered = true, millis(rtt), "", true
			}
			out = append(out, info)
		}
	}
	if !answered {
		return out, protocol.E(protocol.Unreachable, "ping", errors.Join(fmt.Errorf("no node of %s answers", member), last),
			"see whether it is up, and whether the addresses in its record are right: entente members show "+member)
	}
	return out, nil
}

// Reindex builds the derived indexes again from the log.
func (n *Node) Reindex(ctx context.Context, progress func(Progress)) error {
	return n.cfg.Store.Reindex(ctx, func(done, total uint64) {
		if progress != nil {
			progress(Progress{Done: int64(done), Total: int64(total), Unit: "messages"})
		}
	})
}
