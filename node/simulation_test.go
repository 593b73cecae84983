package node_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"entente/node"
)

var seed = flag.Uint64("seed", 0, "of the simulations; 0 draws one")

// world of a simulation: who published what, and what the agreement says of it.
type simulation struct {
	t       *testing.T
	lab     *lab
	nodes   []*resident
	random  *rand.Rand
	names   int
	entries []simulated
	visible map[string][]string // by node and topic: ids that it must show; the oracle's
}

// simulated is one object that went out.
type simulated struct {
	topic, id string
	at        time.Time
	readers   []*resident
}

const simulationTerms = `topics:
  - name: findings
    description: What all share.
    default-marking: TLP:AMBER
  - name: victims
    description: Who was hit, for the authorities.
    default-marking: TLP:AMBER
clauses:
  - number: "1"
    text: All share what they find.
    effect: permit
    topics: [findings]
  - number: "2"
    text: Who was hit is no finding.
    effect: forbid
    topics: [findings]
    types: [identity]
    to:
      kinds: [vendor]
  - number: "3"
    text: The authorities are told who was hit.
    effect: permit
    topics: [victims]
    to:
      kinds: [cert]
`

func newSimulation(t *testing.T, nodes int) *simulation {
	t.Helper()
	drawn := *seed
	if drawn == 0 {
		drawn = rand.Uint64()
	}
	t.Logf("%d nodes, -seed %d", nodes, drawn)
	s := &simulation{t: t, lab: newLab(t), random: rand.New(rand.NewPCG(drawn, 1)), visible: map[string][]string{}}
	kinds := map[string]string{}
	for i := range nodes {
		kinds[fmt.Sprintf("m%03d", i)] = []string{"company", "vendor", "cert"}[i%3]
	}
	s.nodes = s.lab.found("watch", simulationTerms, kinds)
	return s
}

// publish lets a node publish something; what may go where is worked out here in
// the plainest way, without the node's policy.
func (s *simulation) publish(by *resident) {
	s.names++
	name := fmt.Sprintf("object%d", s.names)
	kind := []string{"indicator", "malware", "identity"}[s.random.IntN(3)]
	level := []string{"", "clear", "green", "amber", "strict", "red"}[s.random.IntN(6)]
	topic := []string{"findings", "victims"}[s.random.IntN(2)]
	receipt, err := by.node.Publish(context.Background(), node.PublishRequest{
		Topic: "watch/" + topic, Items: items(object(kind, name, map[string]string{"tlp": level})),
	})
	if err != nil {
		s.t.Fatalf("%s publishes %s: %v", by.handle, name, err)
	}
	goes := level != "red" && (topic == "victims" || kind != "identity")
	if goes != (receipt.Published == 1) {
		s.t.Fatalf("%s publishes a %s, %q, on %s: %+v", by.handle, kind, level, topic, receipt)
	}
	if !goes {
		return
	}
	e := simulated{topic: topic, id: idOf(kind, name), at: time.Now()}
	for _, r := range s.nodes {
		if topic == "findings" || r.kind == "cert" || r == by {
			s.visible[r.handle+topic] = append(s.visible[r.handle+topic], e.id)
		}
		if topic == "findings" || r.kind == "cert" {
			e.readers = append(e.readers, r)
		}
	}
	s.entries = append(s.entries, e)
}

// settled reports how many nodes do not show exactly what they must, and one of
// them in words.
func (s *simulation) unsettled() (count int, text string) {
	for _, r := range s.nodes {
		for _, topic := range []string{"findings", "victims"} {
			got, want := r.holds("watch/"+topic), slices.Clone(s.visible[r.handle+topic])
			slices.Sort(want)
			if !slices.Equal(got, want) {
				count++
				text = fmt.Sprintf("%s (%s) shows %d of %s, not %d", r.handle, r.kind, len(got), topic, len(want))
			}
		}
	}
	return count, text
}

func (s *simulation) settle(within time.Duration) {
	s.t.Helper()
	start := time.Now()
	s.lab.eventually(within, "every node showing what it must and nothing else", func() bool {
		n, text := s.unsettled()
		if n > 0 && time.Since(start) > within {
			s.t.Log(text)
		}
		return n == 0
	})
	s.t.Logf("%d objects; all nodes right %s after the last was published", len(s.entries), time.Since(start).Round(time.Millisecond))
}

// spread measures how long objects took to be stored everywhere, live.
func (s *simulation) spread(count int) {
	s.t.Helper()
	var times []time.Duration
	for range count {
		before := len(s.entries)
		for len(s.entries) == before {
			s.publish(s.nodes[s.random.IntN(len(s.nodes))])
		}
		e := s.entries[len(s.entries)-1]
		tick := time.NewTicker(time.Millisecond)
		for end := e.at.Add(10 * time.Second); ; <-tick.C {
			if !slices.ContainsFunc(e.readers, func(r *resident) bool { has, err := r.store.Has([]string{e.id}); return err != nil || !has[0] }) {
				break
			}
			if time.Now().After(end) {
				s.t.Fatalf("%s on %s did not reach all within 10 s", e.id, e.topic)
			}
		}
		tick.Stop()
		times = append(times, time.Since(e.at))
	}
	slices.Sort(times)
	s.t.Logf("published to stored everywhere, %d objects, links of 20 ms: p50 %s, p99 %s (virtual time)",
		count, times[count/2].Round(time.Millisecond), times[count*99/100].Round(time.Millisecond))
}

// run publishes while nodes go down and come back, and holds every node to the
// oracle at the end.
func (s *simulation) run(rounds int) {
	s.t.Helper()
	<-time.After(10 * time.Second) // connections and meshes
	s.spread(20)
	s.settle(10 * time.Second)
	for range rounds {
		var down []*resident
		for range 1 + len(s.nodes)/10 {
			r := s.nodes[s.random.IntN(len(s.nodes))]
			if !slices.Contains(down, r) {
				r.down()
				down = append(down, r)
			}
		}
		for range 10 {
			r := s.nodes[s.random.IntN(len(s.nodes))]
			if !slices.Contains(down, r) {
				s.publish(r)
			}
			<-time.After(time.Duration(s.random.IntN(3000)) * time.Millisecond)
		}
		for _, r := range down {
			r.start()
		}
		<-time.After(time.Duration(s.random.IntN(20)) * time.Second)
	}
	s.settle(5 * time.Minute)
}

// TestSimulation runs a network of whole nodes in virtual time.
func TestSimulation(t *testing.T) {
	nodes := 50
	if testing.Short() {
		nodes = 10
	}
	synctest.Test(t, func(t *testing.T) { newSimulation(t, nodes).run(3) })
}
