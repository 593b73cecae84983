package stix

import (
	"bytes"
	"strings"
	"testing"

	"entente/protocol"
)

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{ "b" : 1.0, "a" : [ 1e2, "\u0041\/" ] }`, `{"a":[100,"A/"],"b":1}`},
		{"{\"\u20ac\":1,\"\\r\":2,\"\ufb33\":3,\"1\":4,\"\U0001f600\":5,\"\u0080\":6,\"\u00f6\":7}",
			"{\"\\r\":2,\"1\":4,\"\u0080\":6,\"\u00f6\":7,\"\u20ac\":1,\"\U0001f600\":5,\"\ufb33\":3}"},
		{`[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001,-0]`, `[333333333.3333333,1e+30,4.5,0.002,1e-27,0]`},
	} {
		got, err := Canonical([]byte(c.text))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v", c.text, got, err)
		}
	}
	for _, text := range []string{``, `{"a":1,"a":1}`, `9007199254740993`, "\"\xff\"", `{"a":1}x`, strings.Repeat("[", 1000)} {
		if got, err := Canonical([]byte(text)); err == nil {
			t.Errorf("%q: %s", text, got)
		} else if kind := protocol.KindOf(err); kind != protocol.Invalid && kind != protocol.Limit {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestContentHash(t *testing.T) {
	one, err := ContentHash([]byte(`{"a":1,"b":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	two, err := ContentHash([]byte("{\n\t\"b\": \"\\u0078\", \"a\": 1.0 }"))
	if err != nil || one != two {
		t.Errorf("two writings of one content differ: %v", err)
	}
	if three, _ := ContentHash([]byte(`{"a":2,"b":"x"}`)); three == one {
		t.Error("two contents have one hash")
	}
}

// TestDeterministicID holds known answers: the first two are what the producers
// in the field write, the others come from a second implementation. The
// examples in STIX 2.1 section 6 are older than its rule and do not follow it.
func TestDeterministicID(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"type":"ipv4-addr","value":"198.51.100.3"}`,
			"ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"},
		{`{"value":"example.com","id":"x","type":"domain-name"}`,
			"domain-name--bedb4899-d24b-5401-bc86-8f6b4cc18ec7"},
		{`{"type":"url","value":"https://example.com/research/index.html"}`,
			"url--47c3cf9a-5027-5bf0-997a-017c7edc7c55"},
		{`{"type":"mac-addr","value":"d2:fb:49:24:37:18"}`,
			"mac-addr--757b1725-9903-54f5-a855-1240691d7659"},
		{`{"type":"mutex","name":"__CLEANSWEEP__"}`,
			"mutex--f93fe911-e545-5239-b9b0-597840d0c871"},
		{`{"type":"autonomous-system","number":15139,"name":"Slime Industries"}`,
			"autonomous-system--3aa27478-50b5-5ab8-9da9-cdc12b657fff"},
		{`{"type":"directory","path":"C:\\Windows\\System32"}`,
			"directory--0a58d0c1-59e6-5afd-8252-dcd3f13e5622"},
		{`{"type":"email-addr","value":"john@example.com","display_name":"John Doe"}`,
			"email-addr--7165e2a9-671f-585d-b1e1-ca59c671d934"},
		{`{"type":"email-message","is_multipart":false,"subject":"Hi","body":"x","from_ref":"email-addr--2d77a846-6264-5d51-b586-e43822ea1ea3"}`,
			"email-message--96227946-5a2c-5bc1-94a3-2bd24ad5b74b"},
		{`{"type":"software","name":"Word","cpe":"cpe:2.3:a:microsoft:word:2000:*:*:*:*:*:*:*","swid":"s","version":"2002","vendor":"Microsoft","languages":["en"]}`,
			"software--636811b6-91f5-58c8-8953-ee6252c86809"},
		{`{"type":"network-traffic","src_ref":"ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4","src_port":24678,"protocols":["tcp"],"is_active":false}`,
			"network-traffic--376cae09-1d83-5896-82bd-01dadc41d5e4"},
		{`{"type":"user-account","user_id":"1001","account_type":"unix","account_login":"jdoe","is_disabled":false}`,
			"user-account--f94d689e-707d-58c3-b803-c720bb6ed096"},
		{`{"type":"windows-registry-key","key":"hkey_local_machine\\system","values":[{"data":"qwerty","name":"Foo","data_type":"REG_SZ"}]}`,
			"windows-registry-key--9c188777-d055-568c-9793-2ab82f269bba"},
		{`{"type":"x509-certificate","serial_number":"36:f7","issuer":"C=ZA"}`,
			"x509-certificate--523001db-9d41-58eb-99c9-f940c79385c2"},
		{`{"type":"artifact","payload_bin":"AAEC"}`,
			"artifact--0ee0b25c-01ef-5f88-8656-b37c0219dc3b"},
	} {
		got, err := DeterministicID([]byte(c.text))
		if err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", c.text, got, err, c.want)
		}
	}
	same := func(a, b string) bool {
		one, err := DeterministicID([]byte(a))
		if err != nil {
			t.Fatal(err)
		}
		two, err := DeterministicID([]byte(b))
		if err != nil {
			t.Fatal(err)
		}
		return one == two
	}
	if !same(`{"type":"file","hashes":{"SHA-256":"b","MD5":"a"}}`, `{"type":"file","hashes":{"MD5":"a"},"size":1}`) {
		t.Error("of several hashes MD5 does not decide alone")
	}
	if !same(`{"type":"file","hashes":{"ZZZ":"b","AAA":"a"}}`, `{"type":"file","hashes":{"AAA":"a"}}`) {
		t.Error("of unknown hashes the first by name does not decide alone")
	}
	if same(`{"type":"file","name":"a"}`, `{"type":"file","name":"a","hashes":{"MD5":"a"}}`) {
		t.Error("the name alone decides")
	}
	for _, text := range []string{`{"type":"process","pid":1}`, `{"type":"tool","name":"x"}`, `{"type":"url"}`, `{"value":"x"}`, `[]`, `{`} {
		if got, err := DeterministicID([]byte(text)); protocol.KindOf(err) != protocol.Invalid {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}

func TestNewID(t *testing.T) {
	id := NewID("bundle", [16]byte{0xff, 1, 2, 3, 4, 5, 0xff, 7, 0xff})
	if id != "bundle--ff010203-0405-4f07-bf00-000000000000" || !isID([]byte(id)) || !uuidVariant([]byte(id)) {
		t.Error(id)
	}
}

func FuzzCanonical(f *testing.F) {
	for _, text := range []string{`{"b":1.0,"a":[1e2,"\u0041"]}`, `[0.1,-0,1e-7,1e21]`, "\"\\ud83d\\ude00\"", `{"type":"url","value":"x"}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		DeterministicID(text)
		before := bytes.Clone(text)
		once, err := Canonical(text)
		if !bytes.Equal(before, text) {
			t.Fatal("the input changed")
		}
		if err != nil {
			return
		}
		twice, err := Canonical(once)
		if err != nil && !strings.Contains(err.Error(), "RFC 7493") || err == nil && !bytes.Equal(once, twice) {
			t.Fatalf("%s: %s, then %s, %v", text, once, twice, err)
		}
	})
}
