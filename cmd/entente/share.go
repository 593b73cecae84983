package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"entente/node"
	"entente/protocol"
	"entente/store"
)

func (c *cli) publishCommand() *cobra.Command {
	var dryRun, strict bool
	cmd := &cobra.Command{
		Use: "publish TOPIC FILE…", Short: "Publish STIX 2.1 objects on a topic", Args: cobra.MinimumNArgs(2),
		Long: `Publishes STIX 2.1 objects: bundles, arrays, single objects, or one object a line;
plain or gzip; - is standard input. TOPIC is AGREEMENT/TOPIC, or the topic's name
where only one agreement has it. What the agreement does not let go is named in
the receipt with the clause; the rest goes. --dry-run changes nothing and says
who would receive what, and why not.

Where a clause obliges to it, things are taken out of objects, or replaced by
pseudonyms, before they go. Such an object goes under another id: the receipt says
which, here alone, and so does explain. Your own networks and domains are told from
others by internal in the configuration (entente paths). What a clause keeps
unattributed names no source; the signed header of the message still names the
member whose node carried it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var worst error
			for _, file := range args[1:] {
				err := c.publishFile(cmd, args[0], file, dryRun, strict)
				if err == nil {
					continue
				}
				if len(args) == 2 || protocol.KindOf(err) == protocol.Unreachable {
					return err
				}
				report(cmd.ErrOrStderr(), err)
				worst = err
			}
			return worst
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "decide and tell, change nothing")
	cmd.Flags().BoolVar(&strict, "strict", false, "publish nothing when an object is refused")
	return cmd
}

func (c *cli) publishFile(cmd *cobra.Command, topic, file string, dryRun, strict bool) error {
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return protocol.E(protocol.NotFound, "publish", err, "")
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return protocol.E(protocol.Invalid, "publish", fmt.Errorf("%s is a directory", file), "name the files in it")
		}
		in = f
	}
	m := newMeter(cmd.ErrOrStderr())
	receipt, err := c.client().Publish(cmd.Context(), topic, dryRun, strict, in, m.show)
	m.clear()
	if receipt.Read > 0 {
		if c.json {
			if err := printJSON(cmd.OutOrStdout(), receipt); err != nil {
				return err
			}
		} else {
			printReceipt(cmd.OutOrStdout(), file, receipt)
		}
	}
	if err != nil {
		return protocol.E(protocol.KindOf(err), file, err, protocol.HintOf(err))
	}
	if receipt.Read > 0 && receipt.Published+receipt.Unchanged == 0 {
		return protocol.E(protocol.Refused, file, fmt.Errorf("none of %s objects may go on %s/%s", number(receipt.Read), receipt.Agreement, receipt.Topic), "the receipt names the clause for each; read it with: entente agreements show "+receipt.Agreement)
	}
	return nil
}

// printReceipt tells people what became of a publication.
func printReceipt(w io.Writer, file string, r node.Receipt) {
	verb := "published"
	if r.DryRun {
		verb = "would be published"
	}
	fmt.Fprintf(w, "%s → %s/%s: %s read, %s %s", file, r.Agreement, r.Topic, quantity(r.Read, "object"), number(r.Published), verb)
	for _, part := range []struct {
		count int
		name  string
	}{{r.Unchanged, "unchanged"}, {r.Withheld, "withheld"}, {r.Refused, "refused"}} {
		if part.count > 0 {
			fmt.Fprintf(w, ", %s %s", number(part.count), part.name)
		}
	}
	fmt.Fprintln(w)
	if len(r.Readers) > 0 {
		fmt.Fprintf(w, "  may read: %s\n", strings.Join(r.Readers, ", "))
	}
	if len(r.Messages) > 0 {
		fmt.Fprintf(w, "  messages %d to %d, %s, %.1f s (%s objects/s)\n", r.FirstSequence, r.LastSequence, size(r.Bytes), r.Seconds, number(int64(float64(r.Published)/max(r.Seconds, 0.001))))
	}
	printRedaction(w, r)
	for _, grant := range r.Grants {
		fmt.Fprintf(w, "  passed on by the grant %s\n", grant)
	}
	for _, reason := range r.Reasons {
		fmt.Fprintf(w, "  %s × %s: %s\n", number(reason.Count), past(reason.Why.Outcome), whyText(reason.Why))
		for i, o := range reason.First {
			if i == 3 && len(reason.First) > 3 {
				fmt.Fprintf(w, "      … and %s more (--json names up to ten for each reason; entente audit has all)\n", number(reason.Count-3))
				break
			}
			fmt.Fprintf(w, "      %s\n", exampleText(o))
		}
	}
}

func exampleText(o node.ObjectOutcome) string {
	name := o.ID
	if name == "" {
		name = "an object without id"
	}
	text := fmt.Sprintf("object %d", o.Index+1)
	if o.Line > 0 {
		text += fmt.Sprintf(", line %d", o.Line)
	}
	text += ": " + clean(name)
	if len(o.Why.Readers) > 0 {
		text += ", from " + strings.Join(o.Why.Readers, ", ")
	}
	if len(o.Missing) > 0 {
		missing := o.Missing[0]
		if missing == "" {
			missing = "an empty reference"
		}
		text += ", missing " + clean(missing)
		if more := len(o.Missing) - 1; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
	}
	if o.Why.Layer == "form" {
		text += ": " + clean(o.Why.Text)
	}
	return text
}

// whyText says which layer, agreement, version and clause decided, and why.
func whyText(w node.Why) string {
	var b strings.Builder
	switch {
	case w.Layer == "local":
		fmt.Fprintf(&b, "local rules, clause %s: ", w.Clause)
	case w.Clause != "":
		fmt.Fprintf(&b, "%s v%d, clause %s: ", w.Agreement, w.Version, w.Clause)
	case w.Layer == "floor":
		b.WriteString("TLP: ")
	case w.Layer == "form":
		b.WriteString("form: ")
	case w.Agreement != "":
		fmt.Fprintf(&b, "%s v%d: ", w.Agreement, w.Version)
	}
	return b.String() + clean(w.Text)
}

func (c *cli) getCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "get ID", Short: "Show an object, by its STIX id", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			versions, err := c.client().Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if !all {
				versions = versions[:1]
			}
			for _, v := range versions {
				if c.json {
					if err := printJSON(cmd.OutOrStdout(), v); err != nil {
						return err
					}
					continue
				}
				for _, p := range v.Provenance {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s from %s on %s/%s, message %d, %s\n", v.Marking, p.Author, p.Agreement, p.Topic, p.Sequence, when(p.Time))
				}
				printHandling(cmd.ErrOrStderr(), v.Handling)
				if v.Conflict {
					fmt.Fprintln(cmd.ErrOrStderr(), "conflict: the same id and modified are here with other content; see --all")
				}
				if err := printPretty(cmd.OutOrStdout(), v.Object); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every version, not the newest alone")
	return cmd
}

// filters are the flags that search and export share.
func filters(cmd *cobra.Command, q *node.SearchQuery) func() error {
	var since, until string
	f := cmd.Flags()
	f.StringVar(&q.Topic, "topic", "", "AGREEMENT/TOPIC, or a topic's name")
	f.StringSliceVar(&q.Types, "type", nil, "STIX object types")
	f.StringVar(&q.From, "from", "", "who published it: a member")
	f.StringVar(&since, "since", "", "modified at or after: a date, a time, or a span such as 24h or 7d")
	f.StringVar(&until, "until", "", "modified before")
	f.IntVar(&q.Limit, "limit", 0, "at most so many")
	f.BoolVar(&q.All, "all", false, "every version, not the newest alone")
	return func() (err error) {
		if q.Since, err = pastMoment(since); err != nil {
			return err
		}
		q.Until, err = pastMoment(until)
		return err
	}
}

// pastMoment reads a date, a time, or how long ago.
func pastMoment(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	span := s
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n int
		if _, err := fmt.Sscanf(days, "%d", &n); err == nil {
			span = fmt.Sprintf("%dh", 24*n)
		}
	}
	d, err := time.ParseDuration(span)
	if err != nil || d < 0 {
		return time.Time{}, protocol.E(protocol.Invalid, "", fmt.Errorf("%q is neither a time nor a span", s), "write 2026-01-31, 2026-01-31T12:00:00Z, 24h or 7d")
	}
	return time.Now().UTC().Add(-d), nil
}

func (c *cli) searchCommand() *cobra.Command {
	var q node.SearchQuery
	cmd := &cobra.Command{Use: "search [WORD…]", Short: "Find objects by words, type, topic, publisher or time"}
	ready := filters(cmd, &q)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := ready(); err != nil {
			return err
		}
		q.Text = strings.Join(args, " ")
		t := table(cmd.OutOrStdout())
		count := 0
		err := c.client().Search(cmd.Context(), q, func(v node.Version) bool {
			if count++; c.json {
				return printJSON(cmd.OutOrStdout(), v) == nil
			}
			if count == 1 {
				fmt.Fprintln(t, "TYPE\tNAME\tMARKING\tFROM\tTOPIC\tID")
			}
			p := v.Provenance[0]
			_, err := fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s/%s\t%s\n", v.Type, shorten(clean(v.Name), 48), v.Marking, p.Author, p.Agreement, p.Topic, v.ID)
			return err == nil
		})
		if err != nil {
			return err
		}
		if count == 0 && !c.json {
			fmt.Fprintln(cmd.ErrOrStderr(), "nothing found")
		}
		return t.Flush()
	}
	return cmd
}

func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func (c *cli) lookupCommand() *cobra.Command {
	var file string
	var hitsOnly bool
	cmd := &cobra.Command{
		Use: "lookup VALUE…", Short: "Ask what is known about addresses, networks, domains, URLs, digests, mail addresses",
		Long: `Asks what is known about values, from arguments or a file (one a line; - is
standard input). Addresses find the networks that hold them and the other way
round. Defanged forms (198.51.100[.]7, hxxps://…) are understood. Exits with 7
when something was found.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			values := args
			if file != "" {
				more, err := readLines(cmd.InOrStdin(), file)
				if err != nil {
					return err
				}
				values = append(values, more...)
			}
			if len(values) == 0 {
				return protocol.E(protocol.Invalid, "lookup", errors.New("no value to look up"), "entente lookup VALUE…, or -f FILE")
			}
			return c.lookup(cmd, values, hitsOnly)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "file with one value a line (- for standard input)")
	cmd.Flags().BoolVar(&hitsOnly, "hits-only", false, "leave out values about which nothing is known")
	return cmd
}

func (c *cli) lookup(cmd *cobra.Command, values []string, hitsOnly bool) error {
	const most = 10000
	found := 0
	t := table(cmd.OutOrStdout())
	for first := 0; first < len(values); first += most {
		answers, err := c.client().Lookup(cmd.Context(), values[first:min(first+most, len(values))])
		if err != nil {
			return err
		}
		for _, a := range answers {
			if len(a.Hits) > 0 {
				found++
			} else if hitsOnly {
				continue
			}
			if c.json {
				if err := printJSON(cmd.OutOrStdout(), a); err != nil {
					return err
				}
				continue
			}
			printAnswer(t, a)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if found > 0 {
		return protocol.Errorf(protocol.Findings, "lookup", "something is known about %s of %s values", number(found), number(len(values)))
	}
	return nil
}

func printAnswer(w io.Writer, a node.LookupAnswer) {
	switch {
	case a.Error != "":
		fmt.Fprintf(w, "%s\t?\t%s\n", clean(a.Value), clean(a.Error))
	case len(a.Hits) == 0:
		fmt.Fprintf(w, "%s\t%s\tnothing known\n", clean(a.Value), a.Kind)
	}
	for _, h := range a.Hits {
		state := ""
		if h.Revoked {
			state = " (revoked)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s %s%s\t%s\t%s from %s\t%s\n", clean(a.Value), a.Kind, h.Type, shorten(clean(h.Name), 48), state, h.Marking, h.Agreement+"/"+h.Topic, h.Author, h.ID)
	}
}

func readLines(in io.Reader, file string) ([]string, error) {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, protocol.E(protocol.NotFound, "lookup", err, "")
		}
		defer f.Close()
		in = f
	}
	var out []string
	s := bufio.NewScanner(in)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if line := strings.TrimSpace(s.Text()); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out, s.Err()
}

func (c *cli) tailCommand() *cobra.Command {
	var after int64
	var resume string
	cmd := &cobra.Command{
		Use: "tail [TOPIC]", Short: "Follow a topic, or all, as objects arrive", Args: cobra.MaximumNArgs(1),
		Long: `Prints objects as they arrive, until Ctrl-C. With --resume FILE the place is kept
in a file, so that the next call goes on where this one ended; objects near that
place may come a second time, none is left out.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			topic := ""
			if len(args) == 1 {
				topic = args[0]
			}
			cursor := after
			if resume != "" {
				text, err := os.ReadFile(resume)
				if err == nil {
					if err := json.Unmarshal(text, &cursor); err != nil {
						return protocol.E(protocol.Invalid, "tail", fmt.Errorf("%s holds no place: %w", resume, err), "remove it to begin anew")
					}
				} else if !errors.Is(err, os.ErrNotExist) {
					return err
				}
			}
			return c.tail(cmd, topic, cursor, resume)
		},
	}
	cmd.Flags().Int64Var(&after, "after", -1, "begin after this place (0: everything held; -1: now)")
	cmd.Flags().StringVar(&resume, "resume", "", "file to keep the place in")
	return cmd
}

func (c *cli) tail(cmd *cobra.Command, topic string, cursor int64, resume string) error {
	var failed error
	err := c.client().Tail(cmd.Context(), topic, cursor, func(e node.TailEvent) bool {
		if e.Version != nil {
			if c.json {
				failed = printJSON(cmd.OutOrStdout(), e)
			} else {
				p := e.Version.Provenance[0]
				_, failed = fmt.Fprintf(cmd.OutOrStdout(), "%s %s/%s %s %s %s %s %s\n", when(time.UnixMicro(e.Version.Added)), p.Agreement, p.Topic, p.Author, e.Version.Marking, e.Version.Type, clean(e.Version.Name), e.Version.ID)
			}
		}
		if failed == nil && resume != "" && e.Idle {
			failed = store.WriteFileAtomic(resume, fmt.Appendf(nil, "%d\n", e.Cursor), 0o600)
		}
		return failed == nil
	})
	return errors.Join(failed, err)
}

func (c *cli) exportCommand() *cobra.Command {
	var q node.SearchQuery
	var format, file string
	cmd := &cobra.Command{Use: "export", Short: "Write objects as a STIX bundle or one a line", Args: cobra.NoArgs,
		Long: `Writes what this member may read as a STIX bundle, or one object a line (ndjson;
also with --json). Neither says how an object is to be handled; --format full does:
one a line, with its marking, where it came from, and what the agreements oblige its
holder to, as get --json has it. Warns of agreements, legal bases and retentions that
end within 14 days.`}
	ready := filters(cmd, &q)
	cmd.Flags().StringVar(&format, "format", "bundle", "bundle, ndjson or full")
	cmd.Flags().StringVarP(&file, "output", "o", "-", "file to write (- for standard output)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := ready(); err != nil {
			return err
		}
		if format != "bundle" && format != "ndjson" && format != "full" {
			return protocol.Errorf(protocol.Invalid, "export", "--format is %q; it should be bundle, ndjson or full", format)
		}
		if c.json && format == "bundle" {
			format = "ndjson"
		}
		out := cmd.OutOrStdout()
		if file != "-" {
			f, err := os.CreateTemp(dirOf(file), ".entente-export-")
			if err != nil {
				return err
			}
			defer os.Remove(f.Name())
			count, err := c.export(cmd, q, format, f)
			if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
				return err
			}
			if err := os.Rename(f.Name(), file); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s written to %s\n", quantity(count, "object"), file)
			return err
		}
		_, err := c.export(cmd, q, format, out)
		return err
	}
	return cmd
}

func dirOf(file string) string {
	if at := strings.LastIndexByte(file, os.PathSeparator); at >= 0 {
		return file[:at+1]
	}
	return "."
}

// export writes objects to w and returns how many.
func (c *cli) export(cmd *cobra.Command, q node.SearchQuery, format string, w io.Writer) (int, error) {
	out := bufio.NewWriter(w)
	count := 0
	if format == "bundle" {
		id, err := newIdentity()
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(out, "{\"type\":\"bundle\",\"id\":\"bundle%s\",\"objects\":[", strings.TrimPrefix(id, "identity"))
	}
	m := newMeter(cmd.ErrOrStderr())
	var failed error
	sum, err := c.client().Export(cmd.Context(), q, func(v node.Version) bool {
		switch format {
		case "bundle":
			separator := ",\n"
			if count == 0 {
				separator = "\n"
			}
			_, failed = out.WriteString(separator + string(v.Object))
		case "full":
			failed = printJSON(out, v)
		default:
			_, failed = out.WriteString(string(v.Object) + "\n")
		}
		count++
		m.show(node.Progress{Done: int64(count), Unit: "objects written"})
		return failed == nil
	})
	m.clear()
	printExported(cmd.ErrOrStderr(), sum)
	if format == "bundle" && err == nil {
		_, failed = out.WriteString("\n]}\n")
	}
	return count, errors.Join(err, failed, out.Flush())
}
