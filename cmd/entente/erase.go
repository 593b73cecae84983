package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"entente/node"
	"entente/protocol"
)

func (c *cli) eraseCommand() *cobra.Command {
	var reason string
	var status, yes bool
	cmd := &cobra.Command{
		Use: "erase [ID…]", Short: "Have objects erased everywhere, and see who has confirmed it",
		Long: `Erases objects that this member has published: here, and at every node that holds
them, as soon as it hears of it. Bodies and index entries go, from the disk too;
the signed headers stay, so that logs have no gaps. Every holder answers with a
signed receipt. What has been told to people, or exported, is not reached. What was
published under another id, since something had to be taken out, goes with it.

To say that an object was wrong without erasing it: entente retract ID.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if status {
				list, err := c.client().Erasures(cmd.Context())
				if err != nil {
					return err
				}
				return c.showErasures(cmd, list)
			}
			switch {
			case len(args) == 0:
				return protocol.E(protocol.Invalid, "erase", errors.New("no object is named"), "name objects, or see how far erasures have come: entente erase --status")
			case !yes:
				return protocol.E(protocol.Refused, "erase", errors.New("this cannot be taken back"), "say so again with --yes; to say that an object was wrong: entente retract ID")
			}
			list, err := c.client().Erase(cmd.Context(), args, reason)
			if err != nil {
				return err
			}
			return c.showErasures(cmd, list)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the people of those who hold it")
	cmd.Flags().BoolVar(&status, "status", false, "list what was erased, and who has not confirmed")
	cmd.Flags().BoolVar(&yes, "yes", false, "erase without being asked again")
	return cmd
}

func (c *cli) showErasures(cmd *cobra.Command, list []node.Erasure) error {
	if c.json {
		return printJSON(cmd.OutOrStdout(), list)
	}
	for _, e := range list {
		var confirmed []string
		for _, r := range e.Confirmed {
			confirmed = append(confirmed, r.Member)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s  %s/%s  %d erased  tombstone %s\n  confirmed by %s; %s\n", e.Time.Format(time.RFC3339), e.Agreement, e.Topic, e.Objects, e.Tombstone[:12],
			orNobody(confirmed), waiting(e.Missing))
		if e.Text != "" {
			fmt.Fprintf(cmd.OutOrStdout(), "  %s\n", clean(e.Text))
		}
	}
	return nil
}

func waiting(handles []string) string {
	if len(handles) == 0 {
		return "nobody is missing"
	}
	return "not yet by " + strings.Join(handles, ", ")
}

func (c *cli) retractCommand() *cobra.Command {
	return &cobra.Command{
		Use: "retract ID…", Short: "Revoke objects that this member has published", Args: cobra.MinimumNArgs(1),
		Long: `Publishes a new version of each object that says "revoked": true (STIX 2.1,
section 3.2), on every topic where this member has published it. The older
versions stay; to have them erased: entente erase ID. What was published under
another id, since something had to be taken out of it, is found by either.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, id := range args {
				ids, err := c.published(cmd, id)
				if err != nil {
					return err
				}
				var failed error
				for _, id := range ids {
					failed = errors.Join(failed, c.retract(cmd, id))
				}
				if failed != nil {
					return failed
				}
			}
			return nil
		},
	}
}

func (c *cli) retract(cmd *cobra.Command, id string) error {
	const op = "retract"
	status, err := c.client().Status(cmd.Context())
	if err != nil {
		return err
	}
	versions, err := c.client().Get(cmd.Context(), id)
	if err != nil {
		return err
	}
	var topics []string
	for _, p := range versions[0].Provenance {
		if topic := p.Agreement + "/" + p.Topic; p.Member == status.MemberID && !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
	}
	if len(topics) == 0 {
		return protocol.E(protocol.Refused, op, fmt.Errorf("the newest version of %s was published by another member, who alone can revoke it", id), "give an opinion on it, or ask that member")
	}
	revoked, err := revoke(versions[0].Object, time.Now())
	if err != nil {
		return protocol.E(protocol.Invalid, op+" "+id, err, "have it erased: entente erase "+id)
	}
	for _, topic := range topics {
		receipt, err := c.client().Publish(cmd.Context(), topic, false, true, strings.NewReader(string(revoked)), nil)
		if err != nil {
			return err
		}
		if receipt.Published != 1 {
			return protocol.E(protocol.Refused, op, fmt.Errorf("%s may not go on %s any more", id, topic), "have it erased: entente erase "+id)
		}
		if !c.json {
			fmt.Fprintf(cmd.OutOrStdout(), "%s is revoked on %s, for %s\n", id, topic, strings.Join(receipt.Readers, ", "))
		} else if err := printJSON(cmd.OutOrStdout(), receipt); err != nil {
			return err
		}
	}
	return nil
}

// revoke returns a new version of an object that revokes it. An object without
// versions cannot be revoked.
func revoke(object []byte, now time.Time) ([]byte, error) {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(object, &members); err != nil {
		return nil, err
	}
	if members["modified"] == nil {
		return nil, errors.New("it has no versions, so it cannot be revoked")
	}
	if string(members["revoked"]) == "true" {
		return nil, errors.New("it is revoked already")
	}
	modified, err := json.Marshal(now.UTC().Format("2006-01-02T15:04:05.000Z"))
	if err != nil {
		return nil, err
	}
	members["modified"], members["revoked"] = modified, jsontext.Value("true")
	return json.Marshal(members, json.Deterministic(true))
}
