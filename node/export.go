package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"entente/protocol"
)

// EndsSoon is how long before an agreement, its legal basis or the retention of
// something ends exports warn of it.
const EndsSoon = 14 * 24 * time.Hour

// ExportSummary tells of an export as a whole.
type ExportSummary struct {
	Objects  int             `json:"objects"`
	Warnings []ExportWarning `json:"warnings"`
}

// The codes of ExportWarning.
const (
	WarnAgreementEnds = "agreement-ending" // or its legal basis
	WarnAgreementOver = "agreement-over"
	WarnRetentionEnds = "retention-ending"
)

// ExportWarning says that exported objects may soon not be used any more, or not be
// kept.
type ExportWarning struct {
	Code      string    `json:"code"` // agreement-ending, agreement-over, retention-ending
	Agreement string    `json:"agreement"`
	Objects   int       `json:"objects"`     // of those exported
	At        time.Time `json:"at,omitzero"` // when; of several the soonest
	Text      string    `json:"text"`
}

// warnings counts what exports warn of.
type warnings struct {
	now     time.Time
	objects int
	byCode  map[[2]string]*ExportWarning
}

func (t *warnings) add(h *Handling) {
	t.objects++
	counted := map[[2]string]bool{}
	warn := func(code, agreement string, at time.Time) {
		key := [2]string{agreement, code}
		w := t.byCode[key]
		if w == nil {
			w = &ExportWarning{Code: code, Agreement: agreement}
			t.byCode[key] = w
		}
		if w.At = earlier(w.At, at); !counted[key] {
			counted[key] = true
			w.Objects++
		}
	}
	for _, u := range h.Under {
		switch {
		case u.Own:
			continue
		case u.Ends.IsZero():
			warn(WarnAgreementOver, u.Agreement, time.Time{})
		case u.Ends.Sub(t.now) < EndsSoon:
			warn(WarnAgreementEnds, u.Agreement, u.Ends)
		}
		if keep := u.Terms.KeepUntil; !keep.IsZero() && keep.Sub(t.now) < EndsSoon {
			warn(WarnRetentionEnds, u.Agreement, keep)
		}
	}
}

// summary puts what was counted into words.
func (t *warnings) summary(w *world) ExportSummary {
	out := ExportSummary{Objects: t.objects, Warnings: []ExportWarning{}}
	for _, one := range t.byCode {
		after := "after that what it gave is used no more"
		if g, err := w.agreement(one.Agreement); err == nil && g.doc.Use.After == protocol.UseUntilRetention {
			after = "after that what it gave is used as its clauses that survive say, until its retention ends"
		}
		switch one.Code {
		case WarnAgreementEnds:
			one.Text = fmt.Sprintf("the agreement %s, or its legal basis, ends on %s, in %s: %s; %s of this export came under it", one.Agreement, minute(one.At), days(max(one.At.Sub(t.now), 0)), after, quantity(one.Objects, "object"))
		case WarnAgreementOver:
			one.Text = fmt.Sprintf("the agreement %s is not in force any more: %s of this export came under it", one.Agreement, quantity(one.Objects, "object"))
		case WarnRetentionEnds:
			one.Text = fmt.Sprintf("%s of this export may be kept no longer than 14 days more under %s, the first until %s: see to it that copies go too", quantity(one.Objects, "object"), one.Agreement, minute(one.At))
		}
		out.Warnings = append(out.Warnings, *one)
	}
	slices.SortFunc(out.Warnings, func(a, b ExportWarning) int {
		return cmp.Or(cmp.Compare(a.Agreement, b.Agreement), cmp.Compare(a.Code, b.Code))
	})
	return out
}

// Export calls yield with matching versions in order of arrival: of each object
// the newest, or all with All. Each says how it is to be handled; what is returned
// warns of agreements and retentions that end within EndsSoon.
func (n *Node) Export(ctx context.Context, q SearchQuery, yield func(Version) bool) (ExportSummary, error) {
	t := &warnings{now: n.now(), byCode: map[[2]string]*ExportWarning{}}
	err := n.scan(ctx, "export", q, false, func(v Version) bool {
		t.add(v.Handling)
		return yield(v)
	})
	return t.summary(n.world.Load()), err
}
