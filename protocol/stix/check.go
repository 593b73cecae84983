package stix

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"entente/protocol"
)

// parser is one run of Parse.
type parser struct {
	scanner
	obj        *Object
	t          typeID
	slots      [slotCount]uint32 // tape indexes of values; 0 is absent
	times      [slotUntil + 1]time.Time
	required   int             // required properties of the type that were seen
	dictionary bool            // otherRefs is in a dictionary, whose names are free
	path       []pathStep      // where otherRefs is
	own        int             // properties of the type itself that were seen
	texts      strings.Builder // what the strings of the object share, see keep
}

// chunk is how many bytes of strings an everyday object has at most.
const chunk = 256

// keep returns text as a string of the object. Its strings share memory: an
// object has a handful, and all are let go with it.
func (p *parser) keep(text []byte) string {
	if p.texts.Cap()-p.texts.Len() < len(text) {
		p.texts = strings.Builder{}
		p.texts.Grow(max(len(text), min(len(p.raw)*5/8, chunk)))
	}
	from := p.texts.Len()
	p.texts.Write(text)
	return p.texts.String()[from:]
}

// bad is the error about a property: object, property, what is wrong, section.
func (p *parser) bad(property, format string, args ...any) *fault {
	name, _, _ := strings.Cut(property, "[")
	name, _, _ = strings.Cut(name, ".")
	section := p.t.info().section
	if commonProperty([]byte(name)).shape != shapeNone {
		section = "3.2"
	}
	return &fault{kind: protocol.Invalid, at: -1,
		text: fmt.Sprintf("property %s %s (STIX 2.1 section %s)", shortened(property), fmt.Sprintf(format, args...), section)}
}

// maxPath bounds the path of a property in errors, warnings and references: a
// hostile object has long names within long names.
const maxPath = 200

// shortened quotes a path for an error text.
func shortened(path string) string {
	return strconv.Quote(clipped(path))
}

// maxWarnings bounds the warnings of one object: a hostile one is full of
// oddities.
const maxWarnings = 16

func (p *parser) warn(property, format string, args ...any) {
	if len(p.obj.Warnings) < maxWarnings {
		p.obj.Warnings = append(p.obj.Warnings, Warning{Property: clipped(property), Text: fmt.Sprintf(format, args...)})
	}
}

// where says which value is being checked. Its text is made only for an error,
// so it goes down by pointer.
type where struct {
	name   []byte // of the property
	number int    // of an element of its list, from 1; 0 where none is meant
	member string // of that element or of the property
	second int    // of an element of the member's list, from 1
}

func (w where) at(number int) where {
	if w.member != "" {
		w.second = number + 1
	} else {
		w.number = number + 1
	}
	return w
}

func (w where) dot(member string) where {
	w.member = member
	return w
}

// String returns the path, like granular_markings[2].selectors[0].
func (w where) String() string {
	path := string(w.name)
	if w.number > 0 {
		path += "[" + strconv.Itoa(w.number-1) + "]"
	}
	if w.member != "" {
		path += "." + w.member
	}
	if w.second > 0 {
		path += "[" + strconv.Itoa(w.second-1) + "]"
	}
	return path
}

// check holds value i against the data type of a rule.
func (p *parser) check(w *where, i int, r rule) *fault {
	switch r.shape {
	case shapeText, shapeFilled, shapeTime, shapeHex, shapeBinary, shapeRef, shapeOpinion, shapeEncryption:
		return p.checkText(w, i, r)
	case shapeBool:
		if k := p.kindOf(i); k != nodeTrue && k != nodeFalse {
			return p.mistyped(*w, i, "true or false")
		}
	case shapeInt, shapeCount, shapePort, shapePercent, shapeSightings, shapeObserved:
		return p.checkInteger(w, i, r.shape)
	case shapeFloat:
		if p.kindOf(i) != nodeNumber {
			return p.mistyped(*w, i, "a number")
		}
	case shapeTexts, shapeRefs, shapeObjects, shapeExternal, shapeKillChain, shapeGranular, shapeExtTypes,
		shapeRegistry, shapeMIMEParts:
		return p.checkList(w, i, r)
	case shapeDict, shapeHashes, shapeExtensions:
		return p.checkDictionary(w, i, r.shape)
	}
	return nil
}

func (p *parser) mistyped(w where, i int, want string) *fault {
	return p.bad(w.String(), "must be %s, not %s", want, p.kindOf(i))
}

func (p *parser) checkText(w *where, i int, r rule) *fault {
	if p.kindOf(i) != nodeString {
		return p.mistyped(*w, i, "a string")
	}
	text := p.content(i)
	switch r.shape {
	case shapeFilled:
		if len(text) == 0 {
			return p.bad(w.String(), "is empty")
		}
	case shapeTime:
		t, ok := parseTimestamp(text)
		if !ok {
			return p.bad(w.String(), "must be a time in UTC like 2026-01-31T12:00:00.000Z, not %s", clip(string(text)))
		}
		if r.slot <= slotUntil {
			p.times[r.slot] = t
		}
	case shapeHex:
		if len(text)%2 != 0 || !isHex(text) {
			return p.bad(w.String(), "must be bytes in hexadecimal, not %s", clip(string(text)))
		}
	case shapeBinary:
		if !isBase64(text) {
			return p.bad(w.String(), "must be base64 with padding")
		}
	case shapeRef:
		return p.checkRef(w, i, r)
	case shapeOpinion:
		return p.oneOf(*w, i, opinions)
	case shapeEncryption:
		return p.oneOf(*w, i, encryptions)
	}
	return nil
}

// oneOf holds a string against a closed vocabulary, words between blanks.
func (p *parser) oneOf(w where, i int, vocabulary string) *fault {
	if p.kindOf(i) == nodeString {
		text := p.content(i)
		for word := range strings.FieldsSeq(vocabulary) {
			if word == string(text) {
				return nil
			}
		}
		return p.bad(w.String(), "must be one of %s, not %s", strings.ReplaceAll(vocabulary, " ", ", "), clip(string(text)))
	}
	return p.mistyped(w, i, "a string")
}

func (p *parser) checkInteger(w *where, i int, s shape) *fault {
	n, ok := p.integer(i)
	if !ok {
		return p.mistyped(*w, i, "a whole number")
	}
	low, high := int64(0), int64(maxExactInteger)
	switch s {
	case shapeInt:
		low = -maxExactInteger
	case shapePort:
		high = 65535
	case shapePercent:
		high = 100
	case shapeSightings:
		high = 999_999_999
	case shapeObserved:
		low, high = 1, 999_999_999
	}
	if n < low || n > high {
		if high == maxExactInteger {
			return p.bad(w.String(), "is %d, it must not be negative", n)
		}
		return p.bad(w.String(), "is %d, it must be from %d to %d", n, low, high)
	}
	return nil
}

func (p *parser) checkList(w *where, i int, r rule) *fault {
	if p.kindOf(i) != nodeArray {
		return p.mistyped(*w, i, "a list")
	}
	if p.empty(i) {
		return p.bad(w.String(), "is an empty list; leave the property out")
	}
	for number, element := range p.elements(i) {
		var err *fault
		inner := w.at(number)
		switch r.shape {
		case shapeTexts:
			if p.kindOf(element) != nodeString {
				err = p.mistyped(inner, element, "a string")
			}
		case shapeRefs:
			err = p.checkRef(&inner, element, r)
		case shapeExtTypes:
			err = p.oneOf(inner, element, extensionTypes)
		default:
			err = p.checkElement(&inner, element, r.shape)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkElement checks an object in one of the lists of objects.
func (p *parser) checkElement(w *where, i int, s shape) *fault {
	if p.kindOf(i) != nodeObject {
		return p.mistyped(*w, i, "an object")
	}
	switch s {
	case shapeExternal:
		return p.checkExternal(w, i)
	case shapeKillChain:
		return p.needTexts(w, i, "kill_chain_name", "phase_name")
	case shapeGranular:
		return p.checkGranular(w, i)
	case shapeRegistry:
		if kind := p.get(i, "data_type"); kind != 0 {
			return p.oneOf(w.dot("data_type"), kind, registryTypes)
		}
	}
	return nil
}

// needTexts requires members that are strings.
func (p *parser) needTexts(w *where, i int, names ...string) *fault {
	for _, member := range names {
		value := p.get(i, member)
		if value == 0 {
			return p.bad(w.dot(member).String(), "is required")
		}
		if p.kindOf(value) != nodeString {
			return p.mistyped(w.dot(member), value, "a string")
		}
	}
	return nil
}

func (p *parser) checkExternal(w *where, i int) *fault {
	if err := p.needTexts(w, i, "source_name"); err != nil {
		return err
	}
	told := false
	for member, value := range p.members(i) {
		switch {
		case p.named(member, "description"), p.named(member, "url"), p.named(member, "external_id"):
			told = true
			if p.kindOf(value) != nodeString {
				return p.mistyped(w.dot(p.textOf(member)), value, "a string")
			}
		case p.named(member, "hashes"):
			inner := w.dot("hashes")
			if err := p.checkDictionary(&inner, value, shapeHashes); err != nil {
				return err
			}
		}
	}
	if !told {
		return p.bad(w.String(), "needs description, url or external_id beside source_name")
	}
	return nil
}

// checkGranular is strict about names: a variant of marking_ref that another
// reader takes would hide a marking from this one.
func (p *parser) checkGranular(w *where, i int) *fault {
	marking, lang, selectors := 0, 0, 0
	for member, value := range p.members(i) {
		switch text := p.textOf(member); text {
		case "marking_ref":
			marking = value
			inner := w.dot("marking_ref")
			if err := p.checkRef(&inner, value, ref(setOf(typeMarkingDefinition))); err != nil {
				return err
			}
		case "lang":
			lang = value
			if p.kindOf(value) != nodeString {
				return p.mistyped(w.dot("lang"), value, "a string")
			}
		case "selectors":
			selectors = value
			inner := w.dot("selectors")
			if err := p.checkList(&inner, value, is(shapeTexts)); err != nil {
				return err
			}
		default:
			if !isPropertyName([]byte(text)) {
				return p.bad(w.dot(text).String(), "is no name of a property: a-z, 0-9 and _ only")
			}
		}
	}
	switch {
	case selectors == 0:
		return p.bad(w.dot("selectors").String(), "is required")
	case marking == 0 && lang == 0:
		return p.bad(w.String(), "needs marking_ref or lang")
	case marking != 0 && lang != 0:
		return p.bad(w.String(), "has both marking_ref and lang")
	}
	return nil
}

func (p *parser) checkDictionary(w *where, i int, s shape) *fault {
	if p.kindOf(i) != nodeObject {
		return p.mistyped(*w, i, "an object")
	}
	if p.empty(i) && s != shapeDict {
		return p.bad(w.String(), "is an empty dictionary; leave the property out")
	}
	for member, value := range p.members(i) {
		var err *fault
		switch s {
		case shapeHashes:
			err = p.checkHash(w, member, value)
		case shapeExtensions:
			err = p.checkExtension(w, p.textOf(member), value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) checkHash(w *where, member, value int) *fault {
	algorithm := p.content(member)
	path := func() where { return w.dot(string(algorithm)) }
	if len(algorithm) < 3 || len(algorithm) > 250 {
		return p.bad(path().String(), "has a name of %d characters, it must have 3 to 250", len(algorithm))
	}
	if p.kindOf(value) != nodeString {
		return p.mistyped(path(), value, "a string")
	}
	text := p.content(value)
	switch size := digestSize(algorithm); {
	case size > 0 && (len(text) != size || !isHex(text)):
		return p.bad(path().String(), "must be %d hexadecimal digits, not %s", size, clip(string(text)))
	case len(text) == 0:
		return p.bad(path().String(), "is empty")
	case size < 0 && digestSize(bytes.ToUpper(algorithm)) >= 0:
		p.warn(path().String(), "STIX writes this algorithm %s", bytes.ToUpper(algorithm))
	}
	return nil
}

// has reports whether the property of a slot is there.
func (p *parser) has(k slot) bool { return p.slots[k] != 0 }

// nameOf returns the name of the property in a slot: it stands before its
// value on the tape.
func (p *parser) nameOf(k slot) string { return p.textOf(int(p.slots[k]) - 1) }
