package node_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"

	"entente/node"
	"entente/protocol"
)

// review lists what is to be looked at, or answers for one object.
func (s *story) review(d *datadriven.TestData, at *resident, arg func(string) string) string {
	var list node.ReviewList
	var err error
	if d.Cmd == "reviews" {
		list, err = at.node.Reviews(context.Background(), d.HasArg("all"))
	} else {
		kind, name, _ := strings.Cut(arg("object"), ":")
		list, err = at.node.Review(context.Background(), node.ReviewRequest{IDs: []string{idOf(kind, name)}, Keep: d.HasArg("keep"), Reason: strings.TrimSpace(d.Input)})
	}
	if err != nil {
		return fmt.Sprintf("%s: %v\n", protocol.KindOf(err), err)
	}
	out := fmt.Sprintf("%d due, %d later\n", list.Due, list.Later)
	for _, r := range list.Reviews {
		out += fmt.Sprintf("%s %s clause %s from %s due after %s", r.ID[:len(r.Type)+10], r.Topic, r.Clause, r.Author, r.Due.Sub(r.Arrived).Round(time.Minute))
		if !r.Looked.IsZero() {
			out += " looked at after " + r.Looked.Sub(r.Arrived).Round(time.Minute).String()
		}
		out += "\n"
	}
	return out
}
