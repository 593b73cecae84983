package node

import (
	"slices"
	"strings"
	"time"

	"entente/policy"
	"entente/protocol"
	"entente/store"
)

// What a clause obliges to binds people and their tools as well as nodes, so every
// answer that bears an object says how it is to be handled.

// Handling is what those who have an object may and must do with it.
type Handling struct {
	Marking string          `json:"marking"` // the highest that counts; "TLP:AMBER"
	Terms   Terms           `json:"terms"`   // of all below the strictest of each kind
	Under   []HandlingUnder `json:"under"`   // each way by which the object came and may be read
}

// HandlingUnder is how an object is to be handled by what one agreement says.
type HandlingUnder struct {
	Agreement string    `json:"agreement"`
	Version   uint64    `json:"version"`
	Clause    string    `json:"clause,omitempty"` // the first that permits; the terms are those of all that do
	Topic     string    `json:"topic"`
	Author    string    `json:"author"`       // handle of who published it there
	Own       bool      `json:"own,omitzero"` // this member did, and owes nothing for it
	Marking   string    `json:"marking"`
	Ends      time.Time `json:"ends,omitzero"` // when the agreement or its legal basis ends; absent: it is not in force here
	Terms     Terms     `json:"terms"`
}

// Terms are what clauses oblige the holder of an object to. What is absent is left
// to the marking and the agreement's prose.
type Terms struct {
	Actions     []string  `json:"actions,omitempty"`  // what may be done with it (FIRST IEP 2.0); absent: anything
	Licences    []string  `json:"licences,omitempty"` // they go with every copy
	Attribution string    `json:"attribution"`        // may, must, must-not: whether the source is named
	Sources     []string  `json:"sources,omitempty"`  // names of those who must be named
	Onward      string    `json:"onward,omitempty"`   // never, ask, clients, any: to whom it may be passed on
	Purposes    []string  `json:"purposes,omitempty"` // what this member's people may read it for; absent: anything
	Notify      string    `json:"notify,omitempty"`   // may, must-not: whether people tell those whom it concerns
	Encrypt     string    `json:"encrypt,omitempty"`  // at-rest: on encrypted disks only
	KeepUntil   time.Time `json:"keep_until,omitzero"`
	ReviewBy    time.Time `json:"review_by,omitzero"`
	Embargo     time.Time `json:"embargo,omitzero"` // until then neither passed on nor acted on visibly
}

// way is one way by which an object came that may be read.
type way struct {
	log      protocol.LogID
	added    int64
	subject  policy.Subject
	decision policy.Decision
	stored   func() (store.Version, error)
}

// custom is what the clauses of an agreement may ask that not every object's
// handling has to be asked about.
type custom struct {
	keeps    bool // some clause sets a ceiling, or wants a review
	purposes bool // some clause, or a local rule, names purposes
	ends     time.Time
	lastDay  time.Time
}

// customs returns what an agreement may ask, looked up once in a reading.
func (r *reading) customs(g *governing) *custom {
	if c := r.custom[g]; c != nil {
		return c
	}
	c := &custom{keeps: g.retains() || g.reviews(), purposes: r.world.local != nil, lastDay: g.lastDay(r.now)}
	for _, a := range append([]*protocol.Agreement{g.doc}, g.acting...) {
		c.purposes = c.purposes || slices.ContainsFunc(a.Clauses, func(cl protocol.Clause) bool { return len(cl.If.Purposes) > 0 })
		for _, end := range []time.Time{a.Until, a.LegalBasis.Until} {
			if g.inForce() {
				c.ends = earlier(c.ends, end)
			}
		}
	}
	if r.custom == nil {
		r.custom = map[*governing]*custom{}
	}
	r.custom[g] = c
	return c
}

// earlier returns the earlier of two moments; the zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// under says how an object is to be handled by one way by which it came.
func (r *reading) under(a way) (handled, error) {
	g := r.world.agreements[a.log.Agreement]
	author := a.log.Author.Member
	out := handled{marking: a.decision.Marking, HandlingUnder: HandlingUnder{
		Agreement: g.doc.Name, Version: a.decision.Version, Clause: a.decision.Clause, Topic: a.log.Lane.Topic,
		Author: r.world.readerNameIn(g, author), Own: author == r.node.cfg.Member, Marking: r.marking(a.log, a.decision).String(),
		Ends: r.customs(g).ends, Terms: termsOf(nil),
	}}
	if out.Version == 0 {
		out.Version = g.doc.Version
	}
	if out.Own {
		return out, nil
	}
	if out.duties = r.owed(g, a); out.duties != nil {
		duties := out.duties
		out.Terms = termsOf(duties)
		if !duties.Retain.IsZero() {
			out.Terms.KeepUntil = duties.Retain.After(time.UnixMicro(a.added)).UTC()
		}
		if duties.Attribution == protocol.AttributionMust {
			out.Terms.Sources = []string{out.Author}
			if p := g.everParty(author); p != nil {
				out.Terms.Sources[0] = p.Name
			}
		}
		if !duties.Review.IsZero() {
			v, err := a.stored()
			if err != nil {
				return out, err
			}
			if _, out.Terms.ReviewBy, err = r.node.reviewDue(v, duties.Review); err != nil {
				return out, err
			}
		}
	}
	out.Terms.Purposes = r.purposes(g, a)
	return out, nil
}

// termsOf puts obligations into words, but for the moments that depend on when an
// object came.
func termsOf(d *protocol.Obligations) Terms {
	if d == nil {
		d = &protocol.Obligations{}
	}
	t := Terms{Actions: slices.Clone(d.Actions), Attribution: d.Attribution.String(), Onward: d.Onward.String(), Embargo: d.Embargo}
	if d.Licence != "" {
		t.Licences = strings.Split(d.Licence, "\n")
	}
	switch d.Notify {
	case protocol.NotifyMay:
		t.Notify = "may"
	case protocol.NotifyMustNot:
		t.Notify = "must-not"
	}
	if d.AtRest {
		t.Encrypt = "at-rest"
	}
	return t
}

// owed returns what the holder of an object owes for one way by which it came. What
// an agreement obliged to outlives it; and the node itself erases by what it owes
// whoever reads, and for whatever purpose.
func (r *reading) owed(g *governing, a way) *protocol.Obligations {
	duties, c := a.decision.Duties, r.customs(g)
	ask := func(remote bool) *protocol.Obligations {
		reader := policy.Reader{Member: r.node.cfg.Member, Purpose: r.reader.Purpose, Remote: remote}
		if remote {
			reader.Purpose = ""
		}
		d := r.world.engine.Read(reader, a.log.Agreement, a.log.Lane.Topic, a.log.Author.Member, a.subject, c.lastDay)
		if d.Outcome != policy.Allow && d.Layer != policy.Local {
			return nil
		}
		return d.Duties
	}
	if !c.lastDay.Equal(r.now) {
		duties = policy.Strictest(duties, ask(false))
	}
	if c.keeps {
		if carried := ask(true); carried != nil {
			duties = policy.Strictest(duties, &protocol.Obligations{Retain: carried.Retain, Review: carried.Review})
		}
	}
	return duties
}

// purposes returns what this member's people may read an object for; nil where they
// need not say.
func (r *reading) purposes(g *governing, a way) []string {
	if !r.customs(g).purposes {
		return nil
	}
	may := func(purpose string) bool {
		d := r.world.engine.Read(policy.Reader{Member: r.node.cfg.Member, Purpose: purpose}, a.log.Agreement, a.log.Lane.Topic, a.log.Author.Member, a.subject, r.now)
		return d.Outcome == policy.Allow
	}
	if may("") {
		return nil
	}
	return slices.DeleteFunc(protocol.Purposes(), func(p string) bool { return !may(p) })
}

// wayOf is what handling asks of a version that was seen.
func (r *reading) wayOf(s seen) way {
	subject, _ := r.subject(s.object)
	return way{log: s.version.Log, added: s.version.Added, subject: subject, decision: s.decision, stored: func() (store.Version, error) { return s.version, nil }}
}

// handled is one way with what the answer about all of them is made of.
type handled struct {
	HandlingUnder
	duties  *protocol.Obligations // those that its terms tell of; nil: none
	marking protocol.Marking
}

// handling says how one content is to be handled that came in some ways.
func (r *reading) handling(of []seen) (*Handling, error) {
	list := make([]handled, 0, len(of))
	for _, s := range of {
		one, err := r.under(r.wayOf(s))
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return strictest(list), nil
}

// strictest says how to handle what came in several ways: every one of them is
// heeded.
func strictest(list []handled) *Handling {
	h := &Handling{Marking: list[0].Marking, Terms: list[0].Terms, Under: make([]HandlingUnder, 0, len(list))}
	duties, marking := list[0].duties, list[0].marking
	for _, one := range list {
		if h.Under = append(h.Under, one.HandlingUnder); one.marking > marking {
			h.Marking, marking = one.Marking, one.marking
		}
		duties = policy.Strictest(duties, one.duties)
	}
	if len(list) == 1 {
		return h
	}
	h.Terms = termsOf(duties)
	for _, one := range list {
		t := one.Terms
		h.Terms.KeepUntil, h.Terms.ReviewBy = earlier(h.Terms.KeepUntil, t.KeepUntil), earlier(h.Terms.ReviewBy, t.ReviewBy)
		// Each source is named for what it gave, but where one must not be.
		if h.Terms.Attribution == protocol.AttributionMust.String() && len(t.Sources) > 0 && !slices.Contains(h.Terms.Sources, t.Sources[0]) {
			h.Terms.Sources = append(h.Terms.Sources, t.Sources[0])
		}
		switch { // what was stated is among those of all
		case len(h.Terms.Purposes) == 0:
			h.Terms.Purposes = slices.Clone(t.Purposes)
		case len(t.Purposes) > 0:
			h.Terms.Purposes = slices.DeleteFunc(h.Terms.Purposes, func(p string) bool { return !slices.Contains(t.Purposes, p) })
		}
	}
	return h
}

// showOne shows one arrival, with the handling of all by which the same content
// came.
func (r *reading) showOne(s seen) ([]Version, error) {
	out, err := r.show([]seen{s})
	if err != nil || len(out) == 0 {
		return out, err
	}
	same, err := r.besides(s)
	if err != nil {
		return out, err
	}
	same = slices.DeleteFunc(same, func(o seen) bool {
		return o.version.Added == s.version.Added || !o.object.Modified.Equal(s.object.Modified) || !sameContent(o.object.Raw, s.object.Raw)
	})
	if len(same) > 0 {
		out[0].Handling, err = r.handling(append([]seen{s}, same...))
	}
	return out, err
}

// hitHandling says how what a lookup found is to be handled.
func (r *reading) hitHandling(h store.Hit, d policy.Decision, subject policy.Subject) (handled, error) {
	return r.under(way{log: h.Brief.Log, added: h.Added, subject: subject, decision: d, stored: func() (store.Version, error) { return r.node.cfg.Store.At(h.Added) }})
}
