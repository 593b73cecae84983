package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"entente/protocol"
)

// combine returns what both demand: of each kind of obligation the strictest. It
// returns a where b adds nothing to it. Neither is changed; nil is none.
func combine(a, b *protocol.Obligations) *protocol.Obligations {
	if b == nil || a == b {
		return a
	}
	none := a == nil
	switch {
	case none:
		a = &protocol.Obligations{}
	case !adds(a, b):
		return a
	}
	o := protocol.Obligations{
		Redact:      ordered(protocol.RedactionThings(), a.Redact, b.Redact),
		Retain:      shorter(a.Retain, b.Retain),
		Review:      shorter(a.Review, b.Review),
		Attribution: max(a.Attribution, b.Attribution),
		Onward:      narrower(a.Onward, b.Onward),
		Actions:     both(a.Actions, b.Actions),
		AtRest:      a.AtRest || b.AtRest,
		Notify:      max(a.Notify, b.Notify),
		Licence:     lines(a.Licence, b.Licence),
		Embargo:     a.Embargo,
	}
	for _, thing := range ordered(protocol.RedactionThings(), a.Pseudonymise, b.Pseudonymise) {
		if !slices.Contains(o.Redact, thing) {
			o.Pseudonymise = append(o.Pseudonymise, thing)
		}
	}
	if b.Embargo.After(a.Embargo) {
		o.Embargo = b.Embargo
	}
	if none && !adds(a, &o) {
		return nil
	}
	return &o
}

// adds reports whether b demands anything that a, which combine made, does not.
func adds(a, b *protocol.Obligations) bool {
	within := func(list []string, in ...[]string) bool {
		return !slices.ContainsFunc(list, func(w string) bool {
			return !slices.ContainsFunc(in, func(l []string) bool { return slices.Contains(l, w) })
		})
	}
	switch {
	case !within(b.Redact, a.Redact), !within(b.Pseudonymise, a.Redact, a.Pseudonymise),
		shorter(a.Retain, b.Retain) != a.Retain, shorter(a.Review, b.Review) != a.Review,
		b.Attribution > a.Attribution, narrower(a.Onward, b.Onward) != a.Onward, b.AtRest && !a.AtRest, b.Notify > a.Notify,
		b.Embargo.After(a.Embargo):
		return true
	case len(b.Actions) > 0 && (len(a.Actions) == 0 || a.Actions[0] != "none" && !within(a.Actions, b.Actions)):
		return true
	}
	return b.Licence != "" && lines(a.Licence, b.Licence) != a.Licence
}

// ordered returns the words that are in one of two lists, in the order of their
// vocabulary; nil where there are none.
func ordered(vocabulary, a, b []string) []string {
	var list []string
	for _, w := range vocabulary {
		if slices.Contains(a, w) || slices.Contains(b, w) {
			list = append(list, w)
		}
	}
	return list
}

// both returns the actions that two lists permit. An empty list permits all; where
// they have nothing in common none is permitted.
func both(a, b []string) []string {
	known, list := protocol.PermittedActions(), []string(nil)
	switch {
	case len(a) == 0:
		return ordered(known, b, nil)
	case len(b) == 0:
		return ordered(known, a, nil)
	}
	for _, w := range known {
		if slices.Contains(a, w) && slices.Contains(b, w) {
			list = append(list, w)
		}
	}
	if list == nil {
		list = []string{"none"}
	}
	return list
}

// shorter is Period.Shorter, whose ties go to the smaller unit: a month may have
// fewer than 30 days, but who wrote days counts days.
func shorter(a, b protocol.Period) protocol.Period {
	short := a.Shorter(b)
	if other := b.Shorter(a); other != short && other.Unit < short.Unit {
		return other
	}
	return short
}

// narrower returns the narrower of two words for passing on; none is widest.
func narrower(a, b protocol.Onward) protocol.Onward {
	if a == protocol.OnwardOpen || b == protocol.OnwardOpen {
		return max(a, b)
	}
	return min(a, b)
}

// lines joins licences, each on a line of its own and once.
func lines(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	list := slices.Concat(strings.Split(a, "\n"), strings.Split(b, "\n"))
	slices.Sort(list)
	return strings.Join(slices.Compact(list), "\n")
}

// pool keeps one copy of each combination of obligations, so that decisions with
// the same obligations are equal and joining two costs a look-up. Combinations
// come from documents only; a bound keeps hostile ones from filling memory, past
// which equal ones may be apart.
type pool struct {
	mu     sync.RWMutex
	known  map[string]*protocol.Obligations
	joined map[[2]*protocol.Obligations]*protocol.Obligations
}

const mostDuties = 1 << 12

func newPool() *pool {
	return &pool{known: map[string]*protocol.Obligations{}, joined: map[[2]*protocol.Obligations]*protocol.Obligations{}}
}

// keep returns the copy of the pool of some obligations.
func (p *pool) keep(o *protocol.Obligations) *protocol.Obligations {
	if o == nil {
		return nil
	}
	plain := *o
	plain.Licence = strconv.Quote(o.Licence)
	key := fmt.Sprint(plain)
	p.mu.Lock()
	defer p.mu.Unlock()
	if held := p.known[key]; held != nil {
		return held
	}
	if len(p.known) < mostDuties {
		p.known[key] = o
	}
	return o
}

// join combines two obligations of a pool.
func (p *pool) join(a, b *protocol.Obligations) *protocol.Obligations {
	if b == nil || a == b {
		return a
	}
	if a == nil {
		return b
	}
	return p.demand(a, b)
}

// demand combines obligations of a pool, or none, with what a clause demands, whose
// address stands for it. A class that is new asks much the same as others did.
func (p *pool) demand(a, b *protocol.Obligations) *protocol.Obligations {
	pair := [2]*protocol.Obligations{a, b}
	p.mu.RLock()
	held, ok := p.joined[pair]
	p.mu.RUnlock()
	if ok {
		return held
	}
	o := p.keep(combine(a, b))
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.joined) < mostDuties {
		p.joined[pair] = o
	}
	return o
}

// oblige adds to each permission what all clauses demand that permit it. Readers
// are taken apart only where a clause demands something new of some of them.
func (r *Rules) oblige(a *answers, t *topic, q *question, p *present) {
	type group struct {
		of     set
		duties *protocol.Obligations
	}
	groups := []group{{of: slices.Clone(a.may)}}
	n := len(r.readers)
	inside := newSet(n)
	for _, cl := range t.permits {
		if cl.source.Then == nil || !cl.speaks(q, t.columns[q.column], n) || !cl.serves(q) {
			continue
		}
		named := cl.names(p)
		for i, count := 0, len(groups); i < count; i++ {
			g := &groups[i]
			copy(inside, g.of)
			inside.intersect(named)
			if inside.next(0) < 0 {
				continue
			}
			duties := r.duties.demand(g.duties, cl.source.Then)
			switch {
			case duties == g.duties:
			case slices.Equal(inside, g.of):
				g.duties = duties
			default:
				g.of.subtract(named)
				groups = append(groups, group{slices.Clone(inside), duties})
			}
		}
	}
	for _, g := range groups {
		duties := g.duties
		if duties == nil {
			continue
		}
		numbers := map[uint16]uint16{}
		for i := g.of.next(0); i >= 0; i = g.of.next(i + 1) {
			number, ok := numbers[a.c.of[i]]
			if !ok {
				d := a.c.decisions[a.c.of[i]]
				d.Duties = duties
				number = uint16(a.add(d))
				numbers[a.c.of[i]] = number
			}
			a.c.of[i] = number
		}
	}
}

// DutiesText says in one line what obligations demand; "" for none.
func DutiesText(o *protocol.Obligations) string {
	if o == nil {
		return ""
	}
	var list []string
	say := func(asked bool, words ...string) {
		if asked {
			list = append(list, strings.Join(words, " "))
		}
	}
	say(len(o.Redact) > 0, "without", strings.Join(o.Redact, ", "))
	say(len(o.Pseudonymise) > 0, "with pseudonyms for", strings.Join(o.Pseudonymise, ", "))
	say(!o.Retain.IsZero(), "kept at most", o.Retain.String())
	say(!o.Review.IsZero(), "reviewed after", o.Review.String())
	say(o.Attribution != protocol.AttributionFree, "the source", strings.ReplaceAll(o.Attribution.String(), "-", " "), "be named")
	say(o.Onward != protocol.OnwardOpen, "onward", o.Onward.String())
	say(len(o.Actions) > 0, "actions", strings.Join(o.Actions, ", "))
	say(o.AtRest, "on encrypted disks")
	say(o.Notify == protocol.NotifyMay, "those concerned may be told")
	say(o.Notify == protocol.NotifyMustNot, "those concerned must not be told")
	say(o.Licence != "", "licence", strings.ReplaceAll(o.Licence, "\n", " and "))
	say(!o.Embargo.IsZero(), "not passed on before", day(o.Embargo))
	return strings.Join(list, "; ")
}
