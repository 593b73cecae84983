package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"entente/node"
	"entente/protocol"
)

// alliance is several members in one process, each with its own keys, folder,
// store and hosts on loopback: what the demo shows and the benchmark loads.
type alliance struct {
	dir     string
	members []*ally
	wg      sync.WaitGroup
	mu      sync.Mutex
	failed  error
}

// ally is one member of an alliance in this process.
type ally struct {
	handle  string
	name    string
	kind    string
	keys    keyring
	record  protocol.Document
	profile protocol.Document
	parsed  *protocol.Record
	running *assembly
	stop    context.CancelFunc
}

// add makes a member: keys, hosts, record and profile, node. The node runs
// until ctx ends or the alliance is closed.
func (a *alliance) add(ctx context.Context, handle, name, kind string, options assemblyOptions, logger *slog.Logger) (*ally, error) {
	keys, err := newKeyring(rand.Reader)
	if err != nil {
		return nil, err
	}
	m := &ally{handle: handle, name: name, kind: kind, keys: keys}
	home := filepath.Join(a.dir, handle)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	options.Home, options.Logger = home, logger.With("node", handle)
	options.Listen = []string{fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", ports[0])}
	options.PublicListen = []string{fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", ports[1])}
	if m.record, m.profile, m.parsed, err = firstRecords(keys, handle, name, options.Listen, options.PublicListen, time.Now()); err != nil {
		return nil, err
	}
	if m.running, err = assemble(keys, m.parsed.Member, options); err != nil {
		return nil, err
	}
	for _, d := range []protocol.Document{m.record, m.profile} {
		if _, err := m.take(ctx, d); err != nil {
			return nil, errors.Join(err, m.running.close())
		}
	}
	ctx, m.stop = context.WithCancel(ctx)
	a.members = append(a.members, m)
	a.wg.Go(func() {
		if err := m.running.run(ctx); err != nil {
			a.mu.Lock()
			a.failed = errors.Join(a.failed, fmt.Errorf("%s: %w", handle, err))
			a.mu.Unlock()
		}
	})
	return m, nil
}

// take imports a document at a member's node.
func (m *ally) take(ctx context.Context, d protocol.Document) (node.Imported, error) {
	return m.running.node.Import(ctx, d.Payload, protocol.EncodeSignatures(d.Signatures))
}

// agree has the members sign a text and gives the result to all of them, with
// each other's records.
func (a *alliance) agree(ctx context.Context, text []byte, members ...*ally) (node.Imported, error) {
	d := protocol.Document{Type: protocol.AgreementType, Payload: text}
	for _, m := range members {
		d.Signatures = append(d.Signatures, protocol.SignDocument(d.Type, text, m.parsed.Member, m.keys.Root))
	}
	var out node.Imported
	for _, m := range members {
		for _, other := range members {
			if other == m {
				continue
			}
			for _, r := range []protocol.Document{other.record, other.profile} {
				if _, err := m.take(ctx, r); err != nil {
					return out, fmt.Errorf("%s takes the record of %s: %w", m.handle, other.handle, err)
				}
			}
		}
		var err error
		if out, err = m.take(ctx, d); err != nil {
			return out, fmt.Errorf("%s takes the agreement: %w", m.handle, err)
		}
	}
	return out, nil
}

// close stops all nodes, waits for them and removes the folder.
func (a *alliance) close() error {
	for _, m := range a.members {
		if m.stop != nil {
			m.stop()
		}
	}
	a.wg.Wait()
	return errors.Join(a.failed, os.RemoveAll(a.dir))
}

// connected waits until every member of a private agreement sees every other.
func connected(ctx context.Context, members ...*ally) error {
	return eventually(ctx, "the nodes to find each other", func() (bool, error) {
		for _, m := range members {
			s, err := m.running.node.Status(ctx)
			if err != nil {
				return false, err
			}
			live := 0
			for _, p := range s.Peers {
				if p.Connected && p.Host == "member" {
					live++
				}
			}
			if live < len(members)-1 {
				return false, nil
			}
		}
		return true, nil
	})
}

// eventually asks until the answer is yes, an error, or ctx ends.
func eventually(ctx context.Context, what string, ask func() (bool, error)) error {
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := ask()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
