package node

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"

	"entente/policy"
	"entente/protocol"
	"entente/store"
)

// worldOf makes a world again from what decisions rested on, as far as they asked
// of it. Where something that it names is not here any more it says so.
func (n *Node) worldOf(now *world, b protocol.AuditBasis) (*world, string) {
	w := &world{
		self: b.Member, agreements: map[protocol.AgreementID]*governing{}, members: map[protocol.MemberID]*member{},
		identities: map[string]protocol.MemberID{},
	}
	if gone := w.recall(now, b.Documents); gone != "" {
		return nil, gone
	}
	if len(b.Rules) > 0 {
		var err error
		if w.local, err = protocol.ParseLocalRules(b.Rules); err != nil {
			return nil, fmt.Sprintf("the local rules of then mean nothing to this program: %v", err)
		}
	}
	var rules []*policy.Rules
	for _, a := range b.Agreements {
		held := now.agreements[a.ID]
		if held == nil {
			return nil, fmt.Sprintf("the agreement %s is not here any more", a.ID.Short())
		}
		g := &governing{versions: held.versions, state: a.State, terminated: a.Terminated, halted: map[protocol.MemberID]halt{}}
		if g.doc = held.known(a.Version); g.doc == nil {
			return nil, fmt.Sprintf("the version %s of %s is not here any more", a.Version.Short(), held.doc.Name)
		}
		for _, h := range a.Halted {
			g.halted[h.Member] = halt{until: h.Until, text: h.Text}
		}
		w.agreements[a.ID] = g
		for _, hash := range a.Acting {
			v := held.known(hash)
			if v == nil {
				return nil, fmt.Sprintf("the version %s of %s is not here any more", hash.Short(), held.doc.Name)
			}
			g.acting = append(g.acting, v)
		}
		made, err := g.rules(factsOf(g, a, b.Encrypted), w.local, b.Member)
		if err != nil {
			return nil, fmt.Sprintf("a version of %s means nothing to this node any more: %v", held.doc.Name, err)
		}
		rules = append(rules, made...)
	}
	var err error
	if w.engine, err = policy.NewEngine(b.Member, rules...); err != nil {
		return nil, err.Error()
	}
	return w, ""
}

// rules compiles the versions that act, under local rules and facts.
func (g *governing) rules(facts policy.Facts, local *protocol.LocalRules, self protocol.MemberID) ([]*policy.Rules, error) {
	var out []*policy.Rules
	for _, v := range g.acting {
		compiled, err := policy.CompileAgreement(v)
		if err == nil {
			compiled, err = compiled.Under(local, self)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, compiled.With(facts))
	}
	return out, nil
}

// factsOf gathers the facts that a basis tells of an agreement.
func factsOf(g *governing, a protocol.BasisAgreement, encrypted bool) policy.Facts {
	f := policy.Facts{Encrypted: encrypted, ClearOnly: a.ClearOnly, Terminated: g.terminated, Suspended: suspended(g.halted)}
	for _, e := range a.Entitled {
		if f.Entitled == nil {
			f.Entitled = map[string]map[protocol.MemberID]time.Time{}
		}
		if f.Entitled[e.Name] == nil {
			f.Entitled[e.Name] = map[protocol.MemberID]time.Time{}
		}
		f.Entitled[e.Name][e.Member] = e.Until
	}
	return f
}

// known returns a version that is here, by its hash, or nil.
func (g *governing) known(hash protocol.Hash) *protocol.Agreement {
	for _, v := range g.versions {
		if v.parsed.Hash == hash {
			return v.parsed
		}
	}
	return nil
}

// recall takes up what was known of members: documents, and those before them.
func (w *world) recall(now *world, documents []protocol.Hash) string {
	wanted := make(map[protocol.Hash]bool, len(documents))
	for _, h := range documents {
		wanted[h] = true
	}
	upTo := func(list []kept[*protocol.Record]) []kept[*protocol.Record] {
		at := slices.IndexFunc(list, func(k kept[*protocol.Record]) bool { return wanted[k.parsed.Hash] })
		if at >= 0 {
			delete(wanted, list[at].parsed.Hash)
		}
		return list[:at+1]
	}
	for id, m := range now.members {
		then := &member{id: id, records: upTo(m.records), profiles: upTo(m.profiles)}
		if then.latest() == nil {
			continue
		}
		w.members[id] = then
		for _, identity := range then.latest().Identities {
			w.identities[identity] = id
		}
	}
	for h := range wanted {
		return fmt.Sprintf("the member record %s is not here any more", h.Short())
	}
	return ""
}

// hindsight is what this node knows now of what was so at earlier moments: which
// versions had been signed when, and what had been stated.
type hindsight struct {
	versions []signedAt
	stated   []*protocol.SealedStatement // standing of parties, by time
}

// signedAt is a version with the moment by which so many as it takes say they had
// signed it.
type signedAt struct {
	agreement protocol.AgreementID
	doc       *protocol.Agreement
	at        time.Time
}

// hindsight reads the statements that are here.
func (n *Node) hindsight(w *world) (*hindsight, error) {
	h := &hindsight{}
	type endorsed struct {
		version protocol.Hash
		member  protocol.MemberID
	}
	first := map[endorsed]time.Time{}
	err := n.cfg.Store.Statements(0, func(e store.Entry) bool {
		header := e.Message.Header()
		for i := range header.Objects {
			sealed, err := protocol.DecodeStatement(e.Message.Object(i))
			if err != nil || misplaced(sealed.Claim(), header) != nil || w.verify(sealed) != nil {
				continue
			}
			switch claim := sealed.Claim(); claim.Kind {
			case protocol.Endorsement:
				key := endorsed{claim.About, claim.Member}
				if at, ok := first[key]; !ok || claim.Time.Before(at) {
					first[key] = claim.Time
				}
			case protocol.Suspension, protocol.Resumption, protocol.Withdrawal:
				h.stated = append(h.stated, sealed)
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(h.stated, func(a, b *protocol.SealedStatement) int { return a.Claim().Time.Compare(b.Claim().Time) })
	for id, g := range w.agreements {
		for _, v := range g.valid {
			need := v.Agreement.Amend
			for _, before := range v.Agreement.Previous {
				need = max(need, g.valid[before].Agreement.Amend)
			}
			var times []time.Time
			for _, m := range v.Signers {
				if at, ok := first[endorsed{v.Agreement.Hash, m}]; ok {
					times = append(times, at)
				}
			}
			if slices.SortFunc(times, time.Time.Compare); len(times) >= need && need > 0 && v.Agreement.Version > 1 {
				h.versions = append(h.versions, signedAt{id, v.Agreement, times[need-1]})
			}
		}
	}
	slices.SortFunc(h.versions, func(a, b signedAt) int { return cmp.Compare(a.doc.Version, b.doc.Version) })
	return h, nil
}

// seenLater is the answer of knownLater that was given last.
type seenLater struct {
	basis  protocol.Hash
	events int // that had been by then
	world  *world
	says   string
}

// by counts the events that had been at a moment.
func (h *hindsight) by(at time.Time) int {
	n := 0
	for _, v := range h.versions {
		if !v.at.After(at) && !at.Before(v.doc.From) {
			n++
		}
	}
	return n + sort.Search(len(h.stated), func(i int) bool { return h.stated[i].Claim().Time.After(at) })
}

// knownLater makes a former world as it would have been had the node known then
// what it knows now, and says what that is; nil where that is nothing.
func (r *replayer) knownLater(hash protocol.Hash, f *formerly, row protocol.AuditRow) (*world, string) {
	events := r.later.by(row.Time)
	if s := r.seen; s != nil && s.basis == hash && s.events == events {
		return s.world, s.says
	}
	r.seen = &seenLater{basis: hash, events: events}
	b := f.basis
	b.Agreements = slices.Clone(b.Agreements)
	var says string
	for i := range b.Agreements {
		says += r.later.add(&b.Agreements[i], f.world, r.now, row.Time)
	}
	if says != "" {
		w, gone := r.node.worldOf(r.now, b)
		if gone == "" {
			r.seen.world, r.seen.says = w, "the same as recorded, but it is known now that "+says[len("; "):]
		}
	}
	return r.seen.world, r.seen.says
}

// add changes how an agreement stood to what is known now of a moment, and says
// how, after "; ".
func (h *hindsight) add(a *protocol.BasisAgreement, then, now *world, at time.Time) (says string) {
	g := then.agreements[a.ID]
	if len(a.Acting) == 0 {
		return ""
	}
	for _, v := range h.versions {
		if v.agreement != a.ID || v.doc.Version <= g.doc.Version || v.at.After(at) || at.Before(v.doc.From) {
			continue
		}
		acting := []protocol.Hash{v.doc.Hash}
		if !slices.Contains(now.agreements[a.ID].valid[v.doc.Hash].Signers, then.self) {
			acting = append(acting, a.Acting...)
		}
		a.Version, a.Acting = v.doc.Hash, acting
		says = fmt.Sprintf("; version %d of %s had been signed by %s", v.doc.Version, v.doc.Name, minute(v.at))
	}
	said := &statements{last: map[statementKey]spoken{}}
	for _, s := range h.stated {
		if claim := s.Claim(); claim.Agreement == a.ID && !claim.Time.After(at) {
			said.last[statementKey{claim.Kind, claim.Member, claim.Party, claim.Name}] = spoken{sealed: s, sent: claim.Time}
		}
	}
	asOf := *g
	asOf.halted = nil
	scratch := *now // which haltedBy tells when it changes again
	scratch.haltedBy(&asOf, said, at)
	for member, halted := range asOf.halted {
		if _, known := g.halted[member]; !known {
			a.Halted = append(slices.Clone(a.Halted), protocol.BasisHalt{Member: member, Until: halted.until, Text: halted.text})
			says += "; " + halted.text
		}
	}
	return says
}
