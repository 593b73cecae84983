package stix

import (
	"fmt"
	"strings"

	"entente/protocol"
)

// markingPrefix begins the id of every marking definition.
const markingPrefix = "marking-definition--"

// tlpExtension is the extension definition by which OASIS carries TLP 2.0 in
// STIX 2.1.
const tlpExtension = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"

// definition is what a marking-definition says.
type definition uint8

const (
	noDefinition     definition = iota // the object is none
	definesStatement                   // a text without a level
	definesTLP                         // a predefined TLP marking as it is published
	definesPAP                         // a level of the Permissible Actions Protocol
	definesForged                      // claims TLP against its id, or has a TLP id and says something else
	definesUnknown                     // any other scheme
)

// tlpOf returns the level that the id of a predefined marking definition
// stands for: TLP 1.0 (STIX 2.1 section 7.2.1.4) and TLP 2.0 (the OASIS
// extension). NoMarking for every other id.
func tlpOf(id string) protocol.Marking {
	switch strings.TrimPrefix(id, markingPrefix) {
	case "94868c89-83c2-464b-929b-a1a8aa3c8487", "613f2e26-407d-48c7-9eca-b8e91df99dc9":
		return protocol.Clear
	case "bab4a63c-aed9-4cf5-a766-dfca5abac2bb", "34098fce-860f-48ae-8e50-ebd3cc5e41da":
		return protocol.Green
	case "55d920b0-5e8b-4f79-9ee9-91f868d9b421", "f88d31f6-486f-44da-b317-01333bde0b82":
		return protocol.Amber
	case "939a9414-2ddd-4d32-a0cd-375ea402b003":
		return protocol.AmberStrict
	case "e828b379-4e03-4974-9ac4-e53a884c97c1", "5e57c739-391a-4eb3-b6be-7d15ca92d5ed":
		return protocol.Red
	}
	return protocol.NoMarking
}

// MarkingID returns the id of the TLP 2.0 marking definition of a level, or ""
// for NoMarking.
func MarkingID(level protocol.Marking) string {
	switch level {
	case protocol.Clear:
		return markingPrefix + "94868c89-83c2-464b-929b-a1a8aa3c8487"
	case protocol.Green:
		return markingPrefix + "bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
	case protocol.Amber:
		return markingPrefix + "55d920b0-5e8b-4f79-9ee9-91f868d9b421"
	case protocol.AmberStrict:
		return markingPrefix + "939a9414-2ddd-4d32-a0cd-375ea402b003"
	case protocol.Red:
		return markingPrefix + "e828b379-4e03-4974-9ac4-e53a884c97c1"
	}
	return ""
}

// PredefinedMarkings returns the marking definitions of TLP 2.0 and TLP 1.0, as
// they are published, so that an export can carry those its objects refer to:
// the map goes from id to the bytes of the object. It is made anew at each
// call.
func PredefinedMarkings() map[string][]byte {
	all := make(map[string][]byte, 9)
	for level := protocol.Clear; level <= protocol.Red; level++ {
		id := MarkingID(level)
		word := strings.ToLower(strings.TrimPrefix(level.String(), "TLP:"))
		all[id] = fmt.Appendf(nil, `{"type":"marking-definition","spec_version":"2.1","id":%q,`+
			`"created":"2022-10-01T00:00:00.000Z","name":%q,"extensions":{%q:{"extension_type":"property-extension","tlp_2_0":%q}}}`,
			id, level, tlpExtension, word)
	}
	for _, old := range [][2]string{
		{"white", "613f2e26-407d-48c7-9eca-b8e91df99dc9"}, {"green", "34098fce-860f-48ae-8e50-ebd3cc5e41da"},
		{"amber", "f88d31f6-486f-44da-b317-01333bde0b82"}, {"red", "5e57c739-391a-4eb3-b6be-7d15ca92d5ed"},
	} {
		id := markingPrefix + old[1]
		all[id] = fmt.Appendf(nil, `{"type":"marking-definition","spec_version":"2.1","id":%q,`+
			`"created":"2017-01-20T00:00:00.000Z","definition_type":"tlp","name":%q,"definition":{"tlp":%q}}`,
			id, "TLP:"+strings.ToUpper(old[0]), old[0])
	}
	return all
}

// checkDefinition holds STIX 2.1 section 7.2.1: a definition, or an extension
// in its place, and the form of the two kinds that STIX defines.
func (p *parser) checkDefinition() *fault {
	typed, content := p.has(slotDefinitionType), p.has(slotDefinition)
	switch {
	case typed != content:
		return p.bad("definition", "and definition_type go together")
	case !typed && !p.has(slotExtensions):
		return p.bad("definition", "is required with definition_type, or extensions in their place")
	}
	if !typed {
		return nil
	}
	member := ""
	switch strings.ToLower(p.textOf(int(p.slots[slotDefinitionType]))) {
	case "tlp":
		member = "tlp"
	case "statement":
		member = "statement"
	default:
		return nil
	}
	value := p.get(int(p.slots[slotDefinition]), member)
	if value == 0 || p.kindOf(value) != nodeString {
		return p.bad("definition."+member, "is required as a string")
	}
	return nil
}

// define tells what a marking-definition says. Whatever claims a TLP level, in
// its name, its definition or its extension, must have the id of that level;
// and what has such an id must claim that level and no other.
func (p *parser) define() definition {
	want := tlpOf(p.obj.ID)
	claims, forged := p.claims(want)
	switch {
	case forged:
		return definesForged
	case claims && want != protocol.NoMarking:
		return definesTLP
	case claims || want != protocol.NoMarking:
		return definesForged
	}
	if !p.has(slotDefinitionType) || p.has(slotExtensions) {
		return definesUnknown
	}
	if level, ok := p.pap(); ok {
		p.obj.details.pap = level
		return definesPAP
	}
	if p.named(int(p.slots[slotDefinitionType]), "statement") {
		return definesStatement
	}
	return definesUnknown
}

// pap reads the level of a definition of type PAP, as the platforms that have
// PAP write it: {"pap":"red"}, {"PAP":"PAP:RED"}, or the label in the name, in any
// case. All that it says must be one level. A statement that consists of a PAP
// label and nothing else is one too: tags become such statements on the way.
func (p *parser) pap() (protocol.PAP, bool) {
	kind := p.textOf(int(p.slots[slotDefinitionType]))
	typed := strings.EqualFold(kind, "pap")
	if !typed && kind != "statement" {
		return protocol.NoPAP, false
	}
	level, odd := protocol.NoPAP, false
	claim := func(i int, bare bool) {
		text := ""
		if p.kindOf(i) == nodeString {
			text = strings.ToUpper(strings.TrimSpace(p.textOf(i)))
		}
		if bare && !strings.HasPrefix(text, "PAP:") {
			text = "PAP:" + text
		}
		said, err := protocol.ParsePAP(text)
		odd = odd || err != nil || level != protocol.NoPAP && level != said
		level = said
	}
	for member, value := range p.members(int(p.slots[slotDefinition])) {
		name := p.textOf(member)
		claim(value, typed && strings.EqualFold(name, "pap"))
	}
	if p.has(slotName) && typed && strings.HasPrefix(strings.ToUpper(strings.TrimSpace(p.textOf(int(p.slots[slotName])))), "PAP:") {
		claim(int(p.slots[slotName]), false)
	}
	return level, !odd && level != protocol.NoPAP
}

// claims looks for TLP labels. Claimed: the definition or extension is one of
// TLP. Forged: some text claims another level than the wanted one.
func (p *parser) claims(want protocol.Marking) (claimed, forged bool) {
	level := func(i int, bare bool) {
		if p.kindOf(i) != nodeString {
			forged = forged || bare
			return
		}
		text := strings.TrimSpace(p.textOf(i))
		if !bare && !strings.HasPrefix(strings.ToUpper(strings.ReplaceAll(text, " ", "")), "TLP:") {
			return
		}
		marking, err := protocol.ParseMarking(text)
		if err != nil || marking == protocol.NoMarking || marking != want {
			forged = true
		}
	}
	if p.has(slotName) {
		level(int(p.slots[slotName]), false)
	}
	if p.has(slotDefinition) {
		isTLP := strings.EqualFold(p.textOf(int(p.slots[slotDefinitionType])), "tlp")
		for member, value := range p.members(int(p.slots[slotDefinition])) {
			if strings.EqualFold(p.textOf(member), "tlp") {
				claimed = true
				level(value, true)
			} else {
				level(value, false)
			}
		}
		claimed = claimed || isTLP
	}
	if p.has(slotExtensions) {
		if value := p.get(int(p.slots[slotExtensions]), tlpExtension); value != 0 {
			claimed = true
			if label := p.get(value, "tlp_2_0"); label != 0 {
				level(label, true)
			} else {
				forged = true
			}
		}
	}
	return claimed, forged
}

// mark fills Level from the markings of the whole object and of its parts.
func (p *parser) mark() {
	level := &p.obj.Level
	add := func(i int) {
		content := p.content(i)
		for _, held := range level.Refs {
			if held == string(content) {
				return
			}
		}
		id := p.keep(content)
		level.Refs = append(level.Refs, id)
		level.Marking = max(level.Marking, tlpOf(id))
	}
	if p.has(slotMarkings) {
		for _, element := range p.elements(int(p.slots[slotMarkings])) {
			if len(level.Refs) == maxMarkings {
				level.Problem = fmt.Sprintf("it has more than %d markings", maxMarkings)
				return
			}
			add(element)
		}
	}
	if p.has(slotGranular) {
		for _, element := range p.elements(int(p.slots[slotGranular])) {
			if len(level.Refs) == maxMarkings {
				level.Problem = fmt.Sprintf("it has more than %d markings", maxMarkings)
				return
			}
			if value := p.get(element, "marking_ref"); value != 0 {
				add(value)
			}
		}
	}
}

// maxMarkings bounds the distinct markings of an object; one with more counts
// as RED.
const maxMarkings = 64

// IsForgedMarking reports whether o is a marking definition that claims a TLP
// level against its id, or has the id of a TLP level and says something else.
// Parse sets Level.Problem of such an object.
func IsForgedMarking(o *Object) bool { return o.details.definition == definesForged }

// LevelOf tells what the markings of o amount to. Parse knows the TLP ids;
// LevelOf also asks for the other definitions: a statement has no level, those of
// PAP come to the highest of them in PAP, and one that is not known, is of another scheme, or is forged sets Problem, so
// that the object counts as RED. A definition that contradicts its TLP id,
// where definition returns one, sets Problem too: what its author meant is not
// known. Where the only problem is a definition that is not held, Awaits names
// it: definitions travel like all objects, and in no fixed order.
//
// definition returns the marking definition of the given id, or nil where none
// is held. A nil function knows none.
func LevelOf(o *Object, definition func(id string) *Object) Level {
	level := o.Level
	if level.Problem != "" && level.Awaits == "" {
		return level
	}
	level.PAP, level.Problem, level.Awaits = protocol.NoPAP, "", ""
	for _, id := range level.Refs {
		var d *Object
		if definition != nil {
			d = definition(id)
		}
		switch problem := markingProblem(id, d); {
		case problem != "" && d == nil && level.Awaits == "":
			level.Awaits = id
		case problem != "" && d != nil:
			level.Problem, level.Awaits = problem, ""
			return level
		case d != nil:
			level.PAP = max(level.PAP, d.details.pap)
		}
	}
	if level.Awaits != "" {
		level.Problem = markingProblem(level.Awaits, nil)
	}
	return level
}

func markingProblem(id string, d *Object) string {
	known := tlpOf(id) != protocol.NoMarking
	switch {
	case d == nil && known:
		return ""
	case d == nil:
		return id + " is not known here"
	case d.ID != id || d.details.definition == noDefinition:
		return id + " leads to something else than its definition"
	case d.details.definition == definesForged:
		return id + " is forged: what it says of TLP is not what its id stands for"
	case d.details.definition == definesUnknown:
		return id + " is of a scheme that is not known here"
	}
	return ""
}
