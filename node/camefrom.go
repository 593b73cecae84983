package node

import (
	"slices"
	"strings"

	"entente/policy"
	"entente/protocol/stix"
)

// cameFrom says under which clauses of other agreements this node holds objects
// that readers of the topic may not have, for who wonders why something that
// refers to them does not go; "" where none is held.
func (p *publication) cameFrom(ids []string) string {
	var told []string
	for _, id := range ids {
		if seen, err := p.own.visible(id); err != nil || !seen {
			continue // what this member may not have is not told of
		}
		versions, err := p.node.cfg.Store.Get(id)
		if err != nil {
			continue
		}
		for _, v := range versions {
			if v.Log.Agreement == p.governing.doc.ID {
				continue
			}
			o := v.Object
			o.Level = stix.LevelOf(o, func(id string) *stix.Object { return p.node.marks.get(p.node, id) })
			// A party that gave it has it without a clause; its other readers do not.
			d := p.world.engine.Outbound(v.Log.Agreement, v.Log.Lane.Topic, v.Log.Author.Member, policy.SubjectOf(o), p.now)
			text := "it is here under " + p.world.agreementName(v.Log.Agreement)
			if d.Clause != "" {
				text = "it is here under clause " + d.Clause + " of " + p.world.agreementName(v.Log.Agreement)
			}
			if !slices.Contains(told, text) {
				told = append(told, text)
			}
		}
	}
	slices.Sort(told)
	return strings.Join(told, "; ")
}
