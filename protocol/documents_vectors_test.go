package protocol

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var documentFolder = filepath.Join("testdata", "documents")

// golden compares what the code makes with a file of testdata/documents.
func golden(t *testing.T, name string, made []byte) {
	t.Helper()
	path := filepath.Join(documentFolder, name)
	if *update {
		if err := os.MkdirAll(documentFolder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if held, err := os.ReadFile(path); err != nil || !bytes.Equal(held, made) {
		t.Errorf("%s is not what the code makes (error %v)", path, err)
	}
}

// vectorDocuments are the documents of testdata/documents by file name: three
// members' records, a second record with every key new, a profile, an agreement
// of three and a version that removes one.
func vectorDocuments(t *testing.T) map[string]Document {
	t.Helper()
	docs := map[string]Document{}
	for _, who := range []string{"bank", "vendor", "cert"} {
		docs[who+".v1"] = signedBy(RecordType, mustRender(t, testRecord(who)), who+" root")
	}
	first := testMember("bank")
	second := testRecord("bank")
	second.Version, second.Member, second.Previous, second.From = 2, first.Member, first.Hash, first.From.AddDate(0, 1, 0)
	second.Root, second.Operations.Key = secondKey("root"), secondKey("operations")
	second.Nodes[0].Epoch, second.Nodes[0].Key = 2, secondKey("node")
	second.Retired = []RetiredNode{{Number: 1, Epoch: 1, Key: first.Nodes[0].Key, At: second.From,
		Closing: []Closing{{PayloadHash([]byte("log")), Position{7, PayloadHash([]byte("head"))}}}}}
	docs["bank.v2"] = signedBy(RecordType, mustRender(t, second), "bank root", "bank2 root")
	docs["bank.v2"].Signatures[1].Member = first.Member
	profile := testRecord("cert")
	profile.Public, profile.Member, profile.Nodes[0].Transport = true, testMember("cert").Member, publicKey("cert public-transport")
	docs["cert-profile.v1"] = signedBy(ProfileType, mustRender(t, profile), "cert root")

	v1 := testAgreement()
	docs["harbour-watch.v1"] = signedBy(AgreementType, []byte(v1), "bank root", "vendor root", "cert root")
	cut := fmt.Sprintf("cuts:\n  - {member: %s, log: %s, sequence: 7, head: %s}\n", testMember("vendor").Member, secretOf("log"), secretOf("head"))
	v2 := testNext(t, 2, []string{v1}, withoutVendor(t, v1)...) + cut
	docs["harbour-watch.v2"] = signedBy(AgreementType, []byte(v2), "bank root", "cert root")
	docs["pact.v1"] = signedBy(AgreementType, []byte(testPact()), "bank root", "vendor root", "cert root")
	return docs
}

func TestDocumentVectors(t *testing.T) {
	docs := vectorDocuments(t)
	var sums strings.Builder
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		d := docs[name]
		golden(t, name+".yaml", d.Payload)
		golden(t, name+".sigs", EncodeSignatures(d.Signatures))
		envelope, err := EncodeEnvelope(d)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", append(envelope, '\n'))
		fmt.Fprintf(&sums, "%s  %s.yaml\n", PayloadHash(d.Payload), name)
	}
	golden(t, "SHA256SUMS", []byte(sums.String()))
}

// loadDocument reads a document of testdata/documents in both of its forms.
func loadDocument(t *testing.T, name string) Document {
	t.Helper()
	read := func(ext string) []byte {
		data, err := os.ReadFile(filepath.Join(documentFolder, name+ext))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	payload := read(".yaml")
	kind, err := DetectDocument(payload)
	if err != nil {
		t.Fatal(err)
	}
	signatures, err := DecodeSignatures(read(".sigs"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := DecodeEnvelope(read(".json"))
	if err != nil {
		t.Fatal(err)
	}
	if d.Type != kind || !bytes.Equal(d.Payload, payload) || !slices.Equal(d.Signatures, signatures) {
		t.Errorf("%s: the envelope and the files are not the same document", name)
	}
	return d
}

// TestDocumentVectorsVerify goes the way of a node that is given the files.
func TestDocumentVectorsVerify(t *testing.T) {
	members := map[string]*Record{}
	for _, who := range []string{"bank", "vendor", "cert"} {
		r, err := VerifyRecord(loadDocument(t, who+".v1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		members[who] = r
	}
	if _, err := VerifyRecord(loadDocument(t, "bank.v2"), members["bank"]); err != nil {
		t.Error(err)
	}
	profile, err := VerifyRecord(loadDocument(t, "cert-profile.v1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if profile.Member != members["cert"].Member || profile.Nodes[0].Transport == members["cert"].Nodes[0].Transport {
		t.Errorf("the profile says %+v", profile)
	}
	d1, d2 := loadDocument(t, "harbour-watch.v1"), loadDocument(t, "harbour-watch.v2")
	v1, v2 := mustAgreement(t, string(d1.Payload)), mustAgreement(t, string(d2.Payload))
	if st, err := VerifyAgreement(d1, nil); err != nil || !st.Valid || len(st.Signed) != 3 {
		t.Errorf("version 1: %+v, %v", st, err)
	}
	st, err := VerifyAgreement(d2, []SignedVersion{{v1, Signers(d1, v1)}})
	if err != nil || !st.Valid || len(st.Signed) != 2 || v2.ID != v1.ID || len(v2.Cuts) != 1 || len(v2.Parties) != 2 {
		t.Errorf("version 2: %+v, %v", st, err)
	}
}

// TestRefusalsAreSpelledOut holds every refusal of a document to the exact text
// that people see, in testdata/documents/refused.txt.
func TestRefusalsAreSpelledOut(t *testing.T) {
	var out strings.Builder
	write := func(name string, err error) {
		if KindOf(err) != Invalid {
			t.Errorf("%s: %v is %s", name, err, KindOf(err))
		}
		fmt.Fprintf(&out, "== %s\n%v\n", name, err)
	}
	for _, c := range agreementRefusals() {
		_, err := ParseAgreement([]byte(replaced(t, testAgreement(), c[1], c[2])))
		write("agreement: "+c[0], Located(err, "agreement.yaml"))
	}
	for _, c := range pactRefusals() {
		_, err := ParseAgreement([]byte(replaced(t, testPact(), c[1], c[2])))
		write("pact: "+c[0], Located(err, "pact.yaml"))
	}
	feed, err := RenderTemplate(FeedTemplate, testValues("cert", "vendor"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range feedRefusals() {
		_, err := ParseAgreement([]byte(replaced(t, string(feed), c[1], c[2])))
		write("feed: "+c[0], Located(err, "feed.yaml"))
	}
	for _, c := range recordRefusals() {
		_, err := ParseRecord([]byte(replaced(t, string(mustRender(t, testRecord("bank"))), c[1], c[2])))
		write("record: "+c[0], Located(err, "bank.yaml"))
	}
	golden(t, "refused.txt", []byte(out.String()))
}

func agreementRefusals() [][3]string {
	return [][3]string{
		{"another kind", "entente/agreement", "entente/agrement"},
		{"newer format", "format: 1", "format: 2"},
		{"unknown field", "community:", "comunity:"},
		{"missing field", "title: Harbour Watch, against fraud in ports\n", ""},
		{"bad name", "name: harbour-watch", "name: Harbour"},
		{"look-alike handle", "handle: bank", "handle: bаnk"},
		{"version 0", "version: 1", "version: 0"},
		{"version 1 with previous", "version: 1\n", "version: 1\nprevious: [" + secretOf("x") + "]\n"},
		{"version 2 without id", "version: 1\n", "version: 2\n"},
		{"visibility", "visibility: private", "visibility: secret"},
		{"public with secret", "visibility: private", "visibility: public"},
		{"no secret", "secret: " + secretOf("one") + "\n", ""},
		{"short secret", "secret: " + secretOf("one"), "secret: abc"},
		{"dates reversed", "until: 2028-12-01T12:00:00Z", "until: 2026-12-01"},
		{"no such date", "from: 2026-12-01", "from: 2026-02-30"},
		{"local time", "2028-12-01T12:00:00Z", "2028-12-01T12:00:00+01:00"},
		{"basis over before it begins", "until: 2028-06-01", "until: 2026-06-01"},
		{"threshold not above half", "amend: 2", "amend: 1"},
		{"threshold above all", "amend: 2", "amend: 4"},
		{"threshold in words", "amend: 2", "amend: two"},
		{"unknown kind of party", "kind: company", "kind: compny"},
		{"country", "country: NL", "country: Netherlands"},
		{"handle twice", "handle: cert", "handle: bank"},
		{"id twice", "id: " + testMember("cert").Member.String(), "id: " + testMember("bank").Member.String()},
		{"name twice", "name: The cert of the tests", "name: The Bank of the tests."},
		{"look-alike name", "name: The cert of the tests", "name: The bаnk of thе tests"},
		{"root twice", "root: " + testMember("cert").Root.String(), "root: " + testMember("bank").Root.String()},
		{"damaged root", "root: ed25519:", "root: ed25519:AAAA"},
		{"weak root", "root: " + testMember("bank").Root.String(), "root: " + PublicKey{1}.String()},
		{"topic twice", "  - name: incidents", "  - name: indicators"},
		{"RED by default", "default-marking: TLP:AMBER", "default-marking: TLP:RED"},
		{"clause number twice", "number: 2.1", "number: 1"},
		{"no clause number", "number: 2.1", "number: two"},
		{"effect", "effect: forbid", "effect: deny"},
		{"unknown kind in a clause", "kinds: [vendor]", "kinds: [vendors]"},
		{"unknown party in a clause", "parties: [bank, cert]", "parties: [bank, sert]"},
		{"unknown role in a clause", "roles: [reader]}", "roles: [raeder]}"},
		{"unknown topic in a clause", "topics: [indicators, incidents]", "topics: [indicators, incidence]"},
		{"topic twice in a clause", "topics: [indicators, incidents]", "topics: [indicators, indicators]"},
		{"unknown type", "types: [identity, x-loss]", "types: [identities, x-loss]"},
		{"unknown marking", "TLP:AMBER+STRICT", "TLP:AMBER-STRICT"},
		{"marking of TLP 1.0", "TLP:GREEN", "TLP:WHITE"},
		{"empty list", "kinds: [vendor]", "kinds: []"},
		{"a word for a list", "kinds: [vendor]", "kinds: vendor"},
		{"a list for a word", "effect: forbid", "effect: [forbid]"},
		{"a word for fields", "dates:\n  from: 2026-12-01\n  until: 2028-12-01T12:00:00Z", "dates: forever"},
		{"the public in a private agreement", "kinds: [vendor]", "public: true"},
		{"clause dates reversed", "until-date: 2028-01-01", "until-date: 2026-12-31"},
		{"clause begins too late", "from-date: 2027-01-01\n    until-date: 2028-01-01", "from-date: 2029-01-01"},
		{"clients without definition", "topics: [indicators]\n  - number: 2.1", "topics: [indicators]\n    obligations: {onward: clients}\n  - number: 2.1"},
		{"cuts in version 1", "clauses:", "cuts:\n  - {member: " + secretOf("m") + ", log: " + secretOf("l") + ", sequence: 1, head: " + secretOf("h") + "}\nclauses:"},
		{"null", "community: The parties, and the operators of ports.", "community: null"},
		{"anchor", "title: Harbour", "title: &t Harbour"},
		{"field twice", "amend: 2", "amend: 2\namend: 2"},
		{"tab", "amend: 2", "amend:\t2"},
		{"right-to-left override", "Harbour Watch", "Harbour \u202eWatch"},
		{"two documents", "clauses:", "---\nclauses:"},
	}
}

func feedRefusals() [][3]string {
	return [][3]string{
		{"default above CLEAR", "default-marking: TLP:CLEAR", "default-marking: TLP:GREEN"},
		{"marking above CLEAR", "markings: [TLP:CLEAR]", "markings: [TLP:GREEN]"},
		{"highest marking above CLEAR", "markings: [TLP:CLEAR]", "max-marking: TLP:RED"},
		{"from the public", "    to:\n      public: true", "    from:\n      public: true"},
		{"the public with a kind", "public: true", "public: true\n      kinds: [cert]"},
		{"public: false", "public: true", "public: false"},
		{"nobody chosen", "    to:\n      public: true", "    to: {}"},
	}
}

func recordRefusals() [][3]string {
	bank := testMember("bank")
	node := bank.Nodes[0]
	return [][3]string{
		{"over a year", "until: 2027-12-01T00:00:00Z", "until: 2027-12-03T00:00:00Z"},
		{"operations key over a quarter", "until: 2027-03-01T00:00:00Z", "until: 2027-03-04T00:00:00Z"},
		{"first with member", "version: 1\n", "version: 1\nmember: " + secretOf("m") + "\n"},
		{"later without member", "version: 1\n", "version: 2\nprevious: " + secretOf("m") + "\n"},
		{"one key twice", node.Transport.String(), node.Key.String()},
		{"epoch 0", "epoch: 1", "epoch: 0"},
		{"address with a peer", "/tcp/4001\"", "/tcp/4001/p2p/12D3KooW\""},
		{"address by name", "\"/dns4/bank.example/tcp/4001\"", "bank.example:4001"},
		{"identity", "identity--0", "identity-0"},
		{"unknown field of a node", "    epoch: 1", "    epoc: 1"},
		{"node number twice", "nodes:\n", "nodes:\n  - {number: 1, epoch: 2, key: " + secondKey("node").String() + ", transport: " + secondKey("transport").String() + "}\n"},
		{"retired in force", "nodes:\n", "retired:\n  - {number: 1, epoch: 1, key: " + secondKey("node").String() + ", at: 2026-12-01}\nnodes:\n"},
		{"sealing key in a profile", "entente/member-record", "entente/public-profile"},
	}
}

func TestFileNames(t *testing.T) {
	doc, sigs := FileNames("harbour-watch", 12)
	if doc != "harbour-watch.v12.yaml" || sigs != "harbour-watch.v12.sigs" {
		t.Error(doc, sigs)
	}
	for file, want := range map[string]bool{doc: true, sigs: true, "a.v1.yaml": true, "a.v0.yaml": false, "a.v01.yaml": false, "a.yaml": false, ".v1.yaml": false,
		"A.v1.yaml": false, "../a.v1.yaml": false, "a.v1.yml": false, "a.v1.v2.yaml": false, "a.v-1.yaml": false, "a.v99999999999999999999.yaml": false} {
		name, version, isSigs, ok := ParseFileName(file)
		if ok != want {
			t.Errorf("%s: %v", file, ok)
		}
		if ok {
			if d, s := FileNames(name, version); file != d && !isSigs || isSigs && file != s {
				t.Errorf("%s is read as %s version %d", file, name, version)
			}
		}
	}
}

func TestEnvelopesAreStrict(t *testing.T) {
	good, err := EncodeEnvelope(signedBy(AgreementType, []byte("a: b\n"), "bank root"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeEnvelope(good); err != nil {
		t.Fatal(err)
	}
	text := string(good)
	for name, bad := range map[string]string{
		"unknown field":     replaced(t, text, `"payload":`, `"x":1,"payload":`),
		"field in capitals": replaced(t, text, `"payload":`, `"Payload":`),
		"field twice":       replaced(t, text, `"payload":`, `"payload":"YQ==","payload":`),
		"unknown type":      replaced(t, text, "agreement+yaml", "letter+yaml"),
		"no payload":        replaced(t, text, "YTogYgo=", ""),
		"not base64":        replaced(t, text, "YTogYgo=", "YTogYgo"),
		"loose base64":      replaced(t, text, "YTogYgo=", "YTogYgp="),
		"broken base64":     replaced(t, text, "YTogYgo=", `YTog\nYgo=`),
		"no member":         replaced(t, text, testMember("bank").Member.String()+" ", ""),
		"two values":        text + text,
	} {
		if _, err := DecodeEnvelope([]byte(bad)); KindOf(err) != Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := DecodeEnvelope(make([]byte, maxEnvelope+1)); KindOf(err) != Limit {
		t.Error(err)
	}
	if _, err := EncodeEnvelope(Document{Type: AgreementType, Payload: make([]byte, MaxDocument+1)}); KindOf(err) != Limit {
		t.Error(err)
	}
}

func TestSignatureFilesAreStrict(t *testing.T) {
	line := string(EncodeSignatures(signedBy(AgreementType, []byte("a: b\n"), "bank root").Signatures))
	s, err := DecodeSignatures([]byte("# from the bank\r\n\n  " + line + line + "\r\n"))
	if err != nil || len(s) != 1 {
		t.Errorf("%d signatures, %v", len(s), err)
	}
	for name, c := range map[string]struct{ text, says string }{
		"two words":   {"# c\na b\n", "line 2: a signature is member id, key and base64"},
		"bad member":  {"x" + line[1:], "line 1: the member of a signature"},
		"bad key":     {strings.Replace(line, "ed25519:", "ed25519:x", 1), "is no public key"},
		"cut short":   {line[:len(line)-5] + "\n", "64 bytes in base64"},
		"too many":    {strings.Repeat(line, maxSignatures+1), "the limit"},
		"two at once": {strings.TrimSpace(line) + " " + line, "line 1"},
	} {
		if _, err := DecodeSignatures([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
