package policy

import "entente/protocol"

// Strictest returns what all of some obligations demand together, of each kind the
// strictest, as the clauses that permit an object oblige together. Nil stands for
// none, in the list and as the answer. What is given is not changed; what is
// returned is not to be.
func Strictest(list ...*protocol.Obligations) *protocol.Obligations {
	var all *protocol.Obligations
	for _, o := range list {
		all = combine(all, o)
	}
	return all
}
