package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"entente/node"
	"entente/protocol"
)

func (c *cli) reviewCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "review", Short: "List what agreements want looked at, whether it is still needed, and answer", Args: cobra.NoArgs,
		Long: `Lists objects that came under a clause which obliges to review them after a time,
and whose day has come. A person says that they are still needed, or has them
erased at this node. What is due stays readable until its retention ends.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := c.client().Reviews(cmd.Context(), all)
			if err != nil {
				return err
			}
			return c.showReviews(cmd, list)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list what will be due, too")
	cmd.AddCommand(c.reviewAnswer("keep", "Say that objects are still needed; they are due again after as long", true),
		c.reviewAnswer("drop", "Have objects erased at this node that are not needed any more", false))
	return cmd
}

func (c *cli) reviewAnswer(verb, short string, keep bool) *cobra.Command {
	var reason string
	var yes bool
	cmd := &cobra.Command{
		Use: verb + " ID…", Short: short, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !keep && !yes {
				return protocol.E(protocol.Refused, "review drop", errors.New("this cannot be taken back"), "say so again with --yes")
			}
			list, err := c.client().Review(cmd.Context(), node.ReviewRequest{IDs: args, Keep: keep, Reason: reason})
			if err != nil {
				return err
			}
			return c.showReviews(cmd, list)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	if !keep {
		cmd.Flags().BoolVar(&yes, "yes", false, "erase without being asked again")
	}
	return cmd
}

func (c *cli) showReviews(cmd *cobra.Command, list node.ReviewList) error {
	if c.json {
		return printJSON(cmd.OutOrStdout(), list)
	}
	t := table(cmd.OutOrStdout())
	for _, r := range list.Reviews {
		looked := ""
		if !r.Looked.IsZero() {
			looked = "looked at " + r.Looked.Format(time.DateOnly)
		}
		fmt.Fprintf(t, "%s\tdue %s\t%s/%s clause %s\tfrom %s\tarrived %s\t%s\n", r.ID, r.Due.Format(time.DateOnly), r.Agreement, r.Topic, r.Clause, r.Author, r.Arrived.Format(time.DateOnly), looked)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%d due for review, %d later\n", list.Due, list.Later)
	return err
}
