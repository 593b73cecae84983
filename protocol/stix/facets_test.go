package stix

import (
	"strings"
	"testing"

	"entente/protocol"
)

// TestFacets is the table of what agreements ask of an object (documents spec,
// "Subject classes" and "Context").
func TestFacets(t *testing.T) {
	none := Facets{}
	context := Facets{Context: true}
	report := `"name":"x","published":"2026-01-01T00:00:00Z","object_refs":["` + id("tool") + `"]`
	for _, c := range []struct {
		name, text string
		want       Facets
	}{
		{"bare", sdo("tool", `"name":"x"`), none},
		{"description", sdo("tool", `"name":"x","description":"y"`), context},
		{"empty description", sdo("tool", `"name":"x","description":""`), none},
		{"description as an escape", sdo("tool", `"name":"x","description":"\u0020"`), context},
		{"content", sdo("note", `"content":"x","object_refs":["`+id("tool")+`"]`), context},
		{"empty content", sdo("note", `"content":"","object_refs":["`+id("tool")+`"]`), none},
		{"abstract", sdo("note", `"content":"","abstract":"a","object_refs":["`+id("tool")+`"]`), context},
		{"kill chain", sdo("tool", `"name":"x","kill_chain_phases":[{"kill_chain_name":"a","phase_name":"b"}]`), context},
		{"reference", sdo("tool", `"name":"x","external_references":[{"source_name":"a","external_id":"b"}]`), context},
		{"types", sdo("indicator", indicator+`,"indicator_types":["malicious-activity"]`), context},
		{"unknown types", sdo("indicator", indicator+`,"indicator_types":["unknown","unknown"]`), none},
		{"unknown and another", sdo("tool", `"name":"x","tool_types":["unknown","denial-of-service"]`), context},
		{"report types", sdo("report", report+`,"report_types":["malware"]`), context},
		{"without report types", sdo("report", report), none},
		{"within another property", sdo("tool", `"name":"x","x_more":{"description":"y"}`), none},
		{"on a custom type", `{"type":"x-thing","id":"x-thing--` + uuid + `","description":"y"}`, context},
		{"of another kind", `{"type":"x-thing","id":"x-thing--` + uuid + `","description":["y"],"content":1,"report_types":"z"}`, none},
		{"confidence", sdo("tool", `"name":"x","confidence":80`), Facets{Confidence: 80}},
		{"no confidence", sdo("tool", `"name":"x","confidence":0`), none},
		{"confidence of a custom type", `{"type":"x-thing","id":"x-thing--` + uuid + `","confidence":100}`, Facets{Confidence: 100}},
		{"person", sdo("identity", `"name":"x","identity_class":"individual"`), Facets{Person: true}},
		{"organisation", sdo("identity", `"name":"x","identity_class":"organization"`), none},
		{"person of another type", `{"type":"x-thing","id":"x-thing--` + uuid + `","identity_class":"individual"}`, none},
		{"class", sdo("tool", `"name":"x","labels":["c2","entente-class:criminal"]`), Facets{Declared: protocol.Criminal}},
		{"classes", sdo("tool", `"name":"x","labels":["entente-class:military","entente-class:operational"]`), Facets{Declared: protocol.Military | protocol.Operational}},
		{"no such class", sdo("tool", `"name":"x","labels":["entente-class:operationnal"]`), Facets{Declared: protocol.UnknownClass}},
		{"class without a word", sdo("tool", `"name":"x","labels":["entente-class:"]`), Facets{Declared: protocol.UnknownClass}},
		{"class in capitals", sdo("tool", `"name":"x","labels":["entente-class:Operational"]`), Facets{Declared: protocol.UnknownClass}},
		{"class within a word", sdo("tool", `"name":"x","labels":["my-entente-class:criminal"]`), none},
		{"class as an escape", sdo("tool", `"name":"x","labels":["entente\u002dclass:racial"]`), Facets{Declared: protocol.Racial}},
	} {
		if o := parseText(t, c.text); o.Facets != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, o.Facets, c.want)
		}
	}
}

func TestInherent(t *testing.T) {
	for text, want := range map[string]protocol.Class{
		sdo("identity", `"name":"x","identity_class":"individual"`): protocol.PersonalData,
		sdo("identity", `"name":"x","identity_class":"group"`):      0,
		sco("user-account", `"user_id":"root"`):                     protocol.PersonalData,
		sco("email-message", `"is_multipart":false`):                protocol.PersonalData,
		sco("email-addr", `"value":"a@example.com"`):                0,
	} {
		if got := parseText(t, text).Inherent(); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// TestPAP is the table of definitions of PAP, and of what comes near to one.
func TestPAP(t *testing.T) {
	own := id("marking-definition")
	for _, c := range []struct {
		name, properties string
		want             protocol.PAP
		problem          string
	}{
		{"as a level", `"name":"PAP:RED","definition_type":"pap","definition":{"pap":"red"}`, protocol.PAPRed, ""},
		{"as a label", `"definition_type":"PAP","definition":{"PAP":"PAP:AMBER"}`, protocol.PAPAmber, ""},
		{"by its name", `"name":"pap:green","definition_type":"PAP","definition":{}`, protocol.PAPGreen, ""},
		{"with another name", `"name":"House rule","definition_type":"PAP","definition":{"pap":"clear"}`, protocol.PAPClear, ""},
		{"the older word", `"definition_type":"PAP","definition":{"pap":"WHITE"}`, protocol.PAPClear, ""},
		{"as a statement", `"definition_type":"statement","definition":{"statement":" pap:amber "}`, protocol.PAPAmber, ""},
		{"a statement about it", `"definition_type":"statement","definition":{"statement":"see PAP:RED"}`, protocol.NoPAP, ""},
		{"no level", `"definition_type":"PAP","definition":{"pap":"pink"}`, protocol.NoPAP, "is of a scheme that is not known"},
		{"no text", `"definition_type":"PAP","definition":{"pap":3}`, protocol.NoPAP, "is of a scheme that is not known"},
		{"nothing", `"definition_type":"PAP","definition":{}`, protocol.NoPAP, "is of a scheme that is not known"},
		{"two levels", `"definition_type":"PAP","definition":{"pap":"red","PAP":"green"}`, protocol.NoPAP, "is of a scheme that is not known"},
		{"another name", `"name":"PAP:GREEN","definition_type":"PAP","definition":{"pap":"red"}`, protocol.NoPAP, "is of a scheme that is not known"},
		{"something beside", `"definition_type":"PAP","definition":{"pap":"red","until":"2027"}`, protocol.NoPAP, "is of a scheme that is not known"},
		{"an extension", `"definition_type":"PAP","definition":{"pap":"red"},"extensions":{"` + id("extension-definition") + `":{"a":1}}`, protocol.NoPAP, "is of a scheme that is not known"},
		{"TLP beside", `"definition_type":"PAP","definition":{"pap":"red","x":"TLP:CLEAR"}`, protocol.NoPAP, "is forged"},
	} {
		d := parseText(t, definitionOf(own, c.properties))
		o := parseText(t, sdo("tool", `"name":"x","object_marking_refs":["`+MarkingID(protocol.Green)+`","`+own+`"]`))
		if o.Level = LevelOf(o, nil); o.Level.Awaits != own {
			t.Errorf("%s: does not wait for its definition: %+v", c.name, o.Level)
		}
		level := LevelOf(o, func(id string) *Object {
			if id == own {
				return d
			}
			return nil
		})
		if level.PAP != c.want || level.Marking != protocol.Green || (level.Problem == "") != (c.problem == "") || !strings.Contains(level.Problem, c.problem) {
			t.Errorf("%s: %+v, want %v, %q", c.name, level, c.want, c.problem)
		}
		if d.Level.PAP != protocol.NoPAP {
			t.Errorf("%s: the definition bears the level that it defines", c.name)
		}
	}
}

// TestHighestPAP has an object with several levels, which come to the highest,
// and whose level goes down again when a definition is replaced.
func TestHighestPAP(t *testing.T) {
	low, high := NewID("marking-definition", [16]byte{1}), NewID("marking-definition", [16]byte{2})
	held := map[string]*Object{}
	for id, level := range map[string]string{low: "green", high: "amber"} {
		held[id] = parseText(t, definitionOf(id, `"definition_type":"PAP","definition":{"pap":"`+level+`"}`))
	}
	o := parseText(t, sdo("tool", `"name":"x","object_marking_refs":["`+high+`","`+low+`"]`))
	find := func(id string) *Object { return held[id] }
	if o.Level = LevelOf(o, find); o.Level.PAP != protocol.PAPAmber || o.Level.Problem != "" {
		t.Errorf("%+v", o.Level)
	}
	held[high] = parseText(t, definitionOf(high, `"definition_type":"PAP","definition":{"pap":"clear"}`))
	if o.Level = LevelOf(o, find); o.Level.PAP != protocol.PAPGreen {
		t.Errorf("asked again: %+v", o.Level)
	}
}
