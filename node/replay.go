package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"entente/policy"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// ReplayQuery asks for recorded decisions to be made again. Zero fields do not
// restrict.
type ReplayQuery struct {
	Row       uint64    `json:"row,omitzero"`   // this one alone
	After     uint64    `json:"after,omitzero"` // rows after this number: resume
	Since     time.Time `json:"since,omitzero"`
	Until     time.Time `json:"until,omitzero"`
	Agreement string    `json:"agreement,omitempty"`
	Topic     string    `json:"topic,omitempty"`
	Party     string    `json:"party,omitempty"`  // handle or id
	Object    string    `json:"object,omitempty"` // STIX id
	All       bool      `json:"all,omitzero"`     // tell of those that come out the same too
	Limit     int       `json:"limit,omitzero"`   // rows at most; 0: all
}

// What becomes of a recorded decision when it is made again.
const (
	// ReplaySame is a decision that comes out as recorded.
	ReplaySame = "same"
	// ReplayChanged comes out as recorded, and otherwise with what is known now to
	// have been so at that moment.
	ReplayChanged = "changed"
	// ReplayDifferent comes out otherwise from the same: the record, or the program,
	// is not what it was.
	ReplayDifferent = "different"
	// ReplayGone cannot be made again: something that it rested on is not here.
	ReplayGone = "gone"
)

// Replayed is what became of one row.
type Replayed struct {
	Row    AuditEntry `json:"row"`
	Result string     `json:"result"`          // same, changed, different, gone
	Text   string     `json:"text,omitempty"`  // what changed, differs or is not here
	Again  *Why       `json:"again,omitempty"` // the other answer, where there is one
}

// ReplaySummary counts what became of all rows that were asked for.
type ReplaySummary struct {
	Rows      int     `json:"rows"`      // of decisions
	Decisions int     `json:"decisions"` // that were made again
	Same      int     `json:"same"`
	Changed   int     `json:"changed"`
	Different int     `json:"different"`
	Gone      int     `json:"gone"`
	Last      uint64  `json:"last,omitzero"` // number of the last row, to resume after
	Seconds   float64 `json:"seconds"`
}

// errEnough ends a scan.
var errEnough = errors.New("enough")

// Replay makes recorded decisions again, each from the versions, facts, rules and
// moment that counted then, and calls yield with those that do not come out the
// same, oldest first, or with all of them, until it returns false. Nothing is
// written but a row that says it was done.
//
// Errors: NotFound for a row that is not there or is no decision.
func (n *Node) Replay(ctx context.Context, q ReplayQuery, progress func(Progress), yield func(Replayed) bool) (ReplaySummary, error) {
	started := n.now()
	var sum ReplaySummary
	sq, err := n.auditQuery(AuditQuery{
		After: q.After, Since: q.Since, Until: q.Until, Kinds: []string{string(protocol.AuditDecision)},
		Agreement: q.Agreement, Topic: q.Topic, Party: q.Party, Object: q.Object,
	})
	if err != nil {
		return sum, err
	}
	if q.Row > 0 {
		sq = store.AuditQuery{After: q.Row - 1, Kinds: sq.Kinds}
	}
	r := &replayer{node: n, now: n.world.Load()}
	if r.later, err = n.hindsight(r.now); err != nil {
		return sum, err
	}
	var failed error
	err = n.cfg.Store.AuditRows(sq, func(row protocol.AuditRow) bool {
		if failed = ctx.Err(); failed != nil || (q.Row > 0 && row.Number != q.Row) {
			return false
		}
		if !isAnswer(row.Outcome) {
			return true // an act, not an answer of policy
		}
		out := r.replay(row)
		sum.count(row, out)
		if progress != nil && sum.Rows%256 == 0 {
			progress(Progress{Done: int64(sum.Rows), Unit: "rows"})
		}
		if (q.All || q.Row > 0 || out.result != ReplaySame) && !yield(out.told(n, row)) {
			failed = errEnough
			return false
		}
		return q.Row == 0 && (q.Limit == 0 || sum.Rows < q.Limit)
	})
	sum.Seconds = n.now().Sub(started).Seconds()
	if err == nil && failed != nil && !errors.Is(failed, errEnough) {
		err = failed
	}
	if err == nil && q.Row > 0 && sum.Rows == 0 {
		err = protocol.E(protocol.NotFound, "replay", fmt.Errorf("the audit log has no decision numbered %d", q.Row), "list them: entente audit --kind decision")
	}
	if err == nil {
		n.note(protocol.AuditRow{
			Kind: protocol.AuditNode, Action: "replay", Outcome: sum.outcome(), Count: sum.Decisions,
			Reason: protocol.AuditReason{Text: fmt.Sprintf("%s made again: %d the same, %d changed, %d different, %d gone", quantity(sum.Rows, "row"), sum.Same, sum.Changed, sum.Different, sum.Gone)},
		})
	}
	return sum, err
}

func isAnswer(outcome string) bool {
	return outcome == policy.Allow.String() || outcome == policy.Withhold.String() || outcome == policy.Refuse.String()
}

func (s *ReplaySummary) count(row protocol.AuditRow, a again) {
	s.Rows++
	s.Decisions += a.decided
	s.Last = row.Number
	switch a.result {
	case ReplaySame:
		s.Same++
	case ReplayChanged:
		s.Changed++
	case ReplayDifferent:
		s.Different++
	default:
		s.Gone++
	}
}

func (s *ReplaySummary) outcome() string {
	if s.Different > 0 {
		return "failed"
	}
	return "ok"
}

// again is what became of a row.
type again struct {
	result  string
	text    string
	other   *policy.Decision // the answer that is not the recorded one
	decided int              // decisions that were made
}

func (a again) told(n *Node, row protocol.AuditRow) Replayed {
	out := Replayed{Row: n.auditEntry(row), Result: a.result, Text: a.text}
	if a.other != nil {
		why := n.world.Load().why(*a.other)
		out.Again = &why
	}
	return out
}

// replayer makes decisions again. It belongs to one call of Replay.
type replayer struct {
	node   *Node
	now    *world
	later  *hindsight
	bases  map[protocol.Hash]*formerly
	parsed *reopened // the message that was looked at last
	seen   *seenLater
}

// formerly is a world as a basis tells it, or why there is none.
type formerly struct {
	world *world
	basis protocol.AuditBasis
	gone  string // something that it names is not here
	wrong string // it is not what the row can have meant
}

const basesMost = 64

// replay makes the decision of a row again.
func (r *replayer) replay(row protocol.AuditRow) again {
	if row.Basis == (protocol.Hash{}) {
		return again{result: ReplayGone, text: "the row keeps nothing of what it rested on: an earlier version of the program wrote it"}
	}
	then := r.world(row.Basis)
	switch {
	case then.wrong != "":
		return again{result: ReplayDifferent, text: then.wrong}
	case then.gone != "":
		return again{result: ReplayGone, text: then.gone}
	}
	out := r.under(then.world, row)
	if out.result != ReplaySame {
		return out
	}
	if later, says := r.knownLater(row.Basis, then, row); later != nil {
		if second := r.under(later, row); second.result == ReplayDifferent {
			return again{result: ReplayChanged, text: says, other: second.other, decided: out.decided}
		}
	}
	return out
}

// world returns what a basis tells of.
func (r *replayer) world(hash protocol.Hash) *formerly {
	if f := r.bases[hash]; f != nil {
		return f
	}
	f := &formerly{}
	raw, err := r.node.cfg.Store.Basis(hash)
	if err == nil {
		f.basis, err = protocol.DecodeAuditBasis(raw)
	}
	if err != nil {
		f.wrong = fmt.Sprintf("it names something that it rested on, and the audit log does not hold that: %v", err)
	} else {
		f.world, f.gone = r.node.worldOf(r.now, f.basis)
	}
	if r.bases == nil || len(r.bases) >= basesMost {
		r.bases = map[protocol.Hash]*formerly{}
	}
	r.bases[hash] = f
	return f
}

// under makes the decision of a row in a world.
func (r *replayer) under(w *world, row protocol.AuditRow) again {
	switch {
	case row.Log != nil:
		return r.ofMessage(w, row)
	case row.Action == "publish":
		return r.ofUnpublished(w, row)
	default:
		return r.ofReading(w, row)
	}
}

// compare holds a decision to the recorded one.
func compare(row protocol.AuditRow, d policy.Decision, text string) *policy.Decision {
	if d.Outcome.String() == row.Outcome && d.Layer.String() == row.Reason.Layer && d.Clause == row.Reason.Clause &&
		d.Version == row.Version && strings.ToValidUTF8(text, "\ufffd") == row.Reason.Text {
		return nil
	}
	return &d
}

func differs(decided int, d *policy.Decision) again {
	return again{result: ReplayDifferent, text: "from all that it rested on comes another answer than the one recorded", other: d, decided: decided}
}

// ofReading makes the decisions again that let objects out to a reader.
func (r *replayer) ofReading(w *world, row protocol.AuditRow) again {
	reader := policy.Reader{Member: row.Party}
	suffix := ""
	if row.Kept != nil && row.Kept.Purpose != "" {
		reader.Purpose = row.Kept.Purpose
		suffix = " (for " + reader.Purpose + ")"
	}
	if row.Kept == nil || len(row.Kept.Cases) == 0 {
		if row.Count == 0 && row.Reason.Layer == "" {
			return again{result: ReplaySame} // nothing was shown
		}
		return again{result: ReplayGone, text: "the row does not keep what the objects were: it tells of what is left over after 16 others, or was changed"}
	}
	out := again{result: ReplaySame}
	counted := 0
	for _, c := range row.Kept.Cases {
		if c.Agreement != row.Agreement {
			return again{result: ReplayDifferent, text: "it keeps an object of another agreement than its own", decided: out.decided}
		}
		d := w.engine.Read(reader, c.Agreement, c.Topic, c.Author, subjectOf(c), row.Time)
		out.decided++
		counted += c.Count
		if bad := compare(row, d, d.Text+suffix); bad != nil {
			return differs(out.decided, bad)
		}
	}
	if counted > row.Count {
		return again{result: ReplayDifferent, text: fmt.Sprintf("it keeps %s and counts %d", quantity(counted, "object"), row.Count), decided: out.decided}
	}
	return out
}

// ofUnpublished makes the decisions again that kept objects from a topic.
func (r *replayer) ofUnpublished(w *world, row protocol.AuditRow) again {
	g := w.agreements[row.Agreement]
	switch {
	case row.Outcome == policy.Allow.String():
		return again{result: ReplayDifferent, text: "it says that something was published, and names no message"}
	case g == nil:
		return again{result: ReplayDifferent, text: "it names an agreement that was not here"}
	case row.Reason.Layer == policy.Form.String() && (row.Kept == nil || len(row.Kept.Cases) == 0), isRest(row.Reason.Text):
		return again{result: ReplayGone, text: "what was not published is not kept, and the answer rests on its content"}
	case row.Kept == nil || len(row.Kept.Cases) == 0:
		return again{result: ReplayDifferent, text: "it keeps none of the objects that policy was asked about"}
	}
	out := again{result: ReplaySame}
	for i, c := range row.Kept.Cases {
		if c.Origin {
			continue
		}
		s := subjectOf(c)
		for _, o := range row.Kept.Cases[i+1:] {
			if !o.Origin {
				break
			}
			s.Origins = append(s.Origins, policy.Origin{Agreement: o.Agreement, Topic: o.Topic, Author: o.Author, Subject: subjectOf(o)})
		}
		v := w.engine.Outbound(row.Agreement, row.Topic, w.self, s, row.Time)
		out.decided++
		if v.Outcome == policy.Allow {
			object := &stix.Object{ID: c.ID, Type: c.Type, CreatedBy: c.CreatedBy}
			if d, ok := w.ownership(g, w.self, object); !ok {
				v = policy.Verdict{Decision: d}
			} else if row.Reason.Layer == policy.Governing.String() {
				out.result, out.text = ReplayGone, "policy allows it now as it did then; the answer rests on the object's content, and what was not published is not kept"
				continue
			}
		}
		v.Version = g.doc.Version // as the row has it, whoever decided
		if bad := compare(row, v.Decision, v.Text); bad != nil {
			return differs(out.decided, bad)
		}
		if i == 0 && !slices.Equal(v.Reason().Parties, row.Reason.Parties) {
			return again{result: ReplayDifferent, text: "it was withheld for others than the row names", decided: out.decided}
		}
	}
	return out
}

// isRest reports whether a refusal rests on more than policy was asked about.
func isRest(text string) bool {
	switch text {
	case textDepends, textForged, textRepeated, textOtherContent:
		return true
	}
	return strings.HasPrefix(text, textOnward) || strings.HasPrefix(text, textMissing) || isOfContent(text)
}
