package node_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"entente/node"
	"entente/protocol"
)

// deed is something that happens in a drawn history besides publishing.
type deed struct {
	kind string
	step step
	at   int // which member
}

func drawDeeds(t *rapid.T) []deed {
	var out []deed
	for _, s := range drawHistory(t) {
		out = append(out, deed{kind: "publish", step: s})
		for range rapid.IntRange(0, 2).Draw(t, "deeds") {
			out = append(out, deed{kind: rapid.SampledFrom([]string{"suspend", "resume", "amend", "restart", "read", "erase", "wait"}).Draw(t, "deed"), at: rapid.IntRange(0, 2).Draw(t, "at")})
		}
	}
	return out
}

// history plays deeds among three members.
type history struct {
	t      *testing.T
	lab    *lab
	all    []*resident
	chain  []*protocol.Agreement
	signed []protocol.Document // of the chain, from the second on
	ids    []string
	values []string
}

const historyTerms = "suspend:\n  kinds: [cert]\n" + interferenceTerms

func (h *history) do(i int, d deed) {
	ctx := context.Background()
	bank, cert := h.all[0], h.all[1]
	switch d.kind {
	case "publish":
		_, id, _ := strings.Cut(d.step.raw, `"id":"`)
		id, _, _ = strings.Cut(id, `"`)
		h.ids, h.values = append(h.ids, id), append(h.values, fmt.Sprintf("n%d.example", i))
		if d.step.force {
			_, topic, _ := strings.Cut(d.step.topic, "/")
			_ = bank.force(topic, false, d.step.raw)
			return
		}
		// A suspended bank may not publish; that is no decision about an object.
		_, _ = bank.node.Publish(ctx, node.PublishRequest{Topic: d.step.topic, Items: items(d.step.raw)})
	case "suspend":
		_, _ = cert.node.Declare(ctx, "watch", node.StatementRequest{Kind: "suspension", Party: h.all[d.at].handle, Text: "drawn"})
	case "resume":
		_, _ = cert.node.Declare(ctx, "watch", node.StatementRequest{Kind: "resumption", Party: h.all[d.at].handle})
	case "amend":
		h.amend()
	case "restart":
		h.all[d.at].down()
		h.all[d.at].start()
	case "read":
		reader := h.all[d.at]
		// Views of one store at several moments; what they show is tested elsewhere.
		_ = vantage(h.t, reader, h.ids, h.values)
	case "erase":
		if len(h.ids) > 0 {
			_, _ = bank.node.Erase(ctx, h.ids[len(h.ids)-1:], "drawn")
		}
	case "wait":
		<-time.After(time.Duration(d.at+1) * 40 * time.Second)
	}
}

// amend signs a next version, which is narrower and then as wide as before, and
// gives it to one of the three.
func (h *history) amend() {
	number := len(h.chain) + 1
	body := historyTerms
	if number%2 == 0 {
		body = strings.Replace(body, "types: [identity]", "types: [identity, note]", 1)
	}
	h.amendTo(h.all[number%3], body)
}

// amendTo signs a next version by all, and gives it to one member.
func (h *history) amendTo(at *resident, body string) {
	number := len(h.chain) + 1
	text := string(agreementText("watch", "private", body, h.all...))
	last := h.chain[len(h.chain)-1]
	text = strings.Replace(text, "version: 1\n", fmt.Sprintf("version: %d\nagreement: %q\nprevious: [%q]\n", number, h.chain[0].ID.String(), last.Hash.String()), 1)
	from, rest, _ := strings.Cut(text, "secret: \"")
	text = fmt.Sprintf("%ssecret: \"%064x%s", from, number, rest[64:])
	d := protocol.Document{Type: protocol.AgreementType, Payload: []byte(text)}
	for _, p := range h.all {
		d.Signatures = append(d.Signatures, protocol.SignDocument(d.Type, d.Payload, p.record.Member, p.keys[protocol.RootKey]))
	}
	a, err := protocol.ParseAgreement(d.Payload)
	if err != nil {
		h.t.Fatal(err)
	}
	h.chain = append(h.chain, a)
	h.signed = append(h.signed, d)
	for _, d := range h.signed { // with those before it, should they not have come
		if _, err := at.node.Import(context.Background(), d.Payload, protocol.EncodeSignatures(d.Signatures)); err != nil {
			h.t.Fatal(err)
		}
	}
}

// TestEveryDecisionReplays plays random histories and then makes every decision
// that any node has recorded again: none comes out otherwise.
func TestEveryDecisionReplays(t *testing.T) {
	var rows, decisions int
	rapid.Check(t, func(rt *rapid.T) {
		deeds := drawDeeds(rt)
		var told []string
		synctest.Test(t, func(t *testing.T) {
			h := &history{t: t, lab: newLab(t)}
			h.all = h.lab.found("watch", historyTerms, map[string]string{"bank": "company", "cert": "cert", "vendor": "vendor"})
			first, _, _ := h.all[0].topic("shared")
			h.chain = []*protocol.Agreement{first}
			<-time.After(5 * time.Second)
			for i, d := range deeds {
				h.do(i, d)
			}
			<-time.After(2 * time.Minute)
			for _, r := range h.all {
				sum, err := r.node.Replay(context.Background(), node.ReplayQuery{}, nil, func(x node.Replayed) bool {
					if x.Result == node.ReplayDifferent || (x.Result == node.ReplayGone && strings.Contains(x.Text, "earlier version")) {
						told = append(told, fmt.Sprintf("%s: %+v %+v", r.handle, x, x.Again))
					}
					return true
				})
				if err != nil || sum.Rows != sum.Same+sum.Changed+sum.Different+sum.Gone {
					told = append(told, fmt.Sprintf("%s: %+v, %v", r.handle, sum, err))
				}
				rows, decisions = rows+sum.Rows, decisions+sum.Decisions
			}
		})
		if len(told) > 0 {
			rt.Fatalf("decisions that come out otherwise:\n%s", strings.Join(told, "\n"))
		}
	})
	t.Logf("%d rows, %d decisions made again", rows, decisions)
}

// BenchmarkReplay makes the decisions about 10,000 objects of 100 messages again.
func BenchmarkReplay(b *testing.B) {
	const objects = 10_000
	a := newAlone(b)
	a.agree(b, "findings")
	n := a.node
	raws := make([]string, objects)
	for i := range raws {
		raws[i] = object("indicator", fmt.Sprintf("o%d", i), map[string]string{"tlp": "clear"})
	}
	if _, err := n.Publish(context.Background(), node.PublishRequest{Topic: "findings", Items: items(raws...)}); err != nil {
		b.Fatal(err)
	}
	var sum node.ReplaySummary
	for b.Loop() {
		var err error
		if sum, err = n.Replay(context.Background(), node.ReplayQuery{}, nil, func(node.Replayed) bool { return true }); err != nil {
			b.Fatal(err)
		}
		if sum.Same != sum.Rows || sum.Decisions != objects {
			b.Fatalf("%+v", sum)
		}
	}
	b.ReportMetric(float64(sum.Decisions)*float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}
