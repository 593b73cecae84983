package node_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"entente/node"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// readRules is how a member's node reads its operator's rules.
func (r *resident) readRules() ([]byte, error) {
	if text := r.rules.Load(); text != nil {
		return []byte(*text), nil
	}
	return nil, nil
}

// rules gives a member's operator other rules, or none, and has them loaded.
func (s *story) rules(at *resident, text string) string {
	at.rules.Store(nil)
	if text != "" {
		text += "\n"
		at.rules.Store(&text)
	}
	info, err := at.node.ReloadRules(context.Background())
	if err != nil {
		return fmt.Sprintf("%s: %v\nhint: %s\n", protocol.KindOf(err), err, protocol.HintOf(err))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d rules, changed %v\n", info.Clauses, info.Changed)
	for _, u := range info.Unresolved {
		fmt.Fprintf(&b, "clause %s (line %d): %s\n", u.Clause, u.Line, u.Text)
	}
	return b.String()
}

// trail tells the rules that were asked about an object and that speak of it.
func (s *story) trail(at *resident, object, topic, party string) string {
	kind, name, _ := strings.Cut(object, ":")
	trails, err := at.node.Trails(context.Background(), node.TrailQuery{Object: idOf(kind, name), Topic: topic, For: party})
	if err != nil {
		return fmt.Sprintf("%s: %s\n", protocol.KindOf(err), strings.ReplaceAll(err.Error(), idOf(kind, name), object))
	}
	var b strings.Builder
	for _, tr := range trails {
		fmt.Fprintf(&b, "%s %s on %s/%s by %s, held %v: %s by %s %s\n", tr.Type, tr.Marking, tr.Agreement, tr.Topic, tr.Author, tr.Held,
			tr.Verdict.Outcome, tr.Verdict.Layer, tr.Verdict.Clause)
		for _, r := range tr.Readers {
			fmt.Fprintf(&b, "  %s: %s by %s %s %s\n", r.Reader, r.Why.Outcome, r.Why.Layer, r.Why.Clause, r.Lacks)
			for _, st := range r.Steps {
				if st.Match || st.Layer == "local" {
					fmt.Fprintf(&b, "    match=%v decides=%v %s %s: %s\n", st.Match, st.Decides, st.Layer, st.Clause, st.Why)
				}
			}
		}
	}
	return b.String()
}

// bareConfig is that of a node with a store in memory and no documents.
func bareConfig(t *testing.T) node.Config {
	t.Helper()
	codec, err := protocol.NewCodec(protocol.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{Clock: time.Now, Limits: stix.DefaultLimits(), Codec: codec, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	return node.Config{Member: protocol.MemberID{1}, Number: 1, Epoch: 1, Key: key, Operator: key, Store: s, Documents: newMemoryDocuments(), Codec: codec,
		Clock: time.Now, Random: func([]byte) {}, Logger: slog.New(slog.DiscardHandler)}
}

// TestBrokenRulesStopTheStart: a node that does not know what its operator keeps
// back shares nothing.
func TestBrokenRulesStopTheStart(t *testing.T) {
	for name, rules := range map[string]func() ([]byte, error){
		"permit": func() ([]byte, error) {
			return []byte("kind: entente/local-rules\nformat: 1\nclauses:\n  - {number: 1, text: All goes., effect: permit}\n"), nil
		},
		"empty":      func() ([]byte, error) { return []byte{}, nil },
		"unreadable": func() ([]byte, error) { return nil, errors.New("permission denied") },
	} {
		cfg := bareConfig(t)
		cfg.Rules = rules
		_, err := node.New(cfg)
		if err == nil || !strings.Contains(protocol.HintOf(err), "policy check") {
			t.Errorf("%s: %v, hint %q", name, err, protocol.HintOf(err))
		}
		var fault *protocol.FaultError
		if name == "permit" && (!errors.As(err, &fault) || fault.Line != 4 || !strings.Contains(err.Error(), "^")) {
			t.Errorf("no caret: %v", err)
		}
	}
	cfg := bareConfig(t)
	cfg.Rules = func() ([]byte, error) { return nil, nil }
	if _, err := node.New(cfg); err != nil {
		t.Errorf("without rules: %v", err)
	}
}
