package redact

import "entente/protocol/stix"

// Left is what still stands in an object that should not.
type Left struct {
	Things Things
	Why    string // where it cannot be told: the object has what nobody can look into
}

// None reports whether nothing was found.
func (l Left) None() bool { return l.Things == 0 && l.Why == "" }

// Remains looks for what a task names in one object, as somebody must who got it
// and did not make it. It finds what has a form of its own and what stands where
// nothing else can stand; what only the publisher can know (its own networks, the
// names of victims in texts) it cannot find. bound and mine are as in Config, mine
// for the object's publisher; nil: none. The object is not changed.
func Remains(o *stix.Object, t Task, bound, mine func(id string) bool) Left {
	if t.none() {
		return Left{}
	}
	if o.Kind == stix.Custom {
		return Left{Why: "an object of type " + o.Type + ", of which nobody here knows what it tells"}
	}
	none := func(string) bool { return false }
	if bound == nil {
		bound = none
	}
	if mine == nil {
		mine = none
	}
	return remains(o.Raw, o.Type, o.ID, t, Internal{}.ready(), bound, mine)
}

func remains(raw []byte, kind, id string, t Task, in inside, bound, mine func(string) bool) Left {
	tree, err := decode(raw)
	if err != nil {
		return Left{Why: "it cannot be read"}
	}
	p := &pass{
		task: t, kind: kind, id: id, tree: tree, told: map[Things]int{}, shorter: map[string]bool{}, bound: bound, mine: mine,
		find: finder{look: t.all(), inside: &in},
	}
	p.run()
	return Left{Things: p.found() | p.gone, Why: p.unsafe}
}
