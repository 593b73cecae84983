// Package protocol holds the words of Entente and its wire: messages,
// agreements, member records, frontiers, verdicts and kinds of error.
//
// It does no I/O, reads no clock and draws no randomness: time and seeds are
// arguments. What is verified has a type of its own that only verification can
// make.
package protocol
