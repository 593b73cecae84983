package node_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"entente/node"
)

const interferenceTerms = `topics:
  - name: shared
    description: For both.
    default-marking: TLP:AMBER
  - name: closed
    description: Not for the vendor.
    default-marking: TLP:AMBER
clauses:
  - number: "1"
    text: All share what they find.
    effect: permit
    topics: [shared]
  - number: "2"
    text: Who was hit is not for vendors.
    effect: forbid
    topics: [shared]
    types: [identity]
    to:
      kinds: [vendor]
  - number: "3"
    text: The closed topic is for companies and the CERT.
    effect: permit
    topics: [closed]
    to:
      kinds: [company, cert]
`

// interferenceRules are those of the vendor's operator: what they keep from its
// people interferes with nothing that these see.
const interferenceRules = `kind: entente/local-rules
format: 1
clauses:
  - number: 1
    text: We read no malware.
    effect: forbid
    types: [malware]
`

// step is one publication of a drawn history.
type step struct {
	topic, raw string
	force      bool // past the sender's policy
	secret     bool // the vendor may not have it, whatever else is there
}

// drawHistory draws what a company publishes: findings, and among them secrets
// of every kind, to which findings may refer, and whose values they may share.
func drawHistory(t *rapid.T) []step {
	count := rapid.IntRange(1, 12).Draw(t, "steps")
	var names []string // kind:name of what was published before
	var out []step
	for i := range count {
		name := fmt.Sprintf("n%d", i)
		with := map[string]string{"tlp": rapid.SampledFrom([]string{"clear", "green", "amber"}).Draw(t, "tlp")}
		how := rapid.SampledFrom([]string{"finding", "finding", "finding", "closed", "red", "victim", "broken", "unwanted"}).Draw(t, "how")
		s := step{topic: "watch/shared"}
		kind := "indicator"
		switch how {
		case "closed":
			s.topic, s.secret = "watch/closed", true
			with["pattern"] = fmt.Sprintf("[domain-name:value = 'n%d.example']", rapid.IntRange(0, count).Draw(t, "value"))
		case "red":
			with["tlp"], s.secret, s.force = "red", true, rapid.Bool().Draw(t, "force")
		case "victim":
			kind, s.secret, s.force = "identity", true, rapid.Bool().Draw(t, "force")
		case "unwanted":
			kind, s.secret = "malware", true
		case "broken":
			s.secret, s.force = true, true
			with["modified"] = "never"
		default:
			with["pattern"] = fmt.Sprintf("[domain-name:value = 'n%d.example']", rapid.IntRange(0, count).Draw(t, "value"))
			if len(names) > 0 && rapid.Bool().Draw(t, "refers") {
				kind, with["about"] = "note", rapid.SampledFrom(names).Draw(t, "about")
				s.force = rapid.Bool().Draw(t, "force")
			}
		}
		names = append(names, kind+":"+name)
		s.raw = object(kind, name, with)
		out = append(out, s)
	}
	return out
}

// vantage is all that the vendor's operator can get out of its node.
func vantage(t *testing.T, r *resident, ids, values []string) string {
	t.Helper()
	ctx := context.Background()
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	show := func(v node.Version) bool {
		say("%s %s %s %s conflict=%v from %s %s", v.ID, v.Name, v.Marking, v.Object, v.Conflict, v.Provenance[0].Author, v.Provenance[0].Topic)
		return true
	}
	for _, topic := range []string{"", "watch/shared", "watch/closed"} {
		say("search %q", topic)
		if err := r.node.Search(ctx, node.SearchQuery{Topic: topic, All: true, Limit: 1000}, show); err != nil {
			say("error %v", err)
		}
		say("export %q", topic)
		if _, err := r.node.Export(ctx, node.SearchQuery{Topic: topic}, show); err != nil {
			say("error %v", err)
		}
	}
	for _, id := range ids {
		say("get %s", id)
		versions, err := r.node.Get(ctx, id)
		if err != nil {
			say("error %v", err)
		}
		for _, v := range versions {
			show(v)
		}
	}
	answers, err := r.node.Lookup(ctx, values)
	if err != nil {
		say("error %v", err)
	}
	for _, a := range answers {
		say("lookup %s", a.Value)
		hits := slices.Clone(a.Hits)
		slices.SortFunc(hits, func(x, y node.LookupHit) int { return strings.Compare(x.ID, y.ID) })
		for _, h := range hits {
			say("  %s %s %s", h.ID, h.Name, h.Marking)
		}
	}
	tailed, stop := context.WithCancel(ctx)
	defer stop()
	if err := r.node.Tail(tailed, "", 0, func(e node.TailEvent) bool {
		if e.Idle {
			return false
		}
		return show(*e.Version)
	}); err != nil {
		say("error %v", err)
	}
	return b.String()
}

// play runs a history in a network of its own and returns what the vendor gets.
// Without secrets the steps that the vendor may not have do not happen.
func play(t *testing.T, history []step, secrets bool) (got string) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		all := l.found("watch", interferenceTerms, map[string]string{"bank": "company", "cert": "cert", "vendor": "vendor"})
		bank, vendor := all[0], all[2]
		unwanted := interferenceRules
		vendor.rules.Store(&unwanted)
		if _, err := vendor.node.ReloadRules(context.Background()); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * time.Second)
		// A first message on each topic begins the logs, so that what is forced
		// later goes on in the very logs that the node writes: two logs of one
		// topic would arrive in an order of their own.
		for _, topic := range []string{"watch/shared", "watch/closed"} {
			if _, err := bank.node.Publish(context.Background(), node.PublishRequest{
				Topic: topic, Items: items(object("indicator", "first "+topic, map[string]string{"tlp": "clear", "pattern": "[domain-name:value = 'first.example']"})),
			}); err != nil {
				t.Fatal(err)
			}
		}
		var ids, values []string
		for i, s := range history {
			values = append(values, fmt.Sprintf("n%d.example", i))
			_, id, _ := strings.Cut(s.raw, `"id":"`)
			id, _, _ = strings.Cut(id, `"`)
			ids = append(ids, id)
			if s.secret && !secrets {
				continue
			}
			if s.force {
				_, topic, _ := strings.Cut(s.topic, "/")
				if err := bank.force(topic, false, s.raw); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if _, err := bank.node.Publish(context.Background(), node.PublishRequest{Topic: s.topic, Items: items(s.raw)}); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(2 * time.Minute) // gossip and a round of sync
		l.eventually(10*time.Second, "the index catching up", func() bool {
			_, behind, err := vendor.store.Unindexed()
			return err == nil && !behind
		})
		got = vantage(t, vendor, ids, values)
	})
	return got
}

// checks has a property of which every try is a whole network tried n times and
// not rapid's hundred, unless -rapid.checks says how often.
func checks(t *testing.T, n int) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	if f.Value.String() != f.DefValue {
		return
	}
	if err := f.Value.Set(strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(f.DefValue) })
}

// TestNonInterference plays random histories twice, with and without what a
// reader may not have, and holds every answer of its node to be the same.
func TestNonInterference(t *testing.T) {
	checks(t, 40)
	rapid.Check(t, func(rt *rapid.T) {
		history := drawHistory(rt)
		with, without := play(t, history, true), play(t, history, false)
		if with != without {
			rt.Fatalf("what the vendor may not have shows:\n--- with\n%s\n--- without\n%s", with, without)
		}
	})
}
