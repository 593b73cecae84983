package stix

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"entente/protocol"
)

// Parse reads one object strictly and checks it against STIX 2.1: required
// properties, id, timestamps, references, closed vocabularies, and the rules
// between properties. An error is of kind Invalid or Limit and names object,
// property and rule. Parse keeps raw, which is not to be changed afterwards.
//
// Unknown properties, extensions and types are taken where their names are
// well formed. What is odd but not forbidden becomes a Warning.
//
// Whoever reads many objects takes a Parser.
func Parse(raw []byte, limits Limits) (*Object, error) {
	p := Parser{limits: limits}
	return p.Parse(raw)
}

// Parser reads objects one after the other, see Parse, and keeps its working
// memory between them. It is not safe for concurrent use.
type Parser struct {
	limits Limits
	run    parser // of the object being read; between objects it holds working memory only
}

// NewParser returns a Parser with the given limits.
func NewParser(limits Limits) *Parser { return &Parser{limits: limits} }

// Parse is the function Parse under the limits of the Parser. The object does
// not share the Parser's memory.
func (p *Parser) Parse(raw []byte) (*Object, error) {
	p.run.begin(raw, p.limits)
	defer p.run.end()
	if err := p.run.parse(); err != nil {
		return nil, p.run.failure(err)
	}
	return p.run.obj, nil
}

// Bounds of the working memory of a Parser, in nodes of the tape.
const (
	leastTape = 48      // enough for most everyday objects
	mostTape  = 1 << 14 // not kept where one object made it longer
)

// begin readies the parser for an object. A tape that is lent is used again.
func (p *parser) begin(raw []byte, limits Limits) {
	tape := p.tape[:0]
	if cap(tape) == 0 {
		// Text has some sixteen to forty bytes a value; the tape grows where less.
		tape = make([]node, 0, max(leastTape, min(len(raw)/24, 1<<12)))
	}
	*p = parser{scanner: scanner{raw: raw, limits: limits, tape: tape}, path: p.path, obj: &Object{Raw: raw}}
}

// end lets go of the object that was read.
func (p *parser) end() {
	p.raw, p.obj, p.texts = nil, nil, strings.Builder{}
	if cap(p.tape) > mostTape {
		p.tape = nil
	}
}

// failure makes the error of Parse out of a fault.
func (p *parser) failure(f *fault) error {
	text := f.text
	if f.at >= 0 {
		line := 1 + bytes.Count(p.raw[:min(f.at, len(p.raw))], []byte("\n"))
		text = fmt.Sprintf("byte %d (line %d): %s", f.at, line, f.text)
	}
	return protocol.E(f.kind, p.subject(), errors.New(text), f.hint)
}

// subject names the object in an error: its id where it can be told.
func (p *parser) subject() string {
	if p.obj.ID != "" {
		return p.obj.ID
	}
	if len(p.tape) > 0 && p.tape[0].kind == nodeObject {
		// The scanner may have stopped within: members up to there are whole.
		for at := 1; at+1 < len(p.tape) && p.tape[at+1].next != 0; at = int(p.tape[at+1].next) {
			if p.named(at, "id") && p.kindOf(at+1) == nodeString {
				if id := p.content(at + 1); len(id) > 0 {
					if _, ok := typeOfID(id); ok {
						return string(id)
					}
					return "object " + clip(string(id))
				}
			}
		}
	}
	return "object"
}

func (p *parser) parse() *fault {
	if err := p.scan(); err != nil {
		return err
	}
	if p.kindOf(0) != nodeObject {
		return &fault{kind: protocol.Invalid, at: 0, text: "a STIX object must be a JSON object, not " + p.kindOf(0).String()}
	}
	if err := p.identify(); err != nil {
		return err
	}
	if err := p.properties(); err != nil {
		return err
	}
	if err := p.common(); err != nil {
		return err
	}
	if err := p.complete(); err != nil {
		return err
	}
	if err := p.relations(); err != nil {
		return err
	}
	p.fill()
	switch p.t {
	case typeIPv4Addr, typeIPv6Addr, typeMACAddr:
		p.lookAtAddress(p.obj.details.value)
	}
	return nil
}

// identify reads type and id: every other rule depends on them.
func (p *parser) identify() *fault {
	objectType, id := p.get(0, "type"), p.get(0, "id")
	if objectType == 0 {
		if p.get(0, "Event") != 0 || p.get(0, "response") != 0 {
			return &fault{kind: protocol.Invalid, at: -1, text: "this looks like a MISP event, not like a STIX object", hint: mispHint}
		}
		return p.nearMiss("type")
	}
	if p.kindOf(objectType) != nodeString {
		return p.mistyped(where{name: []byte("type")}, objectType, "a string")
	}
	name := p.content(objectType)
	p.t = typeNamed(name)
	switch {
	case p.t == typeBundle:
		return &fault{kind: protocol.Invalid, at: -1, text: "a bundle stands where an object should", hint: "give the bundle as a document of its own"}
	case p.t == typeCustom && !isTypeName(name):
		return p.bad("type", "must be 3 to 250 lower-case letters, digits and single hyphens, not %s", clip(string(name)))
	case id == 0:
		return p.nearMiss("id")
	case p.kindOf(id) != nodeString:
		return p.mistyped(where{name: []byte("id")}, id, "a string")
	}
	text := p.content(id)
	prefix, ok := cutUUID(text)
	if !ok || !bytes.Equal(prefix, name) && !isTypeName(prefix) {
		return p.bad("id", "must be %s--UUID, the UUID in lower case as RFC 4122 writes it, not %s", clip(string(name)), clip(string(text)))
	}
	if !bytes.Equal(prefix, name) {
		return p.bad("id", "is of type %s, the object of type %s", clip(string(prefix)), clip(string(name)))
	}
	p.obj.ID = p.keep(text)
	p.obj.Type = p.obj.ID[:len(name)]
	p.obj.Kind = p.t.info().kind
	if !uuidVariant(text) {
		p.warn("id", "the UUID has not the variant and version of RFC 4122")
	}
	return nil
}

const mispHint = "convert the event to STIX 2.1 first, for instance with misp-stix"

// nearMiss is the error for a missing property: a variant of it in other case
// is the likelier mistake.
func (p *parser) nearMiss(name string) *fault {
	for member := range p.members(0) {
		if text := p.textOf(member); strings.EqualFold(text, name) {
			return p.bad(text, "must be written %s", clip(name))
		}
	}
	return p.bad(name, "is required")
}

// properties goes through the members once.
func (p *parser) properties() *fault {
	end := p.after(0)
	for member := 1; member < end; member = p.after(member + 1) {
		name, value := p.content(member), member+1
		p.facet(name, value)
		r := p.t.property(name)
		if r.slot != slotNone {
			p.slots[r.slot] = uint32(value)
		}
		if r.shape == shapeNone {
			if err := p.unknown(name, value); err != nil {
				return err
			}
			continue
		}
		if err := p.known(name, value, r); err != nil {
			return err
		}
	}
	return nil
}

// known checks a property that STIX 2.1 defines for the type.
func (p *parser) known(name []byte, value int, r rule) *fault {
	if err := p.check(&where{name: name}, value, r); err != nil {
		return err
	}
	switch {
	case r.has(odd):
		p.warn(string(name), "a cyber-observable has no such property (STIX 2.1 section 3.2)")
	case r.has(own) || r.slot == slotExtensions:
		p.own++
	}
	if r.has(required) {
		p.required++
	}
	switch r.shape {
	case shapeRef, shapeRefs:
		p.knownRefs(name, value, r)
	case shapeDict, shapeExtensions, shapeMIMEParts, shapeObjects, shapeRegistry, shapeExternal:
		if p.nested {
			p.dictionary = r.shape == shapeDict
			p.otherRefsOf(value-1, false)
			p.dictionary = false
		}
	}
	return nil
}

// unknown takes a property that STIX 2.1 does not define for the type, unless
// its name is a variant of one that it does: readers that do not mind case
// would take it for that one.
func (p *parser) unknown(name []byte, value int) *fault {
	if !isPropertyName(name) {
		folded := foldName(name)
		if p.t.property([]byte(folded)).shape != shapeNone {
			return p.bad(string(name), "differs from %s in case only, so that readers disagree on it", folded)
		}
		return p.bad(string(name), "has a name that STIX does not allow: a-z, 0-9 and _, at most 250 (section 3.1)")
	}
	if k := p.kindOf(value); k == nodeArray || k == nodeObject || k == nodeString {
		named := looksLikeRef(name)
		if named && k == nodeString {
			if id := p.content(value); isID(id) {
				p.addRef(p.refName(name), p.keep(id), true)
				return nil
			}
		}
		if named || p.nested && k != nodeString {
			p.otherRefsOf(value-1, named)
		}
	}
	return nil
}

// foldName returns the name in the case of STIX, as readers fold it that do not
// mind case; two letters beyond ASCII fold to ASCII ones.
func foldName(name []byte) string {
	return strings.NewReplacer("\u017f", "s", "\u212a", "k").Replace(strings.ToLower(string(name)))
}

// common holds the rules of STIX 2.1 section 3.2 between common properties.
func (p *parser) common() *fault {
	created, modified := p.has(slotCreated), p.has(slotModified)
	versioned := p.obj.Kind == SDO || p.obj.Kind == SRO || p.obj.Kind == Meta || p.obj.Kind == Custom && (created || modified)
	if err := p.version(versioned); err != nil {
		return err
	}
	if !versioned {
		return nil
	}
	switch {
	case !created:
		return p.bad("created", "is required")
	case p.t == typeMarkingDefinition:
		p.obj.Created = p.times[slotCreated]
		if modified {
			p.warn("modified", "a marking definition has no versions (STIX 2.1 section 7.2.1)")
		}
		return nil
	case !modified:
		return p.bad("modified", "is required")
	}
	p.obj.Created, p.obj.Modified = p.times[slotCreated], p.times[slotModified]
	if p.obj.Modified.Before(p.obj.Created) {
		return p.bad("modified", "is earlier than created")
	}
	return nil
}

// version holds spec_version.
func (p *parser) version(required bool) *fault {
	old := "convert the objects to STIX 2.1, for example with the stix2-elevator"
	switch {
	case !p.has(slotSpecVersion) && required:
		f := p.bad("spec_version", "is required; STIX 2.0 objects, which have none, are not taken; convert to 2.1")
		f.hint = old
		return f
	case !p.has(slotSpecVersion):
		return nil
	}
	switch text := p.content(int(p.slots[slotSpecVersion])); string(text) {
	case "2.1":
		return nil
	case "2.0":
		f := p.bad("spec_version", "is 2.0; STIX 2.0 objects are not taken; convert to 2.1")
		f.hint = old
		return f
	default:
		return p.bad("spec_version", "must be 2.1, not %s", clip(string(text)))
	}
}

// complete holds the required properties of the type.
func (p *parser) complete() *fault {
	names := p.t.info().required
	if names == "" || p.required == 1+strings.Count(names, " ") {
		return nil
	}
	for name := range strings.FieldsSeq(names) {
		if p.get(0, name) == 0 {
			return p.bad(name, "is required")
		}
	}
	return nil
}

// fill puts what others ask for into the object.
func (p *parser) fill() {
	o := p.obj
	if p.has(slotCreatedBy) {
		o.CreatedBy = p.textAt(slotCreatedBy)
	}
	o.Revoked = p.has(slotRevoked) && p.kindOf(int(p.slots[slotRevoked])) == nodeTrue
	if p.has(slotLabels) {
		i := int(p.slots[slotLabels])
		o.Labels = make([]string, 0, p.inner(i))
		for _, element := range p.elements(i) {
			label := p.keep(p.content(element))
			o.Labels = append(o.Labels, label)
			if word, ok := strings.CutPrefix(label, classLabel); ok {
				o.Facets.Declared |= declared(word)
			}
		}
	}
	p.mark()
	if p.t == typeMarkingDefinition {
		if o.details.definition = p.define(); o.details.definition == definesForged && o.Level.Problem == "" {
			o.Level.Problem = "the marking definition is forged: what it says of TLP is not what its id stands for"
		}
	}
	p.fillDetails()
}

// contentAt returns the value of the string in a slot, nil where there is none.
func (p *parser) contentAt(k slot) []byte {
	if i := int(p.slots[k]); i != 0 && p.kindOf(i) == nodeString {
		return p.content(i)
	}
	return nil
}

// textAt returns the string in a slot for the object, or "".
func (p *parser) textAt(k slot) string { return p.keep(p.contentAt(k)) }

// quotedAt returns the string in a slot as it stands, nil where there is none.
func (p *parser) quotedAt(k slot) quoted {
	if i := int(p.slots[k]); i != 0 && p.kindOf(i) == nodeString {
		return p.bytes(i)
	}
	return nil
}

func (p *parser) fillDetails() {
	o, d := p.obj, &p.obj.details
	o.Name = p.textAt(slotName)
	d.pattern, d.patternType = p.quotedAt(slotPattern), p.quotedAt(slotPatternType)
	if p.obj.Kind != SCO {
		return
	}
	d.value = p.textAt(slotValue)
	switch p.t {
	case typeFile, typeMutex:
		d.name = o.Name
	case typeAutonomousSystem:
		d.number, _ = p.integer(int(p.slots[slotNumber]))
		o.Name = "AS" + strconv.FormatInt(d.number, 10)
	case typeWindowsRegistryKey, typeDirectory:
		d.value = p.textAt(slotKey)
	case typeUserAccount:
		if d.value = p.textAt(slotLogin); d.value == "" {
			d.value = p.textAt(slotUserID)
		}
	case typeX509Certificate:
		d.serial = p.textAt(slotSerial)
	}
	if o.Name == "" {
		o.Name = d.value
	}
	if i := p.slots[slotHashes]; i != 0 {
		d.hashes = p.raw[p.tape[i].start:p.tape[i].end]
	}
}
