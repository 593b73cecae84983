// Package bare is the machinery of a node with nothing of a node in it: batches
// of objects are compressed, hashed and signed, gossiped between two hosts over
// loopback, verified, decompressed, hashed again, and written to Badger at both
// ends with one index key an object. Nothing is parsed, decided or audited.
//
// The benchmark runs it beside the whole pipe on the same objects in the same
// run, because on a machine whose speed varies only the ratio means something.
package bare

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/klauspost/compress/zstd"
	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Config says what to push through.
type Config struct {
	Objects [][]byte             // pushed once each
	Batch   int                  // objects a message
	Bytes   int                  // most bytes a message before compression
	CPU     func() time.Duration // what the process has computed so far
	Sync    bool                 // each group of writes reaches the disk before it counts
	Dir     string               // folder for both stores
}

// Result is what came of a run.
type Result struct {
	Objects  int
	Messages int
	Bytes    int64 // of messages on the wire
	Elapsed  time.Duration
	CPU      time.Duration
}

// Rate returns objects a second.
func (r Result) Rate() float64 { return float64(r.Objects) / r.Elapsed.Seconds() }

const (
	topicName = "bare"
	window    = 64 // messages on their way at once
	group     = 16 // messages a transaction
)

// Run pushes all objects from one host to another and returns when the last is
// written at both ends.
func Run(ctx context.Context, cfg Config) (Result, error) {
	sender, err := newEnd(ctx, filepath.Join(cfg.Dir, "sender"), cfg.Sync)
	if err != nil {
		return Result{}, err
	}
	defer sender.close()
	receiver, err := newEnd(ctx, filepath.Join(cfg.Dir, "receiver"), cfg.Sync)
	if err != nil {
		return Result{}, err
	}
	defer receiver.close()
	if err := sender.connect(ctx, receiver); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Result{}, err
	}
	start, computed := time.Now(), cfg.CPU()
	credit := make(chan struct{}, window)
	messages := (&batcher{cfg: cfg}).count()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := receiver.take(ctx, public, messages, credit); err != nil {
			cancel(err)
		}
	})
	wire, err := sender.push(ctx, cfg, private, credit)
	if err != nil {
		cancel(err)
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return Result{}, err
	}
	return Result{Objects: len(cfg.Objects), Messages: messages, Bytes: wire, Elapsed: time.Since(start), CPU: cfg.CPU() - computed}, nil
}

// end is one of the two: a host, its topic and its store.
type end struct {
	host  interface{ Close() error }
	info  peer.AddrInfo
	dial  func(context.Context, peer.AddrInfo) error
	topic *pubsub.Topic
	sub   *pubsub.Subscription
	peers func() []peer.ID
	db    *badger.DB
	stamp uint64
}

func newEnd(ctx context.Context, dir string, sync bool) (*end, error) {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	if err != nil {
		return nil, err
	}
	ps, err := pubsub.NewGossipSub(ctx, h, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(), pubsub.WithFloodPublish(true), // the mesh may not have formed yet
		pubsub.WithPeerOutboundQueueSize(4*window), pubsub.WithMessageIdFn(func(m *pb.Message) string {
			sum := sha256.Sum256(m.Data)
			return string(sum[:])
		}))
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	topic, err := ps.Join(topicName)
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	sub, err := topic.Subscribe(pubsub.WithBufferSize(4 * window))
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithSyncWrites(sync).
		WithMemTableSize(32 << 20).WithNumMemtables(3).WithValueThreshold(512).WithValueLogFileSize(64 << 20).
		WithBlockCacheSize(48 << 20).WithIndexCacheSize(32 << 20).WithNumCompactors(2).
		WithDetectConflicts(false).WithCompression(options.None))
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return &end{
		host: h, info: peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}, dial: h.Connect,
		topic: topic, sub: sub, peers: topic.ListPeers, db: db,
	}, nil
}

func (e *end) close() { _ = errors.Join(e.db.Close(), e.host.Close()) }

// connect dials the other end and waits until gossip knows of it.
func (e *end) connect(ctx context.Context, to *end) error {
	if err := e.dial(ctx, to.info); err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for len(e.peers()) == 0 || len(to.peers()) == 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// batcher cuts the objects into messages.
type batcher struct {
	cfg  Config
	next int
}

func (b *batcher) batch() [][]byte {
	from, size := b.next, 0
	for b.next < len(b.cfg.Objects) && b.next-from < b.cfg.Batch {
		size += len(b.cfg.Objects[b.next])
		if size > b.cfg.Bytes && b.next > from {
			break
		}
		b.next++
	}
	return b.cfg.Objects[from:b.next]
}

func (b *batcher) count() int {
	n := 0
	for len(b.batch()) > 0 {
		n++
	}
	return n
}

// packed is a message ready to go, with how many objects it holds.
type packed struct {
	frame   []byte
	objects int
}

// push compresses and signs in one goroutine, stores and publishes in another,
// so that both cores have work.
func (e *end) push(ctx context.Context, cfg Config, key ed25519.PrivateKey, credit chan struct{}) (int64, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return 0, err
	}
	ready := make(chan packed, window)
	packing, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		defer close(ready)
		pack(packing, &batcher{cfg: cfg}, encoder, key, ready)
	})
	var wire int64
	for m := range ready {
		batch := gather(m, ready)
		if err := e.write(batch); err != nil {
			return wire, err
		}
		for _, m := range batch {
			wire += int64(len(m.frame))
			select {
			case credit <- struct{}{}:
			case <-ctx.Done():
				return wire, context.Cause(ctx)
			}
			if err := e.topic.Publish(ctx, m.frame); err != nil {
				return wire, err
			}
		}
	}
	return wire, nil
}

func pack(ctx context.Context, b *batcher, encoder *zstd.Encoder, key ed25519.PrivateKey, ready chan<- packed) {
	body := make([]byte, 0, b.cfg.Bytes+b.cfg.Bytes/8)
	for {
		objects := b.batch()
		if len(objects) == 0 {
			return
		}
		body = body[:0]
		for _, o := range objects {
			body = binary.AppendUvarint(body, uint64(len(o)))
			body = append(body, o...)
		}
		sum := sha256.Sum256(body)
		m := packed{append(ed25519.Sign(key, sum[:]), encoder.EncodeAll(body, nil)...), len(objects)}
		select {
		case ready <- m:
		case <-ctx.Done():
			return
		}
	}
}

// gather takes what else is ready, up to a transaction's worth.
func gather(first packed, ready <-chan packed) []packed {
	batch := []packed{first}
	for len(batch) < group {
		select {
		case m, ok := <-ready:
			if !ok {
				return batch
			}
			batch = append(batch, m)
		default:
			return batch
		}
	}
	return batch
}

// take verifies and unpacks in one goroutine and stores in another, until it
// has seen all messages.
func (e *end) take(ctx context.Context, key ed25519.PublicKey, messages int, credit chan struct{}) error {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer decoder.Close()
	verified := make(chan packed, window)
	var wg sync.WaitGroup
	defer wg.Wait()
	var failed error
	wg.Go(func() {
		defer close(verified)
		for range messages {
			m, err := e.sub.Next(ctx)
			if err == nil {
				var p packed
				if p, err = unpack(decoder, key, m.Data); err == nil {
					select {
					case verified <- p:
						continue
					case <-ctx.Done():
						err = ctx.Err()
					}
				}
			}
			failed = err
			return
		}
	})
	seen := 0
	for m := range verified {
		batch := gather(m, verified)
		if err := e.write(batch); err != nil {
			return err
		}
		for range batch {
			<-credit
			seen++
		}
	}
	if seen != messages && failed == nil {
		return fmt.Errorf("only %d of %d messages arrived", seen, messages)
	}
	return failed
}

func unpack(decoder *zstd.Decoder, key ed25519.PublicKey, frame []byte) (packed, error) {
	body, err := decoder.DecodeAll(frame[ed25519.SignatureSize:], nil)
	if err != nil {
		return packed{}, err
	}
	sum := sha256.Sum256(body)
	if !ed25519.Verify(key, sum[:], frame[:ed25519.SignatureSize]) {
		return packed{}, errors.New("a signature is false")
	}
	p := packed{frame: frame}
	for len(body) > 0 {
		size, n := binary.Uvarint(body)
		if n <= 0 || uint64(len(body)-n) < size {
			return packed{}, errors.New("a body is cut short")
		}
		body = body[n+int(size):]
		p.objects++
	}
	return p, nil
}

// write puts messages and one index key an object into one transaction.
func (e *end) write(messages []packed) error {
	txn := e.db.NewTransaction(true)
	defer func() { txn.Discard() }()
	set := func(k, v []byte) error {
		err := txn.Set(k, v)
		if errors.Is(err, badger.ErrTxnTooBig) {
			if err := txn.Commit(); err != nil {
				return err
			}
			txn = e.db.NewTransaction(true)
			return txn.Set(k, v)
		}
		return err
	}
	for _, m := range messages {
		e.stamp++
		if err := set(binary.BigEndian.AppendUint64([]byte{'m'}, e.stamp), m.frame); err != nil {
			return err
		}
		for j := range m.objects {
			// As long as a real index key: a type, an id, a version, a place.
			key := make([]byte, 34)
			key[0] = 'o'
			binary.BigEndian.PutUint64(key[2:], (e.stamp<<20+uint64(j))*0x9E3779B97F4A7C15)
			binary.BigEndian.PutUint64(key[26:], e.stamp)
			if err := set(key, nil); err != nil {
				return err
			}
		}
	}
	return txn.Commit()
}
