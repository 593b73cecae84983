package node_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"entente/node"
	"entente/protocol"
)

// introduce plays what happens before an agreement is in force, without files:
// invites, who uses them, and signatures at the members' own nodes.
func (s *story) introduce(t *testing.T, d *datadriven.TestData, at *resident, arg func(string) string) string {
	t.Helper()
	ctx := context.Background()
	failed := func(err error) string {
		text := fmt.Sprintf("%s: %v\n", protocol.KindOf(err), err)
		for handle, r := range s.lab.members { // peer ids and addresses say nothing here
			text = strings.ReplaceAll(text, r.hosts[0].PeerID(), "peer of "+handle)
		}
		return text
	}
	tell := func(i node.InviteInfo) string {
		line := fmt.Sprintf("%s %q for %s", i.State, i.Note, time.Until(i.Expires).Round(time.Hour))
		if i.Agreement != "" {
			line += " to " + i.Agreement
		}
		if i.UsedBy != "" {
			line += " used by " + i.UsedBy
		}
		return line + "\n"
	}
	switch d.Cmd {
	case "invite":
		made, err := at.node.Offer(ctx, node.InviteRequest{Agreement: arg("agreement"), Note: arg("label"), Valid: arg("valid")})
		if err != nil {
			return failed(err)
		}
		s.tickets[arg("label")] = made.Ticket
		return tell(made)
	case "invites":
		list, err := at.node.Invites(ctx)
		if err != nil {
			return failed(err)
		}
		var b strings.Builder
		for _, i := range list {
			if i.Ticket != "" {
				return "the secret of an invite was kept\n"
			}
			b.WriteString(tell(i))
		}
		return b.String()
	case "revoke":
		list, _ := at.node.Invites(ctx)
		for _, i := range list {
			if i.Note == arg("label") {
				if _, err := at.node.RevokeInvite(ctx, i.ID); err != nil {
					return strings.ReplaceAll(failed(err), i.ID, "ID")
				}
			}
		}
		return ""
	case "meet":
		out, err := at.node.Join(ctx, s.tickets[arg("label")])
		if err != nil {
			return failed(err)
		}
		return fmt.Sprintf("%s %s version %d, %s\n", out.Kind, out.Name, out.Version, out.State)
	}
	out, err := at.accept(arg("agreement"))
	if err != nil {
		return failed(err)
	}
	return fmt.Sprintf("%s version %d, %s: %s\n", out.Name, out.Version, out.State, out.Text)
}

// accept signs a version that a node keeps, as its people do: NAME or NAME@VERSION.
func (r *resident) accept(name string) (node.Imported, error) {
	a, err := r.node.Agreements(context.Background(), name)
	if err != nil {
		return node.Imported{}, err
	}
	sig := protocol.SignDocument(protocol.AgreementType, []byte(a[0].Document), r.record.Member, r.keys[protocol.RootKey])
	return r.node.Import(context.Background(), []byte(a[0].Document), protocol.EncodeSignatures([]protocol.Signature{sig}))
}
