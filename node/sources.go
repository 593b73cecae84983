package node

import (
	"encoding/json"
	"fmt"
	"slices"

	"entente/protocol"
)

// sourcesMost bounds how many addresses from tickets are kept of an agreement.
const sourcesMost = 32

// The hosts that a ticket names are kept with the agreement: they are where it
// can be read while its parties' own hosts are away, or when only a reader's
// host can be reached.
func sourcesName(agreement protocol.AgreementID) string {
	return "sources/" + agreement.String()
}

// sources returns the multiaddrs with /p2p that tickets to the agreement named.
func (n *Node) sources(agreement protocol.AgreementID) ([]string, error) {
	kept, err := n.cfg.Store.Setting(sourcesName(agreement))
	if err != nil || kept == nil {
		return nil, err
	}
	var out []string
	if err := json.Unmarshal(kept, &out); err != nil {
		return nil, protocol.E(protocol.Conflict, "read the sources of an agreement", fmt.Errorf("the setting is damaged: %w", err), "join again with a ticket")
	}
	return out, nil
}

// addSources keeps what a ticket names, the newest first.
func (n *Node) addSources(agreement protocol.AgreementID, addresses []string) error {
	known, err := n.sources(agreement)
	if err != nil {
		known = nil // a new ticket makes a damaged list good
	}
	all := slices.Clone(addresses)
	for _, a := range known {
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	text, err := json.Marshal(all[:min(len(all), sourcesMost)])
	if err != nil {
		return err
	}
	return n.cfg.Store.SetSetting(sourcesName(agreement), text)
}
