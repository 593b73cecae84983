// Command entente runs a node of the Entente network and talks to it.
//
// The verbs init, agreements new and agreements sign work on files alone; up
// runs the node; all others ask the running node over its local API. Data goes
// to standard output, everything else to standard error, and the exit code says
// how it ended: 0 well, 1 an error, 2 wrong usage or input, 3 no node reachable,
// 4 refused by policy, 5 not found, 6 conflict or unverified, 7 findings.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"entente/protocol"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program but for the process; it returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, problems io.Writer) int {
	cmd := newRoot()
	cmd.SetArgs(args)
	cmd.SetIn(in)
	cmd.SetOut(out)
	cmd.SetErr(problems)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return 0 // Ctrl-C is how a follow or a node is meant to end
	}
	report(problems, err)
	if isUsage(err) {
		return protocol.Invalid.Exit()
	}
	return protocol.KindOf(err).Exit()
}

// report prints an error with its hint.
func report(w io.Writer, err error) {
	if protocol.KindOf(err) == protocol.Findings {
		fmt.Fprintln(w, err) // the command worked; this is its summary
		return
	}
	fmt.Fprintf(w, "entente: %v\n", err)
	if hint := protocol.HintOf(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}

// isUsage recognises cobra's own errors, which have no type.
func isUsage(err error) bool {
	if protocol.KindOf(err) != protocol.Other {
		return false
	}
	text := err.Error()
	for _, start := range []string{"unknown command", "unknown flag", "unknown shorthand", "accepts ", "requires ", "invalid argument", "flag needs", "if any flags in the group", "bad flag"} {
		if strings.HasPrefix(text, start) {
			return true
		}
	}
	return false
}

// newRoot returns the command with all its verbs.
func newRoot() *cobra.Command {
	c := &cli{}
	root := &cobra.Command{
		Use:   "entente",
		Short: "Share threat intelligence with whom your agreements name",
		Long: `Entente is a peer-to-peer node for sharing cyber threat intelligence between
organisations that trust each other by agreement, not by platform.

To see it work: entente demo. To run a node: entente up.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: false},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return c.load(cmd) },
	}
	root.PersistentFlags().StringVar(&c.home, "home", "", "folder of the node (default $ENTENTE_HOME, else ~/.local/share/entente)")
	root.PersistentFlags().StringVar(&c.purpose, "purpose", "", "what you read it for, where an agreement asks that: "+strings.Join(protocol.Purposes(), ", "))
	root.PersistentFlags().BoolVar(&c.json, "json", false, "print JSON; long answers one object a line")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return protocol.E(protocol.Invalid, "", err, "see: "+cmd.CommandPath()+" --help")
	})
	root.AddGroup(
		&cobra.Group{ID: "node", Title: "Run a node:"},
		&cobra.Group{ID: "trust", Title: "Members and agreements:"},
		&cobra.Group{ID: "share", Title: "Share and read:"},
		&cobra.Group{ID: "why", Title: "See what happened, and why:"},
	)
	add := func(group string, verbs ...*cobra.Command) {
		for _, v := range verbs {
			v.GroupID = group
			root.AddCommand(v)
		}
	}
	add("node", newDemoCommand(), c.upCommand(), c.initCommand(), c.statusCommand(), c.doctorCommand(), c.pingCommand(), c.pathsCommand(), c.reindexCommand(), newBenchCommand(), c.versionCommand())
	add("trust", c.membersCommand(), c.agreementsCommand(), c.joinCommand(), c.scoreboardCommand())
	add("share", c.publishCommand(), c.retractCommand(), c.eraseCommand(), c.reviewCommand(), c.requestsCommand(), c.getCommand(), c.searchCommand(), c.lookupCommand(), c.tailCommand(), c.exportCommand())
	add("why", c.explainCommand(), c.policyCommand(), c.auditCommand())
	return root
}
