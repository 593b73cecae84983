package redact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"entente/protocol/stix"
)

// pass goes through the content of one object and takes out what its task names.
// It changes the tree.
type pass struct {
	task    Task
	find    finder
	keyed   *keyed // nil where the object is only looked at
	kind    string // type of the object
	id      string
	tree    map[string]any
	told    map[Things]int
	learned *names            // names of users and hosts that the object tells; may be nil
	bound   func(string) bool // an identity that a member's record binds
	mine    func(string) bool // an identity of the source
	victim  bool              // some object says that this one was attacked
	sender  bool              // of an email-addr: some message came from it
	listed  bool              // the whole input is known, and so who sent and who got mail
	gone    Things            // the object is itself what is to be taken out
	unsafe  string            // why it cannot be transformed
	shorter map[string]bool   // lists that lost elements, by top-level property
}

// refuse notes the first reason why an object cannot be transformed.
func (p *pass) refuse(format string, args ...any) {
	if p.unsafe == "" {
		p.unsafe = fmt.Sprintf(format, args...)
	}
}

// says is what stands in place of a hit.
func (p *pass) says(h hit) string {
	p.told[h.thing]++
	if p.learned != nil {
		switch {
		case h.thing == Users:
			p.learned.learn(strings.Trim(h.value, `"'`), Users)
		case h.thing == InternalNames:
			if label, _, _ := strings.Cut(h.value, "."); strings.ContainsAny(label, "0123456789-") {
				p.learned.learn(label, InternalNames)
			}
		}
	}
	return p.inPlaceOf(h.thing, h.form, h.value)
}

// inPlaceOf returns the mark, or the pseudonym where one is asked for.
func (p *pass) inPlaceOf(thing Things, f form, value string) string {
	if p.keyed == nil || p.task.Redact&thing != 0 || p.task.Pseudonymise&thing == 0 {
		return removed
	}
	if f == formHost {
		value = strings.TrimSuffix(value, ".")
	}
	return p.keyed.pseudonym(thing, f, strings.Trim(value, `"'`))
}

func (p *pass) scrub(text string, command bool) string {
	return p.find.scrub(text, command, p.says)
}

// drop takes a property out.
func (p *pass) drop(property string, thing Things) {
	if _, ok := p.tree[property]; ok {
		delete(p.tree, property)
		p.told[thing]++
	}
}

// decode reads an object that Parse has taken.
func decode(raw []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var tree map[string]any
	err := d.Decode(&tree)
	return tree, err
}

// encode writes a tree, its names in order.
func encode(tree map[string]any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(tree); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// run goes through the object.
func (p *pass) run() {
	switch p.kind {
	case "marking-definition", "extension-definition":
		p.definition()
		return
	case "language-content":
		p.refuse("what stands in translations cannot be told apart")
		return
	case "identity":
		if p.identity() {
			return
		}
	case "location":
		p.location()
	case "infrastructure":
		if p.victim && p.task.all()&Victims != 0 {
			p.nameless()
		}
	}
	p.source()
	for _, name := range slices.Sorted(maps.Keys(p.tree)) {
		if p.unsafe != "" || p.gone != 0 {
			return
		}
		p.property(name)
	}
}

// definition looks at what must stay as it is: it is known by its id.
func (p *pass) definition() {
	if p.kind == "extension-definition" && p.task.Unattributed {
		p.refuse("an extension's definition must name who made it")
	}
	before := p.count()
	p.texts(p.tree, false)
	if p.count() > before {
		p.refuse("it tells %s, and a definition must stay as it is", p.tells())
	}
	if p.task.Unattributed && p.tree["created_by_ref"] != nil {
		p.told[Source]++
		p.refuse("it names who made it, and a definition must stay as it is")
	}
}

// count returns how many places were found.
func (p *pass) count() int {
	n := 0
	for _, c := range p.told {
		n += c
	}
	return n
}

// tells lists the things that were found.
func (p *pass) tells() string {
	var all Things
	for t := range p.told {
		all |= t
	}
	return all.String()
}

// texts scrubs every string of a value without keeping what comes of it.
func (p *pass) texts(v any, command bool) {
	switch v := v.(type) {
	case string:
		p.scrub(v, command)
	case []any:
		for _, e := range v {
			p.texts(e, command)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if !refersOnly(k, v[k]) {
				p.texts(v[k], command)
			}
		}
	}
}

// reference reports whether a property's name says that it holds ids.
func reference(name string) bool {
	return strings.HasSuffix(name, "_ref") || strings.HasSuffix(name, "_refs")
}

// refersOnly reports whether a property holds ids and nothing else. Within
// observed-data they are numbers.
func refersOnly(name string, v any) bool {
	if !reference(name) {
		return false
	}
	list, isList := v.([]any)
	texts := textsIn(v)
	if isList && len(texts) != len(list) || !isList && len(texts) == 0 {
		return false
	}
	return !slices.ContainsFunc(texts, func(id string) bool {
		return stix.CheckID(id) != nil && (id == "" || len(id) > 4 || strings.Trim(id, "0123456789") != "")
	})
}

// anonymousProperties are what is left of an identity without its name.
func anonymousProperties() []string {
	return []string{"type", "spec_version", "id", "created", "modified", "revoked", "created_by_ref", "identity_class", "sectors", "name",
		"object_marking_refs", "granular_markings", "confidence", "labels"}
}

// identity makes a victim, or the source, anonymous. It reports whether nothing
// else is to be done.
func (p *pass) identity() bool {
	thing := Things(0)
	switch {
	case p.task.Unattributed && p.mine(p.id):
		thing = Source
	case p.task.all()&Victims != 0 && !p.bound(p.id):
		thing = Victims
	default:
		return false
	}
	if called, ok := p.tree["name"].(string); !ok || !stands(called) {
		p.tree["name"] = anonymous
		if instead := p.inPlaceOf(thing, formWord, called); instead != removed {
			p.tree["name"] = instead
		}
		p.told[thing]++
	}
	for name := range p.tree {
		if !slices.Contains(anonymousProperties(), name) {
			p.drop(name, thing)
		}
	}
	p.labels(true, thing)
	p.source()
	for _, name := range []string{"sectors", "identity_class"} {
		if p.tree[name] != nil {
			p.property(name)
		}
	}
	return true
}

// location leaves of a place what is no nearer than a country.
func (p *pass) location() {
	if p.task.all()&Victims == 0 {
		return
	}
	for _, name := range []string{"administrative_area", "city", "street_address", "postal_code", "latitude", "longitude", "precision", "description"} {
		p.drop(name, Victims)
	}
	if called, ok := p.tree["name"].(string); ok && !stands(called) {
		p.drop("name", Victims)
	}
	if p.tree["region"] == nil && p.tree["country"] == nil {
		p.gone = Victims
	}
}

// nameless leaves of a victim's infrastructure what it is, not what it is called.
func (p *pass) nameless() {
	if called, ok := p.tree["name"].(string); ok && !stands(called) {
		p.tree["name"] = anonymous
		p.told[Victims]++
	}
	p.drop("aliases", Victims)
	p.drop("description", Victims)
	p.drop("external_references", Victims)
}

// source takes out who made the object.
func (p *pass) source() {
	if !p.task.Unattributed {
		return
	}
	p.drop("created_by_ref", Source)
	if p.kind == "note" || p.kind == "opinion" {
		p.drop("authors", Source)
	}
}

// labels scrubs labels; those that declare subject classes always stay.
func (p *pass) labels(classesOnly bool, thing Things) {
	list, ok := p.tree["labels"].([]any)
	if !ok {
		return
	}
	out := make([]any, 0, len(list))
	for _, e := range list {
		text, ok := e.(string)
		switch {
		case ok && strings.HasPrefix(text, "entente-class:"):
			out = append(out, text)
		case classesOnly:
			p.told[thing]++
			p.shorter["labels"] = true
		default:
			out = append(out, p.scrub(text, false))
		}
	}
	if p.tree["labels"] = out; len(out) == 0 {
		delete(p.tree, "labels")
	}
}

// unknowable are the things that cannot be found by their form alone, so that what
// nobody knows the meaning of may hold them.
const unknowable = Victims | Users | FreeText | Source

// property takes care of one property.
func (p *pass) property(name string) {
	value := p.tree[name]
	switch stix.PropertyForm(p.kind, name) {
	case stix.FormFixed:
	case stix.FormGranular:
		p.marks()
	case stix.FormRef:
		p.refs(name)
	case stix.FormHashes:
		before := p.count()
		if p.texts(value, false); p.count() > before {
			p.refuse("a digest tells %s", p.tells())
		}
	case stix.FormBytes:
		if name == "payload_bin" && p.task.Redact|p.task.Pseudonymise != 0 {
			p.refuse("nobody can look into its payload")
		}
	case stix.FormText:
		p.text(name)
	case stix.FormStructure:
		p.structure(name)
	case stix.FormExtensions:
		p.extensions(value)
	case stix.FormObjects:
		p.embedded(value)
	default:
		p.custom(name)
	}
}

// marks looks at granular markings, which must stay as they are.
func (p *pass) marks() {
	list, _ := p.tree["granular_markings"].([]any)
	for _, e := range list {
		entry, _ := e.(map[string]any)
		for _, k := range slices.Sorted(maps.Keys(entry)) {
			if !slices.Contains([]string{"marking_ref", "lang", "selectors"}, k) && p.blind() {
				delete(entry, k)
				p.told[lowest(p.task.all()&unknowable)]++
			}
		}
	}
	before := p.count()
	if p.texts(p.tree["granular_markings"], false); p.count() > before {
		p.refuse("a granular marking tells %s", p.tells())
	}
}

// blind reports whether what nobody knows the meaning of is to be taken out: where
// it could tell something without a form. Looked at alone, it tells nothing for
// certain, but where free text is forbidden.
func (p *pass) blind() bool {
	thing := p.task.all() & unknowable
	return thing != 0 && (p.keyed != nil || thing&FreeText != 0)
}

// custom takes out properties that nobody else knows the meaning of, where they
// could hold what has no form of its own, and else what has one.
func (p *pass) custom(name string) {
	if p.blind() {
		p.drop(name, lowest(p.task.all()&unknowable))
		return
	}
	p.tree[name] = p.inner(p.tree[name], name, false)
}

// lowest returns one thing of several: what stands for them all, where a property
// might tell any.
func lowest(t Things) Things {
	if t&FreeText != 0 {
		return FreeText
	}
	return t & -t
}

// refs takes out references to recipients; all others are followed later.
func (p *pass) refs(name string) {
	switch name {
	case "to_refs", "cc_refs", "bcc_refs":
		if p.kind == "email-message" && p.task.Redact&Recipients != 0 {
			p.drop(name, Recipients)
		}
	case "where_sighted_refs", "target_ref":
		// Only looked at: who publishes has replaced them.
		if p.keyed == nil && p.task.all()&Victims != 0 && pointsAtVictim(p.kind, name, p.tree) {
			for _, id := range textsIn(p.tree[name]) {
				if p.bound(id) {
					p.told[Victims]++
				}
			}
		}
	}
	if p.keyed == nil && p.task.Unattributed && name != "created_by_ref" {
		for _, id := range textsIn(p.tree[name]) {
			if p.mine(id) {
				p.told[Source]++
			}
		}
	}
}

// pointsAtVictim reports whether a property of an object names who was attacked.
func pointsAtVictim(kind, property string, tree map[string]any) bool {
	switch {
	case kind == "sighting":
		return property == "where_sighted_refs"
	case kind != "relationship" || property != "target_ref":
		return false
	}
	word, _ := tree["relationship_type"].(string)
	return word == "targets" || word == "compromises" || word == "impersonates" || word == "exfiltrates-from" || word == "targeted"
}

// textsIn returns the strings of a value: itself, or those of a list.
func textsIn(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

var cve = regexp.MustCompile(`^CVE-\d{4}-\d{4,19}$`)
