package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marcopolo/simnet"

	"entente/node"
	"entente/node/p2p"
	"entente/protocol"
)

const revocationTerms = `topics:
  - name: findings
    description: What all share.
    default-marking: TLP:AMBER
clauses:
  - number: "1"
    text: All share what they find.
    effect: permit
`

// revocation is a network in which a party is expelled while everybody publishes:
// some are slow, some are cut off for hours together with the expelled one, some go
// down and come back. The expelled one takes no notice: it keeps the old version,
// goes on talking and asking.
type revocation struct {
	t        *testing.T
	lab      *lab
	nodes    []*resident // the expelled one first
	expelled *resident
	random   *rand.Rand
	signed   time.Time
	cut      map[protocol.LogID]protocol.Position // of the expelled one's logs
	names    int

	mu    sync.Mutex
	slow  map[string]bool                 // by IP
	apart map[string]bool                 // by IP: on the other side of the cut
	parts bool                            // the network is cut in two
	has   map[protocol.MemberID]time.Time // since when a member has the new version
	got   []arrived
	wrong []string
}

// arrived is a message that came to the expelled one.
type arrived struct {
	at, sent time.Time
	from     protocol.MemberID
	how      string
}

// latency makes some members slow, and while the network is cut in two keeps what
// crosses the cut longer than any test lasts.
func (v *revocation) latency(p *simnet.Packet) time.Duration {
	ip := func(a net.Addr) string {
		host, _, _ := net.SplitHostPort(a.String())
		return host
	}
	from, to := ip(p.From), ip(p.To)
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.parts && v.apart[from] != v.apart[to]:
		return 1000 * time.Hour
	case v.slow[from] || v.slow[to]:
		return time.Second
	}
	return 20 * time.Millisecond
}

// watcher stands between a node and its hosts.
type watcher struct {
	*node.Node
	v *revocation
	r *resident
}

// current reports whether the node has the new version.
func (w *watcher) current() bool {
	infos, err := w.Agreements(context.Background(), "watch")
	return err == nil && len(infos) == 1 && infos[0].Version >= 2
}

func (v *revocation) blame(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.wrong) < 20 {
		v.wrong = append(v.wrong, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

func (w *watcher) came(from protocol.Peer, how string, frame []byte) {
	s, err := w.v.lab.codec.Decode(frame)
	if err != nil {
		w.v.blame("what came to the expelled one does not decode: %v", err)
		return
	}
	w.v.mu.Lock()
	defer w.v.mu.Unlock()
	w.v.got = append(w.v.got, arrived{time.Now(), s.Header().Time, from.Author.Member, how})
}

// Check implements p2p.Handler.
func (w *watcher) Check(from protocol.Peer, agreement protocol.AgreementID, topic string, frame []byte) (protocol.Verdict, *protocol.Message) {
	if w.r == w.v.expelled {
		w.came(from, "gossip", frame)
	} else if from.Author.Member == w.v.expelled.record.Member && w.current() {
		if verdict, m := w.Node.Check(from, agreement, topic, frame); verdict == protocol.Accept {
			w.v.blame("%s accepts gossip from the expelled one", w.r.handle)
			return verdict, m
		}
	}
	return w.Node.Check(from, agreement, topic, frame)
}

// Frontier implements p2p.Handler.
func (w *watcher) Frontier(reader protocol.Peer, agreement protocol.AgreementID) protocol.Frontier {
	out := w.Node.Frontier(reader, agreement)
	if w.v.isExpelled(reader) && len(out) > 0 && w.current() {
		w.v.blame("%s tells the expelled one what it holds", w.r.handle)
	}
	return out
}

// Serve implements p2p.Handler.
func (w *watcher) Serve(ctx context.Context, reader protocol.Peer, agreement protocol.AgreementID, want protocol.Want, yield func(frame []byte) bool) error {
	return w.Node.Serve(ctx, reader, agreement, want, func(frame []byte) bool {
		if w.v.isExpelled(reader) && w.current() {
			w.v.blame("%s serves the expelled one", w.r.handle)
		}
		return yield(frame)
	})
}

// Documents implements p2p.Handler.
func (w *watcher) Documents(reader protocol.Peer, agreement protocol.AgreementID) []protocol.Document {
	out := w.Node.Documents(reader, agreement)
	if w.v.isExpelled(reader) && len(out) > 0 && w.current() {
		w.v.blame("%s gives the expelled one documents", w.r.handle)
	}
	return out
}

// Take implements p2p.Handler.
func (w *watcher) Take(ctx context.Context, from protocol.Peer, agreement protocol.AgreementID, frames [][]byte) error {
	if w.r == w.v.expelled {
		for _, f := range frames {
			w.came(from, "sync", f)
		}
	}
	return w.Node.Take(ctx, from, agreement, frames)
}

// TakeDocuments implements p2p.Handler. The expelled one takes none.
func (w *watcher) TakeDocuments(ctx context.Context, from protocol.Peer, agreement protocol.AgreementID, documents []protocol.Document) error {
	if w.r == w.v.expelled {
		return nil
	}
	err := w.Node.TakeDocuments(ctx, from, agreement, documents)
	w.v.note(w)
	return err
}

func (v *revocation) note(w *watcher) {
	if !w.current() {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, known := v.has[w.r.record.Member]; !known {
		v.has[w.r.record.Member] = time.Now()
	}
}

func (v *revocation) isExpelled(p protocol.Peer) bool {
	return p.Author.Member == v.expelled.record.Member
}

func newRevocation(t *testing.T, count int) *revocation {
	drawn := *seed
	if drawn == 0 {
		drawn = rand.Uint64()
	}
	t.Logf("%d nodes, -seed %d", count, drawn)
	v := &revocation{
		t: t, random: rand.New(rand.NewPCG(drawn, 2)), slow: map[string]bool{}, apart: map[string]bool{}, has: map[protocol.MemberID]time.Time{},
		cut: map[protocol.LogID]protocol.Position{},
	}
	v.lab = newLabOn(t, v.latency)
	v.lab.watch = func(r *resident, n *node.Node) p2p.Handler { return &watcher{n, v, r} }
	kinds := map[string]string{}
	for i := range count {
		kinds[fmt.Sprintf("m%02d", i)] = "company"
	}
	v.expelled = &resident{} // until there is one nobody is
	v.expelled.record = &protocol.Record{}
	v.nodes = v.lab.found("watch", revocationTerms, kinds)
	v.expelled = v.nodes[0]
	for i, r := range v.nodes {
		for _, a := range r.addresses {
			ip := strings.Split(a, "/")[2]
			v.mu.Lock() // packets are on their way already
			v.slow[ip] = i%7 == 3
			v.apart[ip] = i < 1+count/8 // the expelled one and some
			v.mu.Unlock()
		}
	}
	return v
}

// publish has a random member publish; what it publishes is for all.
func (v *revocation) publish(r *resident) {
	v.names++
	receipt, err := r.node.Publish(context.Background(), node.PublishRequest{Topic: "watch/findings", Items: items(object("indicator", fmt.Sprintf("o%d", v.names), nil))})
	if err != nil || receipt.Published != 1 {
		v.t.Fatalf("%s publishes: %+v, %v", r.handle, receipt, err)
	}
}

// busy lets everybody publish for some time, and restarts some that are not needed.
func (v *revocation) busy(span, pause time.Duration) {
	var down []*resident
	for end := time.Now().Add(span); time.Now().Before(end); {
		r := v.nodes[v.random.IntN(len(v.nodes))]
		switch {
		case slices.Contains(down, r):
			r.start()
			down = slices.DeleteFunc(down, func(d *resident) bool { return d == r })
		case v.random.IntN(12) == 0 && r != v.nodes[len(v.nodes)-1]:
			r.down()
			down = append(down, r)
		default:
			v.publish(r)
			if v.random.IntN(3) == 0 {
				if !slices.Contains(down, v.expelled) {
					v.publish(v.expelled)
				}
			}
		}
		<-time.After(pause/2 + time.Duration(v.random.Int64N(int64(pause))))
	}
	for _, r := range down {
		r.start()
	}
}

// expel signs the version without the expelled one, which the last member takes.
func (v *revocation) expel() {
	by := v.nodes[len(v.nodes)-1]
	first, _, _ := by.topic("findings")
	cuts := "cuts:\n"
	for _, e := range by.store.Logs(first.ID) {
		if e.Log.Author.Member == v.expelled.record.Member {
			v.cut[e.Log] = e.Position
			cuts += fmt.Sprintf("  - {member: %s, log: %s, sequence: %d, head: %s}\n", v.expelled.record.Member, e.Log.Hash(), e.Position.Sequence, e.Position.Head)
		}
	}
	text := string(agreementText("watch", "private", revocationTerms+cuts, v.nodes[1:]...))
	text = strings.Replace(text, "version: 1\n", fmt.Sprintf("version: 2\nagreement: %q\nprevious: [%q]\n", first.ID.String(), first.Hash.String()), 1)
	from, rest, _ := strings.Cut(text, "secret: \"")
	text = fmt.Sprintf("%ssecret: \"%064x%s", from, 2, rest[64:])
	d := protocol.Document{Type: protocol.AgreementType, Payload: []byte(text)}
	for _, p := range v.nodes[1:] {
		d.Signatures = append(d.Signatures, protocol.SignDocument(d.Type, d.Payload, p.record.Member, p.keys[protocol.RootKey]))
	}
	by.take(d)
	v.signed = time.Now()
	v.has[by.record.Member] = v.signed
}

// cutOff has the network fall in two, or come together.
func (v *revocation) cutOff(parts bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.parts = parts
}

// verdict holds all that was seen to the rules.
func (v *revocation) verdict(healed time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, w := range v.wrong {
		v.t.Error(w)
	}
	var last time.Time
	var after int
	names := map[protocol.MemberID]string{}
	for _, r := range v.nodes {
		names[r.record.Member] = r.handle
	}
	for _, a := range v.got {
		if !a.at.After(v.signed) {
			continue
		}
		after++
		if a.at.After(last) {
			last = a.at
		}
		has, knows := v.has[a.from]
		// What was on its way when its sender took the version still arrives.
		if knows && (a.sent.After(has) || a.at.After(has.Add(30*time.Second))) {
			v.t.Errorf("%s sent the expelled one by %s at %s a message of %s, and has had the new version since %s",
				names[a.from], a.how, a.at.Format("15:04:05.000"), a.sent.Format("15:04:05.000"), has.Format("15:04:05.000"))
		}
	}
	var slowest time.Time
	for _, r := range v.nodes[1:] {
		at, ok := v.has[r.record.Member]
		if !ok {
			v.t.Errorf("%s does not have the new version", r.handle)
		}
		if at.After(slowest) {
			slowest = at
		}
	}
	v.t.Logf("signed %s; the last of %d others had the version %s later; the expelled one got %d messages after the signing, the last %s after it; the network was whole again after %s",
		v.signed.Format("15:04:05"), len(v.nodes)-1, slowest.Sub(v.signed).Round(time.Millisecond), after, last.Sub(v.signed).Round(time.Millisecond), healed.Sub(v.signed).Round(time.Millisecond))
	if bound := healed.Add(3 * time.Minute); last.After(bound) {
		v.t.Errorf("something came to the expelled one %s after the network was whole again", last.Sub(healed))
	}
}

// ends holds every member to the cut: what lies beyond it nobody has taken since
// it has the version, and nobody shows.
func (v *revocation) ends() {
	allowed := map[string]bool{}
	_, _ = v.nodes[len(v.nodes)-1].node.Export(context.Background(), node.SearchQuery{Topic: "watch/findings", From: v.expelled.record.Member.String(), All: true}, func(o node.Version) bool {
		allowed[o.ID] = true
		return true
	})
	var want []string
	for i, r := range v.nodes[1:] {
		got := r.holds("watch/findings")
		if i == 0 {
			want = got
		} else if !slices.Equal(got, want) {
			v.t.Errorf("%s shows %d objects, %s %d", r.handle, len(got), v.nodes[1].handle, len(want))
		}
	}
	shown := 0
	for log, end := range v.cut {
		if log.Lane.Topic == "findings" {
			shown += int(end.Sequence)
		}
	}
	if len(allowed) != shown {
		v.t.Errorf("%d objects of the expelled one are shown; its log was closed at %d", len(allowed), shown)
	}
}

// TestRevocationReachesEveryone expels a party in a network that is slow, cut in
// two, and restarts: nobody who has the new version sends, serves, relays or
// accepts anything of or to the expelled one, and the time to the last leak is
// bounded by the end of the cut and a round of sync.
func TestRevocationReachesEveryone(t *testing.T) {
	count, span := 16, 20*time.Minute
	if testing.Short() {
		count, span = 9, 10*time.Minute
	}
	synctest.Test(t, func(t *testing.T) { newRevocation(t, count).run(span) })
}

// run cuts the network in two, expels a party on the one side, and has all go on.
func (v *revocation) run(span time.Duration) {
	<-time.After(20 * time.Second)
	v.busy(3*time.Minute, 5*time.Second)
	<-time.After(2 * time.Minute)
	v.cutOff(true)
	v.busy(time.Minute, 5*time.Second)
	v.expel()
	v.busy(span, span/60)
	v.cutOff(false)
	healed := time.Now()
	v.busy(10*time.Minute, 5*time.Second)
	<-time.After(5 * time.Minute)
	v.verdict(healed)
	v.ends()
}
