package node

import (
	"context"
)

// LogInfo tells how far this node holds one log without a gap.
type LogInfo struct {
	Log      string `json:"log"`    // hash of the log's id
	Author   string `json:"author"` // handle
	Member   string `json:"member"` // id
	Node     uint32 `json:"node"`   // number
	Topic    string `json:"topic"`
	Sequence uint64 `json:"sequence"`
	Head     string `json:"head"` // hash of the message at Sequence
}

// Logs lists the logs of an agreement that this node holds, of former parties too.
// What an amendment that removes a party says of its logs is taken from it
// (documents spec, "Cuts").
func (n *Node) Logs(_ context.Context, agreement string) ([]LogInfo, error) {
	w := n.world.Load()
	g, err := w.agreement(agreement)
	if err != nil {
		return nil, err
	}
	out := []LogInfo{}
	for _, e := range n.cfg.Store.Logs(g.doc.ID) {
		if e.Position.Sequence == 0 {
			continue
		}
		out = append(out, LogInfo{
			Log: e.Log.Hash().String(), Author: w.memberName(e.Log.Author.Member), Member: e.Log.Author.Member.String(), Node: e.Log.Author.Node,
			Topic: e.Log.Lane.Topic, Sequence: e.Position.Sequence, Head: e.Position.Head.String(),
		})
	}
	return out, nil
}
