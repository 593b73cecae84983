// Package api is the local HTTP API of a node and its Go client: JSON over a
// unix socket, and over loopback TCP with a token where that is asked for. The
// command line uses nothing else, and neither may anything that shows, exports
// or feeds on: every answer comes from the node, hence through policy.
//
// Long answers are newline-delimited JSON, flushed as they come. The whole API
// is described by openapi.yaml, which the server serves and the tests hold it
// to. Answers are only ever added to.
package api

import (
	"context"
	"time"

	"entente/node"
)

// Service is what the API asks of a node. *node.Node is one.
type Service interface {
	Status(ctx context.Context) (node.Status, error)
	Members(ctx context.Context) ([]node.MemberInfo, error)
	Agreements(ctx context.Context, name string) ([]node.AgreementInfo, error)
	Import(ctx context.Context, payload, signatures []byte) (node.Imported, error)
	Join(ctx context.Context, ticket string) (node.Imported, error)
	Invite(ctx context.Context, agreement string, valid time.Duration) (string, error)
	Offer(ctx context.Context, q node.InviteRequest) (node.InviteInfo, error)
	Invites(ctx context.Context) ([]node.InviteInfo, error)
	RevokeInvite(ctx context.Context, id string) (node.InviteInfo, error)
	Declare(ctx context.Context, agreement string, r node.StatementRequest) (node.StatementInfo, error)
	Compare(ctx context.Context, q node.CompareRequest, progress func(node.Progress)) (node.Comparison, error)
	Logs(ctx context.Context, agreement string) ([]node.LogInfo, error)
	Scoreboard(ctx context.Context, agreement string) ([]node.ScoreInfo, error)
	Reviews(ctx context.Context, all bool) (node.ReviewList, error)
	Review(ctx context.Context, q node.ReviewRequest) (node.ReviewList, error)
	Requests(ctx context.Context) ([]node.OnwardRequest, error)
	Ask(ctx context.Context, q node.OnwardQuestion) ([]node.OnwardRequest, error)
	Answer(ctx context.Context, request string, q node.OnwardAnswer) (node.OnwardRequest, error)
	Erase(ctx context.Context, ids []string, reason string) ([]node.Erasure, error)
	Erasures(ctx context.Context) ([]node.Erasure, error)
	Ping(ctx context.Context, member string) ([]node.NodeInfo, error)
	Publish(ctx context.Context, r node.PublishRequest) (node.Receipt, error)
	Get(ctx context.Context, id string) ([]node.Version, error)
	Search(ctx context.Context, q node.SearchQuery, yield func(node.Version) bool) error
	Export(ctx context.Context, q node.SearchQuery, yield func(node.Version) bool) (node.ExportSummary, error)
	Lookup(ctx context.Context, values []string) ([]node.LookupAnswer, error)
	Tail(ctx context.Context, topic string, cursor int64, yield func(node.TailEvent) bool) error
	Audit(ctx context.Context, q node.AuditQuery, yield func(node.AuditEntry) bool) error
	Replay(ctx context.Context, q node.ReplayQuery, progress func(node.Progress), yield func(node.Replayed) bool) (node.ReplaySummary, error)
	ExplainObject(ctx context.Context, id, party string) (node.Explanation, error)
	ExplainRow(ctx context.Context, number uint64) (node.Explanation, error)
	Trails(ctx context.Context, q node.TrailQuery) ([]node.Trail, error)
	ReloadRules(ctx context.Context) (node.RulesInfo, error)
	Reindex(ctx context.Context, progress func(node.Progress)) error
}

// Event is one line of a long answer: exactly one field is set. The last line
// is the result, or the error that ended it.
type Event struct {
	Progress   *node.Progress      `json:"progress,omitempty"`
	Receipt    *node.Receipt       `json:"receipt,omitempty"`
	Comparison *node.Comparison    `json:"comparison,omitempty"`
	Version    *node.Version       `json:"version,omitempty"`
	Tail       *node.TailEvent     `json:"tail,omitempty"`
	Audit      *node.AuditEntry    `json:"audit,omitempty"`
	Replayed   *node.Replayed      `json:"replayed,omitempty"`
	Replay     *node.ReplaySummary `json:"replay,omitempty"`
	Export     *node.ExportSummary `json:"export,omitempty"`
	Done       bool                `json:"done,omitzero"`
	Error      *Failure            `json:"error,omitempty"`
}

// Failure is an error as the API tells it.
type Failure struct {
	Kind  string `json:"kind"`  // a protocol.Kind's name
	Error string `json:"error"` // what, where, why
	Hint  string `json:"hint,omitempty"`
}
