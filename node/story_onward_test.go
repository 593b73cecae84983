package node_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"entente/node"
	"entente/protocol"
)

// onward has a node ask sources, answer, or list what was asked.
func (s *story) onward(d *datadriven.TestData, at *resident, arg func(string) string) string {
	var list []node.OnwardRequest
	var err error
	switch d.Cmd {
	case "ask":
		q := node.OnwardQuestion{To: arg("to"), Reason: strings.TrimSpace(d.Input)}
		for _, object := range strings.Split(arg("objects"), "+") {
			kind, name, _ := strings.Cut(object, ":")
			q.IDs = append(q.IDs, idOf(kind, name))
		}
		list, err = at.node.Ask(context.Background(), q)
	case "answer": // the newest request that is listed
		q := node.OnwardAnswer{Grant: d.HasArg("grant"), Reason: strings.TrimSpace(d.Input)}
		if span := arg("for"); span != "" {
			var length time.Duration
			if length, err = time.ParseDuration(span); err == nil {
				q.Until = time.Now().Add(length)
			}
		}
		var known []node.OnwardRequest
		if known, err = at.node.Requests(context.Background()); err == nil && len(known) == 0 {
			return "nothing to answer\n"
		}
		if err == nil {
			var one node.OnwardRequest
			one, err = at.node.Answer(context.Background(), known[0].Request, q)
			list = append(list, one)
		}
	default:
		list, err = at.node.Requests(context.Background())
	}
	if err != nil {
		return fmt.Sprintf("%s: %v\n", protocol.KindOf(err), err)
	}
	var b strings.Builder
	for _, r := range list {
		fmt.Fprintf(&b, "%s asks %s, %d of %s/%s to %q/%s: %s; %s, over after %s", r.Asker, r.Source, len(r.Objects), r.Agreement, r.Topic, r.ToName, r.ToTopic, r.Reason,
			r.State, r.Until.Sub(r.Time).Round(time.Hour))
		if r.AnswerText != "" {
			fmt.Fprintf(&b, "; %s", r.AnswerText)
		}
		fmt.Fprintf(&b, "; incoming=%t\n", r.Incoming)
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

// request finds the newest request that a member has made.
func (s *story) request(t *testing.T, member string) protocol.Hash {
	t.Helper()
	list, err := s.lab.members[member].node.Requests(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range list {
		if q.Asker == member {
			hash, err := protocol.ParseHash(q.Request)
			if err != nil {
				t.Fatal(err)
			}
			return hash
		}
	}
	t.Fatalf("%s has asked nothing", member)
	return protocol.Hash{}
}
