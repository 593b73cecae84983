package node_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"entente/node"
	"entente/protocol"
)

const draftTerms = `topics:
  - name: indicators
    description: What to look for.
    default-marking: TLP:AMBER
clauses:
  - number: "1"
    text: Share.
    effect: permit
`

// invitedBy returns an invite of a member's and its secret, which an honest client
// never looks at.
func (l *lab) invitedBy(r *resident, valid string) (node.InviteInfo, [32]byte) {
	l.t.Helper()
	made, err := r.node.Offer(context.Background(), node.InviteRequest{Valid: valid})
	if err != nil {
		l.t.Fatal(err)
	}
	sealed, err := protocol.ParseInvite(made.Ticket)
	if err != nil {
		l.t.Fatal(err)
	}
	if claim := sealed.Claim(); claim.Agreement != protocol.IntroductionID(r.record.Member) || claim.Inviter != r.record.Member {
		l.t.Errorf("the invite names %s of %s", claim.Agreement, claim.Inviter)
	}
	return made, *sealed.Claim().Secret
}

// TestGuest shows invites to a node in every wrong way.
func TestGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		bank, vendor, thief := l.add("bank", "company"), l.add("vendor", "vendor"), l.add("thief", "company")
		made, secret := l.invitedBy(bank, "")
		show := func(by *resident, secret [32]byte, documents ...protocol.Document) error {
			if documents == nil {
				documents = by.documents[:1]
			}
			_, err := bank.node.Guest(t.Context(), protocol.PublicOf(by.keys[protocol.TransportKey]), protocol.InviteDoor(secret), secret, documents)
			return err
		}
		refused := func(what string, err error) {
			t.Helper()
			if err == nil {
				t.Errorf("%s was taken", what)
			}
			if list, _ := bank.node.Invites(t.Context()); list[0].UsedBy != "" {
				t.Fatalf("%s used the invite up", what)
			}
			if members, _ := bank.node.Members(t.Context()); len(members) != 1 {
				t.Fatalf("after %s the bank knows %d members", what, len(members))
			}
		}
		refused("an unknown secret", show(vendor, [32]byte{7}))
		_, err := bank.node.Guest(t.Context(), protocol.PublicOf(vendor.keys[protocol.TransportKey]), protocol.InviteDoor(secret), [32]byte{7}, vendor.documents[:1])
		refused("the door without the secret", err)
		refused("another's record", show(thief, secret, vendor.documents[0]))
		refused("a profile", show(vendor, secret, vendor.documents[1]))
		refused("its own record", show(bank, secret))
		refused("two members' records", show(vendor, secret, vendor.documents[0], thief.documents[0]))
		unsigned := vendor.documents[0]
		unsigned.Signatures = nil
		refused("an unsigned record", show(vendor, secret, unsigned))
		refused("no record", show(vendor, secret, protocol.Document{Type: protocol.AgreementType, Payload: []byte("x\n")}))

		if err := show(vendor, secret); err != nil {
			t.Fatal(err)
		}
		// So it stays, over a restart too.
		for range 2 {
			if err := show(thief, secret); protocol.KindOf(err) != protocol.Refused || !strings.Contains(err.Error(), "used by member") {
				t.Errorf("another showed it: %v", err)
			}
			if err := show(vendor, secret); err != nil {
				t.Errorf("the same one again: %v", err)
			}
			bank.down()
			bank.start()
		}
		if _, err := bank.node.RevokeInvite(t.Context(), made.ID); protocol.KindOf(err) != protocol.Conflict {
			t.Errorf("revoking what was used: %v", err)
		}
		late, secret := l.invitedBy(bank, "1h")
		pause(t, time.Hour)
		if err := show(thief, secret); err == nil {
			t.Error("an invite that has run out was taken")
		}
		revoked, secret := l.invitedBy(bank, "")
		if _, err := bank.node.RevokeInvite(t.Context(), revoked.ID); err != nil {
			t.Fatal(err)
		}
		if err := show(thief, secret); err == nil {
			t.Error("an invite that was revoked was taken")
		}
		states := map[string]string{}
		list, _ := bank.node.Invites(t.Context())
		for _, i := range list {
			states[i.ID] = i.State
		}
		if states[late.ID] != "expired" || states[revoked.ID] != "revoked" || states[made.ID] != "used" {
			t.Errorf("states: %v", states)
		}
		for range 64 {
			l.invitedBy(bank, "")
		}
		if _, err := bank.node.Offer(t.Context(), node.InviteRequest{}); protocol.KindOf(err) != protocol.Limit {
			t.Errorf("one too many: %v", err)
		}
	})
}

// pause lets virtual time pass.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.After(d)
	synctest.Wait()
}

// know makes two members known to each other by an invite.
func (l *lab) know(a, b *resident) {
	l.t.Helper()
	made, _ := l.invitedBy(a, "")
	if _, err := b.node.Join(context.Background(), made.Ticket); err != nil {
		l.t.Fatal(err)
	}
}

// A join that leads to another member than the invite names changes nothing.
func TestJoinIsPinned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		bank, vendor := l.add("bank", "company"), l.add("vendor", "vendor")
		made, secret := l.invitedBy(bank, "")
		sealed, err := protocol.ParseInvite(made.Ticket)
		if err != nil {
			t.Fatal(err)
		}
		for what, c := range map[string]struct {
			change func(*protocol.Invite)
			kind   protocol.Kind
		}{
			"another inviter": {func(i *protocol.Invite) { i.Inviter = protocol.MemberID{9} }, protocol.Unverified},
			"a forged one":    {func(*protocol.Invite) {}, protocol.BadSignature},
			"run out":         {func(i *protocol.Invite) { i.Expires = time.Now().Add(-time.Second) }, protocol.Invalid},
			"itself":          {func(i *protocol.Invite) { i.Inviter = vendor.record.Member }, protocol.Invalid},
			"another secret":  {func(i *protocol.Invite) { i.Secret = &[32]byte{5} }, protocol.Refused},
		} {
			inv := sealed.Claim()
			inv.Secret = &secret
			c.change(&inv)
			forged, err := protocol.SealInvite(inv, vendor.keys[protocol.OperationsRole])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := vendor.node.Join(t.Context(), forged); protocol.KindOf(err) != c.kind {
				t.Errorf("%s: %v", what, err)
			}
			if members, _ := vendor.node.Members(t.Context()); len(members) != 1 {
				t.Errorf("after %s the vendor knows %d members", what, len(members))
			}
		}
		if _, err := vendor.node.Join(t.Context(), made.Ticket); err != nil {
			t.Errorf("the true one: %v", err)
		}
	})
}

// TestHostileDrafts lets one who is known by an invite send what it should not.
func TestHostileDrafts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		bank, vendor, cert := l.add("bank", "company"), l.add("vendor", "vendor"), l.add("cert", "cert")
		l.know(bank, vendor)
		pause(t, time.Minute)
		draft := func(name string, signer *resident, parties ...*resident) protocol.Document {
			d := protocol.Document{Type: protocol.AgreementType, Payload: agreementText(name, "private", draftTerms, parties...)}
			if signer != nil {
				d.Signatures = []protocol.Signature{protocol.SignDocument(d.Type, d.Payload, signer.record.Member, signer.keys[protocol.RootKey])}
			}
			return d
		}
		pair := protocol.AgreementID(protocol.Acquaintance(bank.record.Member, vendor.record.Member))
		peer := protocol.Peer{Author: protocol.Author{Member: bank.record.Member, Node: 1}, Transport: protocol.PublicOf(bank.keys[protocol.TransportKey])}
		send := func(from protocol.Peer, documents ...protocol.Document) error {
			return vendor.node.TakeDocuments(t.Context(), from, pair, documents)
		}
		for what, d := range map[string]protocol.Document{
			"a draft that does not name the receiver": draft("one", bank, bank, cert),
			"a draft that does not name the sender":   draft("two", cert, vendor, cert),
			"a draft that nobody has signed":          draft("three", nil, bank, vendor),
			"a draft that another has signed":         draft("four", cert, bank, vendor, cert),
		} {
			for range 3 {
				if err := send(peer, d); err == nil {
					t.Errorf("%s was taken", what)
				}
			}
		}
		stranger := peer
		stranger.Author.Member = cert.record.Member
		if err := send(stranger, draft("five", bank, bank, vendor)); err == nil {
			t.Error("another than the one who is known was heard")
		}
		if err := send(peer, cert.documents[0]); err != nil {
			t.Errorf("a record that nothing speaks of is passed over: %v", err)
		}
		if agreements, _ := vendor.node.Agreements(t.Context(), ""); len(agreements) != 0 {
			t.Fatalf("%d agreements were kept", len(agreements))
		}
		if members, _ := vendor.node.Members(t.Context()); len(members) != 2 {
			t.Errorf("%d members are known", len(members))
		}
		pause(t, time.Second)
		rows := 0
		_ = vendor.node.Audit(t.Context(), node.AuditQuery{Kinds: []string{string(protocol.AuditDocument)}, Outcomes: []string{"refuse"}}, func(node.AuditEntry) bool { rows++; return true })
		if rows != 4 {
			t.Errorf("%d refusals were written down, not each of 4 once", rows)
		}

		// A flood, by the wire.
		for i := range 20 {
			bank.take(draft(fmt.Sprintf("flood-%d", i), bank, bank, vendor))
		}
		pause(t, 3*time.Minute)
		agreements, _ := vendor.node.Agreements(t.Context(), "")
		if len(agreements) != 8 {
			t.Errorf("%d drafts of one member wait, not 8", len(agreements))
		}
		// What this member signs makes room.
		if _, err := vendor.accept(agreements[0].Name); err != nil {
			t.Fatal(err)
		}
		pause(t, 3*time.Minute)
		if agreements, _ = vendor.node.Agreements(t.Context(), ""); len(agreements) != 9 {
			t.Errorf("%d agreements, not 9, after one was signed", len(agreements))
		}
	})
}
