package stix

import (
	"strconv"
	"strings"
)

// looksLikeRef reports whether the name of a property says that it holds
// references: it ends in _ref or _refs, in any case of letters.
func looksLikeRef(name []byte) bool {
	if n := len(name); n > 5 && name[n-1]|0x20 == 's' {
		name = name[:n-1]
	}
	n := len(name)
	return n > 4 && name[n-4] == '_' && name[n-3]|0x20 == 'r' && name[n-2]|0x20 == 'e' && name[n-1]|0x20 == 'f'
}

// checkRef holds a reference of a known property against its form and the
// types it may lead to.
func (p *parser) checkRef(w *where, i int, r rule) *fault {
	if p.kindOf(i) != nodeString {
		return p.mistyped(*w, i, "an id")
	}
	id := p.content(i)
	objectType, ok := cutUUID(id)
	t := typeNamed(objectType)
	if !ok || t == typeCustom && !isTypeName(objectType) {
		return p.bad(w.String(), "must be an id like %s, the UUID in lower case, not %s", p.exampleID(r.targets), clip(string(id)))
	}
	if !r.targets.has(t) {
		return p.bad(w.String(), "must lead to %s, not to %s", r.targets, clip(string(objectType)))
	}
	return nil
}

// exampleID shows the form of an id.
func (p *parser) exampleID(targets typeSet) string {
	for t := typeCustom + 1; t < typeCount; t++ {
		if targets.has(t) {
			return t.info().name + "--f81d4fae-7dec-41d0-a765-00a0c91e6bf6"
		}
	}
	return "type--f81d4fae-7dec-41d0-a765-00a0c91e6bf6"
}

// contextual reports whether the references of a known property are what the
// object speaks about, rather than parts of it: such an object can be seen
// only while all that it refers to can.
func (t typeID) contextual(k slot, name []byte) bool {
	switch t {
	case typeRelationship:
		return k == slotSource || k == slotTarget
	case typeSighting:
		return k == slotSource || string(name) == "observed_data_refs" || string(name) == "where_sighted_refs"
	case typeNote, typeOpinion, typeReport, typeGrouping, typeObservedData:
		return k == slotObjectRefs
	}
	return false
}

// clipped bounds the target of a reference that is no id.
func clipped(text string) string {
	if len(text) > maxPath {
		return strings.ToValidUTF8(text[:maxPath], "") + "…"
	}
	return text
}

func (p *parser) addRef(property, target string, embedded bool) {
	if p.obj.Refs == nil {
		p.obj.Refs = make([]Ref, 0, 2)
	}
	p.obj.Refs = append(p.obj.Refs, Ref{Property: property, Target: target, Embedded: embedded})
}

// knownRefs collects the references of a known property, which were checked.
func (p *parser) knownRefs(name []byte, i int, r rule) {
	if r.slot == slotMarkings || r.slot == slotCreatedBy {
		return
	}
	embedded := !p.t.contextual(r.slot, name)
	if r.shape == shapeRef {
		p.addRef(p.refName(name), p.keep(p.content(i)), embedded)
		return
	}
	for number, element := range p.elements(i) {
		p.addRef(where{name: name}.at(number).String(), p.keep(p.content(element)), embedded)
	}
}

// pathStep is one step from the object down to a value. The path is written out
// only for a value that is told about.
type pathStep struct {
	parent *pathStep
	name   []byte // of a member
	index  int    // of an element, where name is nil
}

// String puts the path together, cut at maxPath.
func (s *pathStep) String() string {
	path := s.append(make([]byte, 0, 64))
	return clipped(string(path))
}

func (s *pathStep) append(path []byte) []byte {
	if s.parent != nil {
		path = s.parent.append(path)
	}
	if s.name == nil {
		return append(strconv.AppendInt(append(path, '['), int64(s.index), 10), ']')
	}
	if s.parent != nil {
		path = append(path, '.')
	}
	return append(path, s.name[:min(len(s.name), maxPath)]...)
}

// refName turns the name of a reference into a string, without new memory for
// those that most objects have.
func (p *parser) refName(name []byte) string {
	switch string(name) {
	case "source_ref":
		return "source_ref"
	case "target_ref":
		return "target_ref"
	case "sighting_of_ref":
		return "sighting_of_ref"
	}
	return p.keep(name)
}

// otherRefs collects the references in a property that STIX 2.1 does not
// define for the type, or within extensions and other objects, at any depth. A
// value that is no id is a reference to nothing, and is told as such; in a
// dictionary, whose names are free, it is no reference.
func (p *parser) otherRefs(path *pathStep, i int, named bool) {
	switch p.kindOf(i) {
	case nodeString:
		if !named {
			return
		}
		id := p.content(i)
		if _, ok := typeOfID(id); ok {
			p.addRef(path.String(), p.keep(id), true)
			return
		}
		if p.dictionary {
			return
		}
		text := path.String()
		p.addRef(text, clipped(string(id)), true)
		p.warn(text, "the name says reference, the value is no id")
	case nodeArray:
		if !named && !p.nested {
			return
		}
		for number, element := range p.elements(i) {
			if p.kindOf(element) >= nodeString {
				p.otherRefs(&pathStep{parent: path, index: number}, element, named)
			}
		}
	case nodeObject:
		if !p.nested {
			return
		}
		for member, value := range p.members(i) {
			if p.kindOf(value) >= nodeString {
				name := p.content(member)
				p.otherRefs(&pathStep{parent: path, name: name}, value, looksLikeRef(name))
			}
		}
	}
}
