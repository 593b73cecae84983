package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"entente/protocol"
)

func (c *cli) agreementsAmend() *cobra.Command {
	var out string
	var changes amendment
	cmd := &cobra.Command{
		Use: "amend FILE|NAME [FILE|NAME]", Short: "Begin the next version of an agreement", Args: cobra.RangeArgs(1, 2),
		Long: `Writes the next version of an agreement as NAME.vN.yaml: the same text with the
number, the version before and a new secret, to be edited and signed by those whom
the version before demands. It begins from files, or from NAME or NAME@VERSION that
this node keeps. Two are two versions with one number (a fork): the new version
resolves it, and the first is the one continued.

Who is party can be changed by flags. With --expel the version says where the logs
of the party end, as this node holds them now: what came up to there stays, and
what comes beyond it is refused. Clauses that name the party alone are left out.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			const op = "agreements amend"
			var previous [][]byte
			for _, arg := range args {
				text, err := c.currentText(cmd, arg)
				if err != nil {
					return err
				}
				previous = append(previous, text)
			}
			var secret [32]byte
			fillRandom(secret[:])
			text, err := protocol.NextVersion(secret, previous...)
			if err != nil {
				return protocol.E(protocol.KindOf(err), op+" "+strings.Join(args, " "), err, protocol.HintOf(err))
			}
			a, err := protocol.ParseAgreement(text)
			if err != nil {
				return err
			}
			what, err := c.changes(cmd, a, changes)
			if err != nil {
				return err
			}
			text, notes, err := what.Apply(text)
			if err != nil {
				return protocol.E(protocol.KindOf(err), op, err, protocol.HintOf(err))
			}
			for _, note := range notes {
				fmt.Fprintln(cmd.ErrOrStderr(), note)
			}
			if out == "" {
				out, _ = protocol.FileNames(a.Name, a.Version)
			}
			return c.writeNew(cmd, op, out, text)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write (- for standard output)")
	cmd.Flags().StringArrayVar(&changes.expel, "expel", nil, "handle of a party that leaves; repeat for each")
	cmd.Flags().StringArrayVar(&changes.admit, "admit", nil, "handle of a member whose record is here, or the file of its record, that becomes a party; repeat for each")
	cmd.Flags().StringArrayVar(&changes.kinds, "kind", nil, "HANDLE=KIND, what kind of organisation a party that comes is")
	cmd.Flags().StringArrayVar(&changes.suspend, "suspend", nil, "handle of a party that gets and gives nothing while the version counts")
	cmd.Flags().StringArrayVar(&changes.reinstate, "reinstate", nil, "handle of a party that the version before suspends")
	return cmd
}

// amendment is what the flags of amend say.
type amendment struct{ expel, admit, kinds, suspend, reinstate []string }

// currentText is the text that an argument names: a file, or a version of an
// agreement that the node keeps.
func (c *cli) currentText(cmd *cobra.Command, arg string) ([]byte, error) {
	s, err := side(cmd.InOrStdin(), arg)
	if err != nil || s.Document != "" {
		return []byte(s.Document), err
	}
	a, err := c.client().Agreement(cmd.Context(), arg)
	return []byte(a.Document), err
}

// changes turns what the flags say into changes of a version. Where logs of who
// leaves end is asked of the node.
func (c *cli) changes(cmd *cobra.Command, a *protocol.Agreement, flags amendment) (protocol.Changes, error) {
	const op = "agreements amend"
	admit, err := c.partiesOf(op, flags.admit, flags.kinds)
	out := protocol.Changes{Expel: flags.expel, Admit: admit, Suspend: flags.suspend, Reinstate: flags.reinstate}
	if err != nil || len(flags.expel) == 0 {
		return out, err
	}
	logs, err := c.client().Logs(cmd.Context(), a.ID.String())
	if err != nil {
		return out, err
	}
	for _, l := range logs {
		at := slices.IndexFunc(a.Parties, func(p protocol.Party) bool {
			return p.ID.String() == l.Member && slices.Contains(flags.expel, p.Handle)
		})
		if at < 0 {
			continue
		}
		cut := protocol.Cut{Member: a.Parties[at].ID, Position: protocol.Position{Sequence: l.Sequence}}
		if cut.Log, err = protocol.ParseHash(l.Log); err == nil {
			cut.Position.Head, err = protocol.ParseHash(l.Head)
		}
		if err != nil {
			return out, protocol.E(protocol.Other, op, fmt.Errorf("the node's answer: %w", err), "")
		}
		out.Cuts = append(out.Cuts, cut)
	}
	return out, nil
}

// writeNew writes an agreement that is to be signed to a file that must not be
// there yet, or to standard output for "-".
func (c *cli) writeNew(cmd *cobra.Command, op, out string, text []byte) error {
	if out == "-" {
		_, err := cmd.OutOrStdout().Write(text)
		return err
	}
	if err := createFile(op, out, text); err != nil {
		return err
	}
	if c.json {
		return printJSON(cmd.OutOrStdout(), map[string]string{"file": out})
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "Wrote %s. Read and edit it, then: entente agreements propose %s (or sign it, and send the files)\n", out, out)
	return err
}

// createFile writes a file that must not be there yet.
func createFile(op, path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return protocol.E(protocol.Conflict, op, err, "name another file with -o")
	}
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

func (c *cli) agreementsHistory() *cobra.Command {
	return &cobra.Command{
		Use: "history NAME", Short: "List the versions of an agreement, and who has signed each", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := c.client().Agreement(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json {
				for _, v := range a.Versions {
					if err := printJSON(cmd.OutOrStdout(), v); err != nil {
						return err
					}
				}
				return nil
			}
			t := table(cmd.OutOrStdout())
			fmt.Fprintln(t, "VERSION\tFROM\tUNTIL\tSIGNED BY\tSHA-256\t")
			for _, v := range a.Versions {
				mark := ""
				switch {
				case v.Counts:
					mark = a.State
				case !v.Valid:
					mark = "proposed"
				}
				if len(v.Closed) > 0 {
					mark = strings.TrimSpace(mark + " closes the logs of " + strings.Join(v.Closed, " "))
				}
				if v.Waits {
					mark = strings.TrimSpace(mark + " waits for you")
				}
				fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", v.Version, v.From.Format("2006-01-02"), v.Until.Format("2006-01-02"), strings.Join(v.Signed, " "), v.Hash[:12], mark)
			}
			return t.Flush()
		},
	}
}
