package node_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"

	"entente/node"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// force lets a node publish past its own policy, as one that was tampered with
// would: it seals what it is given with the node's key, and gossips it.
func (r *resident) force(topic string, anew bool, objects ...string) error {
	name, lane, found := r.topic(topic)
	if !found {
		return fmt.Errorf("%s has no topic %q", r.handle, topic)
	}
	author := protocol.Author{Member: r.record.Member, Node: 1}
	log := protocol.LogID{Agreement: name.ID, Lane: protocol.TopicLane(lane), Author: author, Incarnation: protocol.Incarnation{0xF0}}
	for _, e := range r.store.Logs(name.ID) {
		if !anew && e.Log.Author == author && e.Log.Lane == log.Lane {
			log = e.Log
		}
	}
	if anew {
		log.Incarnation = laterIncarnation()
	}
	raw := make([][]byte, len(objects))
	leaves := make([]store.Leaf, len(objects))
	for i, o := range objects {
		raw[i], leaves[i] = []byte(o), store.Leaf{Position: i}
		if parsed, err := stix.Parse(raw[i], stix.DefaultLimits()); err == nil {
			leaves[i] = store.Leaf{Position: i, ID: parsed.ID, Modified: parsed.Modified, Object: parsed, Allowed: true}
		}
	}
	body, err := r.lab.codec.Pack(raw, [32]byte{1})
	if err != nil {
		return err
	}
	draft := protocol.Draft{
		Agreement: name.ID, AgreementVersion: name.Version, Lane: log.Lane, Author: author, Epoch: 1, Incarnation: log.Incarnation,
		Time: time.Now(), Audience: protocol.Audience{Kind: protocol.AllParties}, Content: protocol.StixObjects, Body: body,
	}
	entry, err := r.store.Append(context.Background(), log, func(prev protocol.Position) (*protocol.Message, error) {
		return r.lab.codec.Seal(draft, prev, nil, r.keys[protocol.NodeKey])
	}, leaves, nil)
	if err != nil {
		return err
	}
	return r.hosts[0].Broadcast(context.Background(), name.ID, lane, entry.Message.Frame())
}

// laterIncarnation is of the log that `force anew` begins.
func laterIncarnation() protocol.Incarnation { return protocol.Incarnation{0xF2} }

// topic finds the version in force of the one agreement that has a topic.
func (r *resident) topic(topic string) (*protocol.Agreement, string, bool) {
	var found *protocol.Agreement
	_ = r.kept.Load(func(kind, _ string, _ uint64, payload, _ []byte) error {
		if kind != "agreements" {
			return nil
		}
		a, err := protocol.ParseAgreement(payload)
		if err == nil && slices.ContainsFunc(a.Topics, func(t protocol.Topic) bool { return t.Name == topic }) && (found == nil || a.Version > found.Version) {
			found = a
		}
		return nil
	})
	return found, topic, found != nil
}

// follower gathers what a tail yields.
type follower struct {
	mu     sync.Mutex
	shown  []string // since it was asked last
	cursor int64
	err    error
}

func (f *follower) run(ctx context.Context, n *node.Node, topic string, cursor int64) {
	err := n.Tail(ctx, topic, cursor, func(e node.TailEvent) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.cursor = e.Cursor
		if !e.Idle {
			name := e.Version.Name
			if name == "" {
				name = e.Version.ID[:len(e.Version.Type)+10]
			}
			f.shown = append(f.shown, e.Version.Type+" "+name)
		}
		return true
	})
	f.mu.Lock()
	f.err = err
	f.mu.Unlock()
}

// tail begins to follow a topic; where another tail ran before, it ends, and with
// resume the new one goes on from its cursor.
func (s *story) tail(t *testing.T, at *resident, topic string, resume bool) string {
	cursor := int64(-1)
	if old := s.tails[at.handle]; old != nil && resume {
		old.mu.Lock()
		cursor = old.cursor
		old.mu.Unlock()
	}
	s.tailEnds(at)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	f := &follower{}
	s.tails[at.handle], s.stops[at.handle] = f, cancel
	go f.run(ctx, at.node, topic, cursor)
	synctest.Wait()
	return ""
}

func (s *story) tailEnds(at *resident) {
	if stop := s.stops[at.handle]; stop != nil {
		stop()
	}
	synctest.Wait()
}

func (s *story) tailShows(at *resident) string {
	synctest.Wait()
	f := s.tails[at.handle]
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := f.shown
	f.shown = nil
	if f.err != nil {
		return "error: " + f.err.Error() + "\n"
	}
	if len(lines) == 0 {
		return "nothing\n"
	}
	return strings.Join(lines, "\n") + "\n"
}

// write makes a document of the story's: an agreement in the version that is asked
// for, or the one that was written last again, signed by whom is asked for.
func (s *story) write(t *testing.T, d *datadriven.TestData, arg func(string) string) string {
	t.Helper()
	var signers []*resident
	for _, h := range strings.Split(arg("signed"), "+") {
		signers = append(signers, s.lab.members[h])
	}
	s.signatures = nil
	if !d.HasArg("again") {
		s.payload = s.draft(d, arg)
	}
	if label := arg("label"); label != "" {
		s.labels[label] = s.payload
	}
	for _, p := range signers {
		sig := protocol.SignDocument(protocol.AgreementType, s.payload, p.record.Member, p.keys[protocol.RootKey])
		if d.HasArg("wrong") {
			sig.Bytes[7] ^= 1
		}
		s.signatures = append(s.signatures, sig)
	}
	if a, err := protocol.ParseAgreement(s.payload); err == nil && a.Version == 1 && s.firsts[a.Name] == nil {
		s.firsts[a.Name] = a
	}
	return ""
}

// draft is the text of an agreement, in the version that is asked for.
func (s *story) draft(d *datadriven.TestData, arg func(string) string) []byte {
	var parties []*resident
	for _, h := range strings.Split(arg("parties"), "+") {
		parties = append(parties, s.lab.members[h])
	}
	text := string(agreementText(arg("name"), "private", d.Input+"\n", parties...))
	if days := arg("days"); days != "" {
		until := time.Now().UTC().AddDate(0, 0, 1).Format("2006-01-02T15:04:05Z")
		from, rest, _ := strings.Cut(text, "  until: ")
		_, rest, _ = strings.Cut(rest, "\n")
		text = from + "  until: " + until + "\n" + rest
	}
	if version := arg("version"); version != "" {
		first := s.firsts[arg("name")]
		previous := []string{fmt.Sprintf("%q", first.Hash)}
		if labels := arg("previous"); labels != "" {
			previous = nil
			for _, label := range strings.Split(labels, "+") {
				previous = append(previous, fmt.Sprintf("%q", protocol.PayloadHash(s.labels[label])))
			}
		}
		text = strings.Replace(text, "version: 1\n", fmt.Sprintf("version: %s\nagreement: %q\nprevious: [%s]\n", version, first.ID.String(), strings.Join(previous, ", ")), 1)
		_, secret, _ := strings.Cut(text, "secret: ")
		secret, _, _ = strings.Cut(secret, "\n")
		text = strings.Replace(text, secret, fmt.Sprintf("\"%x\"", sha256.Sum256([]byte("secret of version "+version+d.Input))), 1)
	}
	return []byte(text)
}

// take gives the document of the story to a node, or its signatures alone; unless
// alone, with the records of all members.
func (s *story) take(at *resident, signaturesOnly, alone bool) string {
	payload := s.payload
	if signaturesOnly {
		payload = nil
	}
	for _, r := range s.lab.members {
		if r != at && !alone {
			at.take(r.documents[0])
		}
	}
	out, err := at.node.Import(context.Background(), payload, protocol.EncodeSignatures(s.signatures))
	if err != nil {
		text := fmt.Sprintf("%s: %v\n", protocol.KindOf(err), err)
		if hint := protocol.HintOf(err); hint != "" {
			text += "hint: " + hint + "\n"
		}
		return text
	}
	return fmt.Sprintf("%s version %d, %s: %s\n", out.Name, out.Version, out.State, out.Text)
}
