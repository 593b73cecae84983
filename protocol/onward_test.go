package protocol_test

import (
	"crypto/sha256"
	"strings"
	"testing"

	"entente/protocol"
)

func TestDestination(t *testing.T) {
	id := protocol.AgreementID(sha256.Sum256([]byte("club")))
	want := protocol.Destination{Agreement: id, Topic: "finds", Reason: "Our customers\nneed it."}
	text, err := want.Text()
	if err != nil || text != "to: "+id.String()+"/finds\nOur customers\nneed it." {
		t.Fatalf("%q %v", text, err)
	}
	if got, err := protocol.ParseDestination(text); err != nil || got != want {
		t.Errorf("%+v %v", got, err)
	}
	for _, bad := range []string{
		"", "may we?", "to: ", "to: " + id.String(), "to: " + id.String() + "/finds", "to: " + id.String() + "/finds\n",
		"to: " + id.String() + "/no topic\nx", "to: " + strings.ToUpper(id.String()) + "/finds\nx", "to: club/finds\nx",
		"to:" + id.String() + "/finds\nx", "x\nto: " + id.String() + "/finds\nx", "to: " + strings.Repeat("0", 64) + "/finds\nx",
	} {
		if got, err := protocol.ParseDestination(bad); protocol.KindOf(err) != protocol.Malformed {
			t.Errorf("%q was read as %+v: %v", bad, got, err)
		}
	}
	for _, bad := range []protocol.Destination{
		{Agreement: id, Topic: "finds"}, {Agreement: id, Topic: "", Reason: "x"}, {Topic: "finds", Reason: "x"},
		{Agreement: id, Topic: "finds", Reason: strings.Repeat("x", 1024)},
	} {
		if _, err := bad.Text(); protocol.KindOf(err) != protocol.Invalid || err == nil {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func FuzzDestination(f *testing.F) {
	id := protocol.AgreementID(sha256.Sum256([]byte("club"))).String()
	for _, text := range []string{
		"", "to: ", "to: " + id + "/finds\nOur customers\nneed it.", "to: " + id + "/finds\n", "to: " + id + "/\nx", "to: " + id + "/a/b\nx",
		"to: " + strings.ToUpper(id) + "/finds\nx", "to: " + strings.Repeat("0", 64) + "/finds\nx", "to: " + id + "/finds\r\nx", "to: " + id + "/finds\n\n",
		"to: " + id + "/finds\n\xff", " to: " + id + "/finds\nx",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := protocol.ParseDestination(text)
		if err != nil {
			if protocol.KindOf(err) != protocol.Malformed || d != (protocol.Destination{}) {
				t.Fatalf("%q: %+v %v", text, d, err)
			}
			return
		}
		if d.Agreement.IsZero() || !protocol.ValidTopic(d.Topic) || d.Reason == "" {
			t.Fatalf("%q was read as %+v", text, d)
		}
		// There is one text for a destination: what is read is written the same again.
		again, err := d.Text()
		if err != nil && len(text) <= 1<<10 || err == nil && again != text {
			t.Fatalf("%q was read as %+v and written as %q: %v", text, d, again, err)
		}
	})
}
