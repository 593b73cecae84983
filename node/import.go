package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"entente/protocol"
)

// Import takes documents by an operator's hand: an agreement, a member record
// or a public profile (YAML with the lines of its signatures file), a DSSE
// envelope, or signatures alone for a document that is here already. Importing
// a first member record is the act of trust in that member's root key.
//
// Errors: Invalid for what cannot be read, BadSignature for a false signature,
// Conflict for another document under the same version, Unverified where the
// version before is missing.
func (n *Node) Import(ctx context.Context, payload, signatures []byte) (Imported, error) {
	d, err := n.document(payload, signatures)
	if err != nil {
		return Imported{}, err
	}
	before := n.world.Load()
	out, err := n.take([]protocol.Document{d}, protocol.AgreementID{}, "")
	if err != nil {
		return Imported{}, err
	}
	if d.Type == protocol.AgreementType && n.world.Load() != before {
		if err := n.endorse(ctx, protocol.PayloadHash(d.Payload)); err != nil {
			// The documents are kept, and reach the others by sync all the same.
			n.cfg.Logger.Warn("the others were not told of the new version", "err", err)
		}
	}
	return out[0], nil
}

// document reads what was handed in.
func (n *Node) document(payload, signatures []byte) (protocol.Document, error) {
	const op = "import"
	if trimmed := bytes.TrimLeft(payload, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		return protocol.DecodeEnvelope(trimmed)
	}
	sigs, err := protocol.DecodeSignatures(signatures)
	if err != nil {
		return protocol.Document{}, err
	}
	if len(payload) > 0 {
		kind, err := protocol.DetectDocument(payload)
		if err != nil {
			return protocol.Document{}, err
		}
		return protocol.Document{Type: kind, Payload: payload, Signatures: sigs}, nil
	}
	if len(sigs) == 0 {
		return protocol.Document{}, protocol.E(protocol.Invalid, op, errors.New("there is neither a document nor a signature in it"), "name a .yaml, .sigs or .json file")
	}
	for _, g := range n.world.Load().agreements {
		for _, v := range g.versions {
			for _, s := range sigs {
				if protocol.VerifySignature(v.document.Type, v.document.Payload, s) == nil {
					return protocol.Document{Type: v.document.Type, Payload: v.document.Payload, Signatures: sigs}, nil
				}
			}
		}
	}
	return protocol.Document{}, protocol.E(protocol.NotFound, op, errors.New("the signatures belong to no agreement that is here"),
		"import the agreement first: entente agreements import NAME.vN.yaml")
}

// take verifies and keeps documents, then makes a new world. from is the peer
// that sent them, or "" for the operator; only bounds a peer to one agreement.
func (n *Node) take(documents []protocol.Document, only protocol.AgreementID, from string) ([]Imported, error) {
	n.docs.Lock()
	defer n.docs.Unlock()
	// Records first: agreements are verified against them.
	sorted := slices.Clone(documents)
	slices.SortStableFunc(sorted, func(a, b protocol.Document) int {
		return boolInt(a.Type == protocol.AgreementType) - boolInt(b.Type == protocol.AgreementType)
	})
	var out []Imported
	var failed error
	changed := false
	for _, d := range sorted {
		done, kept, err := n.takeOne(d, only, from)
		n.noteDocument(d, done, from, err)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		changed = changed || kept
		out = append(out, done)
		if kept {
			// The next document may build on this one.
			if err := n.rebuild(); err != nil {
				return out, err
			}
		}
	}
	if changed {
		if err := n.updateNetworks(); err != nil {
			return out, err
		}
		n.tellBuried() // what was stated may count now
		w := n.world.Load()
		for i := range out {
			out[i].State, out[i].Text = w.imported(out[i])
		}
	}
	return out, failed
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (n *Node) takeOne(d protocol.Document, only protocol.AgreementID, from string) (Imported, bool, error) {
	if d.Type == protocol.AgreementType {
		return n.takeAgreement(d, only, from)
	}
	return n.takeRecord(d, from)
}

// takeRecord keeps a member record or profile that continues what is known of
// the member, or begins it.
func (n *Node) takeRecord(d protocol.Document, from string) (Imported, bool, error) {
	r, err := protocol.ParseRecord(d.Payload)
	if err != nil {
		return Imported{}, false, err
	}
	w := n.world.Load()
	kind, folder := "member-record", keptRecords
	if r.Public {
		kind, folder = "public-profile", keptProfiles
	}
	done := Imported{Kind: kind, Name: r.Handle, Version: r.Version, ID: r.Member.String(), State: "known"}
	var chain []kept[*protocol.Record]
	if m := w.members[r.Member]; m != nil {
		chain = m.records
		if r.Public {
			chain = m.profiles
		}
	}
	var prev *protocol.Record
	for _, k := range chain {
		if k.parsed.Hash == r.Hash {
			done.Text = "this version is here already"
			return done, false, nil
		}
		if k.parsed.Version == r.Version {
			return done, false, protocol.E(protocol.Conflict, "import",
				fmt.Errorf("another version %d of the record of %s is here, with other content", r.Version, r.Handle),
				"ask that member which is right; a member that signs two is not to be trusted")
		}
		if k.parsed.Version == r.Version-1 {
			prev = k.parsed
		}
	}
	if _, err := protocol.VerifyRecord(d, prev); err != nil {
		return done, false, err
	}
	if prev == nil {
		if err := w.checkFirst(r, from != ""); err != nil {
			return done, false, err
		}
	}
	if !n.now().Before(r.Until) {
		done.Text = "the record has run out; ask for a newer one"
	}
	name := w.freeName(r.Handle, r.Member)
	return done, true, n.cfg.Documents.Save(folder, name, r.Version, d.Payload, protocol.EncodeSignatures(d.Signatures))
}

// checkFirst doubts the first record or profile of a member: what agreements and
// the other kind of record say of its root key must agree with it, and a peer may
// bring one only of a member that an agreement names.
func (w *world) checkFirst(r *protocol.Record, fromPeer bool) error {
	const op = "import"
	named := false
	for _, g := range w.agreements {
		if p := g.everParty(r.Member); p != nil {
			named = true
			// A profile may begin under a root key that the record came to later.
			if err := r.CheckRoot(*p); err != nil && !w.chained(r) {
				return err
			}
		}
	}
	switch m := w.members[r.Member]; {
	case m != nil && !named && !w.chained(r):
		return protocol.E(protocol.Unverified, op, fmt.Errorf("the record of %s is signed by %s, which is no root key of the member that is known here under that id", r.Handle, r.Root),
			"ask the member by another way which key is right")
	case fromPeer && !named && !slices.Contains(w.circle, r.Member):
		return protocol.Errorf(protocol.Unverified, op, "a peer sent the record of %s, who is in no agreement here", r.Handle)
	}
	return nil
}

// chained reports whether the root key of a first profile is among those of the
// member's records, or the other way round.
func (w *world) chained(r *protocol.Record) bool {
	m := w.members[r.Member]
	return m != nil && slices.ContainsFunc(slices.Concat(m.records, m.profiles), func(k kept[*protocol.Record]) bool { return k.parsed.Root == r.Root })
}

// freeName keeps two members, or two agreements, of one name apart on disk.
func (w *world) freeName(handle string, id protocol.MemberID) string {
	for other, m := range w.members {
		if other != id && m.latest().Handle == handle {
			return handle + "-" + id.Short()
		}
	}
	return handle
}

// maxSiblings is how many versions of one number are kept that are not valid:
// proposals that their parties have not all signed.
const maxSiblings = 8

// takeAgreement keeps a version of an agreement, or more signatures of one. from
// is the peer that sent it, or "".
func (n *Node) takeAgreement(d protocol.Document, only protocol.AgreementID, from string) (Imported, bool, error) {
	const op = "import"
	a, err := protocol.ParseAgreement(d.Payload)
	if err != nil {
		return Imported{}, false, err
	}
	done := Imported{Kind: "agreement", Name: a.Name, Version: a.Version, ID: a.ID.String(), State: "known"}
	if only != (protocol.AgreementID{}) && a.ID != only {
		return done, false, protocol.Errorf(protocol.Unverified, op, "the peer sent another agreement than it was asked for")
	}
	w := n.world.Load()
	g := w.agreements[a.ID]
	var previous []protocol.SignedVersion
	known := protocol.Document{}
	siblings := 0
	if g != nil {
		for _, v := range g.versions {
			_, valid := g.valid[v.parsed.Hash]
			switch {
			case v.parsed.Hash == a.Hash:
				known = v.document
			case v.parsed.Version == a.Version && !valid:
				siblings++
			}
			if slices.Contains(a.Previous, v.parsed.Hash) && !valid {
				previous = append(previous, protocol.SignedVersion{Agreement: v.parsed, Signers: protocol.Signers(v.document, v.parsed)})
			}
		}
		previous = append(previous, g.before(a)...)
	}
	if len(previous) != len(a.Previous) {
		return done, false, protocol.E(protocol.Unverified, op, fmt.Errorf("version %d of %s builds on a version that is not here", a.Version, a.Name),
			"import the versions before it first")
	}
	all := protocol.Document{Type: d.Type, Payload: d.Payload, Signatures: protocol.MergeSignatures(known.Signatures, d.Signatures)}
	st, err := protocol.VerifyAgreement(all, previous)
	if err != nil {
		return done, false, err
	}
	if g == nil && only != a.ID && a.Party(n.cfg.Member) == nil && a.Visibility == protocol.Private && (from != "" || !st.Valid) {
		// With all its signatures it may be the history of one that names this member.
		return done, false, protocol.E(protocol.Refused, op, fmt.Errorf("the agreement %s is private, and this member is no party to it", a.Name),
			"see who the parties are: grep -A3 parties FILE; this member's id: entente status; where a later version names it, import this one with all its signatures")
	}
	if g != nil && known.Payload == nil && !st.Valid {
		if err := g.mayPropose(a, st, siblings, from != ""); err != nil {
			return done, false, err
		}
	}
	// Strangers' signatures, true as they may be, would only fill the room.
	asked := []*protocol.Agreement{a}
	for _, p := range previous {
		asked = append(asked, p.Agreement)
	}
	merged := protocol.TrueSignatures(all, asked...)
	if known.Payload != nil && len(merged) == len(known.Signatures) {
		done.State, done.Text = w.imported(done)
		done.Text = "nothing new in it: " + done.Text
		return done, false, nil
	}
	return done, true, n.cfg.Documents.Save(keptAgreements, w.fileName(a), a.Version, d.Payload, protocol.EncodeSignatures(merged))
}

// mayPropose says why a version that is not fully signed is not kept.
func (g *governing) mayPropose(a *protocol.Agreement, st protocol.Standing, siblings int, fromPeer bool) error {
	const op = "import"
	switch {
	case a.Version <= g.doc.Version && g.open():
		return protocol.E(protocol.Conflict, op,
			fmt.Errorf("version %d of %s is in force; this is a version %d that is not among those before it, and versions only rise", g.doc.Version, a.Name, a.Version),
			"compare with: entente agreements show "+a.Name)
	case fromPeer && len(st.Signed) == 0:
		return protocol.Errorf(protocol.Unverified, op, "none of its parties has signed version %d of %s, which a peer sent", a.Version, a.Name)
	case siblings >= maxSiblings:
		return protocol.E(protocol.Limit, op, fmt.Errorf("%d proposals for version %d of %s are here already", siblings, a.Version, a.Name),
			"agree on one of them: entente agreements history "+a.Name)
	}
	return nil
}

// fileName returns the name under which a version is kept: two agreements of one
// name, and two versions of one number, lie side by side.
func (w *world) fileName(a *protocol.Agreement) string {
	name := a.Name
	for id, other := range w.agreements {
		if id != a.ID && other.doc.Name == a.Name {
			name = a.Name + "-" + a.ID.Short()
		}
	}
	if g := w.agreements[a.ID]; g != nil {
		for _, v := range g.versions {
			switch {
			case v.parsed.Hash == a.Hash:
				return v.name
			case v.parsed.Version == a.Version:
				name = a.Name + "-" + a.Hash.Short()
			}
		}
	}
	return name
}

// imported says where a document stands now and what to do next.
func (w *world) imported(i Imported) (state, text string) {
	if i.Kind != "agreement" {
		for id, m := range w.members {
			if id.String() == i.ID {
				return "known", fmt.Sprintf("%s is known, root key %s: compare it with them by another way", m.latest().Name, m.latest().Root)
			}
		}
		return i.State, i.Text
	}
	for id, g := range w.agreements {
		if id.String() != i.ID {
			continue
		}
		text = g.stateText()
		if g.state == stateWaiting {
			var waiting []string
			for _, p := range g.doc.Parties {
				if !g.signed[p.ID] {
					waiting = append(waiting, p.Handle)
				}
			}
			text += "; not signed yet by " + strings.Join(waiting, ", ")
		}
		return g.state, text
	}
	return i.State, i.Text
}

func (n *Node) noteDocument(d protocol.Document, i Imported, from string, err error) {
	row := protocol.AuditRow{
		Kind: protocol.AuditDocument, Action: "import", Outcome: "ok", Peer: from, Count: 1, Bytes: int64(len(d.Payload)),
		Reason: protocol.AuditReason{Text: fmt.Sprintf("%s %s version %d", i.Kind, i.Name, i.Version)},
	}
	if from != "" {
		row.Action = "fetch"
	}
	if err != nil {
		row.Outcome, row.Reason.Text = "refuse", strings.TrimSpace(row.Reason.Text+" "+err.Error())
	}
	n.note(row)
}

// Join fetches a public agreement by its ticket from any of the hosts that the
// ticket names, verifies it, and follows its topics from then on. By an invite that
// has a secret it makes this member and the inviter known to each other instead.
func (n *Node) Join(ctx context.Context, ticket string) (Imported, error) {
	const op = "join"
	sealed, err := protocol.ParseInvite(ticket)
	if err != nil {
		return Imported{}, err
	}
	inv := sealed.Claim()
	if !n.now().Before(inv.Expires) {
		return Imported{}, protocol.E(protocol.Invalid, op, fmt.Errorf("the ticket ran out on %s", inv.Expires.Format(time.RFC3339)), "ask for a new one")
	}
	if inv.Secret != nil {
		return n.meet(ctx, sealed)
	}
	net := n.networks[publicHost]
	if net == nil {
		return Imported{}, protocol.E(protocol.Invalid, op, errors.New("this node has no public host"), "set public-listen in the configuration")
	}
	documents, err := net.Fetch(ctx, inv.Addresses, inv.Agreement)
	if err != nil {
		return Imported{}, protocol.E(protocol.Unreachable, op, err, "see whether one of the hosts in the ticket can be reached from here")
	}
	out, err := n.takeFetched(documents, inv.Agreement)
	if err != nil {
		return Imported{}, err
	}
	if err := n.addSources(inv.Agreement, inv.Addresses); err != nil {
		return out, err
	}
	n.docs.Lock()
	err = n.updateNetworks()
	n.docs.Unlock()
	if err != nil {
		return out, err
	}
	net.Sync(inv.Agreement)
	return out, nil
}

// takeFetched takes a public agreement that was not known before: agreements
// first, because only the roots that they pin make the profiles trustworthy.
func (n *Node) takeFetched(documents []protocol.Document, id protocol.AgreementID) (Imported, error) {
	var agreements, profiles []protocol.Document
	for _, d := range documents {
		switch d.Type {
		case protocol.AgreementType:
			agreements = append(agreements, d)
		case protocol.ProfileType:
			profiles = append(profiles, d)
		}
	}
	if len(agreements) == 0 {
		return Imported{}, protocol.Errorf(protocol.Unverified, "join", "the host sent no agreement")
	}
	out, err := n.take(agreements, id, "ticket")
	if len(out) == 0 {
		return Imported{}, err
	}
	if _, err := n.take(profiles, id, "ticket"); err != nil {
		n.cfg.Logger.Warn("some profiles of the agreement's parties were not taken", "err", err)
	}
	last := out[len(out)-1]
	last.State, last.Text = n.world.Load().imported(last)
	return last, nil
}

// ticketLife is how long a ticket is good unless it is said otherwise.
const ticketLife = 365 * 24 * time.Hour

// Invite makes a ticket by which anyone can join a public agreement. valid is
// how long it lasts; 0 means a year. Offer makes invites of every kind.
func (n *Node) Invite(_ context.Context, agreement string, valid time.Duration) (string, error) {
	const op = "invite"
	w := n.world.Load()
	g, err := w.agreement(agreement)
	if err != nil {
		return "", err
	}
	if !g.public() {
		return "", protocol.E(protocol.Invalid, op, fmt.Errorf("%s is private: there is no ticket to it that anyone may use", g.doc.Name),
			"invite one member: entente agreements invite "+g.doc.Name)
	}
	net := n.networks[publicHost]
	if net == nil {
		return "", protocol.E(protocol.Invalid, op, errors.New("this node has no public host"), "set public-listen in the configuration")
	}
	if valid <= 0 {
		valid = ticketLife
	}
	inv := protocol.Invite{Agreement: g.doc.ID, Inviter: n.cfg.Member, Expires: n.now().Add(valid).Truncate(time.Microsecond)}
	for _, a := range net.Addresses() {
		inv.Addresses = append(inv.Addresses, a+"/p2p/"+net.PeerID())
	}
	return protocol.SealInvite(inv, n.cfg.Operator)
}

// Agreements lists agreements; name selects one ("" all) and adds the text of the
// version that counts, or of the one that stands behind an @: its number, or the
// beginning of its hash.
func (n *Node) Agreements(_ context.Context, name string) ([]AgreementInfo, error) {
	w := n.world.Load()
	if name == "" {
		return n.agreementInfos(w), nil
	}
	name, wanted, _ := strings.Cut(name, "@")
	g, err := w.agreement(name)
	if err != nil {
		return nil, err
	}
	shown, err := g.version(wanted)
	if err != nil {
		return nil, err
	}
	info := w.agreementInfo(g)
	for _, v := range g.versions {
		if v.parsed.Hash == shown {
			info.Document, info.Signatures = string(v.document.Payload), string(protocol.EncodeSignatures(v.document.Signatures))
		}
		_, valid := g.valid[v.parsed.Hash]
		shown := versionInfo(v, v.parsed.Hash == g.doc.Hash, valid)
		shown.Waits, shown.Closed = g.waitsFor(v, n.cfg.Member), w.closes(g, v.parsed)
		info.Versions = append(info.Versions, shown)
	}
	return []AgreementInfo{info}, nil
}

// version finds a version by its number or the beginning of its hash; "" is the
// one that counts.
func (g *governing) version(wanted string) (protocol.Hash, error) {
	if wanted == "" {
		return g.doc.Hash, nil
	}
	var found []protocol.Hash
	for _, v := range g.versions {
		if fmt.Sprint(v.parsed.Version) == wanted || (len(wanted) >= 8 && strings.HasPrefix(v.parsed.Hash.String(), wanted)) {
			found = append(found, v.parsed.Hash)
		}
	}
	list := "see which there are: entente agreements history " + g.doc.Name
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return protocol.Hash{}, protocol.E(protocol.NotFound, "", fmt.Errorf("%s has no version %.80q here", g.doc.Name, wanted), list)
	default:
		return protocol.Hash{}, protocol.E(protocol.Conflict, "", fmt.Errorf("%s has %d versions %s", g.doc.Name, len(found), wanted), "name it by its hash; "+list)
	}
}

func versionInfo(v kept[*protocol.Agreement], counts, valid bool) VersionInfo {
	a := v.parsed
	out := VersionInfo{
		Version: a.Version, Hash: a.Hash.String(), From: a.From, Until: a.Until, Counts: counts, Valid: valid, Previous: []string{}, Signed: []string{},
	}
	for _, h := range a.Previous {
		out.Previous = append(out.Previous, h.String())
	}
	for _, m := range protocol.Signers(v.document, a) {
		out.Signed = append(out.Signed, a.Party(m).Handle)
	}
	return out
}

func (n *Node) agreementInfos(w *world) []AgreementInfo {
	out := []AgreementInfo{}
	for _, g := range w.agreements {
		out = append(out, w.agreementInfo(g))
	}
	slices.SortFunc(out, func(a, b AgreementInfo) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	return out
}

func (w *world) agreementInfo(g *governing) AgreementInfo {
	a := g.doc
	info := AgreementInfo{
		ID: a.ID.String(), Name: a.Name, Title: a.Title, Version: a.Version, Visibility: string(a.Visibility),
		ClearOnly: g.stale, Vouched: g.fresh, State: g.state, From: a.From, Until: a.Until, Missing: g.missing, Parties: []PartyInfo{}, Topics: []string{}, Signed: []string{},
	}
	for _, p := range g.proposals {
		info.Proposed = max(info.Proposed, p.Version)
	}
	for _, t := range a.Topics {
		info.Topics = append(info.Topics, t.Name)
	}
	for _, p := range a.Parties {
		info.Parties = append(info.Parties, PartyInfo{
			Handle: p.Handle, Name: p.Name, ID: p.ID.String(), Kind: p.Kind, Signed: g.signed[p.ID], Known: w.members[p.ID] != nil, Halted: g.halted[p.ID].text,
		})
		if g.signed[p.ID] {
			info.Signed = append(info.Signed, p.Handle)
		}
	}
	return info
}
