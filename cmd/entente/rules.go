package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"entente/node"
	"entente/policy"
	"entente/policy/cases"
	"entente/protocol"
	"entente/store"
)

// rulesFile is where the operator's own rules stand.
func (c *cli) rulesFile() string { return filepath.Join(c.home, "local-rules.yaml") }

// readRules reads local rules; nil where there is no file.
func readRules(path string) (text []byte, err error) {
	const most = 2 << 20 // above their limit, so that this is what is said of them
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text = []byte{} // an empty file is no missing one
	rest, err := io.ReadAll(io.LimitReader(f, most))
	return append(text, rest...), err
}

// reloadOnHangup reads the local rules again at each SIGHUP until ctx ends.
func reloadOnHangup(ctx context.Context, n *node.Node, logger *slog.Logger) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
			info, err := n.ReloadRules(ctx)
			if err != nil {
				logger.Error("the local rules do not load; those of before stay in force", "err", err)
				continue
			}
			logger.Info("the local rules were read again", "clauses", info.Clauses, "changed", info.Changed)
		}
	}
}

func (c *cli) policyReload() *cobra.Command {
	return &cobra.Command{
		Use: "reload", Short: "Make the node read its local rules again, without a restart", Args: cobra.NoArgs,
		Long: `Makes the running node read its local rules (the file that entente paths names)
again. They hold for all that is decided from then on. Where they do not load those
of before stay in force, and status says so until they do.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, err := c.client().ReloadRules(cmd.Context())
			if err != nil {
				return err
			}
			if c.json {
				return printJSON(cmd.OutOrStdout(), info)
			}
			w := cmd.OutOrStdout()
			switch {
			case info.Hash == "":
				fmt.Fprintln(w, "there are no local rules")
			case info.Changed:
				fmt.Fprintf(w, "%s in force, SHA-256 %s\n", quantity(info.Clauses, "local rule"), info.Hash)
			default:
				fmt.Fprintf(w, "unchanged: %s in force, SHA-256 %s\n", quantity(info.Clauses, "local rule"), info.Hash)
			}
			for _, u := range info.Unresolved {
				fmt.Fprintf(w, "warning: clause %s (line %d): %s\n", u.Clause, u.Line, clean(u.Text))
			}
			return nil
		},
	}
}

// checkedRules is what policy check says of local rules, as JSON; later versions
// only add.
type checkedRules struct {
	File     string          `json:"file"`
	Hash     string          `json:"hash"` // SHA-256 of the text
	Title    string          `json:"title,omitempty"`
	Clauses  []checkedClause `json:"clauses"`
	Warnings []ruleWarning   `json:"warnings"`
}

type checkedClause struct {
	Number     string   `json:"number"`
	Line       int      `json:"line"`
	Text       string   `json:"text"`
	Agreements []string `json:"agreements"` // here, that it binds
}

type ruleWarning struct {
	Clause string `json:"clause"`
	Line   int    `json:"line"`
	Text   string `json:"text"`
}

// checkRules looks at local rules, and at the agreements that are kept in the home
// for the words in them.
func (c *cli) checkRules(w io.Writer, file string, text []byte) error {
	rules, err := protocol.ParseLocalRules(text)
	if err != nil {
		return protocol.Located(err, file)
	}
	known, err := c.keptAgreements()
	if err != nil {
		return err
	}
	out := checkedRules{File: file, Hash: rules.Hash.String(), Title: rules.Title, Clauses: []checkedClause{}, Warnings: []ruleWarning{}}
	for i := range rules.Clauses {
		clause := &rules.Clauses[i]
		one := checkedClause{Number: clause.Number, Line: clause.Line, Text: clause.Text, Agreements: []string{}}
		for _, a := range known {
			if clause.Binds(a.ID, a.Name) {
				one.Agreements = append(one.Agreements, a.Name)
			}
		}
		out.Clauses = append(out.Clauses, one)
	}
	if len(known) > 0 {
		for _, u := range policy.Resolve(rules, known) {
			out.Warnings = append(out.Warnings, ruleWarning(u))
		}
	}
	if c.json {
		err = printJSON(w, out)
	} else {
		err = out.print(w, len(known))
	}
	if err == nil && len(out.Warnings) > 0 {
		err = protocol.Errorf(protocol.Findings, "policy check", "%s", quantity(len(out.Warnings), "warning"))
	}
	return err
}

func (s *checkedRules) print(w io.Writer, known int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, SHA-256 %s\n", s.File, quantity(len(s.Clauses), "local rule"), s.Hash)
	for _, one := range s.Clauses {
		where := "in no agreement here"
		if len(one.Agreements) > 0 {
			where = "in " + strings.Join(one.Agreements, ", ")
		}
		fmt.Fprintf(&b, "  %s forbids %s: %s\n", one.Number, where, clean(strings.TrimSpace(one.Text)))
	}
	if known == 0 {
		b.WriteString("no agreement is kept in this home, so names in them were not looked up\n")
	}
	if len(s.Warnings) > 0 {
		b.WriteString("warnings\n")
	}
	for _, one := range s.Warnings {
		fmt.Fprintf(&b, "  %s:%d: clause %s: %s\n", s.File, one.Line, one.Clause, clean(one.Text))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// keptAgreements returns the newest version of each agreement in the home.
func (c *cli) keptAgreements() ([]*protocol.Agreement, error) {
	if _, err := os.Stat(filepath.Join(c.home, "agreements")); err != nil {
		return nil, nil
	}
	documents, err := store.OpenDocuments(c.home)
	if err != nil {
		return nil, err
	}
	var out []*protocol.Agreement
	at := map[protocol.AgreementID]int{}
	err = documents.Load(func(kind, _ string, _ uint64, payload, _ []byte) error {
		if kind != "agreements" {
			return nil
		}
		a, err := protocol.ParseAgreement(payload)
		if err != nil {
			return nil // the node tells about damaged documents
		}
		i, known := at[a.ID]
		switch {
		case !known:
			at[a.ID] = len(out)
			out = append(out, a)
		case out[i].Version < a.Version:
			out[i] = a
		}
		return nil
	})
	return out, err
}

func (c *cli) policyTest() *cobra.Command {
	var all bool
	var file, as string
	cmd := &cobra.Command{
		Use: "test AGREEMENT [CASES…]", Short: "Hold an agreement under the local rules to test cases", Args: cobra.MinimumNArgs(1),
		Long: `Asks an agreement under the local rules the questions of test cases, and compares
the answers. All are files; no node is needed. The cases are written as those of
entente agreements test; "because: local" says that a local rule must decide, and
"clause" which. They are in local-rules.tests.yaml beside the rules, or else beside
the agreement, unless files are named.

Local rules bind what their member gives and takes: it is the member of this home,
or the party that --as names. Exits 7 when a case fails.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			a, _, err := readAgreement(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			if file == "" {
				file = c.rulesFile()
			}
			rules, err := loadRules(file)
			if err != nil {
				return err
			}
			self, err := c.partyOf(a, as)
			if err != nil {
				return err
			}
			files := args[1:]
			if len(files) == 0 {
				files = []string{casesBeside(file)}
				if _, err := os.Stat(files[0]); err != nil {
					files = []string{casesBeside(args[0])}
				}
			}
			sources, err := readCases(files)
			if err != nil {
				return err
			}
			report, err := cases.RunUnder(cmd.Context(), a, rules, self, sources...)
			if err != nil {
				return err
			}
			if c.json {
				err = printJSON(cmd.OutOrStdout(), report)
			} else {
				err = printReport(cmd.OutOrStdout(), report, all)
			}
			if err != nil || report.Failed == 0 {
				return err
			}
			return protocol.Errorf(protocol.Findings, "policy test", "%d of %s failed", report.Failed, quantity(len(report.Cases), "case"))
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "list the cases that pass, too")
	cmd.Flags().StringVar(&file, "rules", "", "file of the local rules (default: that of this home)")
	cmd.Flags().StringVar(&as, "as", "", "handle of the party whose rules they are (default: the member of this home)")
	return cmd
}

// loadRules reads the local rules of a file that must be there.
func loadRules(file string) (*protocol.LocalRules, error) {
	text, err := readRules(file)
	if err == nil && text == nil {
		err = protocol.E(protocol.NotFound, "read local rules", fmt.Errorf("%s is not there", file), "write it, or name another file")
	}
	if err != nil {
		return nil, err
	}
	rules, err := protocol.ParseLocalRules(text)
	if err != nil {
		return nil, protocol.Located(err, file)
	}
	return rules, nil
}

// partyOf is the member whose local rules are asked.
func (c *cli) partyOf(a *protocol.Agreement, handle string) (protocol.MemberID, error) {
	if handle == "" {
		id, err := c.open()
		if err != nil {
			return protocol.MemberID{}, protocol.E(protocol.KindOf(err), "policy test", err, "name the party whose rules they are with --as")
		}
		return id.record.Member, nil
	}
	var known []string
	for _, p := range a.Parties {
		if p.Handle == handle {
			return p.ID, nil
		}
		known = append(known, p.Handle)
	}
	return protocol.MemberID{}, protocol.E(protocol.Invalid, "policy test", fmt.Errorf("%.80q is no party of %s", handle, a.Name), "one of "+strings.Join(known, ", "))
}
