package redact

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"entente/protocol/stix"
)

// Config is what a Plan is made from.
type Config struct {
	Secret    [32]byte // the publisher's; whoever has it can tell what a pseudonym stands for
	Agreement string   // its id: pseudonyms and ids of two agreements cannot be linked
	Transform string   // names what the agreement asks for where the objects go; ids of two transforms differ
	Internal  Internal
	Limits    stix.Limits          // of what comes out
	Bound     func(id string) bool // some member's record binds the identity; nil: none
	Mine      func(id string) bool // the publisher's record does; nil: none
	Held      func(id string) bool // an object that this plan made in an earlier batch; nil: none
}

// Plan transforms what a publisher sends under one agreement. It is immutable, and
// safe for concurrent use where its functions are.
type Plan struct {
	cfg    Config
	keyed  keyed
	inside inside
}

// New makes a plan.
func New(cfg Config) *Plan {
	none := func(string) bool { return false }
	for _, f := range []*func(string) bool{&cfg.Bound, &cfg.Mine, &cfg.Held} {
		if *f == nil {
			*f = none
		}
	}
	return &Plan{cfg: cfg, keyed: newKeyed(cfg.Secret, cfg.Agreement, cfg.Transform), inside: cfg.Internal.ready()}
}

// ID returns the id that an object gets under the plan, if it gets another one.
func (p *Plan) ID(original string) string { return p.keyed.id(original) }

// Made reports whether the plan made an id: only it can.
func (p *Plan) Made(id string) bool { return p.keyed.own(id) }

// Item is one object of a batch, with what is to be done with it.
type Item struct {
	Object  *stix.Object
	Task    Task
	Context bool // it does not go; what it says of others, and what it is called, counts
}

// Outcome is what became of one object.
type Outcome struct {
	Object *stix.Object // what goes in its place; the same where nothing had to be done; nil where it does not go
	From   string       // id of the object that it was made from, where Object is another
	Told   []Told       // what was taken out or replaced, by thing
	Gone   Things       // with Object nil: it is itself what is to be taken out
	Why    string       // with Object nil and Gone zero: why it cannot be transformed
}

// Told counts the places of one thing.
type Told struct {
	Thing string `json:"thing"`
	Count int    `json:"count"`
}

// Batch is what became of a batch: an outcome for each item, and after them one
// for each identity of the source that also stands, without its name, where
// objects say who was attacked.
type Batch struct {
	Outcomes []Outcome
	Twins    []Outcome
}

// work is one object on its way.
type work struct {
	object  *stix.Object
	task    Task
	tree    map[string]any // content without hidden things, references as they were
	told    map[Things]int
	shorter map[string]bool
	changed bool
	hidden  bool // an identity without its name
	gone    Things
	why     string
	made    *stix.Object
}

func (w *work) goes() bool { return w.gone == 0 && w.why == "" }

// batch is one Batch at work.
type batch struct {
	plan    *Plan
	works   []*work
	byID    map[string][]*work
	twins   map[string]*work // by the id of the identity
	names   names
	senders map[string]bool
	victims map[string]bool
	sources map[string]bool // under must-not: identities that made something here
	look    Things          // of all tasks
}

// Batch transforms objects together: what they refer to follows, names that one
// hides are found in the others, and what refers to an object that goes goes too.
func (p *Plan) Batch(items []Item) Batch {
	b := &batch{plan: p, byID: map[string][]*work{}, twins: map[string]*work{}, senders: map[string]bool{}, victims: map[string]bool{}, sources: map[string]bool{}}
	for _, item := range items {
		w := &work{object: item.Object, task: item.Task, told: map[Things]int{}, shorter: map[string]bool{}}
		b.works = append(b.works, w)
		tree, err := decode(item.Object.Raw)
		if w.tree = tree; err != nil {
			w.why = "it cannot be read"
			continue
		}
		if item.Context {
			w.why = "it was not asked for"
		}
		b.look |= item.Task.all()
		b.byID[item.Object.ID] = append(b.byID[item.Object.ID], w)
	}
	b.survey()
	for _, w := range b.works {
		if w.goes() && !w.task.none() {
			b.content(w)
		}
	}
	b.settle()
	out := Batch{Outcomes: make([]Outcome, len(b.works))}
	for i, w := range b.works {
		out.Outcomes[i] = w.outcome()
	}
	for _, id := range slices.Sorted(maps.Keys(b.twins)) {
		if w := b.twins[id]; w.goes() && w.made != nil {
			out.Twins = append(out.Twins, w.outcome())
		}
	}
	return out
}

func (w *work) outcome() Outcome {
	o := Outcome{Gone: w.gone, Why: w.why}
	if w.goes() {
		o.Object = w.object
		if w.made != nil {
			o.Object, o.From = w.made, w.object.ID
		}
	}
	for i, word := range words() {
		if n := w.told[1<<i]; n > 0 {
			o.Told = append(o.Told, Told{word, n})
		}
	}
	return o
}

// survey learns from all objects what each alone does not say: who was attacked,
// who sent and who got mail, and what hidden objects are called.
func (b *batch) survey() {
	for _, w := range b.works {
		for name, v := range w.tree {
			switch {
			case w.object.Type == "email-message" && (name == "from_ref" || name == "sender_ref"):
				for _, id := range textsIn(v) {
					b.senders[id] = true
				}
			case pointsAtVictim(w.object.Type, name, w.tree):
				for _, id := range textsIn(v) {
					b.victims[id] = true
				}
			case name == "created_by_ref" && w.task.Unattributed:
				for _, id := range textsIn(v) {
					b.sources[id] = true
				}
			}
		}
	}
	for _, w := range b.works {
		if w.object.Type == "email-message" { // who got mail did not send it here
			for _, name := range []string{"to_refs", "cc_refs", "bcc_refs"} {
				for _, id := range textsIn(w.tree[name]) {
					delete(b.senders, id)
				}
			}
		}
	}
	learn := func(w *work, property string, thing Things) {
		if text, ok := w.tree[property].(string); ok {
			b.names.learn(text, thing)
		}
	}
	for _, w := range b.works {
		switch w.object.Type {
		case "identity":
			switch {
			case b.look&Source != 0 && b.mine(w.object.ID):
				learn(w, "name", Source)
			case b.look&Victims != 0 && !b.plan.cfg.Bound(w.object.ID):
				learn(w, "name", Victims)
			}
		case "user-account":
			for _, property := range []string{"account_login", "user_id", "display_name"} {
				learn(w, property, Users)
			}
		case "email-addr":
			if !b.senders[w.object.ID] {
				learn(w, "display_name", Recipients)
			}
		case "domain-name":
			if value, ok := w.tree["value"].(string); ok && !strings.Contains(value, ".") {
				b.names.learn(value, InternalNames)
			}
		}
	}
}

func (b *batch) mine(id string) bool { return b.plan.cfg.Mine(id) || b.sources[id] }

// pass readies a run over the content of an object.
func (b *batch) pass(w *work, known *names) *pass {
	return &pass{
		task: w.task, keyed: &b.plan.keyed, kind: w.object.Type, id: w.object.ID, tree: w.tree, told: w.told, shorter: w.shorter,
		find:  finder{look: w.task.all(), inside: &b.plan.inside, names: known},
		bound: b.plan.cfg.Bound, mine: b.mine,
		victim: b.victims[w.object.ID], sender: b.senders[w.object.ID], listed: true,
	}
}

// content takes out what an object itself tells. Users and hosts that it names in
// one place are then looked for in all of it.
func (b *batch) content(w *work) {
	if w.object.Kind == stix.Custom {
		w.why = fmt.Sprintf("of objects of type %s nobody here knows what they tell", w.object.Type)
		return
	}
	learned := names{more: &b.names}
	p := b.pass(w, &learned)
	p.learned = &learned
	p.run()
	if p.unsafe == "" && p.gone == 0 && len(learned.first) > 0 {
		tree, err := decode(w.object.Raw)
		if err != nil {
			w.why = "it cannot be read"
			return
		}
		w.tree, w.told, w.shorter = tree, map[Things]int{}, map[string]bool{}
		p = b.pass(w, &learned)
		p.run()
	}
	w.why, w.gone = p.unsafe, p.gone
	if w.why != "" {
		w.gone = 0
	}
	w.told, w.changed = p.told, p.count() > 0
	if before, err := decode(w.object.Raw); err == nil && !same(before, w.tree) {
		w.changed = true
	}
	w.hidden = w.object.Type == "identity" && (w.task.Unattributed && b.mine(w.object.ID) || w.task.all()&Victims != 0 && !b.plan.cfg.Bound(w.object.ID))
	if w.task.Unattributed && (w.object.Kind == stix.SDO || w.object.Kind == stix.SRO) {
		w.changed = true // its id alone would tell
	}
}

// doubt looks at what was made as a receiver will, but knowing the publisher's own
// networks: what still stands there must not go.
func (b *batch) doubt(w *work) string {
	left := remains(w.made.Raw, w.object.Type, w.made.ID, w.task, b.plan.inside, b.plan.cfg.Bound, b.mine)
	switch {
	case left.Things != 0:
		return fmt.Sprintf("some of %s could not be taken out safely", left.Things)
	case left.Why != "":
		return left.Why
	}
	return ""
}
