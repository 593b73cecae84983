package policy

import "entente/protocol/stix"

// ClosureItem is one object in the question of what a reader may see.
type ClosureItem struct {
	ID      string
	Refs    []string // ids that it refers to, from References; may repeat
	Allowed bool     // the reader may have it by itself: Read said so
}

// References returns the ids that must be readable for the object to be: all
// that it refers to, in relationships, reports and the like as well as in
// ordinary properties. Markings are no references in this sense, and neither
// is created_by_ref where exempt says that it names a party's own identity.
func References(o *stix.Object, exempt func(id string) bool) []string {
	refs := make([]string, 0, len(o.Refs)+1)
	for _, r := range o.Refs {
		refs = append(refs, r.Target)
	}
	if o.CreatedBy != "" && (exempt == nil || !exempt(o.CreatedBy)) {
		refs = append(refs, o.CreatedBy)
	}
	return refs
}

// Close decides which of the items one reader sees: those that are allowed and
// refer only to what the reader sees, among the items or outside. It is the
// largest such set, so items that refer to each other are seen together. Items
// of one id are versions: a reference is good when any of them is seen.
//
// outside reports whether the reader sees an object of that id beyond the
// items; nil means none. It is asked at most once for an id. missing names, for
// each item that is allowed and yet not visible, the references that failed. It
// is for the publisher's receipt and the local operator: a reader must not
// learn of it.
//
// Close takes time linear in the number of items and references.
func Close(items []ClosureItem, outside func(id string) bool) (visible []bool, missing [][]string) {
	g := newGraph(items, outside)
	for n := range g.alive {
		if !g.good(n) {
			g.drop(n)
		}
	}
	for len(g.dropped) > 0 {
		n := g.dropped[len(g.dropped)-1]
		g.dropped = g.dropped[:len(g.dropped)-1]
		for _, i := range g.users[g.first[n]:g.first[n+1]] {
			if !g.visible[i] {
				continue
			}
			g.visible[i] = false
			own := int(g.node[i])
			g.alive[own]--
			if !g.good(own) {
				g.drop(own)
			}
		}
	}
	return g.visible, g.missing(items)
}

// graph is what Close works on: a node for each id, and who refers to it.
type graph struct {
	number  map[string]int32 // of an id
	names   []string
	alive   []int32 // visible items of each node
	beyond  []int8  // of each node: 0 not asked, 1 seen outside, -1 not
	gone    []bool  // each node: its users were told
	node    []int32 // of each item
	first   []int32 // users of node n: users[first[n]:first[n+1]]
	users   []int32 // items
	visible []bool
	dropped []int
	outside func(id string) bool
}

func newGraph(items []ClosureItem, outside func(id string) bool) *graph {
	refs := 0
	for i := range items {
		if items[i].Allowed {
			refs += len(items[i].Refs)
		}
	}
	g := &graph{
		number: make(map[string]int32, len(items)), node: make([]int32, len(items)),
		visible: make([]bool, len(items)), outside: outside,
	}
	for i := range items {
		n := g.of(items[i].ID)
		g.node[i] = n
		if items[i].Allowed {
			g.visible[i] = true
			g.alive[n]++
		}
	}
	g.invert(items, g.targets(items, refs))
	g.beyond, g.gone = make([]int8, len(g.names)), make([]bool, len(g.names))
	return g
}

// targets returns the node of each reference, in order. Neighbours often refer
// to the same thing at the same place (their editor, the report's actor), which
// saves a look into a map that is larger than any processor cache.
func (g *graph) targets(items []ClosureItem, refs int) []int32 {
	var names [4]string
	var nodes [4]int32
	targets := make([]int32, 0, refs)
	for i := range items {
		if !items[i].Allowed {
			continue
		}
		for k, ref := range items[i].Refs {
			k %= len(names)
			if ref != names[k] || ref == "" {
				names[k], nodes[k] = ref, g.of(ref)
			}
			targets = append(targets, nodes[k])
		}
	}
	return targets
}

// of returns the node of an id.
func (g *graph) of(id string) int32 {
	n, ok := g.number[id]
	if !ok {
		n = int32(len(g.names))
		g.number[id] = n
		g.names = append(g.names, id)
		g.alive = append(g.alive, 0)
	}
	return n
}

// invert turns the targets of the items, in order, into the users of the nodes.
func (g *graph) invert(items []ClosureItem, targets []int32) {
	g.first = make([]int32, len(g.names)+1)
	for _, t := range targets {
		g.first[t+1]++
	}
	for n := range g.names {
		g.first[n+1] += g.first[n]
	}
	at := append([]int32(nil), g.first...)
	g.users = make([]int32, len(targets))
	k := 0
	for i := range items {
		if !items[i].Allowed {
			continue
		}
		for range items[i].Refs {
			g.users[at[targets[k]]] = int32(i)
			at[targets[k]]++
			k++
		}
	}
}

// good reports whether a reference to the node holds.
func (g *graph) good(n int) bool {
	if g.alive[n] > 0 {
		return true
	}
	if g.beyond[n] == 0 {
		g.beyond[n] = -1
		used := g.first[n] < g.first[n+1]
		if used && g.outside != nil && g.outside(g.names[n]) {
			g.beyond[n] = 1
		}
	}
	return g.beyond[n] == 1
}

// drop puts a node on the list of those whose users must go.
func (g *graph) drop(n int) {
	if !g.gone[n] {
		g.gone[n] = true
		g.dropped = append(g.dropped, n)
	}
}

// missing names the failed references of what is allowed and not visible.
func (g *graph) missing(items []ClosureItem) [][]string {
	missing := make([][]string, len(items))
	for i := range items {
		if !items[i].Allowed || g.visible[i] {
			continue
		}
		for _, ref := range items[i].Refs {
			if !g.good(int(g.number[ref])) {
				missing[i] = append(missing[i], ref)
			}
		}
	}
	return missing
}

// Gather adds to items what they refer to, and what that refers to, as far as
// resolve knows it: resolve returns the versions of an id with the reader's
// decision for each, none where there is none. It stops at limit items in all;
// what was not gathered then fails every reference to it, which is the narrower
// answer, and complete is false. Ids among the items are not resolved: whoever
// has some versions of an id in the set has all that count.
func Gather(items []ClosureItem, resolve func(id string) []ClosureItem, limit int) (all []ClosureItem, complete bool) {
	known := make(map[string]bool, 2*len(items))
	for i := range items {
		known[items[i].ID] = true
	}
	all = append(make([]ClosureItem, 0, 2*len(items)), items...)
	for i := 0; i < len(all); i++ {
		if !all[i].Allowed {
			continue
		}
		for _, ref := range all[i].Refs {
			if known[ref] {
				continue
			}
			if len(all) >= limit {
				return all, false
			}
			known[ref] = true
			all = append(all, resolve(ref)...)
		}
	}
	return all, true
}
