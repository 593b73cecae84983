package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"entente/node"
	"entente/protocol"
	"entente/store"
)

func (c *cli) agreementsInvite() *cobra.Command {
	var valid time.Duration
	var note, revoke string
	var list bool
	cmd := &cobra.Command{
		Use: "invite [NAME]", Short: "Make an invite: for one member, or a ticket to a public agreement", Args: cobra.MaximumNArgs(1),
		Long: `Makes a text by which another member joins (entente join TEXT).

Without NAME, or with that of a private agreement, it is for one member, good once
and for 7 days: the two nodes exchange their member records, and from then on what
is drafted or agreed between the two passes from node to node. It tells the other
nothing of an agreement: that comes when a version that this member has signed names
it as a party. Whoever has the text can use it, so send it over a channel that only
the receiver reads; then see with --list who has used it.

With the name of a public agreement it is a ticket, which anyone may use to read
along, good for a year.`,
		Example: `  entente agreements invite --note "the national CERT"
  entente agreements invite --list
  entente agreements invite --revoke 3f2a9c01`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case list && (revoke != "" || len(args) > 0), revoke != "" && len(args) > 0:
				return protocol.E(protocol.Invalid, "agreements invite", errors.New("--list and --revoke stand alone"), "see: entente agreements invite --help")
			case list:
				return c.listInvites(cmd)
			case revoke != "":
				info, err := c.client().RevokeInvite(cmd.Context(), revoke)
				if err != nil || c.json {
					return c.jsonOr(cmd, info, err)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Invite %s is worthless now.\n", info.ID)
				return err
			}
			q := node.InviteRequest{Note: note}
			if len(args) > 0 {
				q.Agreement = args[0]
			}
			if valid != 0 {
				q.Valid = valid.String()
			}
			info, err := c.client().Offer(cmd.Context(), q)
			if err != nil || c.json {
				return c.jsonOr(cmd, info, err)
			}
			if info.ID != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "Invite %s, for one member, until %s. Send the text to it over a channel that nobody else reads;\nthere it is used with: entente join TEXT. Who has used it: entente agreements invite --list\n", info.ID, when(info.Expires))
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), info.Ticket)
			return err
		},
	}
	cmd.Flags().DurationVar(&valid, "valid", 0, "how long it is good (default 168h, for a ticket to a public agreement a year)")
	cmd.Flags().StringVar(&note, "note", "", "for whom it is, for your own list")
	cmd.Flags().BoolVar(&list, "list", false, "list the invites that were made here, and who has used them")
	cmd.Flags().StringVar(&revoke, "revoke", "", "make the invite with this id worthless")
	return cmd
}

// jsonOr prints an answer as JSON, or returns the error that took its place.
func (c *cli) jsonOr(cmd *cobra.Command, v any, err error) error {
	if err != nil {
		return err
	}
	return printJSON(cmd.OutOrStdout(), v)
}

func (c *cli) listInvites(cmd *cobra.Command) error {
	invites, err := c.client().Invites(cmd.Context())
	if err != nil || c.json {
		return c.jsonOr(cmd, invites, err)
	}
	t := table(cmd.OutOrStdout())
	fmt.Fprintln(t, "INVITE\tSTATE\tUNTIL\tUSED BY\tFOR")
	for _, i := range invites {
		by := "-"
		if i.UsedBy != "" {
			by = i.UsedBy + " (" + i.UsedByID[:12] + ")"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", i.ID, i.State, when(i.Expires), by, strings.TrimSpace(clean(i.Agreement+" "+i.Note)))
	}
	return t.Flush()
}

func (c *cli) joinCommand() *cobra.Command {
	return &cobra.Command{
		Use: "join TEXT", Short: "Use an invite, or the ticket to a public agreement (- reads it from standard input)", Args: cobra.ExactArgs(1),
		Long: `Uses the text of an invite. One for a single member makes its maker and this member
known to each other: their nodes exchange records, and drafts and agreements that name
both. To use it is the act of trust in the member whose id the invite holds. A ticket
fetches a public agreement, whose topics are read from then on.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			text := args[0]
			if text == "-" {
				read, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 64<<10))
				if err != nil {
					return err
				}
				text = strings.TrimSpace(string(read))
			}
			done, err := c.client().Join(cmd.Context(), text)
			if err != nil || c.json {
				return c.jsonOr(cmd, done, err)
			}
			if done.Kind == "member-record" {
				fmt.Fprintf(cmd.ErrOrStderr(), "What %s proposes comes by itself: entente agreements list\n", done.Name)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s, version %d: %s\n", done.Name, done.Version, clean(done.Text))
			return err
		},
	}
}

// isFile reports whether an argument is meant as a file rather than as a name.
func isFile(arg string) bool {
	info, err := os.Stat(arg)
	return (err == nil && !info.IsDir()) || arg == "-" || strings.ContainsAny(arg, `./\`)
}

// recordOf reads a member's record: from a file, or the newest that the home keeps
// of a handle.
func (c *cli) recordOf(op, arg string) (*protocol.Record, error) {
	if isFile(arg) {
		text, err := os.ReadFile(arg)
		if err != nil {
			return nil, protocol.E(protocol.NotFound, op, err, "")
		}
		if len(text) > 0 && text[0] == '{' {
			d, err := protocol.DecodeEnvelope(text)
			if err != nil {
				return nil, protocol.E(protocol.Invalid, op+" "+arg, err, "")
			}
			text = d.Payload
		}
		r, err := protocol.ParseRecord(text)
		if err != nil {
			return nil, protocol.E(protocol.Invalid, op+" "+arg, err, "")
		}
		return r, nil
	}
	documents, err := store.OpenDocuments(c.home)
	if err != nil {
		return nil, err
	}
	newest := map[protocol.MemberID]*protocol.Record{}
	err = documents.Load(func(kind, _ string, _ uint64, payload, _ []byte) error {
		r, err := protocol.ParseRecord(payload)
		if kind == "members" && err == nil && (newest[r.Member] == nil || newest[r.Member].Version < r.Version) {
			newest[r.Member] = r
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var found *protocol.Record
	for id, r := range newest {
		if r.Handle != arg && (len(arg) < 8 || !strings.HasPrefix(id.String(), arg)) {
			continue
		}
		if found != nil {
			return nil, protocol.E(protocol.Invalid, op, fmt.Errorf("several members are called %q", arg), "use the id: entente members")
		}
		found = r
	}
	if found == nil {
		return nil, protocol.E(protocol.NotFound, op, fmt.Errorf("there is no such file, and no record of a member %q in %s", arg, c.home),
			"get to know it: entente agreements invite; see who is known: entente members")
	}
	return found, nil
}
