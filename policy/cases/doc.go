// Package cases holds agreements to their tests, which are files that lawyers
// and analysts write: this object, from this party, to that one, at this moment,
// must get this answer by this clause. It also says what is odd about an
// agreement before anybody signs it ([Advise]) and who may read what under it
// ([Who]), and writes the first cases for a draft ([Draft]). It is pure, as
// package policy is.
//
// # A file of cases
//
// The file beside an agreement NAME.yaml, or NAME.v3.yaml, is NAME.tests.yaml:
//
//	agreement: harbour-watch
//	at: 2027-01-15T12:00:00Z
//	cases:
//	  - name: indicators reach the CERT
//	    object: {type: indicator, marking: TLP:AMBER}
//	    from: bank
//	    to: cert
//	    topic: indicators
//	    expect: allow
//	    clause: "1"
//	  - name: who was hit is not published where a vendor reads
//	    object: {file: samples.json#identity--7870d74a-0b5c-4c4e-9c1e-0d9d3f1f6e11}
//	    from: bank
//	    topic: indicators
//	    expect: withhold
//	    because: agreement
//	    clause: "2"
//	    readers: [cert]
//
// Of the whole file:
//
//	agreement  the agreement's name, which is checked; may be left out
//	at         the moment of all cases that name none: 2027-01-15, or in UTC
//	           2027-01-15T12:00:00Z
//	cases      the list of cases
//
// Of a case:
//
//	name       what it shows, for people; no two in a file are alike
//	object     what is published, see below
//	from       who publishes it: the handle of a party, or the id of 64 digits
//	           of one that is no party any more
//	to         who asks for it: a handle, a list of them, or public, who is no
//	           party. Each must get the answer that is expected. Without "to"
//	           the question is whether it may go on the topic, to all who read it
//	topic      where
//	at         when
//	expect     allow, withhold or refuse
//	clause     the number of the clause that must decide; "" for none
//	because    the layer that must decide: form, floor, agreement or local
//	readers    without "to" only: exactly these may read it, the author aside;
//	           [] for nobody
//	obligations  exactly these oblige, in the words of agreements
//	           ({retain: 90 days, onward: never}); {} for none
//	purpose    with "to" only: what the reader wants it for
//	facts      what the answer rests on beside the agreement, see below
//	elsewhere  instead of "to": somebody under another agreement, see below
//
// clause, because, readers and obligations may be left out, and are not checked
// then; so may purpose, facts and elsewhere. All else is needed. What they mean is in the
// package comment of package policy. Who asks with "to" are people at a node of
// their own, which holds the object: they state a purpose where a clause asks for
// one, and what survives the end of an agreement is theirs to read on.
//
// # Facts
//
//	facts:
//	  encrypted: true           the reader's node is on an encrypted disk
//	  clear-only: true          nobody vouched lately for the agreement's version
//	  suspended: [vendor]       these are suspended
//	  terminated: 2027-10-01    the parties ended the agreement then
//	  entitled:                 who is entitled, by which contribution
//	    - contribution: giving
//	      parties: [bank, cert]
//
// What is left out is not so.
//
// # Elsewhere
//
// What a clause of scope everywhere forbids follows an object out of the
// agreement. Such a case asks whether somebody under another agreement, which
// permits everything, may have what came under this one:
//
//	elsewhere: {kind: vendor, country: NL, roles: [reader]}   a party there
//	elsewhere: {public: true}                                 anyone
//
// It asks of those clauses alone: that an obligation lets nobody pass something
// on is shown by "obligations".
//
// # Objects
//
// An object is one of
//
//	{type: indicator, marking: TLP:AMBER}   what clauses ask of it, below
//	{file: samples.json#indicator--1b28…}   one out of a file in the folder of
//	                                        the cases or below it: a bundle, an
//	                                        array, or objects
//	a whole STIX object                     its fields below "object:", or after
//	                                        "object: |" as JSON
//
// A short form has type, and may have marking (else it is unmarked), classes (else
// that of its topic), pap, confidence (else 0), context: true, and modified. It
// stands for all objects like it, so it is the better test of an
// agreement; a whole object also shows that its markings are understood. Where a
// file defines markings of its own they count as they do in a node.
//
// # Text
//
// A file is YAML within the bounds of signed documents (documents spec, "Text"):
// at most 1 MiB, 16 levels, no tabs, anchors or tags, a list in brackets on one
// line. Names of fields may have capitals and underscores too. Unknown fields,
// words and parties refuse the file with the place.
//
// # Coverage
//
// Passing cases show something of the agreement, and what they do not show is
// named with its text ([Coverage]). There is a point for
//
//   - each clause: it decided a passing case. A clause that forbids has it also
//     where it decided for one reader of a whole topic, one with obligations
//     where it only added them to an answer;
//   - each date and condition of a clause (from-date, until-date, classes,
//     max-pap, purposes, context, confidence, age, contribution), its scope, that
//     it survives, and its obligations: some passing case would be answered
//     otherwise if it were not there;
//   - the agreement's first moment, its end, and the lapse of its legal basis
//     where that comes before the end: a passing case asks on the far side.
//
// A case that fails shows nothing.
package cases
