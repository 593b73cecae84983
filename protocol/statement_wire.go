package protocol

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

type wireStatement struct {
	Format    uint64     `cbor:"1,keyasint"`
	Kind      uint8      `cbor:"2,keyasint"`
	Agreement []byte     `cbor:"3,keyasint"`
	Version   uint64     `cbor:"4,keyasint"`
	Head      []byte     `cbor:"5,keyasint"`
	Member    []byte     `cbor:"6,keyasint"`
	Time      uint64     `cbor:"7,keyasint"`
	Party     []byte     `cbor:"8,keyasint,omitempty"`
	Text      string     `cbor:"9,keyasint,omitempty"`
	Leaves    []wireLeaf `cbor:"10,keyasint,omitempty"`
	About     []byte     `cbor:"11,keyasint,omitempty"`
	Name      string     `cbor:"12,keyasint,omitempty"`
	Count     uint64     `cbor:"13,keyasint,omitempty"`
	Frontier  []byte     `cbor:"14,keyasint,omitempty"`
	Until     uint64     `cbor:"15,keyasint,omitempty"`
}

type wireLeaf struct {
	_        struct{} `cbor:",toarray"`
	Log      []byte
	Sequence uint64
	Position uint64
}

func (*wireStatement) keys() uint64 { return 15 }

// The fields that only some kinds of statement have.
const (
	hasParty = 1 << iota
	hasLeaves
	hasAbout
	hasName
	hasCount
	hasFrontier
	hasUntil
	mayHaveText
	needsText
)

// statementFields returns which of the later fields a kind has; 0, false for an
// unknown kind.
func statementFields(k StatementKind) (fields int, known bool) {
	known = true
	switch k {
	case Freshness:
	case Suspension, Resumption:
		fields = hasParty | mayHaveText
	case Withdrawal:
		fields = mayHaveText
	case Tombstone:
		fields = hasLeaves | mayHaveText
	case Receipt:
		fields = hasLeaves | hasAbout
	case Score:
		fields = hasParty | hasName | hasCount | hasFrontier
	case Request:
		fields = hasLeaves | needsText
	case Grant:
		fields = hasAbout | hasUntil | mayHaveText
	case Denial:
		fields = hasAbout | mayHaveText
	case Endorsement:
		fields = hasAbout | mayHaveText
	default:
		known = false
	}
	return fields, known
}

func (s *Statement) check() error {
	fields, known := statementFields(s.Kind)
	switch {
	case !known:
		return fmt.Errorf("statement kind %d is not known", s.Kind)
	case s.Agreement.IsZero():
		return errors.New("the agreement's id is zero")
	case s.Version < 1 || s.Version > maxInteger:
		return fmt.Errorf("agreement version %d is not from 1 to %d", s.Version, uint64(maxInteger))
	case s.Head.IsZero():
		return errors.New("the hash of the version is zero")
	case s.Member.IsZero():
		return errors.New("the member's id is zero")
	}
	if _, err := micros(s.Time); err != nil {
		return err
	}
	if _, err := micros(s.Until); err != nil && !s.Until.IsZero() {
		return err
	}
	for _, f := range []struct {
		bit  int
		has  bool
		name string
	}{
		{hasParty, !s.Party.IsZero(), "a party"}, {hasLeaves, len(s.Leaves) > 0, "leaves"}, {hasAbout, !s.About.IsZero(), "a statement that it answers"},
		{hasName, s.Name != "", "a name"}, {hasCount, s.Count > 0, "a count"}, {hasFrontier, !s.Frontier.IsZero(), "a frontier"},
		{hasUntil, !s.Until.IsZero(), "an end"},
	} {
		if needed := fields&f.bit != 0; needed != f.has {
			return fmt.Errorf("a statement of kind %d has %s: %t, but it is there: %t", s.Kind, f.name, needed, f.has)
		}
	}
	return errors.Join(s.checkText(fields), s.checkLeaves())
}

func (s *Statement) checkText(fields int) error {
	switch {
	case s.Text == "" && fields&needsText != 0:
		return fmt.Errorf("a statement of kind %d needs a text", s.Kind)
	case s.Text != "" && fields&(needsText|mayHaveText) == 0:
		return fmt.Errorf("a statement of kind %d has no text", s.Kind)
	case len(s.Text) > maxStatementText:
		return fmt.Errorf("the text has %d bytes; the limit is %d", len(s.Text), maxStatementText)
	case !utf8.ValidString(s.Text) || strings.ContainsFunc(s.Text, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }):
		return errors.New("the text is not UTF-8 or holds control characters")
	case s.Count > maxInteger:
		return fmt.Errorf("a count of %d is over %d", s.Count, uint64(maxInteger))
	}
	if s.Name != "" {
		_, err := handle(s.Name)
		return err
	}
	return nil
}

func (s *Statement) checkLeaves() error {
	if len(s.Leaves) > maxStatementLeaves {
		return fmt.Errorf("%d leaves; the limit is %d", len(s.Leaves), maxStatementLeaves)
	}
	for i, l := range s.Leaves {
		switch {
		case l.Log.IsZero():
			return errors.New("the hash of a leaf's log is zero")
		case l.Sequence < 1 || l.Sequence > maxInteger:
			return fmt.Errorf("a leaf's sequence %d is not from 1 to %d", l.Sequence, uint64(maxInteger))
		case l.Position > maxElements:
			return fmt.Errorf("a leaf's position %d is over %d", l.Position, maxElements)
		case i > 0 && s.Leaves[i-1].Compare(l) >= 0:
			return errors.New("the leaves are not in order, or one is there twice")
		}
	}
	return nil
}

func (s *Statement) encode() ([]byte, error) {
	at, err := micros(s.Time)
	if err != nil {
		return nil, err
	}
	w := wireStatement{Format: FormatVersion, Kind: uint8(s.Kind), Agreement: s.Agreement[:], Version: s.Version, Head: s.Head[:],
		Member: s.Member[:], Time: at, Text: s.Text, Name: s.Name, Count: s.Count}
	if !s.Party.IsZero() {
		w.Party = s.Party[:]
	}
	if !s.About.IsZero() {
		w.About = s.About[:]
	}
	if !s.Frontier.IsZero() {
		w.Frontier = s.Frontier[:]
	}
	if !s.Until.IsZero() {
		if w.Until, err = micros(s.Until); err != nil {
			return nil, err
		}
	}
	for i := range s.Leaves {
		l := &s.Leaves[i]
		w.Leaves = append(w.Leaves, wireLeaf{Log: l.Log[:], Sequence: l.Sequence, Position: l.Position})
	}
	return cborEncoding.Marshal(w)
}

func (w *wireStatement) statement() (Statement, error) {
	s := Statement{Kind: StatementKind(w.Kind), Version: w.Version, Text: w.Text, Name: w.Name, Count: w.Count}
	if w.Format != FormatVersion {
		return s, fmt.Errorf("format version %d is not known", w.Format)
	}
	if w.Time > maxMicros || w.Until > maxMicros {
		return s, errors.New("a time is after the year 9999")
	}
	s.Time = timeOf(w.Time)
	if w.Until > 0 {
		s.Until = timeOf(w.Until)
	}
	err := errors.Join(
		fixed(s.Agreement[:], w.Agreement, "the agreement's id"),
		fixed(s.Head[:], w.Head, "the hash of the version"),
		fixed(s.Member[:], w.Member, "the member's id"),
		optional(s.Party[:], w.Party, "the party's id"),
		optional(s.About[:], w.About, "the hash of a statement"),
		optional(s.Frontier[:], w.Frontier, "the hash of a frontier"))
	if len(w.Leaves) > maxStatementLeaves {
		return s, fmt.Errorf("%d leaves; the limit is %d", len(w.Leaves), maxStatementLeaves)
	}
	for i := range w.Leaves {
		l := Leaf{Sequence: w.Leaves[i].Sequence, Position: w.Leaves[i].Position}
		err = errors.Join(err, fixed(l.Log[:], w.Leaves[i].Log, "the hash of a leaf's log"))
		s.Leaves = append(s.Leaves, l)
	}
	return s, err
}

// optional copies a byte string that may be absent.
func optional(dst, src []byte, name string) error {
	if src == nil {
		return nil
	}
	return fixed(dst, src, name)
}

// NeedsLeaves reports whether statements of the kind speak of single objects, so
// that they belong in the lane of those objects and nowhere else.
func (k StatementKind) NeedsLeaves() bool {
	return k >= Tombstone && k <= Denial && k != Score
}

// String names the kind in one word.
func (k StatementKind) String() string {
	words := [...]string{"", "freshness", "suspension", "resumption", "withdrawal", "tombstone", "receipt", "score", "request", "grant", "denial", "endorsement"}
	if int(k) >= len(words) {
		return "statement"
	}
	return words[k]
}

// SuspendedUntil returns when a suspension lapses.
func (s *Statement) SuspendedUntil() time.Time { return s.Time.Add(SuspensionLife) }
