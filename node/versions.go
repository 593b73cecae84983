package node

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"entente/protocol"
)

// settle finds the version that counts: the newest that the required signers have
// signed. Where there is none the newest that is here waits for signatures; where
// two exclude each other, which proves that somebody signed both, only what both
// allow passes until a version names both.
func (w *world) settle(chain []kept[*protocol.Agreement], now time.Time) *governing {
	g := &governing{versions: chain, bound: map[protocol.MemberID]bool{}, valid: map[protocol.Hash]protocol.SignedVersion{}}
	superseded := map[protocol.Hash]bool{}
	standing := map[protocol.Hash]protocol.Standing{}
	for _, k := range chain {
		a := k.parsed
		st, err := protocol.VerifyAgreement(k.document, g.before(a))
		if err != nil {
			w.fault("document-unverified", fmt.Sprintf("version %d of the agreement %s does not verify: %v", a.Version, a.Name, err))
			continue
		}
		standing[a.Hash] = st
		if !st.Valid {
			g.proposals = append(g.proposals, a)
			continue
		}
		g.valid[a.Hash] = protocol.SignedVersion{Agreement: a, Signers: st.Signed}
		for _, h := range a.Previous {
			superseded[h] = true
		}
	}
	for _, k := range chain {
		if _, ok := g.valid[k.parsed.Hash]; ok && !superseded[k.parsed.Hash] {
			g.heads = append(g.heads, k.parsed)
		}
	}
	g.choose(chain, standing, w.self)
	signedEver := map[protocol.MemberID]bool{}
	for _, v := range g.valid {
		maps.Copy(signedEver, setOf(v.Signers))
	}
	if len(g.valid) == 0 {
		signedEver = g.signed
	}
	w.settleState(g, signedEver, now)
	return g
}

// choose settles which version the answers about the agreement speak of.
func (g *governing) choose(chain []kept[*protocol.Agreement], standing map[protocol.Hash]protocol.Standing, self protocol.MemberID) {
	g.state = stateInForce
	for _, head := range g.heads {
		// All who hold the same versions choose the same one, so that their nodes
		// know each other by it.
		if g.doc == nil || head.Version > g.doc.Version || (head.Version == g.doc.Version && bytes.Compare(head.Hash[:], g.doc.Hash[:]) < 0) {
			g.doc = head
		}
	}
	switch {
	case len(g.heads) > 1:
		g.state = stateForked
	case g.doc == nil && len(g.proposals) > 0:
		g.doc, g.state = g.proposals[len(g.proposals)-1], stateWaiting
	case g.doc == nil:
		g.doc, g.state, g.missing = chain[0].parsed, stateWaiting, chain[0].parsed.Amend
		return
	}
	g.act(self)
	st := standing[g.doc.Hash]
	g.signed, g.missing = setOf(st.Signed), st.Missing
	g.proposals = slices.DeleteFunc(g.proposals, func(a *protocol.Agreement) bool {
		return a.Hash == g.doc.Hash || (len(g.heads) > 0 && !slices.ContainsFunc(g.heads, func(h *protocol.Agreement) bool { return slices.Contains(a.Previous, h.Hash) }))
	})
}

// act settles which versions bind this member: all heads, and beside one that it
// has not signed the newest that it has. What that one does not allow waits for
// this member's yes; what the newer one does not allow ends at once.
func (g *governing) act(self protocol.MemberID) {
	g.acting = slices.Clone(g.heads)
	if len(g.acting) == 0 {
		g.acting = []*protocol.Agreement{g.doc}
		return
	}
	var accepted *protocol.Agreement
	for _, v := range g.valid {
		if slices.Contains(v.Signers, self) && (accepted == nil || v.Agreement.Version > accepted.Version) {
			accepted = v.Agreement
		}
	}
	if accepted != nil && accepted.Version < g.doc.Version {
		g.acting = append(g.acting, accepted)
	}
}

// before returns the valid versions that one names as previous. Where it names
// several, and so resolves a fork, the signers of each are those of its branch.
func (g *governing) before(a *protocol.Agreement) []protocol.SignedVersion {
	var out []protocol.SignedVersion
	for _, h := range a.Previous {
		v, ok := g.valid[h]
		if !ok {
			continue
		}
		if len(a.Previous) > 1 {
			v.Signers = g.branchSigners(h, a.Previous)
		}
		out = append(out, v)
	}
	return out
}

// branchSigners returns who signed a version or one before it that none of the
// others builds on.
func (g *governing) branchSigners(head protocol.Hash, heads []protocol.Hash) []protocol.MemberID {
	shared := map[protocol.Hash]bool{}
	for _, other := range heads {
		if other != head {
			g.ancestry(other, shared)
		}
	}
	own := map[protocol.Hash]bool{}
	g.ancestry(head, own)
	var out []protocol.MemberID
	for h := range own {
		if !shared[h] {
			out = append(out, g.valid[h].Signers...)
		}
	}
	return out
}

// ancestry adds a version and all that it builds on.
func (g *governing) ancestry(h protocol.Hash, into map[protocol.Hash]bool) {
	v, ok := g.valid[h]
	if !ok || into[h] {
		return
	}
	into[h] = true
	for _, p := range v.Agreement.Previous {
		g.ancestry(p, into)
	}
}

// doubleSigners names who signed more than one of the versions that exclude each
// other.
func (g *governing) doubleSigners() []string {
	hashes := make([]protocol.Hash, len(g.heads))
	for i, h := range g.heads {
		hashes[i] = h.Hash
	}
	branches := make([]protocol.SignedVersion, len(g.heads))
	for i, h := range g.heads {
		branches[i] = protocol.SignedVersion{Agreement: h, Signers: g.branchSigners(h.Hash, hashes)}
	}
	var out []string
	for _, m := range protocol.DoubleSigners(branches) {
		if p := g.doc.Party(m); p != nil {
			out = append(out, p.Handle)
		} else {
			out = append(out, m.Short())
		}
	}
	slices.Sort(out)
	return out
}
