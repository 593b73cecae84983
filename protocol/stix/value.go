package stix

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"entente/protocol"
)

// parseTimestamp reads an RFC 3339 time in UTC with Z and any number of
// fraction digits (STIX 2.1, data type timestamp). Digits beyond the
// nanosecond are dropped; a leap second counts as the second after it.
func parseTimestamp(b []byte) (time.Time, bool) {
	const form = "0000-00-00T00:00:00Z"
	if len(b) < len(form) || b[len(b)-1] != 'Z' {
		return time.Time{}, false
	}
	if b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return time.Time{}, false
	}
	year, okYear := twoDigits(b[0:2])
	ofCentury, okOfCentury := twoDigits(b[2:4])
	month, okMonth := twoDigits(b[5:7])
	day, okDay := twoDigits(b[8:10])
	hour, okHour := twoDigits(b[11:13])
	minute, okMinute := twoDigits(b[14:16])
	second, okSecond := twoDigits(b[17:19])
	nanos, okNanos := fraction(b[19 : len(b)-1])
	if !(okYear && okOfCentury && okMonth && okDay && okHour && okMinute && okSecond && okNanos) {
		return time.Time{}, false
	}
	year = year*100 + ofCentury
	if month < 1 || month > 12 || day < 1 || day > daysIn(time.Month(month), year) || hour > 23 || minute > 59 ||
		second > 60 || second == 60 && (minute != 59 || hour != 23) {
		return time.Time{}, false
	}
	seconds := (dayNumber(year, month, day)*24+hour)*3600 + minute*60 + second
	return time.Unix(int64(seconds), int64(nanos)).UTC(), true
}

// twoDigits reads a number of two decimal digits.
func twoDigits(b []byte) (value int, ok bool) {
	tens, units := b[0]-'0', b[1]-'0'
	return int(tens)*10 + int(units), tens <= 9 && units <= 9
}

// fraction reads a point and digits, or nothing, as nanoseconds.
func fraction(b []byte) (nanos int, ok bool) {
	if len(b) == 0 {
		return 0, true
	}
	scale := 100_000_000
	for _, c := range b[1:] {
		if c-'0' > 9 {
			return 0, false
		}
		nanos += int(c-'0') * scale
		scale /= 10
	}
	return nanos, b[0] == '.' && len(b) > 1
}

// dayNumber counts the days from 1 January 1970. Its years begin in March, so
// that a leap day is the last of its year.
func dayNumber(year, month, day int) int {
	month -= 3
	if month < 0 {
		month += 12
		year--
	}
	const era = 400*365 + 97 // days of 400 years, after which the calendar repeats
	const epoch = 719468     // 1 January 1970, from 1 March of the year 0
	year += 400              // January of the year 0 is in the year before
	ofYear := (month*153+2)/5 + day - 1
	return year*365 + year/4 - year/100 + year/400 + ofYear - era - epoch
}

func daysIn(month time.Month, year int) int {
	switch month {
	case time.April, time.June, time.September, time.November:
		return 30
	case time.February:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// uuidSize is the length of a UUID in its text form.
const uuidSize = 36

// typeOfID returns the type in an identifier type--UUID (STIX 2.1 section
// 2.9), the UUID in lower case as RFC 4122 writes it, so that one object has
// one name.
func typeOfID(id []byte) (objectType []byte, ok bool) {
	objectType, ok = cutUUID(id)
	return objectType, ok && isTypeName(objectType)
}

// cutUUID cuts hyphens and UUID off an id. What remains may be no type.
func cutUUID(id []byte) (rest []byte, ok bool) {
	at := len(id) - uuidSize - 2
	if at < 1 || id[at] != '-' || id[at+1] != '-' {
		return nil, false
	}
	u := id[at+2:]
	if u[8] != '-' || u[13] != '-' || u[18] != '-' || u[23] != '-' {
		return nil, false
	}
	return id[:at], all(u[:8], lowerHex) && all(u[9:13], lowerHex) && all(u[14:18], lowerHex) && all(u[19:23], lowerHex) &&
		all(u[24:], lowerHex)
}

func isID(id []byte) bool {
	_, ok := typeOfID(id)
	return ok
}

// CheckID returns nil for a text that has the form of an identifier, type--UUID
// (STIX 2.1 section 2.9); else Invalid with what is expected.
func CheckID(id string) error {
	if isID([]byte(id)) {
		return nil
	}
	return protocol.E(protocol.Invalid, "", fmt.Errorf("%q is no STIX id", id), "an id is the type, two hyphens and a UUID in lower case, as indicator--6f0f3c8a-3d0e-4f86-9d54-0c5f3b1e7a01")
}

// isTypeName reports whether b is well formed as the name of a type (STIX 2.1
// section 3.1): 3 to 250 lower-case letters, digits and single hyphens,
// beginning with a letter.
func isTypeName(b []byte) bool {
	if len(b) < 3 || len(b) > 250 || b[0]-'a' > 25 {
		return false
	}
	for i, c := range b {
		switch {
		case c-'a' <= 25, c-'0' <= 9:
		case c == '-' && b[i-1] != '-' && i < len(b)-1:
		default:
			return false
		}
	}
	return true
}

// uuidVariant reports whether the UUID at the end of an id has the variant and
// a version of RFC 4122 or RFC 9562.
func uuidVariant(id []byte) bool {
	uuid := id[len(id)-uuidSize:]
	return uuid[14] >= '1' && uuid[14] <= '8' && strings.IndexByte("89ab", uuid[19]) >= 0
}

// NewID returns type--UUID, the UUID of version 4 from 16 random bytes.
func NewID(objectType string, random [16]byte) string {
	return formatID(objectType, random, 4)
}

// formatID writes an identifier and stamps version and variant into the UUID.
func formatID(objectType string, u [16]byte, version byte) string {
	u[6] = u[6]&0x0f | version<<4
	u[8] = u[8]&0x3f | 0x80
	var text [uuidSize]byte
	hex.Encode(text[0:8], u[0:4])
	hex.Encode(text[9:13], u[4:6])
	hex.Encode(text[14:18], u[6:8])
	hex.Encode(text[19:23], u[8:10])
	hex.Encode(text[24:36], u[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return objectType + "--" + string(text[:])
}

// digestSize returns how many hexadecimal digits a digest of the named
// algorithm has, 0 for one that is not written so, and -1 for a name that STIX
// does not know (STIX 2.1, hash-algorithm-ov).
func digestSize(algorithm []byte) int {
	switch string(algorithm) {
	case "MD5":
		return 32
	case "SHA-1":
		return 40
	case "SHA-256", "SHA3-256":
		return 64
	case "SHA-512", "SHA3-512":
		return 128
	case "SSDEEP", "TLSH":
		return 0
	}
	return -1
}
