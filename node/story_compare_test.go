package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"

	"entente/node"
	"entente/protocol"
)

// compare asks a node what the document of the story, or version new of the
// agreement that it is of, changes: compare at=MEMBER [old=N] [new=N] [last=SPAN].
func (s *story) compare(t *testing.T, at *resident, d *datadriven.TestData) string {
	t.Helper()
	q := node.CompareRequest{New: node.CompareSide{Document: string(s.payload)}}
	a, err := protocol.ParseAgreement(s.payload)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	if d.HasArg("old") {
		q.Old.Agreement = a.Name
		d.ScanArgs(t, "old", &q.Old.Version)
	}
	if d.HasArg("new") {
		q.New = node.CompareSide{Agreement: a.Name}
		d.ScanArgs(t, "new", &q.New.Version)
	}
	if d.HasArg("last") {
		var last string
		d.ScanArgs(t, "last", &last)
		span, err := time.ParseDuration(last)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		q.Since = time.Now().Add(-span)
	}
	c, err := at.node.Compare(context.Background(), q, nil)
	if err != nil {
		return fmt.Sprintf("%s: %v\n", protocol.KindOf(err), err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d -> %d\n", c.Agreement, c.Old, c.New)
	for _, x := range c.Differences {
		fmt.Fprintln(&b, x.Text)
	}
	for _, w := range c.Widening {
		fmt.Fprintf(&b, "widens: %s\n", w.Text)
	}
	if c.Problem != "" {
		fmt.Fprintf(&b, "problem: %s\n", c.Problem)
	}
	if e := c.Effect; e != nil {
		fmt.Fprintf(&b, "of %d objects %d gain, %d lose\n", e.Objects, e.Gaining, e.Losing)
		for _, f := range e.Flows {
			fmt.Fprintf(&b, "%d %s %s to %s, clause %s: %s\n", f.Count, f.Kind, f.Topic, f.Reader, f.Clause, f.Text)
			for _, x := range f.First {
				fmt.Fprintf(&b, "  %s %s from %s\n", s.name(x.ID), x.Marking, x.Author)
			}
		}
	}
	return b.String()
}

// TestCompareEnds: a replay tells how far it is, and ends when nobody waits for it.
func TestCompareEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		all := l.found("watch", "topics:\n  - name: iocs\n    default-marking: TLP:GREEN\nclauses:\n  - number: \"1\"\n    text: Share.\n    effect: permit\n", map[string]string{"bank": "company", "cert": "cert"})
		bank := all[0]
		for i := range 5 {
			if _, err := bank.node.Publish(t.Context(), node.PublishRequest{Topic: "iocs", Items: items(object("indicator", fmt.Sprint(i), nil))}); err != nil {
				t.Fatal(err)
			}
		}
		q := node.CompareRequest{Old: node.CompareSide{Agreement: "watch"}, New: node.CompareSide{Agreement: "watch", Version: 1}}
		var told []int64
		c, err := bank.node.Compare(t.Context(), q, func(p node.Progress) { told = append(told, p.Done) })
		if err != nil || c.Widens || c.Effect.Objects != 5 || !slices.Equal(told, []int64{5}) {
			t.Errorf("%+v, progress %v, %v", c, told, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if c, err := bank.node.Compare(ctx, q, nil); !errors.Is(err, context.Canceled) || c.Effect != nil {
			t.Errorf("ended: %+v, %v", c, err)
		}
		for name, q := range map[string]node.CompareRequest{
			"no new version":      {},
			"both":                {New: node.CompareSide{Agreement: "watch", Document: "kind: x\n"}},
			"a version alone":     {New: node.CompareSide{Version: 2}},
			"no agreement's text": {New: node.CompareSide{Document: "kind: x\n"}},
			"no such agreement":   {New: node.CompareSide{Agreement: "what"}},
			"no such old version": {New: node.CompareSide{Agreement: "watch"}, Old: node.CompareSide{Agreement: "watch", Version: 7}},
		} {
			want := protocol.Invalid
			if strings.HasPrefix(name, "no such") {
				want = protocol.NotFound
			}
			if _, err := bank.node.Compare(t.Context(), q, nil); protocol.KindOf(err) != want {
				t.Errorf("%s: %v (%s)", name, err, protocol.KindOf(err))
			}
		}
	})
}
