package protocol

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// RenderRecord writes a record or profile as text, ready to be signed. The same
// record always gives the same text. The result parses, or RenderRecord fails
// with the fault.
func RenderRecord(r Record) ([]byte, error) {
	var b strings.Builder
	kind, about := kindRecord, "What the parties of our agreements must know of our organisation and its nodes."
	if r.Public {
		kind, about = kindProfile, "What readers of our public agreements must know of our public hosts."
	}
	fmt.Fprintf(&b, "# %s\nkind: %s\nformat: 1\nhandle: %s\nname: %s\nversion: %d\n", about, kind, r.Handle, quote(r.Name), r.Version)
	if r.Public || r.Version > 1 {
		fmt.Fprintf(&b, "member: \"%s\"\n", r.Member)
	}
	if r.Version > 1 {
		fmt.Fprintf(&b, "previous: \"%s\"\n", r.Previous)
	}
	fmt.Fprintf(&b, "valid:\n  from: %s\n  until: %s\n", moment(r.From), moment(r.Until))
	fmt.Fprintf(&b, "# Signs agreements and these records. Compare it by another way before you trust it.\nroot: %s\n", r.Root)
	fmt.Fprintf(&b, "operations:\n  key: %s\n  from: %s\n  until: %s\n", r.Operations.Key, moment(r.Operations.From), moment(r.Operations.Until))
	if len(r.Nodes) > 0 {
		b.WriteString("nodes:\n")
	}
	for _, n := range r.Nodes {
		fmt.Fprintf(&b, "  - number: %d\n    epoch: %d\n    key: %s\n    transport: %s\n", n.Number, n.Epoch, n.Key, n.Transport)
		writeList(&b, "    ", "sealing", n.Sealing)
		writeList(&b, "    ", "addresses", n.Addresses)
	}
	if len(r.Retired) > 0 {
		b.WriteString("# Entries up to the closing positions stay valid, entries beyond are refused.\nretired:\n")
	}
	for _, n := range r.Retired {
		fmt.Fprintf(&b, "  - number: %d\n    epoch: %d\n    key: %s\n    at: %s\n", n.Number, n.Epoch, n.Key, moment(n.At))
		if len(n.Closing) > 0 {
			b.WriteString("    closing:\n")
		}
		for _, c := range n.Closing {
			fmt.Fprintf(&b, "      - log: \"%s\"\n        sequence: %d\n        head: \"%s\"\n", c.Log, c.Position.Sequence, c.Position.Head)
		}
	}
	writeList(&b, "", "identities", r.Identities)
	writeList(&b, "", "contacts", r.Contacts)
	text := []byte(b.String())
	if _, err := ParseRecord(text); err != nil {
		return nil, err
	}
	return text, nil
}

func writeList(b *strings.Builder, indent, name string, items []string) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(b, "%s%s:\n", indent, name)
	for _, item := range items {
		fmt.Fprintf(b, "%s  - %s\n", indent, quote(item))
	}
}

// quote writes a text in double quotes, as YAML and Go agree on.
func quote(s string) string { return strconv.Quote(s) }

func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
