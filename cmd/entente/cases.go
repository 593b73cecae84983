package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"entente/policy/cases"
	"entente/protocol"
)

func (c *cli) agreementsTest() *cobra.Command {
	var all, covered bool
	var least int
	cmd := &cobra.Command{
		Use: "test AGREEMENT [CASES…]", Short: "Hold an agreement to its test cases, and say which clauses they show", Args: cobra.MinimumNArgs(1),
		Long: `Asks an agreement the questions of its test cases and compares the answers. Both
are files; no node is needed. The cases of NAME.yaml or NAME.vN.yaml are in
NAME.tests.yaml beside it, unless other files are named:

  agreement: harbour-watch
  at: 2027-01-15T12:00:00Z
  cases:
    - name: indicators reach the CERT
      object: {type: indicator, marking: TLP:AMBER}
      from: bank
      to: cert            # left out: may it go on the topic, to all who read it?
      topic: indicators
      expect: allow       # or withhold, or refuse
      clause: "1"         # by this clause; left out: by whichever

An object may also be a whole STIX object, or one of a file beside the cases:
{file: samples.json#ID}. "because" names the layer that must decide (form, floor,
agreement, local), "readers" who exactly may read what goes on a topic,
"obligations" what exactly a permission demands; "purpose" is what the reader
wants it for, "facts" what the answer rests on beside the agreement. "elsewhere",
instead of "to", is somebody under another agreement, from whom clauses of scope
everywhere may keep it.

Exits 7 when a case fails or, with --coverage, when something of the agreement is
shown by no passing case. With --json the answer is one object: agreement, version,
passed, failed, cases (file, line, case, passed, differences, answers) and coverage
(percent, covered, points); fields are only ever added.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			a, _, err := readAgreement(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			files := args[1:]
			if len(files) == 0 {
				files = []string{casesBeside(args[0])}
			}
			sources, err := readCases(files)
			if err != nil {
				return err
			}
			report, err := cases.Run(cmd.Context(), a, sources...)
			if err != nil {
				return err
			}
			if c.json {
				err = printJSON(cmd.OutOrStdout(), report)
			} else {
				err = printReport(cmd.OutOrStdout(), report, all)
			}
			if err != nil {
				return err
			}
			if !covered && !cmd.Flags().Changed("min-coverage") {
				least = 0
			}
			return verdictOf(report, least)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "list the cases that pass, too")
	cmd.Flags().BoolVar(&covered, "coverage", false, "exit 7 when coverage is below 100 %")
	cmd.Flags().IntVar(&least, "min-coverage", 100, "exit 7 when coverage is below so many percent")
	return cmd
}

// readAgreement reads an agreement from a file, alone or as an envelope.
func readAgreement(in io.Reader, file string) (*protocol.Agreement, []byte, error) {
	payload, _, err := readDocument(in, file)
	if err != nil {
		return nil, nil, err
	}
	a, err := parseAgreement(payload, file)
	return a, payload, err
}

// parseAgreement reads the text of an agreement, alone or in an envelope.
func parseAgreement(payload []byte, file string) (*protocol.Agreement, error) {
	if len(payload) > 0 && payload[0] == '{' {
		d, err := protocol.DecodeEnvelope(payload)
		if err != nil {
			return nil, protocol.E(protocol.KindOf(err), file, err, protocol.HintOf(err))
		}
		payload = d.Payload
	}
	a, err := protocol.ParseAgreement(payload)
	if err != nil {
		return nil, protocol.Located(err, file)
	}
	return a, nil
}

// casesBeside names the file of cases of an agreement's file.
func casesBeside(agreement string) string {
	dir, file := filepath.Split(agreement)
	name, _, _, ok := protocol.ParseFileName(file)
	if !ok {
		name = strings.TrimSuffix(file, filepath.Ext(file))
	}
	return dir + name + ".tests.yaml"
}

// readCases reads files of cases; their samples are in their own folders.
func readCases(files []string) ([]cases.Source, error) {
	var out []cases.Source
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			kind := protocol.Invalid
			if errors.Is(err, fs.ErrNotExist) {
				kind = protocol.NotFound
			}
			return nil, protocol.E(kind, "read cases", err, "name the file of the cases after the agreement")
		}
		f, err := cases.Parse(name, text)
		if err != nil {
			return nil, err
		}
		out = append(out, cases.Source{File: f, Samples: samplesIn(filepath.Dir(name))})
	}
	return out, nil
}

// samplesIn reads files in a folder and below it, and none outside whatever
// links say.
func samplesIn(dir string) fs.FS { return within(dir) }

type within string

// Open implements fs.FS.
func (w within) Open(name string) (f fs.File, err error) {
	root, err := os.OpenRoot(string(w))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return root.FS().Open(name)
}

// printReport writes for people what cases came to: those that fail, and what no
// case shows.
func printReport(w io.Writer, r *cases.Report, all bool) error {
	var b strings.Builder
	for _, one := range r.Cases {
		switch {
		case !one.Passed:
			fmt.Fprintf(&b, "FAIL  %s:%d: %s\n", one.File, one.Line, clean(one.Case))
			for _, d := range one.Differences {
				fmt.Fprintf(&b, "      %s\n", clean(d))
			}
		case all:
			fmt.Fprintf(&b, "ok    %s:%d: %s\n", one.File, one.Line, clean(one.Case))
		}
	}
	missing := r.Coverage.Missing()
	if len(missing) > 0 {
		b.WriteString("no passing case shows\n")
	}
	for _, p := range missing {
		fmt.Fprintf(&b, "      %s: %s\n", pointName(p), clean(strings.TrimSpace(p.Text)))
	}
	fmt.Fprintf(&b, "%s, version %d: %s, %d passed, %d failed; coverage %d %% (%d of %d)\n", r.Agreement, r.Version,
		quantity(len(r.Cases), "case"), r.Passed, r.Failed, r.Coverage.Percent, r.Coverage.Covered, len(r.Coverage.Points))
	_, err := io.WriteString(w, b.String())
	return err
}

// pointName says what a point of coverage is about.
func pointName(p cases.Point) string {
	switch {
	case p.Local:
		return fmt.Sprintf("local rule %s (line %d)", p.Clause, p.Line)
	case p.Clause == "":
		return p.Condition
	case p.Condition == "":
		return fmt.Sprintf("clause %s (line %d)", p.Clause, p.Line)
	default:
		return fmt.Sprintf("%s of clause %s (line %d)", p.Condition, p.Clause, p.Line)
	}
}

// verdictOf is the error of a report that has findings.
func verdictOf(r *cases.Report, least int) error {
	var what []string
	if r.Failed > 0 {
		what = append(what, fmt.Sprintf("%d of %s failed", r.Failed, quantity(len(r.Cases), "case")))
	}
	if r.Coverage.Percent < least {
		what = append(what, fmt.Sprintf("coverage is %d %%, below %d %%", r.Coverage.Percent, least))
	}
	if len(what) == 0 {
		return nil
	}
	return protocol.Errorf(protocol.Findings, "agreements test", "%s", strings.Join(what, "; "))
}

// writeDraft writes a new agreement and the cases of its draft beside it. Cases
// that are there already stay as they are.
func (c *cli) writeDraft(cmd *cobra.Command, out string, text []byte) error {
	const op = "agreements new"
	if out == "-" {
		return c.writeNew(cmd, op, out, text)
	}
	a, err := protocol.ParseAgreement(text)
	if err != nil {
		return err
	}
	drafted, err := cases.Draft(a)
	if err != nil {
		return err
	}
	if err := createFile(op, out, text); err != nil {
		return err
	}
	tests := casesBeside(out)
	err = createFile(op, tests, drafted)
	kept := errors.Is(err, fs.ErrExist)
	if err != nil && !kept {
		return err
	}
	if c.json {
		return printJSON(cmd.OutOrStdout(), map[string]string{"file": out, "tests": tests})
	}
	about := "Wrote cases of every clause to " + tests + ": read whether they are what you mean, and after each edit"
	if kept {
		about = "Left the cases in " + tests + " as they are; after each edit"
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "Wrote %s. Read and edit it, then: entente agreements sign %s\n%s: entente agreements test %s\n", out, out, about, out)
	return err
}
