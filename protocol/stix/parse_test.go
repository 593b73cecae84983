package stix

import (
	"strings"
	"testing"
	"time"

	"entente/protocol"
)

// uuid ends the ids of the tests.
const uuid = "9c1f5b2e-6d4a-4f0b-8a31-5e7d2c90b8f4"

// sdo makes an object with the common properties and the given ones.
func sdo(objectType, properties string) string {
	return `{"type":"` + objectType + `","spec_version":"2.1","id":"` + objectType + `--` + uuid +
		`","created":"2026-01-02T03:04:05.678Z","modified":"2026-01-02T03:04:05.678Z"` + more(properties) + `}`
}

// sco makes a cyber-observable.
func sco(objectType, properties string) string {
	return `{"type":"` + objectType + `","spec_version":"2.1","id":"` + objectType + `--` + uuid + `"` + more(properties) + `}`
}

func more(properties string) string {
	if properties == "" {
		return ""
	}
	return "," + properties
}

// id makes the id of another object.
func id(objectType string) string { return objectType + "--0b7e4a52-31c9-4d6f-b2a8-7f5c1d3e9a60" }

const (
	indicator = `"pattern":"[ipv4-addr:value = '198.51.100.1']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z"`
	observed  = `"first_observed":"2026-01-01T00:00:00Z","last_observed":"2026-01-01T00:00:01Z","number_observed":1`
)

// TestRules goes through the rules of STIX 2.1. An empty refusal means that the
// object is taken; else the error must hold it.
func TestRules(t *testing.T) {
	relation := `"relationship_type":"uses","source_ref":"` + id("malware") + `","target_ref":"` + id("tool") + `"`
	marking := `"object_marking_refs":["` + id("marking-definition") + `"]`
	for _, c := range []struct{ name, text, refusal string }{
		// Section 3: what all objects have.
		{"plain", sdo("tool", `"name":"x"`), ""},
		{"no type", `{"id":"tool--` + uuid + `"}`, `property "type" is required`},
		{"type in other case", `{"Type":"tool","id":"tool--` + uuid + `"}`, `property "Type" must be written "type"`},
		{"type no string", `{"type":1}`, `property "type" must be a string, not a number`},
		{"type malformed", `{"type":"X_y","id":"X_y--` + uuid + `"}`, `lower-case letters, digits and single hyphens`},
		{"type with two hyphens", sdo("x--y", ""), `property "type" must be`},
		{"no id", `{"type":"tool"}`, `property "id" is required`},
		{"id without UUID", `{"type":"tool","id":"tool--1"}`, `property "id" must be "tool"--UUID`},
		{"id in upper case", `{"type":"tool","id":"tool--` + strings.ToUpper(uuid) + `"}`, `property "id" must be`},
		{"id of another type", `{"type":"tool","id":"malware--` + uuid + `"}`, `property "id" is of type "malware", the object of type "tool"`},
		{"no spec_version", strings.Replace(sdo("tool", `"name":"x"`), `"spec_version":"2.1",`, "", 1), "STIX 2.0 objects, which have none, are not taken; convert to 2.1"},
		{"spec_version 2.0", strings.Replace(sdo("tool", `"name":"x"`), "2.1", "2.0", 1), "STIX 2.0 objects are not taken"},
		{"spec_version 3", strings.Replace(sdo("tool", `"name":"x"`), "2.1", "3.0", 1), "must be 2.1"},
		{"observable without spec_version", strings.Replace(sco("url", `"value":"x"`), `"spec_version":"2.1",`, "", 1), ""},
		{"no created", strings.Replace(sdo("tool", `"name":"x"`), `"created"`, `"x_created"`, 1), `property "created" is required`},
		{"no modified", strings.Replace(sdo("tool", `"name":"x"`), `"modified"`, `"x_modified"`, 1), `property "modified" is required`},
		{"modified before created", strings.Replace(sdo("tool", `"name":"x"`), `"modified":"2026`, `"modified":"2025`, 1), "is earlier than created"},
		{"time with offset", strings.Replace(sdo("tool", `"name":"x"`), `678Z`, `678+00:00`, 1), "must be a time in UTC"},
		{"time without seconds", sdo("campaign", `"name":"x","first_seen":"2026-01-01T00:00Z"`), "must be a time in UTC"},
		{"time that is none", sdo("campaign", `"name":"x","first_seen":"2026-02-29T00:00:00Z"`), "must be a time in UTC"},
		{"leap day", sdo("campaign", `"name":"x","first_seen":"2024-02-29T00:00:00.123456789012Z"`), ""},
		{"creator", sdo("tool", `"name":"x","created_by_ref":"`+id("identity")+`"`), ""},
		{"creator of another type", sdo("tool", `"name":"x","created_by_ref":"`+id("tool")+`"`), `property "created_by_ref" must lead to identity, not to "tool" (STIX 2.1 section 3.2)`},
		{"creator no id", sdo("tool", `"name":"x","created_by_ref":"me"`), `property "created_by_ref" must be an id`},
		{"revoked text", sdo("tool", `"name":"x","revoked":"true"`), `property "revoked" must be true or false, not a string`},
		{"confidence", sdo("tool", `"name":"x","confidence":100`), ""},
		{"confidence too high", sdo("tool", `"name":"x","confidence":101`), "it must be from 0 to 100"},
		{"confidence fraction", sdo("tool", `"name":"x","confidence":1.5`), "must be a whole number"},
		{"labels empty", sdo("tool", `"name":"x","labels":[]`), `property "labels" is an empty list`},
		{"label no string", sdo("tool", `"name":"x","labels":["a",null]`), `property "labels[1]" must be a string, not null`},
		{"lang empty", sdo("tool", `"name":"x","lang":""`), `property "lang" is empty`},
		{"external reference", sdo("tool", `"name":"x","external_references":[{"source_name":"a","external_id":"b","hashes":{"MD5":"`+strings.Repeat("a", 32)+`"}}]`), ""},
		{"external reference without source", sdo("tool", `"name":"x","external_references":[{"url":"b"}]`), `"external_references[0].source_name" is required (STIX 2.1 section 3.2)`},
		{"external reference that tells nothing", sdo("tool", `"name":"x","external_references":[{"source_name":"b"}]`), `needs description, url or external_id`},
		{"kill chain", sdo("tool", `"name":"x","kill_chain_phases":[{"kill_chain_name":"a","phase_name":"b"},{"kill_chain_name":"a"}]`), `"kill_chain_phases[1].phase_name" is required`},
		{"marking", sdo("tool", `"name":"x",`+marking), ""},
		{"marking of another type", sdo("tool", `"name":"x","object_marking_refs":["`+id("tool")+`"]`), `property "object_marking_refs[0]" must lead to marking-definition`},
		{"markings no list", sdo("tool", `"name":"x","object_marking_refs":"`+id("marking-definition")+`"`), "must be a list, not a string"},
		{"markings twice", sdo("tool", marking+`,"name":"x",`+marking), `property "object_marking_refs" stands twice`},
		{"markings twice, escaped", sdo("tool", marking+`,"name":"x",`+strings.Replace(marking, "object", `\u006fbject`, 1)), `property "object_marking_refs" stands twice`},
		{"markings in other case", sdo("tool", marking+`,"name":"x",`+strings.Replace(marking, "object_marking", "Object_Marking", 1)), `"Object_Marking_refs" differs from object_marking_refs in case only`},
		{"markings in folded letters", sdo("tool", `"name":"x","object_mar`+"\u212a"+`ing_refs":[]`), `differs from object_marking_refs in case only`},
		{"long s", sdo("tool", `"name":"x","label`+"\u017f"+`":[]`), `differs from labels in case only`},
		{"granular", sdo("tool", `"name":"x","granular_markings":[{"selectors":["name"],"marking_ref":"`+id("marking-definition")+`"}]`), ""},
		{"granular with language", sdo("tool", `"name":"x","granular_markings":[{"selectors":["name"],"lang":"de"}]`), ""},
		{"granular of both", sdo("tool", `"name":"x","granular_markings":[{"selectors":["name"],"lang":"de","marking_ref":"`+id("marking-definition")+`"}]`), "has both marking_ref and lang"},
		{"granular of none", sdo("tool", `"name":"x","granular_markings":[{"selectors":["name"]}]`), "needs marking_ref or lang"},
		{"granular without selectors", sdo("tool", `"name":"x","granular_markings":[{"lang":"de"}]`), `"granular_markings[0].selectors" is required`},
		{"granular selector no string", sdo("tool", `"name":"x","granular_markings":[{"selectors":["name",1],"lang":"de"}]`), `"granular_markings[0].selectors[1]" must be a string`},
		{"granular in other case", sdo("tool", `"name":"x","granular_markings":[{"selectors":["name"],"lang":"de","Marking_Ref":"x"}]`), "is no name of a property"},
		{"extension", sdo("tool", `"name":"x","extensions":{"`+id("extension-definition")+`":{"extension_type":"property-extension","a":1}}`), ""},
		{"extension type", sdo("tool", `"name":"x","extensions":{"`+id("extension-definition")+`":{"extension_type":"new"}}`), "must be one of new-sdo, new-sco"},
		{"extension under another id", sdo("tool", `"name":"x","extensions":{"`+id("tool")+`":{}}`), "another type than extension-definition"},
		{"extension no object", sdo("tool", `"name":"x","extensions":{"a-ext":1}`), `must be an object, not a number`},
		{"extensions empty", sdo("tool", `"name":"x","extensions":{}`), "is an empty dictionary"},
		{"custom property", sdo("tool", `"name":"x","x_any":{"Deep":[1,{"a":null}]}`), ""},
		{"custom property malformed", sdo("tool", `"name":"x","x-any":1`), "has a name that STIX does not allow"},
		{"custom type", sdo("x-any", `"anything":[]`), ""},
		{"custom observable", sco("x-any", `"value":1`), ""},
		{"custom type of 2.0", strings.Replace(sdo("x-any", ""), `"spec_version":"2.1",`, "", 1), "STIX 2.0 objects"},
		{"bundle", `{"type":"bundle","id":"bundle--` + uuid + `","objects":[]}`, "a bundle stands where an object should"},
		{"MISP event", `{"Event":{"id":"1"}}`, "this looks like a MISP event"},
		{"null for a property", sdo("tool", `"name":null`), `property "name" must be a string, not null (STIX 2.1 section 4.18)`},

		// Section 4: domain objects.
		{"attack-pattern", sdo("attack-pattern", ""), `property "name" is required (STIX 2.1 section 4.1)`},
		{"campaign ends before", sdo("campaign", `"name":"x","first_seen":"2026-01-02T00:00:00Z","last_seen":"2026-01-01T00:00:00Z"`), `"last_seen" is earlier than first_seen`},
		{"grouping", sdo("grouping", `"context":"x","object_refs":["`+id("tool")+`"]`), ""},
		{"grouping without context", sdo("grouping", `"object_refs":["`+id("tool")+`"]`), `"context" is required`},
		{"identity", sdo("identity", `"name":"x","identity_class":"any word"`), ""},
		{"indicator", sdo("indicator", indicator), ""},
		{"indicator without valid_from", sdo("indicator", `"pattern":"x","pattern_type":"yara"`), `indicator--` + uuid + `: property "valid_from" is required (STIX 2.1 section 4.7)`},
		{"indicator without end", sdo("indicator", indicator+`,"valid_until":"2026-01-01T00:00:00Z"`), `"valid_until" must be later than valid_from`},
		{"indicator without pattern", sdo("indicator", `"pattern":"","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z"`), `"pattern" is empty`},
		{"indicator with a broken pattern", sdo("indicator", strings.Replace(indicator, "]", "", 1)), ""},
		{"location by region", sdo("location", `"region":"northern-europe"`), ""},
		{"location of nothing", sdo("location", `"name":"x"`), `"region" is required, or country`},
		{"location with half", sdo("location", `"latitude":1`), "and longitude go together"},
		{"location off the world", sdo("location", `"latitude":91,"longitude":0`), "from -90 to 90"},
		{"location off the world, east", sdo("location", `"latitude":0,"longitude":-180.5`), "from -180 to 180"},
		{"location precise about nothing", sdo("location", `"region":"x","precision":1`), "needs latitude and longitude"},
		{"malware", sdo("malware", `"is_family":false`), ""},
		{"malware without is_family", sdo("malware", `"name":"x"`), `"is_family" is required`},
		{"family without name", sdo("malware", `"is_family":true`), `"name" is required where is_family is true`},
		{"malware sample", sdo("malware", `"is_family":false,"sample_refs":["`+id("url")+`"]`), "must lead to artifact or file"},
		{"analysis", sdo("malware-analysis", `"product":"x","result":"benign"`), ""},
		{"analysis without result", sdo("malware-analysis", `"product":"x"`), `"result" is required, or analysis_sco_refs`},
		{"note", sdo("note", `"content":"x","object_refs":["`+id("x-any")+`"]`), ""},
		{"note on nothing", sdo("note", `"content":"x"`), `"object_refs" is required`},
		{"note on an empty list", sdo("note", `"content":"x","object_refs":[]`), "is an empty list"},
		{"observed-data", sdo("observed-data", observed+`,"object_refs":["`+id("url")+`"]`), ""},
		{"observed-data of a domain object", sdo("observed-data", observed+`,"object_refs":["`+id("tool")+`"]`), "must lead to"},
		{"observed-data without", sdo("observed-data", observed), `"object_refs" is required, or objects`},
		{"observed-data of 0", sdo("observed-data", strings.Replace(observed, ":1", ":0", 3)+`,"objects":{"0":{}}`), "from 1 to 999999999"},
		{"opinion", sdo("opinion", `"opinion":"agree","object_refs":["`+id("tool")+`"]`), ""},
		{"opinion of another word", sdo("opinion", `"opinion":"meh","object_refs":["`+id("tool")+`"]`), "must be one of strongly-disagree, disagree"},
		{"report", sdo("report", `"name":"x","published":"2026-01-01T00:00:00Z","object_refs":["`+id("tool")+`"]`), ""},
		{"report without date", sdo("report", `"name":"x","object_refs":["`+id("tool")+`"]`), `"published" is required`},

		// Section 5: relationship objects.
		{"relationship", sdo("relationship", relation), ""},
		{"relationship to a relationship", sdo("relationship", strings.Replace(relation, "tool", "relationship", 1)), "must lead to a domain object or cyber-observable"},
		{"relationship without target", sdo("relationship", `"relationship_type":"uses","source_ref":"`+id("tool")+`"`), `"target_ref" is required`},
		{"relationship of odd type", sdo("relationship", strings.Replace(relation, "uses", "Uses it", 1)), "lower-case letters, digits and hyphens only"},
		{"relationship without end", sdo("relationship", relation+`,"start_time":"2026-01-01T00:00:00Z","stop_time":"2026-01-01T00:00:00.000Z"`), "must be later than start_time"},
		{"sighting", sdo("sighting", `"sighting_of_ref":"`+id("indicator")+`","count":0,"where_sighted_refs":["`+id("location")+`"]`), ""},
		{"sighting of an observable", sdo("sighting", `"sighting_of_ref":"`+id("url")+`"`), "must lead to a domain object"},
		{"sighting too often", sdo("sighting", `"sighting_of_ref":"`+id("indicator")+`","count":1000000000`), "from 0 to 999999999"},
	} {
		checkRule(t, c.name, c.text, c.refusal)
	}
}

func checkRule(t *testing.T, name, text, refusal string) {
	t.Helper()
	o, err := Parse([]byte(text), DefaultLimits())
	switch {
	case refusal == "" && err != nil:
		t.Errorf("%s: refused: %v", name, err)
	case refusal == "" && string(o.Raw) != text:
		t.Errorf("%s: the bytes changed", name)
	case refusal != "" && err == nil:
		t.Errorf("%s: taken, want %q", name, refusal)
	case refusal != "" && (!strings.Contains(err.Error(), refusal) || protocol.KindOf(err) != protocol.Invalid):
		t.Errorf("%s: %v (kind %v), want %q", name, err, protocol.KindOf(err), refusal)
	}
}

func TestObservableRules(t *testing.T) {
	md5 := strings.Repeat("d", 32)
	for _, c := range []struct{ name, text, refusal string }{
		{"artifact", sco("artifact", `"payload_bin":"AAEC"`), ""},
		{"artifact elsewhere", sco("artifact", `"url":"https://example.com/x","hashes":{"MD5":"`+md5+`"}`), ""},
		{"artifact elsewhere unproved", sco("artifact", `"url":"https://example.com/x"`), `"hashes" is required with url`},
		{"artifact of nothing", sco("artifact", `"mime_type":"a/b"`), `"payload_bin" is required, or url`},
		{"artifact not base64", sco("artifact", `"payload_bin":"AAE"`), "must be base64"},
		{"artifact with odd cipher", sco("artifact", `"payload_bin":"AAEC","encryption_algorithm":"rot13"`), "must be one of AES-256-GCM"},
		{"autonomous-system", sco("autonomous-system", `"number":64496`), ""},
		{"autonomous-system as text", sco("autonomous-system", `"number":"64496"`), "must be a whole number, not a string"},
		{"directory", sco("directory", `"path":"/a","contains_refs":["`+id("file")+`"]`), ""},
		{"directory of urls", sco("directory", `"path":"/a","contains_refs":["`+id("url")+`"]`), "must lead to directory or file"},
		{"domain-name", sco("domain-name", `"value":"example.com","resolves_to_refs":["`+id("ipv4-addr")+`"]`), ""},
		{"domain-name resolves to a file", sco("domain-name", `"value":"example.com","resolves_to_refs":["`+id("file")+`"]`), "must lead to"},
		{"domain-name without", sco("domain-name", ""), `"value" is required (STIX 2.1 section 6.4)`},
		{"email-message", sco("email-message", `"is_multipart":false,"body":"x"`), ""},
		{"email-message in parts with body", sco("email-message", `"is_multipart":true,"body":"x"`), `"body" must not be there`},
		{"email-message whole with parts", sco("email-message", `"is_multipart":false,"body_multipart":[{}]`), `"body_multipart" must not be there`},
		{"file by name", sco("file", `"name":"x"`), ""},
		{"file by hash", sco("file", `"hashes":{"SHA-256":"`+md5+md5+`","SSDEEP":"3:a:b","odd_name":"x"}`), ""},
		{"file by nothing", sco("file", `"size":1`), `"hashes" is required, or name`},
		{"file with short hash", sco("file", `"hashes":{"MD5":"ab"}`), "must be 32 hexadecimal digits"},
		{"file without hashes", sco("file", `"hashes":{}`), "is an empty dictionary"},
		{"file of negative size", sco("file", `"name":"x","size":-1`), "must not be negative"},
		{"file with odd magic", sco("file", `"name":"x","magic_number_hex":"abc"`), "bytes in hexadecimal"},
		{"archive without content", sco("file", `"name":"x","extensions":{"archive-ext":{"comment":"x"}}`), `"extensions.archive-ext.contains_refs" is required`},
		{"mutex", sco("mutex", ""), `"name" is required`},
		{"network-traffic", sco("network-traffic", `"protocols":["tcp"],"src_ref":"`+id("ipv6-addr")+`","dst_port":65535`), ""},
		{"network-traffic from nowhere", sco("network-traffic", `"protocols":["tcp"]`), `"src_ref" is required, or dst_ref`},
		{"network-traffic without protocols", sco("network-traffic", `"src_ref":"`+id("ipv6-addr")+`"`), `"protocols" is required`},
		{"network-traffic to port", sco("network-traffic", `"protocols":["tcp"],"src_ref":"`+id("ipv6-addr")+`","dst_port":65536`), "from 0 to 65535"},
		{"network-traffic over and active", sco("network-traffic", `"protocols":["tcp"],"src_ref":"`+id("ipv6-addr")+`","end":"2026-01-01T00:00:00Z","is_active":true`), "must be false where end is there"},
		{"socket", sco("network-traffic", `"protocols":["tcp"],"src_ref":"`+id("ipv6-addr")+`","extensions":{"socket-ext":{"address_family":"AF_ANY"}}`), "must be one of AF_UNSPEC"},
		{"process", sco("process", `"pid":1`), ""},
		{"process of nothing", sco("process", `"defanged":false`), "at least one property of process is required (STIX 2.1 section 6.13)"},
		{"process by extension", sco("process", `"extensions":{"windows-process-ext":{"owner_sid":"x"}}`), ""},
		{"user-account of nothing", sco("user-account", ""), "at least one property"},
		{"registry key of nothing", sco("windows-registry-key", ""), "at least one property"},
		{"registry value", sco("windows-registry-key", `"key":"hklm\\x","values":[{"name":"a","data_type":"REG_ODD"}]`), `"values[0].data_type" must be one of`},
		{"certificate of nothing", sco("x509-certificate", ""), "at least one property"},
		{"certificate", sco("x509-certificate", `"serial_number":"02:ab"`), ""},
		{"language-content", sdo("language-content", `"object_ref":"`+id("tool")+`","contents":{"de":{"name":"x"}}`), ""},
		{"language-content of nothing", sdo("language-content", `"contents":{"de":{"name":"x"}}`), `"object_ref" is required (STIX 2.1 section 7.1)`},
		{"extension-definition", sdo("extension-definition", `"created_by_ref":"`+id("identity")+`","name":"x","schema":"x","version":"1","extension_types":["new-sdo"]`), ""},
		{"extension-definition by nobody", sdo("extension-definition", `"name":"x","schema":"x","version":"1","extension_types":["new-sdo"]`), `"created_by_ref" is required`},
		{"extension-definition of another kind", sdo("extension-definition", `"created_by_ref":"`+id("identity")+`","name":"x","schema":"x","version":"1","extension_types":["new"]`), "must be one of new-sdo"},
	} {
		checkRule(t, c.name, c.text, c.refusal)
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct{ text, property string }{
		{sco("ipv4-addr", `"value":"2001:db8::1"`), "value"},
		{sco("ipv6-addr", `"value":"nowhere"`), "value"},
		{sco("mac-addr", `"value":"02-00-5E-00-53-01"`), "value"},
		{sco("url", `"value":"x","modified":"2026-01-01T00:00:00Z"`), "modified"},
		{sco("file", `"hashes":{"sha-256":"ab"}`), "hashes.sha-256"},
		{sdo("tool", `"name":"x","extensions":{"odd":{}}`), "extensions.odd"},
		{sdo("tool", `"name":"x","x_other_ref":"nobody"`), "x_other_ref"},
		{strings.Replace(sdo("tool", `"name":"x"`), "-4f0b-8a31", "-0f0b-8a31", 1), "id"},
	} {
		o, err := Parse([]byte(c.text), DefaultLimits())
		if err != nil {
			t.Errorf("%s: %v", c.property, err)
		} else if len(o.Warnings) != 1 || o.Warnings[0].Property != c.property {
			t.Errorf("%s: warnings %v", c.property, o.Warnings)
		}
	}
}

func TestObject(t *testing.T) {
	text := sdo("malware", `"is_family":true,"name":"Ex\u0061mple","revoked":true,"labels":["a","\u0062"],"created_by_ref":"`+id("identity")+`"`)
	o, err := Parse([]byte(text), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	when := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	if o.ID != "malware--"+uuid || o.Type != "malware" || o.Kind != SDO || !o.Created.Equal(when) || !o.Version().Equal(when) ||
		o.CreatedBy != id("identity") || !o.Revoked || o.Name != "Example" || strings.Join(o.Labels, " ") != "a b" || len(o.Refs) != 0 {
		t.Errorf("%+v", o)
	}
	for _, c := range []struct {
		text, name, key string
		kind            Kind
	}{
		{sco("ipv4-addr", `"value":"198.51.100.1"`), "198.51.100.1", "ip:198.51.100.1", SCO},
		{sco("autonomous-system", `"number":64496`), "AS64496", "asn:64496", SCO},
		{sco("mutex", `"name":"m"`), "m", "mutex:m", SCO},
		{sco("file", `"name":"a.exe","hashes":{"MD5":"`+strings.Repeat("D", 32)+`"}`), "a.exe", "hash:" + strings.Repeat("d", 32), SCO},
		{sco("user-account", `"user_id":"7","account_login":"root"`), "root", "other:account:root", SCO},
		{sdo("indicator", indicator+`,"name":"n"`), "n", "ip:198.51.100.1", SDO},
		{sdo("relationship", `"relationship_type":"uses","source_ref":"`+id("malware")+`","target_ref":"`+id("tool")+`"`), "", "", SRO},
		{sdo("x-any", `"name":"n"`), "n", "", Custom},
		{string(PredefinedMarkings()[MarkingID(protocol.Red)]), "TLP:RED", "", Meta},
	} {
		o, err := Parse([]byte(c.text), DefaultLimits())
		if err != nil {
			t.Error(err)
			continue
		}
		if o.Name != c.name || o.Kind != c.kind {
			t.Errorf("%s: name %q, kind %d", o.Type, o.Name, o.Kind)
		}
		if keys := o.Keys(); c.key != "" && (len(keys) == 0 || keys[0].String() != c.key && keys[len(keys)-1].String() != c.key) {
			t.Errorf("%s: keys %v, want %s", o.Type, keys, c.key)
		}
	}
}

func TestRefs(t *testing.T) {
	tool, file := id("tool"), id("file")
	for _, c := range []struct {
		name, text string
		want       []Ref
	}{
		{"relationship", sdo("relationship", `"relationship_type":"uses","source_ref":"`+tool+`","target_ref":"`+file+`","x_a_ref":"`+tool+`"`),
			[]Ref{{"source_ref", tool, false}, {"target_ref", file, false}, {"x_a_ref", tool, true}}},
		{"sighting", sdo("sighting", `"sighting_of_ref":"`+tool+`","observed_data_refs":["`+id("observed-data")+`"]`),
			[]Ref{{"sighting_of_ref", tool, false}, {"observed_data_refs[0]", id("observed-data"), false}}},
		{"note", sdo("note", `"content":"x","object_refs":["`+tool+`","`+file+`"]`),
			[]Ref{{"object_refs[0]", tool, false}, {"object_refs[1]", file, false}}},
		{"observed-data", sdo("observed-data", observed+`,"object_refs":["`+file+`"]`), []Ref{{"object_refs[0]", file, false}}},
		{"file", sco("file", `"name":"x","parent_directory_ref":"`+id("directory")+`","extensions":{"archive-ext":{"contains_refs":["`+file+`"]}}`),
			[]Ref{{"parent_directory_ref", id("directory"), true}, {"extensions.archive-ext.contains_refs[0]", file, true}}},
		{"custom", sdo("x-any", `"x_list":[{"Other_Ref":"`+tool+`","note":"`+tool+`"}],"x_refs":["`+file+`"],"x_\u0072ef":"`+file+`"`),
			[]Ref{{"x_list[0].Other_Ref", tool, true}, {"x_refs[0]", file, true}, {"x_ref", file, true}}},
		{"nothing", sdo("x-any", `"x_none_ref":""`), []Ref{{"x_none_ref", "", true}}},
		{"dictionary", sco("process", `"environment_variables":{"MY_REF":"x","OTHER_REF":"`+tool+`"}`),
			[]Ref{{"environment_variables.OTHER_REF", tool, true}}},
		{"exempt", sdo("tool", `"name":"x","created_by_ref":"`+id("identity")+`","object_marking_refs":["`+MarkingID(protocol.Red)+
			`"],"granular_markings":[{"selectors":["name"],"marking_ref":"`+MarkingID(protocol.Red)+`"}]`), nil},
	} {
		o, err := Parse([]byte(c.text), DefaultLimits())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		same := len(o.Refs) == len(c.want)
		for i := 0; same && i < len(c.want); i++ {
			same = o.Refs[i] == c.want[i]
		}
		if !same {
			t.Errorf("%s: %+v, want %+v", c.name, o.Refs, c.want)
		}
	}
}
