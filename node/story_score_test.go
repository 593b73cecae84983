package node_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"entente/node"
)

// scoreboard shows what a node makes of contributions.
func (s *story) scoreboard(at *resident, agreement string) string {
	list, err := at.node.Scoreboard(context.Background(), agreement)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	for _, c := range list {
		fmt.Fprintf(&b, "%s: %d within %s, %d sign, for %s, clauses [%s]\n", c.Contribution, c.Objects, c.Within, c.Signers, c.Entitles, strings.Join(c.Clauses, " "))
		for _, p := range c.Parties {
			fmt.Fprintf(&b, "  %s gave %d, missing %d:", p.Party, p.Given, p.Missing)
			slices.SortFunc(p.Signed, func(a, b node.SignedScore) int { return strings.Compare(a.By, b.By) }) // ids differ from run to run
			for _, signed := range p.Signed {
				fmt.Fprintf(&b, " %s signed %d at %s,", signed.By, signed.Count, signed.Time.Format("15:04"))
			}
			switch {
			case p.Entitled && p.Grace:
				fmt.Fprintf(&b, " free until %s", p.Until.Format("15:04"))
			case p.Entitled:
				fmt.Fprintf(&b, " entitled until %s", p.Until.Format("15:04"))
			default:
				b.WriteString(" not entitled")
			}
			if p.Barred != "" {
				fmt.Fprintf(&b, "; %s", p.Barred)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}
