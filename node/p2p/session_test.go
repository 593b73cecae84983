package p2p

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"entente/protocol"
)

// raw is a peer that holds the agreement and speaks frames as it pleases.
type raw struct {
	t    *testing.T
	host host.Host
	to   *member
	pact *pact
}

// newRaw makes a node a that knows a raw peer as a party.
func newRaw(t *testing.T) (*raw, *member) {
	w := newWorld(t)
	p := newPact("alliance", "indicators")
	a := w.add("a", false)
	h := w.outsider("raw")
	b := &member{fake: newFake(protocol.Author{Member: protocol.MemberID{7}}), peer: protocol.Peer{
		Author: protocol.Author{Member: protocol.MemberID{7}}, Name: "raw", Transport: publicKey(keyOf("raw")),
	}}
	agree(t, p, a)
	a.update(t, p.seenBy(a, a, b))
	if err := h.Connect(t.Context(), a.addrs(t)); err != nil {
		t.Fatal(err)
	}
	return &raw{t, h, a, p}, a
}

// open opens a stream of the kind, tag and all.
func (r *raw) open(k kind) network.Stream {
	r.t.Helper()
	to := r.to.addrs(r.t).ID
	s, err := r.host.NewStream(r.t.Context(), to, protocolID)
	if err != nil {
		r.t.Fatal(err)
	}
	tag := newTag(headKey(r.pact.heads[0]), k, r.host.ID(), to)
	if _, err := s.Write(tag[:]); err != nil {
		r.t.Fatal(err)
	}
	var reply [replySize]byte
	if _, err := io.ReadFull(s, reply[:]); err != nil {
		r.t.Fatalf("the tag was not taken: %v", err)
	}
	return s
}

func frameOf(t frameType, body []byte) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+1)), byte(t)), body...)
}

func readFrame(s io.Reader) (frameType, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		return 0, nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:4])-1)
	_, err := io.ReadFull(s, body)
	return frameType(head[4]), body, err
}

// Whatever an asker sends that does not belong ends the session; nothing is
// allocated by what a length says, and the node lives on.
func TestMalformedFramesEndTheSession(t *testing.T) {
	foreign := protocol.LogID{
		Agreement: protocol.AgreementID{1}, Lane: protocol.TopicLane("x"),
		Author: protocol.Author{Member: protocol.MemberID{1}}, Incarnation: protocol.Incarnation{1},
	}
	wants, err := protocol.EncodeWants([]protocol.Want{{Log: foreign, To: 1}})
	if err != nil {
		t.Fatal(err)
	}
	own := foreign
	own.Agreement = newPact("alliance").id
	tooMany, err := protocol.EncodeWants(slices.Repeat([]protocol.Want{{Log: own, To: 1}}, maxRanges+1))
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string][]byte{
		"a length of 4 GiB":     {0xff, 0xff, 0xff, 0xff, byte(frameAsk)},
		"a length over 1 MiB":   binary.BigEndian.AppendUint32(nil, maxSync+1),
		"a length of zero":      {0, 0, 0, 0, byte(frameAsk)},
		"an unknown type":       frameOf(99, nil),
		"a short digest":        frameOf(frameAsk, []byte{1, 2, 3}),
		"an answer":             frameOf(frameEnd, nil),
		"wants that are none":   frameOf(frameWant, []byte("wants")),
		"another agreement's":   frameOf(frameWant, wants),
		"too many ranges":       frameOf(frameWant, tooMany),
		"credit of three bytes": frameOf(frameCredit, []byte{1, 2, 3}),
		"text":                  []byte("GET / HTTP/1.1\r\n\r\n"),
	}
	for name, sent := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, a := newRaw(t)
				s := r.open(kindSync)
				if _, err := s.Write(append(sent, make([]byte, 5)...)); err != nil {
					t.Fatal(err)
				}
				started := time.Now()
				if k, _, err := readFrame(s); err == nil {
					t.Errorf("answered with a frame of type %d", k)
				}
				if d := time.Since(started); d > time.Second {
					t.Errorf("the session ended after %v only", d)
				}
				a.sessionsWork(t, r)
			})
		})
	}
}

// sessionsWork asks an honest question and expects an honest answer.
func (m *member) sessionsWork(t *testing.T, r *raw) {
	t.Helper()
	s := r.open(kindSync)
	defer func() { _ = s.Close() }()
	digest := protocol.Frontier(nil).Digest()
	if _, err := s.Write(frameOf(frameAsk, digest[:])); err != nil {
		t.Fatal(err)
	}
	if k, _, err := readFrame(s); err != nil || k != frameSame {
		t.Errorf("an honest question after it got a frame of type %d, %v", k, err)
	}
	_, _ = s.Write(frameOf(frameBye, []byte{0}))
}

// Whoever opens a session and says nothing, or says it byte by byte, is cut off
// at the deadline.
func TestSlowPeersAreCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := newRaw(t)
		s := r.open(kindSync)
		started := time.Now()
		_, _, err := readFrame(s)
		if d := time.Since(started).Round(100 * time.Millisecond); err == nil || d != firstFrame {
			t.Errorf("a silent peer was cut off after %v, with %v", d, err)
		}
		// A drop every two seconds does not buy more time.
		s = r.open(kindSync)
		started = time.Now()
		dripped := make(chan struct{})
		go func() {
			defer close(dripped)
			for _, b := range frameOf(frameAsk, make([]byte, 32)) {
				if _, err := s.Write([]byte{b}); err != nil {
					return
				}
				pass(2 * time.Second)
			}
		}()
		if _, _, err = readFrame(s); err == nil || time.Since(started) > firstFrame+time.Second {
			t.Errorf("a dripping peer was cut off after %v, with %v", time.Since(started), err)
		}
		<-dripped
		// One that takes without giving credit is cut off when it is too slow.
		log := make([]byte, 100<<10)
		for range 100 {
			a.fake.publish(r.pact.id, "indicators", log)
		}
		s = r.open(kindSync)
		frontier := a.Frontier(protocol.Peer{}, r.pact.id)
		body, err := protocol.EncodeWants([]protocol.Want{{Log: frontier[0].Log, To: 100}})
		if err != nil {
			t.Fatal(err)
		}
		started = time.Now()
		if _, err := s.Write(frameOf(frameWant, body)); err != nil {
			t.Fatal(err)
		}
		total := 0
		for {
			_, body, err := readFrame(s)
			if err != nil {
				break
			}
			total += len(body)
		}
		if total > creditBytes || total < creditBytes/2 {
			t.Errorf("%d bytes were sent without credit; %d are lent", total, creditBytes)
		}
		if d := time.Since(started); d > idle+5*time.Second {
			t.Errorf("a peer that gives no credit was cut off after %v", d)
		}
		a.publish(t, r.pact, "indicators", "alive")
	})
}

// Two sessions of one peer are served; the third is told to come later.
func TestInboundSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRaw(t)
		var open []network.Stream
		digest := protocol.Frontier(nil).Digest()
		for i := range 4 {
			s := r.open(kindSync)
			open = append(open, s)
			if _, err := s.Write(frameOf(frameAsk, digest[:])); err != nil {
				t.Fatal(err)
			}
			k, _, err := readFrame(s)
			want := frameSame
			if i >= maxInboundPeer {
				want = frameBusy
			}
			if err != nil || k != want {
				t.Errorf("session %d: frame of type %d, %v", i+1, k, err)
			}
		}
		for _, s := range open {
			_ = s.Reset()
		}
	})
}

// A server that sends what nobody asked for, or a message too large, is left.
func TestHostileServer(t *testing.T) {
	own := protocol.LogID{
		Agreement: newPact("alliance").id, Lane: protocol.TopicLane("indicators"),
		Author: protocol.Author{Member: protocol.MemberID{7}}, Incarnation: protocol.Incarnation{1},
	}
	frontier, err := protocol.EncodeFrontier(protocol.Frontier{{Log: own, Base: 1, Position: protocol.Position{Sequence: 2, Head: protocol.Hash{1}}}})
	if err != nil {
		t.Fatal(err)
	}
	good := makeFrame(own.Author, 1, "indicators", []byte("one"))
	cases := map[string][][]byte{
		"more than asked for":  {frameOf(frameLast, frontier), frameOf(frameData, good), frameOf(frameData, good), frameOf(frameData, good)},
		"a message too large":  {frameOf(frameLast, frontier), frameOf(frameData, make([]byte, maxFrame+1))},
		"an empty message":     {frameOf(frameLast, frontier), frameOf(frameData, nil)},
		"a gap":                {frameOf(frameLast, frontier), frameOf(frameData, makeFrame(own.Author, 2, "indicators", nil)), frameOf(frameEnd, nil)},
		"a frontier of nobody": {frameOf(frameLast, []byte("nothing"))},
		"endless frontiers":    slices.Repeat([][]byte{frameOf(frameFrontier, frontier)}, maxFrontier+1),
		"data for an answer":   {frameOf(frameData, good)},
	}
	for name, answers := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, a := newRaw(t)
				ended := make(chan struct{}, 16)
				r.host.SetStreamHandler(protocolID, r.serveWith(answers, ended))
				a.host.Sync(r.pact.id)
				a.host.sync.trigger(r.pact.id, r.host.ID(), 0, false)
				<-ended
				pass(time.Second)
				if n := a.held(r.pact.id); n > 2 {
					t.Errorf("a took %d messages", n)
				}
				if events, _ := a.seen(protocol.PeerSynced); events == 0 {
					t.Error("no event tells of the session that failed")
				}
				a.sessionsWorkAfter(t, r)
			})
		})
	}
}

// sessionsWorkAfter is sessionsWork for a node that may hold something by now.
func (m *member) sessionsWorkAfter(t *testing.T, r *raw) {
	t.Helper()
	s := r.open(kindSync)
	defer func() { _ = s.Close() }()
	digest := m.Frontier(protocol.Peer{}, r.pact.id).Digest()
	if _, err := s.Write(frameOf(frameAsk, digest[:])); err != nil {
		t.Fatal(err)
	}
	if k, _, err := readFrame(s); err != nil || k != frameSame {
		t.Errorf("an honest question after it got a frame of type %d, %v", k, err)
	}
}

// serveWith takes tags as a party does and answers each question for messages
// with the frames given; other kinds it refuses.
func (r *raw) serveWith(answers [][]byte, ended chan<- struct{}) network.StreamHandler {
	return func(s network.Stream) {
		var tag [tagSize]byte
		if _, err := io.ReadFull(s, tag[:]); err != nil || kind(tag[0]) != kindSync {
			_ = s.Reset()
			return
		}
		reply := headKey(r.pact.heads[0]).reply(&tag, s.Conn().RemotePeer(), r.host.ID())
		_, _ = s.Write(reply[:])
		_, _, _ = readFrame(s)
		for _, answer := range answers {
			if _, err := s.Write(answer); err != nil {
				break
			}
		}
		_, _ = io.Copy(io.Discard, s) // until the asker leaves
		select {
		case ended <- struct{}{}:
		default:
		}
	}
}

func TestDocumentsAreBounded(t *testing.T) {
	good := protocol.Document{Type: protocol.AgreementType, Payload: []byte("a: b\n"), Signatures: []protocol.Signature{{Member: protocol.MemberID{1}}}}
	body, err := encodeDocument(good)
	if err != nil {
		t.Fatal(err)
	}
	back, err := decodeDocument(body)
	if err != nil || documentsDigest([]protocol.Document{back}) != documentsDigest([]protocol.Document{good}) {
		t.Errorf("a document came back as %+v, %v", back, err)
	}
	other := good
	other.Type = "text/html"
	unknown, err := encodeDocument(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"nothing": {}, "another type": unknown, "more behind it": append(slices.Clone(body), 0),
		"cut short": body[:len(body)-1], "an array of 4 billion": {0x9a, 0xff, 0xff, 0xff, 0xff},
		"deep nesting": bytes.Repeat([]byte{0x81}, 1<<10),
	} {
		if _, err := decodeDocument(b); err == nil {
			t.Errorf("%s: decoded", name)
		}
	}
}

func TestDocumentsDigestIgnoresOrder(t *testing.T) {
	a := protocol.Document{Type: protocol.AgreementType, Payload: []byte("a"), Signatures: []protocol.Signature{{Key: protocol.PublicKey{1}}, {Key: protocol.PublicKey{2}}}}
	b := protocol.Document{Type: protocol.RecordType, Payload: []byte("b")}
	swapped := a
	swapped.Signatures = []protocol.Signature{a.Signatures[1], a.Signatures[0]}
	if documentsDigest([]protocol.Document{a, b}) != documentsDigest([]protocol.Document{b, swapped}) {
		t.Error("the order of documents or signatures changes the digest")
	}
	fewer := a
	fewer.Signatures = a.Signatures[:1]
	if documentsDigest([]protocol.Document{a}) == documentsDigest([]protocol.Document{fewer}) {
		t.Error("a signature less does not change the digest")
	}
}

func FuzzDecodeDocument(f *testing.F) {
	body, err := encodeDocument(protocol.Document{Type: protocol.RecordType, Payload: []byte("x"), Signatures: []protocol.Signature{{}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := decodeDocument(b); err == nil {
			if _, err := encodeDocument(d); err != nil {
				t.Errorf("what was decoded cannot be encoded: %v", err)
			}
		}
	})
}

func TestErrorsAreShort(t *testing.T) {
	long := shortError(fmt.Errorf("%s\n\n%s", strings.Repeat("é", 400), context.Canceled))
	if len(long) > 310 || strings.ContainsAny(long, "\n\r") {
		t.Errorf("%d bytes: %q", len(long), long)
	}
}

func TestTagBindsAll(t *testing.T) {
	key, a, b := tagKey(sha256.Sum256([]byte("k"))), idOf(t, "a"), idOf(t, "b")
	tag := newTag(key, kindSync, a, b)
	if !key.fits(&tag, a, b) {
		t.Fatal("a tag does not fit")
	}
	if key.fits(&tag, b, a) {
		t.Error("a tag fits in the other direction")
	}
	for i := range tag {
		other := tag
		other[i] ^= 1
		if key.fits(&other, a, b) {
			t.Errorf("a tag fits with byte %d changed", i)
		}
	}
	if again := newTag(key, kindSync, a, b); again == tag {
		t.Error("two tags are the same")
	}
}

func idOf(t *testing.T, name string) peer.ID {
	t.Helper()
	id, err := peerID(publicKey(keyOf(name)))
	if err != nil {
		t.Fatal(err)
	}
	return id
}
