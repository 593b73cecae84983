package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"

	"entente/protocol/stix"
	"entente/protocol/stix/redact"
)

// hidden are values to be hidden, one of each thing.
type hidden struct{ address, host, user, victim, mail, account, secret string }

func (h hidden) of(t redact.Things) []string {
	var out []string
	for thing, value := range map[redact.Things]string{
		redact.InternalAddresses: h.address, redact.InternalNames: h.host, redact.Users: h.user, redact.Victims: h.victim,
		redact.Recipients: h.mail, redact.Accounts: h.account, redact.Credentials: h.secret,
	} {
		if t&thing != 0 {
			out = append(out, value)
		}
	}
	return out
}

func drawHidden(t *rapid.T) hidden {
	word := func(label string) string { return rapid.StringMatching(`[a-z]{5,9}[0-9]{2}`).Draw(t, label) }
	return hidden{
		address: fmt.Sprintf("10.%d.%d.%d", rapid.IntRange(20, 255).Draw(t, "b"), rapid.IntRange(20, 255).Draw(t, "c"), rapid.IntRange(20, 255).Draw(t, "d")),
		host:    word("host") + ".corp.example", user: word("user"), victim: "Victim " + word("victim"),
		mail: word("mail") + "@people.example", account: rapid.SampledFrom([]string{"DE89370400440532013000", "GB82WEST12345698765432", "4111111111111111"}).Draw(t, "account"),
		secret: word("secret"),
	}
}

// coded writes a text in one of the ways in which it is found.
func coded(t *rapid.T, text, label string) string {
	switch rapid.IntRange(0, 5).Draw(t, label) {
	case 1:
		var b strings.Builder
		for i := range len(text) {
			fmt.Fprintf(&b, "%%%02X", text[i])
		}
		return b.String()
	case 2:
		return base64.StdEncoding.EncodeToString([]byte("this is it: " + text + " and no more"))
	case 3:
		var wide []byte
		for _, u := range utf16.Encode([]rune("this is it: " + text + " and no more")) {
			wide = append(wide, byte(u), byte(u>>8))
		}
		return base64.StdEncoding.EncodeToString(wide)
	case 4:
		return strings.ToUpper(text)
	case 5:
		return strings.NewReplacer(".", "[.]", "@", "[at]", "http", "hxxp").Replace(text)
	}
	return text
}

// reveals reports whether bytes tell a value, however it is written.
func reveals(raw []byte, value string) bool {
	texts := []string{string(raw)}
	if plain, err := url.PathUnescape(regexp.MustCompile(`%([^0-9A-Fa-f]|$)`).ReplaceAllString(string(raw), "$1")); err == nil {
		texts = append(texts, plain)
	}
	for _, run := range regexp.MustCompile(`[A-Za-z0-9+/]{12,}`).FindAllString(string(raw), -1) {
		if data, err := base64.RawStdEncoding.DecodeString(run[:len(run)/4*4]); err == nil {
			texts = append(texts, string(data), strings.ReplaceAll(string(data), "\x00", ""))
		}
	}
	for _, text := range texts {
		text = strings.NewReplacer("[.]", ".", "[at]", "@").Replace(strings.ToLower(text))
		if strings.Contains(text, strings.ToLower(value)) {
			return true
		}
	}
	return false
}

// inputs are objects that tell the hidden values in all sorts of places.
func inputs(t *rapid.T, h hidden) []string {
	phrase := func(label string) string {
		choice := []string{"at " + h.address + " here", "on " + h.host + ", later", `ran C:\Users\` + h.user + `\a.exe`, "/home/" + h.user + "/.ssh", "found at " + h.victim + " today",
			"mail to " + h.mail + " went", "pay " + h.account + " now", "https://op:" + h.secret + "@evil.example/x", "GET /?password=" + h.secret + "&x=1", "nothing at all"}
		text := rapid.SampledFrom(choice).Draw(t, label)
		words := strings.Fields(text)
		for i := range words {
			if strings.ContainsAny(words[i], "0123456789") && !strings.Contains(text, h.victim) {
				words[i] = coded(t, words[i], label+" coded")
			}
		}
		return strings.Join(words, " ")
	}
	quote := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	id := func(kind string, n int) string { return fmt.Sprintf("%s--%08d-1111-4111-8111-111111111111", kind, n) }
	sdo := func(kind string, n int, rest string) string {
		return fmt.Sprintf(`{"type":%q,"spec_version":"2.1","id":%q,"created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z",%s}`, kind, id(kind, n), rest)
	}
	sco := func(kind string, n int, rest string) string {
		return fmt.Sprintf(`{"type":%q,"id":%q,%s}`, kind, id(kind, n), rest)
	}
	all := []string{
		sdo("identity", 1, `"name":`+quote(h.victim)+`,"identity_class":"organization","contact_information":`+quote(phrase("contact"))),
		sdo("indicator", 2, `"name":`+quote(phrase("name"))+`,"description":`+quote(phrase("description"))+`,"pattern":`+quote("[ipv4-addr:value = '"+h.address+"' OR domain-name:value = '"+h.host+"' OR url:value LIKE '%evil%' OR user-account:user_id = '"+h.user+"' OR email-message:to_refs[*].value = '"+h.mail+"']")+`,"pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z","x_seen":`+quote(phrase("custom"))),
		sdo("relationship", 3, `"relationship_type":"targets","source_ref":"`+id("indicator", 2)+`","target_ref":"`+id("identity", 1)+`","description":`+quote(phrase("relation"))),
		sdo("note", 4, `"content":`+quote(phrase("content"))+`,"authors":[`+quote(phrase("author"))+`],"object_refs":["`+id("indicator", 2)+`","`+id("ipv4-addr", 5)+`"]`),
		sco("ipv4-addr", 5, `"value":`+quote(h.address)),
		sco("domain-name", 6, `"value":`+quote(h.host)+`,"resolves_to_refs":["`+id("ipv4-addr", 5)+`"]`),
		sco("user-account", 7, `"account_login":`+quote(h.user)+`,"credential":`+quote(h.secret)),
		sco("email-addr", 8, `"value":`+quote(h.mail)),
		sco("email-message", 9, `"is_multipart":false,"to_refs":["`+id("email-addr", 8)+`"],"subject":`+quote(phrase("subject"))+`,"body":`+quote(phrase("body"))+`,"additional_header_fields":{"Delivered-To":[`+quote(h.mail)+`]}`),
		sco("process", 10, `"command_line":`+quote(phrase("command"))+`,"environment_variables":{"USERNAME":`+quote(h.user)+`,"DB_PASSWORD":`+quote(h.secret)+`},"creator_user_ref":"`+id("user-account", 7)+`"`),
		sco("file", 11, `"name":`+quote(phrase("file"))+`,"hashes":{"MD5":"d41d8cd98f00b204e9800998ecf8427e"},"extensions":{"ntfs-ext":{"sid":`+quote(phrase("sid"))+`}}`),
		sco("windows-registry-key", 12, `"key":`+quote(phrase("key"))+`,"values":[{"name":"x","data":`+quote(phrase("data"))+`,"data_type":"REG_SZ"}]`),
		sco("url", 13, `"value":`+quote("https://op:"+h.secret+"@"+h.host+"/users/"+h.user+"/x")),
		sdo("observed-data", 14, `"first_observed":"2026-01-01T00:00:00Z","last_observed":"2026-01-01T00:00:00Z","number_observed":1,"object_refs":["`+id("ipv4-addr", 5)+`","`+id("url", 13)+`"]`),
		sdo("report", 15, `"name":`+quote(phrase("report"))+`,"published":"2026-01-01T00:00:00Z","object_refs":["`+id("indicator", 2)+`","`+id("identity", 1)+`"],"external_references":[{"source_name":"tickets","url":`+quote("https://"+h.host+"/1")+`,"description":`+quote(phrase("reference"))+`}],"labels":[`+quote(phrase("label"))+`]`),
		sdo("sighting", 16, `"sighting_of_ref":"`+id("indicator", 2)+`","where_sighted_refs":["`+id("identity", 1)+`"]`),
	}
	return rapid.Permutation(all).Draw(t, "order")[:rapid.IntRange(1, len(all)).Draw(t, "count")]
}

func parse(t interface{ Fatalf(string, ...any) }, raw []byte) *stix.Object {
	o, err := stix.Parse(raw, stix.DefaultLimits())
	if err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return o
}

// TestNothingRemains: whatever is asked for, nothing of it is in what comes out,
// which is valid, clean to a receiver, and stays as it is when it is done again.
func TestNothingRemains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHidden(t)
		task := redact.Task{Redact: redact.Things(rapid.IntRange(0, 255).Draw(t, "redact")), Unattributed: rapid.Bool().Draw(t, "unattributed")}
		task.Pseudonymise = redact.Things(rapid.IntRange(0, 255).Draw(t, "pseudonymise"))
		var secret [32]byte
		copy(secret[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "secret"))
		in, err := redact.ParseInternal(nil, []string{"corp.example"})
		if err != nil {
			t.Fatal(err)
		}
		config := redact.Config{Secret: secret, Agreement: "one", Transform: "t", Internal: in, Limits: stix.DefaultLimits()}
		plan := redact.New(config)
		var items []redact.Item
		named := false
		for _, raw := range inputs(t, h) {
			named = named || strings.Contains(raw, `"type":"identity"`)
			items = append(items, redact.Item{Object: parse(t, []byte(raw)), Task: task})
		}
		config.Agreement = "two"
		other := redact.New(config).Batch(items)
		var again []redact.Item
		ids := map[string]bool{}
		for i, o := range plan.Batch(items).Outcomes {
			if o.Object == nil {
				if o.Why != "" {
					t.Fatalf("%s was not transformed: %s", items[i].Object.Raw, o.Why)
				}
				continue
			}
			ids[o.Object.ID] = true
			parse(t, o.Object.Raw)
			for _, value := range h.of(task.Redact | task.Pseudonymise) {
				if value == h.victim && !named {
					continue // nobody knows that this is a name
				}
				// A mail address is what a pattern or an email-addr is about, unless it got mail.
				if value == h.mail && items[i].Object.Type == "email-addr" && o.From == "" {
					continue
				}
				if reveals(o.Object.Raw, value) {
					t.Fatalf("%s tells %s\nwas %s", o.Object.Raw, value, items[i].Object.Raw)
				}
			}
			if left := redact.Remains(o.Object, task, nil, nil); !left.None() {
				t.Fatalf("%+v remains in %s", left, o.Object.Raw)
			}
			if two := other.Outcomes[i]; o.From != "" && two.Object != nil && two.Object.ID == o.Object.ID {
				t.Fatalf("two agreements know %s", o.Object.ID)
			}
			if o.From != "" && (!plan.Made(o.Object.ID) || plan.ID(o.From) != o.Object.ID) {
				t.Fatalf("%s is not the plan's", o.Object.ID)
			}
			again = append(again, redact.Item{Object: o.Object, Task: task})
		}
		for i, o := range plan.Batch(again).Outcomes {
			if o.Object == nil || !bytes.Equal(o.Object.Raw, again[i].Object.Raw) {
				t.Fatalf("done again, %s became %+v", again[i].Object.Raw, o)
			}
			for _, r := range o.Object.Refs {
				for _, was := range items {
					if r.Target == was.Object.ID && !ids[r.Target] {
						t.Fatalf("%s still refers to %s", o.Object.Raw, r.Target)
					}
				}
			}
		}
	})
}

// FuzzBatch: whatever is read, nothing panics, and what comes out is clean.
func FuzzBatch(f *testing.F) {
	f.Add([]byte(`{"type":"tool","spec_version":"2.1","id":"tool--11111111-1111-4111-8111-111111111111","created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z","name":"C:\\Users\\bob\\x 10.0.0.1 a%40b.example"}`), uint16(0xff), uint16(0), true)
	f.Add([]byte(`{"type":"indicator","spec_version":"2.1","id":"indicator--11111111-1111-4111-8111-111111111111","created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z","pattern":"[ipv4-addr:value IN ('10.0.0.1','1.1.1.1') AND NOT url:value MATCHES '^http://10\\\\.']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z","granular_markings":[{"lang":"en","selectors":["labels.[1]"]}],"labels":["x","y"]}`), uint16(0x7f), uint16(0x80), false)
	f.Add([]byte(`{"type":"observed-data","spec_version":"2.1","id":"observed-data--11111111-1111-4111-8111-111111111111","created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z","first_observed":"2026-01-01T00:00:00Z","last_observed":"2026-01-01T00:00:00Z","number_observed":1,"objects":{"0":{"type":"process","pid":1,"environment_variables":{"TOKEN":"x"}},"1":{"type":"network-traffic","src_ref":"0","protocols":["tcp"]}}}`), uint16(0), uint16(0xff), false)
	f.Fuzz(func(t *testing.T, raw []byte, take, instead uint16, unattributed bool) {
		o, err := stix.Parse(raw, stix.DefaultLimits())
		if err != nil {
			return
		}
		task := redact.Task{Redact: redact.Things(take & 0xff), Pseudonymise: redact.Things(instead & 0xff), Unattributed: unattributed}
		redact.Remains(o, task, nil, nil)
		plan := redact.New(redact.Config{Agreement: "one", Limits: stix.DefaultLimits()})
		for _, out := range plan.Batch([]redact.Item{{Object: o, Task: task}}).Outcomes {
			if out.Object == nil {
				continue
			}
			if left := redact.Remains(out.Object, task, nil, nil); !left.None() {
				t.Fatalf("%+v remains in %s", left, out.Object.Raw)
			}
		}
	})
}

// FuzzText puts any text into every place where text may stand: what comes out is
// clean, and doing it again changes nothing.
func FuzzText(f *testing.F) {
	for _, s := range []string{`C:\Users\bob\x 10.0.0.1 a%40b.example`, "http://u:p@10.1.1.1/?token=a", "fe80::1%eth0 [::ffff:10.0.0.1]", "DE89 3704 0044 0532 0130 00", "aHR0cDovL3VzZXI6cGFzc0BhLmV4YW1wbGUv",
		`\\srv01\share S-1-5-21-1-2-3-4`, "5.0.0.10.in-addr.arpa", "10[.]0[.]0[.]1 hxxp://x[.]local", "password: hunter2 Bearer abcdefghijkl", "１０.0.0.1", "net user bob secret", "/home/%62ob/x", "-----BEGIN PRIVATE KEY-----", `"' OR 10.0.0.1`} {
		f.Add(s, uint16(0xff), uint16(0), false)
		f.Add(s, uint16(0), uint16(0xff), true)
	}
	f.Fuzz(func(t *testing.T, text string, take, instead uint16, unattributed bool) {
		quoted, err := json.Marshal(text)
		if err != nil || len(text) > 4096 {
			return
		}
		pattern, _ := json.Marshal("[file:name = '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "' OR url:value = 'https://evil.example/' OR ipv4-addr:value MATCHES '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "']")
		task := redact.Task{Redact: redact.Things(take & 0xff), Pseudonymise: redact.Things(instead & 0xff), Unattributed: unattributed}
		plan := redact.New(redact.Config{Agreement: "one", Limits: stix.DefaultLimits()})
		const sdo = `"spec_version":"2.1","created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z",`
		var items []redact.Item
		for _, raw := range []string{
			`{"type":"indicator","id":"indicator--11111111-1111-4111-8111-111111111111",` + sdo + `"name":` + string(quoted) + `,"pattern":` + string(pattern) + `,"pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z","x_a":{"b":[` + string(quoted) + `]}}`,
			`{"type":"process","id":"process--11111111-1111-4111-8111-111111111111","command_line":` + string(quoted) + `,"environment_variables":{"USERNAME":` + string(quoted) + `,"A":` + string(quoted) + `}}`,
			`{"type":"url","id":"url--11111111-1111-4111-8111-111111111111","value":` + string(quoted) + `}`,
			`{"type":"domain-name","id":"domain-name--11111111-1111-4111-8111-111111111111","value":` + string(quoted) + `}`,
			`{"type":"user-account","id":"user-account--11111111-1111-4111-8111-111111111111","user_id":` + string(quoted) + `}`,
			`{"type":"identity","id":"identity--11111111-1111-4111-8111-111111111111",` + sdo + `"name":` + string(quoted) + `,"identity_class":` + string(quoted) + `}`,
		} {
			if o, err := stix.Parse([]byte(raw), stix.DefaultLimits()); err == nil {
				items = append(items, redact.Item{Object: o, Task: task})
			}
		}
		for _, o := range plan.Batch(items).Outcomes {
			if o.Object == nil {
				continue
			}
			if left := redact.Remains(o.Object, task, nil, nil); !left.None() {
				t.Fatalf("%+v remains in %s", left, o.Object.Raw)
			}
			if twice := plan.Batch([]redact.Item{{Object: o.Object, Task: task}}).Outcomes[0]; twice.Object == nil || !bytes.Equal(twice.Object.Raw, o.Object.Raw) {
				t.Fatalf("done again, %s became %+v", o.Object.Raw, twice)
			}
		}
	})
}
