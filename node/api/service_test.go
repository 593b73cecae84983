package api

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"entente/node"
)

// fake is a Service that answers with what it is given. A hook takes the place
// of the answer. It is set up before the server runs and not changed after.
type fake struct {
	err    error // of every question
	sample sampler
	events int // how many events a long answer has before its end or error

	agreements func(name string) ([]node.AgreementInfo, error)
	invite     func(agreement string, valid time.Duration) (string, error)
	imports    func(payload, signatures []byte) (node.Imported, error)
	compare    func(ctx context.Context, q node.CompareRequest) (node.Comparison, error)
	get        func(ctx context.Context, id string) ([]node.Version, error)
	lookup     func(ctx context.Context, values []string) ([]node.LookupAnswer, error)
	publish    func(ctx context.Context, r node.PublishRequest) (node.Receipt, error)
	search     func(ctx context.Context, q node.SearchQuery, yield func(node.Version) bool) error
	export     func(ctx context.Context, q node.SearchQuery, yield func(node.Version) bool) error
	tail       func(ctx context.Context, topic string, cursor int64, yield func(node.TailEvent) bool) error
	audit      func(ctx context.Context, q node.AuditQuery, yield func(node.AuditEntry) bool) error
	explain    func(id, party string, row uint64) (node.Explanation, error)
}

var _ Service = (*fake)(nil)

// told returns a sample answer with the fake's error.
func told[T any](f *fake) (T, error) {
	var v T
	if f.err != nil {
		return v, f.err
	}
	f.sample.fill(reflect.ValueOf(&v).Elem(), "")
	return v, nil
}

// yielded yields samples, then ends with the fake's error.
func yielded[T any](f *fake, yield func(T) bool) error {
	for range f.events {
		var v T
		f.sample.fill(reflect.ValueOf(&v).Elem(), "")
		if !yield(v) {
			return nil
		}
	}
	return f.err
}

// Status implements Service.
func (f *fake) Status(context.Context) (node.Status, error) { return told[node.Status](f) }

// Members implements Service.
func (f *fake) Members(context.Context) ([]node.MemberInfo, error) {
	return told[[]node.MemberInfo](f)
}

// Agreements implements Service.
func (f *fake) Agreements(_ context.Context, name string) ([]node.AgreementInfo, error) {
	if f.agreements != nil {
		return f.agreements(name)
	}
	return told[[]node.AgreementInfo](f)
}

// Import implements Service.
func (f *fake) Import(_ context.Context, payload, signatures []byte) (node.Imported, error) {
	if f.imports != nil {
		return f.imports(payload, signatures)
	}
	return told[node.Imported](f)
}

// Compare implements Service.
func (f *fake) Compare(ctx context.Context, q node.CompareRequest, progress func(node.Progress)) (node.Comparison, error) {
	if f.compare != nil {
		return f.compare(ctx, q)
	}
	for i := range f.events {
		progress(node.Progress{Done: int64(i), Unit: "objects"})
	}
	return told[node.Comparison](f)
}

// Join implements Service.
func (f *fake) Join(context.Context, string) (node.Imported, error) { return told[node.Imported](f) }

// Invite implements Service.
func (f *fake) Invite(_ context.Context, agreement string, valid time.Duration) (string, error) {
	if f.invite != nil {
		return f.invite(agreement, valid)
	}
	return "entente-invite:sample", f.err
}

// Offer implements Service.
func (f *fake) Offer(context.Context, node.InviteRequest) (node.InviteInfo, error) {
	return told[node.InviteInfo](f)
}

// Invites implements Service.
func (f *fake) Invites(context.Context) ([]node.InviteInfo, error) { return told[[]node.InviteInfo](f) }

// RevokeInvite implements Service.
func (f *fake) RevokeInvite(context.Context, string) (node.InviteInfo, error) {
	return told[node.InviteInfo](f)
}

// Declare implements Service.
func (f *fake) Declare(context.Context, string, node.StatementRequest) (node.StatementInfo, error) {
	return told[node.StatementInfo](f)
}

// Logs implements Service.
func (f *fake) Logs(context.Context, string) ([]node.LogInfo, error) { return told[[]node.LogInfo](f) }
func (f *fake) Scoreboard(context.Context, string) ([]node.ScoreInfo, error) {
	return told[[]node.ScoreInfo](f)
}

// Reviews implements Service.
func (f *fake) Reviews(context.Context, bool) (node.ReviewList, error) {
	return told[node.ReviewList](f)
}

// Review implements Service.
func (f *fake) Review(context.Context, node.ReviewRequest) (node.ReviewList, error) {
	return told[node.ReviewList](f)
}

// Requests implements Service.
func (f *fake) Requests(context.Context) ([]node.OnwardRequest, error) {
	return told[[]node.OnwardRequest](f)
}

// Ask implements Service.
func (f *fake) Ask(context.Context, node.OnwardQuestion) ([]node.OnwardRequest, error) {
	return told[[]node.OnwardRequest](f)
}

// Answer implements Service.
func (f *fake) Answer(context.Context, string, node.OnwardAnswer) (node.OnwardRequest, error) {
	return told[node.OnwardRequest](f)
}

// Erase implements Service.
func (f *fake) Erase(context.Context, []string, string) ([]node.Erasure, error) {
	return told[[]node.Erasure](f)
}

// Erasures implements Service.
func (f *fake) Erasures(context.Context) ([]node.Erasure, error) { return told[[]node.Erasure](f) }

// Ping implements Service.
func (f *fake) Ping(context.Context, string) ([]node.NodeInfo, error) {
	return told[[]node.NodeInfo](f)
}

// Publish implements Service.
func (f *fake) Publish(ctx context.Context, r node.PublishRequest) (node.Receipt, error) {
	if f.publish != nil {
		return f.publish(ctx, r)
	}
	if f.events > 0 {
		r.Progress(node.Progress{Done: 1, Unit: "objects"})
	}
	return told[node.Receipt](f)
}

// Get implements Service.
func (f *fake) Get(ctx context.Context, id string) ([]node.Version, error) {
	if f.get != nil {
		return f.get(ctx, id)
	}
	return told[[]node.Version](f)
}

// Search implements Service.
func (f *fake) Search(ctx context.Context, q node.SearchQuery, yield func(node.Version) bool) error {
	if f.search != nil {
		return f.search(ctx, q, yield)
	}
	return yielded(f, yield)
}

// Export implements Service.
func (f *fake) Export(ctx context.Context, q node.SearchQuery, yield func(node.Version) bool) (node.ExportSummary, error) {
	if f.export != nil {
		return node.ExportSummary{Warnings: []node.ExportWarning{}}, f.export(ctx, q, yield)
	}
	if err := yielded(f, yield); err != nil {
		return node.ExportSummary{}, err
	}
	return told[node.ExportSummary](f)
}

// Lookup implements Service.
func (f *fake) Lookup(ctx context.Context, values []string) ([]node.LookupAnswer, error) {
	if f.lookup != nil {
		return f.lookup(ctx, values)
	}
	return told[[]node.LookupAnswer](f)
}

// Tail implements Service.
func (f *fake) Tail(ctx context.Context, topic string, cursor int64, yield func(node.TailEvent) bool) error {
	if f.tail != nil {
		return f.tail(ctx, topic, cursor, yield)
	}
	return yielded(f, yield)
}

// Audit implements Service.
func (f *fake) Audit(ctx context.Context, q node.AuditQuery, yield func(node.AuditEntry) bool) error {
	if f.audit != nil {
		return f.audit(ctx, q, yield)
	}
	return yielded(f, yield)
}

// Replay implements Service.
func (f *fake) Replay(_ context.Context, _ node.ReplayQuery, progress func(node.Progress), yield func(node.Replayed) bool) (node.ReplaySummary, error) {
	if f.events > 0 {
		progress(node.Progress{Done: 1, Unit: "rows"})
	}
	if err := yielded(f, yield); err != nil {
		return node.ReplaySummary{}, err
	}
	return told[node.ReplaySummary](f)
}

// ExplainObject implements Service.
func (f *fake) ExplainObject(_ context.Context, id, party string) (node.Explanation, error) {
	if f.explain != nil {
		return f.explain(id, party, 0)
	}
	return told[node.Explanation](f)
}

// ExplainRow implements Service.
func (f *fake) ExplainRow(_ context.Context, number uint64) (node.Explanation, error) {
	if f.explain != nil {
		return f.explain("", "", number)
	}
	return told[node.Explanation](f)
}

// Trails implements Service.
func (f *fake) Trails(context.Context, node.TrailQuery) ([]node.Trail, error) {
	return told[[]node.Trail](f)
}

// ReloadRules implements Service.
func (f *fake) ReloadRules(context.Context) (node.RulesInfo, error) { return told[node.RulesInfo](f) }

// Reindex implements Service.
func (f *fake) Reindex(_ context.Context, progress func(node.Progress)) error {
	return yielded(f, func(p node.Progress) bool { progress(p); return true })
}

// sampler makes answers. The two are the ends of what an answer may be: every
// field has something in it, or as few as can be.
type sampler int

const (
	everything sampler = iota
	nothingMuch
)

// words are the values of fields that are not free text.
func words(field string) string {
	switch field {
	case "Severity":
		return "warning"
	case "Outcome":
		return "withhold"
	case "Marking":
		return "TLP:GREEN"
	default:
		return "<b>" + field + "</b> \u2028 \"text\""
	}
}

func (s sampler) fill(v reflect.Value, field string) {
	if raw, ok := v.Addr().Interface().(*node.RawObject); ok {
		*raw = node.RawObject("{\"type\":\"x-sample\",\n \"deep\": [1, {\"é\": null}]}")
		return
	}
	if at, ok := v.Addr().Interface().(*time.Time); ok {
		if s == everything {
			*at = time.Date(2026, 5, 17, 10, 30, 0, 123456000, time.UTC)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			s.fill(v.Field(i), v.Type().Field(i).Name)
		}
	case reflect.String:
		if s == everything || field == "Severity" || field == "Outcome" {
			v.SetString(words(field))
		}
	case reflect.Slice:
		// An agreement that is asked for by name is there in both.
		if s == everything || field == "" {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			s.fill(v.Index(0), field)
			s.fill(v.Index(1), field)
		}
	case reflect.Pointer:
		if s == everything {
			v.Set(reflect.New(v.Type().Elem()))
			s.fill(v.Elem(), field)
		}
	case reflect.Bool:
		v.SetBool(s == everything)
	case reflect.Int, reflect.Int64:
		if s == everything {
			v.SetInt(1_779_013_800_123_456)
		}
	case reflect.Uint32, reflect.Uint64:
		if s == everything {
			v.SetUint(4_000_000_001)
		}
	case reflect.Float64:
		if s == everything {
			v.SetFloat(0.25)
		}
	default:
		panic(fmt.Sprintf("the sampler does not know %s (field %s)", v.Type(), field))
	}
}

func sampleOf[T any](t *testing.T, s sampler) T {
	t.Helper()
	var v T
	s.fill(reflect.ValueOf(&v).Elem(), "")
	return v
}
