package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// Keys of every map of the format (spec, "Encoding"): those below extensionLow
// are known or refused; extensions are signed, kept and otherwise ignored.
const (
	extensionLow  = 32
	extensionHigh = 63
)

// maxInteger bounds versions and sequence numbers to what JSON carries exactly.
const maxInteger = 1<<53 - 1

// maxMicros is the last microsecond of the year 9999.
const maxMicros = 253402300799999999

// Limits of every CBOR value (spec, "Encoding").
const (
	maxNesting  = 8 // arrays and maps inside one another, the outermost included
	maxElements = 1 << 20
	maxPairs    = 64
)

// The modes are immutable and safe for concurrent use.
var (
	cborEncoding = encodingMode()
	cborStrict   = decodingMode(cbor.ExtraDecErrorUnknownField)
	cborLenient  = decodingMode(cbor.ExtraDecErrorNone)
)

func encodingMode() cbor.EncMode {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // the options are constants: a test would have met this
	}
	return mode
}

func decodingMode(extra cbor.ExtraDecErrorCond) cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   maxNesting,
		MaxArrayElements:  maxElements,
		MaxMapPairs:       maxPairs,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: extra,
	}.DecMode()
	if err != nil {
		panic(err) // the options are constants: a test would have met this
	}
	return mode
}

// fields are the extensions of a map, by key.
type fields map[uint64]cbor.RawMessage

// unmarshalMap reads a map with small integer keys into a struct and returns
// the extensions in it. What it accepts is not yet known to be deterministic:
// the caller encodes what it understood and asks sameBytes.
func unmarshalMap(data []byte, into any) (fields, error) {
	if cborStrict.Unmarshal(data, into) == nil {
		return nil, nil
	}
	// Either an extension or a fault: the slow way tells which.
	var all map[uint64]cbor.RawMessage
	if err := cborLenient.Unmarshal(data, &all); err != nil {
		return nil, plainCBOR(err)
	}
	if err := cborLenient.Unmarshal(data, into); err != nil {
		return nil, plainCBOR(err)
	}
	known, err := keysOf(into)
	if err != nil {
		return nil, err
	}
	extensions := fields{}
	for key, value := range all {
		if key >= extensionLow && key <= extensionHigh {
			if err := checkExtension(key, value); err != nil {
				return nil, err
			}
			extensions[key] = value
		} else if !slices.Contains(known, key) {
			return nil, fmt.Errorf("key %d is not known", key)
		}
	}
	return extensions, nil
}

// keysOf lists the keys that a wire struct declares, all of them present or not.
func keysOf(into any) ([]uint64, error) {
	k, ok := into.(interface{ keys() uint64 })
	if !ok {
		return nil, fmt.Errorf("%T declares no keys", into)
	}
	keys := make([]uint64, k.keys())
	for i := range keys {
		keys[i] = uint64(i) + 1
	}
	return keys, nil
}

// checkExtension refuses an extension that is not in the one form which its
// value may have.
func checkExtension(key uint64, value cbor.RawMessage) error {
	var v any
	if err := cborLenient.Unmarshal(value, &v); err != nil {
		return fmt.Errorf("extension %d: %w", key, plainCBOR(err))
	}
	if !plainValue(v) {
		return fmt.Errorf("extension %d holds a float or another type that the format does not have", key)
	}
	again, err := cborEncoding.Marshal(v)
	if err != nil {
		return fmt.Errorf("extension %d: %w", key, plainCBOR(err))
	}
	if !bytes.Equal(again, value) {
		return fmt.Errorf("extension %d is not in deterministic form", key)
	}
	return nil
}

func plainValue(v any) bool {
	switch v := v.(type) {
	case nil, bool, uint64, int64, []byte, string:
		return true
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool { return !plainValue(e) })
	case map[any]any:
		for key, e := range v {
			switch key.(type) {
			case uint64, int64, string:
			default:
				return false
			}
			if !plainValue(e) {
				return false
			}
		}
		return true
	default:
		return false
	}
}

// sameBytes checks that data is the deterministic encoding of what was read
// from it: again, and the extensions, which follow all other keys.
func sameBytes(data, again []byte, extensions fields) error {
	if len(extensions) > 0 {
		var all map[uint64]cbor.RawMessage
		if err := cborLenient.Unmarshal(again, &all); err != nil {
			return plainCBOR(err)
		}
		for key, value := range extensions {
			all[key] = value
		}
		var err error
		if again, err = cborEncoding.Marshal(all); err != nil {
			return plainCBOR(err)
		}
	}
	if bytes.Equal(data, again) {
		return nil
	}
	return whyDifferent(data, again)
}

// whyDifferent finds words for data that is not the encoding of its meaning.
func whyDifferent(data, again []byte) error {
	var got, want map[uint64]cbor.RawMessage
	if cborLenient.Unmarshal(data, &got) == nil && cborLenient.Unmarshal(again, &want) == nil {
		for key := range want {
			if _, ok := got[key]; !ok {
				return fmt.Errorf("key %d is missing", key)
			}
		}
		for key := range got {
			if _, ok := want[key]; !ok {
				return fmt.Errorf("key %d is there but says nothing: it must be absent", key)
			}
		}
	}
	return errNotDeterministic
}

var errNotDeterministic = errors.New("not in deterministic CBOR: an integer or length is longer than need be, keys are out of order, or a value has the wrong type")

// plainCBOR rephrases the library's errors, which speak of Go types.
func plainCBOR(err error) error {
	var (
		duplicate *cbor.DupMapKeyError
		trailing  *cbor.ExtraneousDataError
		indef     *cbor.IndefiniteLengthError
		tags      *cbor.TagsMdError
		wrong     *cbor.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &duplicate):
		return fmt.Errorf("key %v is there twice", duplicate.Key)
	case errors.As(err, &trailing):
		return errors.New("bytes after the end")
	case errors.As(err, &indef):
		return errors.New("a length is indefinite")
	case errors.As(err, &tags):
		return errors.New("a CBOR tag, which the format does not have")
	case errors.As(err, &wrong):
		return fmt.Errorf("a CBOR %s where another type belongs", wrong.CBORType)
	default:
		return fmt.Errorf("not CBOR: %w", err)
	}
}

// fixed copies a byte string of exactly the length of dst.
func fixed(dst, src []byte, name string) error {
	if len(src) != len(dst) {
		return fmt.Errorf("%s must be %d bytes, not %d", name, len(dst), len(src))
	}
	copy(dst, src)
	return nil
}

// CBOR major types.
const (
	cborUint  = 0 << 5
	cborBytes = 2 << 5
	cborText  = 3 << 5
	cborArray = 4 << 5
)

// appendHead appends the shortest head of an item. Ids of logs are written by
// hand with it, since every frontier hashes thousands of them.
func appendHead(dst []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= math.MaxUint8:
		return append(dst, major|24, byte(n))
	case n <= math.MaxUint16:
		return append(dst, major|25, byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		return append(dst, major|26, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	default:
		return append(dst, major|27, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32),
			byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

func appendByteString(dst, b []byte) []byte {
	return append(appendHead(dst, cborBytes, uint64(len(b))), b...)
}

func appendTextString(dst []byte, s string) []byte {
	return append(appendHead(dst, cborText, uint64(len(s))), s...)
}
