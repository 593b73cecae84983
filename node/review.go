package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"entente/policy"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// A clause may oblige whoever got something to have a person look, after a time,
// whether it is still needed. What is due stays readable: the clause asks for a
// look, not for an end; retention is the end.

// reviewing is what the node knows of reviews without looking.
type reviewing struct {
	due atomic.Int64 // how many were due when it was looked last, each hour
}

// Review is one held object that a clause wants looked at.
type Review struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"`
	Agreement string    `json:"agreement"`
	Topic     string    `json:"topic"`
	Author    string    `json:"author"` // handle of the publisher
	Clause    string    `json:"clause"`
	Arrived   time.Time `json:"arrived"`
	Looked    time.Time `json:"looked,omitzero"` // when somebody last said that it is needed
	Due       time.Time `json:"due"`
}

// ReviewList is what is to be reviewed, soonest first.
type ReviewList struct {
	Due     int      `json:"due"`   // whose day has come
	Later   int      `json:"later"` // whose day will come
	Reviews []Review `json:"reviews"`
}

// ReviewRequest is a person's answer to reviews.
type ReviewRequest struct {
	IDs    []string `json:"ids"`
	Keep   bool     `json:"keep,omitzero"` // it is still needed; else it is erased here, and here alone
	Reason string   `json:"reason,omitempty"`
}

// reviewsMost is how many reviews one answer lists.
const reviewsMost = 1000

// reviews reports whether some clause of the agreement wants objects looked at.
func (g *governing) reviews() bool {
	return slices.ContainsFunc(g.versions, func(v kept[*protocol.Agreement]) bool {
		return slices.ContainsFunc(v.parsed.Clauses, func(c protocol.Clause) bool { return c.Then != nil && !c.Then.Review.IsZero() })
	})
}

// reviewMark names the setting that says when an arrival was looked at last.
func reviewMark(v store.Version) string {
	return fmt.Sprintf("review/%s/%d/%d", v.Log.Hash(), v.Sequence, v.Position)
}

// review is one held version with what a clause asks of it.
type review struct {
	Review
	version store.Version
}

// eachReview calls yield with every held version of another's that a clause wants
// looked at, those of id alone where it is given.
func (n *Node) eachReview(ctx context.Context, id string, yield func(review)) error {
	w, now := n.world.Load(), n.now()
	var failed error
	for _, g := range w.agreements {
		if !g.reviews() || !g.ruled() {
			continue
		}
		r := n.carried()
		err := n.cfg.Store.Scan(store.Query{Agreement: g.doc.ID}, func(v store.Version) bool {
			if v.Log.Author.Member == n.cfg.Member || (id != "" && v.ID != id) {
				return ctx.Err() == nil
			}
			subject, _ := r.subject(v.Object)
			d := w.engine.Read(policy.Reader{Member: n.cfg.Member, Remote: true}, g.doc.ID, v.Log.Lane.Topic, v.Log.Author.Member, subject, g.lastDay(now))
			if d.Duties == nil || d.Duties.Review.IsZero() || !inTime(d.Duties, v.Added, now) {
				return true
			}
			out := review{version: v, Review: Review{
				ID: v.ID, Type: v.Object.Type, Agreement: g.doc.Name, Topic: v.Log.Lane.Topic, Author: w.memberName(v.Log.Author.Member),
				Clause: d.Clause, Arrived: time.UnixMicro(v.Added).UTC(),
			}}
			if out.Looked, out.Due, failed = n.reviewDue(v, d.Duties.Review); failed != nil {
				return false
			}
			yield(out)
			return true
		})
		if err := errors.Join(err, failed, ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// reviewDue returns when somebody last said that an arrival is needed, zero where
// nobody has, and when it is to be looked at.
func (n *Node) reviewDue(v store.Version, every protocol.Period) (looked, due time.Time, err error) {
	from := time.UnixMicro(v.Added).UTC()
	mark, err := n.cfg.Store.Setting(reviewMark(v))
	if err != nil {
		return looked, due, err
	}
	if at, err := time.Parse(time.RFC3339, string(mark)); err == nil {
		looked, from = at, at
	}
	return looked, every.After(from), nil
}

// Reviews lists what is due to be looked at, and with all what will be.
func (n *Node) Reviews(ctx context.Context, all bool) (ReviewList, error) {
	out := ReviewList{Reviews: []Review{}}
	now := n.now()
	err := n.eachReview(ctx, "", func(r review) {
		if r.Due.After(now) {
			out.Later++
		} else {
			out.Due++
		}
		if all || !r.Due.After(now) {
			out.Reviews = append(out.Reviews, r.Review)
		}
		if len(out.Reviews) >= 2*reviewsMost {
			out.Reviews = soonest(out.Reviews)
		}
	})
	out.Reviews = soonest(out.Reviews)
	n.reviewed.due.Store(int64(out.Due))
	return out, err
}

func soonest(list []Review) []Review {
	slices.SortFunc(list, func(a, b Review) int { return a.Due.Compare(b.Due)*2 + strings.Compare(a.ID, b.ID) })
	return list[:min(len(list), reviewsMost)]
}

// countReviews looks how many are due, for the status.
func (n *Node) countReviews(ctx context.Context) error {
	due, now := int64(0), n.now()
	err := n.eachReview(ctx, "", func(r review) {
		if !r.Due.After(now) {
			due++
		}
	})
	if err == nil {
		n.reviewed.due.Store(due)
	}
	return err
}

// Review takes a person's word on objects that clauses want looked at: they are
// still needed, and are due again after as long; or they are not, and are erased
// here. It is written down. An object that nothing asks to be reviewed is
// NotFound; then nothing is done.
func (n *Node) Review(ctx context.Context, q ReviewRequest) (ReviewList, error) {
	const op = "review"
	found := map[string][]review{}
	for _, id := range q.IDs {
		if err := stix.CheckID(id); err != nil {
			return ReviewList{}, err
		}
		if err := n.eachReview(ctx, id, func(r review) { found[id] = append(found[id], r) }); err != nil {
			return ReviewList{}, err
		}
		if len(found[id]) == 0 {
			return ReviewList{}, protocol.E(protocol.NotFound, op, fmt.Errorf("no clause asks that %s is looked at, or it is not here", id), "list what is: entente review --all")
		}
	}
	for _, id := range q.IDs {
		for _, r := range found[id] {
			if err := n.reviewOne(ctx, r, q); err != nil {
				return ReviewList{}, err
			}
		}
	}
	if !q.Keep {
		if err := n.cfg.Store.Purge(ctx); err != nil {
			return ReviewList{}, err
		}
	}
	return n.Reviews(ctx, false)
}

func (n *Node) reviewOne(ctx context.Context, r review, q ReviewRequest) error {
	word := "it is still needed"
	if !q.Keep {
		word = "it is not needed any more and was erased here"
	}
	row := protocol.AuditRow{
		Time: n.now(), Kind: protocol.AuditDecision, Action: "review", Outcome: "ok", Agreement: r.version.Log.Agreement, Version: r.version.AgreementVersion,
		Topic: r.Topic, Party: r.version.Log.Author.Member, Objects: []string{r.ID}, Count: 1,
		Reason: protocol.AuditReason{Layer: policy.Governing.String(), Clause: r.Clause, Text: word + because(q.Reason)},
	}
	if !q.Keep {
		_, err := n.cfg.Store.Erase(ctx, []store.Erasure{{Log: r.version.Log, Sequence: r.version.Sequence, Positions: []int{r.version.Position}}}, row)
		return err
	}
	if err := n.cfg.Store.Audit(ctx, row); err != nil {
		return err
	}
	return n.cfg.Store.SetSetting(reviewMark(r.version), []byte(n.now().Format(time.RFC3339)))
}

// encryptionAsked names an agreement that wants what it carries on encrypted disks
// only, where this node does not know that its disk is one; "" where none does.
func (n *Node) encryptionAsked(w *world) string {
	if n.cfg.Encrypted {
		return ""
	}
	var names []string
	for _, g := range w.agreements {
		for _, a := range g.acting {
			if g.inForce() && g.party && slices.ContainsFunc(a.Clauses, func(c protocol.Clause) bool { return c.Then != nil && c.Then.AtRest }) {
				names = append(names, g.doc.Name)
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return slices.Min(names)
}
