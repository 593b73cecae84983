// Package node is the heart: publish, check, receive, serve and view, under
// policy, with one store.
package node

import (
	"context"
	"time"

	"entente/protocol/stix"
)

// Node is one process of a member. It is safe for concurrent use.
type Node struct{ _ int }

// PublishRequest is what Publish is asked.
type PublishRequest struct {
	Topic    string                    // "agreement/topic", or a topic's name where only one agreement has it
	Items    func() (stix.Item, error) // stix.Reader.Next
	DryRun   bool
	Strict   bool // stop before publishing anything when an object is bad
	Progress func(Progress)
}

// Publish decides on objects and appends those that may go to the log.
func (n *Node) Publish(ctx context.Context, r PublishRequest) (Receipt, error) {
	panic("node: not built yet")
}

// Get returns the versions of an object, newest first.
func (n *Node) Get(ctx context.Context, id string) ([]Version, error) { panic("node: not built yet") }

// Search calls yield with matching versions, newest first.
func (n *Node) Search(ctx context.Context, q SearchQuery, yield func(Version) bool) error {
	panic("node: not built yet")
}

// Lookup answers what is known about values, in their order.
func (n *Node) Lookup(ctx context.Context, values []string) ([]LookupAnswer, error) {
	panic("node: not built yet")
}

// Tail calls yield with versions of a topic ("" for all) in order of arrival,
// from after the cursor (-1: from now), until yield returns false or ctx ends.
func (n *Node) Tail(ctx context.Context, topic string, cursor int64, yield func(TailEvent) bool) error {
	panic("node: not built yet")
}

// Export calls yield with the newest versions in order of arrival.
func (n *Node) Export(ctx context.Context, q SearchQuery, yield func(Version) bool) error {
	panic("node: not built yet")
}

// Audit calls yield with audit rows, oldest first.
func (n *Node) Audit(ctx context.Context, q AuditQuery, yield func(AuditEntry) bool) error {
	panic("node: not built yet")
}

// ExplainObject tells what was decided about an object and what would be now.
// party may name one reader.
func (n *Node) ExplainObject(ctx context.Context, id, party string) (Explanation, error) {
	panic("node: not built yet")
}

// ExplainRow tells about one decision in the audit log, by its number.
func (n *Node) ExplainRow(ctx context.Context, number uint64) (Explanation, error) {
	panic("node: not built yet")
}

// Status tells the state of the node.
func (n *Node) Status(ctx context.Context) (Status, error) { panic("node: not built yet") }

// Members lists the members that are known.
func (n *Node) Members(ctx context.Context) ([]MemberInfo, error) { panic("node: not built yet") }

// Agreements lists agreements; name selects one ("" all) and adds its text.
func (n *Node) Agreements(ctx context.Context, name string) ([]AgreementInfo, error) {
	panic("node: not built yet")
}

// Import takes a document: an agreement or record (YAML), a DSSE envelope, or
// a file of signatures for something that is here already.
func (n *Node) Import(ctx context.Context, payload, signatures []byte) (Imported, error) {
	panic("node: not built yet")
}

// Join fetches a public agreement by its ticket and follows its topics.
func (n *Node) Join(ctx context.Context, ticket string) (Imported, error) {
	panic("node: not built yet")
}

// Invite makes a ticket for a public agreement, or an invite to a private one.
func (n *Node) Invite(ctx context.Context, agreement string, valid time.Duration) (string, error) {
	panic("node: not built yet")
}

// Ping measures the round trip to a member's nodes; member is a handle or id.
func (n *Node) Ping(ctx context.Context, member string) ([]NodeInfo, error) {
	panic("node: not built yet")
}

// Reindex builds the derived indexes again.
func (n *Node) Reindex(ctx context.Context, progress func(Progress)) error {
	panic("node: not built yet")
}
