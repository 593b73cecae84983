package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"entente/policy"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// CompareRequest asks what one version of an agreement does that another does
// not, and what that means for what is held here.
type CompareRequest struct {
	// Old is the version to compare with. Where it names nothing, it is the one
	// that counts here of the agreement that New is a version of, or none where
	// that is not here.
	Old CompareSide `json:"old,omitzero"`
	New CompareSide `json:"new"`
	// Since is how far back the replay goes, by arrival here; zero: 30 days.
	Since time.Time `json:"since,omitzero"`
}

// CompareSide names one version: a document, or one that is kept here.
type CompareSide struct {
	Document  string `json:"document,omitempty"`  // its text
	Agreement string `json:"agreement,omitempty"` // or name or id of one that is here
	Version   uint64 `json:"version,omitzero"`    // of that one; 0: the version that counts
}

// Comparison is what changes from one version of an agreement to another.
type Comparison struct {
	Agreement   string         `json:"agreement"`    // name
	Old         uint64         `json:"old,omitzero"` // version; 0: there was none
	New         uint64         `json:"new"`
	Differences []Difference   `json:"differences"`
	Widens      bool           `json:"widens"`   // something may newly flow to someone: it needs a person's yes
	Widening    []WideningInfo `json:"widening"` // why
	Effect      *Effect        `json:"effect,omitempty"`
	Problem     string         `json:"problem,omitempty"` // why there is no effect: this node could not enforce the new version
}

// Difference is one thing that two versions say differently.
type Difference struct {
	Part   string `json:"part"`            // agreement, party, topic, contribution, clause, cut
	Name   string `json:"name,omitempty"`  // of the party, the topic, …
	Change string `json:"change"`          // added, removed, changed
	Field  string `json:"field,omitempty"` // that changed; none where the whole was added or removed
	Old    string `json:"old,omitempty"`
	New    string `json:"new,omitempty"`
	Prose  bool   `json:"prose,omitzero"` // only the wording changed: no decision does
	Text   string `json:"text"`           // the line for people
}

// WideningInfo is one reason why something may newly flow.
type WideningInfo struct {
	Part string `json:"part"`
	Name string `json:"name,omitempty"`
	Text string `json:"text"`
}

// Effect is what a new version would do to objects held here, each by itself.
type Effect struct {
	Since   time.Time `json:"since"`   // of what has arrived since
	Now     time.Time `json:"now"`     // when the old version was asked
	Then    time.Time `json:"then"`    // when the new one was: now, or when it begins
	Objects int       `json:"objects"` // how many versions of objects were looked at
	Gaining int       `json:"gaining"` // of how many somebody gets more
	Losing  int       `json:"losing"`  // of how many somebody gets less
	Flows   []Flow    `json:"flows"`
}

// Flow counts objects that meet one fate for one reader by one clause.
type Flow struct {
	Kind   string        `json:"kind"` // flows, freed, stops, blocked
	Topic  string        `json:"topic"`
	Reader string        `json:"reader"` // handle, "public"
	Layer  string        `json:"layer"`
	Clause string        `json:"clause,omitempty"`
	Text   string        `json:"text"`
	Count  int           `json:"count"`
	First  []FlowExample `json:"first"` // the first that the operator may see, at most 5
}

// FlowExample is one object of a Flow.
type FlowExample struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Marking string `json:"marking"`
	Author  string `json:"author"` // handle
	Added   int64  `json:"added"`
}

const (
	compareDays    = 30
	compareParcels = 64 // messages that are in memory at once
)

// CompareDocuments tells what changes from one version to another by the
// documents alone. old may be nil: there was none.
func CompareDocuments(old, new *protocol.Agreement) Comparison {
	d := policy.Compare(old, new)
	out := Comparison{Agreement: d.Name, Old: d.Old, New: d.New, Differences: []Difference{}, Widens: d.Widens(), Widening: []WideningInfo{}}
	for _, x := range d.List {
		out.Differences = append(out.Differences, Difference{
			Part: string(x.Part), Name: x.Name, Change: string(x.Change), Field: x.Field, Old: x.Old, New: x.New, Prose: x.Prose, Text: x.String(),
		})
	}
	for _, x := range d.Widening {
		out.Widening = append(out.Widening, WideningInfo{string(x.Part), x.Name, x.Text})
	}
	return out
}

// Compare tells what changes from one version of an agreement to another, and
// replays what is held here under both: what would newly flow to whom, and what
// would stop. Nothing changes by it but that the audit log tells of the examples
// it shows. The replay looks at objects that the operator may have; progress, which
// may be nil, is told how many, now and then.
//
// Errors: Invalid for a document that cannot be read; NotFound for what is not
// here; the context's own when it ends.
func (n *Node) Compare(ctx context.Context, q CompareRequest, progress func(Progress)) (Comparison, error) {
	const op = "compare agreements"
	r := n.carried()
	since := r.now.AddDate(0, 0, -compareDays)
	if !q.Since.IsZero() {
		since = q.Since.UTC()
	}
	next, err := r.world.side(q.New)
	if err != nil {
		return Comparison{}, err
	}
	if next == nil {
		return Comparison{}, protocol.E(protocol.Invalid, op, errors.New("no new version is named"), "name a file, or NAME@VERSION")
	}
	old, err := r.world.side(q.Old)
	if err != nil {
		return Comparison{}, err
	}
	if g := r.world.agreements[next.ID]; old == nil && g != nil {
		old = g.doc
	}
	out := CompareDocuments(old, next)
	replay, err := policy.NewReplay(old, next, n.entitledBy(r.world, old, r.now), r.now)
	if err != nil {
		out.Problem = err.Error()
		return out, nil
	}
	held := next.ID
	if r.world.agreements[held] == nil && old != nil {
		held = old.ID
	}
	if err := r.replay(ctx, replay, store.Query{Agreement: held, After: max(1, since.UnixMicro()) - 1}, progress); err != nil {
		return Comparison{}, err
	}
	out.Effect, err = r.effect(replay.Effect(), since)
	return out, err
}

// side returns the version that a side names, nil where it names none.
func (w *world) side(s CompareSide) (*protocol.Agreement, error) {
	const op = "compare agreements"
	switch {
	case s.Document != "" && (s.Agreement != "" || s.Version != 0):
		return nil, protocol.E(protocol.Invalid, op, errors.New("a document and a name for one version"), "give one of them")
	case s.Document != "":
		return protocol.ParseAgreement([]byte(s.Document))
	case s.Agreement == "" && s.Version != 0:
		return nil, protocol.E(protocol.Invalid, op, errors.New("a version of no agreement"), "name the agreement")
	case s.Agreement == "":
		return nil, nil
	}
	g, err := w.agreement(s.Agreement)
	if err != nil || s.Version == 0 {
		if err != nil {
			return nil, err
		}
		return g.doc, nil
	}
	var found []*protocol.Agreement
	for _, v := range g.versions {
		if v.parsed.Version == s.Version {
			found = append(found, v.parsed)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, protocol.E(protocol.NotFound, op, fmt.Errorf("there is no version %d of %s here", s.Version, g.doc.Name), "list them: entente agreements history "+g.doc.Name)
	default:
		return nil, protocol.E(protocol.Conflict, op, fmt.Errorf("%d versions %d of %s are here, which is a fork", len(found), s.Version, g.doc.Name), "compare their files instead")
	}
}

// replay feeds a replay with what is held, messages apart on several goroutines.
// It holds a bounded number of them, however many there are.
func (r *reading) replay(ctx context.Context, into *policy.Replay, q store.Query, progress func(Progress)) error {
	forks := make(chan *policy.Replay, max(1, r.node.cfg.Workers))
	for range cap(forks) {
		forks <- into.Fork()
	}
	var done atomic.Int64
	var mu sync.Mutex
	var failed error
	batch := make([]store.Parcel, 0, compareParcels)
	flush := func() bool {
		r.node.parallelEach(len(batch), func(i int) {
			fork := <-forks
			defer func() { forks <- fork }()
			err := ctx.Err()
			if err == nil {
				err = batch[i].Versions(func(v store.Version) bool {
					done.Add(1)
					r.feed(fork, v)
					return true
				})
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = err
			}
		})
		batch = batch[:0]
		if progress != nil && failed == nil {
			progress(Progress{Done: done.Load(), Unit: "objects"})
		}
		return failed == nil
	}
	err := r.node.cfg.Store.Sweep(q, func(p store.Parcel) bool {
		batch = append(batch, p)
		return len(batch) < cap(batch) || flush()
	})
	if err == nil && failed == nil {
		flush()
	}
	close(forks)
	for fork := range forks {
		into.Merge(fork)
	}
	if failed != nil {
		return failed
	}
	return err
}

// feed feeds one version, where the operator may have it.
func (r *reading) feed(into *policy.Replay, v store.Version) {
	subject, _ := r.subject(v.Object)
	s := policy.Held{ID: v.ID, Topic: v.Log.Lane.Topic, Author: v.Log.Author.Member, Subject: subject, Added: v.Added}
	d := r.world.engine.Read(r.reader, v.Log.Agreement, s.Topic, s.Author, subject, r.now)
	if d.Outcome == policy.Allow {
		into.Add(s)
	}
}

// effect puts an effect into the words of this node. Of the examples it keeps
// those that the operator may see with all that they refer to.
func (r *reading) effect(e policy.Effect, since time.Time) (*Effect, error) {
	out := &Effect{Since: since, Now: e.Now, Then: e.Then, Objects: e.Objects, Gaining: e.Gaining, Losing: e.Losing, Flows: []Flow{}}
	var ids []string
	for _, f := range e.Flows {
		row := Flow{
			Kind: string(f.Kind), Topic: f.Topic, Reader: f.Handle, Layer: f.Layer.String(), Clause: f.Clause, Text: f.Text, Count: f.Count, First: []FlowExample{},
		}
		for _, h := range f.First {
			v, err := r.node.cfg.Store.At(h.Added)
			if protocol.KindOf(err) == protocol.NotFound {
				continue // erased since
			}
			if err != nil {
				return nil, err
			}
			s, ok := r.may(v)
			if ok {
				ok, err = r.complete(s)
			}
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			if !slices.Contains(ids, h.ID) {
				ids = append(ids, h.ID)
				r.shown(s.decision, v.Log, h.Subject)
			}
			row.First = append(row.First, FlowExample{
				ID: h.ID, Type: h.Subject.Type, Marking: r.marking(v.Log, s.decision).String(), Author: r.world.memberName(h.Author), Added: h.Added,
			})
		}
		out.Flows = append(out.Flows, row)
	}
	r.record("compare", "", ids...)
	return out, nil
}

// subject returns what policy is asked about an object, and whether the
// definition of one of its markings is awaited.
func (r *reading) subject(o *stix.Object) (policy.Subject, bool) {
	o.Level = stix.LevelOf(o, func(id string) *stix.Object { return r.node.marks.get(r.node, id) })
	s, awaits := policy.SubjectOf(o), o.Level.Awaits != ""
	if awaits {
		s.Problem = ""
	}
	return s, awaits
}
