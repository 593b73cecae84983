// Package redact takes out of STIX objects what an agreement obliges their
// publisher to take out, or puts pseudonyms there. It is pure: a secret, the
// agreement and the objects make what comes out.
//
// # What is taken out
//
// The things are those of the documents spec, "Agreements":
//
//	victims             identities that no member's record binds lose their name
//	                    and all but class and sectors; so does a bound one where an
//	                    object says that it was attacked (targets, compromises,
//	                    impersonates, where_sighted_refs): there an anonymous twin
//	                    of it stands, which says the day alone of when it was
//	                    made. Places lose what is nearer than a country
//	internal-addresses  addresses of local networks and those configured, names for
//	                    them in .arpa, and every hardware address
//	internal-names      hosts under .internal, .local, .lan, .corp, .home.arpa and
//	                    configured domains; hosts of one word in URLs and shares
//	users               user accounts; names in paths of users' folders, SIDs,
//	                    options and variables that name a user
//	recipients          who got a message: references, header fields; every address
//	                    in a text; an email-addr that no message of the input says
//	                    to have sent it
//	accounts            IBANs and card numbers with right check digits; user accounts
//	credentials         in URLs, headers, commands, variables; tokens and private
//	                    keys that have a form of their own
//	free-text           names, descriptions and all else that people write in their
//	                    own words, labels and custom properties; what STIX demands
//	                    says REDACTED. CVE numbers, names of files, mutexes and
//	                    software stay
//
// They are looked for in every string, whatever property it stands in, and also
// written with percent signs, defanged, in other Unicode forms and in base64. What a
// hidden identity or account is called is looked for in all objects of the input, and
// users and hosts that an object names once in all of that object. A victim that only
// a text names is found by nobody: an agreement that fears it asks for free-text too.
//
// # What becomes of an object
//
// An observable that is itself such a thing goes when it is redacted, and so do
// references to it; what is nothing without them goes too. A comparison of a pattern
// goes where the rest matches no more than before, else the indicator. What cannot be
// looked into is not transformed and does not go: custom types, extensions that STIX
// 2.1 does not define, payloads, translations, patterns in other languages that tell
// something. Where things without a form (victims, users, free-text, the source)
// are asked for, custom properties go.
//
// An object in which anything was changed, or which refers to one, is another object:
// it gets an id that follows from the publisher's secret, the agreement, what is asked
// for and its former id. New versions get the same one, two agreements two that nobody
// else can link, and no id is a hash of what was hidden. Dates, markings and what is
// not text stay. The mark of a part moves to what is left of it. Transforming
// what came out changes nothing.
//
// # Pseudonyms
//
// They follow from secret, agreement and value alone, so one value has one within
// an agreement. None can be taken for something real: addresses are of 240.0.0.0/4
// (RFC 1112, never assigned) and 3fff::/20 (RFC 9637, documentation), hosts end in
// .invalid (RFC 6761), e-mail addresses in @pseudonym.invalid, hardware addresses begin
// with f2:ff (local, no maker's), all else is a word: user-, victim-, account-,
// credential- and sixteen letters. A network becomes one address. Free text has no
// pseudonym.
//
// # The source
//
// With must-not for attribution, created_by_ref, authors and custom properties go, all
// domain and relationship objects get such ids, and identities of the publisher lose
// their names. The times at which an object was made stay, to the millisecond, and the
// signed header of the message that carries it still names the member and the node that
// published it: content passed on by others names nobody, the carriage does.
package redact
