package main

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"entente/policy/cases"
	"entente/protocol"
)

func (c *cli) policyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Look at what rules say: agreements and this node's own", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(c.policyCheck(), c.policyTest(), c.policyExplain(), c.policyWho(), c.policyWhyNot(), c.policyReload())
	return cmd
}

// checked is what policy check says, as JSON; later versions only add.
type checked struct {
	Agreement  string          `json:"agreement"`
	Version    uint64          `json:"version"`
	Visibility string          `json:"visibility"`
	From       time.Time       `json:"from"`
	Until      time.Time       `json:"until"`
	Parties    []checkedParty  `json:"parties"`
	Topics     []checkedTopic  `json:"topics"`
	At         time.Time       `json:"at"`               // the moment that access is for
	Access     []cases.Access  `json:"access,omitempty"` // none: too large to list
	Warnings   []cases.Warning `json:"warnings"`

	tooLarge error
}

type checkedParty struct {
	Handle    string   `json:"handle"`
	Name      string   `json:"name"`
	Kind      string   `json:"kind"`
	Country   string   `json:"country,omitempty"`
	Roles     []string `json:"roles,omitempty"`
	Suspended bool     `json:"suspended,omitzero"`
}

type checkedTopic struct {
	Name    string `json:"name"`
	Default string `json:"default,omitempty"` // marking of objects without one; empty: those are refused
}

func (c *cli) policyCheck() *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use: "check [FILE]", Short: "Read an agreement or local rules, and warn of what is odd", Args: cobra.MaximumNArgs(1),
		Long: `Reads local rules, those of this home where no file is named, and says in which
agreements of this home each clause binds and which names nobody there has.

Reads an agreement from its file, as a node would, and says who may read what on
each topic and what is odd about it: clauses that can never decide, topics that
nobody reads, parties that give and get nothing, dates that come soon. No node
is needed. Exits 7 when there is a warning.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			now := time.Now().UTC()
			if at != "" {
				var err error
				if now, err = pastMoment(at); err != nil {
					return err
				}
			}
			if len(args) == 0 {
				if _, err := loadRules(c.rulesFile()); err != nil {
					return err
				}
				args = []string{c.rulesFile()}
			}
			text, _, err := readDocument(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			if protocol.IsLocalRules(text) {
				return c.checkRules(cmd.OutOrStdout(), args[0], text)
			}
			a, err := parseAgreement(text, args[0])
			if err != nil {
				return err
			}
			out, err := check(a, now)
			if err != nil {
				return err
			}
			if c.json {
				err = printJSON(cmd.OutOrStdout(), out)
			} else {
				err = out.print(cmd.OutOrStdout(), a, args[0])
			}
			if err != nil {
				return err
			}
			if n := len(out.Warnings); n > 0 {
				return protocol.Errorf(protocol.Findings, "policy check", "%s", quantity(n, "warning"))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "as of this moment: a date or a time (default now)")
	return cmd
}

// check looks at an agreement. Who may read what is said of a moment at which it
// is in force: now, or else its first.
func check(a *protocol.Agreement, now time.Time) (*checked, error) {
	out := &checked{Agreement: a.Name, Version: a.Version, Visibility: string(a.Visibility), From: a.From, Until: a.Until, At: now}
	if a.InForce(now) != nil {
		out.At = a.From
	}
	for _, p := range a.Parties {
		out.Parties = append(out.Parties, checkedParty{Handle: p.Handle, Name: p.Name, Kind: p.Kind, Country: p.Country, Roles: p.Roles, Suspended: p.Suspended})
	}
	for _, t := range a.Topics {
		topic := checkedTopic{Name: t.Name}
		if t.Default != protocol.NoMarking {
			topic.Default = t.Default.String()
		}
		out.Topics = append(out.Topics, topic)
	}
	var err error
	if out.Warnings, err = cases.Advise(a, now); err != nil {
		return nil, err
	}
	out.Access, err = cases.Who(a, out.At)
	if protocol.KindOf(err) == protocol.Limit {
		out.tooLarge, err = err, nil
	}
	return out, err
}

// print writes it for people.
func (s *checked) print(w io.Writer, a *protocol.Agreement, file string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, version %d, %s: %s\n", s.Agreement, s.Version, s.Visibility, clean(a.Title))
	fmt.Fprintf(&b, "in force from %s until %s", when(s.From), when(s.Until))
	if basis := a.LegalBasis.Until; !basis.IsZero() {
		fmt.Fprintf(&b, ", legal basis until %s", when(basis))
	}
	fmt.Fprintf(&b, "; %d of %s must sign; %s\n", a.Amend, number(len(a.Parties))+" parties", quantity(len(a.Clauses), "clause"))
	b.WriteString("\nparties\n")
	for _, p := range s.Parties {
		about := p.Kind
		if p.Country != "" {
			about += ", " + p.Country
		}
		if len(p.Roles) > 0 {
			about += ", " + strings.Join(p.Roles, " ")
		}
		if p.Suspended {
			about += ", suspended"
		}
		fmt.Fprintf(&b, "  %s: %s (%s)\n", p.Handle, clean(p.Name), about)
	}
	if s.tooLarge != nil {
		fmt.Fprintf(&b, "\nwho may read what: %v\n", s.tooLarge)
	} else {
		fmt.Fprintf(&b, "\nwho may read what at %s\n", when(s.At))
		if slices.ContainsFunc(a.Clauses, func(c protocol.Clause) bool { return c.Permit && !reflect.ValueOf(c.If).IsZero() }) {
			b.WriteString("  (at most: of objects that meet the conditions of the clauses, for a purpose that will do)\n")
		}
	}
	for _, t := range s.Topics {
		standard := "objects without a marking are refused"
		if t.Default != "" {
			standard = "objects without a marking count as " + t.Default
		}
		fmt.Fprintf(&b, "  topic %s (%s)\n", t.Name, standard)
		for _, access := range s.Access {
			if access.Topic == t.Name {
				fmt.Fprintf(&b, "    %s: %s\n", strings.Join(access.Readers, ", "), grants(access.Grants))
			}
		}
	}
	if len(s.Warnings) > 0 {
		b.WriteString("\nwarnings\n")
	}
	for _, one := range s.Warnings {
		where := ""
		if one.Line > 0 {
			where = fmt.Sprintf("%s:%d: ", file, one.Line)
		}
		fmt.Fprintf(&b, "  %s%s\n", where, clean(one.Text))
		if one.Hint != "" {
			fmt.Fprintf(&b, "    do: %s\n", one.Hint)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// grants says in words what somebody may read.
func grants(list []cases.Grant) string {
	if len(list) == 0 {
		return "nothing"
	}
	var out []string
	for i := range list {
		out = append(out, list[i].String())
	}
	if len(out) > 1 && len(list[0].Types) == 0 {
		out[0] = strings.Replace(out[0], "all types", "all other types", 1)
	}
	return strings.Join(out, "; ")
}
