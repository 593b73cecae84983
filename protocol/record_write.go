package protocol

import (
	"fmt"
	"strings"
	"time"
)

// RenderRecord writes a record or profile as text, ready to be signed, with
// comments for the people who read it. The same record always gives the same
// text. The result parses, or RenderRecord returns the fault: a record that
// nobody would take is Invalid. Hash and, in a first member record, Member are
// not read.
func RenderRecord(r Record) ([]byte, error) {
	w := &yamlWriter{}
	if r.Public {
		w.comment("", "What readers of our public agreements must know of our public hosts.")
		w.line("", "kind", kindProfile)
	} else {
		w.comment("", "What the parties of our agreements must know of our organisation and its nodes.",
			"It is signed as it stands: do not change a character of it.")
		w.line("", "kind", kindRecord)
	}
	w.line("", "format", "1")
	w.line("", "handle", r.Handle)
	w.line("", "name", quote(r.Name))
	w.line("", "version", fmt.Sprint(r.Version))
	if r.Public || r.Version > 1 {
		w.line("", "member", quote(r.Member.String()))
	} else {
		w.comment("", "The member's id is the SHA-256 of this file: sha256sum prints it.")
	}
	if r.Version > 1 {
		w.comment("", "The SHA-256 of the version before this one.")
		w.line("", "previous", quote(r.Previous.String()))
	}
	w.span("valid", r.From, r.Until)
	w.comment("", "The root key signs agreements and these records. Compare it by another way",
		"(a call, a meeting) before you trust it.")
	w.line("", "root", r.Root.String())
	w.comment("", "The operations key signs invites and short statements.")
	w.open("operations")
	w.line("  ", "key", r.Operations.Key.String())
	w.line("  ", "from", timeText(r.Operations.From))
	w.line("  ", "until", timeText(r.Operations.Until))
	w.nodes(r.Nodes)
	w.retired(r.Retired)
	if len(r.Identities) > 0 {
		w.comment("", "STIX identities that are ours: objects created by them are.")
	}
	w.list("", "identities", r.Identities)
	w.list("", "contacts", r.Contacts)
	text := []byte(w.String())
	if _, err := ParseRecord(text); err != nil {
		return nil, err
	}
	return text, nil
}

// yamlWriter writes the YAML of documents. What it is given may hold anything:
// the result is parsed again before it is used.
type yamlWriter struct{ strings.Builder }

func (w *yamlWriter) comment(indent string, lines ...string) {
	for _, line := range lines {
		w.WriteString(indent + "# " + line + "\n")
	}
}

func (w *yamlWriter) line(indent, name, value string) {
	w.WriteString(indent + name + ": " + value + "\n")
}

func (w *yamlWriter) open(name string) { w.WriteString(name + ":\n") }

func (w *yamlWriter) span(name string, from, until time.Time) {
	w.open(name)
	w.line("  ", "from", timeText(from))
	w.line("  ", "until", timeText(until))
}

func (w *yamlWriter) list(indent, name string, items []string) {
	if len(items) == 0 {
		return
	}
	w.WriteString(indent + name + ":\n")
	for _, item := range items {
		w.WriteString(indent + "  - " + quote(item) + "\n")
	}
}

func (w *yamlWriter) nodes(nodes []NodeEntry) {
	if len(nodes) == 0 {
		return
	}
	w.comment("", "Each node signs its messages with \"key\" and is known on the network by \"transport\".")
	w.open("nodes")
	for _, n := range nodes {
		w.line("  - ", "number", fmt.Sprint(n.Number))
		w.line("    ", "epoch", fmt.Sprint(n.Epoch))
		w.line("    ", "key", n.Key.String())
		w.line("    ", "transport", n.Transport.String())
		w.list("    ", "sealing", n.Sealing)
		w.list("    ", "addresses", n.Addresses)
	}
}

func (w *yamlWriter) retired(nodes []RetiredNode) {
	if len(nodes) == 0 {
		return
	}
	w.comment("", "Entries up to the closing positions stay valid, entries beyond are refused.")
	w.open("retired")
	for _, n := range nodes {
		w.line("  - ", "number", fmt.Sprint(n.Number))
		w.line("    ", "epoch", fmt.Sprint(n.Epoch))
		w.line("    ", "key", n.Key.String())
		w.line("    ", "at", timeText(n.At))
		if len(n.Closing) > 0 {
			w.WriteString("    closing:\n")
		}
		for _, c := range n.Closing {
			w.line("      - ", "log", quote(c.Log.String()))
			w.line("        ", "sequence", fmt.Sprint(c.Position.Sequence))
			w.line("        ", "head", quote(c.Position.Head.String()))
		}
	}
}

// quote writes a text of one line in double quotes.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func timeText(t time.Time) string { return t.UTC().Format(momentLayout) }
