package policy

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"time"

	"entente/protocol"
)

// Held is one stored version of an object, as a Replay is fed with it.
type Held struct {
	ID      string
	Topic   string
	Author  protocol.MemberID // who published it
	Subject Subject           // from SubjectOf
	Added   int64             // its place among those held: the first examples are those with the lowest
}

// FlowKind is what becomes of objects for a reader.
type FlowKind string

// The kinds, in the order in which a result lists them.
const (
	Flows   FlowKind = "flows"   // the reader may not have it today, and may then
	Freed   FlowKind = "freed"   // it may go on the topic then; today it is kept off, as the reader may not have it
	Stops   FlowKind = "stops"   // the reader may have it today, and may not then
	Blocked FlowKind = "blocked" // it may go on the topic today; then it is kept off, as the reader may not have it
)

// Flow counts the objects that meet one fate for one reader of a topic by one
// clause.
type Flow struct {
	Kind   FlowKind
	Topic  string
	Reader protocol.MemberID // zero: the public
	Handle string            // of the reader; "public"
	Layer  Layer             // who decides so under the new version (Freed: under the old)
	Clause string            // its number, or "" where no clause decides
	Text   string            // of the clause or the rule; without a clause, for the first example
	Count  int
	First  []Held // the first few examples, by Added
}

// Effect is what a new version would do to the objects that a Replay was fed
// with, each by itself: what an object refers to is not asked, nor who owns it.
type Effect struct {
	Now     time.Time // the moment for which the old version was asked
	Then    time.Time // the moment for which the new one was: now, or when it begins
	Objects int       // how many were fed
	Gaining int       // for how many somebody gains
	Losing  int       // for how many somebody loses
	Flows   []Flow    // sorted by kind, topic, handle and clause
}

// exampleMost bounds the examples of one Flow.
const exampleMost = 5

// memoMost bounds how many answers a Replay remembers, each counted once and once
// for each of its readers: objects of hostile peers may all differ in what is
// asked about them.
const memoMost = 1 << 16

// Replay finds the Effect of a new version. It is not safe for concurrent use;
// Fork makes more of one, and Merge joins them.
type Replay struct {
	old, new *side
	asked    asks
	handles  map[protocol.MemberID]string
	rows     map[flowKey]*Flow
	memo     map[sameFate]*fate
	memory   int // of memo
	objects  int
	gaining  int
	losing   int
}

// side is one version as a Replay asks it. A nil side lets nothing flow.
type side struct {
	rules  *Rules
	engine *Engine
	at     time.Time
	barred map[string][]protocol.MemberID // of each topic
}

type flowKey struct {
	kind   FlowKind
	topic  string
	reader protocol.MemberID
	layer  Layer
	clause string
}

// sameFate is what tells objects apart, as far as some clause of either version
// asks.
type sameFate struct {
	topic      string
	author     protocol.MemberID
	kind       string
	marking    protocol.Marking
	pap        protocol.PAP
	problem    string
	classes    protocol.Class
	inherent   protocol.Class
	context    bool
	confidence int
	modified   time.Time
}

// subject is what a clause may ask of objects of one fate.
func (q *sameFate) subject() Subject {
	return Subject{Type: q.kind, Marking: q.marking, PAP: q.pap, Problem: q.problem, Classes: q.classes, Inherent: q.inherent,
		Context: q.context, Confidence: q.confidence, Modified: q.modified}
}

// asks says which properties that differ from object to object some clause of
// either version asks for; objects that differ in no other share one fate.
type asks struct {
	context, confidence, age bool
}

func asksOf(versions ...*protocol.Agreement) (a asks) {
	for _, v := range versions {
		for i := 0; v != nil && i < len(v.Clauses); i++ {
			c := &v.Clauses[i].If
			a.context, a.confidence, a.age = a.context || c.Context, a.confidence || c.Confidence > 0, a.age || !c.Age.IsZero()
		}
	}
	return a
}

// fate returns what tells an object apart.
func (a asks) fate(h Held) sameFate {
	s := &h.Subject
	q := sameFate{topic: h.Topic, author: h.Author, kind: s.Type, marking: s.Marking, pap: s.PAP, problem: s.Problem, classes: s.Classes, inherent: s.Inherent}
	if a.context {
		q.context = s.Context
	}
	if a.confidence {
		q.confidence = s.Confidence
	}
	if a.age {
		q.modified = s.Modified
	}
	return q
}

// fate is what becomes of all objects that share one.
type fate struct {
	gain, loss bool
	rows       []*Flow
	texts      []string // of each row, for these objects
}

// NewReplay compiles both versions aside of any engine. old may be nil, and may
// be one that does not compile: then nothing flows under it. A new version that
// does not compile is an error, as CompileAgreement gives it. now is the moment
// for which the old version is asked; the new one is asked for the same, or for
// its first, where that comes later. entitled are the parties that the old version's
// contributions entitle, as in Facts. By those that the new one leaves as they were
// it entitles the same; by the others, as nobody can know yet, everybody.
func NewReplay(old, new *protocol.Agreement, entitled map[string]map[protocol.MemberID]time.Time, now time.Time) (*Replay, error) {
	r := &Replay{asked: asksOf(old, new), handles: map[protocol.MemberID]string{{}: "public"}, rows: map[flowKey]*Flow{}, memo: map[sameFate]*fate{}}
	then := now
	if new.From.After(then) {
		then = new.From
	}
	var err error
	if r.new, err = newSide(new, entitledBy(old, new, entitled), then); err != nil {
		return nil, err
	}
	if old != nil {
		if s, err := newSide(old, entitled, now); err == nil {
			r.old = s
		} else {
			r.old = &side{at: now}
		}
		for _, p := range old.Parties {
			r.handles[p.ID] = p.Handle
		}
	} else {
		r.old = &side{at: now}
	}
	for _, p := range new.Parties {
		r.handles[p.ID] = p.Handle
	}
	return r, nil
}

// entitledBy returns whom the contributions of a new version entitle at most.
func entitledBy(old, new *protocol.Agreement, entitled map[string]map[protocol.MemberID]time.Time) map[string]map[protocol.MemberID]time.Time {
	out := map[string]map[protocol.MemberID]time.Time{}
	for _, c := range new.Scores {
		if old != nil && slices.ContainsFunc(old.Scores, func(was protocol.Contribution) bool { return sameScore(was, c) }) {
			out[c.Name] = entitled[c.Name]
			continue
		}
		out[c.Name] = map[protocol.MemberID]time.Time{}
		for _, p := range new.Parties {
			out[c.Name][p.ID] = new.Until
		}
	}
	return out
}

// sameScore reports whether two contributions ask for the same, in whatever words.
func sameScore(a, b protocol.Contribution) bool {
	return a.Name == b.Name && a.Objects == b.Objects && a.Within == b.Within && a.Signers == b.Signers && a.Entitles == b.Entitles && a.Grace == b.Grace &&
		slices.Equal(a.Topics, b.Topics) && slices.Equal(a.Types, b.Types)
}

func newSide(a *protocol.Agreement, entitled map[string]map[protocol.MemberID]time.Time, at time.Time) (*side, error) {
	rules, err := CompileAgreement(a)
	if err != nil {
		return nil, err
	}
	rules = rules.With(Facts{Entitled: entitled})
	// Nobody in particular asks: an engine's own member matters to Inbound only.
	e, err := NewEngine(protocol.MemberID{}, rules)
	if err != nil {
		return nil, err
	}
	s := &side{rules: rules, engine: e, at: at, barred: map[string][]protocol.MemberID{}}
	for _, t := range a.Topics {
		s.barred[t.Name], _ = e.Barred(a.ID, t.Name, at)
	}
	return s, nil
}

// Fork returns a Replay of the same two versions that has been fed nothing.
func (r *Replay) Fork() *Replay {
	return &Replay{old: r.old, new: r.new, asked: r.asked, handles: r.handles, rows: map[flowKey]*Flow{}, memo: map[sameFate]*fate{}}
}

// Add feeds one object.
func (r *Replay) Add(h Held) {
	key := r.asked.fate(h)
	f := r.memo[key]
	if f == nil {
		f = r.ask(key)
		if r.memory += 1 + len(f.rows); r.memory > memoMost {
			clear(r.memo)
			r.memory = 1 + len(f.rows)
		}
		r.memo[key] = f
	}
	r.objects++
	if f.gain {
		r.gaining++
	}
	if f.loss {
		r.losing++
	}
	for i, row := range f.rows {
		row.count(h, f.texts[i])
	}
}

// count adds an object to a row, and to its examples where it is among the first.
func (f *Flow) count(h Held, text string) {
	f.Count++
	if n := len(f.First); n == exampleMost && !before(h, f.First[n-1]) {
		return
	}
	at, _ := slices.BinarySearchFunc(f.First, h, func(a, b Held) int { return compareHeld(a, b) })
	if at == 0 {
		f.Text = text
	}
	f.First = slices.Insert(f.First, at, h)
	f.First = f.First[:min(len(f.First), exampleMost)]
}

func compareHeld(a, b Held) int {
	return cmp.Or(cmp.Compare(a.Added, b.Added), cmp.Compare(a.ID, b.ID))
}

func before(a, b Held) bool { return compareHeld(a, b) < 0 }

// ask decides about objects that share one under both versions.
func (r *Replay) ask(q sameFate) *fate {
	was, old := r.old.readers(q)
	is, new := r.new.readers(q)
	f := &fate{}
	i, j := 0, 0
	for i < len(was) || j < len(is) {
		order := 0
		switch {
		case i == len(was):
			order = 1
		case j == len(is):
			order = -1
		default:
			order = bytes.Compare(was[i][:], is[j][:])
		}
		switch {
		case order < 0:
			f.loss = true
			r.tell(f, Stops, q, was[i], r.new.why(q, was[i]))
			i++
		case order > 0:
			f.gain = true
			r.tell(f, Flows, q, is[j], r.new.why(q, is[j]))
			j++
		default:
			i++
			j++
		}
	}
	switch {
	case old.Outcome == Allow && new.Outcome == Withhold && len(is) > 0:
		f.loss = true
		r.tell(f, Blocked, q, firstDenied(new), new.Decision)
	case old.Outcome == Withhold && len(was) > 0 && new.Outcome == Allow:
		f.gain = true
		r.tell(f, Freed, q, firstDenied(old), old.Decision)
	}
	return f
}

// firstDenied returns whose denial decided about the whole topic.
func firstDenied(v Verdict) protocol.MemberID {
	for _, d := range v.Denied {
		if d.Decision == v.Decision {
			return d.Reader
		}
	}
	if len(v.Denied) > 0 {
		return v.Denied[0].Reader
	}
	return protocol.MemberID{}
}

// tell puts a row for a reader into a fate.
func (r *Replay) tell(f *fate, kind FlowKind, q sameFate, reader protocol.MemberID, d Decision) {
	key := flowKey{kind, q.topic, reader, d.Layer, d.Clause}
	row := r.rows[key]
	if row == nil {
		row = &Flow{Kind: kind, Topic: q.topic, Reader: reader, Handle: r.handles[reader], Layer: d.Layer, Clause: d.Clause}
		r.rows[key] = row
	}
	f.rows, f.texts = append(f.rows, row), append(f.texts, d.Text)
}

// readers returns who may have an object, sorted, its author aside, and what is
// decided for the topic as a whole.
func (s *side) readers(q sameFate) ([]protocol.MemberID, Verdict) {
	if s.rules == nil {
		return nil, Verdict{}
	}
	a := s.rules.agreement
	v := s.engine.Outbound(a.ID, q.topic, q.author, q.subject(), s.at)
	if s.rules.index[q.author] != 0 {
		if v.Outcome == Refuse {
			return nil, v
		}
		return slices.DeleteFunc(slices.Clone(v.Readers), func(m protocol.MemberID) bool { return m == q.author }), v
	}
	// One who left publishes no more; what it gave is decided reader by reader.
	var out []protocol.MemberID
	for i := s.rules.everyone.next(0); i >= 0; i = s.rules.everyone.next(i + 1) {
		m := s.rules.readers[i].ID
		if s.why(q, m).Outcome == Allow {
			out = append(out, m)
		}
	}
	return out, Verdict{}
}

// why returns the decision for one reader, who must read the topic at all.
func (s *side) why(q sameFate, reader protocol.MemberID) Decision {
	d := s.engine.Read(Reader{Member: reader, Remote: true}, s.rules.agreement.ID, q.topic, q.author, q.subject(), s.at)
	if d.Outcome != Allow && !reader.IsZero() && s.rules.index[reader] == 0 {
		// That it left says more than what the floor has against strangers.
		d.Layer, d.Text = Governing, textNoParty
	}
	if d.Outcome == Allow && slices.Contains(s.barred[q.topic], reader) {
		d = s.rules.decision(d.Marking, math.MaxInt64)
		d.Outcome, d.Layer, d.Text = Withhold, Governing, "no clause lets this reader read topic "+clip(q.topic)
	}
	return d
}

// Merge adds what another Replay of the same two versions was fed with.
func (r *Replay) Merge(other *Replay) {
	r.objects, r.gaining, r.losing = r.objects+other.objects, r.gaining+other.gaining, r.losing+other.losing
	for key, o := range other.rows {
		row := r.rows[key]
		if row == nil {
			row = &Flow{Kind: o.Kind, Topic: o.Topic, Reader: o.Reader, Handle: o.Handle, Layer: o.Layer, Clause: o.Clause}
			r.rows[key] = row
		}
		if len(row.First) == 0 || (len(o.First) > 0 && before(o.First[0], row.First[0])) {
			row.Text = o.Text
		}
		row.Count += o.Count
		row.First = slices.SortedFunc(slices.Values(append(slices.Clone(row.First), o.First...)), compareHeld)
		row.First = row.First[:min(len(row.First), exampleMost)]
	}
}

// Effect returns the result for what was fed so far. It is the same whatever the
// order in which objects were fed, and however they were parted among forks.
func (r *Replay) Effect() Effect {
	e := Effect{Now: r.old.at, Then: r.new.at, Objects: r.objects, Gaining: r.gaining, Losing: r.losing}
	for _, row := range r.rows {
		if row.Count > 0 {
			f := *row
			f.First = slices.Clone(row.First)
			e.Flows = append(e.Flows, f)
		}
	}
	order := []FlowKind{Flows, Freed, Stops, Blocked}
	slices.SortFunc(e.Flows, func(a, b Flow) int {
		return cmp.Or(
			cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Handle, b.Handle),
			bytes.Compare(a.Reader[:], b.Reader[:]), cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Clause, b.Clause))
	})
	return e
}
