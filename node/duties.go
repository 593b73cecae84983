package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"entente/policy"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// A permission may oblige those who use it (policy.Decision.Duties). What this
// node cannot fulfil it must not use: the answer is no.

// duty says which obligation of a permission an object does not meet, as it is to
// go out or has come in, or "".
func (w *world) duty(author protocol.MemberID, o *stix.Object, d *protocol.Obligations) string {
	if d == nil {
		return ""
	}
	switch d.Attribution {
	case protocol.AttributionMust:
		if w.identities[o.CreatedBy] != author {
			return "the clause obliges to name the source: created_by_ref must be an identity that the publishing member's record binds"
		}
	case protocol.AttributionMustNot:
		if o.CreatedBy != "" {
			return "the clause forbids to name the source: the object must have no created_by_ref"
		}
	}
	return w.remains(author, o, d)
}

// dutyDecision is the refusal for an obligation that is not met.
func (w *world) dutyDecision(d policy.Decision, text string) policy.Decision {
	return policy.Decision{Outcome: policy.Refuse, Layer: policy.Governing, Agreement: d.Agreement, Version: d.Version, Clause: d.Clause, Marking: d.Marking, Text: text}
}

// origins settles a candidate of which versions are held: under which agreements
// they came, so that what those forbid everywhere is asked, and whether what this
// member got may be passed on under another agreement at all. What it gave itself
// it may give again, but for what it signed to forbid everywhere; and what it gave
// here before came from here.
func (p *publication) origins(c *candidate, versions []store.Version) {
	self := p.node.cfg.Member
	here := slices.ContainsFunc(versions, func(v store.Version) bool {
		return v.Log.Author.Member == self && v.Log.Agreement == p.governing.doc.ID
	})
	for _, v := range versions {
		own := v.Log.Author.Member == self
		if v.Log.Agreement == p.governing.doc.ID || own && here {
			continue
		}
		o := v.Object
		o.Level = stix.LevelOf(o, func(id string) *stix.Object { return p.node.marks.get(p.node, id) })
		subject := policy.SubjectOf(o)
		c.subject.Origins = append(c.subject.Origins, policy.Origin{Agreement: v.Log.Agreement, Topic: v.Log.Lane.Topic, Author: v.Log.Author.Member, Subject: subject})
		if own {
			continue
		}
		// What an agreement obliges to outlives it.
		when := p.now
		if g := p.world.agreements[v.Log.Agreement]; g != nil {
			when = g.lastDay(p.now)
		}
		d := p.world.engine.Read(policy.Reader{Member: self, Remote: true}, v.Log.Agreement, v.Log.Lane.Topic, v.Log.Author.Member, subject, when)
		if d.Outcome != policy.Allow && d.Layer != policy.Local {
			c.verdict = policy.Verdict{Decision: p.world.dutyDecision(d, textOnward+p.world.agreementName(v.Log.Agreement)+", which does not let this member have it any more")}
			return
		}
		if text := onward(d.Duties, p.now); (d.Outcome == policy.Allow || d.Layer == policy.Local) && text != "" {
			if d.Duties.Onward == protocol.OnwardAsk && !p.now.Before(d.Duties.Embargo) {
				if grant, ok := p.node.grantOf(v, p.governing.doc.ID, p.topic, p.now); ok {
					c.grants = append(c.grants, grant)
					continue
				}
				text += "; to ask: entente requests ask ID --to " + p.governing.doc.Name + "/" + p.topic + " --reason TEXT"
			}
			c.verdict = policy.Verdict{Decision: p.world.dutyDecision(d, text+" ("+p.world.agreementName(d.Agreement)+")")}
			return
		}
	}
	if len(c.subject.Origins) > 0 {
		c.verdict = p.world.engine.Outbound(p.governing.doc.ID, p.topic, self, c.subject, p.now)
	}
}

// textOnward begins what is said of what was got and is not passed on.
const textOnward = "it came under "

// onward says why what was got under some obligations is not passed on, or "".
func onward(d *protocol.Obligations, now time.Time) string {
	switch {
	case d == nil:
		return ""
	case now.Before(d.Embargo):
		return textOnward + "an embargo until " + minute(d.Embargo)
	case d.Onward == protocol.OnwardNever:
		return textOnward + "a clause that lets nobody pass it on"
	case d.Onward == protocol.OnwardAsk:
		return textOnward + "a clause that lets it be passed on only when its source has been asked"
	case d.Onward == protocol.OnwardClients:
		return textOnward + "a clause that lets it be passed on to clients alone"
	}
	return ""
}

// inTime reports whether what came at a moment may still be held: obligations may
// set a ceiling.
func inTime(d *protocol.Obligations, added int64, now time.Time) bool {
	return d == nil || d.Retain.IsZero() || now.Before(d.Retain.After(time.UnixMicro(added)))
}

// expiryInterval is how often the node looks for what it may keep no longer.
// Nobody is shown such an object from the moment on at which it expires.
const expiryInterval = time.Hour

// expire erases what may be kept no longer, now and every hour.
func (n *Node) expire(ctx context.Context) error {
	tick := time.NewTicker(expiryInterval)
	defer tick.Stop()
	for {
		if err := n.expireNow(ctx); err != nil && ctx.Err() == nil {
			n.cfg.Logger.Error("what may be kept no longer could not be erased; it is tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// expireNow erases what may be kept no longer, and what was erased before it from
// the disk.
func (n *Node) expireNow(ctx context.Context) error {
	w := n.world.Load()
	for _, g := range w.agreements {
		if !g.retains() {
			continue
		}
		due, err := n.expired(w, g)
		if err != nil {
			return err
		}
		if len(due) == 0 {
			continue
		}
		count := 0
		for _, e := range due {
			count += len(e.Positions)
		}
		row := protocol.AuditRow{
			Time: n.now(), Kind: protocol.AuditDecision, Action: "expire", Outcome: "ok", Agreement: g.doc.ID, Version: g.doc.Version, Count: count,
			Reason: protocol.AuditReason{Layer: policy.Governing.String(), Text: fmt.Sprintf("%s may be kept no longer and %s erased", quantity(count, "object"), were(count))},
		}
		if _, err := n.cfg.Store.Erase(ctx, due, row); err != nil {
			return err
		}
	}
	if err := n.cfg.Store.Purge(ctx); err != nil {
		return err
	}
	return n.countReviews(ctx)
}

func were(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// retains reports whether some clause of the agreement sets a ceiling.
func (g *governing) retains() bool {
	for _, v := range g.versions {
		for _, c := range v.parsed.Clauses {
			if c.Then != nil && !c.Then.Retain.IsZero() {
				return true
			}
		}
	}
	return false
}

// expired finds what others gave under an agreement and may be kept no longer.
func (n *Node) expired(w *world, g *governing) ([]store.Erasure, error) {
	now := n.now()
	var out []store.Erasure
	r := n.carried()
	err := n.cfg.Store.Scan(store.Query{Agreement: g.doc.ID}, func(v store.Version) bool {
		if v.Log.Author.Member == n.cfg.Member {
			return true
		}
		subject, _ := r.subject(v.Object)
		// The ceiling outlives the agreement.
		d := w.engine.Read(policy.Reader{Member: n.cfg.Member, Remote: true}, v.Log.Agreement, v.Log.Lane.Topic, v.Log.Author.Member, subject, g.lastDay(now))
		if d.Outcome != policy.Allow && d.Layer != policy.Local || inTime(d.Duties, v.Added, now) {
			return true
		}
		if last := len(out) - 1; last >= 0 && out[last].Log == v.Log && out[last].Sequence == v.Sequence {
			out[last].Positions = append(out[last].Positions, v.Position)
		} else {
			out = append(out, store.Erasure{Log: v.Log, Sequence: v.Sequence, Positions: []int{v.Position}})
		}
		return true
	})
	return out, err
}
