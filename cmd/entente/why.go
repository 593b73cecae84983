package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"entente/node"
	"entente/protocol"
)

func (c *cli) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show the state of the node", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.client().Status(cmd.Context())
			if err != nil {
				return err
			}
			if c.json {
				return printJSON(cmd.OutOrStdout(), s)
			}
			return printStatus(cmd, s)
		},
	}
}

func printStatus(cmd *cobra.Command, s node.Status) error {
	t := table(cmd.OutOrStdout())
	fmt.Fprintf(t, "member\t%s (%s), node %d\n", s.Member, clean(s.Name), s.Node)
	fmt.Fprintf(t, "member id\t%s\n", s.MemberID)
	fmt.Fprintf(t, "up\t%s, version %s\n", time.Since(s.Started).Round(time.Second), s.Version)
	fmt.Fprintf(t, "member host\t%s %s\n", s.PeerID, strings.Join(s.Addresses, " "))
	if s.PublicPeerID != "" {
		fmt.Fprintf(t, "public host\t%s %s\n", s.PublicPeerID, strings.Join(s.PublicAddresses, " "))
	}
	fmt.Fprintf(t, "store\t%s in %s, %s, %s free; %s\n",
		quantity(s.Store.Objects, "object"), quantity(s.Store.Messages, "message"), size(s.Store.Bytes), size(s.Store.Free), quantity(s.Store.AuditRows, "audit row"))
	for _, a := range s.Agreements {
		fmt.Fprintf(t, "agreement\t%s v%d, %s, %s, until %s; %s\n", a.Name, a.Version, a.Visibility, a.State, a.Until.Format("2006-01-02"), parties(a))
	}
	for _, p := range s.Peers {
		state := "not connected"
		if p.Connected {
			state = "connected over " + p.Address
			if p.RTTMillis > 0 {
				state += fmt.Sprintf(", %.1f ms", p.RTTMillis)
			}
		} else if p.LastError != "" {
			state += ": " + clean(p.LastError)
		}
		fmt.Fprintf(t, "peer\t%s node %d on its %s host, %s\n", p.Member, p.Node, p.Host, state)
	}
	for _, f := range s.Findings {
		fmt.Fprintf(t, "%s\t%s\n", f.Severity, clean(f.Text))
	}
	return t.Flush()
}

func (c *cli) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "List what is wrong or will be, with what to do; exits 7 when there is something", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.client().Status(cmd.Context())
			if err != nil {
				return err
			}
			worth := 0
			for _, f := range s.Findings {
				if f.Severity != node.Info {
					worth++
				}
				if !c.json {
					fmt.Fprintf(cmd.OutOrStdout(), "%s %s: %s\n", f.Severity, f.Code, clean(f.Text))
					if f.Hint != "" {
						fmt.Fprintf(cmd.OutOrStdout(), "  do: %s\n", f.Hint)
					}
				}
			}
			if c.json {
				if err := printJSON(cmd.OutOrStdout(), s.Findings); err != nil {
					return err
				}
			}
			if worth > 0 {
				return protocol.Errorf(protocol.Findings, "doctor", "%s", quantity(worth, "finding"))
			}
			if !c.json {
				fmt.Fprintln(cmd.ErrOrStderr(), "all is well")
			}
			return nil
		},
	}
}

func (c *cli) pingCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ping MEMBER", Short: "Measure the round trip to a member's nodes", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			nodes, err := c.client().Ping(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json {
				return printJSON(cmd.OutOrStdout(), nodes)
			}
			for _, n := range nodes {
				if n.LastError != "" {
					fmt.Fprintf(cmd.OutOrStdout(), "%s node %d (%s host): %s\n", args[0], n.Number, n.Host, clean(n.LastError))
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s node %d (%s host): %.1f ms\n", args[0], n.Number, n.Host, n.RTTMillis)
			}
			return nil
		},
	}
}

func (c *cli) reindexCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reindex", Short: "Build the node's indexes again from its log", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m := newMeter(cmd.ErrOrStderr())
			err := c.client().Reindex(cmd.Context(), m.show)
			m.clear()
			if err == nil && !c.json {
				fmt.Fprintln(cmd.ErrOrStderr(), "the indexes are built")
			}
			return err
		},
	}
}

func (c *cli) auditCommand() *cobra.Command {
	var q node.AuditQuery
	var since, until string
	cmd := &cobra.Command{
		Use: "audit", Short: "Show decisions, messages and peer events as recorded", Args: cobra.NoArgs,
		Long: `Shows rows of the audit log, the newest 1,000 unless filters say otherwise.
Every decision, message in and out, and peer event has one; objects that one
message carries and that were decided alike share a row.`,
	}
	f := cmd.Flags()
	f.StringVar(&since, "since", "", "at or after: a date, a time, or a span such as 24h or 7d")
	f.StringVar(&until, "until", "", "before")
	f.StringSliceVar(&q.Kinds, "kind", nil, "decision, message, peer, document, node")
	f.StringSliceVar(&q.Outcomes, "outcome", nil, "allow, withhold, refuse, accept, ignore, reject, ok, failed")
	f.StringVar(&q.Agreement, "agreement", "", "of this agreement")
	f.StringVar(&q.Topic, "topic", "", "of this topic")
	f.StringVar(&q.Peer, "peer", "", "with this peer")
	f.StringVar(&q.Party, "party", "", "of this member")
	f.StringVar(&q.Object, "object", "", "about this object")
	f.IntVar(&q.Limit, "limit", 0, "at most so many (default 1,000)")
	f.Uint64Var(&q.After, "after", 0, "rows after this number, oldest first")
	f.BoolVar(&q.Follow, "follow", false, "go on with new rows until Ctrl-C")
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
		var failed error
		err = c.client().Audit(cmd.Context(), q, func(e node.AuditEntry) bool {
			if c.json {
				failed = printJSON(cmd.OutOrStdout(), e)
			} else {
				_, failed = fmt.Fprintln(cmd.OutOrStdout(), auditLine(e))
			}
			return failed == nil
		})
		if err == nil {
			err = failed
		}
		return err
	}
	cmd.AddCommand(c.auditReplay())
	return cmd
}

// auditLine puts a row on one line.
func auditLine(e node.AuditEntry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s %s %s %s", e.Number, when(e.Time), e.Kind, e.Action, e.Outcome)
	if e.Agreement != "" {
		fmt.Fprintf(&b, " %s", e.Agreement)
		if e.Topic != "" {
			b.WriteString("/" + e.Topic)
		}
	}
	if e.Author != "" {
		fmt.Fprintf(&b, " %s#%d", e.Author, e.Sequence)
	} else if e.Party != "" {
		b.WriteString(" " + e.Party)
	}
	if e.Count > 0 {
		fmt.Fprintf(&b, " ×%d", e.Count)
	}
	if e.Bytes > 0 {
		fmt.Fprintf(&b, " %s", size(e.Bytes))
	}
	if e.Peer != "" {
		b.WriteString(" peer " + shorten(e.Peer, 20))
	}
	if e.Layer != "" {
		fmt.Fprintf(&b, " by %s", e.Layer)
	}
	if e.Clause != "" {
		fmt.Fprintf(&b, " clause %s", e.Clause)
	}
	if len(e.For) > 0 {
		fmt.Fprintf(&b, " for %s", strings.Join(e.For, ","))
	}
	if e.Text != "" {
		b.WriteString(": " + clean(e.Text))
	}
	return b.String()
}

func (c *cli) explainCommand() *cobra.Command {
	var party string
	cmd := &cobra.Command{
		Use: "explain OBJECT | ROW", Short: "Say why something was decided: layer, agreement, version, clause", Args: cobra.ExactArgs(1),
		Long: `Explains an object (by its STIX id): what was decided about it, as recorded, and
what would be decided now for every reader, or for the one that --for names. Of an object
that this node made of another by taking something out it tells which, either way. A
number explains that row of the audit log.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var e node.Explanation
			number, err := strconv.ParseUint(args[0], 10, 64)
			if err == nil {
				e, err = c.client().ExplainRow(cmd.Context(), number)
			} else {
				e, err = c.client().ExplainObject(cmd.Context(), args[0], party)
			}
			if err != nil {
				return err
			}
			if c.json {
				return printJSON(cmd.OutOrStdout(), e)
			}
			w := cmd.OutOrStdout()
			fmt.Fprintln(w, e.Question)
			for _, id := range e.MadeFrom {
				fmt.Fprintf(w, "This node made it from %s, by taking something out or replacing it.\n", id)
			}
			for _, id := range e.MadeInto {
				fmt.Fprintf(w, "This node published it as %s, with something taken out or replaced.\n", id)
			}
			if len(e.Recorded) > 0 {
				fmt.Fprintln(w, "Recorded:")
			}
			for _, r := range e.Recorded {
				fmt.Fprintf(w, "  %s\n", auditLine(r))
			}
			if len(e.Now) > 0 {
				fmt.Fprintln(w, "Now:")
			}
			for _, n := range e.Now {
				reader := n.Reader
				if reader == "" {
					reader = "this row"
				}
				fmt.Fprintf(w, "  %s on %s/%s: %s by %s: %s\n", reader, n.Agreement, n.Topic, n.Why.Outcome, n.Why.Layer, whyText(n.Why))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&party, "for", "", "one reader: a member, or public")
	return cmd
}

// metrics registers what the node knows of itself: no label names an object or
// a value, so nothing leaves this way.
func (a *assembly) metrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	gauge := func(name, help string, f func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "entente", Name: name, Help: help}, f))
	}
	gauge("store_objects", "Objects held.", func() float64 { return float64(a.store.Stats().Objects) })
	gauge("store_messages", "Messages held.", func() float64 { return float64(a.store.Stats().Messages) })
	gauge("store_bytes", "Bytes of the store on disk.", func() float64 { return float64(a.store.Stats().Bytes) })
	gauge("store_free_bytes", "Bytes free on the disk of the store.", func() float64 { return float64(a.store.Stats().Free) })
	gauge("audit_rows", "Rows in the audit log.", func() float64 { return float64(a.store.Stats().AuditRows) })
	gauge("store_accepting", "1 while the store takes in.", func() float64 {
		if a.store.Stats().Accepting {
			return 1
		}
		return 0
	})
	gauge("peers_connected", "Connected peers.", func() float64 {
		n := 0
		for _, h := range a.hosts {
			for _, p := range h.Peers() {
				if p.Connected {
					n++
				}
			}
		}
		return float64(n)
	})
	return r
}
