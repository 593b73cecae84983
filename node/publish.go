package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"entente/policy"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/protocol/stix/redact"
)

// PublishRequest is what Publish is asked.
type PublishRequest struct {
	Topic    string                    // "agreement/topic", or a topic's name where only one agreement has it
	Items    func() (stix.Item, error) // stix.Reader.Next
	DryRun   bool                      // decide and tell, change nothing
	Strict   bool                      // publish nothing when an object is bad
	Progress func(Progress)            // called now and then; may be nil
}

// candidate is one object on its way out.
type candidate struct {
	item     stix.Item
	id, kind string
	creator  string
	object   *stix.Object // nil once its fate is settled, or when it is no valid STIX
	subject  policy.Subject
	verdict  policy.Verdict
	missing  []string
	asked    bool       // its content must be transformed
	repeated bool       // the very same version is on this topic already
	same     *candidate // of repeated: the one that the input holds before it
	from     string     // id of the object that this one was made from, where it was transformed
	told     []redact.Told
	grants   []protocol.Hash     // statements by which sources let it be passed on here
	original func(string) string // of a transformed one: the id of a reference as it was given
}

// publication is one Publish at work. It belongs to its goroutine.
type publication struct {
	node       *Node
	world      *world
	governing  *governing
	topic      string
	request    PublishRequest
	now        time.Time
	candidates []*candidate            // all that were read
	waiting    []*candidate            // whose fate is open: this chunk's, and those held for a reference
	batch      map[string]*candidate   // of waiting, by id, the last of each
	marks      map[string]*stix.Object // marking definitions of the input
	sentIDs    map[string]bool         // published by this publication already
	log        *ownLog
	own        *reading // of this node: what it may not have cannot be referred to
	receipt    Receipt
	reasons    map[reasonKey]int // index into receipt.Reasons
}

type reasonKey struct {
	decision policy.Decision
	missing  bool
}

// Publish decides on objects and appends those that may go to this node's log.
// Objects that may not are named in the receipt with the reason; they are no
// error, unless Strict is set. When Publish returns, what the receipt counts as
// published is on disk and on its way.
//
// Errors: NotFound for an unknown topic, Invalid for input that breaks off or
// is no STIX at all, Refused where policy lets nothing onto the topic at all,
// Full when the store takes nothing in.
func (n *Node) Publish(ctx context.Context, r PublishRequest) (Receipt, error) {
	w := n.world.Load()
	g, topic, err := w.topic(r.Topic)
	if err != nil {
		return Receipt{}, err
	}
	p := &publication{
		node: n, world: w, governing: g, topic: topic, request: r, now: n.now(), own: n.carried(),
		batch: map[string]*candidate{}, marks: map[string]*stix.Object{}, sentIDs: map[string]bool{}, reasons: map[reasonKey]int{},
		receipt: Receipt{DryRun: r.DryRun, Agreement: g.doc.Name, Topic: topic, Reasons: []ReasonCount{}, Readers: []string{}},
	}
	if err := g.mayPublish(n.cfg.Member, topic); err != nil {
		return p.receipt, err
	}
	if !r.DryRun {
		n.keepBasis(ctx, w)
	}
	if err := n.readGraves(w); err != nil { // what may be passed on
		return p.receipt, err
	}
	broken, err := p.run(ctx)
	if err != nil {
		return p.finish(), err
	}
	if err := p.tally(); err != nil {
		return p.finish(), err
	}
	if !r.DryRun {
		if err := p.record(ctx); err != nil {
			return p.finish(), err
		}
	}
	return p.finish(), broken
}

// run takes the input in chunks: read, decide, close over references, send. An
// object whose references have not all come waits for the next chunk, and is
// withheld when there is none. broken is where the input broke off, if it did:
// what came before it was published nonetheless.
func (p *publication) run(ctx context.Context) (broken, err error) {
	size := publishChunk
	if p.request.Strict || p.governing.transform(p.topic) != "" {
		size = math.MaxInt // nothing may go before everything is known: to be good, or what it names
	}
	for ended := false; !ended; {
		ended, broken = p.collect(ctx, size)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if broken != nil && (p.request.Strict || len(p.candidates) == 0) {
			return nil, broken
		}
		p.decide()
		going := p.close(ended)
		if p.request.DryRun || (p.request.Strict && p.refusals() > 0) {
			for _, c := range going {
				p.settle(c)
			}
			continue
		}
		if err := p.send(ctx, going); err != nil {
			return nil, err
		}
	}
	return broken, nil
}

// publishChunk is how many objects are decided on at once: enough for packing
// and appending to keep all cores busy, few enough to bound memory.
const publishChunk = 8192

// settle marks a candidate's fate as final and lets go of its bytes.
func (p *publication) settle(c *candidate) {
	p.sentIDs[c.id] = true
	c.object, c.item.Raw = nil, nil
}

func (p *publication) refusals() int {
	n := 0
	for _, c := range p.candidates {
		if c.verdict.Outcome == policy.Refuse && !c.repeated && (c.object == nil || c.verdict.Text != "") {
			n++
		}
	}
	return n
}

// collect reads and parses up to size objects, in order. It reports whether the
// input has ended, and why when it broke off.
func (p *publication) collect(ctx context.Context, size int) (ended bool, broken error) {
	var held int64
	chunk := make([]stix.Item, 0, 512)
	flush := func() {
		p.parse(chunk)
		chunk = chunk[:0]
		p.receipt.Read = len(p.candidates)
		p.progress("objects read", int64(len(p.candidates)), 0)
	}
	defer flush()
	for read := 0; read < size; read++ {
		if err := ctx.Err(); err != nil {
			return true, err
		}
		item, err := p.request.Items()
		var bad *stix.ItemError
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return true, nil
		case errors.As(err, &bad):
			flush()
			p.refuseItem(bad.Item, bad.Err)
			continue
		default:
			return true, err
		}
		if held += int64(len(item.Raw)); held > p.node.cfg.Input {
			return true, protocol.E(protocol.Limit, "publish",
				fmt.Errorf("the input holds more than %d MiB of objects that must be decided on together", p.node.cfg.Input>>20),
				"split the file and publish it in parts, referenced objects first")
		}
		if chunk = append(chunk, item); len(chunk) == cap(chunk) {
			flush()
		}
	}
	return false, nil
}

func (p *publication) parse(items []stix.Item) {
	objects := make([]*stix.Object, len(items))
	failures := make([]error, len(items))
	const stride = 32 // one Parser for so many
	p.node.parallelEach((len(items)+stride-1)/stride, func(part int) {
		parser := stix.NewParser(p.node.cfg.Limits)
		for i := part * stride; i < min((part+1)*stride, len(items)); i++ {
			objects[i], failures[i] = parser.Parse(items[i].Raw)
		}
	})
	for i, item := range items {
		if failures[i] != nil {
			p.refuseItem(item, failures[i])
			continue
		}
		c := &candidate{item: item, object: objects[i], id: objects[i].ID, kind: objects[i].Type, creator: objects[i].CreatedBy}
		p.candidates, p.waiting = append(p.candidates, c), append(p.waiting, c)
	}
}

// refuseItem keeps an object that is no valid STIX, as refused by its form.
func (p *publication) refuseItem(item stix.Item, err error) {
	item.Raw = nil // it goes nowhere; do not hold its bytes
	p.candidates = append(p.candidates, &candidate{item: item, verdict: policy.Verdict{
		Decision: policy.Decision{Outcome: policy.Refuse, Layer: policy.Form, Text: err.Error()},
	}})
}

// decide asks policy for every new object by itself, references aside.
func (p *publication) decide() {
	var fresh []*candidate
	for _, c := range p.waiting {
		if c.verdict.Text != "" || c.repeated {
			continue // waiting for a reference since an earlier chunk
		}
		if earlier := p.batch[c.id]; earlier != nil && earlier.object.Modified.Equal(c.object.Modified) {
			p.decideAgain(earlier, c)
			continue
		}
		p.batch[c.id] = c
		if c.kind == "marking-definition" {
			p.marks[c.id] = c.object
		}
		fresh = append(fresh, c)
	}
	definition := func(id string) *stix.Object {
		if o := p.marks[id]; o != nil {
			return o
		}
		return p.node.marks.get(p.node, id)
	}
	for _, c := range fresh {
		p.decideOne(c, definition)
	}
	fresh = p.redact(fresh, definition)
	p.decideHeld(fresh)
}

func (p *publication) decideOne(c *candidate, definition func(string) *stix.Object) {
	if stix.IsForgedMarking(c.object) {
		c.verdict = policy.Verdict{Decision: policy.Decision{Outcome: policy.Refuse, Layer: policy.Form, Text: textForged}}
		return
	}
	c.object.Level = stix.LevelOf(c.object, definition)
	c.subject = policy.SubjectOf(c.object)
	c.verdict = p.world.engine.Outbound(p.governing.doc.ID, p.topic, p.node.cfg.Member, c.subject, p.now)
	if c.verdict.Outcome == policy.Allow {
		if d, ok := p.world.ownership(p.governing, p.node.cfg.Member, c.object); !ok {
			c.verdict = policy.Verdict{Decision: d}
		} else if c.from == "" && !c.asked && transforms(c.verdict.Duties) {
			c.asked = true // it is transformed first
		} else if text := p.world.duty(p.node.cfg.Member, c.object, c.verdict.Duties); text != "" {
			c.verdict = policy.Verdict{Decision: p.world.dutyDecision(c.verdict.Decision, text)}
		}
	}
}

// decideAgain settles an object that the input holds twice.
func (p *publication) decideAgain(earlier, c *candidate) {
	if sameContent(earlier.object.Raw, c.object.Raw) {
		c.repeated, c.same = true, earlier
		return
	}
	c.verdict = policy.Verdict{Decision: policy.Decision{Outcome: policy.Refuse, Layer: policy.Form,
		Text: textRepeated}}
}

// decideHeld settles objects of which this node holds a version already.
func (p *publication) decideHeld(fresh []*candidate) {
	ids := make([]string, 0, len(fresh))
	at := make([]*candidate, 0, len(fresh))
	for _, c := range fresh {
		if c.verdict.Outcome == policy.Allow {
			ids, at = append(ids, c.id), append(at, c)
			if c.from != "" {
				ids, at = append(ids, c.from), append(at, c)
			}
		}
	}
	has, err := p.node.cfg.Store.Has(ids)
	if err != nil {
		p.node.cfg.Logger.Error("held versions could not be read", "err", err)
		return
	}
	for i, c := range at {
		if !has[i] {
			continue
		}
		versions, err := p.node.cfg.Store.Get(ids[i])
		if err != nil {
			p.node.cfg.Logger.Error("held versions could not be read", "id", ids[i], "err", err)
			continue
		}
		p.origins(c, versions)
		if ids[i] != c.id {
			continue // what it was made from
		}
		for _, v := range versions {
			if !v.Modified.Equal(c.object.Modified) || c.verdict.Outcome != policy.Allow {
				continue
			}
			here := v.Log.Agreement == p.governing.doc.ID && v.Log.Lane == protocol.TopicLane(p.topic)
			same := sameContent(v.Raw, c.object.Raw)
			if same && here {
				c.repeated = true
				break
			}
			if !same && v.Log.Author.Member == p.node.cfg.Member && c.object.Kind != stix.SCO {
				c.verdict = policy.Verdict{Decision: policy.Decision{Outcome: policy.Refuse, Layer: policy.Form,
					Text: textOtherContent}}
				break
			}
		}
	}
}

// close finds which of the waiting objects may go: those that refer only to
// what every reader of the topic has, or gets with them. The others wait on, and
// at the end of the input are withheld, as is what nobody can find.
func (p *publication) close(ended bool) (going []*candidate) {
	items := make([]policy.ClosureItem, len(p.waiting))
	for i, c := range p.waiting {
		items[i] = policy.ClosureItem{
			ID: c.id, Refs: p.world.references(c.object), Allowed: c.repeated || c.verdict.Outcome == policy.Allow,
		}
	}
	known := map[string]bool{}
	visible, missing := policy.Close(items, func(id string) bool {
		ok, seen := known[id]
		if !seen {
			ok = p.sentIDs[id] || p.readable(id)
			known[id] = ok
		}
		return ok
	})
	var held []*candidate
	for i, c := range p.waiting {
		switch {
		case !items[i].Allowed:
			c.object, c.item.Raw = nil, nil
		case visible[i] && c.repeated:
			p.settle(c)
		case visible[i]:
			going = append(going, c)
		case ended:
			c.missing, c.repeated = missing[i], false
			for at, id := range c.missing {
				if c.original != nil {
					c.missing[at] = c.original(id)
				}
			}
			c.object, c.item.Raw = nil, nil
			c.verdict = policy.Verdict{Decision: policy.Decision{
				Outcome: policy.Withhold, Layer: policy.Governing,
				Agreement: p.governing.doc.ID, Version: p.governing.doc.Version, Text: textMissing,
			}}
			if slices.ContainsFunc(c.missing, func(id string) bool { return p.batch[id] != nil }) {
				c.verdict.Text = textDepends
			} else if from := p.cameFrom(c.missing); from != "" {
				c.verdict.Text += "; " + from
			}
		default:
			held = append(held, c)
		}
	}
	p.waiting = held
	clear(p.batch)
	for _, c := range held {
		p.batch[c.id] = c
	}
	return going
}

// readable reports whether this member, and every reader of the topic, may have the
// object from what is held already.
func (p *publication) readable(id string) bool {
	if seen, err := p.own.visible(id); err != nil || !seen {
		return false
	}
	versions, err := p.node.cfg.Store.Get(id)
	if err != nil {
		return false
	}
	g := p.governing
	// What was sealed on the topic under the very version went to all its readers.
	settled := !g.timed && len(g.halted) == 0
	for _, v := range versions {
		if held := p.world.agreements[v.Log.Agreement]; held == nil || !p.world.counts(held, v.Log, v.Sequence) {
			continue
		}
		if settled && v.Log.Agreement == g.doc.ID && v.Log.Lane == protocol.TopicLane(p.topic) && v.AgreementVersion == g.doc.Version {
			return true
		}
		o := v.Object
		o.Level = stix.LevelOf(o, func(id string) *stix.Object { return p.node.marks.get(p.node, id) })
		all := true
		for _, reader := range g.readers(p.topic) {
			d := p.world.engine.Read(policy.Reader{Member: reader, Remote: true}, v.Log.Agreement, v.Log.Lane.Topic, v.Log.Author.Member, policy.SubjectOf(o), p.now)
			all = all && d.Outcome == policy.Allow
		}
		if all {
			return true
		}
	}
	return false
}

// tally counts outcomes for the receipt and, with Strict, stops on a bad one.
func (p *publication) tally() error {
	p.receipt.Published = 0
	readers := map[protocol.MemberID]bool{}
	for _, c := range p.candidates {
		if c.from != "" && (c.repeated || c.verdict.Outcome == policy.Allow) {
			p.redacted(c)
		}
		p.granted(c)
		switch {
		case c.repeated:
			p.receipt.Unchanged++
		case c.verdict.Outcome == policy.Allow:
			p.receipt.Published++
			for _, r := range c.verdict.Readers {
				readers[r] = true
			}
		case c.verdict.Outcome == policy.Withhold:
			p.receipt.Withheld++
			p.reason(c)
		default:
			p.receipt.Refused++
			p.reason(c)
		}
	}
	for r := range readers {
		p.receipt.Readers = append(p.receipt.Readers, p.world.readerNameIn(p.governing, r))
	}
	slices.Sort(p.receipt.Readers)
	// What is withheld only because something else is comes last, however many.
	slices.SortStableFunc(p.receipt.Reasons, func(a, b ReasonCount) int {
		if d := boolInt(a.Why.Text == textDepends) - boolInt(b.Why.Text == textDepends); d != 0 {
			return d
		}
		return b.Count - a.Count
	})
	if bad := p.receipt.Refused; p.request.Strict && bad > 0 {
		p.receipt.Published = 0
		return protocol.E(protocol.Invalid, "publish",
			fmt.Errorf("%d of %d objects are refused, and strict was asked for: nothing was published", bad, p.receipt.Read),
			"mend the objects that the receipt names, or publish without --strict")
	}
	return nil
}

const (
	textMissing = "it refers to something that is not here, or that readers of this topic may not have; publish that first, or together with it"
	textDepends = "it refers to an object of this input that is withheld or refused itself"
)

// What is said of versions that contradict each other.
const (
	textRepeated     = "the input holds this object twice, with the same id and modified but other content; raise modified on the newer one"
	textOtherContent = "this node has published the same id and modified with other content; raise modified to publish a new version"
)

const textForged = "the definition of a TLP marking is forged: it says something else than its id stands for"

const reasonExamples = 10

func (p *publication) reason(c *candidate) {
	o := ObjectOutcome{Index: c.item.Index, Line: c.item.Line, Why: p.world.why(c.verdict.Decision), Missing: c.missing}
	o.ID, o.Type = c.given(), c.kind
	for _, no := range c.verdict.Denied {
		o.Why.Readers = append(o.Why.Readers, p.world.readerNameIn(p.governing, no.Reader))
	}
	key := reasonKey{decision: c.verdict.Alike(), missing: c.missing != nil}
	if key.decision.Layer == policy.Form {
		key.decision.Text = formRule(key.decision.Text)
	}
	at, ok := p.reasons[key]
	if !ok {
		at = len(p.receipt.Reasons)
		p.reasons[key] = at
		p.receipt.Reasons = append(p.receipt.Reasons, ReasonCount{Why: o.Why})
		p.receipt.Reasons[at].Why.Text = key.decision.Text
	}
	r := &p.receipt.Reasons[at]
	if r.Count++; len(r.First) < reasonExamples {
		r.First = append(r.First, o)
	}
}

// record writes audit rows for what did not go out.
func (p *publication) record(ctx context.Context) error {
	const most = 500
	groups := map[policy.Decision]int{}
	var rows []protocol.AuditRow
	var cases []caseList
	for _, c := range p.candidates {
		if c.repeated || c.verdict.Outcome == policy.Allow {
			continue
		}
		at, ok := groups[c.verdict.Alike()]
		if !ok || len(rows[at].Objects) == most {
			at = len(rows)
			groups[c.verdict.Alike()] = at
			row := decisionRow(p.now, "publish", p.topic, c.verdict.Decision, c.verdict.Denied)
			row.Agreement, row.Version, row.Party = p.governing.doc.ID, p.governing.doc.Version, p.node.cfg.Member
			row.Basis = p.world.basisHash
			rows, cases = append(rows, row), append(cases, caseList{})
		}
		rows[at].Count++
		if id := c.given(); id != "" {
			rows[at].Objects = append(rows[at].Objects, id)
		}
		if c.subject.Type != "" {
			cases[at].add(most, c.kept(), c.subject.Origins...)
		}
	}
	for i := range rows {
		rows[i].Kept = cases[i].kept("")
	}
	if len(rows) == 0 {
		return nil
	}
	return p.node.cfg.Store.Audit(ctx, rows...)
}

func (p *publication) progress(unit string, done, total int64) {
	if p.request.Progress != nil {
		p.request.Progress(Progress{Done: done, Total: total, Unit: unit})
	}
}

func (p *publication) finish() Receipt {
	p.receipt.Seconds = p.node.now().Sub(p.now).Seconds()
	return p.receipt
}
