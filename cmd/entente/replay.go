package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"entente/node"
	"entente/protocol"
)

func (c *cli) auditReplay() *cobra.Command {
	var q node.ReplayQuery
	var since, until, id string
	cmd := &cobra.Command{
		Use: "replay", Short: "Make recorded decisions again and tell which come out otherwise", Args: cobra.NoArgs,
		Long: `Makes every recorded decision again, or those that the filters choose, each from
what counted at its moment: the versions of the agreements, who was suspended or
entitled, whether the disk was encrypted, the members' records, the local rules.
Shows those that do not come out the same, and counts all:

  same       it comes out as recorded
  changed    so it does, but something is known now that was so already then, and
             with that it would have come out otherwise
  different  from the same it comes out otherwise: the record was changed, or the
             program decides otherwise than the one that recorded it
  gone       it cannot be made again: the object was erased, was never kept because
             it did not go out, or the row is from an earlier version

Exit code 7 where any is changed or different. What was done and is no answer of
policy (an erasure, an expiry) is passed over. A row of what was read keeps up to
64 objects that differ for policy; what an object refers to is not asked again.`,
	}
	f := cmd.Flags()
	f.StringVar(&since, "since", "", "at or after: a date, a time, or a span such as 24h or 7d")
	f.StringVar(&until, "until", "", "before")
	f.StringVar(&id, "id", "", "one row, by its number, or the rows about one object, by its STIX id")
	f.StringVar(&q.Agreement, "agreement", "", "of this agreement")
	f.StringVar(&q.Topic, "topic", "", "of this topic")
	f.StringVar(&q.Party, "party", "", "of this member")
	f.Uint64Var(&q.After, "after", 0, "rows after this number")
	f.IntVar(&q.Limit, "limit", 0, "at most so many rows (default all)")
	f.BoolVar(&q.All, "all", false, "show those that come out the same too")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if q.Since, err = pastMoment(since); err != nil {
			return err
		}
		if q.Until, err = pastMoment(until); err != nil {
			return err
		}
		if agreement, topic, ok := strings.Cut(q.Topic, "/"); ok {
			q.Agreement, q.Topic = agreement, topic
		}
		switch number, err := strconv.ParseUint(id, 10, 64); {
		case err == nil && number > 0:
			q.Row = number
		case strings.Contains(id, "--"):
			q.Object = id
		case id != "":
			return protocol.E(protocol.Invalid, "audit replay", fmt.Errorf("%q is neither the number of a row nor the id of an object", id), "list rows: entente audit --kind decision")
		}
		return c.replay(cmd, q)
	}
	return cmd
}

func (c *cli) replay(cmd *cobra.Command, q node.ReplayQuery) error {
	progress := newMeter(cmd.ErrOrStderr())
	client := c.client()
	defer client.Close()
	var failed error
	sum, err := client.Replay(cmd.Context(), q, progress.show, func(r node.Replayed) bool {
		progress.clear()
		if c.json {
			failed = printJSON(cmd.OutOrStdout(), r)
		} else {
			failed = printReplayed(cmd.OutOrStdout(), r)
		}
		return failed == nil
	})
	progress.clear()
	if err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	if c.json {
		err = printJSON(cmd.OutOrStdout(), sum)
	} else {
		rate := ""
		if sum.Seconds > 0 && sum.Decisions > 0 {
			rate = fmt.Sprintf(", %s decisions/s", number(int(float64(sum.Decisions)/sum.Seconds)))
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s made again (%s%s): %d the same, %d changed, %d different, %d gone\n",
			quantity(uint64(sum.Rows), "row"), quantity(uint64(sum.Decisions), "decision"), rate, sum.Same, sum.Changed, sum.Different, sum.Gone)
	}
	if found := sum.Changed + sum.Different; err == nil && found > 0 {
		return protocol.Errorf(protocol.Findings, "audit replay", "%d of %s %s otherwise", found, quantity(uint64(sum.Rows), "row"), comes(found))
	}
	return err
}

func comes(n int) string {
	if n == 1 {
		return "comes out"
	}
	return "come out"
}

func printReplayed(w io.Writer, r node.Replayed) error {
	text := r.Result + ": " + auditLine(r.Row) + "\n"
	if r.Text != "" {
		text += "  " + clean(r.Text) + "\n"
	}
	if y := r.Again; y != nil {
		text += fmt.Sprintf("  would be: %s by %s", y.Outcome, y.Layer)
		if y.Clause != "" {
			text += " clause " + y.Clause
		}
		text += ": " + clean(y.Text) + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}
