package main

import (
	"fmt"
	"io"
	"strings"

	"entente/node"
)

// printHandling says how an object is to be handled, a line for each agreement
// under which it came, and one for all of them together where they are several.
func printHandling(w io.Writer, h *node.Handling) {
	if h == nil {
		return
	}
	for _, u := range h.Under {
		if u.Own {
			continue
		}
		if text := termsText(u.Terms); text != "" {
			fmt.Fprintf(w, "  %s v%d%s: %s\n", clean(u.Agreement), u.Version, clauseText(u.Clause), text)
		}
	}
	if text := termsText(h.Terms); len(h.Under) > 1 && text != "" {
		fmt.Fprintf(w, "  all of them together: %s\n", text)
	}
}

func clauseText(number string) string {
	if number == "" {
		return ""
	}
	return ", clause " + clean(number)
}

// termsText puts terms into one line; "" where nothing is asked.
func termsText(t node.Terms) string {
	var list []string
	add := func(format string, args ...any) { list = append(list, clean(fmt.Sprintf(format, args...))) }
	if len(t.Actions) > 0 {
		add("allowed actions: %s", strings.Join(t.Actions, ", "))
	}
	if len(t.Purposes) > 0 {
		add("only for %s", strings.Join(t.Purposes, ", "))
	}
	switch t.Onward {
	case "never":
		add("pass it on to nobody")
	case "ask":
		add("ask the source before you pass it on")
	case "clients":
		add("pass it on to clients only")
	}
	switch {
	case t.Attribution == "must-not":
		add("do not name the source")
	case len(t.Sources) > 0:
		add("name the source: %s", strings.Join(t.Sources, ", "))
	}
	switch t.Notify {
	case "may":
		add("those whom it concerns may be told")
	case "must-not":
		add("do not tell those whom it concerns")
	}
	if t.Encrypt != "" {
		add("keep it on encrypted disks only")
	}
	if !t.Embargo.IsZero() {
		add("neither pass it on nor act on it visibly before %s", when(t.Embargo))
	}
	if !t.ReviewBy.IsZero() {
		add("look whether it is still needed by %s", when(t.ReviewBy))
	}
	if !t.KeepUntil.IsZero() {
		add("keep it until %s", when(t.KeepUntil))
	}
	for _, l := range t.Licences {
		add("licence: %s", l)
	}
	return strings.Join(list, "; ")
}

// printExported says what is soon to be known about an export.
func printExported(w io.Writer, sum node.ExportSummary) {
	for _, warning := range sum.Warnings {
		fmt.Fprintf(w, "warning: %s\n", clean(warning.Text))
	}
}
