package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"entente/policy"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/protocol/stix/redact"
)

// What a clause obliges to take out of objects, or to replace, is done before
// they are published, and decided about again: types, markings and references of
// what came out are what counts. Who receives looks whether it was done.

// taskOf returns what obligations demand of the content of an object. Words that
// are not known here cannot have been compiled.
func taskOf(d *protocol.Obligations) redact.Task {
	if d == nil {
		return redact.Task{}
	}
	out, err1 := redact.ParseThings(d.Redact)
	instead, err2 := redact.ParseThings(d.Pseudonymise)
	if err1 != nil || err2 != nil {
		out, instead = redact.Victims|redact.FreeText, 0
	}
	return redact.Task{Redact: out, Pseudonymise: instead, Unattributed: d.Attribution == protocol.AttributionMustNot}
}

// transforms reports whether obligations demand anything of the content.
func transforms(d *protocol.Obligations) bool { return taskOf(d) != redact.Task{} }

// transform names everything that the clauses of a topic demand of content,
// whoever reads and whatever the object: ids of what is transformed depend on it.
// It is "" where they demand nothing.
func (g *governing) transform(topic string) string {
	var all redact.Task
	for _, c := range g.doc.Clauses {
		if c.Then != nil && (len(c.Topics) == 0 || slices.Contains(c.Topics, topic)) {
			t := taskOf(c.Then)
			all.Redact |= t.Redact
			all.Pseudonymise |= t.Pseudonymise
			all.Unattributed = all.Unattributed || t.Unattributed
		}
	}
	if all == (redact.Task{}) {
		return ""
	}
	return fmt.Sprintf("redact %s; pseudonymise %s; unattributed %t", all.Redact, all.Pseudonymise, all.Unattributed)
}

// plan makes the plan of a publication.
func (p *publication) plan() *redact.Plan {
	n, w := p.node, p.world
	return redact.New(redact.Config{
		Secret: n.cfg.Transform.Secret, Agreement: p.governing.doc.ID.String(), Transform: p.governing.transform(p.topic),
		Internal: n.cfg.Transform.Internal, Limits: n.cfg.Limits,
		Bound: w.isBound,
		Mine:  func(id string) bool { return w.identities[id] == n.cfg.Member },
		Held: func(id string) bool {
			has, err := n.cfg.Store.Has([]string{id})
			return err == nil && has[0]
		},
	})
}

// isBound reports whether some member's record binds an identity.
func (w *world) isBound(id string) bool { return w.identities[id] != protocol.MemberID{} }

// redact transforms those of the fresh objects whose clauses oblige to it, with
// all that refer to them, and has each decided about again. It returns the fresh
// objects with those that came in addition.
func (p *publication) redact(fresh []*candidate, definition func(string) *stix.Object) []*candidate {
	if !slices.ContainsFunc(fresh, func(c *candidate) bool { return c.allowed() && transforms(c.verdict.Duties) }) {
		return fresh
	}
	if p.node.cfg.Transform.Secret == ([32]byte{}) {
		for _, c := range fresh {
			if c.allowed() && transforms(c.verdict.Duties) {
				c.verdict = policy.Verdict{Decision: p.world.dutyDecision(c.verdict.Decision,
					textUnfit+"this node has no secret to make new ids with")}
			}
		}
		return fresh
	}
	items := make([]redact.Item, 0, len(fresh))
	for _, c := range fresh {
		if c.object != nil {
			items = append(items, redact.Item{Object: c.object, Task: taskOf(c.verdict.Duties), Context: !c.allowed()})
		}
	}
	plan := p.plan()
	done := plan.Batch(items)
	at := 0
	for _, c := range fresh {
		if c.object == nil {
			continue
		}
		o := done.Outcomes[at]
		if at++; c.allowed() {
			p.outcome(c, o, plan, definition)
		}
	}
	for _, o := range done.Twins {
		c := &candidate{object: o.Object, id: o.Object.ID, kind: o.Object.Type}
		if from := p.batch[o.From]; from != nil {
			c.item.Index, c.item.Line = from.item.Index, from.item.Line
		}
		p.candidates, p.waiting = append(p.candidates, c), append(p.waiting, c)
		fresh = append(fresh, c)
		p.outcome(c, o, plan, definition)
	}
	for _, c := range p.waiting {
		if c.repeated && c.same != nil {
			c.object, c.id = c.same.object, c.same.id
		}
	}
	return fresh
}

func (c *candidate) allowed() bool { return c.verdict.Outcome == policy.Allow && !c.repeated }

// given returns the id of the object as it was given.
func (c *candidate) given() string {
	if c.from != "" {
		return c.from
	}
	return c.id
}

// outcome takes up what became of an object.
func (p *publication) outcome(c *candidate, o redact.Outcome, plan *redact.Plan, definition func(string) *stix.Object) {
	switch {
	case o.Gone != 0:
		d := p.world.dutyDecision(c.verdict.Decision, textTakenOut+o.Gone.String())
		d.Outcome = policy.Withhold
		c.verdict = policy.Verdict{Decision: d}
	case o.Object == nil:
		c.verdict = policy.Verdict{Decision: p.world.dutyDecision(c.verdict.Decision, textUnfit+o.Why)}
	case o.From == "":
		if transforms(c.verdict.Duties) {
			p.decideOne(c, definition) // what nothing was taken out of must be as it has to be
		}
	default:
		refs := slices.Clone(c.object.Refs)
		c.original = func(missing string) string {
			for _, r := range refs {
				if plan.ID(r.Target) == missing {
					return r.Target
				}
			}
			return missing
		}
		c.from, c.told = o.From, o.Told
		c.object, c.id, c.creator = o.Object, o.Object.ID, o.Object.CreatedBy
		if p.batch[c.from] == c {
			delete(p.batch, c.from)
		}
		p.batch[c.id] = c
		p.decideOne(c, definition)
	}
}

// What is said of objects that do not go, or are not taken, for what they tell.
// Each rests on their content.
const (
	textTakenOut   = "it is, or says nothing without, what the clause obliges to take out: "
	textUnfit      = "it cannot be transformed as the clause obliges to: "
	textStillTells = "it still tells what the clause obliges to take out or to replace: "
	textUnseen     = "nobody can see whether it was transformed as the clause obliges to: "
)

// isOfContent reports whether a text is one of those.
func isOfContent(text string) bool {
	return slices.ContainsFunc([]string{textTakenOut, textUnfit, textStillTells, textUnseen}, func(p string) bool { return strings.HasPrefix(text, p) })
}

// remains says what an object still tells that obligations forbid, or "".
func (w *world) remains(author protocol.MemberID, o *stix.Object, d *protocol.Obligations) string {
	task := taskOf(d)
	if task == (redact.Task{}) {
		return ""
	}
	left := redact.Remains(o, task, w.isBound, func(id string) bool { return w.identities[id] == author })
	switch {
	case left.Things == redact.Source:
		return textStillTells + left.Things.String()
	case left.Things != 0:
		return textStillTells + left.Things.String()
	case left.Why != "":
		return textUnseen + left.Why
	}
	return ""
}

// Redaction tells what was taken out of the objects of a publication. None of it
// is sent.
type Redaction struct {
	Objects int              `json:"objects"` // how many became other objects
	Told    []ThingCount     `json:"told"`    // what was taken out or replaced, by thing
	First   []RedactedObject `json:"first"`   // up to 1,000; the audit log has all
}

// ThingCount counts the places in which a thing was found.
type ThingCount struct {
	Thing string `json:"thing"`
	Count int    `json:"count"`
}

// RedactedObject is an object that became another.
type RedactedObject struct {
	Index int          `json:"index"`
	Line  int          `json:"line,omitzero"`
	ID    string       `json:"id"`     // as it was given
	NewID string       `json:"new_id"` // as it is published
	Told  []ThingCount `json:"told"`   // empty: only what it refers to
}

const redactedFirst = 1000

// redacted notes in the receipt what became of an object.
func (p *publication) redacted(c *candidate) {
	r := p.receipt.Redacted
	if r == nil {
		r = &Redaction{Told: []ThingCount{}, First: []RedactedObject{}}
		p.receipt.Redacted = r
	}
	r.Objects++
	one := RedactedObject{Index: c.item.Index, Line: c.item.Line, ID: c.from, NewID: c.id, Told: []ThingCount{}}
	for _, t := range c.told {
		one.Told = append(one.Told, ThingCount(t))
		at := slices.IndexFunc(r.Told, func(sum ThingCount) bool { return sum.Thing == t.Thing })
		if at < 0 {
			at = len(r.Told)
			r.Told = append(r.Told, ThingCount{Thing: t.Thing})
		}
		r.Told[at].Count += t.Count
	}
	if len(r.First) < redactedFirst {
		r.First = append(r.First, one)
	}
}

// actionRedact is the action of audit rows about objects that became others: the
// ids of each stand in pairs, as published and as given.
const actionRedact = "redact"

// redactRows are the audit rows for what a message holds that became another
// object. They stay on this node.
func (p *publication) redactRows(log *protocol.LogID, members []*candidate) []protocol.AuditRow {
	var rows []protocol.AuditRow
	at := map[string]int{}
	for i, c := range members {
		if c.from == "" {
			continue
		}
		text := "it refers to objects that were transformed"
		if len(c.told) > 0 {
			var parts []string
			for _, t := range c.told {
				parts = append(parts, fmt.Sprintf("%s (%d)", t.Thing, t.Count))
			}
			text = "taken out or replaced: " + strings.Join(parts, ", ")
		}
		key := c.verdict.Clause + " " + text
		n, ok := at[key]
		if !ok {
			n = len(rows)
			at[key] = n
			row := decisionRow(p.now, actionRedact, p.topic, c.verdict.Decision, nil)
			row.Outcome, row.Log, row.Party, row.Reason.Text = "ok", log, p.node.cfg.Member, text
			rows = append(rows, row)
		}
		rows[n].Objects = append(rows[n].Objects, c.id, c.from)
		rows[n].Positions = append(rows[n].Positions, i)
		rows[n].Count++
	}
	return rows
}

// made tells what the audit log holds of an object that became another, or that
// was made of one here: the ids, each once.
func (n *Node) made(ctx context.Context, id string) (from, into []string, err error) {
	err = n.Audit(ctx, AuditQuery{Object: id, Limit: 100_000}, func(e AuditEntry) bool {
		if e.Action != actionRedact {
			return true
		}
		for i := 0; i+1 < len(e.Objects); i += 2 {
			switch {
			case e.Objects[i] == e.Objects[i+1]: // a member's own identity keeps its id
			case e.Objects[i] == id && !slices.Contains(from, e.Objects[i+1]):
				from = append(from, e.Objects[i+1])
			case e.Objects[i+1] == id && !slices.Contains(into, e.Objects[i]):
				into = append(into, e.Objects[i])
			}
		}
		return true
	})
	return from, into, err
}

// withMade checks ids, and adds to them those of the objects that were made of
// them here. involved are those that others were made of: they may be nowhere.
func (n *Node) withMade(ctx context.Context, ids []string) (all []string, involved map[string]bool, err error) {
	involved = map[string]bool{}
	for _, id := range ids {
		if err := stix.CheckID(id); err != nil {
			return nil, nil, err
		}
		all = append(all, id)
		_, into, err := n.made(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		for _, other := range into {
			involved[id], involved[other] = true, true
			all = append(all, other)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), involved, nil
}
