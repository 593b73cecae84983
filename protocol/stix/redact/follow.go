package redact

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"

	"entente/protocol/stix"
)

// same reports whether two trees are written alike.
func same(a, b map[string]any) bool {
	x, err1 := encode(a)
	y, err2 := encode(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

// settle gives the objects their ids, has references follow, and drops what is no
// valid object without what went. It ends as each round but the last drops one
// object at least.
func (b *batch) settle() {
	for _, w := range b.works {
		if versioned := w.object.Kind == stix.SDO || w.object.Kind == stix.SRO; versioned && w.goes() && !w.changed && !b.plan.Made(w.object.ID) && b.plan.cfg.Held(b.plan.ID(w.object.ID)) {
			w.changed = true // an earlier version goes by that id
		}
	}
	for {
		b.spread()
		dropped := false
		for _, w := range b.all() {
			if w.goes() {
				dropped = b.finish(w) || dropped
			}
		}
		if !dropped {
			return
		}
	}
}

// all returns the objects and the twins of identities.
func (b *batch) all() []*work {
	out := slices.Clone(b.works)
	for _, id := range slices.Sorted(maps.Keys(b.twins)) {
		out = append(out, b.twins[id])
	}
	return out
}

// spread marks what refers to something under another id as changed, until nothing
// changes any more.
func (b *batch) spread() {
	referrers := map[string][]*work{} // and other versions of the same
	var queue []*work
	for _, w := range b.works {
		if !w.goes() {
			if w.gone != 0 {
				queue = append(queue, w)
			}
			continue
		}
		moved := w.changed
		referrers[w.object.ID] = append(referrers[w.object.ID], w)
		b.follow(w, func(from, to string, keep bool) {
			if moved = moved || !keep || from != to; keep {
				referrers[from] = append(referrers[from], w)
			}
		})
		if w.changed = moved; moved {
			queue = append(queue, w)
		}
	}
	for len(queue) > 0 {
		w := queue[0]
		queue = queue[1:]
		for _, r := range referrers[w.object.ID] {
			if !r.changed && r.goes() {
				r.changed = true
				queue = append(queue, r)
			}
		}
	}
}

// newID returns the id that an object goes by.
func (b *batch) newID(w *work) string {
	id := w.object.ID
	exempt := w.object.Kind == stix.Meta || b.plan.Made(id) || w.object.Type == "identity" && b.plan.cfg.Bound(id) && !w.hidden
	if exempt || !w.changed {
		return id
	}
	return b.plan.ID(id)
}

// follow calls visit for each reference of an object: where it leads and where it
// shall lead, or that it goes.
func (b *batch) follow(w *work, visit func(from, to string, keep bool)) map[string]any {
	return mapRefs(w.tree, func(property, id string) (string, bool) {
		to, keep := b.lead(w, property, id)
		if visit != nil {
			visit(id, to, keep)
		}
		return to, keep
	})
}

// lead says where a reference shall lead.
func (b *batch) lead(w *work, property, id string) (string, bool) {
	if strings.HasPrefix(id, "marking-definition--") || strings.HasPrefix(id, "extension-definition--") {
		return id, true
	}
	if !strings.Contains(id, "--") {
		return id, true // within observed-data
	}
	target := b.version(id)
	all := w.task.all()
	hide := all&Victims != 0 && pointsAtVictim(w.object.Type, property, w.tree) || all&Source != 0 && b.mine(id)
	if hide && strings.HasPrefix(id, "identity--") && !b.plan.Made(id) {
		if target == nil || !target.hidden {
			b.twin(w, target, id)
			return b.plan.ID(id), true
		}
	}
	switch {
	case target == nil:
		if other := b.plan.ID(id); !b.plan.cfg.Bound(id) && !b.plan.Made(id) && b.plan.cfg.Held(other) {
			return other, true
		}
		return id, true
	case target.gone != 0:
		return id, false
	case !target.goes():
		return id, true // it is withheld with what it refers to
	}
	return b.newID(target), true
}

// version returns the object of an id, of several versions one that goes; or nil.
func (b *batch) version(id string) *work {
	list := b.byID[id]
	for _, w := range list {
		if w.goes() {
			return w
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// twin makes the anonymous one of an identity that itself goes with its name.
func (b *batch) twin(w, target *work, id string) {
	if target == nil || b.twins[id] != nil {
		return
	}
	tree, err := decode(target.object.Raw)
	if err != nil {
		return
	}
	t := &work{object: target.object, task: w.task, tree: tree, told: map[Things]int{}, shorter: map[string]bool{}, changed: true, hidden: true}
	p := b.pass(t, &b.names)
	p.bound = func(string) bool { return false }
	p.run()
	// Two objects of one moment would be known for one: the twin says the day alone.
	for _, name := range []string{"created", "modified"} {
		if at, ok := tree[name].(string); ok && len(at) > len("2006-01-02T") {
			tree[name] = at[:len("2006-01-02T")] + "00:00:00.000Z"
		}
	}
	t.why, t.gone = p.unsafe, p.gone
	b.twins[id] = t
}

// finish makes the object that goes, and reports whether it had to be dropped.
func (b *batch) finish(w *work) (dropped bool) {
	if !w.changed {
		w.made = nil
		return false
	}
	tree := b.follow(w, nil)
	tree["id"] = b.newID(w)
	w.granular(tree)
	raw, err := encode(tree)
	if err == nil {
		w.made, err = stix.Parse(raw, b.plan.cfg.Limits)
	}
	if err != nil {
		w.made = nil
		// Without what it refers to, or without what had to go, nothing is left.
		if w.gone = w.found(); w.gone == 0 {
			w.gone = w.task.all()
		}
		if w.gone == 0 {
			w.gone = b.look
		}
		return true
	}
	if before, err := decode(w.object.Raw); err == nil && same(before, tree) {
		w.made = nil // it went by that id, and tells nothing
		return false
	}
	if w.why = b.doubt(w); w.why != "" {
		w.made = nil
		return true
	}
	return false
}

func (w *work) found() Things {
	var all Things
	for t := range w.told {
		all |= t
	}
	return all
}

// mapRefs returns a copy of a tree in which every reference was asked for. Lists
// that lose all go, and so do properties.
func mapRefs(tree map[string]any, lead func(property, id string) (string, bool)) map[string]any {
	out := make(map[string]any, len(tree))
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		v := tree[name]
		if !reference(name) || name == "object_marking_refs" {
			out[name] = innerRefs(v, lead)
			continue
		}
		switch v := v.(type) {
		case string:
			if to, keep := lead(name, v); keep {
				out[name] = to
			}
		case []any:
			list := make([]any, 0, len(v))
			for _, e := range v {
				id, ok := e.(string)
				if !ok {
					list = append(list, e)
					continue
				}
				if to, keep := lead(name, id); keep && !slices.Contains(list, any(to)) {
					list = append(list, to)
				}
			}
			if len(list) > 0 {
				out[name] = list
			}
		default:
			out[name] = v
		}
	}
	return out
}

func innerRefs(v any, lead func(property, id string) (string, bool)) any {
	switch v := v.(type) {
	case map[string]any:
		return mapRefs(v, lead)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = innerRefs(e, lead)
		}
		return out
	}
	return v
}

// granular leaves of granular markings what still selects something. Where a list
// lost elements, the marking of one of them becomes that of all.
func (w *work) granular(tree map[string]any) {
	list, _ := tree["granular_markings"].([]any)
	if list == nil {
		return
	}
	out := make([]any, 0, len(list))
	for _, e := range list {
		entry, _ := e.(map[string]any)
		if entry == nil {
			continue
		}
		var selectors []any
		for _, text := range textsIn(entry["selectors"]) {
			top, _, _ := strings.Cut(text, ".")
			if was, ok := w.tree[top].([]any); w.shorter[top] || ok && len(was) != length(tree[top]) {
				text = top
			}
			if selects(tree, text) && !slices.Contains(selectors, any(text)) {
				selectors = append(selectors, text)
			}
		}
		if len(selectors) > 0 {
			kept := maps.Clone(entry)
			kept["selectors"] = selectors
			out = append(out, kept)
		}
	}
	if tree["granular_markings"] = out; len(out) == 0 {
		delete(tree, "granular_markings")
	}
}

func length(v any) int {
	list, _ := v.([]any)
	return len(list)
}

// selects reports whether a selector (STIX 2.1 section 7.2.3.1) leads to something.
func selects(tree map[string]any, selector string) bool {
	var at any = tree
	for step := range strings.SplitSeq(selector, ".") {
		switch v := at.(type) {
		case map[string]any:
			next, ok := v[step]
			if !ok {
				return false
			}
			at = next
		case []any:
			n, err := strconv.Atoi(strings.Trim(step, "[]"))
			if err != nil || n < 0 || n >= len(v) {
				return false
			}
			at = v[n]
		default:
			return false
		}
	}
	return true
}
