package protocol

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// secretKey returns the key of a fixed seed, by a name.
func secretKey(name string) ed25519.PrivateKey {
	return NewKey(sha256.Sum256([]byte("entente test key " + name)))
}

func publicKey(name string) PublicKey { return PublicOf(secretKey(name)) }

// documentsStart is when the documents of the tests begin.
func documentsStart() time.Time { return time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC) }

// testRecord is the first record of a member with one node, not yet rendered.
func testRecord(who string) Record {
	from := documentsStart()
	return Record{
		Name: "The " + who + " of the tests", Handle: who, Version: 1, From: from, Until: from.AddDate(1, 0, 0), Root: publicKey(who + " root"),
		Operations: OperationsKey{Key: publicKey(who + " operations"), From: from, Until: from.AddDate(0, 0, 90)},
		Nodes: []NodeEntry{{Number: 1, Epoch: 1, Key: publicKey(who + " node"), Transport: publicKey(who + " transport"),
			Addresses: []string{"/dns4/" + who + ".example/tcp/4001", "/dns4/" + who + ".example/udp/4001/quic-v1"}}},
		Identities: []string{"identity--00000000-0000-4000-8000-" + hexOf([]byte((who + "      ")[:6]))},
		Contacts:   []string{"security@" + who + ".example"},
	}
}

// signedBy returns a document with signatures by the named keys, whose first
// word is the member's name.
func signedBy(kind DocumentType, payload []byte, keys ...string) Document {
	d := Document{Type: kind, Payload: payload}
	for _, k := range keys {
		who, _, _ := strings.Cut(k, " ")
		d.Signatures = append(d.Signatures, SignDocument(kind, payload, testMember(who).Member, secretKey(k)))
	}
	return d
}

// testMember returns the parsed first record of a member.
func testMember(who string) *Record {
	text, err := RenderRecord(testRecord(who))
	if err != nil {
		panic(err)
	}
	r, err := ParseRecord(text)
	if err != nil {
		panic(err)
	}
	return r
}

func mustRender(t testing.TB, r Record) []byte {
	t.Helper()
	text, err := RenderRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func mustAgreement(t testing.TB, text string) *Agreement {
	t.Helper()
	a, err := ParseAgreement([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// replaced returns the text with one passage replaced, which must be there.
func replaced(t testing.TB, text, from, to string) string {
	t.Helper()
	if !strings.Contains(text, from) {
		t.Fatalf("the text has no %q", from)
	}
	return strings.Replace(text, from, to, 1)
}

// testAgreement is version 1 of a private agreement of three.
func testAgreement() string {
	var parties strings.Builder
	for _, p := range []struct{ who, kind string }{{"bank", "company"}, {"vendor", "vendor"}, {"cert", "cert"}} {
		m := testMember(p.who)
		fmt.Fprintf(&parties, "  - handle: %s\n    name: %s\n    id: %s\n    root: %s\n    kind: %s\n    country: NL\n    roles: [reader]\n", p.who, m.Name, m.Member, m.Root, p.kind)
	}
	return `# An agreement of the tests.
kind: entente/agreement
format: 1
name: harbour-watch
title: Harbour Watch, against fraud in ports
version: 1
visibility: private
secret: ` + secretOf("one") + `
dates:
  from: 2026-12-01
  until: 2028-12-01T12:00:00Z
legal-basis:
  text: |
    Legitimate interest in network and information security,
    as the parties wrote down in their memorandum: "of this day".
  until: 2028-06-01
amend: 2
own-use: until-retention
community: The parties, and the operators of ports.
parties:
` + parties.String() + `topics:
  - name: indicators
    description: What to look for.
    default-marking: TLP:AMBER
  - name: incidents
clauses:
  - number: 1
    text: Every party may share what it knows of attacks with all the others.
    effect: permit
    topics: [indicators]
  - number: 2.1
    text: >
      Who was hit is told to the authorities alone,
      never to vendors.
    effect: forbid
    to:
      kinds: [vendor]
    topics: [indicators, incidents]
    types: [identity, x-loss]
    markings: [TLP:GREEN, TLP:AMBER+STRICT]
    from-date: 2027-01-01
    until-date: 2028-01-01
  - number: 2.2
    text: 'Incidents are shared between the bank and the CERT.'
    effect: permit
    from: {parties: [bank, cert], countries: [NL], roles: [reader]}
    to:
      parties:
        - cert
        - bank
    topics: [incidents]   # a comment
    max-marking: TLP:AMBER
`
}

func secretOf(name string) string { return Hash(sha256.Sum256([]byte("secret " + name))).String() }

func TestAgreementIsReadAsWritten(t *testing.T) {
	text := testAgreement()
	a := mustAgreement(t, text)
	if a.ID != AgreementID(sha256.Sum256([]byte(text))) || a.Hash != Hash(a.ID) {
		t.Errorf("id %s, hash %s: both are the SHA-256 of the bytes", a.ID, a.Hash)
	}
	if a.Name != "harbour-watch" || a.Version != 1 || a.Visibility != Private || a.Amend != 2 || len(a.Parties) != 3 || len(a.Topics) != 2 {
		t.Errorf("read %+v", a)
	}
	if got := a.LegalBasis.Text; got != "Legitimate interest in network and information security,\nas the parties wrote down in their memorandum: \"of this day\"." {
		t.Errorf("legal basis %q", got)
	}
	if !a.Until.Equal(time.Date(2028, 12, 1, 12, 0, 0, 0, time.UTC)) || !a.From.Equal(documentsStart()) {
		t.Errorf("dates %s to %s", a.From, a.Until)
	}
	if p := a.Parties[1]; p.Handle != "vendor" || p.ID != testMember("vendor").Member || p.Root != publicKey("vendor root") || p.Kind != "vendor" || p.Country != "NL" {
		t.Errorf("party %+v", p)
	}
	if a.Topics[0].Default != Amber || a.Topics[1].Default != NoMarking {
		t.Errorf("topics %+v", a.Topics)
	}
	c := a.Clauses[1]
	if c.Number != "2.1" || c.Permit || c.Text != "Who was hit is told to the authorities alone, never to vendors." ||
		!slices.Equal(c.Marks, []Marking{Green, AmberStrict}) || !slices.Equal(c.To.Kinds, []string{"vendor"}) ||
		!slices.Equal(c.Types, []string{"identity", "x-loss"}) || c.Starts.Year() != 2027 || c.Ends.Year() != 2028 {
		t.Errorf("clause %+v", c)
	}
	if lines := strings.Split(text, "\n"); !strings.HasPrefix(lines[c.Line-1], "  - number: 2.1") {
		t.Errorf("clause 2.1 is said to stand in line %d: %q", c.Line, lines[c.Line-1])
	}
	c = a.Clauses[2]
	if !c.Permit || c.Max != Amber || !slices.Equal(c.From.Parties, []string{"bank", "cert"}) || !slices.Equal(c.To.Parties, []string{"cert", "bank"}) {
		t.Errorf("clause %+v", c)
	}
}

func TestRecordIsReadAsRendered(t *testing.T) {
	want := testRecord("bank")
	want.Name = `Bank "of" \ the tests: [é], #1`
	text := mustRender(t, want)
	got, err := ParseRecord(text)
	if err != nil {
		t.Fatal(err)
	}
	want.Hash = sha256.Sum256(text)
	want.Member = MemberID(want.Hash)
	if fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", want) {
		t.Errorf("read\n%+v\nwant\n%+v", *got, want)
	}
	if again := mustRender(t, want); !bytes.Equal(again, text) {
		t.Error("the same record gave two texts")
	}
}

func TestRecordSignatures(t *testing.T) {
	text := mustRender(t, testRecord("bank"))
	if _, err := VerifyRecord(signedBy(RecordType, text, "bank root"), nil); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		d    Document
		kind Kind
	}{
		"nobody":           {signedBy(RecordType, text), Unverified},
		"another key":      {signedBy(RecordType, text, "bank operations"), Unverified},
		"as another type":  {Document{RecordType, text, signedBy(ProfileType, text, "bank root").Signatures}, BadSignature},
		"envelope's type":  {signedBy(ProfileType, text, "bank root"), Malformed},
		"of another text":  {Document{RecordType, text, signedBy(RecordType, append(text, '\n'), "bank root").Signatures}, BadSignature},
		"and also untrue":  {Document{RecordType, text, slices.Concat(signedBy(RecordType, nil, "bank root").Signatures, signedBy(RecordType, text, "bank root").Signatures)}, Other},
		"and of strangers": {signedBy(RecordType, text, "cert root", "bank root"), Other},
	} {
		if _, err := VerifyRecord(c.d, nil); KindOf(err) != c.kind || (c.kind == Other) != (err == nil) {
			t.Errorf("%s: %v is %s, want %s", name, err, KindOf(err), c.kind)
		}
	}
}

func TestAgreementNeedsItsThreshold(t *testing.T) {
	text := []byte(testAgreement())
	for _, c := range []struct {
		keys    []string
		missing int
		signed  int
	}{
		{nil, 2, 0},
		{[]string{"bank root"}, 1, 1},
		{[]string{"bank root", "bank root"}, 1, 1},
		{[]string{"bank root", "bank operations", "stranger root"}, 1, 1},
		{[]string{"bank root", "cert root"}, 0, 2},
		{[]string{"bank root", "cert root", "vendor root"}, 0, 3},
	} {
		st, err := VerifyAgreement(signedBy(AgreementType, text, c.keys...), nil)
		if err != nil {
			t.Fatal(err)
		}
		if st.Valid != (c.missing == 0) || st.Missing != c.missing || len(st.Signed) != c.signed || len(st.Unsigned) != 3-c.signed || st.Before != 0 {
			t.Errorf("signed by %v: %+v", c.keys, st)
		}
	}
	d := signedBy(AgreementType, text, "bank root", "cert root")
	d.Signatures[1].Bytes[3] ^= 1
	if _, err := VerifyAgreement(d, nil); KindOf(err) != BadSignature {
		t.Errorf("a false signature: %v", err)
	}
}

func TestKeysOnFile(t *testing.T) {
	key := secretKey("some")
	for _, role := range KeyRoles() {
		text := FormatSecretKey(role, key)
		got, err := ParseSecretKey(role, "# "+PublicOf(key).String()+"\r\n\n"+text)
		if err != nil || !got.Equal(key) {
			t.Errorf("%s: %v", role, err)
		}
		for _, other := range KeyRoles() {
			if other == role {
				continue
			}
			if _, err := ParseSecretKey(other, text); KindOf(err) != Invalid {
				t.Errorf("a %s key served as %s: %v", role, other, err)
			}
			if _, err := ParseSecretKey(other, strings.Replace(text, string(role), string(other), 1)); KindOf(err) != Invalid {
				t.Errorf("a %s key passed as %s under another word: %v", role, other, err)
			}
		}
		damaged := []byte(text)
		damaged[len(secretKeyPrefix)+len(role)+5] ^= 3
		if _, err := ParseSecretKey(role, string(damaged)); err == nil || strings.Contains(err.Error(), text[30:40]) {
			t.Errorf("a damaged key: %v", err)
		}
		if _, err := ParseSecretKey(role, text+text); KindOf(err) != Invalid {
			t.Errorf("two keys in a file: %v", err)
		}
	}
}

func TestWeakKeysAreRefused(t *testing.T) {
	for _, known := range strings.Fields(smallOrder) {
		for _, sign := range []byte{0, 0x80} {
			var k PublicKey
			copy(k[:], unhex(t, known))
			k[31] |= sign
			if _, err := ParsePublicKey(k.String()); err == nil {
				t.Errorf("%x was taken", k)
			}
		}
	}
	var beyond PublicKey
	for i := range beyond {
		beyond[i] = 0xff
	}
	beyond[0] = 0xee // the point with y = 1, written as p+1
	if _, err := ParsePublicKey(beyond.String()); err == nil {
		t.Error("a second spelling of a point was taken")
	}
	if _, err := ParsePublicKey(publicKey("some").String()); err != nil {
		t.Error(err)
	}
}

// TestWeakKeysAreWeak proves that the listed keys are what they are listed for:
// a signature without any secret is good under each.
func TestWeakKeysAreWeak(t *testing.T) {
	identity := [64]byte{1}
	for _, known := range strings.Fields(smallOrder) {
		var k PublicKey
		copy(k[:], unhex(t, known))
		forged := false
		for i := 0; i < 400 && !forged; i++ {
			forged = VerifySignature(RecordType, []byte{byte(i), byte(i >> 8)}, Signature{Key: k, Bytes: identity}) == nil
		}
		if !forged {
			t.Errorf("%s took no forgery", known)
		}
	}
}

func TestLocatedNamesTheFile(t *testing.T) {
	_, err := ParseAgreement([]byte(replaced(t, testAgreement(), "kind: company", "kind: compny")))
	err = Located(err, "agreement.yaml")
	var fault *FaultError
	if !errors.As(err, &fault) || !strings.HasPrefix(err.Error(), fmt.Sprintf("agreement.yaml:%d:11: unknown kind of party \"compny\" (did you mean \"company\"?)", fault.Line)) {
		t.Errorf("%v", err)
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 3 || strings.Index(lines[1], "compny") != strings.Index(lines[2], "^") {
		t.Errorf("the caret is not under the fault:\n%v", err)
	}
	if err := Located(errors.New("other"), "x"); err.Error() != "other" {
		t.Error(err)
	}
}
