package stix

// class is a set of kinds of text that a byte may stand in.
type class uint8

const (
	lowerHex  class = 1 << iota // digits and a to f, as UUIDs have them
	anyHex                      // in either case
	anyBase64                   // RFC 4648 section 4, padding left out
	inName                      // of a property: a to z, digits and underscore
	inAddress                   // hexadecimal, colons, dots and slashes: addresses, networks and digests
)

// The classes of whole groups of bytes.
const (
	isDigit   = lowerHex | anyHex | anyBase64 | inName | inAddress
	isLowerAF = lowerHex | anyHex | anyBase64 | inName | inAddress
	isUpperAF = anyHex | anyBase64 | inAddress
	isLower   = anyBase64 | inName
	isUpper   = anyBase64
)

// classes is never written to. Looking a byte up costs the same for any byte:
// digits and letters follow one another in a UUID as nobody can guess.
var classes = [256]class{
	'0': isDigit, '1': isDigit, '2': isDigit, '3': isDigit, '4': isDigit,
	'5': isDigit, '6': isDigit, '7': isDigit, '8': isDigit, '9': isDigit,
	'a': isLowerAF, 'b': isLowerAF, 'c': isLowerAF, 'd': isLowerAF, 'e': isLowerAF, 'f': isLowerAF,
	'A': isUpperAF, 'B': isUpperAF, 'C': isUpperAF, 'D': isUpperAF, 'E': isUpperAF, 'F': isUpperAF,
	'g': isLower, 'h': isLower, 'i': isLower, 'j': isLower, 'k': isLower, 'l': isLower, 'm': isLower,
	'n': isLower, 'o': isLower, 'p': isLower, 'q': isLower, 'r': isLower, 's': isLower, 't': isLower,
	'u': isLower, 'v': isLower, 'w': isLower, 'x': isLower, 'y': isLower, 'z': isLower,
	'G': isUpper, 'H': isUpper, 'I': isUpper, 'J': isUpper, 'K': isUpper, 'L': isUpper, 'M': isUpper,
	'N': isUpper, 'O': isUpper, 'P': isUpper, 'Q': isUpper, 'R': isUpper, 'S': isUpper, 'T': isUpper,
	'U': isUpper, 'V': isUpper, 'W': isUpper, 'X': isUpper, 'Y': isUpper, 'Z': isUpper,
	'_': inName, '+': anyBase64, '/': anyBase64 | inAddress, ':': inAddress, '.': inAddress,
}

// all reports whether every byte of the text is of the class.
func all[T string | []byte](text T, c class) bool {
	for i := range len(text) {
		c &= classes[text[i]]
	}
	return c != 0
}

// isPropertyName reports whether b has only the characters that names of
// properties have (STIX 2.1 section 3.1).
func isPropertyName(b []byte) bool { return len(b) > 0 && len(b) <= 250 && all(b, inName) }

func isHex(b []byte) bool { return all(b, anyHex) }

// isBase64 reports whether b is base64 of RFC 4648 section 4 with padding.
func isBase64(b []byte) bool {
	if len(b)%4 != 0 {
		return false
	}
	for pad := 0; pad < 2 && len(b) > 0 && b[len(b)-1] == '='; pad++ {
		b = b[:len(b)-1]
	}
	return all(b, anyBase64)
}
