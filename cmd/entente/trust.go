package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"entente/node"
	"entente/protocol"
	"entente/store"
)

func (c *cli) membersCommand() *cobra.Command {
	list := func(cmd *cobra.Command, _ []string) error {
		members, err := c.client().Members(cmd.Context())
		if err != nil {
			return err
		}
		return c.printMembers(cmd, members)
	}
	cmd := &cobra.Command{Use: "members", Short: "List the members that are known, and take or give member records", Args: cobra.NoArgs, RunE: list}
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "List the members that are known", Args: cobra.NoArgs, RunE: list},
		&cobra.Command{
			Use: "show MEMBER", Short: "Show one member", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				members, err := c.client().Members(cmd.Context())
				if err != nil {
					return err
				}
				for _, m := range members {
					if m.Handle == args[0] || m.ID == args[0] || (len(args[0]) >= 8 && strings.HasPrefix(m.ID, args[0])) {
						return c.printMember(cmd, m)
					}
				}
				return protocol.E(protocol.NotFound, "members show", fmt.Errorf("no member %q is known here", args[0]), "list them: entente members")
			},
		},
		&cobra.Command{
			Use: "add FILE…", Short: "Take member records or public profiles, with the .sigs beside them", Args: cobra.MinimumNArgs(1),
			Long: `Takes a member record or public profile: the .yaml with its .sigs beside it, or one
.json envelope. Adding a first record is the act of trust in that member's root
key: compare it with them by another way.`,
			RunE: func(cmd *cobra.Command, args []string) error { return c.importFiles(cmd, args) },
		},
		c.membersExport(), c.membersRenew(),
	)
	return cmd
}

func (c *cli) printMembers(cmd *cobra.Command, members []node.MemberInfo) error {
	if c.json {
		return printJSON(cmd.OutOrStdout(), members)
	}
	t := table(cmd.OutOrStdout())
	fmt.Fprintln(t, "MEMBER\tID\tNAME\tRECORD\tUNTIL\tNODES\tAGREEMENTS")
	for _, m := range members {
		name, record := m.Handle, fmt.Sprintf("v%d", m.Version)
		if m.Self {
			name += " (this)"
		}
		if m.Public {
			record += " profile"
		}
		live := 0
		for _, n := range m.Nodes {
			if n.Connected {
				live++
			}
		}
		nodes := fmt.Sprintf("%d of %d connected", live, len(m.Nodes))
		if m.Self {
			nodes = fmt.Sprint(len(m.Nodes))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, m.ID[:12], clean(m.Name), record, m.Until.Format("2006-01-02"), nodes, strings.Join(m.Agreements, " "))
	}
	return t.Flush()
}

func (c *cli) printMember(cmd *cobra.Command, m node.MemberInfo) error {
	if c.json {
		return printJSON(cmd.OutOrStdout(), m)
	}
	t := table(cmd.OutOrStdout())
	fmt.Fprintf(t, "member\t%s\nname\t%s\nid\t%s\nroot key\t%s\nrecord\tversion %d, until %s\nagreements\t%s\n",
		m.Handle, clean(m.Name), m.ID, m.Root, m.Version, when(m.Until), strings.Join(m.Agreements, " "))
	for _, n := range m.Nodes {
		state := "not connected"
		if n.Connected {
			state = "connected"
		}
		if m.Self {
			state = "this node"
		}
		fmt.Fprintf(t, "node %d\t%s on its %s host: %s %s\n", n.Number, state, n.Host, strings.Join(n.Addresses, " "), clean(n.LastError))
	}
	return t.Flush()
}

func (c *cli) membersExport() *cobra.Command {
	var public bool
	cmd := &cobra.Command{
		Use: "export", Short: "Write this member's record as one signed envelope, to give to others", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			id, err := c.open()
			if err != nil {
				return err
			}
			documents, err := store.OpenDocuments(c.home)
			if err != nil {
				return err
			}
			folder, kind := "members", protocol.RecordType
			if public {
				folder, kind = "profiles", protocol.ProfileType
			}
			var newest protocol.Document
			var version uint64
			err = documents.Load(func(in, _ string, v uint64, payload, signatures []byte) error {
				if in != folder || v < version {
					return nil
				}
				r, err := protocol.ParseRecord(payload)
				if err != nil || r.Member != id.record.Member {
					return nil
				}
				sigs, err := protocol.DecodeSignatures(signatures)
				newest, version = protocol.Document{Type: kind, Payload: payload, Signatures: sigs}, v
				return err
			})
			if err != nil {
				return err
			}
			out, err := protocol.EncodeEnvelope(newest)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", out)
			return err
		},
	}
	cmd.Flags().BoolVar(&public, "public", false, "the public profile instead of the member record")
	return cmd
}

// importFiles hands files to the node: .yaml with .sigs beside it, .sigs alone,
// or a .json envelope; "-" is standard input.
func (c *cli) importFiles(cmd *cobra.Command, files []string) error {
	var out []node.Imported
	var failed error
	for _, file := range files {
		payload, signatures, err := readDocument(cmd.InOrStdin(), file)
		var done node.Imported
		if err == nil {
			done, err = c.client().Import(cmd.Context(), payload, signatures)
		}
		if err != nil {
			err = protocol.E(protocol.KindOf(err), file, err, protocol.HintOf(err))
			if len(files) == 1 || protocol.KindOf(err) == protocol.Unreachable {
				return err
			}
			report(cmd.ErrOrStderr(), err)
			failed = err
			continue
		}
		out = append(out, done)
		if !c.json {
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s, version %d: %s: %s\n", done.Kind, done.Name, done.Version, done.State, clean(done.Text))
		}
	}
	if c.json {
		if err := printJSON(cmd.OutOrStdout(), out); err != nil {
			return err
		}
	}
	return failed
}

func readDocument(in io.Reader, file string) (payload, signatures []byte, err error) {
	if file == "-" {
		payload, err = io.ReadAll(io.LimitReader(in, 4<<20))
		return payload, nil, err
	}
	if payload, err = os.ReadFile(file); err != nil {
		return nil, nil, protocol.E(protocol.NotFound, "", err, "")
	}
	base, isSignatures := strings.CutSuffix(file, ".sigs")
	if isSignatures {
		document, err := os.ReadFile(base + ".yaml")
		if errors.Is(err, fs.ErrNotExist) {
			return nil, payload, nil
		}
		return document, payload, err
	}
	beside, err := os.ReadFile(strings.TrimSuffix(file, filepath.Ext(file)) + ".sigs")
	if errors.Is(err, fs.ErrNotExist) {
		return payload, nil, nil
	}
	return payload, beside, err
}

func (c *cli) agreementsCommand() *cobra.Command {
	list := func(cmd *cobra.Command, _ []string) error {
		agreements, err := c.client().Agreements(cmd.Context())
		if err != nil {
			return err
		}
		if c.json {
			return printJSON(cmd.OutOrStdout(), agreements)
		}
		t := table(cmd.OutOrStdout())
		fmt.Fprintln(t, "AGREEMENT\tVERSION\tID\tVISIBILITY\tSTATE\tUNTIL\tPARTIES\tTOPICS")
		for _, a := range agreements {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", a.Name, a.Version, a.ID[:12], a.Visibility, stateOf(a), a.Until.Format("2006-01-02"), parties(a), strings.Join(a.Topics, " "))
		}
		return t.Flush()
	}
	cmd := &cobra.Command{Use: "agreements", Short: "Write, sign, exchange and read agreements", Args: cobra.NoArgs, RunE: list}
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "List the agreements that are here", Args: cobra.NoArgs, RunE: list},
		c.agreementsNew(), c.agreementsTest(), c.agreementsAmend(), c.agreementsCompare(), c.agreementsSign(), c.agreementsImport(), c.agreementsHistory(),
		c.agreementsShow(), c.agreementsInvite(), c.agreementsPropose(), c.agreementsAccept(),
		c.agreementsSuspend(), c.agreementsResume(), c.agreementsTerminate(),
		c.joinCommand(),
	)
	return cmd
}

// stateOf is the state of an agreement, and which version is proposed.
func stateOf(a node.AgreementInfo) string {
	if a.ClearOnly {
		return a.State + " (TLP:CLEAR only)"
	}
	if a.Proposed > a.Version {
		return fmt.Sprintf("%s (version %d proposed)", a.State, a.Proposed)
	}
	return a.State
}

// parties lists the parties of an agreement; * marks who has signed.
func parties(a node.AgreementInfo) string {
	var out []string
	for _, p := range a.Parties {
		name := p.Handle
		if p.Signed {
			name += "*"
		}
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

func (c *cli) agreementsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show an agreement as it was signed, and who has signed it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := c.client().Agreement(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json {
				return printJSON(cmd.OutOrStdout(), a)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s, version %d, %s, %s; parties: %s (* signed)\nid %s\n", a.Name, a.Version, a.Visibility, a.State, parties(a), a.ID)
			for _, p := range a.Parties {
				if p.Halted != "" {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s gets and gives nothing: %s\n", p.Handle, p.Halted)
				}
			}
			fmt.Fprintln(cmd.ErrOrStderr())
			_, err = io.WriteString(cmd.OutOrStdout(), a.Document)
			return err
		},
	}
}

func (c *cli) agreementsNew() *cobra.Command {
	var template, out string
	var records, kinds []string
	cmd := &cobra.Command{
		Use: "new NAME --party MEMBER --party MEMBER…", Short: "Write an agreement from a template with comments", Args: cobra.ExactArgs(1),
		Long: `Writes version 1 of an agreement as NAME.v1.yaml, to be read, edited and signed.
A party is named by its handle, where its record is here (entente members), or by
the file of its member record; name this member too. Templates: alliance
(private, several parties), exchange (private, two parties), feed (public).
Say what kind of organisation a party is with --kind HANDLE=KIND.

A template may also be the file of an agreement, such as one of the examples: its
terms are taken as they stand, and the parties by their handles.

NAME.tests.yaml beside it gets test cases of every clause, see agreements test.

The whole way among members whose nodes run, without passing a file:
  1. entente agreements invite            for each of the others; send them the text
  2. entente join TEXT                    they do that; then they are in: entente members
  3. entente agreements new NAME --party this --party that…     and edit the file
  4. entente agreements propose FILE      signs it and sends it to their nodes
  5. entente agreements accept NAME       they read it, and sign it with that
It is in force at all when all have signed.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			parties, err := c.partiesOf("agreements new", records, kinds)
			if err != nil {
				return err
			}
			now := time.Now().UTC().Truncate(24 * time.Hour)
			var secret [32]byte
			fillRandom(secret[:])
			text, err := renderAgreement(template, protocol.TemplateValues{
				Name: args[0], Parties: parties, From: now, Until: now.AddDate(1, 0, 0), Secret: secret,
			}, kinds)
			if err != nil {
				return err
			}
			if out == "" {
				out, _ = protocol.FileNames(args[0], 1)
			}
			return c.writeDraft(cmd, out, text)
		},
	}
	cmd.Flags().StringVar(&template, "template", "alliance", "alliance, exchange or feed, or the file of an agreement")
	cmd.Flags().StringArrayVar(&records, "party", nil, "handle of a party whose record is here, or the file of its record; repeat for each")
	cmd.Flags().StringArrayVar(&kinds, "kind", nil, "HANDLE=KIND, what kind of organisation a party is")
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write (- for standard output)")
	_ = cmd.RegisterFlagCompletionFunc("template", cobra.FixedCompletions([]string{"alliance", "exchange", "feed"}, cobra.ShellCompDirectiveDefault))
	return cmd
}

// partiesOf reads parties from member records; a kind defaults to company.
func (c *cli) partiesOf(op string, files, kinds []string) ([]protocol.Party, error) {
	kindOf := map[string]string{}
	for _, k := range kinds {
		handle, kind, ok := strings.Cut(k, "=")
		if !ok || !slices.Contains(protocol.PartyKinds(), kind) {
			return nil, protocol.E(protocol.Invalid, op, fmt.Errorf("--kind %s should be HANDLE=KIND", k), "the kinds are "+strings.Join(protocol.PartyKinds(), ", "))
		}
		kindOf[handle] = kind
	}
	var out []protocol.Party
	for _, file := range files {
		r, err := c.recordOf(op, file)
		if err != nil {
			return nil, err
		}
		kind := kindOf[r.Handle]
		if kind == "" {
			kind = "company"
		}
		delete(kindOf, r.Handle)
		out = append(out, protocol.Party{Handle: r.Handle, Name: r.Name, ID: r.Member, Root: r.Root, Kind: kind})
	}
	for handle := range kindOf {
		return nil, protocol.Errorf(protocol.Invalid, op, "--kind names %s, who is not among the parties", handle)
	}
	return out, nil
}

func (c *cli) agreementsImport() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use: "import FILE…", Short: "Take agreements and signatures: .yaml with .sigs beside it, .sigs, or .json", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dryRun {
				return c.previewFiles(cmd, args)
			}
			return c.importFiles(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what the version changes and what that does here; take nothing")
	return cmd
}

// rootKey reads this member's root key from a file; "" is that of the home.
func (c *cli) rootKey(op, path string) (ed25519.PrivateKey, error) {
	if path == "" {
		path = filepath.Join(c.home, "keys", keyFiles()[protocol.RootKey])
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, protocol.E(protocol.NotFound, op, err, "name the file of the root key with --key, or make a member: entente init")
	}
	key, err := protocol.ParseSecretKey(protocol.RootKey, string(text))
	if err != nil {
		return nil, protocol.E(protocol.Invalid, op+" "+path, err, "")
	}
	return key, nil
}
