package protocol

import (
	"bytes"
	"encoding/base64"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every target holds to the same: no input panics, and what is accepted is
// written again in the same bytes.

func FuzzHeader(f *testing.F) {
	seeds(f, "header.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := DecodeHeader(data)
		if err != nil {
			if k := KindOf(err); k != Malformed && k != Limit && k != Unverified {
				t.Fatalf("%v is %v", err, k)
			}
			return
		}
		again := mustEncode(t, h)
		if bytes.Equal(again, data) {
			return
		}
		// Only extensions may make the difference, and they come last.
		p, q := pairsOf(t, again), pairsOf(t, data)
		if len(q) <= len(p) || !bytes.Equal(q.bytes(), data) || !bytes.Equal(q[:len(p)].bytes(), again) {
			t.Fatalf("%x is written again as %x", data, again)
		}
	})
}

func FuzzFrame(f *testing.F) {
	seeds(f, "message.json")
	c := testCodec(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := c.Decode(data)
		if err != nil {
			if k := KindOf(err); k != Malformed && k != Limit && k != Unverified {
				t.Fatalf("%v is %v", err, k)
			}
			return
		}
		if again := newFrame(s.frame.header, s.frame.signature, s.frame.encoding, s.frame.body).bytes; !bytes.Equal(again, data) {
			t.Fatalf("%x is written again as %x", data, again)
		}
		m, err := c.Reopen(data)
		if err != nil {
			t.Fatalf("decoded but not reopened: %v", err)
		}
		if m.Load() != nil {
			return
		}
		// As if it were signed: whatever its body is, leaves can be left out.
		if _, err := c.Without(m, 0, m.Header().Objects-1); err != nil {
			t.Fatal(err)
		}
		for i := range m.Header().Objects {
			if o := m.Object(i); o != nil && (len(o) == 0 || len(o) > c.limits.Object) {
				t.Fatalf("object %d has %d bytes", i, len(o))
			}
		}
	})
}

func FuzzBody(f *testing.F) {
	one, two := newContents([][]byte{[]byte("one"), []byte("two")}, make([]byte, seedSize), 40), []byte("x")
	f.Add(one.raw, false, uint8(2))
	f.Add(one.without([]bool{true, false}).raw, true, uint8(2))
	f.Add(two, true, uint8(1))
	f.Fuzz(func(t *testing.T, raw []byte, partial bool, n uint8) {
		if n == 0 {
			return
		}
		c, err := parseContents(raw, partial, int(n), 1<<10)
		if err != nil {
			return
		}
		root := c.root()
		gone := make([]bool, n)
		gone[0] = true
		part := c.without(gone)
		if part.root() != root {
			t.Fatal("leaving a leaf out changes the root")
		}
		again, err := parseContents(part.raw, true, int(n), 1<<10)
		if err != nil || !cmp.Equal(again.spans, part.spans, cmp.AllowUnexported(span{})) {
			t.Fatalf("what is left is not read back: %v", err)
		}
		if len(part.raw) > len(raw)+growth*int(n) {
			t.Fatalf("%d bytes became %d", len(raw), len(part.raw))
		}
		if partial {
			return
		}
		var objects [][]byte
		for i := range int(n) {
			objects = append(objects, c.object(i))
		}
		if !bytes.Equal(newContents(objects, raw[:seedSize], len(raw)).raw, raw) {
			t.Fatal("the body is not written again in the same bytes")
		}
	})
}

func FuzzFrontier(f *testing.F) {
	seeds(f, "frontier.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		frontier, err := DecodeFrontier(data)
		if err != nil {
			return
		}
		again, err := EncodeFrontier(frontier)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x is written again as %x (%v)", data, again, err)
		}
		frontier.Digest()
	})
}

func FuzzWants(f *testing.F) {
	seeds(f, "wants.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		wants, err := DecodeWants(data)
		if err != nil {
			return
		}
		if again, err := EncodeWants(wants); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x is written again as %x (%v)", data, again, err)
		}
	})
}

func FuzzLogID(f *testing.F) {
	seeds(f, "logid.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := ParseLogID(data)
		if err != nil {
			return
		}
		if again, err := id.AppendBinary(nil); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x is written again as %x (%v)", data, again, err)
		}
		var w wireLog
		if err := cborStrict.Unmarshal(id.appendCBOR(nil), &w); err != nil {
			t.Fatal(err)
		}
		if back, err := w.log(); err != nil || back != id {
			t.Fatalf("%+v is read back as %+v (%v)", id, back, err)
		}
	})
}

func FuzzStatement(f *testing.F) {
	seeds(f, "statement.json")
	key := testKey("operations")
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := DecodeStatement(data)
		if err != nil {
			return
		}
		if !bytes.Equal(append(bytes.Clone(s.signature), s.signed...), data) {
			t.Fatal("the bytes are not kept")
		}
		again, err := SealStatement(s.Claim(), key)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeStatement(again)
		if err != nil || !reflect.DeepEqual(back.claim, s.claim) || back.Hash() != s.Hash() && len(back.signed) == len(s.signed) {
			t.Fatalf("%+v is read back as %+v (%v)", s.claim, back, err)
		}
	})
}

func FuzzInvite(f *testing.F) {
	file := loadVectors(f, "invite.json")
	for _, v := range file.Accept {
		f.Add(invitePrefix + base64.RawURLEncoding.EncodeToString(unhex(f, v.Hex)))
	}
	for _, r := range file.Refuse {
		f.Add(invitePrefix + base64.RawURLEncoding.EncodeToString(unhex(f, r.Hex)))
	}
	f.Add("entente-invite:")
	f.Add("https://example.com")
	key := testKey("operations")
	f.Fuzz(func(t *testing.T, text string) {
		i, err := ParseInvite(text)
		if err != nil {
			if k := KindOf(err); k != Invalid && k != Limit && k != Unverified {
				t.Fatalf("%v is %v", err, k)
			}
			return
		}
		again, err := SealInvite(i.Claim(), key)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseInvite(again)
		if err != nil || !cmp.Equal(back.Claim(), i.Claim()) {
			t.Fatalf("%+v is read back as %+v (%v)", i.claim, back, err)
		}
	})
}

func FuzzAuditRow(f *testing.F) {
	seeds(f, "auditrow.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeAuditRow(data)
		if err != nil {
			return
		}
		again, err := EncodeAuditRow(r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeAuditRow(again)
		if err != nil || !cmp.Equal(back, r) {
			t.Fatalf("%+v is read back as %+v (%v)", r, back, err)
		}
	})
}
