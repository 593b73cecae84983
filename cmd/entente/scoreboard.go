package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"entente/node"
)

func (c *cli) scoreboardCommand() *cobra.Command {
	return &cobra.Command{
		Use: "scoreboard AGREEMENT", Short: "Show what the parties have given, and what that entitles them to", Args: cobra.ExactArgs(1),
		Long: `Shows each contribution that an agreement asks for: what every party has given of
it, as this node counts, who of the others has signed that it is enough, and until
when that entitles it. Nodes count and sign by themselves. An object counts once, for
the party that gave it first, while it is not retracted.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := c.client().Scoreboard(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json {
				return printJSON(cmd.OutOrStdout(), list)
			}
			if len(list) == 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "%s asks nobody for a contribution\n", args[0])
			}
			for _, s := range list {
				if err := showScores(cmd.OutOrStdout(), s); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func showScores(w io.Writer, s node.ScoreInfo) error {
	where := ""
	if len(s.Types) > 0 {
		where += " (" + strings.Join(s.Types, ", ") + ")"
	}
	if len(s.Topics) > 0 {
		where += " on " + strings.Join(s.Topics, ", ")
	}
	fmt.Fprintf(w, "%s: %s%s within %s, signed for by %s, entitle for %s\n", s.Contribution, quantity(s.Objects, "object"), where, s.Within, quantity(s.Signers, "other"), s.Entitles)
	if len(s.Clauses) == 0 {
		fmt.Fprintln(w, "  no clause asks for it")
	} else {
		fmt.Fprintf(w, "  asked for by clause %s\n", strings.Join(s.Clauses, ", "))
	}
	t := table(w)
	for _, p := range s.Parties {
		more := ""
		if p.Most {
			more = " or more"
		}
		fmt.Fprintf(t, "  %s\tgave %d%s\t%s%s\n", p.Party, p.Given, more, standsBy(s, p), signedBy(p.Signed))
	}
	return t.Flush()
}

// standsBy says what a party is entitled to, or what it wants for that.
func standsBy(s node.ScoreInfo, p node.PartyGave) string {
	switch {
	case p.Barred != "":
		return "gets nothing: " + p.Barred
	case p.Entitled && p.Grace:
		return "entitled until " + p.Until.UTC().Format("2006-01-02 15:04 UTC") + ", without a score at first"
	case p.Entitled:
		return "entitled until " + p.Until.UTC().Format("2006-01-02 15:04 UTC")
	case p.Missing > 0:
		return fmt.Sprintf("not entitled: %d more", p.Missing)
	default:
		return fmt.Sprintf("not entitled: %d of %d signed", len(p.Signed), s.Signers)
	}
}

func signedBy(list []node.SignedScore) string {
	if len(list) == 0 {
		return ""
	}
	var by []string
	for _, s := range list {
		by = append(by, fmt.Sprintf("%s (%d, %s)", s.By, s.Count, s.Time.Format(time.DateOnly)))
	}
	return "; signed by " + strings.Join(by, ", ")
}
