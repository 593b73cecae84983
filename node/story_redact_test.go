package node_test

import (
	"context"
	"fmt"
	"strings"

	"entente/node"
)

// redacted tells what a receipt says of objects that became others.
func (s *story) redacted(r *node.Redaction) string {
	if r == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d transformed:", r.Objects)
	for _, t := range r.Told {
		fmt.Fprintf(&b, " %s %d", t.Thing, t.Count)
	}
	b.WriteString("\n")
	for _, o := range r.First {
		fmt.Fprintf(&b, "  line %d %s is %s:", o.Line, s.name(o.ID), s.name(o.NewID))
		for _, t := range o.Told {
			fmt.Fprintf(&b, " %s %d", t.Thing, t.Count)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// raw shows the very bytes that a node holds of a topic.
func (s *story) raw(at *resident, topic string) string {
	var b strings.Builder
	_, err := at.node.Export(context.Background(), node.SearchQuery{Topic: topic, All: true}, func(v node.Version) bool {
		fmt.Fprintf(&b, "%s\n", v.Object)
		return true
	})
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	return b.String()
}

// made tells what a node knows of what it made of an object, and of what that was
// made from.
func (s *story) made(at *resident, id string) string {
	e, err := at.node.ExplainObject(context.Background(), id, "")
	if err != nil {
		return "error: " + strings.ReplaceAll(err.Error(), id, "the object") + "\n"
	}
	var b strings.Builder
	for _, from := range e.MadeFrom {
		fmt.Fprintf(&b, "made from %s\n", s.name(from))
	}
	for _, into := range e.MadeInto {
		fmt.Fprintf(&b, "made into %s\n", s.name(into))
		other, err := at.node.ExplainObject(context.Background(), into, "")
		if err != nil || len(other.MadeFrom) != 1 || other.MadeFrom[0] != id {
			fmt.Fprintf(&b, "which does not lead back: %v %v\n", other.MadeFrom, err)
		}
	}
	for _, r := range e.Recorded {
		if r.Action == "redact" {
			fmt.Fprintf(&b, "recorded on %s, clause %s: %s\n", r.Topic, r.Clause, r.Text)
		}
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}
