package stix

import (
	"strings"

	"entente/protocol"
)

// SearchText returns everything in an object that a person may look for: all
// its string values, one a line, without the names of properties. Bytes that
// Parse would refuse give what stands before the fault.
func SearchText(raw []byte) string {
	s := scanner{raw: raw, limits: hardLimits(), tape: make([]node, 0, max(leastTape, min(len(raw)/24, 1<<12)))}
	_ = s.scan() // what stands on the tape stands before the fault
	var out strings.Builder
	if len(s.tape) > 0 {
		out.Grow(len(raw))
		s.writeTexts(&out, 0)
	}
	return out.String()
}

// writeTexts writes the strings in value i.
func (s *scanner) writeTexts(out *strings.Builder, i int) {
	end := s.after(i)
	switch s.kindOf(i) {
	case nodeString:
		out.Write(s.content(i))
		out.WriteByte('\n')
	case nodeArray:
		for at := i + 1; at < end; at = s.after(at) {
			s.writeTexts(out, at)
		}
	case nodeObject:
		for at := i + 2; at < end; at = s.after(at) + 1 {
			s.writeTexts(out, at)
		}
	}
}

// IsTLP reports whether an id is that of a predefined TLP marking, 1.0 or 2.0.
func IsTLP(id string) bool { return tlpOf(id) != protocol.NoMarking }
