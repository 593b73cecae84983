package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"entente/protocol"
)

func (c *cli) agreementsAmend() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "amend FILE [FILE]", Short: "Begin the next version of an agreement", Args: cobra.RangeArgs(1, 2),
		Long: `Writes the next version of an agreement as NAME.vN.yaml beside FILE: the same text
with the number, the version before and a new secret, to be edited and signed by
those whom the version before demands. Two files are two versions with one number
(a fork): the new version resolves it, and the first is the one continued.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var previous [][]byte
			for _, file := range args {
				payload, _, err := readDocument(cmd.InOrStdin(), file)
				if err != nil {
					return err
				}
				previous = append(previous, payload)
			}
			var secret [32]byte
			fillRandom(secret[:])
			text, err := protocol.NextVersion(secret, previous...)
			if err != nil {
				return protocol.E(protocol.KindOf(err), "agreements amend "+strings.Join(args, " "), err, protocol.HintOf(err))
			}
			a, err := protocol.ParseAgreement(text)
			if err != nil {
				return err
			}
			if out == "" {
				out, _ = protocol.FileNames(a.Name, a.Version)
			}
			return c.writeNew(cmd, "agreements amend", out, text)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write (- for standard output)")
	return cmd
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
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "Wrote %s. Read and edit it, then: entente agreements sign %s\n", out, out)
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
				if v.Counts {
					mark = a.State
				}
				fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", v.Version, v.From.Format("2006-01-02"), v.Until.Format("2006-01-02"), strings.Join(v.Signed, " "), v.Hash[:12], mark)
			}
			return t.Flush()
		},
	}
}
