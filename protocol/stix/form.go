package stix

// Form is what kind of value STIX 2.1 gives a property, as far as it matters to
// whoever goes through the values of an object.
type Form uint8

// The forms of properties.
const (
	FormCustom     Form = iota // STIX 2.1 does not define the property for the type
	FormFixed                  // number, boolean, time, or a word of a closed vocabulary
	FormText                   // a string or list of strings that people or programs write
	FormBytes                  // bytes in hexadecimal or base64
	FormRef                    // an id or list of ids
	FormHashes                 // digests by algorithm
	FormStructure              // a dictionary, or a list of objects
	FormGranular               // granular markings
	FormExtensions             // extensions by name
	FormObjects                // the objects within observed-data
)

// PropertyForm returns the form of a property of the objects of a type, by name.
// All properties of a custom type but the common ones are custom.
func PropertyForm(objectType, property string) Form {
	t := typeNamed([]byte(objectType))
	r := t.property([]byte(property))
	switch r.shape {
	case shapeNone:
		return FormCustom
	case shapeText, shapeFilled, shapeTexts:
		if r.slot == slotType || r.slot == slotID || r.slot == slotSpecVersion {
			return FormFixed
		}
		return FormText
	case shapeHex, shapeBinary:
		return FormBytes
	case shapeRef, shapeRefs:
		return FormRef
	case shapeHashes:
		return FormHashes
	case shapeGranular:
		return FormGranular
	case shapeExtensions:
		return FormExtensions
	case shapeDict, shapeObjects, shapeExternal, shapeKillChain, shapeRegistry, shapeMIMEParts:
		if r.slot == slotObjects {
			return FormObjects
		}
		return FormStructure
	}
	return FormFixed
}

// NameID returns type--UUID, the UUID of version 5 made of the first 122 bits of
// a hash, the version and variant left out.
func NameID(objectType string, hash [16]byte) string { return formatID(objectType, hash, 5) }
