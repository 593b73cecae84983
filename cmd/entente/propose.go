package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"entente/node"
	"entente/protocol"
)

func (c *cli) agreementsPropose() *cobra.Command {
	var keyPath string
	var yes bool
	cmd := &cobra.Command{
		Use: "propose FILE", Short: "Sign an agreement or a new version of one, and pass it to the other parties' nodes", Args: cobra.ExactArgs(1),
		Long: `Signs the agreement in FILE with this member's root key and gives it to the running
node, from which the other parties' nodes get it: those of the version in force,
and whom this member knows by an invite (entente agreements invite). They look at it
and sign it with: entente agreements accept NAME. Signatures come back by themselves.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			payload, signatures, err := readDocument(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			return c.signInto(cmd, "agreements propose", args[0], payload, signatures, keyPath, yes)
		},
	}
	cmd.Flags().StringVar(&keyPath, "key", "", "file of the root key (default HOME/keys/root.key)")
	cmd.Flags().BoolVar(&yes, "yes", false, "say yes to what may newly flow")
	return cmd
}

// signInto shows what a version changes, adds this member's signature to it, and
// gives it to the node. name is what people call the version.
func (c *cli) signInto(cmd *cobra.Command, op, name string, payload, signatures []byte, keyPath string, yes bool) error {
	key, err := c.rootKey(op, keyPath)
	if err != nil {
		return err
	}
	a, err := protocol.ParseAgreement(payload)
	if err != nil {
		return protocol.E(protocol.Invalid, op, err, "mend the file; nothing was signed")
	}
	at := slices.IndexFunc(a.Parties, func(p protocol.Party) bool { return p.Root == protocol.PublicOf(key) })
	if at < 0 {
		return protocol.E(protocol.Refused, op, fmt.Errorf("no party of %s has this root key", a.Name), "use the key of a party, or add the member to the parties first")
	}
	have, err := protocol.DecodeSignatures(signatures)
	if err != nil {
		return err
	}
	if err := c.agreeTo(cmd, op, name, written{payload, a}, yes); err != nil {
		return err
	}
	merged := protocol.MergeSignatures(have, []protocol.Signature{protocol.SignDocument(protocol.AgreementType, payload, a.Parties[at].ID, key)})
	done, err := c.client().Import(cmd.Context(), payload, protocol.EncodeSignatures(merged))
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(cmd.OutOrStdout(), done)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "Signed version %d of %s as %s. The agreement: %s.\n", a.Version, a.Name, a.Parties[at].Handle, clean(done.Text))
	return err
}

func (c *cli) agreementsAccept() *cobra.Command {
	var keyPath string
	var yes bool
	cmd := &cobra.Command{
		Use: "accept NAME[@VERSION]", Short: "Sign a version that another party has proposed", Args: cobra.ExactArgs(1),
		Long: `Signs a version of an agreement that is here and that this member has not signed:
the newest one, or the one behind the @ (its number, or the beginning of its hash
where several have that number). What it changes is shown first, as agreements
compare does; one by which anything may newly flow to someone is signed only after
a person's yes, on a terminal or with --yes.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.acceptNamed(cmd, "agreements accept", args[0], keyPath, yes)
		},
	}
	cmd.Flags().StringVar(&keyPath, "key", "", "file of the root key (default HOME/keys/root.key)")
	cmd.Flags().BoolVar(&yes, "yes", false, "say yes to what may newly flow")
	return cmd
}

// acceptNamed signs a version that the node keeps.
func (c *cli) acceptNamed(cmd *cobra.Command, op, name, keyPath string, yes bool) error {
	a, err := c.client().Agreement(cmd.Context(), name)
	if err != nil {
		return err
	}
	v, err := proposed(a, name)
	if err != nil {
		return err
	}
	if a, err = c.client().Agreement(cmd.Context(), a.ID+"@"+v.Hash); err != nil {
		return err
	}
	if v.Version == 1 && !yes {
		return protocol.E(protocol.Refused, op, fmt.Errorf("version %d of %s (sha256 %s), signed by %s so far, would be signed", v.Version, a.Name, v.Hash, orNobody(v.Signed)),
			fmt.Sprintf("read it: entente agreements show %s@%s; then say so again with --yes", a.Name, v.Hash[:12]))
	}
	return c.signInto(cmd, op, fmt.Sprintf("%s@%d", a.Name, v.Version), []byte(a.Document), []byte(a.Signatures), keyPath, yes)
}

func orNobody(handles []string) string {
	if len(handles) == 0 {
		return "nobody"
	}
	return strings.Join(handles, ", ")
}

// proposed chooses the version that is meant: the one behind an @, or the newest
// that waits for this member's signature.
func proposed(a node.AgreementInfo, asked string) (node.VersionInfo, error) {
	shown := protocol.PayloadHash([]byte(a.Document)).String()
	named := strings.Contains(asked, "@")
	for _, v := range slices.Backward(a.Versions) {
		if named && v.Hash == shown || !named && v.Waits {
			return v, nil
		}
	}
	return node.VersionInfo{}, protocol.E(protocol.NotFound, "agreements accept", errors.New("no version of "+a.Name+" waits for a signature"), "see which there are: entente agreements history "+a.Name)
}
