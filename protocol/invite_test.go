package protocol

import (
	"strings"
	"testing"
	"time"
)

func TestInviteText(t *testing.T) {
	text, err := SealInvite(exampleInvite(), testKey("operations"))
	if err != nil {
		t.Fatal(err)
	}
	pasted, err := ParseInvite(" \t" + text + "\r\n")
	if err != nil {
		t.Fatal("white space around it:", err)
	}
	key, expires := publicOf(testKey("operations")), exampleInvite().Expires
	got, err := OpenInvite(pasted, key, expires.Add(-time.Microsecond))
	if err != nil || *got.Secret != *exampleInvite().Secret || !got.Expires.Equal(expires) || len(got.Addresses) != 2 {
		t.Fatalf("%+v (%v)", got, err)
	}
	if _, err := OpenInvite(pasted, key, expires); KindOf(err) != Refused || HintOf(err) == "" {
		t.Error("at the moment it expires:", err)
	}
	if _, err := OpenInvite(pasted, publicOf(testKey("other")), expires.Add(-time.Hour)); KindOf(err) != BadSignature {
		t.Error("another key:", err)
	}
	for _, bad := range []string{
		"", "hello", invitePrefix, text[:len(text)-1], text[:len(text)/2], text[1:], text + "A", text + "==",
		text[:40] + "\n" + text[40:], text[:40] + " " + text[40:], strings.ToUpper(text), text + text,
	} {
		if _, err := ParseInvite(bad); KindOf(err) != Invalid || !strings.Contains(HintOf(err), "copy the whole line") {
			t.Errorf("%.60q: %v (%v)", bad, err, KindOf(err))
		}
	}
	if _, err := ParseInvite(invitePrefix + strings.Repeat("A", 20000)); KindOf(err) != Limit {
		t.Error(err)
	}
}

func TestInviteRefusals(t *testing.T) {
	for says, change := range map[string]func(*Invite){
		"agreement's id": func(i *Invite) { i.Agreement = AgreementID{} },
		"inviter's id":   func(i *Invite) { i.Inviter = MemberID{} },
		"0 addresses":    func(i *Invite) { i.Addresses = nil },
		"/p2p/":          func(i *Invite) { i.Addresses = []string{"/ip4/192.0.2.1/tcp/1"} },
		"secret is zero": func(i *Invite) { i.Secret = new([32]byte) },
		"not from 1970":  func(i *Invite) { i.Expires = time.Time{} },
	} {
		i := exampleInvite()
		change(&i)
		if _, err := SealInvite(i, testKey("operations")); KindOf(err) != Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	if _, err := SealInvite(exampleInvite(), nil); KindOf(err) != Invalid {
		t.Error("no key:", err)
	}
}

func TestStatementRefusals(t *testing.T) {
	for says, change := range map[string]func(*Statement){
		"kind 0":       func(s *Statement) { s.Kind = 0 },
		"a party":      func(s *Statement) { s.Kind = Suspension },
		"kind 12":      func(s *Statement) { s.Kind = 12 },
		"needs a text": func(s *Statement) { s.Kind, s.Leaves = Request, []Leaf{{testHash("log"), 1, 0}} },
		"there twice": func(s *Statement) {
			s.Kind, s.Leaves = Tombstone, []Leaf{{testHash("log"), 1, 0}, {testHash("log"), 1, 0}}
		},
		"no short name":    func(s *Statement) { *s = exampleStatements()[6]; s.Name = "Give" },
		"agreement's id":   func(s *Statement) { s.Agreement = AgreementID{} },
		"version 0":        func(s *Statement) { s.Version = 0 },
		"hash of the vers": func(s *Statement) { s.Head = Hash{} },
		"member's id":      func(s *Statement) { s.Member = MemberID{} },
		"not from 1970":    func(s *Statement) { s.Time = time.Unix(-1, 0) },
	} {
		s := exampleStatement()
		change(&s)
		if _, err := SealStatement(s, testKey("operations")); KindOf(err) != Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func TestAuditRowRefusals(t *testing.T) {
	for says, change := range map[string]func(*AuditRow){
		"no kind":       func(r *AuditRow) { r.Kind = "" },
		"not negative":  func(r *AuditRow) { r.Bytes = -1 },
		"is negative":   func(r *AuditRow) { r.Positions = []int{3, -1} },
		"not from 1970": func(r *AuditRow) { r.Time = time.Unix(-1, 0) },
		"incarnation":   func(r *AuditRow) { l := *r.Log; l.Incarnation = Incarnation{}; r.Log = &l },
		"is over":       func(r *AuditRow) { r.Number = 1 << 53 },
	} {
		r := exampleRow()
		change(&r)
		if _, err := EncodeAuditRow(r); KindOf(err) != Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	r := exampleRow()
	r.Peer, r.Reason.Text, r.Objects = "a\xffb", "\xc3", []string{"ok", "\xed\xa0\x80"}
	data, err := EncodeAuditRow(r)
	if err != nil {
		t.Fatal("text of strangers must not fail a row:", err)
	}
	back, err := DecodeAuditRow(data)
	if err != nil || back.Peer != "a\ufffdb" || back.Reason.Text != "\ufffd" || back.Objects[0] != "ok" || r.Objects[1] != "\xed\xa0\x80" {
		t.Fatalf("%+v (%v)", back, err)
	}
}
