package node

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"entente/protocol"
	"entente/store"
)

// What came under a clause that obliges to ask before it is passed on may go under
// another agreement when its publisher, asked by a statement in the lane of the
// object, has granted it by another one. Nobody else's word counts.

// Bounds on requests.
const (
	requestLife    = 30 * 24 * time.Hour // after that a request that nobody answered is void
	requestsOpen   = 64                  // of one member under one agreement, waiting at a time
	requestsKept   = 256                 // of one member under one agreement
	answersWaiting = 256                 // of one member under one agreement, to requests that are not here
)

// The states of a request.
const (
	requestWaiting = "waiting"
	requestGranted = "granted"
	requestRefused = "refused"
	requestExpired = "expired" // nobody answered in time, or what was granted is over
)

// ledger is the requests and the answers to them, as far as the logs were read. It
// is read again from them at each start. Whoever uses it holds the graveyard's lock.
type ledger struct {
	asked    map[protocol.Hash]*asked
	order    map[asker][]*asked // as they came
	answers  map[protocol.Hash]map[protocol.MemberID]answer
	early    map[asker][]protocol.Hash // requests that are not here and that a member has answered
	arriving map[protocol.Hash]asker   // let in, and not read from the log yet
}

// asker is whoever has made statements under an agreement.
type asker struct {
	agreement protocol.AgreementID
	member    protocol.MemberID
}

// asked is one request.
type asked struct {
	hash   protocol.Hash
	claim  protocol.Statement
	topic  string
	to     protocol.Destination
	source protocol.MemberID // who published the leaves; zero while that is not known
	void   bool              // there is nobody whom it can be asked of
}

// answer is a grant or a denial.
type answer struct {
	hash  protocol.Hash
	claim protocol.Statement
	topic string
}

func (l *ledger) init() {
	l.asked, l.order = map[protocol.Hash]*asked{}, map[asker][]*asked{}
	l.answers, l.early = map[protocol.Hash]map[protocol.MemberID]answer{}, map[asker][]protocol.Hash{}
	l.arriving = map[protocol.Hash]asker{}
}

// take keeps a request or an answer that came at a moment.
func (l *ledger) take(s *store.Store, sealed *protocol.SealedStatement, topic string, at time.Time) {
	claim, hash := sealed.Claim(), sealed.Hash()
	who := asker{claim.Agreement, claim.Member}
	if claim.Kind != protocol.Request {
		l.takeAnswer(s, who, answer{hash, claim, topic})
		return
	}
	delete(l.arriving, hash)
	to, err := protocol.ParseDestination(claim.Text)
	if err != nil || l.asked[hash] != nil || l.open(s, who, at) >= requestsOpen {
		return
	}
	if len(l.order[who]) >= requestsKept { // its own oldest that is over, or else answered, goes
		list := l.order[who]
		over := slices.IndexFunc(list, func(a *asked) bool {
			state := l.state(s, a, at)
			return state == requestExpired || state == requestRefused
		})
		if over < 0 {
			over = slices.IndexFunc(list, func(a *asked) bool { return l.state(s, a, at) != requestWaiting })
		}
		over = max(over, 0)
		delete(l.asked, list[over].hash)
		delete(l.answers, list[over].hash)
		l.order[who] = slices.Delete(list, over, over+1)
	}
	a := &asked{hash: hash, claim: claim, topic: topic, to: to}
	l.asked[hash], l.order[who] = a, append(l.order[who], a)
}

func (l *ledger) takeAnswer(s *store.Store, who asker, a answer) {
	about := a.claim.About
	if r := l.asked[about]; r != nil {
		if source, known := l.source(s, r); known && source != who.member {
			return
		}
	} else if _, again := l.answers[about][who.member]; !again {
		early := append(l.early[who], about)
		if len(early) > answersWaiting {
			if l.asked[early[0]] == nil {
				delete(l.answers[early[0]], who.member)
				if len(l.answers[early[0]]) == 0 {
					delete(l.answers, early[0])
				}
			}
			early = early[1:]
		}
		l.early[who] = early
	}
	if l.answers[about] == nil {
		l.answers[about] = map[protocol.MemberID]answer{}
	}
	held, ok := l.answers[about][who.member]
	// Of two at one moment the denial counts.
	if !ok || cmp.Or(a.claim.Time.Compare(held.claim.Time), cmp.Compare(a.claim.Kind, held.claim.Kind)) > 0 {
		l.answers[about][who.member] = a
	}
}

// source returns who published what a request names: one member, in the lane of
// the request, and not the one that asks. known is false while some log is not here.
func (l *ledger) source(s *store.Store, a *asked) (source protocol.MemberID, known bool) {
	if a.void || !a.source.IsZero() {
		return a.source, true
	}
	var last protocol.Hash
	for _, leaf := range a.claim.Leaves {
		if leaf.Log == last {
			continue
		}
		last = leaf.Log
		log, ok := s.Log(a.claim.Agreement, leaf.Log)
		if !ok {
			return protocol.MemberID{}, false
		}
		author := log.Author.Member
		if log.Lane != protocol.TopicLane(a.topic) || author == a.claim.Member || !source.IsZero() && author != source {
			a.void = true
			return protocol.MemberID{}, true
		}
		source = author
	}
	a.source = source
	return source, true
}

// answer returns what the source has answered last.
func (l *ledger) answer(s *store.Store, a *asked) (answer, bool) {
	source, known := l.source(s, a)
	if !known || a.void {
		return answer{}, false
	}
	got, ok := l.answers[a.hash][source]
	return got, ok && got.topic == a.topic && got.claim.Agreement == a.claim.Agreement
}

// state returns how a request stands at a moment.
func (l *ledger) state(s *store.Store, a *asked, at time.Time) string {
	switch got, ok := l.answer(s, a); {
	case ok && got.claim.Kind == protocol.Denial:
		return requestRefused
	case ok && at.Before(got.claim.Until):
		return requestGranted
	case !ok && !a.void && at.Before(a.claim.Time.Add(requestLife)):
		return requestWaiting
	}
	return requestExpired
}

// open counts the requests of a member that wait for an answer.
func (l *ledger) open(s *store.Store, who asker, at time.Time) int {
	return l.in(s, who, at, requestWaiting)
}

// granted counts the requests of a member that are granted.
func (l *ledger) granted(s *store.Store, who asker, at time.Time) int {
	return l.in(s, who, at, requestGranted)
}

// in counts the requests of a member that stand in a state.
func (l *ledger) in(s *store.Store, who asker, at time.Time, state string) int {
	count := 0
	for _, a := range l.order[who] {
		if l.state(s, a, at) == state {
			count++
		}
	}
	return count
}

// unasked says why a request, or an answer to one, changes nothing here.
func (n *Node) unasked(sealed *protocol.SealedStatement) error {
	claim := sealed.Claim()
	switch claim.Kind {
	case protocol.Request, protocol.Grant, protocol.Denial:
	default:
		return nil
	}
	n.graves.mu.Lock()
	defer n.graves.mu.Unlock()
	l := &n.graves.ledger
	if claim.Kind != protocol.Request {
		if a := l.asked[claim.About]; a != nil {
			if source, known := l.source(n.cfg.Store, a); known && source != claim.Member {
				return fmt.Errorf("only who published the objects answers the request %s", claim.About.Short())
			}
		}
		return nil
	}
	if _, err := protocol.ParseDestination(claim.Text); err != nil {
		return err
	}
	who, hash := asker{claim.Agreement, claim.Member}, sealed.Hash()
	if l.asked[hash] != nil {
		return nil
	}
	if source, known := l.source(n.cfg.Store, &asked{claim: claim, topic: n.laneOf(claim)}); known && source.IsZero() {
		return errors.New("what it names has not one publisher, other than itself, whom it could ask")
	}
	count := l.open(n.cfg.Store, who, n.now())
	for other, by := range l.arriving {
		if by == who && other != hash {
			count++
		}
	}
	if count >= requestsOpen {
		return fmt.Errorf("%d requests of its member wait for an answer already", count)
	}
	l.arriving[hash] = who
	return nil
}

// laneOf returns the topic of what a request names first, as far as that is known.
func (n *Node) laneOf(claim protocol.Statement) string {
	log, _ := n.cfg.Store.Log(claim.Agreement, claim.Leaves[0].Log)
	return log.Lane.Topic
}

// grantOf returns the grant under which this member may pass an arrival on to a
// topic of another agreement at a moment: the one that holds longest.
func (n *Node) grantOf(v store.Version, to protocol.AgreementID, topic string, at time.Time) (protocol.Hash, bool) {
	n.graves.mu.Lock()
	defer n.graves.mu.Unlock()
	l := &n.graves.ledger
	leaf := protocol.Leaf{Log: v.Log.Hash(), Sequence: v.Sequence, Position: uint64(v.Position)}
	var best answer
	for _, a := range l.order[asker{v.Log.Agreement, n.cfg.Member}] {
		if a.to.Agreement != to || a.to.Topic != topic || a.topic != v.Log.Lane.Topic || !a.names(leaf) || l.state(n.cfg.Store, a, at) != requestGranted {
			continue
		}
		if got, ok := l.answer(n.cfg.Store, a); ok && got.claim.Until.After(best.claim.Until) {
			best = got
		}
	}
	return best.hash, !best.hash.IsZero()
}

func (a *asked) names(leaf protocol.Leaf) bool {
	_, ok := slices.BinarySearchFunc(a.claim.Leaves, leaf, protocol.Leaf.Compare)
	return ok
}
