package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"entente/node"
	"entente/protocol"
)

func (c *cli) requestsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "requests", Short: "Ask sources whether objects may be passed on, and answer who asks", Args: cobra.NoArgs,
		Long: `Lists requests to pass objects on under another agreement: what this member has
asked, and what it is to answer. A clause with the obligation onward: ask lets what
came under it be published elsewhere only by a grant of whoever published it.

Requests and answers are signed statements on the topic of the objects: all who read
that topic see them, with the reason, the id of the other agreement and the name of
the topic there.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := c.client().Requests(cmd.Context())
			if err != nil {
				return err
			}
			return c.showRequests(cmd, list)
		},
	}
	cmd.AddCommand(c.requestsAsk(), c.requestsAnswer(true), c.requestsAnswer(false))
	return cmd
}

func (c *cli) requestsAsk() *cobra.Command {
	var q node.OnwardQuestion
	cmd := &cobra.Command{
		Use: "ask ID… --to AGREEMENT/TOPIC --reason TEXT", Short: "Ask the sources of objects whether they may be passed on", Args: cobra.MinimumNArgs(1),
		Long: `Asks whoever published the objects whether this member may publish them on a topic
of another agreement: all their versions that are here. When it is granted, publish
them there; the receipt names the grant. A request that nobody answers is void after
30 days. What its source erases later is erased there, too.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q.IDs = args
			list, err := c.client().Ask(cmd.Context(), q)
			if err != nil {
				return err
			}
			return c.showRequests(cmd, list)
		},
	}
	cmd.Flags().StringVar(&q.To, "to", "", "where to: AGREEMENT/TOPIC")
	cmd.Flags().StringVar(&q.Reason, "reason", "", "why, for people; all who read the topic of the objects see it")
	return cmd
}

func (c *cli) requestsAnswer(grant bool) *cobra.Command {
	var reason, until string
	use, short := "refuse HASH --reason TEXT", "Refuse that objects be passed on, or end what was granted"
	if grant {
		use, short = "grant HASH", "Let objects be passed on, as a request asks"
	}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := node.OnwardAnswer{Grant: grant, Reason: reason}
			if until != "" {
				var err error
				if q.Until, err = moment(until); err != nil {
					return protocol.E(protocol.Invalid, "requests grant", err, "--until 2030-01-31, or with the time of day: --until 2030-01-31T18:00:00Z")
				}
			}
			r, err := c.client().Answer(cmd.Context(), args[0], q)
			if err != nil {
				return err
			}
			return c.showRequests(cmd, []node.OnwardRequest{r})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people; all who read the topic of the objects see it")
	if grant {
		cmd.Flags().StringVar(&until, "until", "", "the day on which it ends, at 00:00 UTC (default: in 30 days)")
	}
	return cmd
}

// moment reads a day, or a day with its time.
func moment(text string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%.80q is no date", text)
	}
	return t, nil
}

func (c *cli) showRequests(cmd *cobra.Command, list []node.OnwardRequest) error {
	if c.json {
		return printJSON(cmd.OutOrStdout(), list)
	}
	for _, r := range list {
		printRequest(cmd.OutOrStdout(), r)
	}
	if len(list) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "nothing was asked")
	}
	return nil
}

func printRequest(w io.Writer, r node.OnwardRequest) {
	to := r.ToName
	if to == "" {
		to = "an agreement that is not here (" + r.ToAgreement[:12] + ")"
	}
	source := r.Source
	if source == "" {
		source = "whoever published it"
	}
	state := r.State
	switch r.State {
	case "waiting", "granted":
		state += " until " + r.Until.Format("2006-01-02 15:04 UTC")
	}
	direction := "outgoing"
	if r.Incoming {
		direction = "incoming"
	}
	fmt.Fprintf(w, "%s  %s  %s\n  %s asks %s to pass %s of %s/%s on to %s/%s: %s\n", r.Request[:12], direction, state,
		r.Asker, source, quantity(r.Versions, "version"), r.Agreement, r.Topic, to, r.ToTopic, clean(r.Reason))
	if r.AnswerText != "" {
		fmt.Fprintf(w, "  %s: %s\n", source, clean(r.AnswerText))
	}
	if len(r.Objects) > 0 {
		fmt.Fprintf(w, "  %s\n", strings.Join(r.Objects, "\n  "))
	}
	if r.Incoming && r.State == "waiting" {
		fmt.Fprintf(w, "  answer: entente requests grant %s, or entente requests refuse %s --reason TEXT\n", r.Request[:12], r.Request[:12])
	}
}
