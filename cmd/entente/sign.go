package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"entente/protocol"
	"entente/store"
)

func (c *cli) agreementsSign() *cobra.Command {
	var keyPath string
	var dryRun, yes bool
	cmd := &cobra.Command{
		Use: "sign FILE|NAME", Short: "Sign an agreement with this member's root key", Args: cobra.ExactArgs(1),
		Long: `Signs the very bytes of FILE with the root key and adds the signature to the file
beside it, NAME.vN.sigs. Send both to the other parties; they sign theirs and
send their .sigs back, which agreements import takes. What another party has
proposed is at the node already: name it by NAME or NAME@VERSION, and it is signed
there, as agreements accept does.

What a later version changes is shown first, as agreements compare does. One by
which anything may newly flow to someone is signed only after a person's yes, on
a terminal or with --yes.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if dryRun {
				return c.previewFiles(cmd, args)
			}
			if !isFile(args[0]) {
				return c.acceptNamed(cmd, "agreements sign", args[0], keyPath, yes)
			}
			return c.sign(cmd, args[0], keyPath, yes)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what the version changes and what that does here; sign nothing")
	cmd.Flags().BoolVar(&yes, "yes", false, "say yes to what may newly flow")
	cmd.Flags().StringVar(&keyPath, "key", "", "file of the root key (default HOME/keys/root.key)")
	return cmd
}

func (c *cli) sign(cmd *cobra.Command, file, keyPath string, yes bool) error {
	const op = "agreements sign"
	key, err := c.rootKey(op, keyPath)
	if err != nil {
		return err
	}
	payload, signatures, err := readDocument(cmd.InOrStdin(), file)
	if err != nil {
		return err
	}
	a, err := protocol.ParseAgreement(payload)
	if err != nil {
		return protocol.E(protocol.Invalid, op+" "+file, err, "mend the file; nothing was signed")
	}
	at := slices.IndexFunc(a.Parties, func(p protocol.Party) bool { return p.Root == protocol.PublicOf(key) })
	if at < 0 {
		return protocol.E(protocol.Refused, op, fmt.Errorf("no party of %s has this root key", a.Name), "use the key of a party, or add the member to the parties first")
	}
	have, err := protocol.DecodeSignatures(signatures)
	if err != nil {
		return err
	}
	if err := c.agreeTo(cmd, op, file, written{payload, a}, yes); err != nil {
		return err
	}
	merged := protocol.MergeSignatures(have, []protocol.Signature{protocol.SignDocument(protocol.AgreementType, payload, a.Parties[at].ID, key)})
	beside := strings.TrimSuffix(file, filepath.Ext(file)) + ".sigs"
	if err := store.WriteFileAtomic(beside, protocol.EncodeSignatures(merged), 0o600); err != nil {
		return err
	}
	if c.json {
		return printJSON(cmd.OutOrStdout(), map[string]any{"signatures": beside, "signed_by": a.Parties[at].Handle, "count": len(merged), "hash": a.Hash.String()})
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "Signed version %d of %s as %s (sha256 %s).\n%d of %d parties have signed, in %s.\nNext: send %s and %s to the others; import what they send back: entente agreements import FILE\n",
		a.Version, a.Name, a.Parties[at].Handle, a.Hash, len(merged), len(a.Parties), beside, file, beside)
	return err
}

// agreeTo shows what a later version changes, and refuses it where it widens and
// nobody says yes. To sign a first version is the yes to all of it.
func (c *cli) agreeTo(cmd *cobra.Command, op, file string, next written, yes bool) error {
	if next.Version == 1 {
		return nil
	}
	people := *c
	people.json = false // the answer tells what was signed
	widens, unknown, err := people.preview(cmd, cmd.ErrOrStderr(), file, next)
	if err != nil || yes {
		return err
	}
	return consent(cmd, op, next.Agreement, widens, unknown)
}

// previewFiles shows what versions change, and does nothing.
func (c *cli) previewFiles(cmd *cobra.Command, files []string) error {
	for _, file := range files {
		text, a, err := agreementFile(cmd.InOrStdin(), file)
		if err != nil {
			return err
		}
		_, unknown, err := c.preview(cmd, cmd.OutOrStdout(), file, written{text, a})
		if err != nil {
			return err
		}
		if unknown {
			return protocol.E(protocol.NotFound, "agreements compare", fmt.Errorf("a version that version %d of %s builds on is not here", a.Version, a.Name), "put its file beside, or import it first")
		}
	}
	return nil
}
