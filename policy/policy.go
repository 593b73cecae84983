package policy

import (
	"time"

	"entente/protocol"
	"entente/protocol/stix"
)

// Outcome is what a decision comes to.
type Outcome uint8

// The outcomes. Refuse says that the object breaks a rule whoever asks;
// Withhold that it may exist here but not go to these readers, or not yet.
const (
	Refuse Outcome = iota
	Withhold
	Allow
)

// String returns "refuse", "withhold" or "allow", as audit rows have it.
func (o Outcome) String() string {
	switch o {
	case Allow:
		return "allow"
	case Withhold:
		return "withhold"
	default:
		return "refuse"
	}
}

// Layer is who decided, in the order in which they are asked.
type Layer uint8

// The layers.
const (
	Form Layer = iota + 1
	Floor
	Governing // the agreement in force
	Local     // the operator's own rules
)

// String returns "form", "floor", "agreement" or "local", as audit rows have it.
func (l Layer) String() string {
	switch l {
	case Form:
		return "form"
	case Floor:
		return "floor"
	case Governing:
		return "agreement"
	case Local:
		return "local"
	default:
		return ""
	}
}

// Decision is the answer, with why. Decisions are comparable and small; two
// objects of one class share one.
type Decision struct {
	Outcome   Outcome
	Layer     Layer
	Agreement protocol.AgreementID
	Version   uint64
	Clause    string           // number of the clause that decided, or ""
	Text      string           // plain words: the clause's prose or the rule of the floor
	Marking   protocol.Marking // under which the object was decided (default applied)
	Expires   time.Time        // the moment at which a date may change the answer; zero: none will
	// Duties are what this permission demands of those who use it, the strictest
	// of all clauses that permit; of a Verdict, of all its readers together. Equal
	// ones are mostly the same pointer. Nil: none. Not to be changed. A decision by
	// local rules keeps the duties of the permission that it takes the place of.
	Duties *protocol.Obligations
}

// permitted reports whether the agreement permits it, whatever the operator's own
// rules say to that.
func (d Decision) permitted() bool { return d.Outcome == Allow || d.Layer == Local }

// Outward is all that anyone but the local operator and the parties of the
// agreement may be told: nothing of layer, agreement or clause.
func (d Decision) Outward() string {
	if d.Outcome == Allow {
		return "available"
	}
	return "not available"
}

// Err returns nil for Allow, else an error of kind Refused that names layer,
// clause and text. It is for the local operator: others get Outward.
func (d Decision) Err(op string) error {
	if d.Outcome == Allow {
		return nil
	}
	clause := ""
	if d.Clause != "" {
		clause = ", clause " + d.Clause
	}
	return protocol.E(protocol.Refused, op, protocol.Errorf(protocol.Refused, "",
		"%s by %s%s: %s", past(d.Outcome), d.Layer, clause, d.Text),
		"entente explain shows every layer and clause that was asked")
}

// Alike returns the decision without the moment at which it expires, which may
// differ from object to object: what is counted together is alike in the rest.
func (d Decision) Alike() Decision {
	d.Expires = time.Time{}
	return d
}

// Reason returns the decision as audit rows keep it.
func (d Decision) Reason() protocol.AuditReason {
	return protocol.AuditReason{Layer: d.Layer.String(), Clause: d.Clause, Text: d.Text}
}

// Subject is what the decision is about, as far as any clause may ask.
type Subject struct {
	Type    string
	Marking protocol.Marking // NoMarking: unmarked
	PAP     protocol.PAP
	Problem string // a marking problem: decided as RED
	// Classes are those that the object declares, zero where it declares none: then
	// it is of the default class of its topic. Those in Inherent come on top.
	Classes    protocol.Class
	Inherent   protocol.Class
	Context    bool      // it says what it means
	Confidence int       // 0 to 100; zero also where none is stated
	Modified   time.Time // zero: it has none, and no age
	// Header is, for Inbound, the highest marking that the header of the
	// message claims: an object above it is refused. NoMarking: not asked.
	Header protocol.Marking
	// Version is, for Inbound, the agreement version that the message was
	// sealed under. Zero means the version in force.
	Version uint64
	// Origins are, for Outbound and Read, the ways by which the object, or what it
	// was derived from, came under agreements: what those forbid everywhere is
	// asked as well.
	Origins []Origin
}

// SubjectOf returns the subject of an object whose Level is that of stix.LevelOf.
// For Inbound the caller adds Header and Version from the message, for what goes
// out Origins.
func SubjectOf(o *stix.Object) Subject {
	return Subject{
		Type: o.Type, Marking: o.Level.Marking, PAP: o.Level.PAP, Problem: o.Level.Problem,
		Classes: o.Facets.Declared, Inherent: o.Inherent(), Context: o.Facets.Context,
		Confidence: int(o.Facets.Confidence), Modified: o.Modified,
	}
}

// Origin is one way by which an object, or what it was derived from, came under
// an agreement.
type Origin struct {
	Agreement protocol.AgreementID
	Topic     string
	Author    protocol.MemberID
	Subject   Subject // of what came there; a copy's is that of the object itself
}

// Verdict is the decision for a whole topic: for everybody, and for whom not.
// Layer, Clause and Text of one that is not Allow are those of the first
// denial: floor before agreement, forbidding clauses in the document's order
// before the lack of a permitting one.
type Verdict struct {
	Decision                     // Allow when every reader may have it
	Readers  []protocol.MemberID // who may read, sorted, the author included; the zero id is the public; shared, not to be changed
	Denied   []Denial            // who may not, and why; shared, not to be changed
}

// Reason returns the verdict as audit rows keep it, with those it was denied.
func (v Verdict) Reason() protocol.AuditReason {
	r := v.Decision.Reason()
	for _, d := range v.Denied {
		r.Parties = append(r.Parties, d.Reader)
	}
	return r
}

// Denial is one reader's refusal.
type Denial struct {
	Reader   protocol.MemberID // zero: the public
	Decision Decision
}

// Reader is who asks. The zero Reader is nobody in particular: a reader of
// public agreements.
type Reader struct {
	Member protocol.MemberID // zero: no party to anything
	// Purpose is what the reader wants it for: one of protocol.Purposes, or "" for
	// none stated.
	Purpose string
	// Remote says that the member's own node asks, which carries what it gets and
	// asks its people for their purpose itself. False: people ask, at this node.
	Remote bool
}

// past returns the outcome as what was done.
func past(o Outcome) string {
	switch o {
	case Allow:
		return "allowed"
	case Withhold:
		return "withheld"
	default:
		return "refused"
	}
}
