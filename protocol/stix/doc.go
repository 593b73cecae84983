// Package stix reads STIX 2.1 at a trust boundary: strictly, within limits,
// keeping the creator's bytes.
//
// # From bytes to objects
//
// A Reader takes a document apart: a bundle, an array, one object, or objects
// one after the other, plain or gzip. It finds where each object begins and
// ends and needs memory for one of them only. Parse then reads an object:
//
//	r, err := stix.NewReader(file, stix.DefaultLimits())
//	p := stix.NewParser(stix.DefaultLimits()) // Parse, with its memory kept
//	for {
//		item, err := r.Next() // io.EOF after the last
//		...
//		o, err := p.Parse(item.Raw)
//	}
//
// Parse refuses what two readers could read differently: a property that
// stands twice, or in another case beside its own name, invalid UTF-8, lone
// surrogates, numbers that not every reader holds exactly. It refuses what
// STIX 2.1 forbids, and names object, property and section. It takes custom
// types and properties. What is odd but allowed becomes a Warning.
//
// # What an object says to others
//
// Refs lists every reference, also in extensions and custom properties at any
// depth. Level is what the TLP markings amount to; LevelOf also looks into the
// definitions of the other markings. Keys are the observable values by which an
// object is looked up, from a cyber-observable itself or from an indicator's
// pattern, which ParsePattern reads.
//
// # Identity
//
// The id names an object, id and modified a version of it. ContentHash, over
// the RFC 8785 form, tells two contents of one version apart. DeterministicID
// gives the id that follows from the values of a cyber-observable.
package stix
