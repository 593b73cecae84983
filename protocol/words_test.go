package protocol

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestErrorTable(t *testing.T) {
	for _, tt := range []struct {
		kind         Kind
		name         string
		exit, status int
		verdict      Verdict
	}{
		{Other, "error", 1, 500, Ignore},
		{Invalid, "invalid input", 2, 400, Ignore},
		{Malformed, "malformed", 2, 400, Reject},
		{BadSignature, "bad signature", 6, 422, Reject},
		{Limit, "limit", 2, 413, Reject},
		{Unreachable, "not reachable", 3, 502, Ignore},
		{Refused, "refused", 4, 403, Ignore},
		{NotFound, "not found", 5, 404, Ignore},
		{Conflict, "conflict", 6, 409, Ignore},
		{Unverified, "unverified", 6, 409, Ignore},
		{Full, "full", 1, 507, Ignore},
		{Findings, "findings", 7, 200, Ignore},
		{Findings + 1, "error", 1, 500, Ignore},
	} {
		if got := tt.kind; got.String() != tt.name || got.Exit() != tt.exit || got.Status() != tt.status || got.Verdict() != tt.verdict {
			t.Errorf("kind %d is %v, exit %d, status %d, verdict %v", tt.kind, got, got.Exit(), got.Status(), got.Verdict())
		}
	}
	if Ignore.String() != "ignore" || Accept.String() != "accept" || Reject.String() != "reject" {
		t.Error("names of verdicts")
	}
}

func TestErrorChain(t *testing.T) {
	cause := errors.New("no room on the disk")
	inner := E(Full, "append", cause, "free some room")
	outer := fmt.Errorf("publish: %w", E(Other, "store", inner, ""))
	if KindOf(outer) != Full || HintOf(outer) != "free some room" || !errors.Is(outer, cause) {
		t.Errorf("%v: kind %v, hint %q", outer, KindOf(outer), HintOf(outer))
	}
	if got := outer.Error(); got != "publish: store: append: no room on the disk" {
		t.Error(got)
	}
	if KindOf(nil) != Other || KindOf(cause) != Other || HintOf(cause) != "" {
		t.Error("errors of others have no kind")
	}
	if got := E(NotFound, "", nil, "").Error(); got != "not found" {
		t.Error(got)
	}
	if got := Errorf(Limit, "pack", "%d over", 3); got.Error() != "pack: 3 over" || KindOf(got) != Limit {
		t.Error(got)
	}
}

func TestMarking(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Marking
		back string
	}{
		{"TLP:CLEAR", Clear, "TLP:CLEAR"}, {"TLP:WHITE", Clear, "TLP:CLEAR"}, {"white", Clear, "TLP:CLEAR"},
		{"tlp:green", Green, "TLP:GREEN"}, {"AMBER", Amber, "TLP:AMBER"}, {"TLP:AMBER+STRICT", AmberStrict, "TLP:AMBER+STRICT"},
		{"Red", Red, "TLP:RED"}, {"", NoMarking, ""}, {"none", NoMarking, ""},
	} {
		got, err := ParseMarking(tt.text)
		if err != nil || got != tt.want {
			t.Errorf("%q is %v (%v)", tt.text, got, err)
		}
		if back, err := got.MarshalText(); err != nil || string(back) != tt.back {
			t.Errorf("%v is written %q (%v)", got, back, err)
		}
	}
	for _, bad := range []string{"TLP:", "TLP:AMBER-STRICT", "TLP:CLEAR ", "TLP:TLP:RED", "TLP:NONE", "3", strings.Repeat("x", 1000)} {
		m := Red
		if err := m.UnmarshalText([]byte(bad)); KindOf(err) != Invalid || HintOf(err) == "" || len(err.Error()) > 100 || m != Red {
			t.Errorf("%q: %v (%v)", bad, err, m)
		}
	}
	if !(NoMarking < Clear && Clear < Green && Green < Amber && Amber < AmberStrict && AmberStrict < Red) {
		t.Error("the order of markings")
	}
	if _, err := Marking(6).MarshalText(); KindOf(err) != Invalid || Marking(6).String() != "marking 6" || NoMarking.String() != "none" {
		t.Error("marking 6:", err)
	}
}

func TestHashText(t *testing.T) {
	h := testHash("x")
	back, err := ParseHash(h.String())
	if err != nil || back != h {
		t.Fatal(back, err)
	}
	for _, bad := range []string{"", "00", strings.ToUpper(h.String()), h.String() + "0", "g" + h.String()[1:]} {
		if _, err := ParseHash(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestDomainsAreApart(t *testing.T) {
	all := []string{domainHeaderSignature, domainHeaderHash, domainSalt, domainLeaf, domainNode, domainLog,
		domainFrontier, domainGossip, domainStatementSignature, domainStatement, domainInviteSignature}
	for i, a := range all {
		if strings.IndexByte(a, 0) != len(a)-1 {
			t.Errorf("%q does not end with its only zero byte", a)
		}
		for j, b := range all {
			if i != j && strings.HasPrefix(b, a) {
				t.Errorf("%q is the beginning of %q", a, b)
			}
		}
	}
}

func TestFrontierDigest(t *testing.T) {
	f := exampleFrontier()
	want := f.Digest()
	for i, j := 0, len(f)-1; i < j; i, j = i+1, j-1 {
		f[i], f[j] = f[j], f[i]
	}
	if f.Digest() != want {
		t.Error("the order of entries changes the digest")
	}
	f.Sort()
	for i := range f {
		f[i].Base = 0
	}
	if f.Digest() != want {
		t.Error("bases change the digest")
	}
	for i := range f {
		if f[i].Position.Sequence > 0 {
			f[i].Position.Head = testHash("fork")
			break
		}
	}
	if f.Digest() == want {
		t.Error("another head does not change the digest")
	}
	encoded, err := EncodeFrontier(f)
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeFrontier(encoded)
	if err != nil || back.Digest() != f.Digest() || len(back) != len(f) {
		t.Error("decoded frontier differs", err)
	}
	for _, bad := range []Frontier{append(f, f[0]), {{Log: f[0].Log, Position: Position{Sequence: 1}}}, {{}}} {
		if _, err := EncodeFrontier(bad); KindOf(err) != Invalid {
			t.Errorf("%v", err)
		}
	}
	if _, err := EncodeFrontier(make(Frontier, MaxFrontier+1)); KindOf(err) != Limit {
		t.Error(err)
	}
	if _, err := EncodeWants(make([]Want, MaxFrontier+1)); KindOf(err) != Limit {
		t.Error(err)
	}
	if _, err := EncodeWants([]Want{{Log: f[0].Log, From: 3, To: 3}}); KindOf(err) != Invalid {
		t.Error(err)
	}
}
