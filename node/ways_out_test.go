package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"entente/node"
	"entente/protocol"
)

// waysTerms are two versions of an agreement with a way of hiding for each kind of
// object: what is no finding, what is for the others, what is kept for a day, what
// is for those who investigate, and what the second version takes back.
func waysTerms(version int) string {
	last := "\n    to:\n      kinds: [vendor, company, cert]"
	if version > 1 {
		last = "\n    to:\n      kinds: [company, cert]"
	}
	return `suspend:
  kinds: [cert]
topics:
  - name: shared
    default-marking: TLP:AMBER
  - name: closed
    default-marking: TLP:AMBER
clauses:
  - number: "1"
    text: Findings are shared.
    effect: permit
    topics: [shared]
    types: [indicator, note, relationship, sighting, identity, domain-name, observed-data, marking-definition]
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
  - number: "4"
    text: Tools are kept for a day.
    effect: permit
    topics: [shared]
    types: [tool]
    obligations: {retain: 1 day}
  - number: "5"
    text: Campaigns are for those who investigate.
    effect: permit
    topics: [shared]
    types: [campaign]
    conditions: {purposes: [criminal-investigation]}
  - number: "6"
    text: Malware is for all, at first.
    effect: permit
    topics: [shared]
    types: [malware]` + last + "\n"
}

// way is a step of a history in which each object may be hidden in a way of its own.
type way struct {
	step
	erased bool // after all has come
}

// with returns an object with further properties.
func with(raw string, more map[string]any) string {
	var o map[string]any
	if err := json.Unmarshal([]byte(raw), &o); err != nil {
		panic(err)
	}
	for k, v := range more {
		o[k] = v
	}
	out, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// drawWays draws a history. What is hidden from the vendor in the end is marked as
// secret; everything else may refer to it, come before or after it, or share its
// values.
func drawWays(t *rapid.T) []way {
	count := rapid.IntRange(2, 14).Draw(t, "steps")
	kinds := make([]string, count)
	for i := range kinds {
		kinds[i] = rapid.SampledFrom([]string{"finding", "finding", "reference", "reference", "closed", "red", "granular", "victim", "tool", "campaign", "malware", "erased", "broken", "value"}).Draw(t, "kind")
	}
	types := map[string]string{"victim": "identity", "tool": "tool", "campaign": "campaign", "malware": "malware", "value": "domain-name"}
	id := func(i int) string {
		kind := types[kinds[i]]
		if kind == "" {
			kind = "indicator"
		}
		return idOf(kind, fmt.Sprintf("w%d", i))
	}
	out := make([]way, count)
	for i, kind := range kinds {
		name := fmt.Sprintf("w%d", i)
		value := fmt.Sprintf("w%d.example", rapid.IntRange(0, count-1).Draw(t, "value"))
		target := id(rapid.IntRange(0, count-1).Draw(t, "target"))
		plain := object("indicator", name, map[string]string{"pattern": "[domain-name:value = '" + value + "']"})
		w := way{step: step{topic: "watch/shared", raw: plain, force: true}}
		switch kind {
		case "finding":
			w.force = false
			if rapid.Bool().Draw(t, "cites") { // names something without referring to it
				w.raw = with(plain, map[string]any{"external_references": []any{map[string]any{"source_name": "report", "external_id": target, "url": "https://" + value + "/"}}})
			}
		case "reference":
			w.raw = drawReference(t, name, target, value)
		case "closed":
			w.topic, w.secret, w.force = "watch/closed", true, false
		case "red":
			w.secret, w.raw = true, with(plain, map[string]any{"object_marking_refs": []any{tlpID("red")}})
		case "granular":
			w.secret, w.raw = true, with(plain, map[string]any{"granular_markings": []any{map[string]any{"marking_ref": tlpID("red"), "selectors": []any{"name"}}}})
		case "broken":
			w.secret, w.raw = true, with(plain, map[string]any{"modified": "never"})
		case "erased":
			w.secret, w.erased, w.force = true, true, false
		case "campaign":
			w.secret, w.raw = true, with(object("tool", name, nil), map[string]any{"type": "campaign", "id": id(i)})
		case "value":
			w.raw = with(object("tool", name, nil), map[string]any{"type": "domain-name", "id": id(i), "value": value})
			w.raw = without(w.raw, "created", "modified", "name")
		default:
			w.secret, w.raw = true, object(types[kind], name, nil)
		}
		out[i] = w
	}
	return out
}

func without(raw string, names ...string) string {
	var o map[string]any
	if err := json.Unmarshal([]byte(raw), &o); err != nil {
		panic(err)
	}
	for _, n := range names {
		delete(o, n)
	}
	out, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// drawReference draws an object that refers to another, openly or embedded.
func drawReference(t *rapid.T, name, to, value string) string {
	note := object("note", name, map[string]string{"about": "x:y"})
	switch rapid.SampledFrom([]string{"note", "creator", "sighting", "observed", "relationship", "marking"}).Draw(t, "how") {
	case "creator":
		return with(object("indicator", name, map[string]string{"pattern": "[domain-name:value = '" + value + "']"}), map[string]any{"created_by_ref": idOf("identity", "w1")})
	case "sighting":
		return with(note, map[string]any{"type": "sighting", "id": idOf("sighting", name), "sighting_of_ref": to, "where_sighted_refs": []any{idOf("identity", "w2")}, "object_refs": nil})
	case "observed":
		return with(note, map[string]any{"type": "observed-data", "id": idOf("observed-data", name), "object_refs": []any{to}, "number_observed": 1,
			"first_observed": "1999-10-01T00:00:00Z", "last_observed": "1999-10-01T00:00:00Z"})
	case "relationship":
		return with(object("relationship", name, map[string]string{"from": "indicator:w0", "to": "x:y"}), map[string]any{"target_ref": to})
	case "marking":
		return with(object("indicator", name, nil), map[string]any{"object_marking_refs": []any{idOf("marking-definition", "w0")}})
	}
	return with(note, map[string]any{"object_refs": []any{to}})
}

// served is what other nodes would carry to the vendor's by sync, object by object.
func served(t *testing.T, vendor *resident, others ...*resident) string {
	t.Helper()
	reader := protocol.Peer{Author: protocol.Author{Member: vendor.record.Member, Node: 1}}
	var lines []string
	for _, r := range others {
		a, _, _ := r.topic("shared")
		for _, e := range r.node.Frontier(reader, a.ID) {
			err := r.node.Serve(context.Background(), reader, a.ID, protocol.Want{Log: e.Log, To: e.Position.Sequence}, func(frame []byte) bool {
				m, err := r.lab.codec.Reopen(frame)
				if err != nil {
					t.Fatal(err)
				}
				for i := range m.Header().Objects {
					raw := m.Object(i)
					// Campaigns are carried: the node asks its people what they read them
					// for. And who made a tool may give it anew.
					if raw == nil || m.Header().Content != protocol.StixObjects || strings.Contains(string(raw), `"type":"campaign"`) || strings.Contains(string(raw), `"type":"tool"`) {
						continue
					}
					lines = append(lines, fmt.Sprintf("%s serves %s %s", r.handle, e.Log.Lane, raw))
				}
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// asks is what the vendor is told that tries things out: dry runs of what would
// refer to hidden objects, or be a version of them, and resumed tails.
func asks(t *testing.T, vendor *resident, ways []way, ids []string) string {
	t.Helper()
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	ctx := context.Background()
	// Who publishes need not say what for, and may refer to what the node carries:
	// campaigns, and what refers to them.
	carried := map[string]bool{}
	for range ids {
		for i, id := range ids {
			carried[id] = carried[id] || strings.HasPrefix(id, "campaign--") ||
				slices.ContainsFunc(ids, func(other string) bool { return other != id && carried[other] && strings.Contains(ways[i].raw, other) })
		}
	}
	for i, id := range ids {
		if carried[id] {
			continue
		}
		for _, raw := range []string{
			with(object("note", fmt.Sprintf("probe%d", i), map[string]string{"about": "x:y"}), map[string]any{"object_refs": []any{id}}),
			with(object("indicator", fmt.Sprintf("probe%d", i), nil), map[string]any{"created_by_ref": id}),
		} {
			receipt, err := vendor.node.Publish(ctx, node.PublishRequest{Topic: "watch/shared", Items: items(raw), DryRun: true})
			receipt.Seconds = 0
			say("dry run %+v %v", receipt, err)
		}
		e, err := vendor.node.ExplainObject(ctx, id, "vendor")
		if err != nil {
			continue
		}
		// Its operator may know what was decided about what its node refused; not
		// that it may have it.
		for _, now := range e.Now {
			if now.Why.Outcome == "allow" {
				say("explain %s %+v", id, now)
			}
		}
	}
	// A tail that breaks off after each object and goes on.
	cursor, seen := int64(0), []string{}
	for range 100 {
		more := false
		tailed, stop := context.WithCancel(ctx)
		err := vendor.node.Tail(tailed, "", cursor, func(e node.TailEvent) bool {
			cursor = e.Cursor
			if !e.Idle {
				if !slices.Contains(seen, e.Version.ID) {
					seen = append(seen, e.Version.ID)
					more = true
				}
				return true
			}
			return false
		})
		stop()
		if err != nil {
			say("tail %v", err)
		}
		if !more {
			break
		}
	}
	say("tail %s", strings.Join(seen, " "))
	infos, err := vendor.node.Agreements(ctx, "watch")
	if err != nil {
		say("agreements %v", err)
	}
	for _, a := range infos {
		say("agreement %s %d %s %v", a.Name, a.Version, a.State, a.Topics)
	}
	return b.String()
}

// playWays runs a history in a network of its own, ends it with what hides, and
// returns all that comes out to the vendor, by its own node and from others.
func playWays(t *testing.T, ways []way, secrets, suspend bool) (got string) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		all := l.found("watch", waysTerms(1), map[string]string{"bank": "company", "cert": "cert", "vendor": "vendor"})
		bank, cert, vendor := all[0], all[1], all[2]
		<-time.After(5 * time.Second)
		for _, topic := range []string{"watch/shared", "watch/closed"} {
			if _, err := bank.node.Publish(context.Background(), node.PublishRequest{Topic: topic, Items: items(object("indicator", "first "+topic, nil))}); err != nil {
				t.Fatal(err)
			}
		}
		var ids, values []string
		for i, w := range ways {
			values = append(values, fmt.Sprintf("w%d.example", i))
			_, id, _ := strings.Cut(w.raw, `"id":"`)
			id, _, _ = strings.Cut(id, `"`)
			ids = append(ids, id)
			if w.secret && !secrets {
				continue
			}
			_, topic, _ := strings.Cut(w.topic, "/")
			if w.force {
				if err := bank.force(topic, false, w.raw); err != nil {
					t.Fatal(err)
				}
			} else if _, err := bank.node.Publish(context.Background(), node.PublishRequest{Topic: w.topic, Items: items(w.raw)}); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(2 * time.Minute)
		for i, w := range ways {
			if w.erased && secrets {
				if _, err := bank.node.Erase(context.Background(), ids[i:i+1], ""); err != nil && protocol.KindOf(err) != protocol.NotFound {
					t.Fatal(err)
				}
			}
		}
		h := &history{t: t, lab: l, all: all}
		first, _, _ := bank.topic("shared")
		h.chain = []*protocol.Agreement{first}
		h.amendTo(bank, waysTerms(2))
		<-time.After(2 * time.Minute)
		if suspend {
			if _, err := cert.node.Declare(context.Background(), "watch", node.StatementRequest{Kind: "suspension", Party: "vendor"}); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Second)
		}
		for _, r := range all {
			r.down()
		}
		<-time.After(30 * time.Hour) // what is kept for a day is over
		for _, r := range all {
			r.start()
		}
		<-time.After(2 * time.Minute)
		l.eventually(10*time.Second, "the index catching up", func() bool {
			_, behind, err := vendor.store.Unindexed()
			return err == nil && !behind
		})
		got = vantage(t, vendor, ids, values) + served(t, vendor, bank, cert) + asks(t, vendor, ways, ids)
	})
	return got
}

// TestNonInterferenceOfAllWays hides objects in every way that there is, and holds
// everything that comes out to a reader, by whatever way, to be the same as if they
// had never been.
func TestNonInterferenceOfAllWays(t *testing.T) {
	if testing.Short() {
		t.Skip("its networks live for days")
	}
	checks(t, 30)
	rapid.Check(t, func(rt *rapid.T) {
		ways := drawWays(rt)
		suspend := rapid.IntRange(0, 3).Draw(rt, "suspend") == 0
		with, without := playWays(t, ways, true, suspend), playWays(t, ways, false, suspend)
		if with != without {
			rt.Fatalf("what the vendor may not have shows:\n%s", difference(with, without))
		}
	})
}

// difference lists the lines that only one of two texts has.
func difference(with, without string) string {
	a, b := strings.Split(with, "\n"), strings.Split(without, "\n")
	var out strings.Builder
	for _, line := range a {
		if !slices.Contains(b, line) {
			fmt.Fprintf(&out, "with    %.600s\n", line)
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			fmt.Fprintf(&out, "without %.600s\n", line)
		}
	}
	for i := 0; out.Len() == 0 && i < min(len(a), len(b)); i++ {
		if a[i] != b[i] {
			fmt.Fprintf(&out, "in another order from here\nwith    %.300s\nwithout %.300s\n", a[i], b[i])
		}
	}
	return out.String()
}
