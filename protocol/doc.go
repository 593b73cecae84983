// Package protocol holds the words of Entente and its wire: messages,
// agreements, member records, frontiers, statements, verdicts and kinds of
// error. SPEC.md beside it is the format in prose, precise enough to write a
// second implementation from; testdata/vectors are the bytes to test one with.
//
// # Messages
//
// A message is a signed [Header] and a body of objects. A [Codec] takes it
// through its life:
//
//	Pack    objects → Body: salts, leaf hashes, root, compression
//	Seal    Draft and Body → Message: number it, sign it, frame it
//	Decode  frame → Sealed: strict reading, nothing believed
//	Open    Sealed → Message: signature first, then the body against the root
//	Reopen  frame from the node's own store → Message
//	Without Message → Message with some leaves erased; the rest still verifies
//
// Pack is the expensive half and needs no knowledge of the log, so callers run
// it in parallel; Seal is short enough for the critical section of a log.
//
// The package does no I/O, reads no clock and draws no randomness: time and
// seeds are arguments. What is verified has a type of its own that only
// verification can make: a *Message was signed by its author, a *Sealed is
// only well formed.
package protocol
