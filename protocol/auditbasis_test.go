package protocol

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func exampleBasis() AuditBasis {
	at := time.UnixMicro(1772600767891234).UTC()
	return AuditBasis{
		Member: MemberID(testHash("member")), Encrypted: true, Rules: []byte("kind: entente/rules\n"), Documents: []Hash{testHash("record")},
		Agreements: []BasisAgreement{{
			ID: AgreementID(testHash("agreement")), Version: testHash("v2"), Acting: []Hash{testHash("v2"), testHash("v1")}, State: "in-force",
			Terminated: at, ClearOnly: true,
			Halted:   []BasisHalt{{Member: MemberID(testHash("vendor")), Until: at.Add(time.Hour), Text: "stolen keys"}},
			Entitled: []BasisEntitled{{Name: "points", Member: MemberID(testHash("bank")), Until: at}},
		}},
	}
}

func exampleKept() *AuditKept {
	return &AuditKept{Purpose: "oversight", Basis: []byte{1}, Cases: []AuditCase{
		{Count: 3, Agreement: AgreementID(testHash("agreement")), Topic: "t", Author: MemberID(testHash("bank")), ID: "identity--1", CreatedBy: "identity--2",
			Type: "identity", Marking: Amber, PAP: 1, Problem: "p", Classes: 2, Inherent: 1, Context: true, Confidence: 100,
			Modified: time.UnixMicro(-5).UTC(), Version: 4},
		{Origin: true, Type: "indicator", Modified: time.UnixMicro(0).UTC()},
		{Count: 1},
	}}
}

func TestAuditBasisReadsBack(t *testing.T) {
	for _, b := range []AuditBasis{exampleBasis(), {Documents: []Hash{}, Rules: []byte{}, Agreements: []BasisAgreement{}}} {
		data, hash, err := EncodeAuditBasis(b)
		if err != nil || hash != Hash(PayloadHash(data)) {
			t.Fatal(hash, err)
		}
		back, err := DecodeAuditBasis(data)
		if diff := cmp.Diff(b, back); err != nil || diff != "" {
			t.Error(err, diff)
		}
		for i := range data {
			if _, err := DecodeAuditBasis(data[:i]); KindOf(err) != Malformed {
				t.Fatalf("cut to %d bytes: %v", i, err)
			}
		}
		if _, err := DecodeAuditBasis(append(data, 0)); KindOf(err) != Malformed {
			t.Error(err)
		}
	}
	b := exampleBasis()
	b.Agreements[0].Terminated = time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, _, err := EncodeAuditBasis(b); KindOf(err) != Invalid {
		t.Error(err)
	}
	b = exampleBasis()
	b.Rules = make([]byte, maxAuditRow)
	if _, _, err := EncodeAuditBasis(b); KindOf(err) != Limit {
		t.Error(err)
	}
}

func TestAuditKeptReadsBack(t *testing.T) {
	row := exampleRow()
	row.Basis, row.Kept = testHash("basis"), exampleKept()
	data, err := EncodeAuditRow(row)
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeAuditRow(data)
	if diff := cmp.Diff(row, back); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for says, change := range map[string]func(*AuditKept){
		"origin of none": func(k *AuditKept) { k.Cases[0].Origin = true },
		"out of range":   func(k *AuditKept) { k.Cases[0].Count = -1 },
		"case 2":         func(k *AuditKept) { k.Cases[2].Confidence = 101 },
	} {
		row.Kept = exampleKept()
		change(row.Kept)
		if _, err := EncodeAuditRow(row); KindOf(err) != Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func FuzzAuditBasis(f *testing.F) {
	data, _, err := EncodeAuditBasis(exampleBasis())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{0x85})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := DecodeAuditBasis(data)
		if err != nil {
			return
		}
		again, _, err := EncodeAuditBasis(b)
		if err != nil || string(again) != string(data) {
			t.Fatalf("%+v is written otherwise than it was read (%v)", b, err)
		}
	})
}
