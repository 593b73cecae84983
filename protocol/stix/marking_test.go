package stix

import (
	"strings"
	"testing"

	"entente/protocol"
)

func parseText(t *testing.T, text string) *Object {
	t.Helper()
	o, err := Parse([]byte(text), DefaultLimits())
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

// definitionOf makes a marking definition.
func definitionOf(id, properties string) string {
	return `{"type":"marking-definition","spec_version":"2.1","id":"` + id + `","created":"2026-01-01T00:00:00Z",` + properties + `}`
}

func TestPredefinedMarkings(t *testing.T) {
	all := PredefinedMarkings()
	if len(all) != 9 {
		t.Fatalf("%d markings", len(all))
	}
	for id, raw := range all {
		o := parseText(t, string(raw))
		if o.ID != id || o.details.definition != definesTLP || IsForgedMarking(o) || o.Level.Problem != "" || len(o.Warnings) > 0 {
			t.Errorf("%s: %+v", raw, o)
		}
		if level, err := protocol.ParseMarking(o.Name); err != nil || level != tlpOf(id) {
			t.Errorf("%s: level %v, %v", raw, level, err)
		}
	}
	for level := protocol.NoMarking; level <= protocol.Red+1; level++ {
		if id := MarkingID(level); (id != "") != (level >= protocol.Clear && level <= protocol.Red) || tlpOf(id) != level && id != "" {
			t.Errorf("%v: %q", level, id)
		}
	}
}

func TestDefinitions(t *testing.T) {
	own, red, white := id("marking-definition"), MarkingID(protocol.Red), markingPrefix+"613f2e26-407d-48c7-9eca-b8e91df99dc9"
	tlp2 := func(word string) string {
		return `"extensions":{"` + tlpExtension + `":{"extension_type":"property-extension","tlp_2_0":` + word + `}}`
	}
	for _, c := range []struct {
		name, id, properties string
		want                 definition
	}{
		{"statement", own, `"definition_type":"statement","definition":{"statement":"Copyright"}`, definesStatement},
		{"named statement", own, `"name":"House rule","definition_type":"statement","definition":{"statement":"x"}`, definesStatement},
		{"statement about a label", own, `"definition_type":"statement","definition":{"statement":"tlp: red"}`, definesForged},
		{"statement named as a label", own, `"name":"TLP:CLEAR","definition_type":"statement","definition":{"statement":"x"}`, definesForged},
		{"statement with an extension", own, `"definition_type":"statement","definition":{"statement":"x"},"extensions":{"` + id("extension-definition") + `":{"a":1}}`, definesUnknown},
		{"another scheme", own, `"definition_type":"x-pap","definition":{"pap":"red"}`, definesUnknown},
		{"another extension", own, `"extensions":{"` + id("extension-definition") + `":{"extension_type":"property-extension","pap":"red"}}`, definesUnknown},
		{"TLP 1 under another id", own, `"definition_type":"tlp","definition":{"tlp":"white"}`, definesForged},
		{"TLP 2 under another id", own, tlp2(`"clear"`), definesForged},
		{"TLP 1", white, `"definition_type":"tlp","definition":{"tlp":"white"}`, definesTLP},
		{"TLP 1 as others write it", white, `"name":"TLP:CLEAR","definition_type":"TLP","definition":{"tlp":"WHITE"}`, definesTLP},
		{"TLP 1 with another level", white, `"definition_type":"tlp","definition":{"tlp":"red"}`, definesForged},
		{"TLP 1 with another name", white, `"name":"TLP:RED","definition_type":"tlp","definition":{"tlp":"white"}`, definesForged},
		{"TLP 1 with two levels", white, `"definition_type":"tlp","definition":{"tlp":"white","TLP":"red"}`, definesForged},
		{"TLP 1 of no level", white, `"definition_type":"tlp","definition":{"tlp":"pink"}`, definesForged},
		{"TLP 1 of no text", white, `"definition_type":"tlp","definition":{"tlp":""}`, definesForged},
		{"TLP id with a statement", white, `"definition_type":"statement","definition":{"statement":"x"}`, definesForged},
		{"TLP 2", red, tlp2(`"red"`), definesTLP},
		{"TLP 2 with another level", red, tlp2(`"clear"`), definesForged},
		{"TLP 2 of no text", red, tlp2(`1`), definesForged},
		{"TLP 2 of another member", red, `"extensions":{"` + tlpExtension + `":{"TLP_2_0":"red"}}`, definesForged},
	} {
		o := parseText(t, definitionOf(c.id, c.properties))
		if o.details.definition != c.want || IsForgedMarking(o) != (c.want == definesForged) || (o.Level.Problem != "") != (c.want == definesForged) {
			t.Errorf("%s: %d, want %d; %+v", c.name, o.details.definition, c.want, o.Level)
		}
	}
	for _, c := range []struct{ name, properties, refusal string }{
		{"nothing", `"name":"x"`, `"definition" is required with definition_type`},
		{"type alone", `"definition_type":"statement"`, "go together"},
		{"definition alone", `"definition":{"statement":"x"}`, "go together"},
		{"empty statement", `"definition_type":"statement","definition":{}`, `"definition.statement" is required`},
		{"level no text", `"definition_type":"tlp","definition":{"tlp":1}`, `"definition.tlp" is required`},
	} {
		checkRule(t, c.name, definitionOf(own, c.properties), c.refusal)
	}
}

// TestLevels is the table of what markings amount to.
func TestLevels(t *testing.T) {
	statement, pap, unknown, forged := markingPrefix+strings.Replace(uuid, "9c", "01", 1), markingPrefix+strings.Replace(uuid, "9c", "02", 1),
		markingPrefix+strings.Replace(uuid, "9c", "03", 1), markingPrefix+strings.Replace(uuid, "9c", "04", 1)
	held := map[string]*Object{}
	for _, text := range []string{
		definitionOf(statement, `"definition_type":"statement","definition":{"statement":"x"}`),
		definitionOf(pap, `"definition_type":"x-pap","definition":{"pap":"red"}`),
		definitionOf(forged, `"definition_type":"tlp","definition":{"tlp":"white"}`),
		definitionOf(MarkingID(protocol.Green), `"definition_type":"tlp","definition":{"tlp":"red"}`),
	} {
		o := parseText(t, text)
		held[o.ID] = o
	}
	clear, green, amber, strict, red := MarkingID(1), MarkingID(2), MarkingID(3), MarkingID(4), MarkingID(5)
	white, oldAmber := markingPrefix+"613f2e26-407d-48c7-9eca-b8e91df99dc9", markingPrefix+"f88d31f6-486f-44da-b317-01333bde0b82"
	for _, c := range []struct {
		name            string
		whole, granular []string
		want            protocol.Marking
		problem         string
	}{
		{"none", nil, nil, protocol.NoMarking, ""},
		{"clear", []string{clear}, nil, protocol.Clear, ""},
		{"white of TLP 1", []string{white}, nil, protocol.Clear, ""},
		{"amber of TLP 1", []string{oldAmber}, nil, protocol.Amber, ""},
		{"strict", []string{strict}, nil, protocol.AmberStrict, ""},
		{"several", []string{amber, clear, strict}, nil, protocol.AmberStrict, ""},
		{"part above the whole", []string{clear}, []string{red}, protocol.Red, ""},
		{"part alone", nil, []string{amber}, protocol.Amber, ""},
		{"statement", []string{statement}, nil, protocol.NoMarking, ""},
		{"statement and amber", []string{statement, amber}, nil, protocol.Amber, ""},
		{"unknown", []string{unknown}, nil, protocol.NoMarking, "is not known here"},
		{"clear and unknown", []string{clear, unknown}, nil, protocol.Clear, "is not known here"},
		{"unknown in a part", []string{clear}, []string{unknown}, protocol.Clear, "is not known here"},
		{"another scheme", []string{clear, pap}, nil, protocol.Clear, "of a scheme that is not known"},
		{"forged", []string{forged}, nil, protocol.NoMarking, "is forged"},
		{"contradicted", []string{green}, nil, protocol.Green, "is forged"},
	} {
		var parts []string
		if c.whole != nil {
			parts = append(parts, `"object_marking_refs":["`+strings.Join(c.whole, `","`)+`"]`)
		}
		for _, g := range c.granular {
			parts = append(parts, `"granular_markings":[{"selectors":["name"],"lang":"de"},{"selectors":["name"],"marking_ref":"`+g+`"}]`)
		}
		o := parseText(t, sdo("tool", strings.Join(append(parts, `"name":"x"`), ",")))
		if o.Level.Marking != c.want || o.Level.Problem != "" || strings.Join(o.Level.Refs, "") != strings.Join(append(c.whole, c.granular...), "") {
			t.Errorf("%s: Parse says %+v", c.name, o.Level)
		}
		level := LevelOf(o, func(id string) *Object { return held[id] })
		if level.Marking != c.want || (level.Problem == "") != (c.problem == "") || !strings.Contains(level.Problem, c.problem) {
			t.Errorf("%s: %+v, want %v, %q", c.name, level, c.want, c.problem)
		}
		if awaits := strings.Contains(c.problem, "not known here"); awaits != (level.Awaits == unknown) {
			t.Errorf("%s: awaits %q", c.name, level.Awaits)
		}
		// What was unknown may be known when it is asked again, and the reverse.
		o.Level = level
		statement := func(id string) *Object { s := *held[statement]; s.ID = id; return &s }
		if again := LevelOf(o, statement); level.Awaits != "" && again.Problem != "" {
			t.Errorf("%s: still %+v", c.name, again)
		}
	}
	liar := func(string) *Object { return held[statement] }
	if level := LevelOf(parseText(t, sdo("tool", `"name":"x","object_marking_refs":["`+unknown+`"]`)), liar); level.Problem == "" {
		t.Error("the definition of another id was taken")
	}
	wrong := func(id string) *Object { o := parseText(t, sdo("tool", `"name":"x"`)); o.ID = id; return o }
	if level := LevelOf(parseText(t, sdo("tool", `"name":"x","object_marking_refs":["`+unknown+`"]`)), wrong); level.Problem == "" {
		t.Error("an object that is no definition was taken for one")
	}
}

func TestManyMarkings(t *testing.T) {
	var ids []string
	for i := range maxMarkings + 1 {
		ids = append(ids, NewID("marking-definition", [16]byte{byte(i), byte(i >> 8)}))
	}
	text := func(ids []string) string {
		return sdo("tool", `"name":"x","object_marking_refs":["`+strings.Join(ids, `","`)+`"]`)
	}
	if o := parseText(t, text(ids[:maxMarkings])); o.Level.Problem != "" || len(o.Level.Refs) != maxMarkings {
		t.Errorf("at the bound: %+v", o.Level.Problem)
	}
	if o := parseText(t, text(append(ids, MarkingID(protocol.Red)))); o.Level.Problem == "" {
		t.Error("over the bound: no problem")
	}
}
