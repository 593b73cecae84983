package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"entente/node"
	"entente/protocol"
)

func (c *cli) policyExplain() *cobra.Command {
	var q node.TrailQuery
	cmd := &cobra.Command{
		Use: "explain OBJECT", Short: "Say what every rule says to an object, for each reader", Args: cobra.ExactArgs(1),
		Long: `Shows every layer, clause and local rule that is asked about an object that the
node holds, on each topic that it is on, for each reader; an arrow is where it was
decided. With --topic it is that topic alone; where the object is not on it, what
would be so if this member published it there. For what is not held here:
entente publish --dry-run.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Object = args[0]
			return c.trails(cmd, q, printTrails)
		},
	}
	cmd.Flags().StringVar(&q.Topic, "topic", "", "AGREEMENT/TOPIC, be the object on it or not")
	cmd.Flags().StringVar(&q.For, "for", "", "one reader: a member, or public")
	return cmd
}

func (c *cli) policyWho() *cobra.Command {
	var q node.TrailQuery
	cmd := &cobra.Command{
		Use: "who OBJECT", Short: "Say who may have an object, by which clause, and who not", Args: cobra.ExactArgs(1),
		Long: `Says of an object that the node holds who may have it: the parties of each agreement
and topic that it is on, by which clause, and from whom it is kept. With --topic it
says who would get it there.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Object = args[0]
			return c.trails(cmd, q, printWho)
		},
	}
	cmd.Flags().StringVar(&q.Topic, "topic", "", "AGREEMENT/TOPIC, be the object on it or not")
	return cmd
}

func (c *cli) policyWhyNot() *cobra.Command {
	var q node.TrailQuery
	cmd := &cobra.Command{
		Use: "why-not OBJECT --for PARTY", Short: "Say which layer, agreement and clause keep an object from somebody", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.Object = args[0]; q.For == "" {
				return protocol.E(protocol.Invalid, "policy why-not", fmt.Errorf("nobody is named"), "name a member, or public: --for PARTY")
			}
			return c.trails(cmd, q, printWhyNot)
		},
	}
	cmd.Flags().StringVar(&q.For, "for", "", "a member, or public")
	cmd.Flags().StringVar(&q.Topic, "topic", "", "AGREEMENT/TOPIC, be the object on it or not")
	return cmd
}

// trails asks the node, and prints what it says.
func (c *cli) trails(cmd *cobra.Command, q node.TrailQuery, print func(io.Writer, []node.Trail) error) error {
	trails, err := c.client().Trails(cmd.Context(), q)
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(cmd.OutOrStdout(), trails)
	}
	return print(cmd.OutOrStdout(), trails)
}

// trailHead says what a trail is about.
func trailHead(t node.Trail) string {
	how := "by " + t.Author
	if !t.Held {
		how = "if " + t.Author + " published it"
	}
	return fmt.Sprintf("%s %s on %s/%s %s", t.Type, t.Marking, t.Agreement, t.Topic, how)
}

func printTrails(w io.Writer, trails []node.Trail) error {
	var b strings.Builder
	for i, t := range trails {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s\n", trailHead(t))
		fmt.Fprintf(&b, "for the topic: %s by %s: %s\n", t.Verdict.Outcome, t.Verdict.Layer, whyText(t.Verdict))
		for _, r := range t.Readers {
			fmt.Fprintf(&b, "%s: %s\n", r.Reader, readerLine(r))
			for _, s := range r.Steps {
				fmt.Fprintf(&b, "%s\n", stepLine(s))
			}
			if r.Omitted > 0 {
				fmt.Fprintf(&b, "   and %s that do not speak of this\n", quantity(r.Omitted, "clause"))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// readerLine is what was decided for a reader, on one line.
func readerLine(r node.ReaderTrail) string {
	line := r.Why.Outcome + " by " + r.Why.Layer + ": " + whyText(r.Why)
	if r.Duties != "" && r.Why.Outcome == "allow" {
		line += " (on condition: " + clean(r.Duties) + ")"
	}
	if !r.Until.IsZero() {
		line += " [until " + when(r.Until) + "]"
	}
	if r.Barred {
		line += " [reads nothing of the topic]"
	}
	return line
}

// stepLine is one rule on one line; an arrow is where it was decided.
func stepLine(s node.TrailStep) string {
	arrow, what := "  ", s.Layer
	if s.Decides {
		arrow = "->"
	}
	switch {
	case s.Layer == "local":
		what = "local rule " + s.Clause
	case s.Clause != "" && s.Against:
		what = fmt.Sprintf("%s v%d forbids %s", s.Agreement, s.Version, s.Clause)
	case s.Clause != "":
		what = fmt.Sprintf("%s v%d permits %s", s.Agreement, s.Version, s.Clause)
	}
	if s.Clause != "" && !s.Match {
		what += ", not here"
	}
	line := "  " + arrow + " " + what + ": " + clean(s.Why)
	if s.Text != "" {
		line += " (\"" + clean(strings.TrimSpace(s.Text)) + "\")"
	}
	return line
}

func printWho(w io.Writer, trails []node.Trail) error {
	var b strings.Builder
	for _, t := range trails {
		fmt.Fprintf(&b, "%s\n", trailHead(t))
		if len(t.Readers) == 0 {
			fmt.Fprintf(&b, "  nobody: %s\n", whyText(t.Verdict))
		}
		if t.Held || t.Verdict.Outcome == "allow" {
			for _, r := range t.Readers {
				if r.Why.Outcome == "allow" {
					fmt.Fprintf(&b, "  %s may: %s\n", r.Reader, whyText(r.Why))
				}
			}
		} else if len(t.Readers) > 0 {
			fmt.Fprintf(&b, "  it does not go there: %s\n", whyText(t.Verdict))
		}
		for _, r := range t.Readers {
			if r.Why.Outcome != "allow" {
				fmt.Fprintf(&b, "  %s may not: %s\n", r.Reader, whyText(r.Why))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printWhyNot(w io.Writer, trails []node.Trail) error {
	var b strings.Builder
	for _, t := range trails {
		fmt.Fprintf(&b, "%s\n", trailHead(t))
		if len(t.Readers) == 0 || !t.Held && t.Verdict.Outcome != "allow" {
			fmt.Fprintf(&b, "  it does not go there: %s by %s: %s\n", t.Verdict.Outcome, t.Verdict.Layer, whyText(t.Verdict))
		}
		for _, r := range t.Readers {
			if r.Why.Outcome == "allow" {
				fmt.Fprintf(&b, "  %s may have it: %s\n", r.Reader, whyText(r.Why))
				continue
			}
			fmt.Fprintf(&b, "  %s may not: %s by %s: %s\n", r.Reader, r.Why.Outcome, r.Why.Layer, whyText(r.Why))
			for _, s := range r.Steps {
				if s.Clause != "" && !s.Against || s.Decides {
					fmt.Fprintf(&b, "%s\n", stepLine(s))
				}
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
