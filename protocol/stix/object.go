package stix

import (
	"bytes"
	"time"

	"entente/protocol"
)

// Limits bound what Parse and Reader take.
type Limits struct {
	Object  int // bytes of one object
	Depth   int // nesting of arrays and objects
	Members int // properties of one JSON object
	List    int // elements of one array
	String  int // bytes of one string
	Pattern int // bytes of an indicator's pattern
}

// DefaultLimits returns the limits that nodes use.
func DefaultLimits() Limits {
	return Limits{Object: 384 << 10, Depth: 32, Members: 1024, List: 20000, String: 256 << 10, Pattern: 64 << 10}
}

// Object is a STIX object that Parse accepted. Its fields are not to be changed.
type Object struct {
	Raw       []byte // the creator's bytes
	ID        string // type--uuid
	Type      string
	Kind      Kind      // SDO, SRO, SCO, Meta
	Created   time.Time // zero for cyber-observables
	Modified  time.Time // zero for cyber-observables and marking definitions
	CreatedBy string    // created_by_ref, or ""
	Revoked   bool
	Facets    Facets
	Level     Level    // what its markings amount to
	Refs      []Ref    // every reference but created_by_ref and those to markings
	Labels    []string // labels
	Name      string   // name or value, for people; may be ""
	Warnings  []Warning
	details   details // what Keys needs, private to the package
}

// Facets are what agreements ask of an object beside its type, its markings and
// its dates (documents spec, "Agreements").
type Facets struct {
	Context    bool           // it says what it means
	Person     bool           // an identity of identity_class individual
	Confidence uint8          // 0 to 100; zero also where it states none
	Declared   protocol.Class // what its labels declare; zero: nothing
}

// Inherent returns the subject classes that an object has whatever it declares:
// natural persons, their accounts and their letters are personal data.
func (o *Object) Inherent() protocol.Class {
	if o.Facets.Person || o.Type == "user-account" || o.Type == "email-message" {
		return protocol.PersonalData
	}
	return 0
}

// details is what Keys needs of an object, filled by Parse. What few ask for
// stays as it stands in Raw.
type details struct {
	value       string       // value; key of a windows-registry-key, path of a directory, account_login or else user_id of a user-account
	pattern     quoted       // of an indicator
	patternType quoted       // of an indicator
	name        string       // of a file or mutex
	serial      string       // serial_number of an x509-certificate
	number      int64        // of an autonomous-system
	hashes      []byte       // the dictionary, as JSON
	definition  definition   // of a marking-definition: what it says
	pap         protocol.PAP // of a marking-definition: the level that it stands for
}

// quoted is a JSON string between its quotes, escapes as they stand.
type quoted []byte

// String returns the value of the string.
func (q quoted) String() string {
	if bytes.IndexByte(q, '\\') < 0 {
		return string(q)
	}
	return unescapeJSON(q)
}

// Kind is the family of an object's type.
type Kind uint8

// The families of STIX 2.1; an unknown type with a well-formed name is Custom.
const (
	SDO Kind = iota + 1
	SRO
	SCO
	Meta
	Custom
)

// Level is what the markings of an object amount to, granular ones included
// (the highest counts for the whole object).
type Level struct {
	Marking protocol.Marking // NoMarking: unmarked (statements only, or nothing)
	PAP     protocol.PAP     // NoPAP: none; set by LevelOf alone, since PAP has no ids of its own
	Problem string           // why it counts as RED: unknown, forged or mismatched marking; else ""
	Awaits  string           // the definition that is not held, where nothing else is wrong: it may come yet
	Refs    []string         // marking definitions referred to, in order
}

// Ref is a reference to another object.
type Ref struct {
	Property string // "source_ref", "object_refs[3]"
	Target   string // an id; of a custom property also what stands in its place, then a reference to nothing
	Embedded bool   // direct reference of an ordinary object, not one of a relationship, sighting, note, opinion, report or grouping
}

// Warning is something odd that does not refuse the object.
type Warning struct {
	Property string
	Text     string
}

// Version orders the versions of one id: modified, or the zero time.
func (o *Object) Version() time.Time { return o.Modified }
