// Package policy decides who may have what. It is pure: a decision is a
// function of the agreements with the facts about them, the object's subject, who
// asks, and a moment, all of them arguments. It does no I/O, reads no clock and draws no random numbers, so
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
//   - [Engine.Read], on the way out to anybody: may this one reader have it? A
//     [Reader] is people who ask at this node, or the node of another party.
//
// An answer that allows may come with duties ([Decision].Duties). Who cannot
// fulfil them must act as if the answer were no.
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
//     moment it ends, its legal basis lapses or its parties terminate it. The
//     author is a party and not suspended. The clauses, below, permit it. What
//     they demand can be fulfilled here.
//  4. Local. The operator's own rules, which can only narrow what the others
//     allow: see below.
//
// Before all layers stands one rule: an author may always read what is its own.
//
// # Clauses
//
// The default is to refuse: what no clause permits is not allowed. A clause that
// forbids beats all that permit, wherever it stands. A clause speaks of a
// question when every condition that it gives holds:
//
//	from         the author: handles, kinds, countries, roles
//	to           the reader: the same, or the public
//	topics       one of these
//	types        the object's type is one of these
//	max-marking  its marking is at most this
//	markings     its marking is one of these
//	from-date    the moment is not before this
//	until-date   the moment is before this
//	classes      to permit: its subject classes are all among these;
//	             to forbid: one of them is
//	max-pap      its PAP level is at most this; one without a level is below all
//	context      it says what it means
//	confidence   it states at least this; one that states none has zero
//	age          it was modified less than this ago; one without a date was not
//	purposes     to permit: the reader states one of these
//	contribution to permit: the reader is entitled by this score
//
// A condition that is not given does not restrict, but for one: a clause that
// permits and names no classes permits what is operational and nothing else.
// Within from or to each of handles, kinds, countries and roles that is given must
// hold; one word of each suffices. For example
//
//	1  permit                              topics iocs, max-marking AMBER
//	2  forbid  to countries US             topics iocs, types ipv4-addr
//	3  permit  from roles analyst          topics reports, from-date 2026-03-01
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
// The words of the vocabulary are those of the documents spec, section Agreements:
// subject classes, PAP levels, purposes, things to take out, permitted actions.
// It is closed: [CompileAgreement] refuses, with clause and
// line, a handle, topic, type or level that it does not know, and a clause that
// can never apply. A kind, country or role may be one that no party has yet.
//
// # Subject classes
//
// An object is of the classes that its labels declare ("entente-class:criminal"),
// else of the default class of its topic, which is operational where the topic
// names none. What concerns natural persons by its nature (an identity of class
// individual, a user-account, an email-message) is personal-data besides. A word
// that is no class makes the object one that no clause permits.
//
// # Purposes
//
// People who read state a purpose ([Reader].Purpose). A clause with purposes
// counts for them when theirs is one of its own; a refusal for want of a purpose
// says which ones would do. To carry an object to a party's node no purpose is
// needed ([Reader].Remote, and at the other two doors): that node asks its people.
//
// # Obligations
//
// All clauses that permit an object to a reader oblige together, whichever of them
// is named as the reason:
//
//	redact, pseudonymise  all things that any names; what is taken out has no pseudonym
//	retain, review        the shortest; of two as long, as 30 days and a month are, days
//	attribution           must not, before must, before may
//	onward                the narrowest: never, ask, clients, any, nothing said
//	actions               those that all permit that name any; none where they have none in common
//	encrypt               if any asks for it
//	notify                must not, if any says so
//	licence               all, each on a line
//	embargo               the latest
//
// The duties of a [Verdict] are those to all its readers together: what must be
// true of bytes that all of them get. Those of [Engine.Inbound] are what this
// member owes once it has taken the object. One obligation is decided here: what
// may lie on encrypted disks only is neither taken nor shown by a node that has
// none ([Facts].Encrypted), but for its own; redaction (of what, and how, package protocol/stix/redact says), retention, onward grants
// and the rest are for those who hold the bytes.
//
// # Local rules
//
// The operator of a node has rules of its own ([protocol.LocalRules], put under an
// agreement by [Rules.Under]), in the words of clauses. Each of them forbids. They
// bind what this member gives and what it takes, at each door in its way:
//
//   - Outbound: what this member publishes. Where a rule keeps it from one reader
//     of the topic it is withheld from the topic, since others pass on what is there.
//   - Inbound: what this member may have is still the agreement's to say, for it is
//     asked whether the sender did right, and the sender knows nothing of these
//     rules. What they keep from this member is withheld: its message is carried
//     whole for the others, and the object is shown to nobody here.
//   - Read: what people at this node read of others' objects, and what the nodes of
//     others ask of this member's own. What one party gives another passes through
//     here unchanged: carriage is its author's disclosure.
//
// Their conditions are those of a clause that forbids; "unless" spares what meets
// all conditions of another group, in the sense that they have in a clause that
// permits. A purpose counts there for people, not for nodes, as everywhere. For
// example
//
//	1  forbid  to kinds vendor           unless confidence 80
//	2  forbid                            types user-account
//	3  forbid  from parties partner      unless purposes incident-response
//
// gives vendors only what is nearly certain, neither takes nor gives user accounts,
// and shows what a partner gave to people who respond to an incident.
//
// A handle, topic or role is that of each agreement, and names nobody in one that
// does not have it ([Resolve] finds those that none has); a member's id and an
// agreement's id name them wherever they are. In a public agreement a rule that
// keeps something from anyone but this member keeps it from the public as well:
// whoever is meant could read there as anybody. What a former party was is not
// known, so a rule with conditions on from speaks of all its entries. A local
// rule shuts nobody out of a topic ([Engine.Barred]).
//
// A decision by a local rule keeps the duties of the permission whose place it
// takes: what is held goes on to expire, and is passed on no further than it might
// have been. Nobody else learns of these rules: others are told what they are told
// of any refusal.
//
// # Who reads a topic
//
// The readers of a topic are those whom some permitting clause names in to, at
// the moment, for any author, type or marking, less those to whom a clause
// forbids everything from everyone. A clause with a contribution names only those
// who are entitled by it. The others are barred ([Engine.Barred]):
// they need not be permitted anything for others to publish, as nothing of the
// topic is ever sent to them. What nobody but the author reads is refused.
//
// # Standing
//
// A party is suspended by the document, or for a time by a signed statement
// ([Facts].Suspended). It publishes nothing, it gets nothing above CLEAR, and
// for what is above CLEAR it is no reader of the topic; what it published before
// stays readable. It is barred: what is CLEAR it may ask for.
//
// While nobody vouches that a document is the newest ([Facts].ClearOnly), nothing
// above CLEAR passes to others or from them. This member reads on what it holds.
//
// # After the end
//
// When an agreement is over nothing passes under it. This member reads on, at its
// own node, what is its own and what is CLEAR; and where the agreement says
// own-use: until-retention, what a clause that survives permits it, with the
// purposes and obligations of that clause. Clauses that forbid go on.
//
// # Several versions
//
// Where several versions of one agreement bind at once, since a newer one narrows
// and its widening is not accepted yet or since a fork is not resolved, all must
// allow: the newest that does not allow decides, readers are those of all, duties
// those of all together, and the marking is the highest.
//
// # Clauses that follow
//
// A clause that forbids with scope everywhere follows copies and derivations out
// of the agreement. [Subject].Origins says under which agreements an object, or
// what it was made from, came here. Before it goes out under another agreement
// each such clause of those is asked, of the object as it came and as it is now,
// also when its agreement is over. It keeps the object from the parties that it
// names, from whoever the other agreement says is of its kinds, countries and
// roles, from all where it names nobody, and from the public always: whoever is
// meant could read there as anybody. What came from elsewhere stays free: the
// caller gives the origins of each provenance by itself.
//
// # Parties that left
//
// A party that an amendment removed may publish nothing more. Its entries up to
// the cut stay valid history, under those clauses whose from has no condition.
//
// # Classes
//
// Objects that no clause of a topic can tell apart form a class: one author, one
// marking, one type among those that its clauses name, all other types counting as
// one; and so with subject classes, PAP level, context, confidence, age and purpose,
// each as far as some clause of the topic reads it. A class is decided once for all
// readers, and the answer is kept with the compiled agreement until the next moment
// at which a date of the agreement, of a fact or of a clause of that topic changes
// anything; the conditions and dates of local rules count among those of the topic.
// [Decision].Expires is that moment, or the sooner one at which the object
// becomes too old for a clause; the denials of a [Verdict] expire with it.
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
