package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"entente/node"
	"entente/protocol"
	"entente/store"
)

func (c *cli) agreementsCompare() *cobra.Command {
	var since string
	cmd := &cobra.Command{
		Use: "compare [OLD] NEW", Short: "Show what a new version changes, and what that does to what this node holds", Args: cobra.RangeArgs(1, 2),
		Long: `Shows what one version of an agreement says differently from another, whether
anything may newly flow to someone, and, by replaying what this node received
in the last 30 days, what would newly flow, to whom and by which clause, and what
would stop. Nothing is changed.

OLD and NEW are files, or NAME or NAME@VERSION of an agreement that this node
keeps. Without OLD it is the version that counts here. Where no node is running
the differences are shown alone. Objects are asked for one by one: what refers
to an object that stops, stops with it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := pastMoment(since)
			if err != nil {
				return err
			}
			q := node.CompareRequest{Since: from}
			if q.New, err = side(cmd.InOrStdin(), args[len(args)-1]); err != nil {
				return err
			}
			if len(args) == 2 {
				if q.Old, err = side(cmd.InOrStdin(), args[0]); err != nil {
					return err
				}
			}
			v, alone, err := c.compare(cmd, q)
			if err != nil {
				return err
			}
			return c.printComparison(cmd, cmd.OutOrStdout(), v, alone)
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "replay what arrived at or after: a date, a time, or a span such as 24h or 7d (default 30d)")
	return cmd
}

// side reads what an argument names: a file, or an agreement that the node keeps.
func side(in io.Reader, arg string) (node.CompareSide, error) {
	_, err := os.Stat(arg)
	if err != nil && arg != "-" && !strings.ContainsAny(arg, `./\`) {
		name, version, has := strings.Cut(arg, "@")
		if !has {
			return node.CompareSide{Agreement: name}, nil
		}
		n, err := strconv.ParseUint(strings.TrimPrefix(version, "v"), 10, 63)
		if err != nil || n == 0 || name == "" {
			return node.CompareSide{}, protocol.E(protocol.Invalid, "agreements compare", fmt.Errorf("%q is no version of an agreement", arg), "one looks like harbour@2; list them: entente agreements history NAME")
		}
		return node.CompareSide{Agreement: name, Version: n}, nil
	}
	text, _, err := agreementFile(in, arg)
	return node.CompareSide{Document: string(text)}, err
}

// agreementFile reads an agreement from a file, which may be an envelope.
func agreementFile(in io.Reader, file string) ([]byte, *protocol.Agreement, error) {
	text, _, err := readDocument(in, file)
	if err != nil {
		return nil, nil, err
	}
	if len(text) > 0 && text[0] == '{' {
		d, err := protocol.DecodeEnvelope(text)
		if err != nil {
			return nil, nil, protocol.E(protocol.KindOf(err), file, err, protocol.HintOf(err))
		}
		text = d.Payload
	}
	a, err := protocol.ParseAgreement(text)
	if err != nil {
		return nil, nil, protocol.E(protocol.KindOf(err), file, err, protocol.HintOf(err))
	}
	return text, a, nil
}

// compare asks the node, or where there is none compares the documents alone,
// which it says.
func (c *cli) compare(cmd *cobra.Command, q node.CompareRequest) (v node.Comparison, alone bool, err error) {
	progress := newMeter(cmd.ErrOrStderr())
	client := c.client()
	defer client.Close()
	v, err = client.Compare(cmd.Context(), q, progress.show)
	progress.clear()
	if protocol.KindOf(err) != protocol.Unreachable || errors.Is(err, context.Canceled) {
		return v, false, err
	}
	noNode := err
	next, err := c.version(q.New)
	var old *protocol.Agreement
	if err == nil {
		old, err = c.version(q.Old)
	}
	if err == nil && old == nil {
		old, err = c.newest(next.ID)
	}
	if protocol.KindOf(err) == protocol.NotFound {
		err = noNode // which might know it
	}
	if err != nil {
		return v, true, err
	}
	return node.CompareDocuments(old, next), true, nil
}

// written is one version with its text.
type written struct {
	text []byte
	*protocol.Agreement
}

// version reads what a side names without a node: from the home's documents. A
// side that names nothing is nil.
func (c *cli) version(s node.CompareSide) (*protocol.Agreement, error) {
	if s.Document != "" {
		return protocol.ParseAgreement([]byte(s.Document))
	}
	if s.Agreement == "" {
		return nil, nil
	}
	var found *protocol.Agreement
	err := c.kept(func(a written) {
		if a.Name == s.Agreement && (a.Version == s.Version || s.Version == 0) && (found == nil || a.Version > found.Version) {
			found = a.Agreement
		}
	})
	if err == nil && found == nil {
		err = protocol.E(protocol.NotFound, "agreements compare", fmt.Errorf("there is no such file, and no such version of an agreement %q in %s", s.Agreement, c.home), "name a file, or another folder with --home")
	}
	return found, err
}

// newest returns the newest version that the home keeps of an agreement, or nil.
func (c *cli) newest(id protocol.AgreementID) (found *protocol.Agreement, err error) {
	err = c.kept(func(a written) {
		if a.ID == id && (found == nil || a.Version > found.Version) {
			found = a.Agreement
		}
	})
	return found, err
}

// kept calls yield with the agreements that the home keeps.
func (c *cli) kept(yield func(written)) error {
	if _, err := os.Stat(c.home); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	documents, err := store.OpenDocuments(c.home)
	if err != nil {
		return err
	}
	return documents.Load(func(kind, _ string, _ uint64, payload, _ []byte) error {
		if kind == "agreements" {
			if a, err := protocol.ParseAgreement(payload); err == nil {
				yield(written{payload, a})
			}
		}
		return nil
	})
}

// before finds the versions that one builds on: among the documents of the home,
// or, of an agreement that the home knows nothing of, in the file beside. What the
// home keeps counts first, since who wrote the new version may have written what
// lies beside it, too.
func (c *cli) before(file string, a *protocol.Agreement) (found []written, err error) {
	known := false
	err = c.kept(func(old written) {
		known = known || old.ID == a.ID
		if slices.Contains(a.Previous, old.Hash) {
			found = append(found, old)
		}
	})
	if err != nil || known || file == "-" || a.Version == 1 {
		return found, err
	}
	name, _ := protocol.FileNames(a.Name, a.Version-1)
	text, old, err := agreementFile(nil, filepath.Join(filepath.Dir(file), name))
	if err != nil || !slices.Contains(a.Previous, old.Hash) {
		return nil, nil // it is not the one, whatever it is
	}
	return []written{{text, old}}, nil
}

// preview shows what a version that is to be signed or taken changes from each of
// those it builds on, and reports whether it widens any of them. unknown says
// that not all of them are here.
func (c *cli) preview(cmd *cobra.Command, w io.Writer, file string, next written) (widens, unknown bool, err error) {
	olds, err := c.before(file, next.Agreement)
	if err != nil {
		return false, false, err
	}
	if next.Version == 1 {
		v := node.CompareDocuments(nil, next.Agreement)
		return v.Widens, false, c.printComparison(cmd, w, v, false)
	}
	for _, old := range olds {
		v, alone, err := c.compare(cmd, node.CompareRequest{
			Old: node.CompareSide{Document: string(old.text)}, New: node.CompareSide{Document: string(next.text)},
		})
		if err == nil {
			err = c.printComparison(cmd, w, v, alone)
		}
		if err != nil {
			return false, false, err
		}
		widens = widens || v.Widens
	}
	return widens, len(olds) < len(next.Previous), nil
}

// consent asks a person for a yes to a version that widens, or of which that
// cannot be told.
func consent(cmd *cobra.Command, op string, a *protocol.Agreement, widens, unknown bool) error {
	if !widens && !unknown {
		return nil
	}
	what := fmt.Sprintf("version %d of %s lets something flow that does not flow today", a.Version, a.Name)
	if unknown {
		what = fmt.Sprintf("the version before version %d of %s is not here, so what it widens cannot be told", a.Version, a.Name)
	}
	refused := protocol.E(protocol.Refused, op, errors.New(what+": a person must say yes to that"), "read it: entente agreements compare OLD NEW; then say so with --yes")
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !isTerminal(in) || !isTerminal(cmd.ErrOrStderr()) {
		return refused
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "\nNote: %s.\nType yes to go on: ", what)
	answer, err := bufio.NewReader(io.LimitReader(in, 256)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(strings.ToLower(answer)) != "yes" {
		return refused
	}
	return nil
}

// printComparison shows a comparison to people, or as JSON. alone says that there
// was no node to ask.
func (c *cli) printComparison(cmd *cobra.Command, w io.Writer, v node.Comparison, alone bool) error {
	if alone {
		fmt.Fprintln(cmd.ErrOrStderr(), "No node is running here: only the documents were compared, not the effect on what it holds.")
	}
	if c.json {
		return printJSON(w, v)
	}
	b := &strings.Builder{}
	if v.Old == 0 {
		fmt.Fprintf(b, "%s: version %d, the first here\n", v.Agreement, v.New)
	} else {
		fmt.Fprintf(b, "%s: version %d to version %d\n", v.Agreement, v.Old, v.New)
	}
	printDifferences(b, v)
	switch {
	case v.Widens:
		fmt.Fprintln(b, "\nSomething may newly flow, of what is held or of what is to come:")
		for _, x := range v.Widening {
			fmt.Fprintf(b, "  %s\n", clean(x.Text))
		}
	case len(v.Differences) > 0:
		fmt.Fprintln(b, "\nNothing that is kept back today may flow.")
	}
	if v.Problem != "" {
		fmt.Fprintf(b, "\nThis node could not enforce version %d: %s\n", v.New, clean(v.Problem))
	}
	printEffect(b, v.Effect)
	_, err := io.WriteString(w, b.String())
	return err
}

func printDifferences(b *strings.Builder, v node.Comparison) {
	lists := []struct {
		title string
		takes func(node.Difference) bool
	}{
		{"\nWhat changes:", func(d node.Difference) bool { return !d.Prose }},
		{"\nWording only:", func(d node.Difference) bool { return d.Prose }},
	}
	for _, l := range lists {
		titled := false
		for _, d := range v.Differences {
			if !l.takes(d) {
				continue
			}
			if !titled {
				fmt.Fprintln(b, l.title)
				titled = true
			}
			fmt.Fprintf(b, "  %s\n", clean(d.Text))
			if d.Prose {
				old, next := wording(d.Old, d.New)
				fmt.Fprintf(b, "    - %s\n    + %s\n", clean(old), clean(next))
			}
		}
	}
	if len(v.Differences) == 0 {
		fmt.Fprintln(b, "\nThey say the same.")
	}
}

// wording cuts off what two texts have in common at the beginning, but for a few
// words, so that where they differ is not cut off at the end of a line.
func wording(old, next string) (string, string) {
	const lead, worth = 40, 120
	a, b := []rune(old), []rune(next)
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	if same < worth {
		return old, next
	}
	return "…" + string(a[same-lead:]), "…" + string(b[same-lead:])
}

func printEffect(b *strings.Builder, e *node.Effect) {
	if e == nil {
		return
	}
	fmt.Fprintf(b, "\nOf %s received since %s:\n", quantity(e.Objects, "object"), when(e.Since))
	if !e.Then.Equal(e.Now) {
		fmt.Fprintf(b, "  (today, and on %s, when the new version begins)\n", when(e.Then))
	}
	if len(e.Flows) == 0 {
		fmt.Fprintln(b, "  nothing would flow otherwise")
	}
	sentence := map[string]string{
		"flows":   "%s on %s would newly go to %s",
		"freed":   "%s could go on %s again, kept off it today because of %s",
		"stops":   "%s on %s would no longer go to %s",
		"blocked": "%s could no longer go on %s, because of %s",
	}
	for _, f := range e.Flows {
		fmt.Fprintf(b, "  "+sentence[f.Kind], quantity(f.Count, "object"), f.Topic, f.Reader)
		if f.Clause != "" {
			fmt.Fprintf(b, ", by clause %s", f.Clause)
		}
		fmt.Fprintf(b, ": %s\n", clean(f.Text))
		for _, x := range f.First {
			fmt.Fprintf(b, "    %s, %s, from %s\n", x.ID, x.Marking, x.Author)
		}
		if rest := f.Count - len(f.First); rest > 0 && len(f.First) > 0 {
			fmt.Fprintf(b, "    and %s more\n", number(rest))
		}
	}
}
