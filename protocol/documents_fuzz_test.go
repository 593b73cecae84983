package protocol

import (
	"bytes"
	"testing"
)

// fuzzTexts adds texts of all kinds, right and wrong.
func fuzzTexts(f *testing.F) {
	f.Add([]byte(testAgreement()))
	f.Add(mustRender(f, testRecord("bank")))
	for _, template := range []string{AllianceTemplate, FeedTemplate} {
		text, err := RenderTemplate(template, testValues("bank", "cert"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{"a: b\n", "a: |\n  b\n", "a: >-\n  b\n  c\n", "a: [b, {c: d}]\n", "a:\n- b: 'c'\n  d: \"e\" # f\n"} {
		f.Add([]byte(text))
	}
	for _, text := range worstTexts() {
		f.Add([]byte(text[:min(len(text), 2000)]))
	}
}

// FuzzDocumentText holds that what is read here, a YAML library reads alike,
// and so that the text can do a library no harm.
func FuzzDocumentText(f *testing.F) {
	fuzzTexts(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 64<<10 {
			return
		}
		sameAsLibrary(t, text)
	})
}

func FuzzParseRecord(f *testing.F) {
	fuzzTexts(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRecord(text)
		if err != nil {
			checkFault(t, err)
			return
		}
		again, err := RenderRecord(*r)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v\n%s", err, text)
		}
		r2, err := ParseRecord(again)
		if err != nil {
			t.Fatal(err)
		}
		third, err := RenderRecord(*r2)
		if err != nil || !bytes.Equal(again, third) {
			t.Fatalf("written twice, it differs (%v):\n%s\n%s", err, again, third)
		}
	})
}

func FuzzParseAgreement(f *testing.F) {
	fuzzTexts(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := ParseAgreement(text)
		if err != nil {
			checkFault(t, err)
			return
		}
		next, err := NextVersion([32]byte{0xff}, text)
		if err != nil {
			return // the secret was that one, or the text has grown over the limit
		}
		b, err := ParseAgreement(next)
		if err != nil {
			t.Fatal(err)
		}
		if err := Accepts(a, b); err != nil {
			t.Fatalf("the next version is not accepted: %v", err)
		}
	})
}

// checkFault holds that a refusal is of the right kind and can be shown.
func checkFault(t *testing.T, err error) {
	t.Helper()
	if k := KindOf(err); k != Invalid && k != Limit {
		t.Fatalf("%v is %s", err, k)
	}
	for _, r := range err.Error() {
		if r != '\n' && refusedRune(r) != "" {
			t.Fatalf("%q would reach a terminal: %q", r, err)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	d := signedBy(AgreementType, []byte(testAgreement()), "bank root", "cert root")
	data, err := EncodeEnvelope(d)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"payloadType":"application/vnd.entente.agreement+yaml","payload":"YQ==","signatures":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := DecodeEnvelope(data)
		if err != nil {
			if k := KindOf(err); k != Malformed && k != Limit {
				t.Fatalf("%v is %s", err, k)
			}
			return
		}
		again, err := EncodeEnvelope(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeEnvelope(again); err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
	})
}

func FuzzSignatures(f *testing.F) {
	f.Add(append([]byte("# signatures\n\n"), EncodeSignatures(signedBy(AgreementType, []byte("x"), "bank root", "cert root").Signatures)...))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := DecodeSignatures(text)
		if err != nil {
			if k := KindOf(err); k != Invalid && k != Limit {
				t.Fatalf("%v is %s", err, k)
			}
			return
		}
		written := EncodeSignatures(s)
		again, err := DecodeSignatures(written)
		if err != nil || !bytes.Equal(EncodeSignatures(again), written) {
			t.Fatalf("written twice, it differs (%v)", err)
		}
	})
}
