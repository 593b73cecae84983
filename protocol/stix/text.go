package stix

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"entente/protocol"
)

// SearchText returns everything in an object that a person may look for: all
// its string values, one a line, without the names of properties. Bytes that
// Parse would refuse give what stands before the fault.
func SearchText(raw []byte) string {
	var out strings.Builder
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	for {
		t, err := d.ReadToken()
		if err != nil {
			return out.String()
		}
		if t.Kind() != '"' {
			continue
		}
		// Inside an object names and values alternate; a name is at an odd count.
		if kind, length := d.StackIndex(d.StackDepth()); kind == '{' && length%2 == 1 {
			continue
		}
		out.WriteString(t.String())
		out.WriteByte('\n')
	}
}

// IsTLP reports whether an id is that of a predefined TLP marking, 1.0 or 2.0.
func IsTLP(id string) bool { return tlpOf(id) != protocol.NoMarking }
