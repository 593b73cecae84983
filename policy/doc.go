// Package policy decides who may have what. It is pure: a decision is a
// function of the agreements, the object's subject and a moment, all of them
// arguments. It does no I/O, reads no clock and draws no random numbers, so
// that any decision can be made again later from what the audit log holds.
//
// # The question
//
// An object with some type and TLP marking (its [Subject]), published by an
// author on a topic of an agreement: may it go there? The same question is asked
// at three doors.
//
//   - [Engine.Outbound], before publishing: may every reader of the topic have
//     it? An object goes on a topic in clear only then. When fewer may, it is
//     withheld from the topic altogether, and the [Verdict] says for whom and
//     why; a wider audience is never the fallback.
//   - [Engine.Inbound], on receipt: what the sender had to ask, asked again by
//     the receiver, who has no reason to believe that it was.
//   - [Engine.Read], on the way out to anybody: may this one reader have it?
//
// # The layers
//
// Four layers are asked in this order; the first that says no has decided, and
// nothing after it can say otherwise.
//
//  1. Form. The object bears a TLP marking, or its topic has a default for
//     those without. On receipt, it is not above what its message's header
//     claims. (That it is valid STIX is the parser's part.)
//  2. Floor. TLP 2.0, which no agreement and no operator can lift: CLEAR may go
//     to anyone, GREEN to the community, AMBER and AMBER+STRICT to the
//     organisations that are parties, RED to named recipients only and so never
//     on a topic. The community is what the agreement says it is; that is
//     prose, so beyond the parties nobody is known to belong to it. A marking
//     that is unknown, forged or in doubt counts as RED. A public agreement
//     carries CLEAR only.
//  3. Agreement. It is in force: from its first moment up to, and not at, the
//     moment it ends or its legal basis lapses. The author is a party. The
//     clauses, below, permit it.
//  4. Local. The operator's own rules, which can only narrow what the others
//     allow, come here.
//
// Before all layers stands one rule: an author may always read what is its own.
//
// # Clauses
//
// The default is to refuse: what no clause permits is not allowed. A clause that
// forbids beats all that permit, wherever it stands. A clause speaks of a
// question when every condition that it gives holds:
//
//	from     the author: handles, kinds, countries, roles
//	to       the reader: the same, or the public
//	topics   one of these
//	types    the object's type is one of these
//	max      its marking is at most this
//	markings its marking is one of these
//	starts   the moment is not before this
//	ends     the moment is before this
//
// A condition that is not given does not restrict. Within from or to each of
// handles, kinds, countries and roles that is given must hold; one word of each
// suffices. For example
//
//	1  permit                              topics iocs, max AMBER
//	2  forbid  to countries US             topics iocs, types ipv4-addr
//	3  permit  from roles analyst          topics reports, starts 2026-03-01
//	4  permit  to parties cert             topics dropbox
//
// shares indicators with all up to AMBER, but no addresses with parties of the
// United States, lets analysts report from March on, and gives everyone a box
// that only the CERT can empty.
//
// The public (to: public, in public agreements only) is everybody who is no
// party. What it is permitted the parties are permitted too, since they could
// read it as anybody; what it is forbidden, it alone is.
//
// The vocabulary is closed: [CompileAgreement] refuses, with clause and
// line, a handle, topic, type or level that it does not know, and a clause that
// can never apply. A kind, country or role may be one that no party has yet.
//
// # Who reads a topic
//
// The readers of a topic are those whom some permitting clause names in to, at
// the moment, for any author, type or marking, less those to whom a clause
// forbids everything from everyone. The others are barred ([Engine.Barred]):
// they need not be permitted anything for others to publish, as nothing of the
// topic is ever sent to them. What nobody but the author reads is refused.
//
// # Parties that left
//
// A party that an amendment removed may publish nothing more. Its entries up to
// the cut stay valid history, under those clauses whose from has no condition.
//
// # Classes
//
// Objects that no clause of a topic can tell apart form a class: one author, one
// marking, and one type among those that its clauses name, all other types
// counting as one. A class is decided once for all readers, and the answer is
// kept with the compiled agreement until the next moment at which a date of the
// agreement or of a clause of that topic changes anything ([Decision].Expires).
// Two objects of one class share the texts and lists of one answer, so texts
// name nothing that the class does not.
//
// # Closure
//
// Whether an object may be seen depends also on what it refers to: a
// relationship tells that its ends exist. [Close] takes what a reader may have
// by itself and leaves what refers to nothing else; [Gather] collects what must
// be looked at; [Holding] does the same for a stream in which targets may come
// late. Objects that the reader may not have never change what else it gets,
// nor when. Closure is never kept: it depends on what else there is.
//
// # Why
//
// Each decision names its layer, its clause and the clause's prose.
// [Engine.Explain] gives the whole trail. Both are for the local operator and
// the parties of the agreement; everyone else is told [Decision.Outward] and
// nothing more.
package policy
