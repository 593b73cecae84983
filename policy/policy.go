// Package policy decides: pure functions of agreements, objects and time.
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

// Layer is who decided, in the order in which they are asked.
type Layer uint8

// The layers.
const (
	Form Layer = iota + 1
	Floor
	Governing // the agreement in force
	Local     // the operator's own rules
)

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
}

// Subject is what the decision is about, as far as any clause may ask. It is
// comparable: it is the key of the class cache.
type Subject struct {
	Type    string
	Marking protocol.Marking // NoMarking: unmarked
	Problem string           // a marking problem: decided as RED
}

// SubjectOf returns the subject of an object.
func SubjectOf(o *stix.Object) Subject { panic("policy: not built yet") }

// Verdict is the decision for a whole topic: for everybody, and for whom not.
type Verdict struct {
	Decision                     // Allow when every reader may have it
	Readers  []protocol.MemberID // who may read, sorted; shared, not to be changed
	Denied   []Denial            // who may not, and why; shared, not to be changed
}

// Denial is one reader's refusal.
type Denial struct {
	Reader   protocol.MemberID
	Decision Decision
}

// Engine decides under a fixed set of agreements. It is immutable but for its
// cache, and safe for concurrent use; a change of agreements makes a new one.
type Engine struct{ _ int }

// Nobody is the reader who is no party: a reader of public agreements.
type Reader struct {
	Member protocol.MemberID // zero: no party to anything
}

// Compile makes an Engine for a node of member self from the agreements in
// force or known. Unknown words in an agreement are refused here with the line.
func Compile(self protocol.MemberID, agreements []*protocol.Agreement) (*Engine, error) {
	panic("policy: not built yet")
}

// Outbound decides whether an object by author may go on the topic at now.
func (e *Engine) Outbound(agreement protocol.AgreementID, topic string, author protocol.MemberID, s Subject, now time.Time) Verdict {
	panic("policy: not built yet")
}

// Inbound decides whether this member may take an object that author sent on
// the topic in a message bearing header marking top.
func (e *Engine) Inbound(agreement protocol.AgreementID, topic string, author protocol.MemberID, s Subject, now time.Time) Decision {
	panic("policy: not built yet")
}

// Read decides whether reader may have an object of one provenance.
func (e *Engine) Read(reader Reader, agreement protocol.AgreementID, topic string, author protocol.MemberID, s Subject, now time.Time) Decision {
	panic("policy: not built yet")
}
