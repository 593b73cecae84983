package protocol

import (
	"fmt"
	"strings"
)

// Marking is the level of a TLP 2.0 label. Its numbers are signed for ever.
type Marking uint8

// The TLP levels, in rising order of restriction. NoMarking stands for an
// object or header without one.
const (
	NoMarking   Marking = 0
	Clear       Marking = 1
	Green       Marking = 2
	Amber       Marking = 3
	AmberStrict Marking = 4
	Red         Marking = 5
)

// String returns the label as TLP 2.0 writes it, "none" for NoMarking, and the
// number of a value that is no level.
func (m Marking) String() string {
	switch m {
	case NoMarking:
		return "none"
	case Clear:
		return "TLP:CLEAR"
	case Green:
		return "TLP:GREEN"
	case Amber:
		return "TLP:AMBER"
	case AmberStrict:
		return "TLP:AMBER+STRICT"
	case Red:
		return "TLP:RED"
	default:
		return fmt.Sprintf("marking %d", uint8(m))
	}
}

// ParseMarking reads a TLP label in any case, with or without "TLP:". The WHITE
// of TLP 1.0 is CLEAR; the empty text and "none" are NoMarking.
func ParseMarking(s string) (Marking, error) {
	label := strings.ToUpper(s)
	switch strings.TrimPrefix(label, "TLP:") {
	case "CLEAR", "WHITE":
		return Clear, nil
	case "GREEN":
		return Green, nil
	case "AMBER":
		return Amber, nil
	case "AMBER+STRICT":
		return AmberStrict, nil
	case "RED":
		return Red, nil
	}
	if label == "" || label == "NONE" {
		return NoMarking, nil
	}
	return NoMarking, E(Invalid, "read marking", fmt.Errorf("%.40q is no TLP label", s),
		"use TLP:CLEAR, TLP:GREEN, TLP:AMBER, TLP:AMBER+STRICT or TLP:RED")
}

// MarshalText implements encoding.TextMarshaler: the label, empty for
// NoMarking.
func (m Marking) MarshalText() ([]byte, error) {
	if m == NoMarking {
		return nil, nil
	}
	if m > Red {
		return nil, Errorf(Invalid, "write marking", "%d is no TLP level", uint8(m))
	}
	return []byte(m.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler; it takes what ParseMarking
// takes.
func (m *Marking) UnmarshalText(text []byte) error {
	v, err := ParseMarking(string(text))
	if err == nil {
		*m = v
	}
	return err
}
