package protocol

import (
	"slices"
	"strings"
	"testing"
)

// testNext returns the next version of one or more, with changes to its text.
func testNext(t testing.TB, secret byte, previous []string, changes ...string) string {
	t.Helper()
	var payloads [][]byte
	for _, p := range previous {
		payloads = append(payloads, []byte(p))
	}
	text, err := NextVersion([32]byte{secret}, payloads...)
	if err != nil {
		t.Fatal(err)
	}
	next := string(text)
	for i := 0; i < len(changes); i += 2 {
		next = replaced(t, next, changes[i], changes[i+1])
	}
	return next
}

// standing verifies a text signed by root keys against versions.
func standing(t testing.TB, text, signers string, previous ...SignedVersion) Standing {
	t.Helper()
	st, err := VerifyAgreement(signedBy(AgreementType, []byte(text), rootsOf(signers)...), previous)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func rootsOf(who string) (keys []string) {
	for w := range strings.FieldsSeq(who) {
		keys = append(keys, w+" root")
	}
	return keys
}

func signedVersion(t testing.TB, text, signers string) SignedVersion {
	t.Helper()
	a := mustAgreement(t, text)
	return SignedVersion{a, Signers(signedBy(AgreementType, []byte(text), rootsOf(signers)...), a)}
}

// withoutVendor is the change that removes the vendor and what names it.
func withoutVendor(t testing.TB, text string) []string {
	start := strings.Index(text, "  - handle: vendor\n")
	end := start + strings.Index(text[start:], "  - handle: cert\n")
	return []string{text[start:end], ""}
}

func TestNextVersionNeedsBothThresholds(t *testing.T) {
	v1 := testAgreement()
	first := signedVersion(t, v1, "bank vendor cert")
	v2 := testNext(t, 2, []string{v1}, withoutVendor(t, v1)...)
	for signers, want := range map[string]Standing{
		"":            {Missing: 2, Before: 2},
		"vendor":      {Missing: 2, Before: 1},
		"bank":        {Missing: 1, Before: 1},
		"vendor bank": {Missing: 1},
		"bank cert":   {Valid: true},
	} {
		if st := standing(t, v2, signers, first); st.Valid != want.Valid || st.Missing != want.Missing || st.Before != want.Before {
			t.Errorf("signed by %q: %+v, want %+v", signers, st, want)
		}
	}
	if st := standing(t, v2, "bank vendor", first); slices.Contains(st.Signed, testMember("vendor").Member) {
		t.Error("one who is no party any more counts as bound")
	}
}

func TestVersionMustContinue(t *testing.T) {
	v1 := testAgreement()
	first := signedVersion(t, v1, "bank cert")
	v2 := testNext(t, 2, []string{v1})
	cut := "cuts:\n  - member: " + testMember("vendor").Member.String() + "\n    log: " + secretOf("log") + "\n    sequence: 7\n    head: " + secretOf("head") + "\n"
	withCut := v2 + cut
	third := testNext(t, 3, []string{withCut})
	secret := func(text string) string { return text[strings.Index(text, "secret:"):][:len("secret: ")+66] }
	for name, c := range map[string]struct {
		text     string
		previous []SignedVersion
		kind     Kind
		says     string
	}{
		"good":           {v2, []SignedVersion{first}, Other, ""},
		"good cut":       {third, []SignedVersion{signedVersion(t, withCut, "bank cert")}, Other, ""},
		"none given":     {v2, nil, Unverified, "of which 0 are here"},
		"first, given":   {v1, []SignedVersion{first}, Unverified, "builds on 0 versions"},
		"another before": {v2, []SignedVersion{signedVersion(t, replaced(t, v1, "amend: 2", "amend: 3"), "bank")}, Conflict, "does not continue"},
		"number":         {replaced(t, v2, "version: 2", "version: 3"), []SignedVersion{first}, Conflict, "has number 2, not 3"},
		"name":           {replaced(t, v2, "name: harbour-watch", "name: harbour"), []SignedVersion{first}, Conflict, "for good"},
		"secret":         {replaced(t, v2, secret(v2), "secret: "+secretOf("one")), []SignedVersion{first}, Conflict, "its own"},
		"lost cut":       {replaced(t, third, cut, ""), []SignedVersion{signedVersion(t, withCut, "bank cert")}, Conflict, "stays closed"},
		"moved cut":      {replaced(t, third, "sequence: 7", "sequence: 8"), []SignedVersion{signedVersion(t, withCut, "bank cert")}, Conflict, "stays closed"},
	} {
		_, err := VerifyAgreement(signedBy(AgreementType, []byte(c.text), "bank root", "cert root"), c.previous)
		if KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.says) || (err == nil) != (c.says == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForkIsResolvedWithoutItsMakers: bank signs two versions that exclude each
// other, one with the vendor, one with the CERT.
func TestForkIsResolvedWithoutItsMakers(t *testing.T) {
	v1 := testAgreement()
	left := testNext(t, 2, []string{v1}, "amend: 2", "amend: 3")
	right := testNext(t, 3, []string{v1})
	heads := []SignedVersion{signedVersion(t, left, "bank vendor"), signedVersion(t, right, "bank cert")}
	if d := DoubleSigners(heads); !slices.Equal(d, []MemberID{testMember("bank").Member}) {
		t.Fatalf("double signers %v", d)
	}
	resolved := testNext(t, 4, []string{right, left})
	for signers, valid := range map[string]bool{"bank vendor": false, "bank cert": false, "vendor cert": true, "bank vendor cert": true, "cert": false} {
		st := standing(t, resolved, signers, heads...)
		if st.Valid != valid || !slices.Equal(st.Double, []MemberID{testMember("bank").Member}) {
			t.Errorf("signed by %q: %+v", signers, st)
		}
	}
	everybody := []SignedVersion{signedVersion(t, left, "bank vendor cert"), signedVersion(t, right, "bank vendor cert")}
	if st := standing(t, resolved, "bank vendor cert", everybody...); st.Valid {
		t.Errorf("all signed twice, yet their resolution counts: %+v", st)
	}
}

func TestVersionsOnlyRise(t *testing.T) {
	t1 := testAgreement()
	t2, other := testNext(t, 2, []string{t1}), testNext(t, 3, []string{t1})
	t3 := testNext(t, 4, []string{t2})
	resolved := testNext(t, 5, []string{t2, other})
	v1, v2, v2b, v3, r := mustAgreement(t, t1), mustAgreement(t, t2), mustAgreement(t, other), mustAgreement(t, t3), mustAgreement(t, resolved)
	stranger := mustAgreement(t, replaced(t, t1, "amend: 2", "amend: 3"))
	for _, c := range []struct {
		current, next *Agreement
		kind          Kind
	}{
		{v1, v2, Other}, {v2, v2, Other}, {v2, v3, Other}, {v2, r, Other}, {v2b, r, Other},
		{v2, v1, Conflict}, {v3, v1, Conflict}, {v2, v2b, Conflict}, {v2b, v3, Conflict}, {v1, stranger, Conflict}, {v1, v3, Unverified},
	} {
		err := Accepts(c.current, c.next)
		if KindOf(err) != c.kind || (err == nil) != (c.kind == Other) {
			t.Errorf("from version %d to %d: %v", c.current.Version, c.next.Version, err)
		}
	}
}

// TestStrangersCannotFillADocument: what is kept is true, of parties, and once.
func TestStrangersCannotFillADocument(t *testing.T) {
	text := testAgreement()
	a := mustAgreement(t, text)
	d := signedBy(AgreementType, []byte(text), "bank root", "stranger root", "bank operations", "cert root", "bank root")
	wrong := d.Signatures[0]
	wrong.Bytes[0] ^= 1
	d.Signatures = append(d.Signatures, wrong)
	kept := TrueSignatures(d, a)
	if len(kept) != 2 || len(Signers(d, a)) != 2 {
		t.Errorf("kept %d signatures", len(kept))
	}
	d.Signatures = kept
	if st, err := VerifyAgreement(d, nil); err != nil || !st.Valid {
		t.Errorf("%+v, %v", st, err)
	}
	if both := MergeSignatures([]Signature{wrong}, kept); len(both) != 3 {
		t.Errorf("a false signature displaced a true one: %d are left", len(both))
	}
}

func TestRecordsContinue(t *testing.T) {
	first := testMember("bank")
	// next is a good second version: root, operations key and node key are new.
	next := func() Record {
		r := testRecord("bank")
		r.Version, r.Member, r.Previous, r.From, r.Until = 2, first.Member, first.Hash, first.From.AddDate(0, 1, 0), first.Until
		r.Root, r.Operations.Key = secondKey("root"), secondKey("operations")
		r.Nodes[0].Epoch, r.Nodes[0].Key = 2, secondKey("node")
		r.Retired = []RetiredNode{{Number: 1, Epoch: 1, Key: first.Nodes[0].Key, At: r.From,
			Closing: []Closing{{Log: Hash{1}, Position: Position{7, Hash{7}}}}}}
		return r
	}
	both := []string{"bank root", "bank2 root"}
	for name, c := range map[string]struct {
		change func(*Record)
		keys   []string
		kind   Kind
		says   string
	}{
		"good": {func(*Record) {}, both, Other, ""},
		"nothing new": {func(r *Record) {
			r.Root, r.Operations, r.Nodes, r.Retired = first.Root, first.Operations, first.Nodes, nil
		}, both[:1], Other, ""},
		"without the old root": {func(*Record) {}, both[1:], Unverified, "not signed by the root key"},
		"without the new root": {func(*Record) {}, both[:1], Unverified, "not signed by the root key"},
		"a version left out":   {func(r *Record) { r.Version = 3 }, both, Conflict, "does not continue"},
		"another version":      {func(r *Record) { r.Previous = Hash{1} }, both, Conflict, "does not continue"},
		"another member":       {func(r *Record) { r.Member = MemberID{1} }, both, Conflict, "another member"},
		"earlier":              {func(r *Record) { r.From = first.From.AddDate(0, 0, -1); r.Until = first.From.AddDate(0, 1, 0) }, both, Conflict, "begins before"},
		"key without epoch":    {func(r *Record) { r.Nodes[0].Epoch = 1; r.Retired = nil }, both, Conflict, "epoch rises"},
		"epoch without key":    {func(r *Record) { r.Nodes[0].Key = first.Nodes[0].Key; r.Retired = nil }, both, Conflict, "epoch rises"},
		"key not retired":      {func(r *Record) { r.Retired = nil }, both, Conflict, "not among the retired"},
		"node gone":            {func(r *Record) { r.Nodes, r.Retired = nil, nil }, both, Conflict, "not among the retired"},
		"key in another role": {func(r *Record) {
			r.Operations.Key = first.Nodes[0].Transport
			r.Nodes[0].Transport = secondKey("transport")
		}, both, Conflict, "one key never serves twice"},
	} {
		r := next()
		c.change(&r)
		_, err := VerifyRecord(signedBy(RecordType, mustRender(t, r), c.keys...), first)
		if KindOf(err) != c.kind || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r2, err := ParseRecord(mustRender(t, next()))
	if err != nil {
		t.Fatal(err)
	}
	r3 := next()
	r3.Version, r3.Previous = 3, r2.Hash
	r3.Retired[0].Closing[0].Position.Sequence = 9
	if _, err := VerifyRecord(signedBy(RecordType, mustRender(t, r3), "bank2 root"), r2); KindOf(err) != Conflict || !strings.Contains(err.Error(), "stands for good") {
		t.Errorf("a closing position was moved: %v", err)
	}
	if _, err := VerifyRecord(signedBy(RecordType, mustRender(t, r3), "bank2 root"), nil); KindOf(err) != Unverified {
		t.Errorf("a later version without those before it: %v", err)
	}
}

// secondKey is a key that the bank takes in its second record.
func secondKey(role string) PublicKey { return publicKey("bank2 " + role) }

func TestNodeKeysAndClosedLogs(t *testing.T) {
	r := testMember("bank")
	closed, open := Hash{1}, Hash{2}
	end := Position{7, Hash{7}}
	r.Retired = []RetiredNode{{Number: 1, Epoch: 1, Key: publicKey("old"), Closing: []Closing{{closed, end}}},
		{Number: 2, Epoch: 1, Key: publicKey("gone"), Closing: []Closing{{Hash{3}, end}}}}
	for _, c := range []struct {
		node uint32
		log  Hash
		at   Position
		key  PublicKey
		kind Kind
	}{
		{1, open, Position{99, Hash{9}}, r.Nodes[0].Key, Other},
		{1, closed, Position{6, Hash{6}}, publicKey("old"), Other},
		{1, closed, end, publicKey("old"), Other},
		{1, closed, Position{7, Hash{8}}, publicKey("old"), Conflict},
		{1, closed, Position{8, Hash{8}}, publicKey("old"), Refused},
		{2, Hash{3}, Position{1, Hash{1}}, publicKey("gone"), Other},
		{2, open, Position{1, Hash{1}}, PublicKey{}, Refused},
		{3, open, Position{1, Hash{1}}, PublicKey{}, Refused},
	} {
		key, err := r.NodeKey(c.node, c.log, c.at)
		if key != c.key || KindOf(err) != c.kind || (err == nil) != (c.kind == Other) {
			t.Errorf("node %d, log %s, entry %d: %s, %v", c.node, c.log.Short(), c.at.Sequence, key, err)
		}
	}
	a := &Agreement{Parties: []Party{{ID: MemberID{1}}}, Cuts: []Cut{{Log: closed, Member: MemberID{2}, Position: Position{5, Hash{5}}}}}
	logs := NewClosedLogs([]*Agreement{a}, []*Record{r})
	for at, kind := range map[Position]Kind{{4, Hash{}}: Other, {5, Hash{5}}: Other, {5, Hash{6}}: Conflict, {6, Hash{}}: Refused, {8, Hash{}}: Refused} {
		if err := logs.Check(closed, at); KindOf(err) != kind || (err == nil) != (kind == Other) {
			t.Errorf("entry %d: %v", at.Sequence, err)
		}
	}
	if err := logs.Check(open, Position{1 << 40, Hash{}}); err != nil {
		t.Error(err)
	}
	if p, ok := logs.End(closed); !ok || p.Sequence != 5 {
		t.Errorf("closed at %+v, %v", p, ok)
	}
	if _, ok := logs.End(open); ok || a.Ended(MemberID{1}, open) || a.Ended(MemberID{2}, closed) || !a.Ended(MemberID{2}, open) {
		t.Error("who is still heard, and who not, is confused")
	}
}

func TestDatesOfDocuments(t *testing.T) {
	r, a := testMember("bank"), mustAgreement(t, testAgreement())
	day := documentsStart()
	for _, c := range []struct {
		err  error
		kind Kind
	}{
		{r.InForce(day), Other}, {r.InForce(day.Add(-clockSkew)), Other}, {r.InForce(day.Add(-clockSkew - 1)), Unverified}, {r.InForce(r.Until), Refused}, {r.InForce(r.Until.Add(-1)), Other},
		{a.InForce(day), Other}, {a.InForce(day.Add(-1)), Unverified}, {a.InForce(a.LegalBasis.Until), Refused}, {a.InForce(a.Until), Refused},
		{r.CheckRoot(a.Parties[0]), Other}, {r.CheckRoot(a.Parties[1]), Unverified},
	} {
		if KindOf(c.err) != c.kind || (c.err == nil) != (c.kind == Other) {
			t.Errorf("%v is not %s", c.err, c.kind)
		}
	}
}
