package p2p

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"entente/protocol"
)

// fake is a small node in memory: it keeps logs, tells frontiers, serves
// ranges and remembers what happened.
type fake struct {
	mu        sync.Mutex
	self      protocol.Author
	logs      map[protocol.LogID][]entry
	frames    map[*protocol.Message]arrival // accepted in Check, not delivered yet
	documents map[protocol.AgreementID][]protocol.Document
	taken     map[protocol.AgreementID][]protocol.Document
	events    []protocol.PeerEvent
	checked   int
	delivered int
	synced    int
	topics    []string // of what Check was asked about
	busy      chan struct{}
	refuse    bool                                                                                                                           // Take refuses everything
	guest     func(transport protocol.PublicKey, door protocol.Hash, secret [32]byte, docs []protocol.Document) ([]protocol.Document, error) // called by Guest
	onTake    func()                                                                                                                         // called by Take, outside the lock
	onDocs    func(agreement protocol.AgreementID, docs []protocol.Document)                                                                 // called by TakeDocuments
}

type entry struct {
	frame []byte
	head  protocol.Hash
}

type arrival struct {
	log      protocol.LogID
	sequence uint64
	frame    []byte
}

func newFake(self protocol.Author) *fake {
	return &fake{
		self: self, logs: map[protocol.LogID][]entry{}, frames: map[*protocol.Message]arrival{},
		documents: map[protocol.AgreementID][]protocol.Document{}, taken: map[protocol.AgreementID][]protocol.Document{},
	}
}

const frameHead = 32 + 4 + 8 + 2

// makeFrame encodes author, sequence, topic and payload: all that the fake
// needs of a message.
func makeFrame(author protocol.Author, sequence uint64, topic string, payload []byte) []byte {
	b := append([]byte(nil), author.Member[:]...)
	b = binary.BigEndian.AppendUint32(b, author.Node)
	b = binary.BigEndian.AppendUint64(b, sequence)
	b = binary.BigEndian.AppendUint16(b, uint16(len(topic)))
	b = append(b, topic...)
	return append(b, payload...)
}

func parseFrame(agreement protocol.AgreementID, frame []byte) (a arrival, err error) {
	if len(frame) < frameHead {
		return a, errors.New("short frame")
	}
	var author protocol.Author
	copy(author.Member[:], frame)
	author.Node = binary.BigEndian.Uint32(frame[32:])
	a.sequence = binary.BigEndian.Uint64(frame[36:])
	n := int(binary.BigEndian.Uint16(frame[44:]))
	if len(frame) < frameHead+n {
		return a, errors.New("short frame")
	}
	a.log = protocol.LogID{Agreement: agreement, Lane: protocol.TopicLane(string(frame[frameHead : frameHead+n])), Author: author, Incarnation: protocol.Incarnation{1}}
	a.frame = frame
	return a, nil
}

// publish appends a message of the fake's own and returns its frame.
func (f *fake) publish(agreement protocol.AgreementID, topic string, payload []byte) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := protocol.LogID{Agreement: agreement, Lane: protocol.TopicLane(topic), Author: f.self, Incarnation: protocol.Incarnation{1}}
	frame := makeFrame(f.self, uint64(len(f.logs[log])+1), topic, payload)
	f.append(log, frame)
	return frame
}

func (f *fake) append(log protocol.LogID, frame []byte) {
	held := f.logs[log]
	var previous protocol.Hash
	if len(held) > 0 {
		previous = held[len(held)-1].head
	}
	f.logs[log] = append(held, entry{frame, sha256.Sum256(append(previous[:], frame...))})
}

// put takes the next message of a log and reports whether it fitted or is held.
func (f *fake) put(a arrival) bool {
	switch held := uint64(len(f.logs[a.log])); {
	case a.sequence <= held:
		return true
	case a.sequence == held+1:
		f.append(a.log, slices.Clone(a.frame))
		return true
	default:
		return false
	}
}

func (f *fake) Check(_ protocol.Peer, agreement protocol.AgreementID, topic string, frame []byte) (protocol.Verdict, *protocol.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checked++
	f.topics = append(f.topics, topic)
	a, err := parseFrame(agreement, frame)
	if err != nil {
		return protocol.Reject, nil
	}
	if a.log.Lane.Topic != topic {
		return protocol.Ignore, nil
	}
	m := new(protocol.Message)
	a.frame = slices.Clone(frame)
	f.frames[m] = a
	return protocol.Accept, m
}

func (f *fake) Deliver(ctx context.Context, _ protocol.Peer, _ protocol.AgreementID, m *protocol.Message) bool {
	if f.busy != nil {
		select {
		case <-f.busy:
		case <-ctx.Done():
			return false
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.frames[m]
	delete(f.frames, m)
	f.delivered++
	return f.put(a)
}

func (f *fake) Frontier(_ protocol.Peer, agreement protocol.AgreementID) protocol.Frontier {
	f.mu.Lock()
	defer f.mu.Unlock()
	var frontier protocol.Frontier
	for log, held := range f.logs {
		if log.Agreement == agreement && len(held) > 0 {
			frontier = append(frontier, protocol.FrontierEntry{
				Log: log, Base: 1, Position: protocol.Position{Sequence: uint64(len(held)), Head: held[len(held)-1].head},
			})
		}
	}
	slices.SortFunc(frontier, func(a, b protocol.FrontierEntry) int {
		if c := slices.Compare(a.Log.Author.Member[:], b.Log.Author.Member[:]); c != 0 {
			return c
		}
		return slices.Compare([]byte(a.Log.Lane.Topic), []byte(b.Log.Lane.Topic))
	})
	return frontier
}

func (f *fake) Wants(_ protocol.Peer, _ protocol.AgreementID, theirs protocol.Frontier) []protocol.Want {
	f.mu.Lock()
	defer f.mu.Unlock()
	var wants []protocol.Want
	for _, e := range theirs {
		if held := uint64(len(f.logs[e.Log])); held < e.Position.Sequence {
			wants = append(wants, protocol.Want{Log: e.Log, From: held, To: e.Position.Sequence})
		}
	}
	return wants
}

func (f *fake) Serve(_ context.Context, _ protocol.Peer, _ protocol.AgreementID, want protocol.Want, yield func([]byte) bool) error {
	f.mu.Lock()
	held := f.logs[want.Log]
	f.mu.Unlock()
	for i := want.From; i < min(want.To, uint64(len(held))); i++ {
		if !yield(held[i].frame) {
			return nil
		}
	}
	return nil
}

func (f *fake) Take(_ context.Context, _ protocol.Peer, agreement protocol.AgreementID, frames [][]byte) error {
	if f.onTake != nil {
		f.onTake()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse {
		return nil
	}
	for _, frame := range frames {
		a, err := parseFrame(agreement, frame)
		if err != nil {
			return err
		}
		if !f.put(a) {
			return errors.New("a gap in a synced range")
		}
		f.synced++
	}
	return nil
}

func (f *fake) Documents(_ protocol.Peer, agreement protocol.AgreementID) []protocol.Document {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.documents[agreement])
}

func (f *fake) TakeDocuments(_ context.Context, _ protocol.Peer, agreement protocol.AgreementID, documents []protocol.Document) error {
	f.mu.Lock()
	f.taken[agreement] = append(f.taken[agreement], documents...)
	known := f.documents[agreement]
	for _, d := range documents {
		if !slices.ContainsFunc(known, func(k protocol.Document) bool { return string(k.Payload) == string(d.Payload) }) {
			known = append(known, d)
		}
	}
	f.documents[agreement] = known
	f.mu.Unlock()
	if f.onDocs != nil {
		f.onDocs(agreement, documents)
	}
	return nil
}

func (f *fake) Guest(_ context.Context, transport protocol.PublicKey, door protocol.Hash, secret [32]byte, docs []protocol.Document) ([]protocol.Document, error) {
	f.mu.Lock()
	hook := f.guest
	f.mu.Unlock()
	if hook == nil {
		return nil, errors.New("nobody is invited")
	}
	return hook(transport, door, secret, docs)
}

func (f *fake) Event(e protocol.PeerEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
}

// welcome sets the hook that Guest calls, and returns the one before.
func (f *fake) welcome(hook func(protocol.PublicKey, protocol.Hash, [32]byte, []protocol.Document) ([]protocol.Document, error)) (before func(protocol.PublicKey, protocol.Hash, [32]byte, []protocol.Document) ([]protocol.Document, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, f.guest = f.guest, hook
	return before
}

// held returns how many messages the fake has of all logs of the agreement.
func (f *fake) held(agreement protocol.AgreementID) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for log, entries := range f.logs {
		if log.Agreement == agreement {
			n += len(entries)
		}
	}
	return n
}

// seen returns the number of events of a kind, and the sum of their messages.
func (f *fake) seen(kind protocol.PeerEventKind) (events, messages int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events {
		if e.Kind == kind {
			events++
			messages += e.Messages
		}
	}
	return events, messages
}

// count reads one of the fake's counters under its lock.
func (f *fake) count(counter *int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *counter
}

// eventually waits until done reports true, looking again whenever a tick of
// the (real or virtual) clock has passed, and fails the test after limit.
func eventually(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(limit / 1000)
	defer ticker.Stop()
	deadline := time.After(limit)
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline:
			if !done() {
				t.Fatalf("after %v: not %s", limit, what)
			}
			return
		}
	}
}

// pass lets time go by, so that what must not happen has had its chance.
func pass(d time.Duration) { <-time.After(d) }
