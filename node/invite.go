package node

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"entente/protocol"
)

// An invite to what is private makes two members known to each other. Who made it
// keeps what can be derived from its secret, never the secret; the first member that
// shows the secret is bound to it, durably, before it is answered.

// Bounds on invites.
const (
	inviteLife  = 7 * 24 * time.Hour
	invitesOpen = 64  // not used yet
	invitesKept = 256 // of any state
	noteMost    = 200 // bytes of what an invite is for
)

// circle is whom this member knows by invites, and the invites that it made.
type circle struct {
	Invites []keptInvite        `json:"invites,omitempty"`
	Known   []protocol.MemberID `json:"known,omitempty"`
}

// keptInvite is an invite as its maker keeps it.
type keptInvite struct {
	Door      protocol.Hash        `json:"door"` // tags its streams
	Mark      protocol.Hash        `json:"mark"` // of its secret
	Agreement protocol.AgreementID `json:"agreement,omitzero"`
	Note      string               `json:"note,omitempty"`
	Made      time.Time            `json:"made"`
	Expires   time.Time            `json:"expires"`
	Revoked   bool                 `json:"revoked,omitzero"`
	UsedBy    protocol.MemberID    `json:"used_by,omitzero"`
	UsedAt    time.Time            `json:"used_at,omitzero"`
}

// circleName is the setting that holds the circle: one value, so that who was let
// in and by what are written together or not at all.
const circleName = "circle"

// loadCircle reads what was kept.
func (n *Node) loadCircle() error {
	kept, err := n.cfg.Store.Setting(circleName)
	if err != nil || kept == nil {
		return err
	}
	if err := json.Unmarshal(kept, &n.circle); err != nil {
		return protocol.E(protocol.Conflict, "read the invites", fmt.Errorf("the setting is damaged: %w", err), "restore a backup")
	}
	return nil
}

// keepCircle makes a changed circle durable, then the one that counts. The caller
// holds n.docs.
func (n *Node) keepCircle(c circle) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := n.cfg.Store.SetSetting(circleName, text); err != nil {
		return err
	}
	n.circle = c
	return nil
}

// with returns the circle with one more member.
func (c circle) with(m protocol.MemberID) circle {
	c.Invites, c.Known = slices.Clone(c.Invites), slices.Clone(c.Known)
	if !slices.Contains(c.Known, m) {
		c.Known = append(c.Known, m)
	}
	return c
}

// good reports whether the invite may still be shown.
func (i *keptInvite) good(now time.Time) bool { return !i.Revoked && now.Before(i.Expires) }

// open reports whether nobody has used the invite, and somebody may.
func (i *keptInvite) open(now time.Time) bool { return i.good(now) && i.UsedBy.IsZero() }

func (i *keptInvite) state(now time.Time) string {
	switch {
	case i.Revoked:
		return "revoked"
	case !i.UsedBy.IsZero():
		return "used"
	case i.good(now):
		return "open"
	}
	return "expired"
}

// name is what people call an invite: the beginning of its mark.
func (i *keptInvite) name() string { return hex.EncodeToString(i.Mark[:4]) }

// openDoors tells the member host which invites are open. The caller holds n.docs.
func (n *Node) openDoors() {
	net := n.networks[memberHost]
	if net == nil {
		return
	}
	now := n.now()
	var doors []protocol.Hash
	strangers := false
	for _, i := range n.circle.Invites {
		if i.good(now) {
			doors, strangers = append(doors, i.Door), strangers || i.open(now)
		}
	}
	net.Doors(doors, strangers)
}

// InviteRequest asks for an invite.
type InviteRequest struct {
	Agreement string `json:"agreement,omitempty"` // name or id; "" where there is none yet
	Note      string `json:"note,omitempty"`      // for whom, for this member's people alone
	Valid     string `json:"valid,omitempty"`     // how long, "72h"; "" is 7 days, and a year for a public agreement
}

// InviteInfo tells about an invite.
type InviteInfo struct {
	ID        string    `json:"id,omitempty"`        // none for a ticket to a public agreement, which is not kept
	Ticket    string    `json:"ticket,omitempty"`    // its text: when it is made and never again
	Agreement string    `json:"agreement,omitempty"` // name
	Note      string    `json:"note,omitempty"`
	State     string    `json:"state"` // open, used, expired, revoked
	Made      time.Time `json:"made"`
	Expires   time.Time `json:"expires"`
	UsedBy    string    `json:"used_by,omitempty"`    // handle
	UsedByID  string    `json:"used_by_id,omitempty"` // member id
	UsedAt    time.Time `json:"used_at,omitzero"`
}

func (w *world) inviteInfo(i keptInvite, now time.Time) InviteInfo {
	info := InviteInfo{ID: i.name(), Note: i.Note, State: i.state(now), Made: i.Made, Expires: i.Expires, UsedAt: i.UsedAt}
	if !i.Agreement.IsZero() {
		info.Agreement = w.agreementName(i.Agreement)
	}
	if !i.UsedBy.IsZero() {
		info.UsedBy, info.UsedByID = w.memberName(i.UsedBy), i.UsedBy.String()
	}
	return info
}

// Offer makes an invite. To a public agreement it is a ticket, which anyone may use
// and which is not kept. To a private one, or to none yet, it holds a secret that is
// good once: whoever shows it and this member get to know each other.
func (n *Node) Offer(ctx context.Context, q InviteRequest) (InviteInfo, error) {
	const op = "invite"
	var valid time.Duration
	if q.Valid != "" {
		var err error
		if valid, err = time.ParseDuration(q.Valid); err != nil || valid <= 0 {
			return InviteInfo{}, protocol.E(protocol.Invalid, op, fmt.Errorf("%.40q is no span of time", q.Valid), "one looks like 72h")
		}
	}
	if q.Note = strings.Join(strings.Fields(q.Note), " "); len(q.Note) > noteMost {
		return InviteInfo{}, protocol.Errorf(protocol.Limit, op, "the note has %d bytes; the limit is %d", len(q.Note), noteMost)
	}
	made := keptInvite{Note: q.Note, Made: n.now().Truncate(time.Microsecond)}
	if q.Agreement != "" {
		g, err := n.world.Load().agreement(q.Agreement)
		if protocol.KindOf(err) == protocol.NotFound {
			err = protocol.E(protocol.NotFound, op, err, "where there is no agreement yet, leave the name out")
		}
		if err != nil {
			return InviteInfo{}, err
		}
		if g.public() {
			if valid <= 0 {
				valid = ticketLife
			}
			ticket, err := n.Invite(ctx, g.doc.ID.String(), valid)
			return InviteInfo{Ticket: ticket, Agreement: g.doc.Name, State: "open", Made: made.Made, Expires: made.Made.Add(valid)}, err
		}
		made.Agreement = g.doc.ID
	}
	if valid <= 0 {
		valid = inviteLife
	}
	made.Expires = made.Made.Add(valid)
	return n.makeInvite(made)
}

// makeInvite draws the secret, keeps what is to be kept, and then tells the text.
func (n *Node) makeInvite(made keptInvite) (InviteInfo, error) {
	const op = "invite"
	net := n.networks[memberHost]
	if net == nil {
		return InviteInfo{}, protocol.E(protocol.Invalid, op, errors.New("this node has no member host"), "set listen in the configuration")
	}
	addresses, err := n.reachable(net)
	if err != nil {
		return InviteInfo{}, err
	}
	n.docs.Lock()
	defer n.docs.Unlock()
	now, open := n.now(), 0
	kept := n.circle.with(n.cfg.Member)
	kept.Known = n.circle.Known
	for i := range kept.Invites {
		if kept.Invites[i].open(now) {
			open++
		}
	}
	if open >= invitesOpen {
		return InviteInfo{}, protocol.E(protocol.Limit, op, fmt.Errorf("%d invites are open; that is the limit", open), "revoke some: entente agreements invite --list")
	}
	if len(kept.Invites) >= invitesKept { // the oldest that nobody can use any more
		at := slices.IndexFunc(kept.Invites, func(i keptInvite) bool { return !i.open(now) })
		kept.Invites = slices.Delete(kept.Invites, at, at+1)
	}
	var secret [32]byte
	n.cfg.Random(secret[:])
	made.Door, made.Mark = protocol.InviteDoor(secret), protocol.InviteMark(secret)
	about := made.Agreement
	if about.IsZero() {
		about = protocol.IntroductionID(n.cfg.Member)
	}
	ticket, err := protocol.SealInvite(protocol.Invite{
		Agreement: about, Inviter: n.cfg.Member, Addresses: addresses, Secret: &secret, Expires: made.Expires,
	}, n.cfg.Operator)
	if err != nil {
		return InviteInfo{}, err
	}
	kept.Invites = append(kept.Invites, made)
	if err := n.keepCircle(kept); err != nil {
		return InviteInfo{}, err
	}
	n.openDoors()
	n.note(protocol.AuditRow{Kind: protocol.AuditDocument, Action: "invite", Outcome: "ok", Agreement: made.Agreement,
		Reason: protocol.AuditReason{Text: fmt.Sprintf("invite %s, good until %s", made.name(), minute(made.Expires))}})
	info := n.world.Load().inviteInfo(made, now)
	info.Ticket = ticket
	return info, nil
}

// reachable returns where this node can be called: what its record says, and where
// that says nothing, where it listens.
func (n *Node) reachable(net Network) ([]string, error) {
	var out []string
	if m := n.world.Load().members[n.cfg.Member]; m != nil && len(m.records) > 0 {
		for _, e := range m.latest().Nodes {
			if e.Number == n.cfg.Number {
				out = slices.Clone(e.Addresses)
			}
		}
	}
	if len(out) == 0 {
		out = net.Addresses()
	}
	if len(out) == 0 {
		return nil, protocol.E(protocol.Invalid, "invite", errors.New("this node listens nowhere, so nobody can call it"),
			"set listen or announce in the configuration, or have the other side invite")
	}
	for i := range out {
		out[i] += "/p2p/" + net.PeerID()
	}
	return out[:min(len(out), 16)], nil
}

// Invites lists the invites that this member has made, oldest first.
func (n *Node) Invites(context.Context) ([]InviteInfo, error) {
	n.docs.Lock()
	defer n.docs.Unlock()
	w, now := n.world.Load(), n.now()
	out := []InviteInfo{}
	for _, i := range n.circle.Invites {
		out = append(out, w.inviteInfo(i, now))
	}
	return out, nil
}

// RevokeInvite makes an invite worthless. One that was used already is a Conflict:
// the two know each other.
func (n *Node) RevokeInvite(_ context.Context, id string) (InviteInfo, error) {
	const op = "revoke invite"
	n.docs.Lock()
	defer n.docs.Unlock()
	kept := n.circle.with(n.cfg.Member)
	kept.Known = n.circle.Known
	at := slices.IndexFunc(kept.Invites, func(i keptInvite) bool { return i.name() == id })
	if at < 0 {
		return InviteInfo{}, protocol.E(protocol.NotFound, op, fmt.Errorf("there is no invite %.40q", id), "list them: entente agreements invite --list")
	}
	made := &kept.Invites[at]
	if !made.UsedBy.IsZero() {
		return InviteInfo{}, protocol.E(protocol.Conflict, op, fmt.Errorf("%s has used invite %s already", n.world.Load().memberName(made.UsedBy), id),
			"leave it out of your agreements; nothing else reaches it")
	}
	made.Revoked = true
	if err := n.keepCircle(kept); err != nil {
		return InviteInfo{}, err
	}
	n.openDoors()
	n.note(protocol.AuditRow{Kind: protocol.AuditDocument, Action: "revoke invite", Outcome: "ok", Agreement: made.Agreement, Reason: protocol.AuditReason{Text: "invite " + id}})
	return n.world.Load().inviteInfo(*made, n.now()), nil
}

// chainOf verifies all versions of one member's record, from the first on.
func chainOf(documents []protocol.Document) ([]*protocol.Record, []protocol.Document, error) {
	const op = "read the record"
	var parsed []kept[*protocol.Record]
	for _, d := range documents {
		if d.Type != protocol.RecordType {
			continue
		}
		r, err := protocol.ParseRecord(d.Payload)
		if err != nil {
			return nil, nil, err
		}
		parsed = append(parsed, kept[*protocol.Record]{parsed: r, document: d})
	}
	slices.SortFunc(parsed, func(a, b kept[*protocol.Record]) int { return int(a.parsed.Version) - int(b.parsed.Version) })
	var chain []*protocol.Record
	var list []protocol.Document
	for _, k := range parsed {
		var before *protocol.Record
		if len(chain) > 0 {
			before = chain[len(chain)-1]
		}
		r, err := protocol.VerifyRecord(k.document, before)
		if err != nil {
			return nil, nil, err
		}
		chain, list = append(chain, r), append(list, k.document)
	}
	if len(chain) == 0 {
		return nil, nil, protocol.Errorf(protocol.Unverified, op, "there is no member record")
	}
	return chain, list, nil
}

// Guest judges one who shows the secret of an invite: the invite must be good, and
// for nobody else already; the records must be those of a member whose node the peer
// is. It is bound to the invite before anything is answered. It implements the
// network's handler.
func (n *Node) Guest(_ context.Context, transport protocol.PublicKey, door protocol.Hash, secret [32]byte, documents []protocol.Document) ([]protocol.Document, error) {
	const op = "take a guest"
	chain, records, err := chainOf(documents)
	if err != nil {
		return nil, err
	}
	now, newest := n.now(), chain[len(chain)-1]
	switch {
	case newest.Member == n.cfg.Member:
		return nil, protocol.Errorf(protocol.Refused, op, "this member showed its own invite")
	case !now.Before(newest.Until):
		return nil, protocol.Errorf(protocol.Refused, op, "the record of %s has run out", newest.Handle)
	case !slices.ContainsFunc(newest.Nodes, func(e protocol.NodeEntry) bool { return e.Transport == transport }):
		return nil, protocol.Errorf(protocol.Refused, op, "the newest record of %s does not name the node that showed it", newest.Handle)
	}
	if err := n.bind(newest.Member, door, secret, now); err != nil {
		return nil, err
	}
	// A crash here leaves the invite bound to a member whose record is not kept: it
	// shows the invite again.
	if err := n.renew(); err != nil {
		return nil, err
	}
	if _, err := n.take(records, protocol.AgreementID{}, transport.String()); err != nil {
		return nil, err
	}
	if err := n.renew(); err != nil {
		return nil, err
	}
	return n.between(n.world.Load(), newest.Member), nil
}

// bind lets a member in by an invite, durably.
func (n *Node) bind(member protocol.MemberID, door protocol.Hash, secret [32]byte, now time.Time) error {
	const op = "take a guest"
	n.docs.Lock()
	defer n.docs.Unlock()
	kept := n.circle.with(member)
	mark := protocol.InviteMark(secret)
	at := slices.IndexFunc(kept.Invites, func(i keptInvite) bool { return i.Door == door })
	if at < 0 || kept.Invites[at].Mark != mark || !kept.Invites[at].good(now) {
		return protocol.Errorf(protocol.Refused, op, "the invite is not good")
	}
	made := &kept.Invites[at]
	if made.UsedBy == member {
		return nil
	}
	if !made.UsedBy.IsZero() {
		return protocol.Errorf(protocol.Refused, op, "the invite was used by member %s already; now member %s shows it", made.UsedBy.Short(), member.Short())
	}
	made.UsedBy, made.UsedAt = member, now.Truncate(time.Microsecond)
	if err := n.keepCircle(kept); err != nil {
		return err
	}
	n.note(protocol.AuditRow{Kind: protocol.AuditDocument, Action: "admit", Outcome: "ok", Agreement: made.Agreement, Party: member,
		Reason: protocol.AuditReason{Text: fmt.Sprintf("member %s has used invite %s", member.Short(), made.name())}})
	return nil
}

// meet joins by an invite that has a secret: this member's record goes to the
// inviter, the inviter's comes here, and what concerns both follows.
func (n *Node) meet(ctx context.Context, sealed *protocol.SealedInvite) (Imported, error) {
	const op = "join"
	inv := sealed.Claim()
	net := n.networks[memberHost]
	if net == nil {
		return Imported{}, protocol.E(protocol.Invalid, op, errors.New("this node has no member host"), "set listen in the configuration")
	}
	if inv.Inviter == n.cfg.Member {
		return Imported{}, protocol.E(protocol.Invalid, op, errors.New("this is an invite of this very member"), "give it to the member that it is for")
	}
	me := n.world.Load().members[n.cfg.Member]
	if me == nil || len(me.records) == 0 {
		return Imported{}, protocol.E(protocol.NotFound, op, errors.New("this member has no record here to introduce itself with"), "make one: entente members renew")
	}
	answer, err := net.Call(ctx, inv.Addresses, *inv.Secret, me.recordDocuments())
	if err != nil {
		return Imported{}, err
	}
	own := slices.DeleteFunc(slices.Clone(answer), func(d protocol.Document) bool {
		r, err := protocol.ParseRecord(d.Payload)
		return d.Type != protocol.RecordType || err != nil || r.Member != inv.Inviter
	})
	chain, records, err := chainOf(own)
	if err != nil {
		return Imported{}, err
	}
	if err := opened(sealed, chain, n.now()); err != nil {
		return Imported{}, err
	}
	before, err := n.acquaint(inv.Inviter)
	if err != nil {
		return Imported{}, err
	}
	if err := n.renew(); err != nil {
		return Imported{}, err
	}
	out, err := n.take(records, protocol.AgreementID{}, "invite")
	if err != nil || len(out) == 0 {
		n.docs.Lock()
		defer n.docs.Unlock()
		return Imported{}, errors.Join(err, n.keepCircle(before)) // who is somebody else than is known here stays a stranger
	}
	if err := n.renew(); err != nil {
		return Imported{}, err
	}
	if err := n.takeShared(inv.Inviter, "invite", answer); err != nil {
		n.cfg.Logger.Warn("something that came with an invite was not taken", "err", err)
	}
	done := out[len(out)-1]
	done.State, done.Text = n.world.Load().imported(done)
	return done, nil
}

// opened verifies an invite under an operations key of the record that it pins.
func opened(sealed *protocol.SealedInvite, chain []*protocol.Record, now time.Time) error {
	var err error
	for _, r := range slices.Backward(chain) {
		if _, err = protocol.OpenInvite(sealed, r.Operations.Key[:], now); err == nil {
			return nil
		}
	}
	return err
}

// acquaint adds a member to those that are known by an invite, and returns what was
// before.
func (n *Node) acquaint(member protocol.MemberID) (before circle, err error) {
	n.docs.Lock()
	defer n.docs.Unlock()
	before = n.circle
	return before, n.keepCircle(n.circle.with(member))
}

// recordDocuments returns all versions of a member's record.
func (m *member) recordDocuments() []protocol.Document {
	var out []protocol.Document
	for _, k := range m.records {
		out = append(out, k.document)
	}
	return out
}

// sameDocument reports whether two documents have the same text.
func sameDocument(a, b protocol.Document) bool {
	return a.Type == b.Type && bytes.Equal(a.Payload, b.Payload)
}
