package p2p

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"entente/protocol"
)

type scheduler struct{ h *Host }

func newScheduler(h *Host) *scheduler { return &scheduler{h} }
func (s *scheduler) loop()            {}
func (s *scheduler) trigger(protocol.AgreementID, peer.ID, time.Duration, bool) {
}
func (s *scheduler) rosterChanged(before, next *roster) {}
func (h *Host) serveSync(s *stream)                     { _ = s.Reset() }
func (h *Host) serveDocuments(m *membership, s *stream) { _ = s.Reset() }

// Sync asks for a sync of the agreement soon, with a peer of the Host's choice.
func (h *Host) Sync(agreement protocol.AgreementID) {}

// Fetch asks the host at any of the addresses (multiaddrs with /p2p) for the
// documents of a public agreement.
func (h *Host) Fetch(ctx context.Context, addresses []string, agreement protocol.AgreementID) ([]protocol.Document, error) {
	panic("p2p: not built yet")
}
