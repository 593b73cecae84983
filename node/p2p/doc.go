// Package p2p is the wire: hosts, gossip, sync and direct streams, gating. It
// is the only package that knows libp2p.
//
// A Host serves either private or public agreements. All it does runs over one
// libp2p protocol, so that identify, which tells every protocol to every
// connected peer, tells nothing of agreements. The first frame of each stream
// is a tag (tag.go): a MAC under a key that only those who hold the agreement
// can compute. A tag that fits no agreement of the remote peer's ends the
// stream without a word, as any other failure does.
//
// Each agreement has its own PubSub, which sees a view of the host (view.go)
// that holds the current parties' nodes and nobody else. What gossip loses or
// never had, sync brings: pull sessions (pull.go, serve.go) that the scheduler
// (sync.go) starts on connect, when something was dropped, when asked to, and
// now and then with a random peer. Documents (documents.go) travel on their own
// kind of stream, for which older versions' keys still open the door: that is
// how a node that was away finds the version in force.
//
// Who is in no roster yet comes in by an invite (guests.go): while one is open a few
// strangers may connect, and all that one of them can do is open a stream tagged with
// what only who holds the invite can compute.
//
// What a Host joins and whom it admits is one immutable roster (roster.go) that
// Update replaces as a whole.
package p2p
