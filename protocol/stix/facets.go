package stix

import "entente/protocol"

// classLabel begins the labels by which an object declares subject classes.
const classLabel = "entente-class:"

// declared returns the class that a word in a label declares. A word that is
// none is a class of its own that no agreement can name, so that an object with
// it goes nowhere that asks for classes.
func declared(word string) protocol.Class {
	class, err := protocol.ParseClass(word)
	if err != nil {
		return protocol.UnknownClass
	}
	return class
}

// facet looks whether a property of the object itself is one that agreements ask
// for, known or custom, on whatever type it stands. Values of another kind than
// STIX gives them say nothing; where STIX forbids them the object is refused
// elsewhere.
func (p *parser) facet(name []byte, value int) {
	if len(name) < len("content") {
		return
	}
	f := &p.obj.Facets
	switch string(name) {
	case "description", "content", "abstract":
		f.Context = f.Context || p.kindOf(value) == nodeString && len(p.bytes(value)) > 0
	case "kill_chain_phases", "external_references":
		f.Context = f.Context || p.kindOf(value) == nodeArray && !p.empty(value)
	case "indicator_types", "malware_types", "threat_actor_types", "tool_types", "infrastructure_types", "report_types":
		f.Context = f.Context || p.kindOf(value) == nodeArray && p.tells(value)
	case "confidence":
		if n, ok := p.integer(value); ok && n >= 0 && n <= 100 {
			f.Confidence = uint8(n)
		}
	case "identity_class":
		f.Person = p.t == typeIdentity && p.kindOf(value) == nodeString && p.named(value, "individual")
	}
}

// tells reports whether a list of words has one that is not "unknown", nor empty.
func (p *parser) tells(list int) bool {
	for _, element := range p.elements(list) {
		if p.kindOf(element) == nodeString && len(p.bytes(element)) > 0 && !p.named(element, "unknown") {
			return true
		}
	}
	return false
}
