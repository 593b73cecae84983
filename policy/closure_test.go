package policy

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"entente/protocol/stix"
)

func ids(items []ClosureItem, visible []bool) []string {
	var list []string
	for i, v := range visible {
		if v {
			list = append(list, items[i].ID)
		}
	}
	return list
}

func TestReferences(t *testing.T) {
	o := &stix.Object{CreatedBy: "identity--1", Refs: []stix.Ref{{Property: "source_ref", Target: "tool--1"}, {Property: "object_refs[0]", Target: "tool--2", Embedded: true}}}
	party := func(id string) bool { return id == "identity--1" }
	if got, want := References(o, party), []string{"tool--1", "tool--2"}; !slices.Equal(got, want) {
		t.Errorf("created by a party: %v, want %v", got, want)
	}
	for _, exempt := range []func(string) bool{nil, func(string) bool { return false }} {
		if got, want := References(o, exempt), []string{"tool--1", "tool--2", "identity--1"}; !slices.Equal(got, want) {
			t.Errorf("created by another: %v, want %v", got, want)
		}
	}
	if got := References(&stix.Object{}, nil); len(got) != 0 {
		t.Errorf("no references: %v", got)
	}
}

func TestClose(t *testing.T) {
	outside := func(id string) bool { return id == "far" }
	for _, tc := range []struct {
		name    string
		items   []ClosureItem
		visible []string
		missing [][]string
	}{
		{"none", nil, nil, [][]string{}},
		{"alone", []ClosureItem{{"a", nil, true}}, []string{"a"}, [][]string{nil}},
		{"not allowed", []ClosureItem{{"a", []string{"x"}, false}}, nil, [][]string{nil}},
		{"outside", []ClosureItem{{"a", []string{"far"}, true}}, []string{"a"}, [][]string{nil}},
		{"nothing there", []ClosureItem{{"a", []string{"x", "far", "y"}, true}}, nil, [][]string{{"x", "y"}}},
		{"itself", []ClosureItem{{"a", []string{"a"}, true}}, []string{"a"}, [][]string{nil}},
		{"each other", []ClosureItem{{"a", []string{"b"}, true}, {"b", []string{"a"}, true}}, []string{"a", "b"}, [][]string{nil, nil}},
		{"each other, one with a hole", []ClosureItem{{"a", []string{"b"}, true}, {"b", []string{"a", "x"}, true}}, nil, [][]string{{"b"}, {"a", "x"}}},
		{"chain to a withheld one", []ClosureItem{{"a", []string{"b"}, true}, {"b", []string{"c"}, true}, {"c", nil, false}, {"d", nil, true}},
			[]string{"d"}, [][]string{{"b"}, {"c"}, nil, nil}},
		{"one version withheld", []ClosureItem{{"a", []string{"b"}, true}, {"b", nil, false}, {"b", nil, true}}, []string{"a", "b"}, [][]string{nil, nil, nil}},
		{"one version with a hole", []ClosureItem{{"a", []string{"b"}, true}, {"b", nil, true}, {"b", []string{"x"}, true}}, []string{"a", "b"}, [][]string{nil, nil, {"x"}}},
		{"withheld here, seen outside", []ClosureItem{{"a", []string{"far"}, true}, {"far", nil, false}}, []string{"a"}, [][]string{nil, nil}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			visible, missing := Close(tc.items, outside)
			if diff := cmp.Diff(tc.visible, ids(tc.items, visible)); diff != "" {
				t.Errorf("visible (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.missing, missing); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("no outside", func(t *testing.T) {
		items := []ClosureItem{{"a", []string{"far"}, true}, {"b", nil, true}}
		visible, missing := Close(items, nil)
		if visible[0] || !visible[1] || len(missing[0]) != 1 {
			t.Errorf("got %v %v", visible, missing)
		}
	})
}

// naiveClose takes away what has a bad reference until nothing changes.
func naiveClose(items []ClosureItem, outside func(string) bool) []bool {
	visible := make([]bool, len(items))
	for i := range items {
		visible[i] = items[i].Allowed
	}
	for changed := true; changed; {
		changed = false
		for i := range items {
			for _, ref := range items[i].Refs {
				good := outside(ref)
				for k := range items {
					good = good || visible[k] && items[k].ID == ref
				}
				if visible[i] && !good {
					visible[i], changed = false, true
				}
			}
		}
	}
	return visible
}

// drawItems draws objects that refer to each other, to things outside ("o…")
// and to nothing.
func drawItems(t *rapid.T, distinct bool) []ClosureItem {
	n := rapid.IntRange(0, 14).Draw(t, "items")
	items := make([]ClosureItem, n)
	for i := range items {
		id := fmt.Sprint("i", i)
		if !distinct {
			id = fmt.Sprint("i", rapid.IntRange(0, n).Draw(t, "id"))
		}
		refs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			if rapid.IntRange(0, 9).Draw(t, "far") == 0 {
				return rapid.SampledFrom([]string{"o1", "o2", "x"}).Draw(t, "beyond")
			}
			return fmt.Sprint("i", rapid.IntRange(0, n).Draw(t, "target"))
		}), 0, 3).Draw(t, "refs")
		items[i] = ClosureItem{ID: id, Refs: refs, Allowed: rapid.IntRange(0, 4).Draw(t, "allowed") > 0}
	}
	return items
}

func beyond(id string) bool { return id == "o1" || id == "o2" }

func TestCloseIsNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := drawItems(t, false)
		visible, missing := Close(items, beyond)
		if want := naiveClose(items, beyond); !slices.Equal(visible, want) {
			t.Fatalf("%v\n got %v\nwant %v", items, visible, want)
		}
		for i := range items {
			if (len(missing[i]) > 0) != (items[i].Allowed && !visible[i]) {
				t.Fatalf("%v: item %d misses %v, visible %v", items, i, missing[i], visible[i])
			}
		}
	})
}

// TestWithheldDoesNotInterfere holds Close and Holding to non-interference: two
// worlds that differ only in objects which the reader may not have show the
// reader the same, in the same order.
func TestWithheldDoesNotInterfere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		with := drawItems(t, true)
		var without []ClosureItem
		for _, item := range with {
			if item.Allowed {
				without = append(without, item)
			}
		}
		a, _ := Close(with, beyond)
		b, _ := Close(without, beyond)
		if !slices.Equal(ids(with, a), ids(without, b)) {
			t.Fatalf("%v: %v with what is withheld, %v without", with, ids(with, a), ids(without, b))
		}
		limit := rapid.IntRange(1, 60).Draw(t, "limit")
		if x, y := stream(t, with, limit, nil), stream(t, without, limit, nil); !slices.Equal(x, y) {
			t.Fatalf("%v: the stream is %v with what is withheld, %v without", with, x, y)
		}
	})
}

// stream feeds items to a Holding and returns what comes out, in order. check
// is called after each with all that came out.
func stream(t interface{ Fatalf(string, ...any) }, items []ClosureItem, limit int, check func(n int, seen map[string]bool)) []string {
	seen := map[string]bool{}
	var out []string
	h := NewHolding(limit, func(id string) bool { return seen[id] || beyond(id) })
	for n, item := range items {
		released, _ := h.Add(item)
		for _, r := range released {
			seen[r.ID] = true
			out = append(out, r.ID)
		}
		size := 0
		for _, e := range h.queue {
			if !e.out {
				size += 1 + len(e.item.Refs)
			}
		}
		if size != h.size || size > limit || len(h.queue) > 2*h.count+16 {
			t.Fatalf("holds %d, counts %d, limit %d, queue of %d", size, h.size, limit, len(h.queue))
		}
		if check != nil {
			check(n, seen)
		}
	}
	return out
}

// TestHoldingIsClose holds the stream, after every arrival, to Close over what
// has arrived.
func TestHoldingIsClose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := drawItems(t, true)
		stream(t, items, 1<<20, func(n int, seen map[string]bool) {
			want := naiveClose(items[:n+1], beyond)
			for i := range want {
				if want[i] != seen[items[i].ID] {
					t.Fatalf("%v\nafter %d: item %d visible %v, streamed %v", items, n, i, want[i], seen[items[i].ID])
				}
			}
		})
	})
}

func TestHoldingEvictsAndHearsOfArrivals(t *testing.T) {
	seen := map[string]bool{}
	h := NewHolding(6, func(id string) bool { return seen[id] })
	add := func(id string, refs ...string) string {
		released, evicted := h.Add(ClosureItem{ID: id, Refs: refs, Allowed: true})
		text := ""
		for _, r := range released {
			seen[r.ID] = true
			text += "+" + r.ID
		}
		for _, e := range evicted {
			text += "-" + e.ID
		}
		return text
	}
	for i, step := range []struct{ got, want string }{
		{add("a", "x"), ""},
		{add("b", "a"), ""},             // waits for a
		{add("a", "y"), ""},             // a newer version takes the place of the older
		{add("c", "z"), ""},             // now six in all
		{add("d", "a", "a"), "-b-a"},    // three more: the two oldest go
		{fmt.Sprint(h.Len()), "2"},      // c and d
		{add("z"), "+c+z"},              // in order of arrival
		{add("a", "d"), "+d+a"},         // a cycle closes
		{fmt.Sprint(len(h.nodes)), "0"}, // nothing is left behind
		{add("e", "far"), ""},
	} {
		if step.got != step.want {
			t.Errorf("step %d: %q, want %q", i, step.got, step.want)
		}
	}
	seen["far"] = true
	if got := h.Arrived("far"); len(got) != 1 || got[0].ID != "e" || h.Len() != 0 {
		t.Errorf("told of an arrival: released %v, %d held", got, h.Len())
	}
	if got := h.Arrived("far"); got != nil {
		t.Errorf("told twice: %v", got)
	}
}

func TestGather(t *testing.T) {
	store := map[string][]ClosureItem{
		"b": {{"b", []string{"c"}, true}, {"b", []string{"hidden"}, false}},
		"c": {{"c", []string{"a"}, true}},
	}
	asked := map[string]int{}
	resolve := func(id string) []ClosureItem { asked[id]++; return store[id] }
	all, complete := Gather([]ClosureItem{{"a", []string{"b", "b"}, true}, {"n", []string{"none"}, false}}, resolve, 100)
	visible, _ := Close(all, nil)
	if diff := cmp.Diff([]string{"a", "b", "c"}, ids(all, visible)); diff != "" || !complete {
		t.Errorf("complete %v, visible (-want +got):\n%s", complete, diff)
	}
	if diff := cmp.Diff(map[string]int{"b": 1, "c": 1}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	all, complete = Gather([]ClosureItem{{"a", []string{"b"}, true}}, resolve, 2)
	if visible, _ := Close(all, nil); complete || visible[0] {
		t.Errorf("past the limit: complete %v, visible %v", complete, visible)
	}
}
