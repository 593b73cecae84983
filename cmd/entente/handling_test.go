package main

import (
	"strings"
	"testing"
	"time"

	"entente/node"
)

// TestHandlingText puts into words what an object's holder is told.
func TestHandlingText(t *testing.T) {
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		terms node.Terms
		want  string
	}{
		{node.Terms{Attribution: "may"}, ""},
		{node.Terms{Attribution: "may", Onward: "any"}, ""},
		{node.Terms{Attribution: "must"}, ""}, // who, where it is the own
		{node.Terms{Attribution: "must", Sources: []string{"First Bank", "CERT"}}, "name the source: First Bank, CERT"},
		{node.Terms{Attribution: "must-not", Sources: []string{"First Bank"}}, "do not name the source"},
		{node.Terms{Onward: "never", Notify: "must-not"}, "pass it on to nobody; do not tell those whom it concerns"},
		{node.Terms{Onward: "ask", Notify: "may"}, "ask the source before you pass it on; those whom it concerns may be told"},
		{node.Terms{Onward: "clients", Purposes: []string{"research", "prosecution"}}, "only for research, prosecution; pass it on to clients only"},
		{node.Terms{Actions: []string{"none"}, Encrypt: "at-rest"}, "allowed actions: none; keep it on encrypted disks only"},
		{node.Terms{Embargo: at, ReviewBy: at, KeepUntil: at}, "neither pass it on nor act on it visibly before " + when(at) + "; look whether it is still needed by " + when(at) + "; keep it until " + when(at)},
		{node.Terms{Licences: []string{"CC-BY", "two\x1b[2J\nlines"}}, "licence: CC-BY; licence: " + clean("two\x1b[2J\nlines")},
	} {
		if got := termsText(c.terms); got != c.want || strings.ContainsAny(got, "\x1b\n") {
			t.Errorf("%+v: %q; want %q", c.terms, got, c.want)
		}
	}
	var b strings.Builder
	printHandling(&b, nil)
	printHandling(&b, &node.Handling{Under: []node.HandlingUnder{{Agreement: "club", Own: true, Terms: node.Terms{Onward: "never"}}}})
	if b.Len() != 0 {
		t.Errorf("an own object: %q", b.String())
	}
	terms := node.Terms{Onward: "never"}
	printHandling(&b, &node.Handling{Terms: terms, Under: []node.HandlingUnder{{Agreement: "club", Version: 2, Clause: "1.2", Terms: terms}, {Agreement: "watch", Version: 1}}})
	if want := "  club v2, clause 1.2: pass it on to nobody\n  all of them together: pass it on to nobody\n"; b.String() != want {
		t.Errorf("%q; want %q", b.String(), want)
	}
}
