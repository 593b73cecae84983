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

// OnwardRequest is a request to pass objects on under another agreement, which this
// member has made, or is to answer.
type OnwardRequest struct {
	Request     string    `json:"request"`   // hash
	Agreement   string    `json:"agreement"` // under which the objects came
	Topic       string    `json:"topic"`
	Asker       string    `json:"asker"`            // handle
	Source      string    `json:"source,omitempty"` // handle of who published the objects; absent: not known here
	Incoming    bool      `json:"incoming"`         // this member is to answer it
	ToAgreement string    `json:"to_agreement"`     // id
	ToName      string    `json:"to_name,omitempty"`
	ToTopic     string    `json:"to_topic"`
	Reason      string    `json:"reason"`
	Versions    int       `json:"versions"` // of objects, that it names
	Objects     []string  `json:"objects"`  // their ids, as far as they are held; at most 100
	Time        time.Time `json:"time"`
	State       string    `json:"state"` // waiting, granted, refused, expired
	Until       time.Time `json:"until"` // when it, or what was granted, is over
	Answer      string    `json:"answer,omitempty"`
	AnswerText  string    `json:"answer_text,omitempty"`
}

// OnwardQuestion asks the sources of objects whether they may be passed on.
type OnwardQuestion struct {
	IDs    []string `json:"ids"`
	To     string   `json:"to"`     // "agreement/topic"
	Reason string   `json:"reason"` // for people; all who read the topics of the objects see it
}

// OnwardAnswer answers a request.
type OnwardAnswer struct {
	Grant  bool      `json:"grant"`
	Until  time.Time `json:"until,omitzero"`   // of a grant; absent: for 30 days
	Reason string    `json:"reason,omitempty"` // needed by a refusal
}

// requestObjects is how many ids a request is listed with.
const requestObjects = 100

// Requests lists what this member has asked, and what it is to answer, newest
// first.
func (n *Node) Requests(ctx context.Context) ([]OnwardRequest, error) {
	return n.requests(ctx, func(protocol.Hash) bool { return true })
}

func (n *Node) requests(ctx context.Context, wanted func(protocol.Hash) bool) ([]OnwardRequest, error) {
	w, now := n.world.Load(), n.now()
	if err := n.readGraves(w); err != nil {
		return nil, err
	}
	out, named := []OnwardRequest{}, []*asked{}
	n.graves.mu.Lock()
	l := &n.graves.ledger
	for hash, a := range l.asked {
		g := w.agreements[a.claim.Agreement]
		source, _ := l.source(n.cfg.Store, a)
		if g == nil || a.void || (a.claim.Member != n.cfg.Member && source != n.cfg.Member) || !wanted(hash) {
			continue
		}
		r := OnwardRequest{
			Request: hash.String(), Agreement: g.doc.Name, Topic: a.topic, Asker: w.readerNameIn(g, a.claim.Member), Incoming: source == n.cfg.Member,
			ToAgreement: a.to.Agreement.String(), ToTopic: a.to.Topic, Reason: a.to.Reason, Versions: len(a.claim.Leaves), Objects: []string{},
			Time: a.claim.Time, State: l.state(n.cfg.Store, a, now), Until: a.claim.Time.Add(requestLife),
		}
		if !source.IsZero() {
			r.Source = w.readerNameIn(g, source)
		}
		if to := w.agreements[a.to.Agreement]; to != nil {
			r.ToName = to.doc.Name
		}
		if got, ok := l.answer(n.cfg.Store, a); ok {
			r.Answer, r.AnswerText, r.Until = got.hash.String(), got.claim.Text, got.claim.Time
			if got.claim.Kind == protocol.Grant {
				r.Until = got.claim.Until
			}
		}
		out, named = append(out, r), append(named, a)
	}
	n.graves.mu.Unlock()
	mine := n.own(ctx)
	for i := range out {
		var err error
		if out[i].Objects, err = n.namedIn(ctx, mine, named[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b OnwardRequest) int {
		return b.Time.Compare(a.Time)*2 + strings.Compare(a.Request, b.Request)
	})
	return out, nil
}

// namedIn returns the ids of the objects that a request names and the reader may
// have.
func (n *Node) namedIn(ctx context.Context, r *reading, a *asked) ([]string, error) {
	out := []string{}
	for _, leaf := range a.claim.Leaves {
		if len(out) == requestObjects || ctx.Err() != nil {
			return out, ctx.Err()
		}
		id, err := n.objectAt(a.claim.Agreement, leaf)
		if err != nil {
			return nil, err
		}
		if id == "" || slices.Contains(out, id) {
			continue
		}
		if seen, err := r.visible(id); err != nil {
			return nil, err
		} else if seen {
			out = append(out, id)
		}
	}
	return out, nil
}

// objectAt returns the id of the object that a leaf names, "" where it is not held.
func (n *Node) objectAt(agreement protocol.AgreementID, leaf protocol.Leaf) (string, error) {
	log, ok := n.cfg.Store.Log(agreement, leaf.Log)
	if !ok {
		return "", nil
	}
	e, err := n.cfg.Store.Message(log, leaf.Sequence)
	if protocol.KindOf(err) == protocol.NotFound {
		return "", nil
	}
	if err != nil || e.Message.Header().Content != protocol.StixObjects || leaf.Position >= uint64(e.Message.Header().Objects) {
		return "", err
	}
	raw := e.Message.Object(int(leaf.Position))
	if raw == nil {
		return "", nil
	}
	o, err := stix.NewParser(n.cfg.Limits).Parse(raw)
	if err != nil {
		return "", nil // it was refused, and that written down, when it came
	}
	return o.ID, nil
}

// Ask asks the publishers of objects that came under a clause which obliges to it
// whether they may be passed on to a topic of another agreement: one request for
// each publisher and topic.
//
// Errors: NotFound for an unknown destination or object, Invalid where nobody is to
// be asked or no reason is given, Refused for what is not passed on at all, Conflict
// where the same has been asked, Limit where too much waits for an answer. Then
// nothing is asked.
func (n *Node) Ask(ctx context.Context, q OnwardQuestion) ([]OnwardRequest, error) {
	const op = "ask to pass on"
	w := n.world.Load()
	to, topic, err := w.topic(q.To)
	if err != nil {
		return nil, err
	}
	if err := to.mayPublish(n.cfg.Member, topic); err != nil {
		return nil, err
	}
	reason := strings.Join(strings.Fields(q.Reason), " ")
	switch {
	case len(q.IDs) == 0:
		return nil, protocol.E(protocol.Invalid, op, errors.New("no object is named"), "entente requests ask ID --to AGREEMENT/TOPIC --reason TEXT")
	case reason == "":
		return nil, protocol.E(protocol.Invalid, op, errors.New("no reason is given"), "say for people why: --reason TEXT")
	}
	text, err := protocol.Destination{Agreement: to.doc.ID, Topic: topic, Reason: reason}.Text()
	if err != nil {
		return nil, err
	}
	if err := n.readGraves(w); err != nil {
		return nil, err
	}
	questions, err := n.toAsk(ctx, w, q.IDs, to, topic)
	if err != nil {
		return nil, err
	}
	var hashes []protocol.Hash
	for _, at := range questions {
		hash, err := n.stateHere(ctx, w.agreements[at.agreement], at.topic, protocol.Statement{Kind: protocol.Request, Leaves: at.leaves, Text: text})
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return n.requests(ctx, func(h protocol.Hash) bool { return slices.Contains(hashes, h) })
}

// inquiry is what one request will name.
type inquiry struct {
	asking
	leaves []protocol.Leaf
}

// asking tells whom one request asks, and where.
type asking struct {
	agreement protocol.AgreementID
	topic     string
	source    protocol.MemberID
}

// toAsk settles which requests there are to make so that objects may be passed on.
func (n *Node) toAsk(ctx context.Context, w *world, ids []string, to *governing, topic string) ([]inquiry, error) {
	const op = "ask to pass on"
	r, leaves := n.own(ctx), map[asking][]protocol.Leaf{}
	for _, id := range ids {
		seen, err := r.visible(id)
		if err != nil {
			return nil, err
		}
		versions, err := r.versions(id)
		if err != nil {
			return nil, err
		}
		if !seen || len(versions) == 0 {
			return nil, protocol.E(protocol.NotFound, op, fmt.Errorf("%s is not available", id), "look for it: entente search WORD")
		}
		for _, s := range versions {
			v := s.version
			if v.Log.Author.Member == n.cfg.Member || v.Log.Agreement == to.doc.ID {
				continue
			}
			text := onward(s.decision.Duties, r.now)
			switch _, granted := n.grantOf(v, to.doc.ID, topic, r.now); {
			case text == "" || granted:
				continue
			case s.decision.Duties.Onward != protocol.OnwardAsk || r.now.Before(s.decision.Duties.Embargo):
				return nil, protocol.E(protocol.Refused, op, fmt.Errorf("%s is not to be passed on whoever is asked: %s (%s)", id, text, w.agreementName(v.Log.Agreement)), "see the clause: entente explain "+id)
			}
			at := asking{v.Log.Agreement, v.Log.Lane.Topic, v.Log.Author.Member}
			if leaf := (protocol.Leaf{Log: v.Log.Hash(), Sequence: v.Sequence, Position: uint64(v.Position)}); !slices.Contains(leaves[at], leaf) {
				leaves[at] = append(leaves[at], leaf)
			}
		}
	}
	if len(leaves) == 0 {
		return nil, protocol.E(protocol.Invalid, op, errors.New("nobody has to be asked, or all have granted it"), "publish it: entente publish "+to.doc.Name+"/"+topic+" FILE")
	}
	var out []inquiry
	count := map[protocol.AgreementID]int{}
	for at, list := range leaves {
		g := w.agreements[at.agreement]
		if g == nil || !g.open() || !g.stands(n.cfg.Member) {
			return nil, protocol.Errorf(protocol.Refused, op, "nothing can be asked under the agreement %s any more", w.agreementName(at.agreement))
		}
		slices.SortFunc(list, protocol.Leaf.Compare)
		for part := range slices.Chunk(list, eraseMost) {
			out = append(out, inquiry{at, part})
			count[at.agreement]++
		}
	}
	return out, n.mayAsk(out, count, to.doc.ID, topic)
}

// mayAsk says why requests are not made: the same waits, or too many do.
func (n *Node) mayAsk(list []inquiry, count map[protocol.AgreementID]int, to protocol.AgreementID, topic string) error {
	const op = "ask to pass on"
	see := "see what waits: entente requests"
	n.graves.mu.Lock()
	defer n.graves.mu.Unlock()
	l, now := &n.graves.ledger, n.now()
	for agreement, more := range count {
		who := asker{agreement, n.cfg.Member}
		waiting := l.open(n.cfg.Store, who, now)
		if waiting+more > requestsOpen {
			return protocol.E(protocol.Limit, op, fmt.Errorf("%d requests wait for an answer, and no more than %d may", waiting, requestsOpen), see)
		}
		if inUse := waiting + l.granted(n.cfg.Store, who, now); inUse+more > requestsKept {
			return protocol.E(protocol.Limit, op, fmt.Errorf("%d requests wait or are granted, and no more than %d are kept", inUse, requestsKept),
				"name more objects in one request, or wait until a grant is over; see: entente requests")
		}
	}
	for _, q := range list {
		for _, a := range l.order[asker{q.agreement, n.cfg.Member}] {
			same := a.to.Agreement == to && a.to.Topic == topic && a.topic == q.topic && slices.Equal(a.claim.Leaves, q.leaves)
			if same && l.state(n.cfg.Store, a, now) == requestWaiting {
				return protocol.E(protocol.Conflict, op, fmt.Errorf("the same was asked on %s and waits for an answer", minute(a.claim.Time)), see)
			}
		}
	}
	return nil
}

// Answer grants or refuses a request that names what this member has published. A
// later answer takes the place of an earlier one: a refusal ends a grant. request is
// its hash, or the beginning of it, of eight digits at least.
//
// Errors: NotFound, Refused where another member is asked, Conflict for a request
// that is over, Invalid for an answer that makes no sense.
func (n *Node) Answer(ctx context.Context, request string, q OnwardAnswer) (OnwardRequest, error) {
	const op = "answer a request"
	w, now := n.world.Load(), n.now().Truncate(time.Microsecond)
	if err := n.readGraves(w); err != nil {
		return OnwardRequest{}, err
	}
	a, after, err := n.toAnswer(request, now)
	if err != nil {
		return OnwardRequest{}, err
	}
	s := protocol.Statement{Kind: protocol.Denial, About: a.hash, Text: strings.Join(strings.Fields(q.Reason), " "), Time: now}
	if !s.Time.After(after) {
		s.Time = after.Add(time.Microsecond)
	}
	switch {
	case q.Grant:
		s.Kind, s.Until = protocol.Grant, q.Until.UTC().Truncate(time.Microsecond)
		if q.Until.IsZero() {
			s.Until = now.Add(requestLife)
		}
		if !s.Until.After(now) {
			return OnwardRequest{}, protocol.E(protocol.Invalid, op, fmt.Errorf("%s is over already", minute(s.Until)), "name a day to come: --until 2030-01-31")
		}
	case !q.Until.IsZero():
		return OnwardRequest{}, protocol.E(protocol.Invalid, op, errors.New("a refusal has no end"), "")
	case s.Text == "":
		return OnwardRequest{}, protocol.E(protocol.Invalid, op, errors.New("no reason is given"), "say for people why not: --reason TEXT")
	}
	g := w.agreements[a.claim.Agreement]
	if g == nil || !g.open() || !g.stands(n.cfg.Member) {
		return OnwardRequest{}, protocol.Errorf(protocol.Refused, op, "nothing passes under the agreement %s any more", w.agreementName(a.claim.Agreement))
	}
	if _, err := n.stateHere(ctx, g, a.topic, s); err != nil {
		return OnwardRequest{}, err
	}
	list, err := n.requests(ctx, func(h protocol.Hash) bool { return h == a.hash })
	if err != nil || len(list) != 1 {
		return OnwardRequest{}, errors.Join(err, protocol.Errorf(protocol.NotFound, op, "the request is not here any more"))
	}
	return list[0], nil
}

// toAnswer finds a request that this member may answer, and when it did so last.
func (n *Node) toAnswer(request string, now time.Time) (*asked, time.Time, error) {
	const op, list = "answer a request", "list them: entente requests"
	n.graves.mu.Lock()
	defer n.graves.mu.Unlock()
	l := &n.graves.ledger
	var found []*asked
	for hash, a := range l.asked {
		if len(request) >= 8 && strings.HasPrefix(hash.String(), request) {
			found = append(found, a)
		}
	}
	switch len(found) {
	case 0:
		return nil, time.Time{}, protocol.E(protocol.NotFound, op, fmt.Errorf("there is no request %.80q here", request), list)
	case 1:
	default:
		return nil, time.Time{}, protocol.E(protocol.Invalid, op, fmt.Errorf("%d requests begin with %q", len(found), request), list)
	}
	a := found[0]
	if source, _ := l.source(n.cfg.Store, a); source != n.cfg.Member {
		return nil, time.Time{}, protocol.E(protocol.Refused, op, errors.New("it is about what another member has published, who alone can answer"), list)
	}
	got, answered := l.answer(n.cfg.Store, a)
	if !answered && l.state(n.cfg.Store, a, now) == requestExpired {
		return nil, time.Time{}, protocol.E(protocol.Conflict, op, fmt.Errorf("nobody answered it until %s, and it is over", minute(a.claim.Time.Add(requestLife))), "have it asked again")
	}
	return a, got.claim.Time, nil
}

// requestsWaiting counts the requests that this member is to answer.
func (n *Node) requestsWaiting() int {
	n.graves.mu.Lock()
	defer n.graves.mu.Unlock()
	l, now, count := &n.graves.ledger, n.now(), 0
	for _, a := range l.asked {
		if source, _ := l.source(n.cfg.Store, a); source == n.cfg.Member && l.state(n.cfg.Store, a, now) == requestWaiting {
			count++
		}
	}
	return count
}

func waits(count int) string {
	if count == 1 {
		return "1 request waits"
	}
	return fmt.Sprintf("%d requests wait", count)
}

// requestText puts a request into words.
func (w *world) requestText(who string, s protocol.Statement) string {
	to, err := protocol.ParseDestination(s.Text)
	if err != nil {
		return who + " makes a request that says nothing of where to" + because(s.Text)
	}
	name := "the agreement " + to.Agreement.Short()
	if g := w.agreements[to.Agreement]; g != nil {
		name = g.doc.Name
	}
	return fmt.Sprintf("%s asks to pass %s on to %s/%s%s", who, quantity(len(s.Leaves), "object"), name, to.Topic, because(to.Reason))
}

// actionOnward is what audit rows say of objects that go by a grant.
const actionOnward = "onward"

// grantRows are the audit rows for what of a message goes by grants.
func (p *publication) grantRows(log *protocol.LogID, members []*candidate) []protocol.AuditRow {
	var rows []protocol.AuditRow
	at := map[protocol.Hash]int{}
	for i, c := range members {
		for _, grant := range c.grants {
			n, ok := at[grant]
			if !ok {
				n = len(rows)
				at[grant] = n
				rows = append(rows, protocol.AuditRow{
					Time: p.now, Kind: protocol.AuditDecision, Action: actionOnward, Outcome: "ok", Agreement: p.governing.doc.ID, Version: p.governing.doc.Version,
					Topic: p.topic, Log: log, Party: p.node.cfg.Member, Reason: protocol.AuditReason{Layer: policy.Governing.String(), Text: p.node.grantText(p.world, grant)},
				})
			}
			if slices.Contains(rows[n].Positions, i) {
				continue
			}
			rows[n].Objects = append(rows[n].Objects, c.id)
			rows[n].Positions = append(rows[n].Positions, i)
			rows[n].Count++
		}
	}
	return rows
}

// grantText puts into words by which grant something goes.
func (n *Node) grantText(w *world, grant protocol.Hash) string {
	n.graves.mu.Lock()
	defer n.graves.mu.Unlock()
	for request, list := range n.graves.ledger.answers {
		for _, a := range list {
			if a.hash == grant {
				return fmt.Sprintf("passed on as %s granted until %s (grant %s of the request %s under %s)",
					w.memberName(a.claim.Member), minute(a.claim.Until), grant, request.Short(), w.agreementName(a.claim.Agreement))
			}
		}
	}
	return "passed on by the grant " + grant.String()
}

// granted notes in the receipt by which grants an object goes.
func (p *publication) granted(c *candidate) {
	if c.verdict.Outcome != policy.Allow {
		return
	}
	for _, grant := range c.grants {
		if text := grant.String(); !slices.Contains(p.receipt.Grants, text) {
			p.receipt.Grants = append(p.receipt.Grants, text)
		}
	}
}

// eraseGranted has erased what this node passed on of what a tombstone names, after
// it had asked for that. What was made of it goes too.
func (n *Node) eraseGranted(ctx context.Context, w *world, tomb *grave) error {
	passed := map[lane][]protocol.Leaf{}
	for _, a := range n.askedAbout(tomb) {
		at := lane{a.to.Agreement, a.to.Topic}
		for _, leaf := range a.claim.Leaves {
			if _, ok := slices.BinarySearchFunc(tomb.claim.Leaves, leaf, protocol.Leaf.Compare); !ok {
				continue
			}
			more, err := n.passedOn(ctx, a, leaf)
			if err != nil {
				return err
			}
			for _, own := range more {
				if !slices.Contains(passed[at], own) {
					passed[at] = append(passed[at], own)
				}
			}
		}
	}
	for at, leaves := range passed {
		g := w.agreements[at.agreement]
		if g == nil || !g.open() {
			n.cfg.Logger.Warn("its source has erased what was passed on, but nothing passes under the agreement any more: nobody is told there",
				"agreement", w.agreementName(at.agreement), "topic", at.topic, "objects", len(leaves))
			continue
		}
		for part := range slices.Chunk(leaves, eraseMost) {
			if _, err := n.tombstone(ctx, g, at.topic, part, "Its source has erased it."); err != nil {
				return err
			}
		}
		n.tellBuried()
	}
	return nil
}

// askedAbout returns this member's requests for what a tombstone names.
func (n *Node) askedAbout(tomb *grave) []*asked {
	n.graves.mu.Lock()
	defer n.graves.mu.Unlock()
	var out []*asked
	for _, a := range n.graves.ledger.order[asker{tomb.claim.Agreement, n.cfg.Member}] {
		if a.topic == tomb.topic && tomb.claim.Member != n.cfg.Member && slices.ContainsFunc(tomb.claim.Leaves, a.names) {
			out = append(out, a)
		}
	}
	return out
}

// passedOn returns the leaves that this node has published of an object where it
// asked to, since it asked, and that no tombstone names yet.
func (n *Node) passedOn(ctx context.Context, a *asked, leaf protocol.Leaf) ([]protocol.Leaf, error) {
	id, err := n.objectAt(a.claim.Agreement, leaf)
	if err != nil || id == "" {
		return nil, err
	}
	ids, _, err := n.withMade(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	var out []protocol.Leaf
	for _, id := range ids {
		versions, err := n.cfg.Store.Get(id)
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			own := protocol.Leaf{Log: v.Log.Hash(), Sequence: v.Sequence, Position: uint64(v.Position)}
			if v.Log.Author == n.self() && v.Log.Agreement == a.to.Agreement && v.Log.Lane == protocol.TopicLane(a.to.Topic) &&
				!time.UnixMicro(v.Added).Before(a.claim.Time) && !n.entombed(v, own) {
				out = append(out, own)
			}
		}
	}
	return out, nil
}

// entombed reports whether a tombstone of this member names an arrival.
func (n *Node) entombed(v store.Version, leaf protocol.Leaf) bool {
	n.graves.mu.Lock()
	defer n.graves.mu.Unlock()
	for _, tomb := range n.graves.graves {
		if tomb.claim.Member == n.cfg.Member && tomb.claim.Agreement == v.Log.Agreement && slices.Contains(tomb.claim.Leaves, leaf) {
			return true
		}
	}
	return false
}
