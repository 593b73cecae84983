package stix

// shape is the data type of a known property (STIX 2.1 section 2).
type shape uint8

const (
	shapeNone       shape = iota // the property is not known for the type
	shapeText                    // string
	shapeFilled                  // string that may not be empty
	shapeTexts                   // list of string
	shapeBool                    // boolean
	shapeInt                     // integer
	shapeCount                   // integer from 0
	shapePort                    // integer from 0 to 65535
	shapePercent                 // integer from 0 to 100
	shapeSightings               // integer from 0 to 999,999,999
	shapeObserved                // integer from 1 to 999,999,999
	shapeFloat                   // integer or float
	shapeTime                    // timestamp
	shapeHex                     // hex
	shapeBinary                  // binary
	shapeRef                     // identifier
	shapeRefs                    // list of identifier
	shapeDict                    // dictionary
	shapeObjects                 // list of objects
	shapeHashes                  // hashes
	shapeExternal                // list of external-reference
	shapeKillChain               // list of kill-chain-phase
	shapeGranular                // list of granular-marking
	shapeExtensions              // dictionary of extensions
	shapeOpinion                 // opinion-enum
	shapeEncryption              // encryption-algorithm-enum
	shapeExtTypes                // list of extension-type-enum
	shapeRegistry                // list of windows-registry-value-type
	shapeMIMEParts               // list of email-mime-component-type
)

// slot numbers the properties whose values other rules look at again.
type slot uint8

const (
	slotNone slot = iota

	// Times, which are kept once they are read.
	slotCreated
	slotModified
	slotFrom  // valid_from, first_seen, first_observed, start, start_time, analysis_started
	slotUntil // the other end

	slotType
	slotID
	slotSpecVersion
	slotCreatedBy
	slotRevoked
	slotLabels
	slotMarkings
	slotGranular
	slotExtensions
	slotName
	slotValue
	slotPattern
	slotPatternType
	slotObjects
	slotObjectRefs
	slotFamily
	slotResult
	slotResultRefs
	slotDefinition
	slotDefinitionType
	slotNumber
	slotHashes
	slotPayload
	slotURL
	slotSource
	slotTarget
	slotActive
	slotMultipart
	slotBody
	slotParts
	slotSerial
	slotLogin
	slotUserID
	slotRegion
	slotCountry
	slotLatitude
	slotLongitude
	slotPrecision
	slotAlgorithm
	slotKey
	slotStatedType // relationship_type
	slotCount
)

// rule is what STIX 2.1 says of one property of one type. It has four fields
// because up to that many travel in registers: it is looked up for every
// property of every object.
type rule struct {
	shape   shape
	slot    slot
	traits  trait
	targets typeSet // of a reference: the types it may lead to
}

// trait is a set of what holds for a property beside its data type.
type trait uint8

const (
	required trait = 1 << iota // counts toward the type's required properties
	own                        // a property of the type itself, not one that all have
	odd                        // a common property that this family of types does not have
)

func (r rule) has(t trait) bool { return r.traits&t != 0 }

func is(s shape) rule               { return rule{shape: s} }
func at(s shape, k slot) rule       { return rule{shape: s, slot: k} }
func need(s shape, k slot) rule     { return rule{shape: s, slot: k, traits: required} }
func ref(to typeSet) rule           { return rule{shape: shapeRef, targets: to} }
func refs(to typeSet) rule          { return rule{shape: shapeRefs, targets: to} }
func refAt(k slot, to typeSet) rule { return rule{shape: shapeRef, slot: k, targets: to} }

// needRef is the rule of a required reference, or list of them.
func needRef(s shape, k slot, to typeSet) rule {
	return rule{shape: s, slot: k, traits: required, targets: to}
}

// property returns the rule for a property of an object of type t.
func (t typeID) property(name []byte) rule {
	if len(name) > 2 && name[0] == 'x' && name[1] == '_' {
		return rule{} // by custom the beginning of custom names, and of no other
	}
	if r := commonProperty(name); r.shape != shapeNone {
		if t == typeExtensionDefinition && r.slot == slotCreatedBy {
			r.traits |= required
		}
		if t.info().kind == SCO {
			switch r.slot {
			case slotCreated, slotModified, slotCreatedBy, slotRevoked, slotLabels:
				r.traits |= odd
			}
		}
		return r
	}
	switch t.info().kind {
	case SDO:
		return t.domainProperty(name)
	case SRO:
		if t == typeRelationship {
			return relationshipProperty(name)
		}
		return sightingProperty(name)
	case SCO:
		r := t.observableProperty(name)
		if r.shape != shapeNone {
			r.traits |= own
		}
		return r
	case Meta:
		return t.metaProperty(name)
	}
	return customProperty(name)
}

// commonProperty holds STIX 2.1 section 3.2.
func commonProperty(name []byte) rule {
	switch string(name) {
	case "type":
		return at(shapeFilled, slotType)
	case "id":
		return at(shapeFilled, slotID)
	case "spec_version":
		return at(shapeFilled, slotSpecVersion)
	case "created":
		return at(shapeTime, slotCreated)
	case "modified":
		return at(shapeTime, slotModified)
	case "created_by_ref":
		return refAt(slotCreatedBy, setOf(typeIdentity))
	case "revoked":
		return at(shapeBool, slotRevoked)
	case "labels":
		return at(shapeTexts, slotLabels)
	case "confidence":
		return is(shapePercent)
	case "lang":
		return is(shapeFilled)
	case "external_references":
		return is(shapeExternal)
	case "object_marking_refs":
		return rule{shape: shapeRefs, slot: slotMarkings, targets: setOf(typeMarkingDefinition)}
	case "granular_markings":
		return at(shapeGranular, slotGranular)
	case "extensions":
		return at(shapeExtensions, slotExtensions)
	case "defanged":
		return is(shapeBool)
	}
	return rule{}
}

// customProperty takes from a custom object what people read.
func customProperty(name []byte) rule {
	if string(name) == "name" {
		return rule{slot: slotName}
	}
	return rule{}
}

func relationshipProperty(name []byte) rule {
	switch string(name) {
	case "relationship_type":
		return need(shapeFilled, slotStatedType)
	case "description":
		return is(shapeText)
	case "source_ref":
		return needRef(shapeRef, slotSource, anyEnd)
	case "target_ref":
		return needRef(shapeRef, slotTarget, anyEnd)
	case "start_time":
		return at(shapeTime, slotFrom)
	case "stop_time":
		return at(shapeTime, slotUntil)
	}
	return rule{}
}

func sightingProperty(name []byte) rule {
	switch string(name) {
	case "description":
		return is(shapeText)
	case "first_seen":
		return at(shapeTime, slotFrom)
	case "last_seen":
		return at(shapeTime, slotUntil)
	case "count":
		return is(shapeSightings)
	case "sighting_of_ref":
		return needRef(shapeRef, slotSource, anySDO)
	case "observed_data_refs":
		return refs(setOf(typeObservedData))
	case "where_sighted_refs":
		return refs(setOf(typeIdentity, typeLocation))
	case "summary":
		return is(shapeBool)
	}
	return rule{}
}

// metaProperty holds STIX 2.1 section 7.
func (t typeID) metaProperty(name []byte) rule {
	switch t {
	case typeLanguageContent:
		switch string(name) {
		case "object_ref":
			return needRef(shapeRef, slotSource, anything)
		case "object_modified":
			return is(shapeTime)
		case "contents":
			return need(shapeDict, slotNone)
		}
	case typeMarkingDefinition:
		switch string(name) {
		case "name":
			return at(shapeText, slotName)
		case "definition_type":
			return at(shapeFilled, slotDefinitionType)
		case "definition":
			return at(shapeDict, slotDefinition)
		}
	case typeExtensionDefinition:
		switch string(name) {
		case "name":
			return need(shapeFilled, slotName)
		case "description":
			return is(shapeText)
		case "schema", "version":
			return need(shapeFilled, slotNone)
		case "extension_types":
			return need(shapeExtTypes, slotNone)
		case "extension_properties":
			return is(shapeTexts)
		}
	}
	return rule{}
}
