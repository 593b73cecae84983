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
		p.obj.Refs = make([]Ref, 0, 3)
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

// pathStep is one step from the object down to a value: a member, whose name is
// at that index of the tape, or an element of a list.
type pathStep struct{ member, element int }

// pathText writes the path of otherRefs out, cut at maxPath. That is done only
// for a value that is told about.
func (p *parser) pathText() string {
	text := make([]byte, 0, 64)
	for i, step := range p.path {
		if step.member == 0 {
			text = append(strconv.AppendInt(append(text, '['), int64(step.element), 10), ']')
			continue
		}
		if i > 0 {
			text = append(text, '.')
		}
		name := p.content(step.member)
		text = append(text, name[:min(len(name), maxPath)]...)
	}
	return clipped(string(text))
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

// otherRefsOf collects the references in a property that STIX 2.1 does not
// define for the type, or within extensions and other objects, at any depth.
func (p *parser) otherRefsOf(member int, named bool) {
	p.path = append(p.path[:0], pathStep{member: member})
	p.otherRefs(member+1, named)
}

// otherRefs collects the references in value i, which is where the path leads.
// A value that is no id is a reference to nothing, and is told as such; in a
// dictionary, whose names are free, it is no reference.
func (p *parser) otherRefs(i int, named bool) {
	here := len(p.path)
	switch p.kindOf(i) {
	case nodeString:
		if named {
			p.otherRef(p.content(i))
		}
	case nodeArray:
		if !named && !p.nested {
			return
		}
		for number, element := range p.elements(i) {
			if p.kindOf(element) >= nodeString {
				p.path = append(p.path[:here], pathStep{element: number})
				p.otherRefs(element, named)
			}
		}
	case nodeObject:
		if !p.nested {
			return
		}
		for member, value := range p.members(i) {
			if p.kindOf(value) >= nodeString {
				p.path = append(p.path[:here], pathStep{member: member})
				p.otherRefs(value, looksLikeRef(p.content(member)))
			}
		}
	}
}

// otherRef takes the value of a property whose name says reference.
func (p *parser) otherRef(id []byte) {
	switch {
	case isID(id):
		p.addRef(p.pathText(), p.keep(id), true)
	case !p.dictionary:
		text := p.pathText()
		p.addRef(text, clipped(string(id)), true)
		p.warn(text, "the name says reference, the value is no id")
	}
}
