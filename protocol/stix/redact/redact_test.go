package redact_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"entente/protocol/stix"
	"entente/protocol/stix/redact"
)

const (
	heads    = `"spec_version":"2.1","created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z",`
	someUUID = "11111111-1111-4111-8111-111111111111"
	ownName  = "identity--aaaaaaaa-1111-4111-8111-111111111111"
)

// object writes an object of a type, with an id that n tells apart.
func object(kind string, n int, rest string) string {
	common := heads
	if k := kind; k == "ipv4-addr" || k == "url" || k == "file" || k == "process" || k == "domain-name" || k == "user-account" || k == "email-addr" || k == "email-message" ||
		k == "network-traffic" || k == "artifact" || k == "mac-addr" || k == "ipv6-addr" {
		common = ""
	}
	return fmt.Sprintf(`{"type":%q,"id":"%s--%d1111111-1111-4111-8111-111111111111",%s%s}`, kind, kind, n, common, rest)
}

func id(kind string, n int) string {
	return fmt.Sprintf("%s--%d1111111-1111-4111-8111-111111111111", kind, n)
}

func things(t *testing.T, words string) redact.Things {
	t.Helper()
	out, err := redact.ParseThings(strings.Fields(words))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func plan(held ...string) *redact.Plan {
	var p *redact.Plan
	p = redact.New(redact.Config{
		Secret: [32]byte{7}, Agreement: "one", Transform: "t", Limits: stix.DefaultLimits(),
		Bound: func(id string) bool { return id == ownName }, Mine: func(id string) bool { return id == ownName },
		Held: func(id string) bool {
			for _, h := range held {
				if p.ID(h) == id {
					return true
				}
			}
			return false
		},
	})
	return p
}

func run(t *testing.T, p *redact.Plan, task redact.Task, raws ...string) redact.Batch {
	t.Helper()
	var items []redact.Item
	for _, raw := range raws {
		items = append(items, redact.Item{Object: parse(t, []byte(raw)), Task: task})
	}
	return p.Batch(items)
}

// TestTexts holds what is found in texts, and what is left alone.
func TestTexts(t *testing.T) {
	for _, c := range []struct{ things, text, want string }{
		{"internal-addresses", "10.1.2.3 1.2.3.4 172.16.0.1 172.32.0.1 192.168.1.1:443 169.254.1.1", "REDACTED 1.2.3.4 REDACTED 172.32.0.1 REDACTED:443 REDACTED"},
		{"internal-addresses", "net 10.0.0.0/8 of fd00::1 and fe80::1%eth0, not 2001:db8::1", "net REDACTED of REDACTED and REDACTED, not 2001:db8::1"},
		{"internal-addresses", "v1.10.0.0.5x 010.001.002.003", "v1.REDACTEDx REDACTED"},
		{"internal-addresses", "from ip-10-0-0-5.ec2 to 00:1a:2b:3c:4d:5e", "from REDACTED.ec2 to REDACTED"},
		{"internal-addresses", "5.0.0.10.in-addr.arpa 8.8.8.8.in-addr.arpa", "REDACTED 8.8.8.8.in-addr.arpa"},
		{"internal-addresses", "http://0x0a000001/ http://167772161/ http://134744072/", "http://REDACTED/ http://REDACTED/ http://134744072/"},
		{"internal-names", "db.corp.local www.example.org NAS.LAN locally", "REDACTED www.example.org REDACTED locally"},
		{"internal-names", `http://intranet/x \\files\share https://localhost/`, `http://REDACTED/x \\REDACTED\share https://localhost/`},
		{"users", `C:\Users\Jane Doe\a.exe C:\Users\Public\a.exe /home/jane/x`, `C:\Users\REDACTED\a.exe C:\Users\Public\a.exe /home/REDACTED/x`},
		{"users", `S-1-5-21-1004336348-1177238915-682003330-512 S-1-5-18`, `REDACTED S-1-5-18`},
		{"users", `%SystemDrive%\Users\$u\x runas /user:CORP\jane cmd`, `%SystemDrive%\Users\$u\x runas /user:REDACTED cmd`},
		{"recipients", "to jane@example.org, <joe@example.com>", "to REDACTED, <REDACTED>"},
		{"accounts", "DE89 3704 0044 0532 0130 00 and DE00 3704 0044 0532 0130 00", "REDACTED and DE00 3704 0044 0532 0130 00"},
		{"accounts", "card 4111-1111-1111-1111, order 4111-1111-1111-1112", "card REDACTED, order 4111-1111-1111-1112"},
		{"credentials", "https://u:p@h.example/?token=abc&x=1 https://h.example/?x=1", "https://REDACTED@h.example/?token=REDACTED&x=1 https://h.example/?x=1"},
		{"credentials", "Authorization: Basic dTpw\nCookie: a=b", "Authorization: REDACTED\nCookie: REDACTED"},
		{"credentials", "mysql --password hunter2 db; password: hunter3", "mysql --password REDACTED db; password: REDACTED"},
		{"credentials", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", "REDACTED"},
		{"credentials", "a -----BEGIN RSA PRIVATE KEY----- x y", "a REDACTED"},
		{"internal-addresses", "10[.]1[.]2[.]3 10%2E1%2E2%2E3 10%252E1%252E2%252E3 １０.1.2.3", "REDACTED REDACTED REDACTED REDACTED"},
		{"internal-addresses", "powershell -e aABvAHMAdAAgADEAMAAuADEALgAyAC4AMwA=", "powershell -e REDACTED"},
		{"internal-addresses", "a note of nothing", "a note of nothing"},
	} {
		raw, err := json.Marshal(c.text)
		if err != nil {
			t.Fatal(err)
		}
		o := run(t, plan(), redact.Task{Redact: things(t, c.things)}, object("tool", 1, `"name":"x","description":`+string(raw))).Outcomes[0]
		if o.Object == nil {
			t.Errorf("%s: %q was refused: %s", c.things, c.text, o.Why)
			continue
		}
		var got struct{ Description string }
		if err := json.Unmarshal(o.Object.Raw, &got); err != nil || got.Description != c.want {
			t.Errorf("%s: %q became\n%q, should be\n%q", c.things, c.text, got.Description, c.want)
		}
		if changed := c.text != c.want; changed != (o.From != "") {
			t.Errorf("%q: changed is %v", c.text, o.From != "")
		}
	}
}

// TestPatterns holds what becomes of the pattern of an indicator.
func TestPatterns(t *testing.T) {
	for _, c := range []struct{ pattern, redacted, masked string }{
		{"[ipv4-addr:value = '10.0.0.1']", "gone", "[ipv4-addr:value = '240."},
		{"[ipv4-addr:value = '10.0.0.1' OR url:value = 'x://y.example']", "[url:value = 'x://y.example']", "OR url:value"},
		{"[ipv4-addr:value = '10.0.0.1' AND url:value = 'x://y.example']", "gone", "AND url:value"},
		{"[ipv4-addr:value = '10.0.0.1'] OR [url:value = 'x://y.example']", "[url:value = 'x://y.example']", "OR [url:value"},
		{"[ipv4-addr:value IN ('10.0.0.1', '8.8.8.8')]", "[ipv4-addr:value IN ('8.8.8.8')]", "'8.8.8.8')]"},
		{"[ipv4-addr:value NOT IN ('10.0.0.1', '8.8.8.8')]", "refused", "'8.8.8.8')]"},
		{"[ipv4-addr:value != '10.0.0.1']", "refused", "!= '2"},
		{"[ipv4-addr:value ISSUBSET '192.168.0.0/16' OR ipv4-addr:value = '8.8.8.8']", "[ipv4-addr:value = '8.8.8.8']", "ISSUBSET '2"},
		{"[ipv4-addr:value LIKE '10.%' OR ipv4-addr:value = '8.8.8.8']", "[ipv4-addr:value = '8.8.8.8']", "[ipv4-addr:value = '8.8.8.8']"},
		{`[ipv4-addr:value MATCHES '^192\\.168\\.']`, "gone", "gone"},
		{"[domain-name:value = 'dc' OR domain-name:value = 'dc.corp' OR domain-name:value = 'evil.example']", "[domain-name:value = 'evil.example']", ".invalid' OR domain-name:value = 'evil.example'"},
		{`[process:command_line = 'x /user:jane' OR file:name = 'x']`, "[file:name = 'x']", "/user:user-"},
		{`[user-account:account_login = 'jane' OR file:name = 'x']`, "[file:name = 'x']", "'user-"},
		{`[email-message:to_refs[*].value = 'a@b.example' OR email-addr:value = 'bad@evil.example']`, "[email-addr:value = 'bad@evil.example']", "@pseudonym.invalid' OR email-addr:value = 'bad@evil.example'"},
		{"[url:value = 'x://y.example'] /* seen on 10.0.0.1 */", "[url:value = 'x://y.example']", "[url:value = 'x://y.example']"},
		{"[artifact:payload_bin = b'aG9zdCAxMC4wLjAuMQ==' OR file:name = 'x']", "[file:name = 'x']", "[file:name = 'x']"},
		{"[process:environment_variables.'10.0.0.1' = 'x']", "refused", "refused"},
		{"[not a pattern", "refused", "refused"},
	} {
		raw, err := json.Marshal(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		all := things(t, "internal-addresses internal-names users recipients")
		for want, task := range map[string]redact.Task{"r " + c.redacted: {Redact: all}, "m " + c.masked: {Pseudonymise: all}} {
			o := run(t, plan(), task, object("indicator", 1, `"pattern":`+string(raw)+`,"pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z"`)).Outcomes[0]
			got := "refused"
			switch {
			case o.Object != nil:
				var read struct{ Pattern string }
				if err := json.Unmarshal(o.Object.Raw, &read); err != nil {
					t.Fatal(err)
				}
				got = read.Pattern
				if _, err := stix.ParsePattern(got); err != nil {
					t.Errorf("%s became %s: %v", c.pattern, got, err)
				}
			case o.Gone != 0:
				got = "gone"
			}
			mode, text, _ := strings.Cut(want, " ")
			if text == "[ipv4-addr:value = '240." {
				text = "[ipv4-addr:value = '2"
			}
			if mode == "r" && got != text || !strings.Contains(got, text) {
				t.Errorf("%s (%s) became %s, should be %s %s", c.pattern, mode, got, text, o.Why)
			}
		}
	}
}

// TestRefused holds what nobody can look into.
func TestRefused(t *testing.T) {
	for name, raw := range map[string]string{
		"a custom type":       object("x-thing", 1, `"a":"b"`),
		"an extension":        object("tool", 1, `"name":"x","extensions":{"extension-definition--`+someUUID+`":{"extension_type":"property-extension","a":"b"}}`),
		"a payload":           object("artifact", 1, `"payload_bin":"aGVsbG8="`),
		"a translation":       object("language-content", 1, `"object_ref":"`+id("tool", 1)+`","contents":{"de":{"name":"x"}}`),
		"a sigma rule":        object("indicator", 1, `"pattern":"title: x on 10.0.0.1","pattern_type":"sigma","valid_from":"2026-01-01T00:00:00Z"`),
		"a statement":         `{"type":"marking-definition","spec_version":"2.1","id":"marking-definition--` + someUUID + `","created":"2026-01-01T00:00:00.000Z","definition_type":"statement","definition":{"statement":"of 10.0.0.1"}}`,
		"a name of a value":   object("process", 1, `"environment_variables":{"10.0.0.1":"x"}`),
		"an object within it": object("observed-data", 1, `"first_observed":"2026-01-01T00:00:00Z","last_observed":"2026-01-01T00:00:00Z","number_observed":1,"objects":{"0":{"type":"ipv4-addr","value":"10.0.0.1"}}`),
	} {
		task := redact.Task{Redact: things(t, "internal-addresses")}
		if o := run(t, plan(), task, raw).Outcomes[0]; o.Object != nil || o.Why == "" {
			t.Errorf("%s was not refused: %+v", name, o)
		}
		if left := redact.Remains(parse(t, []byte(raw)), task, nil, nil); left.None() {
			t.Errorf("%s: a receiver takes it", name)
		}
	}
}

// TestFollowing holds what becomes of references: to what goes, to what changes, to
// what was changed before, and of markings of parts.
func TestFollowing(t *testing.T) {
	task := redact.Task{Redact: things(t, "internal-addresses")}
	hid := object("ipv4-addr", 1, `"value":"10.0.0.1"`)
	out := run(t, plan(id("tool", 9)), task,
		hid,
		object("ipv4-addr", 2, `"value":"8.8.8.8"`),
		object("network-traffic", 3, `"protocols":["tcp"],"src_ref":"`+id("ipv4-addr", 1)+`","dst_ref":"`+id("ipv4-addr", 2)+`"`),
		object("network-traffic", 4, `"protocols":["tcp"],"src_ref":"`+id("ipv4-addr", 1)+`"`),
		object("note", 5, `"content":"x","object_refs":["`+id("network-traffic", 4)+`"]`),
		object("relationship", 6, `"relationship_type":"related-to","source_ref":"`+id("tool", 9)+`","target_ref":"`+id("ipv4-addr", 2)+`"`),
		object("note", 7, `"content":"x","object_refs":["`+id("network-traffic", 3)+`"]`),
		object("note", 8, `"content":"x","object_refs":["`+id("ipv4-addr", 2)+`"]`),
	).Outcomes
	for i, want := range []string{"gone", "same", "new", "gone", "gone", "new", "new", "same"} {
		got := "new"
		switch {
		case out[i].Object == nil:
			got = "gone"
		case out[i].From == "":
			got = "same"
		}
		if got != want {
			t.Errorf("object %d is %s, should be %s: %+v", i+1, got, want, out[i])
		}
	}
	p := plan()
	if to := out[5].Object.Refs[0].Target; to != p.ID(id("tool", 9)) {
		t.Errorf("what was published before is referred to as %s", to)
	}
	if to := out[6].Object.Refs[0].Target; to != out[2].Object.ID {
		t.Errorf("what changed is referred to as %s", to)
	}
	marked := object("tool", 1, `"name":"x","description":"10.0.0.1","aliases":["a"],"labels":["b"],"granular_markings":[{"marking_ref":"marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1","selectors":["description"]},{"marking_ref":"marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421","selectors":["labels.[0]","name"]}]`)
	o := run(t, plan(), redact.Task{Redact: things(t, "free-text")}, marked).Outcomes[0]
	if got := string(o.Object.Raw); !strings.Contains(got, `"granular_markings":[{"marking_ref":"marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421","selectors":["name"]}]`) {
		t.Errorf("the marks of parts became %s", got)
	}
}

// TestPeople holds victims, senders, recipients and the source.
func TestPeople(t *testing.T) {
	own := `{"type":"identity","id":"` + ownName + `",` + heads + `"name":"Our Bank","identity_class":"organization","sectors":["financial-services"]}`
	sighting := object("sighting", 1, `"created_by_ref":"`+ownName+`","sighting_of_ref":"`+id("tool", 1)+`","where_sighted_refs":["`+ownName+`"],"description":"x"`)
	out := run(t, plan(), redact.Task{Redact: redact.Victims}, own, sighting)
	if out.Outcomes[0].From != "" || len(out.Twins) != 1 {
		t.Fatalf("an own identity became %+v and %d twins", out.Outcomes[0], len(out.Twins))
	}
	twin, made := string(out.Twins[0].Object.Raw), string(out.Outcomes[1].Object.Raw)
	if strings.Contains(twin, "Our Bank") || !strings.Contains(twin, "financial-services") || !strings.Contains(made, `"where_sighted_refs":["`+out.Twins[0].Object.ID) || !strings.Contains(made, `"created_by_ref":"`+ownName) {
		t.Errorf("the twin is %s, the sighting %s", twin, made)
	}
	if left := redact.Remains(parse(t, []byte(sighting)), redact.Task{Redact: redact.Victims}, func(s string) bool { return s == ownName }, nil); left.Things != redact.Victims {
		t.Errorf("a victim that is a party remains unseen: %+v", left)
	}
	out = run(t, plan(), redact.Task{Unattributed: true}, own, sighting, object("note", 3, `"content":"By Our Bank","authors":["Jane"],"object_refs":["`+id("tool", 1)+`"]`))
	for _, o := range out.Outcomes {
		if s := string(o.Object.Raw); strings.Contains(s, "Our") || strings.Contains(s, "Jane") || strings.Contains(s, ownName) || strings.Contains(s, "created_by_ref") || o.From == "" {
			t.Errorf("the source is told by %s", s)
		}
	}
	mail := []string{object("email-addr", 1, `"value":"bad@evil.example","display_name":"Evil One"`), object("email-addr", 2, `"value":"jane@bank.example"`),
		object("email-message", 3, `"is_multipart":false,"from_ref":"`+id("email-addr", 1)+`","to_refs":["`+id("email-addr", 2)+`"],"received_lines":["for jane@bank.example"],"additional_header_fields":{"Reply-To":"jane@bank.example"}`)}
	got := run(t, plan(), redact.Task{Redact: redact.Recipients}, mail...).Outcomes
	if got[0].Object == nil || got[1].Gone != redact.Recipients || strings.Contains(string(got[2].Object.Raw), "jane") || strings.Contains(string(got[2].Object.Raw), "to_refs") || !strings.Contains(string(got[2].Object.Raw), "from_ref") {
		t.Errorf("mail became %+v", got)
	}
	got = run(t, plan(), redact.Task{Pseudonymise: redact.Recipients}, mail...).Outcomes
	if !strings.Contains(string(got[1].Object.Raw), "@pseudonym.invalid") || !strings.Contains(string(got[2].Object.Raw), got[1].Object.ID) {
		t.Errorf("mail under pseudonyms became %s and %s", got[1].Object.Raw, got[2].Object.Raw)
	}
}

// TestVersions: versions keep the id, and a version in which nothing is found goes
// by the id of those in which something was.
func TestVersions(t *testing.T) {
	task := redact.Task{Redact: redact.InternalAddresses}
	first, second := object("tool", 1, `"name":"10.0.0.1"`), strings.Replace(object("tool", 1, `"name":"clean"`), `"modified":"2026-01-01`, `"modified":"2026-01-02`, 1)
	both := run(t, plan(), task, second, first).Outcomes
	alone := run(t, plan(id("tool", 1)), task, second).Outcomes
	if both[0].Object.ID != both[1].Object.ID || alone[0].Object.ID != both[0].Object.ID {
		t.Errorf("versions go by %s, %s and %s", both[0].Object.ID, both[1].Object.ID, alone[0].Object.ID)
	}
	if fresh := run(t, plan(), task, second).Outcomes[0]; fresh.From != "" {
		t.Errorf("what tells nothing became %s", fresh.Object.ID)
	}
}

// TestCorners holds places in which something could hide.
func TestCorners(t *testing.T) {
	for name, raw := range map[string]string{
		"an odd reference":   object("tool", 1, `"name":"x","x_a":{"some_ref":"10.0.0.1","more_refs":["tool--`+someUUID+`","10.0.0.1"]}`),
		"a member of a mark": object("tool", 1, `"name":"x","granular_markings":[{"lang":"en","selectors":["name"],"note":"10.0.0.1"}]`),
		"a selector":         object("tool", 1, `"name":"x","granular_markings":[{"lang":"en","selectors":["10.0.0.1"]}]`),
		"a kill chain":       object("tool", 1, `"name":"x","kill_chain_phases":[{"kill_chain_name":"10.0.0.1","phase_name":"x","note":"10.0.0.1"}]`),
		"a document":         object("file", 1, `"name":"x","extensions":{"pdf-ext":{"document_info_dict":{"Author":"10.0.0.1"}}}`),
		"a language":         object("tool", 1, `"name":"x","lang":"10.0.0.1"`),
	} {
		for _, task := range []redact.Task{{Redact: redact.InternalAddresses}, {Redact: redact.InternalAddresses | redact.FreeText}, {Pseudonymise: redact.InternalAddresses | redact.Users}} {
			o := run(t, plan(), task, raw).Outcomes[0]
			if o.Object != nil && strings.Contains(string(o.Object.Raw), "10.0.0.1") {
				t.Errorf("%s: %s", name, o.Object.Raw)
			}
			if redact.Remains(parse(t, []byte(raw)), task, nil, nil).None() {
				t.Errorf("%s: a receiver takes it under %+v", name, task)
			}
		}
	}
}

func TestWords(t *testing.T) {
	if _, err := redact.ParseThings([]string{"victims", "source"}); err == nil {
		t.Error("source is no thing of an agreement")
	}
	for _, bad := range [][2]string{{"10.0.0.0/40", ""}, {"240.0.0.0/8", ""}, {"x", ""}, {"", "a b"}, {"", ""}} {
		if _, err := redact.ParseInternal([]string{bad[0]}, []string{bad[1]}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
