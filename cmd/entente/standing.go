package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"entente/node"
	"entente/protocol"
)

// declare makes a statement about an agreement and says what follows from it.
func (c *cli) declare(cmd *cobra.Command, agreement string, r node.StatementRequest, follows string) error {
	s, err := c.client().Declare(cmd.Context(), agreement, r)
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(cmd.OutOrStdout(), s)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s.\n%s\n", agreement, strings.TrimSuffix(clean(s.Says), "."), follows)
	return err
}

func (c *cli) agreementsSuspend() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "suspend NAME PARTY", Short: "Suspend a party, where the agreement entitles this member to it", Args: cobra.ExactArgs(2),
		Long: `Suspend a party of an agreement. The statement is signed with this member's
operations key and works at every node on receipt: the party gets nothing and
what it gives is refused. It lapses after 14 days unless an amendment confirms
it ("suspended: true" at the party), and ends at once with: agreements resume.

The agreement says who may do this, in its field "suspend".`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.declare(cmd, args[0], node.StatementRequest{Kind: "suspension", Party: args[1], Text: reason},
				"It works here now, and at the others as soon as they hear of it. To make it last: entente agreements amend "+args[0])
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the people of all parties")
	return cmd
}

func (c *cli) agreementsResume() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "resume NAME PARTY", Short: "Lift the suspension of a party", Args: cobra.ExactArgs(2),
		Long: `Lift the suspension of a party. Whoever may suspend may do this, whoever it was
that suspended the party; a suspension that the document itself states ends with
a new version.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.declare(cmd, args[0], node.StatementRequest{Kind: "resumption", Party: args[1], Text: reason},
				"It gets again what is published from now on, and what it missed.")
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the people of all parties")
	return cmd
}

func (c *cli) agreementsTerminate() *cobra.Command {
	var reason string
	var yes bool
	cmd := &cobra.Command{
		Use: "terminate NAME", Short: "Withdraw from an agreement, for good", Args: cobra.ExactArgs(1),
		Long: `Withdraw from an agreement. From then on this member gets and gives nothing under
it; what it published stays with the others under their obligations. Where two
are left, the agreement is over for both. There is no way back but a new version
or a new agreement.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return protocol.E(protocol.Refused, "agreements terminate "+args[0], errors.New("this cannot be taken back"), "say so again with --yes")
			}
			return c.declare(cmd, args[0], node.StatementRequest{Kind: "withdrawal", Text: reason}, "Nothing passes under it any more.")
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the people of all parties")
	cmd.Flags().BoolVar(&yes, "yes", false, "withdraw without being asked again")
	return cmd
}
