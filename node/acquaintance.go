package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"entente/protocol"
)

// Two members who know each other by an invite exchange what concerns both: their
// records, and drafts and versions of agreements that name both. So an agreement
// travels before it is in force, and to one whom a new version admits.

// Bounds on what an acquaintance may bring.
const (
	draftsMost  = 8    // agreements of one member's that wait for this member's signature
	sharedMost  = 1000 // documents told at once
	spurnedMost = 256  // documents that were refused and need not be written down again
)

// between returns what this member and another tell each other, what is in force
// too: one whom a version admits gets the last signatures of it in this way.
func (n *Node) between(w *world, other protocol.MemberID) []protocol.Document {
	var out []protocol.Document
	add := func(list ...protocol.Document) {
		for _, d := range list {
			if !slices.ContainsFunc(out, func(have protocol.Document) bool { return sameDocument(have, d) }) {
				out = append(out, d)
			}
		}
	}
	for _, id := range []protocol.MemberID{n.cfg.Member, other} {
		if m := w.members[id]; m != nil {
			add(m.recordDocuments()...)
		}
	}
	for _, g := range w.agreements {
		for _, v := range g.concerning(n.cfg.Member, other) {
			add(v.document)
			for _, p := range v.parsed.Parties {
				if m := w.members[p.ID]; m != nil {
					add(m.recordDocuments()...)
					if g.public() {
						for _, k := range m.profiles {
							add(k.document)
						}
					}
				}
			}
		}
	}
	return out[:min(len(out), sharedMost)]
}

// concerning returns the versions that count or are proposed, name two members and
// are signed by one of them, each after those that it builds on.
func (g *governing) concerning(a, b protocol.MemberID) []kept[*protocol.Agreement] {
	wanted := map[protocol.Hash]bool{}
	for _, v := range slices.Backward(g.versions) {
		signers := protocol.Signers(v.document, v.parsed)
		if g.stillStands(v.parsed) && v.parsed.Party(a) != nil && v.parsed.Party(b) != nil && (slices.Contains(signers, a) || slices.Contains(signers, b)) {
			wanted[v.parsed.Hash] = true
		}
		if wanted[v.parsed.Hash] { // older ones come later in this loop
			for _, h := range v.parsed.Previous {
				wanted[h] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(g.versions), func(v kept[*protocol.Agreement]) bool { return !wanted[v.parsed.Hash] })
}

// acquainted returns the member who is meant by the name of an acquaintance.
func (n *Node) acquainted(w *world, name protocol.AgreementID) (protocol.MemberID, bool) {
	for _, m := range w.circle {
		if protocol.AgreementID(protocol.Acquaintance(n.cfg.Member, m)) == name {
			return m, true
		}
	}
	return protocol.MemberID{}, false
}

// papers are the memberships in which documents pass and nothing else: with those
// who are known by invites, and for agreements that wait.
func (n *Node) papers(w *world) []protocol.Membership {
	var out []protocol.Membership
	for _, m := range w.circle {
		name := protocol.Acquaintance(n.cfg.Member, m)
		out = append(out, protocol.Membership{
			Agreement: protocol.AgreementID(name), Heads: []protocol.Hash{name}, Papers: true,
			Nodes: n.nodesOf(w, m, w.memberName(m)), Held: heldDigest(n.between(w, m)),
		})
	}
	for _, g := range w.agreements {
		if !g.waits() {
			continue
		}
		p := protocol.Membership{Agreement: g.doc.ID, Heads: []protocol.Hash{g.doc.Hash}, Papers: true, Held: heldDigest(g.documents(w))}
		for _, v := range slices.Backward(g.versions) {
			if v.parsed.Hash != g.doc.Hash {
				p.Heads = append(p.Heads, v.parsed.Hash)
			}
		}
		for _, party := range g.doc.Parties {
			p.Nodes = append(p.Nodes, n.nodesOf(w, party.ID, party.Handle)...)
		}
		out = append(out, p)
	}
	return out
}

// waits reports whether the agreement is private, names this member and is not in
// force yet: its parties exchange signatures.
func (g *governing) waits() bool {
	return g.party && !g.public() && (g.state == stateWaiting || g.state == stateNotYet)
}

// nodesOf returns the nodes of another member by its record.
func (n *Node) nodesOf(w *world, id protocol.MemberID, name string) []protocol.Peer {
	m := w.members[id]
	if m == nil || len(m.records) == 0 || id == n.cfg.Member {
		return nil
	}
	var out []protocol.Peer
	for _, e := range m.records[len(m.records)-1].parsed.Nodes {
		out = append(out, protocol.Peer{Author: protocol.Author{Member: id, Node: e.Number}, Name: name, Transport: e.Transport, Addresses: e.Addresses})
	}
	return out
}

// documents returns all versions that are here and the records of the parties.
func (g *governing) documents(w *world) []protocol.Document {
	var out []protocol.Document
	for _, v := range g.versions {
		out = append(out, v.document)
	}
	for _, p := range g.doc.Parties {
		if m := w.members[p.ID]; m != nil {
			out = append(out, m.recordDocuments()...)
		}
	}
	return out
}

// heldDigest changes with every document and every signature.
func heldDigest(documents []protocol.Document) protocol.Hash {
	parts := make([]protocol.Hash, len(documents))
	for i, d := range documents {
		h := sha256.New()
		h.Write(d.Payload)
		h.Write(protocol.EncodeSignatures(d.Signatures))
		h.Sum(parts[i][:0])
	}
	slices.SortFunc(parts, func(a, b protocol.Hash) int { return slices.Compare(a[:], b[:]) })
	h := sha256.New()
	for _, p := range parts {
		h.Write(p[:])
	}
	return protocol.Hash(h.Sum(nil))
}

// takeShared takes what one who is known by an invite brings: agreements first, since
// the records of those whom they name count by them. What is refused is written down
// once.
func (n *Node) takeShared(sender protocol.MemberID, from string, documents []protocol.Document) error {
	var failed error
	records := slices.DeleteFunc(slices.Clone(documents), func(d protocol.Document) bool { return d.Type == protocol.AgreementType })
	order, batches := n.batches(documents)
	for _, id := range order {
		batch := batches[id]
		err := n.doubtDraft(sender, id, batch)
		if err == nil {
			_, err = n.take(documentsOf(batch), id, from)
		} else if !n.knownRefusal(batch) {
			n.noteDocument(batch[0].document, Imported{Kind: "agreement", Name: batch[0].parsed.Name, Version: batch[0].parsed.Version}, from, err)
		}
		failed = errors.Join(failed, err)
	}
	w := n.world.Load()
	records = slices.DeleteFunc(records, func(d protocol.Document) bool {
		r, err := protocol.ParseRecord(d.Payload)
		return err != nil || !w.speaksOf(r.Member) || w.holds(r)
	})
	if len(records) > 0 {
		_, err := n.take(records, protocol.AgreementID{}, from)
		failed = errors.Join(failed, err)
	}
	return failed
}

// holds reports whether a version of a record or profile is here.
func (w *world) holds(r *protocol.Record) bool {
	m := w.members[r.Member]
	return m != nil && slices.ContainsFunc(slices.Concat(m.records, m.profiles), func(k kept[*protocol.Record]) bool { return k.parsed.Hash == r.Hash })
}

// speaksOf reports whether a member is known by an invite or named by an agreement.
func (w *world) speaksOf(id protocol.MemberID) bool {
	if slices.Contains(w.circle, id) {
		return true
	}
	for _, g := range w.agreements {
		if slices.ContainsFunc(g.versions, func(v kept[*protocol.Agreement]) bool { return v.parsed.Party(id) != nil }) {
			return true
		}
	}
	return false
}

// batches sorts agreements by id and version. What cannot be read is left out.
func (n *Node) batches(documents []protocol.Document) ([]protocol.AgreementID, map[protocol.AgreementID][]kept[*protocol.Agreement]) {
	var order []protocol.AgreementID
	out := map[protocol.AgreementID][]kept[*protocol.Agreement]{}
	for _, d := range documents {
		if d.Type != protocol.AgreementType {
			continue
		}
		a, err := protocol.ParseAgreement(d.Payload)
		if err != nil {
			n.cfg.Logger.Warn("a peer sent an agreement that cannot be read", "err", err)
			continue
		}
		if out[a.ID] == nil {
			order = append(order, a.ID)
		}
		out[a.ID] = append(out[a.ID], kept[*protocol.Agreement]{parsed: a, document: d})
	}
	for _, batch := range out {
		slices.SortStableFunc(batch, func(a, b kept[*protocol.Agreement]) int { return int(a.parsed.Version) - int(b.parsed.Version) })
	}
	return order, out
}

func documentsOf(batch []kept[*protocol.Agreement]) []protocol.Document {
	out := make([]protocol.Document, len(batch))
	for i, k := range batch {
		out[i] = k.document
	}
	return out
}

// doubtDraft says why versions of an agreement are not taken from one who is known
// by an invite: the newest must name both and be signed by the sender, or by this
// member; and a sender may have only so many drafts here that nobody has said yes to.
func (n *Node) doubtDraft(sender protocol.MemberID, id protocol.AgreementID, batch []kept[*protocol.Agreement]) error {
	const op = "take a draft"
	w := n.world.Load()
	newest := batch[len(batch)-1]
	a, signers := newest.parsed, protocol.Signers(newest.document, newest.parsed)
	who := w.memberName(sender)
	switch {
	case a.Party(n.cfg.Member) == nil:
		return protocol.Errorf(protocol.Refused, op, "%s sent version %d of %s, which does not name this member", who, a.Version, a.Name)
	case a.Party(sender) == nil:
		return protocol.Errorf(protocol.Refused, op, "%s sent version %d of %s, which does not name the sender", who, a.Version, a.Name)
	case !slices.Contains(signers, sender) && !slices.Contains(signers, n.cfg.Member):
		return protocol.Errorf(protocol.Unverified, op, "%s sent version %d of %s and has not signed it", who, a.Version, a.Name)
	}
	g := w.agreements[id]
	if g != nil && len(g.heads) > 0 {
		// One whom nobody has admitted yet cannot fill the room for proposals.
		if !slices.ContainsFunc(signers, func(m protocol.MemberID) bool { return g.doc.Party(m) != nil }) {
			return protocol.Errorf(protocol.Unverified, op, "%s sent version %d of %s, which no party of version %d has signed", who, a.Version, a.Name, g.doc.Version)
		}
		return nil
	}
	if g != nil {
		return nil
	}
	waiting := 0
	for _, g := range w.agreements {
		if len(g.heads) == 0 && !g.signed[n.cfg.Member] && g.signed[sender] {
			waiting++
		}
	}
	if waiting >= draftsMost {
		return protocol.Errorf(protocol.Limit, op, "%d drafts that %s has signed wait here already; no more are taken", waiting, who)
	}
	return nil
}

// knownRefusal reports whether a refusal was written down before, and remembers it.
func (n *Node) knownRefusal(batch []kept[*protocol.Agreement]) bool {
	n.docs.Lock()
	defer n.docs.Unlock()
	hash := batch[len(batch)-1].parsed.Hash
	if n.spurned[hash] {
		return true
	}
	if n.spurned == nil || len(n.spurned) >= spurnedMost {
		n.spurned = map[protocol.Hash]bool{}
	}
	n.spurned[hash] = true
	return false
}

// takeFromAcquaintance takes the answer to a question between two who know each
// other.
func (n *Node) takeFromAcquaintance(_ context.Context, member protocol.MemberID, from protocol.Peer, documents []protocol.Document) error {
	if from.Author.Member != member {
		return errNotAvailable("take documents")
	}
	return n.takeShared(member, peerText(from), documents)
}

// waitsFor reports whether a version counts or is proposed, names a member, and the
// member has not signed it.
func (g *governing) waitsFor(v kept[*protocol.Agreement], member protocol.MemberID) bool {
	return g.stillStands(v.parsed) && v.parsed.Party(member) != nil && !slices.Contains(protocol.Signers(v.document, v.parsed), member)
}

// stillStands reports whether a version counts, is one of several heads, or is
// proposed.
func (g *governing) stillStands(a *protocol.Agreement) bool {
	same := func(o *protocol.Agreement) bool { return o.Hash == a.Hash }
	return a.Hash == g.doc.Hash || slices.ContainsFunc(g.heads, same) || slices.ContainsFunc(g.proposals, same)
}

// closes names the members whose logs a version is the first to close.
func (w *world) closes(g *governing, a *protocol.Agreement) []string {
	var out []string
	for _, cut := range a.Cuts {
		old := slices.ContainsFunc(g.versions, func(v kept[*protocol.Agreement]) bool {
			return slices.Contains(a.Previous, v.parsed.Hash) && slices.Contains(v.parsed.Cuts, cut)
		})
		if name := w.readerNameIn(g, cut.Member); !old && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
