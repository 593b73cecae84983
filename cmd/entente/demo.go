package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"entente/node"
	"entente/protocol"
	"entente/protocol/stix"
)

//go:embed sample
var sample embed.FS

// newDemoCommand returns the verb that brings a whole alliance to life.
func newDemoCommand() *cobra.Command {
	var once, verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Bring a whole alliance to life in this process and watch it share",
		Long: `Runs four organisations in one process, each with its own keys, store and
libp2p hosts over loopback: a bank, a security vendor, a government CERT, and a
researcher who is no party to anything. They sign a private alliance and a
public feed, publish a built-in sample, and show what each received, what was
withheld from whom, and which clause said so. Everything lives in a temporary
folder that is removed at the end.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &demo{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), once: once}
			level := slog.LevelError
			if verbose {
				level = slog.LevelInfo
			}
			d.logger = slog.New(slog.NewTextHandler(d.err, &slog.HandlerOptions{Level: level}))
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "run through and exit: 0 when all arrived as the agreements say")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "show the nodes' own log lines")
	return cmd
}

// demo is one run of the verb.
type demo struct {
	out, err io.Writer
	once     bool
	logger   *slog.Logger
	start    time.Time
	alliance alliance

	bank, vendor, cert, researcher *ally
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

func (d *demo) head(format string, args ...any) {
	fmt.Fprintf(d.out, "\n%s  (%.1f s)\n", fmt.Sprintf(format, args...), time.Since(d.start).Seconds())
}

func (d *demo) run(ctx context.Context) (err error) {
	d.start = time.Now()
	dir, err := os.MkdirTemp("", "entente-demo-")
	if err != nil {
		return err
	}
	d.alliance.dir = dir
	defer func() { err = errors.Join(err, d.alliance.close()) }()
	story, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for _, act := range []func(context.Context) error{d.found, d.sign, d.publishVendor, d.publishBank, d.publishCert, d.follow, d.show} {
		if err := act(story); err != nil {
			return err
		}
	}
	if d.once {
		d.head("done: all arrived as the agreements say")
		return nil
	}
	return d.stay(ctx)
}

// found makes the four members and starts their nodes. The demo's own nodes do
// not wait for the disk: what it shows does not outlive it.
func (d *demo) found(ctx context.Context) error {
	d.say("Four organisations, each with its own keys, store and hosts on this machine:")
	for _, m := range []struct {
		to                 **ally
		handle, name, kind string
	}{
		{&d.bank, "bank", "North Harbour Bank", "company"},
		{&d.vendor, "vendor", "Lynx Security", "vendor"},
		{&d.cert, "cert", "National CERT", "cert"},
		{&d.researcher, "researcher", "Independent researcher", "research"},
	} {
		made, err := d.alliance.add(context.WithoutCancel(ctx), m.handle, m.name, m.kind, assemblyOptions{Async: true, Memory: 64 << 20}, d.logger)
		if err != nil {
			return err
		}
		*m.to = made
		d.say("  %-11s %-24s member %s", m.handle, m.name, made.parsed.Member.Short())
	}
	return nil
}

// sign has the parties sign both agreements.
func (d *demo) sign(ctx context.Context) error {
	d.head("Two agreements, signed by root keys")
	now := time.Now().UTC()
	values := demoTerms{From: now.Add(-time.Hour), Until: now.AddDate(1, 0, 0)}
	values.Parties = []*ally{d.bank, d.vendor, d.cert}
	text, err := values.render("sample/harbour-watch.yaml")
	if err != nil {
		return err
	}
	private, err := d.alliance.agree(ctx, text, d.bank, d.vendor, d.cert)
	if err != nil {
		return err
	}
	values.Parties = []*ally{d.cert, d.vendor}
	if text, err = values.render("sample/public-warnings.yaml"); err != nil {
		return err
	}
	public, err := d.alliance.agree(ctx, text, d.cert, d.vendor)
	if err != nil {
		return err
	}
	d.say("  harbour-watch    private: bank, vendor, cert      %s, %s", private.ID[:12], private.State)
	d.say("  public-warnings  public: cert, vendor; anyone reads  %s, %s", public.ID[:12], public.State)
	return connected(ctx, d.bank, d.vendor, d.cert)
}

// publish publishes one file of the sample and says what the receipt says.
func (d *demo) publish(ctx context.Context, from *ally, topic, file string) (node.Receipt, error) {
	data, err := sample.ReadFile("sample/" + file)
	if err != nil {
		return node.Receipt{}, err
	}
	reader, err := stix.NewReader(bytes.NewReader(data), stix.DefaultLimits())
	if err != nil {
		return node.Receipt{}, err
	}
	r, err := from.running.node.Publish(ctx, node.PublishRequest{Topic: topic, Items: reader.Next})
	if err != nil {
		return r, err
	}
	d.say("  %s publishes on %s: %d of %d objects go to %s", from.handle, topic, r.Published, r.Read, strings.Join(r.Readers, ", "))
	for _, reason := range r.Reasons {
		for _, o := range reason.First {
			d.say("    %s %s: %s", past(reason.Why.Outcome), short(o.ID), sentence(o, reason.Why))
		}
	}
	return r, nil
}

func past(outcome string) string {
	return map[string]string{"withhold": "withheld", "refuse": "refused", "allow": "allowed"}[outcome]
}

func short(id string) string {
	if len(id) > 12 {
		return id[:len(id)-12] + "…"
	}
	return id
}

// sentence says why one object did not go, and for whom.
func sentence(o node.ObjectOutcome, w node.Why) string {
	var b strings.Builder
	if w.Clause != "" {
		fmt.Fprintf(&b, "clause %s of %s: ", w.Clause, w.Agreement)
	}
	b.WriteString(w.Text)
	if len(o.Why.Readers) > 0 {
		fmt.Fprintf(&b, " [from %s]", strings.Join(o.Why.Readers, ", "))
	}
	if len(o.Missing) > 0 {
		fmt.Fprintf(&b, " [%s]", short(o.Missing[0]))
	}
	return b.String()
}

// arrive waits until a node holds as many objects of a topic as were published.
func (d *demo) arrive(ctx context.Context, at *ally, topic string, want int) error {
	return eventually(ctx, fmt.Sprintf("%s to receive %d objects of %s", at.handle, want, topic), func() (bool, error) {
		got, err := count(ctx, at, topic)
		return got >= want, err
	})
}

func count(ctx context.Context, at *ally, topic string) (int, error) {
	n := 0
	_, err := at.running.node.Export(ctx, node.SearchQuery{Topic: topic, All: true}, func(node.Version) bool { n++; return true })
	if protocol.KindOf(err) == protocol.NotFound {
		return 0, nil
	}
	return n, err
}

func (d *demo) publishVendor(ctx context.Context) error {
	d.head("The vendor shares what it found")
	before := time.Now()
	r, err := d.publish(ctx, d.vendor, "harbour-watch/indicators", "vendor-indicators.json")
	if err != nil {
		return err
	}
	for _, at := range []*ally{d.bank, d.cert} {
		if err := d.arrive(ctx, at, "harbour-watch/indicators", r.Published); err != nil {
			return err
		}
	}
	d.say("  bank and cert hold all %d after %d ms; first objects delivered %.1f s after the start",
		r.Published, time.Since(before).Milliseconds(), time.Since(d.start).Seconds())
	return nil
}

func (d *demo) publishBank(ctx context.Context) error {
	d.head("The bank answers with sightings, and with things that must not go everywhere")
	r, err := d.publish(ctx, d.bank, "harbour-watch/indicators", "bank-indicators.json")
	if err != nil {
		return err
	}
	if r.Published == 0 || r.Withheld == 0 {
		return fmt.Errorf("the bank's sample should be published in part: %d published, %d withheld", r.Published, r.Withheld)
	}
	i, err := d.publish(ctx, d.bank, "harbour-watch/incidents", "bank-incidents.json")
	if err != nil {
		return err
	}
	if err := d.arrive(ctx, d.cert, "harbour-watch/incidents", i.Published); err != nil {
		return err
	}
	n, err := count(ctx, d.vendor, "harbour-watch/incidents")
	if err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("the vendor holds %d objects of a topic that it may not read", n)
	}
	d.say("  the cert holds the incident; the vendor, who may not read that topic, holds nothing of it")
	return nil
}

func (d *demo) publishCert(ctx context.Context) error {
	d.head("The CERT advises its partners, and warns the public")
	if _, err := d.publish(ctx, d.cert, "harbour-watch/indicators", "cert-indicators.json"); err != nil {
		return err
	}
	_, err := d.publish(ctx, d.cert, "public-warnings/warnings", "cert-public.json")
	return err
}

// follow lets the researcher join the public feed by a ticket and catch up.
func (d *demo) follow(ctx context.Context) error {
	d.head("The researcher joins the public feed by a ticket, after the fact")
	ticket, err := d.cert.running.node.Invite(ctx, "public-warnings", 0)
	if err != nil {
		return err
	}
	joined, err := d.researcher.running.node.Join(ctx, ticket)
	if err != nil {
		return err
	}
	want, err := count(ctx, d.cert, "public-warnings/warnings")
	if err != nil {
		return err
	}
	if err := d.arrive(ctx, d.researcher, "public-warnings/warnings", want); err != nil {
		return err
	}
	s, err := d.researcher.running.node.Status(ctx)
	if err != nil {
		return err
	}
	for _, p := range s.Peers {
		if p.Host == "member" {
			return fmt.Errorf("the researcher knows a private host: %s", p.PeerID)
		}
	}
	if len(s.Agreements) != 1 {
		return fmt.Errorf("the researcher knows %d agreements; it should know one", len(s.Agreements))
	}
	d.say("  %s: %s", joined.Name, joined.Text)
	d.say("  it caught up on %d objects, and knows one agreement and no private host", want)
	return nil
}

// show prints what each node holds, and looks one value up everywhere.
func (d *demo) show(ctx context.Context) error {
	d.head("Who holds what, as each operator may see it")
	t := tabwriter.NewWriter(d.out, 2, 0, 2, ' ', 0)
	topics := []string{"harbour-watch/indicators", "harbour-watch/incidents", "public-warnings/warnings"}
	fmt.Fprintf(t, "  \t%s\tlookup 198.51.100.23\n", strings.Join(topics, "\t"))
	for _, m := range d.alliance.members {
		fmt.Fprintf(t, "  %s", m.handle)
		for _, topic := range topics {
			n, err := count(ctx, m, topic)
			if err != nil {
				return err
			}
			fmt.Fprintf(t, "\t%d", n)
		}
		var hits int
		err := eventually(ctx, "the value index", func() (bool, error) {
			a, err := m.running.node.Lookup(ctx, []string{"198.51.100[.]23"})
			if err != nil {
				return false, err
			}
			hits = len(a[0].Hits)
			return hits > 0, nil
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "\t%d hits\n", hits)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return d.showAudit(ctx)
}

// showAudit prints the bank's own record of what it withheld.
func (d *demo) showAudit(ctx context.Context) error {
	d.head("What the bank's audit log says of what it withheld")
	return d.bank.running.node.Audit(ctx, node.AuditQuery{Kinds: []string{"decision"}, Outcomes: []string{"withhold"}, Limit: 10}, func(e node.AuditEntry) bool {
		if e.Action != "publish" {
			return true
		}
		clause := ""
		if e.Clause != "" {
			clause = " clause " + e.Clause
		}
		d.say("  row %d: %s, %s%s, %d object(s) for %s: %s", e.Number, e.Action, e.Layer, clause, e.Count, strings.Join(e.For, ", "), e.Text)
		return true
	})
}

// stay keeps the alliance running, with a status line, until it is interrupted.
func (d *demo) stay(ctx context.Context) error {
	d.head("The alliance stays up. Ctrl-C ends it")
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	live := isTerminal(d.err)
	for {
		select {
		case <-ctx.Done():
			if live {
				fmt.Fprintln(d.err)
			}
			return nil
		case <-tick.C:
			if live {
				fmt.Fprintf(d.err, "\r\033[K%s", d.line(ctx))
			}
		}
	}
}

func (d *demo) line(ctx context.Context) string {
	var parts []string
	for _, m := range d.alliance.members {
		s, err := m.running.node.Status(ctx)
		if err != nil {
			continue
		}
		live := 0
		for _, p := range s.Peers {
			if p.Connected {
				live++
			}
		}
		parts = append(parts, fmt.Sprintf("%s: %d objects, %d peers", m.handle, s.Store.Objects, live))
	}
	return fmt.Sprintf("%s · up %s", strings.Join(parts, " · "), time.Since(d.start).Round(time.Second))
}
