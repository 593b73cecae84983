package node

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"entente/policy"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// reading is one reader's look at the store at one moment. Every way out to
// the operator passes one. What a reading has found visible it remembers, so
// one reading must not outlive the request it was made for.
type reading struct {
	node    *Node
	world   *world
	reader  policy.Reader
	now     time.Time
	memo    map[string]bool
	until   int64                        // what came later is not here yet; 0: everything is
	allowed int                          // objects shown
	why     map[policy.Decision]*shownBy // what was shown, by which decision
	hidden  int                          // objects held back
	custom  map[*governing]*custom       // by agreement, what its handling asks
}

func (n *Node) reading(reader policy.Reader) *reading {
	return &reading{node: n, world: n.world.Load(), reader: reader, now: n.now(), memo: map[string]bool{}, why: map[policy.Decision]*shownBy{}}
}

// own is the reading of this node's operator.
func (n *Node) own(ctx context.Context) *reading {
	return n.reading(policy.Reader{Member: n.cfg.Member, Purpose: PurposeOf(ctx)})
}

// carried is a reading for what the node does by itself, when nobody reads.
func (n *Node) carried() *reading {
	return n.reading(policy.Reader{Member: n.cfg.Member, Remote: true})
}

type purposeKey struct{}

// WithPurpose states what whoever asks wants to read for: one of
// protocol.Purposes. Clauses may permit reading for some purposes only, and it is
// written down with what was shown. An unknown purpose is Invalid.
func WithPurpose(ctx context.Context, purpose string) (context.Context, error) {
	if !slices.Contains(protocol.Purposes(), purpose) {
		return nil, protocol.E(protocol.Invalid, "state a purpose", fmt.Errorf("%.80q is no purpose", purpose), "one of "+strings.Join(protocol.Purposes(), ", "))
	}
	return context.WithValue(ctx, purposeKey{}, purpose), nil
}

// PurposeOf returns the purpose that WithPurpose stated, or "".
func PurposeOf(ctx context.Context) string {
	purpose, _ := ctx.Value(purposeKey{}).(string)
	return purpose
}

// seen is a stored version that policy allows the reader, closure aside.
type seen struct {
	version  store.Version
	object   *stix.Object
	decision policy.Decision
	awaits   bool // the definition of a marking; until it comes, this is not complete
}

// may decides about one stored version by itself.
func (r *reading) may(v store.Version) (seen, bool) {
	g := r.world.agreements[v.Log.Agreement]
	if g == nil || !r.world.counts(g, v.Log, v.Sequence) {
		return seen{}, false
	}
	subject, awaits := r.subject(v.Object)
	d := r.world.engine.Read(r.reader, v.Log.Agreement, v.Log.Lane.Topic, v.Log.Author.Member, subject, r.now)
	own := v.Log.Author.Member == r.node.cfg.Member
	return seen{v, v.Object, d, awaits}, d.Outcome == policy.Allow && (own || inTime(d.Duties, v.Added, r.now))
}

// versions returns all versions of an object that the reader may have, closure
// aside, newest first.
func (r *reading) versions(id string) ([]seen, error) {
	held, err := r.node.cfg.Store.Get(id)
	if err != nil {
		return nil, err
	}
	var out []seen
	for _, v := range held {
		if r.until > 0 && v.Added > r.until {
			continue
		}
		if s, ok := r.may(v); ok {
			out = append(out, s)
		}
	}
	return out, nil
}

// visible reports whether the reader may have some version of the object, with
// everything that it refers to. The answer for all that is reachable from it is
// settled, and remembered, at once: references may run in circles.
func (r *reading) visible(id string) (bool, error) {
	if known, ok := r.memo[id]; ok {
		return known, nil
	}
	queue, listed := []string{id}, map[string]bool{id: true}
	var items []policy.ClosureItem
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		versions, err := r.versions(next)
		if err != nil {
			return false, err
		}
		if len(versions) == 0 {
			r.memo[next] = false
			continue
		}
		refs := r.world.references(versions[0].object)
		items = append(items, policy.ClosureItem{ID: next, Refs: refs, Allowed: !versions[0].awaits})
		for _, ref := range refs {
			if _, known := r.memo[ref]; !known && !listed[ref] {
				listed[ref] = true
				queue = append(queue, ref)
			}
		}
	}
	whole, _ := policy.Close(items, func(id string) bool { return r.memo[id] })
	for i, item := range items {
		r.memo[item.ID] = whole[i]
	}
	return r.memo[id], nil
}

// complete reports whether everything that one version refers to is visible.
func (r *reading) complete(s seen) (bool, error) {
	if s.awaits {
		return false, nil
	}
	for _, ref := range r.world.references(s.object) {
		ok, err := r.visible(ref)
		if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// show puts versions into the form of an answer: one for each content, with all
// provenances that the reader may know of, newest first.
func (r *reading) show(versions []seen) ([]Version, error) {
	var out []Version
	var of []seen
	var alike [][]seen
	for _, s := range versions {
		ok, err := r.complete(s)
		if err != nil {
			return nil, err
		}
		if !ok {
			r.hidden++
			continue
		}
		same := slices.IndexFunc(of, func(o seen) bool {
			return o.object.Modified.Equal(s.object.Modified) && sameContent(o.object.Raw, s.object.Raw)
		})
		if same >= 0 {
			out[same].Provenance = append(out[same].Provenance, r.provenance(s))
			out[same].Added = min(out[same].Added, s.version.Added)
			alike[same] = append(alike[same], s)
			continue
		}
		of, alike = append(of, s), append(alike, []seen{s})
		subject, _ := r.subject(s.object)
		r.shown(s.decision, s.version.Log, subject)
		out = append(out, Version{
			Object: s.object.Raw, ID: s.object.ID, Type: s.object.Type, Name: s.object.Name,
			Marking: r.marking(s.version.Log, s.decision).String(), Added: s.version.Added, Provenance: []Provenance{r.provenance(s)},
		})
	}
	for i := range of {
		var err error
		if out[i].Handling, err = r.handling(alike[i]); err != nil {
			return nil, err
		}
		for j := range of {
			if i != j && of[i].object.Modified.Equal(of[j].object.Modified) {
				out[i].Conflict = true
			}
		}
	}
	return out, nil
}

// marking is what an object counts as: what policy made of its own, or, where
// the agreement no longer gives an answer, the default of its topic.
func (r *reading) marking(log protocol.LogID, d policy.Decision) protocol.Marking {
	if d.Marking != protocol.NoMarking {
		return d.Marking
	}
	if g := r.world.agreements[log.Agreement]; g != nil {
		for _, t := range g.doc.Topics {
			if t.Name == log.Lane.Topic {
				return t.Default
			}
		}
	}
	return protocol.NoMarking
}

func (r *reading) provenance(s seen) Provenance {
	v := s.version
	return Provenance{
		Agreement: r.world.agreementName(v.Log.Agreement), AgreementVersion: v.AgreementVersion, Topic: v.Log.Lane.String(),
		Author: r.world.authorName(v.Log.Author), Member: v.Log.Author.Member.String(), Incarnation: v.Log.Incarnation.String(),
		Sequence: v.Sequence, Position: v.Position, Time: v.Time, Added: v.Added,
	}
}

// recordMost bounds how many rows tell of one reading; a reader of very many
// agreements finds the others in the last.
const recordMost = 16

// record notes in the audit log what was read: a row for each decision that let
// objects through, or one that says that none was shown.
func (r *reading) record(action, topic string, objects ...string) {
	r.node.keepBasis(context.Background(), r.world)
	row := protocol.AuditRow{
		Time: r.now, Kind: protocol.AuditDecision, Action: action, Outcome: policy.Allow.String(), Topic: topic,
		Party: r.reader.Member, Objects: objects, Basis: r.world.basisHash,
	}
	rest := r.allowed
	decisions := slices.SortedFunc(maps.Keys(r.why), func(a, b policy.Decision) int {
		return cmp.Or(r.why[b].count-r.why[a].count, bytes.Compare(a.Agreement[:], b.Agreement[:]), cmp.Compare(a.Clause, b.Clause), cmp.Compare(a.Text, b.Text))
	})
	for _, d := range decisions[:min(len(decisions), recordMost)] {
		one := row
		one.Agreement, one.Version, one.Reason, one.Count = d.Agreement, d.Version, d.Reason(), r.why[d].count
		one.Kept = r.why[d].cases.kept(r.reader.Purpose)
		if r.reader.Purpose != "" {
			one.Reason.Text += " (for " + r.reader.Purpose + ")"
		}
		rest -= one.Count
		r.node.note(one)
	}
	if rest > 0 || r.allowed == 0 {
		row.Count = rest
		row.Reason.Text = quantity(rest, "object") + " shown to the operator"
		r.node.note(row)
	}
}

// Get returns the versions of an object that the operator may see, newest
// first. An object that is not here and one that may not be seen are the same
// NotFound.
func (n *Node) Get(ctx context.Context, id string) ([]Version, error) {
	if err := stix.CheckID(id); err != nil {
		return nil, err
	}
	r := n.own(ctx)
	versions, err := r.versions(id)
	if err != nil {
		return nil, err
	}
	out, err := r.show(versions)
	if err != nil {
		return nil, err
	}
	r.record("get", "", id)
	if len(out) == 0 {
		hint := "run: entente explain " + id
		if r.reader.Purpose == "" {
			hint += "; where an agreement asks what it is read for, say it with --purpose"
		}
		return nil, protocol.E(protocol.NotFound, "get", fmt.Errorf("%s is not available", id), hint)
	}
	return out, nil
}

// Search calls yield with matching versions, newest arrival first, until yield
// returns false or the limit (default 100) is reached.
func (n *Node) Search(ctx context.Context, q SearchQuery, yield func(Version) bool) error {
	if q.Limit == 0 {
		q.Limit = 100
	}
	return n.scan(ctx, "search", q, true, yield)
}

func (n *Node) scan(ctx context.Context, action string, q SearchQuery, reverse bool, yield func(Version) bool) error {
	r := n.own(ctx)
	sq, from, err := r.query(q, reverse)
	if err != nil {
		return err
	}
	words := strings.Fields(strings.ToLower(q.Text))
	count := 0
	var failed error
	shown := map[string]bool{}
	err = n.cfg.Store.Scan(sq, func(v store.Version) bool {
		if failed = ctx.Err(); failed != nil {
			return false
		}
		if (!from.IsZero() && v.Log.Author.Member != from) || !mentions(v.Raw, words) {
			return true
		}
		if shown[v.ID] && !q.All {
			return true
		}
		var out []Version
		if out, failed = r.pick(v, q.All, words); failed != nil {
			return false
		}
		for _, version := range out {
			shown[version.ID] = true
			count++
			if !yield(version) || (q.Limit > 0 && count >= q.Limit) {
				return false
			}
		}
		return true
	})
	r.record(action, q.Topic)
	return errors.Join(err, failed)
}

// pick returns what a scan that came upon v should show: the newest version of
// the object where v is one of it, or v itself with all.
func (r *reading) pick(v store.Version, all bool, words []string) ([]Version, error) {
	s, ok := r.may(v)
	if !ok {
		r.hidden++
		return nil, nil
	}
	if !matches(s.object, words) {
		return nil, nil
	}
	if all {
		return r.showOne(s)
	}
	versions, err := r.besides(s)
	if err != nil || len(versions) == 0 {
		return nil, err
	}
	newest := versions[0]
	if !newest.object.Modified.Equal(s.object.Modified) {
		return nil, nil // an older version; the newest comes by itself
	}
	if _, known := r.memo[v.ID]; !known {
		// What refers to it mostly comes later in the scan, and need not read it
		// again to know.
		if r.memo[v.ID], err = r.complete(newest); err != nil {
			return nil, err
		}
	}
	return r.show(slices.DeleteFunc(versions, func(o seen) bool { return !o.object.Modified.Equal(newest.object.Modified) }))
}

// besides returns what versions does, given one of them: mostly the only one,
// which need not be read again.
func (r *reading) besides(s seen) ([]seen, error) {
	stamps, err := r.node.cfg.Store.Arrivals(s.object.ID)
	if err != nil {
		return nil, err
	}
	if len(stamps) == 1 && stamps[0] == s.version.Added {
		return []seen{s}, nil
	}
	return r.versions(s.object.ID)
}

// query translates names into a store query.
func (r *reading) query(q SearchQuery, reverse bool) (store.Query, protocol.MemberID, error) {
	sq := store.Query{Types: q.Types, Since: q.Since, Until: q.Until, Reverse: reverse}
	if reverse {
		sq.Before = q.After
	} else {
		sq.After = q.After
	}
	var from protocol.MemberID
	topic := q.Topic
	if q.Agreement != "" {
		g, err := r.world.agreement(q.Agreement)
		if err != nil {
			return sq, from, err
		}
		sq.Agreement, sq.Topic = g.doc.ID, topic
	} else if topic != "" {
		g, name, err := r.world.topic(topic)
		if err != nil {
			return sq, from, err
		}
		sq.Agreement, sq.Topic = g.doc.ID, name
	}
	if q.From != "" {
		id, err := r.world.memberNamed(q.From)
		if err != nil {
			return sq, from, err
		}
		from = id
	}
	return sq, from, nil
}

// mentions is a cheap test before parsing: whether the bytes can hold all words.
func mentions(raw []byte, words []string) bool {
	if len(words) == 0 {
		return true
	}
	lower := bytes.ToLower(raw)
	for _, w := range words {
		if isPlain(w) && !bytes.Contains(lower, []byte(w)) {
			return false
		}
	}
	return true
}

// isPlain reports whether a word stands in JSON as it is, unescaped.
func isPlain(w string) bool {
	for i := range len(w) {
		if c := w[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '/' {
			return false
		}
	}
	return true
}

func matches(o *stix.Object, words []string) bool {
	if len(words) == 0 {
		return true
	}
	text := strings.ToLower(stix.SearchText(o.Raw))
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// Lookup answers what is known about values, in their order. A value that is
// not understood gets an answer that says so.
func (n *Node) Lookup(ctx context.Context, values []string) ([]LookupAnswer, error) {
	r := n.own(ctx)
	out := make([]LookupAnswer, len(values))
	var keys []stix.Key
	var at []int
	for i, value := range values {
		out[i] = LookupAnswer{Value: value, Hits: []LookupHit{}}
		key, err := stix.ParseKey(value)
		if err != nil {
			out[i].Error = err.Error()
			continue
		}
		out[i].Kind = key.Kind.String()
		keys, at = append(keys, key), append(at, i)
	}
	found, err := n.cfg.Store.Lookup(keys)
	if err != nil {
		return nil, err
	}
	for i, hits := range found {
		shown := map[string]int{}
		var how [][]handled
		for _, hit := range hits {
			answer, one, ok, err := r.hit(hit)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			list := &out[at[i]].Hits
			if known, again := shown[answer.ID]; !again {
				shown[answer.ID] = len(*list)
				*list, how = append(*list, answer), append(how, []handled{one})
			} else if (*list)[known].Modified.Equal(answer.Modified) {
				how[known] = append(how[known], one)
			}
		}
		for k := range how {
			out[at[i]].Hits[k].Handling = strictest(how[k])
		}
		slices.SortStableFunc(out[at[i]].Hits, func(a, b LookupHit) int { return b.Modified.Compare(a.Modified) })
	}
	r.record("lookup", "")
	return out, nil
}

// hit answers one hit, or not where the reader may not have the object. An
// object that is plain is decided from what the index keeps of it; others are
// read, with everything that they refer to.
func (r *reading) hit(h store.Hit) (LookupHit, handled, bool, error) {
	b := h.Brief
	if b.Plain && r.world.engine.Plain(b.Log.Agreement, b.Log.Lane.Topic) && (b.CreatedBy == "" || r.world.identities[b.CreatedBy] != protocol.MemberID{}) {
		subject := policy.Subject{Type: b.Type, Marking: b.Marking}
		d := r.world.engine.Read(r.reader, b.Log.Agreement, b.Log.Lane.Topic, b.Log.Author.Member, subject, r.now)
		own := b.Log.Author.Member == r.node.cfg.Member
		g := r.world.agreements[b.Log.Agreement]
		if d.Outcome != policy.Allow || !r.world.counts(g, b.Log, b.Sequence) || !own && !inTime(d.Duties, h.Added, r.now) {
			return LookupHit{}, handled{}, false, nil
		}
		return r.lookupHit(h, d, subject)
	}
	v, err := r.node.cfg.Store.At(h.Added)
	if err != nil {
		return LookupHit{}, handled{}, false, err
	}
	s, ok := r.may(v)
	if !ok {
		return LookupHit{}, handled{}, false, nil
	}
	if ok, err := r.complete(s); err != nil || !ok {
		return LookupHit{}, handled{}, false, err
	}
	subject, _ := r.subject(s.object)
	return r.lookupHit(h, s.decision, subject)
}

func (r *reading) lookupHit(h store.Hit, d policy.Decision, subject policy.Subject) (LookupHit, handled, bool, error) {
	b := h.Brief
	how, err := r.hitHandling(h, d, subject)
	if err != nil {
		return LookupHit{}, how, false, err
	}
	r.shown(d, b.Log, subject)
	marking := r.marking(b.Log, d)
	return LookupHit{
		ID: b.ID, Type: b.Type, Name: b.Name, Match: h.Key.Value, Marking: marking.String(), Modified: b.Modified, Revoked: b.Revoked,
		Agreement: r.world.agreementName(b.Log.Agreement), Topic: b.Log.Lane.String(), Author: r.world.authorName(b.Log.Author),
	}, how, true, nil
}

// sameContent compares two objects by content identity (RFC 8785), bytes first.
func sameContent(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	ha, errA := stix.ContentHash(a)
	hb, errB := stix.ContentHash(b)
	return errA == nil && errB == nil && ha == hb
}
