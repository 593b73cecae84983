// Package node is the heart of Entente: it publishes, checks, receives, serves
// and shows, all of it under policy and out of one store.
//
// A message leaves through Publish: objects are parsed, policy decides for
// every reader of the topic, what a clause obliges to take out is taken out and the
// rest decided about again (redact.go), what may go is sealed and appended to this node's
// log in the store, and only then broadcast. A message comes in through one
// door whatever brought it (gossip, sync): Check judges it against an immutable
// snapshot of agreements, members and policy without writing anything; an
// accepted one passes the pipeline in receive.go, which parses, decides and
// stores. Everything that gets out again, to the operator or to a peer, passes
// a reading (view.go) or serve.go, which ask policy for that reader.
//
// What is in force at a moment is a world (world.go): built from the signed
// documents, replaced as a whole, never changed. Every goroutine belongs to
// Run.
package node

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"entente/protocol"
)

// Node is one process of a member. It is safe for concurrent use.
type Node struct {
	cfg     Config
	started time.Time

	world atomic.Pointer[world] // replaced by rebuild under docs

	docs sync.Mutex // serialises changes of documents; owns book, said, circle and spurned
	book rulebook
	said map[protocol.AgreementID]*statements
	acquaintances
	networks [2]Network // member and public host; set by Attach before Run
	logs     logbook    // this node's own logs
	notebook
	quotas   quotas
	marks    definitions
	held     gapBuffer   // owned by the pipeline's storing stage
	versions logVersions // owned by the pipeline's storing stage
	graves   graveyard
	reviewed reviewing
	queues
}

// queues are what the goroutines of Run wait for.
type queues struct {
	incoming   chan *delivery
	parsed     chan []*delivery
	outgoing   chan outgoing
	buried     chan struct{} // a tombstone or receipt has come
	stated     chan struct{} // a statement has come that may change what is in force
	vouchedFor chan struct{} // a statement has come of which version somebody holds
	mind       chan struct{} // another version counts here, which is to be stated
	changed    chan struct{} // the world has
	given      chan struct{} // something has come, or changed, that scores count
}

// The indexes of Node.networks.
const (
	memberHost = iota
	publicHost
)

type outgoing struct {
	agreement protocol.AgreementID
	topic     string
	frame     []byte
}

// acquaintances is who is known by invites. Owned by Node.docs.
type acquaintances struct {
	circle  circle
	spurned map[protocol.Hash]bool // drafts whose refusal is written down
}

// New makes a node from its documents and store. It does not start anything.
func New(cfg Config) (*Node, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	n := &Node{
		cfg:      cfg,
		started:  cfg.Clock(),
		said:     map[protocol.AgreementID]*statements{},
		notebook: notebook{notes: make(chan protocol.AuditRow, 4096)},
		queues: queues{
			incoming:   make(chan *delivery, 64),
			parsed:     make(chan []*delivery, 1),
			outgoing:   make(chan outgoing, 256),
			buried:     make(chan struct{}, 1),
			stated:     make(chan struct{}, 1),
			vouchedFor: make(chan struct{}, 1),
			mind:       make(chan struct{}, 1),
			changed:    make(chan struct{}, 1),
			given:      make(chan struct{}, 1),
		},
	}
	n.quotas.init()
	n.marks.init()
	n.held.init()
	n.logs.init()
	n.graves.init()
	if err := n.startRules(); err != nil {
		return nil, err
	}
	if err := errors.Join(n.loadCircle(), n.rebuild()); err != nil {
		return nil, err
	}
	return n, nil
}

// Attach gives the node its hosts, before Run. A nil public host means that
// public agreements are not followed.
func (n *Node) Attach(member, public Network) {
	n.networks = [2]Network{member, public}
}

// Run starts everything and returns when ctx has ended and all of it has
// stopped. What was acknowledged before is on disk by then.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var first error
	var once sync.Once
	start := func(f func(context.Context) error) {
		wg.Go(func() {
			err := f(ctx)
			if err != nil && !errors.Is(err, context.Canceled) {
				once.Do(func() { first = err })
				cancel(err)
			}
		})
	}
	n.docs.Lock() // documents may be given while the node starts
	err := n.updateNetworks()
	n.docs.Unlock()
	if err != nil {
		return err
	}
	n.note(protocol.AuditRow{Kind: protocol.AuditNode, Action: "start", Outcome: "ok"})
	for _, net := range n.networks {
		if net != nil {
			start(net.Run)
		}
	}
	start(n.cfg.Store.Run)
	start(n.parseStage)
	start(n.storeStage)
	start(n.broadcast)
	start(n.writeNotes)
	start(n.turn)
	start(func(context.Context) error { return n.rememberRules() })
	start(n.expire)
	start(n.bury)
	start(n.vouch)
	start(n.score)
	start(n.admit)
	wg.Wait()
	return errors.Join(first, n.lastNotes())
}

func defaultWorkers() int { return max(1, runtime.GOMAXPROCS(0)) }

// now is the node's time.
func (n *Node) now() time.Time { return n.cfg.Clock().UTC() }

// self is the author of what this node signs.
func (n *Node) self() protocol.Author {
	return protocol.Author{Member: n.cfg.Member, Node: n.cfg.Number}
}

// network returns the host that serves an agreement; nil without one.
func (n *Node) network(public bool) Network {
	if public {
		return n.networks[publicHost]
	}
	return n.networks[memberHost]
}

// broadcast sends what was appended to the hosts. It is speed only: what is
// lost here reaches the others by sync, so nothing is retried.
func (n *Node) broadcast(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case out := <-n.outgoing:
			g := n.world.Load().agreements[out.agreement]
			if g == nil || !g.open() {
				continue
			}
			net := n.network(g.public())
			if net == nil {
				continue
			}
			if err := net.Broadcast(ctx, out.agreement, out.topic, out.frame); err != nil && ctx.Err() == nil {
				n.cfg.Logger.Warn("broadcast failed; peers will get the message by sync",
					"agreement", g.doc.Name, "topic", out.topic, "err", err)
			}
		}
	}
}

// turnLook is how often the clock is looked at, which somebody may set.
const turnLook = 20 * time.Second

// turn rebuilds the world at each moment at which a date in an agreement or a
// record changes what is in force, and when statements do.
func (n *Node) turn(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-n.stated:
			err = n.renew()
		case <-n.vouchedFor:
			err = n.reconsider()
		case <-timer.C:
			if now := n.now(); !n.world.Load().until.After(now) {
				err = n.renew()
			}
		}
		if err != nil && ctx.Err() == nil { // a host that closes is told nothing
			return err
		}
		wait := n.world.Load().until.Sub(n.now())
		if wait <= 0 || wait > turnLook {
			wait = turnLook
		}
		timer.Reset(wait)
	}
}

// renew makes a new world and tells the networks of it.
func (n *Node) renew() error {
	n.docs.Lock()
	defer n.docs.Unlock()
	before := n.world.Load()
	if err := n.rebuild(); err != nil {
		return err
	}
	err := n.updateNetworks()
	n.follow(before, n.world.Load())
	n.tell(n.given)
	return err
}
