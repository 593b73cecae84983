package protocol

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// malleable returns another encoding of a signature: the order of the group added
// to its second half. Lax verifiers take both, so what is signed would have two
// forms.
func malleable(signature []byte) []byte {
	order := [32]byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 31: 0x10}
	out, carry := slices.Clone(signature), 0
	for i := range 32 {
		sum := int(out[32+i]) + int(order[i]) + carry
		out[32+i], carry = byte(sum), sum>>8
	}
	return out
}

// TestSignaturesHaveOneForm refuses the other form of the signature of every kind
// of document, statement, invite and message, and a signature that was made for
// another kind.
func TestSignaturesHaveOneForm(t *testing.T) {
	forms := map[string]func(signature []byte) []byte{
		"malleable": malleable,
		"zero":      func(s []byte) []byte { return make([]byte, len(s)) },
		"one bit":   func(s []byte) []byte { s = slices.Clone(s); s[63] ^= 0x20; return s },
		"halves":    func(s []byte) []byte { return slices.Concat(s[32:], s[:32]) },
	}
	record := mustRender(t, testRecord("bank"))
	agreement := []byte(testAgreement())
	for name, change := range forms {
		d := signedBy(RecordType, record, "bank root")
		copy(d.Signatures[0].Bytes[:], change(d.Signatures[0].Bytes[:]))
		if _, err := VerifyRecord(d, nil); KindOf(err) != BadSignature {
			t.Errorf("%s, record: %v", name, err)
		}
		d = signedBy(AgreementType, agreement, "bank root", "cert root")
		copy(d.Signatures[1].Bytes[:], change(d.Signatures[1].Bytes[:]))
		if _, err := VerifyAgreement(d, nil); KindOf(err) != BadSignature {
			t.Errorf("%s, agreement: %v", name, err)
		}
		for _, s := range exampleStatements() {
			data, err := SealStatement(s, testKey("operations"))
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := DecodeStatement(slices.Concat(change(data[:64]), data[64:]))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := OpenStatement(sealed, publicOf(testKey("operations"))); KindOf(err) != BadSignature {
				t.Errorf("%s, %s: %v", name, s.Kind, err)
			}
		}
		c := testCodec(t)
		m := sealed(t, c, stixLike(3))
		_, signature := m.SignedHeader()
		s, err := c.Decode(bytes.Replace(m.Frame(), signature, change(signature), 1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Open(s, publicOf(testKey("node"))); KindOf(err) != BadSignature {
			t.Errorf("%s, message: %v", name, err)
		}
	}
	// A signature for one kind is none for another.
	for _, as := range []DocumentType{ProfileType, RecordType} {
		d := signedBy(as, agreement, "bank root", "cert root")
		d.Type = AgreementType
		if _, err := VerifyAgreement(d, nil); KindOf(err) != BadSignature {
			t.Errorf("a signature as %s: %v", as, err)
		}
	}
}

// TestHostileStatements holds what a statement may not say, whoever signs it: none
// can be made, so none that says it decodes.
func TestHostileStatements(t *testing.T) {
	leaf := Leaf{testHash("log"), 7, 0}
	base := exampleStatement()
	for name, change := range map[string]func(*Statement){
		"no kind":                        func(s *Statement) { s.Kind = 0 },
		"an unknown kind":                func(s *Statement) { s.Kind = 63 },
		"no agreement":                   func(s *Statement) { s.Agreement = AgreementID{} },
		"no member":                      func(s *Statement) { s.Member = MemberID{} },
		"version 0":                      func(s *Statement) { s.Version = 0 },
		"no head":                        func(s *Statement) { s.Head = Hash{} },
		"no time":                        func(s *Statement) { s.Time = time.Time{} },
		"a time after 9999":              func(s *Statement) { s.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"a suspension of nobody":         func(s *Statement) { s.Kind = Suspension },
		"a withdrawal of another":        func(s *Statement) { s.Kind = Withdrawal; s.Party = MemberID(testHash("vendor")) },
		"a tombstone of nothing":         func(s *Statement) { s.Kind = Tombstone },
		"a tombstone of one leaf twice":  func(s *Statement) { s.Kind = Tombstone; s.Leaves = []Leaf{leaf, leaf} },
		"a tombstone of too many leaves": func(s *Statement) { s.Kind = Tombstone; s.Leaves = manyLeaves(maxStatementLeaves + 1) },
		"a tombstone of sequence 0":      func(s *Statement) { s.Kind = Tombstone; s.Leaves = []Leaf{{testHash("log"), 0, 0}} },
		"a tombstone of no log":          func(s *Statement) { s.Kind = Tombstone; s.Leaves = []Leaf{{Hash{}, 1, 0}} },
		"a receipt for no tombstone":     func(s *Statement) { s.Kind = Receipt; s.Leaves = []Leaf{leaf} },
		"a receipt of nothing":           func(s *Statement) { s.Kind = Receipt; s.About = testHash("tombstone") },
		"a grant of nothing":             func(s *Statement) { s.Kind = Grant; s.Until = s.Time.Add(time.Hour) },
		"a grant without an end":         func(s *Statement) { s.Kind = Grant; s.About = testHash("request") },
		"a denial of nothing":            func(s *Statement) { s.Kind = Denial },
		"a request without a reason":     func(s *Statement) { s.Kind = Request; s.Leaves = []Leaf{leaf} },
		"an endorsement of nothing":      func(s *Statement) { s.Kind = Endorsement },
		"a score of no contribution":     func(s *Statement) { s.Kind = Score; s.Party = MemberID(testHash("vendor")); s.Frontier = testHash("f") },
		"a long text":                    func(s *Statement) { s.Text = string(bytes.Repeat([]byte("a"), maxStatementText+1)) },
		"a text that is not UTF-8":       func(s *Statement) { s.Text = "\xff" },
	} {
		s := base
		change(&s)
		if _, err := SealStatement(s, testKey("operations")); KindOf(err) != Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := DecodeStatement(make([]byte, maxStatement+1)); KindOf(err) != Limit {
		t.Errorf("over the limit: %v", err)
	}
	nested := append(make([]byte, 64), bytes.Repeat([]byte{0x81}, maxStatement-64)...)
	if _, err := DecodeStatement(nested); KindOf(err) != Malformed {
		t.Errorf("deep nesting: %v", err)
	}
}

func manyLeaves(n int) []Leaf {
	out := make([]Leaf, n)
	for i := range out {
		out[i] = Leaf{testHash("log"), uint64(i + 1), 0}
	}
	return out
}
