package stix

import (
	"crypto/sha256"
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"entente/protocol"
)

// Canonical returns the RFC 8785 form of raw, whose SHA-256 is the content
// identity of an object: no blanks, names in order, one way to write each
// string and number. It reads as strictly as Parse does, within the hard bounds
// of this package; raw need not be a STIX object. The error is of kind Invalid
// or Limit.
func Canonical(raw []byte) ([]byte, error) {
	var p parser
	p.begin(raw, hardLimits())
	if err := p.scan(); err != nil {
		return nil, p.failure(err)
	}
	value := jsontext.Value(append(make([]byte, 0, len(raw)), raw...))
	if err := value.Canonicalize(); err != nil {
		return nil, protocol.E(protocol.Invalid, "canonical form", err, "")
	}
	return value, nil
}

// hardLimits are the bounds of this package whatever the limits say.
func hardLimits() Limits {
	return Limits{Object: maxObject, Depth: 512, Members: maxObject, List: maxObject, String: maxObject}
}

// ContentHash returns the SHA-256 of the canonical form.
func ContentHash(raw []byte) (protocol.Hash, error) {
	canonical, err := Canonical(raw)
	if err != nil {
		return protocol.Hash{}, err
	}
	return sha256.Sum256(canonical), nil
}

var errNoObservable = errors.New("it is no cyber-observable of STIX 2.1 whose id follows from its values")
