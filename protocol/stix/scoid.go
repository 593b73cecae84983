package stix

import (
	"crypto/sha1"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"entente/protocol"
)

// contributing returns the names of the properties that an id is made of (STIX
// 2.1 section 6, "ID Contributing Properties"), words between blanks. It is
// empty for a process, whose id is random, and for all that is no observable.
func (t typeID) contributing() string {
	switch t {
	case typeArtifact:
		return "hashes payload_bin"
	case typeAutonomousSystem:
		return "number"
	case typeDirectory:
		return "path"
	case typeDomainName, typeEmailAddr, typeIPv4Addr, typeIPv6Addr, typeMACAddr, typeURL:
		return "value"
	case typeEmailMessage:
		return "from_ref subject body"
	case typeFile:
		return "hashes name parent_directory_ref extensions"
	case typeMutex:
		return "name"
	case typeNetworkTraffic:
		return "start end src_ref dst_ref src_port dst_port protocols extensions"
	case typeSoftware:
		return "name cpe swid vendor version"
	case typeUserAccount:
		return "account_type user_id account_login"
	case typeWindowsRegistryKey:
		return "key values"
	case typeX509Certificate:
		return "hashes serial_number"
	}
	return ""
}

// DeterministicID returns the id that STIX 2.1 section 2.9 gives to a
// cyber-observable of the given bytes: a UUID of version 5 over the RFC 8785
// form of its contributing properties, of several hashes the first in the order
// MD5, SHA-1, SHA-256, SHA-512, then by name. The object need not have an id
// yet; its other properties are not looked at.
//
// The error is of kind Invalid or Limit: for a process and for an object none
// of whose contributing properties is there, the id is random (NewID).
func DeterministicID(raw []byte) (string, error) {
	limits := DefaultLimits()
	limits.Object, limits.String = maxObject, maxObject
	var p parser
	p.begin(raw, limits)
	if err := p.scan(); err != nil {
		return "", p.failure(err)
	}
	objectType := 0
	if p.kindOf(0) == nodeObject {
		objectType = p.get(0, "type")
	}
	if objectType == 0 || p.kindOf(objectType) != nodeString {
		return "", p.failure(p.bad("type", "is required"))
	}
	p.t = typeNamed(p.content(objectType))
	wanted := p.t.contributing()
	if wanted == "" {
		return "", protocol.E(protocol.Invalid, p.subject(), errNoObservable, "give it a random id")
	}
	part := p.contribution(wanted)
	if len(part) == 2 {
		return "", protocol.Errorf(protocol.Invalid, p.subject(), "none of %s is there, which the id of %s is made of",
			strings.ReplaceAll(wanted, " ", ", "), p.t.info().name)
	}
	value := jsontext.Value(part)
	if err := value.Canonicalize(); err != nil {
		return "", protocol.E(protocol.Invalid, p.subject(), err, "")
	}
	return formatID(p.t.info().name, nameUUID(value), 5), nil
}

// contribution returns an object of the wanted properties as they stand.
func (p *parser) contribution(wanted string) []byte {
	part := []byte{'{'}
	for name := range strings.FieldsSeq(wanted) {
		value := p.get(0, name)
		if value == 0 {
			continue
		}
		if len(part) > 1 {
			part = append(part, ',')
		}
		part = append(append(append(part, '"'), name...), '"', ':')
		if name == "hashes" && p.kindOf(value) == nodeObject && !p.empty(value) {
			hash := p.preferredHash(value)
			part = append(part, '{')
			part = append(part, p.raw[p.tape[hash-1].start:p.tape[hash-1].end]...)
			part = append(part, ':')
			part = append(part, p.raw[p.tape[hash].start:p.tape[hash].end]...)
			part = append(part, '}')
			continue
		}
		part = append(part, p.raw[p.tape[value].start:p.tape[value].end]...)
	}
	return append(part, '}')
}

// preferredHash returns the value that stands for a dictionary of hashes.
func (p *parser) preferredHash(hashes int) int {
	for _, algorithm := range [...]string{"MD5", "SHA-1", "SHA-256", "SHA-512"} {
		if value := p.get(hashes, algorithm); value != 0 {
			return value
		}
	}
	first, least := 0, ""
	for member, value := range p.members(hashes) {
		if name := p.textOf(member); first == 0 || name < least {
			first, least = value, name
		}
	}
	return first
}

// nameUUID returns the hash of a UUID of version 5 in the name space of STIX
// 2.1, 00abedb4-aa42-466c-9c01-fed23315a9b7.
func nameUUID(name []byte) (u [16]byte) {
	space := [16]byte{0x00, 0xab, 0xed, 0xb4, 0xaa, 0x42, 0x46, 0x6c, 0x9c, 0x01, 0xfe, 0xd2, 0x33, 0x15, 0xa9, 0xb7}
	h := sha1.New()
	h.Write(space[:])
	h.Write(name)
	copy(u[:], h.Sum(nil))
	return u
}
