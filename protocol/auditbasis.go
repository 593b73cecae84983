package protocol

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// AuditBasis is what a node's decisions rest on beside the objects and the moment:
// which versions bound it, what was known of their parties, and its own rules
// (spec, "Audit row"). It is written once, in a row of its own, and the rows of the
// decisions name it by its hash.
type AuditBasis struct {
	Member     MemberID         // whose node decided
	Encrypted  bool             // its disk is encrypted
	Rules      []byte           // the operator's own rules, as they were read; empty: none
	Documents  []Hash           // the newest record and profile of every member, in order
	Agreements []BasisAgreement // by id
}

// BasisAgreement is one agreement as it stood.
type BasisAgreement struct {
	ID         AgreementID
	Version    Hash   // of the version that counted
	Acting     []Hash // of all that had to allow, in order
	State      string
	Terminated time.Time // zero: not
	ClearOnly  bool
	Halted     []BasisHalt     // by member
	Entitled   []BasisEntitled // by contribution, then member
}

// BasisHalt is a party that got and gave nothing.
type BasisHalt struct {
	Member MemberID
	Until  time.Time // zero: for good
	Text   string
}

// BasisEntitled is a party that a score entitled.
type BasisEntitled struct {
	Name   string // of the contribution
	Member MemberID
	Until  time.Time
}

type wireBasis struct {
	_          struct{} `cbor:",toarray"`
	Member     []byte
	Encrypted  bool
	Rules      []byte
	Documents  [][]byte
	Agreements []wireBasisAgreement
}

type wireBasisAgreement struct {
	_          struct{} `cbor:",toarray"`
	ID         []byte
	Version    []byte
	Acting     [][]byte
	State      string
	Terminated uint64
	ClearOnly  bool
	Halted     []wireHalt
	Entitled   []wireEntitled
}

type wireHalt struct {
	_      struct{} `cbor:",toarray"`
	Member []byte
	Until  uint64
	Text   string
}

type wireEntitled struct {
	_      struct{} `cbor:",toarray"`
	Name   string
	Member []byte
	Until  uint64
}

// EncodeAuditBasis returns the deterministic encoding of a basis, and its SHA-256,
// by which rows name it. Times are cut to microseconds; one before 1970 or after
// 9999 is Invalid, one that is too long for a row Limit.
func EncodeAuditBasis(b AuditBasis) ([]byte, Hash, error) {
	const op = "encode audit basis"
	var bad error
	at := func(t time.Time) uint64 {
		if t.IsZero() {
			return 0
		}
		us, err := micros(t)
		bad = errors.Join(bad, err)
		return us
	}
	w := wireBasis{
		Member: b.Member[:], Encrypted: b.Encrypted, Rules: append([]byte{}, b.Rules...),
		Documents: hashBytes(b.Documents), Agreements: make([]wireBasisAgreement, len(b.Agreements)),
	}
	for i := range b.Agreements {
		a := &b.Agreements[i]
		to := wireBasisAgreement{
			ID: a.ID[:], Version: a.Version[:], Acting: hashBytes(a.Acting), State: valid(a.State), Terminated: at(a.Terminated),
			ClearOnly: a.ClearOnly, Halted: make([]wireHalt, len(a.Halted)), Entitled: make([]wireEntitled, len(a.Entitled)),
		}
		for k := range a.Halted {
			to.Halted[k] = wireHalt{Member: a.Halted[k].Member[:], Until: at(a.Halted[k].Until), Text: valid(a.Halted[k].Text)}
		}
		for k := range a.Entitled {
			to.Entitled[k] = wireEntitled{Name: valid(a.Entitled[k].Name), Member: a.Entitled[k].Member[:], Until: at(a.Entitled[k].Until)}
		}
		w.Agreements[i] = to
	}
	if bad != nil {
		return nil, Hash{}, E(Invalid, op, bad, "")
	}
	out, err := cborEncoding.Marshal(&w)
	if err != nil {
		return nil, Hash{}, E(Invalid, op, err, "")
	}
	if len(out) > maxAuditRow/2 {
		return nil, Hash{}, Errorf(Limit, op, "%d bytes; the limit is %d", len(out), maxAuditRow/2)
	}
	return out, sha256.Sum256(out), nil
}

func hashBytes(list []Hash) [][]byte {
	out := make([][]byte, len(list))
	for i := range list {
		out[i] = list[i][:]
	}
	return out
}

// DecodeAuditBasis reads exactly what EncodeAuditBasis wrote. Anything else is
// Malformed.
func DecodeAuditBasis(data []byte) (AuditBasis, error) {
	const op = "decode audit basis"
	var w wireBasis
	if len(data) > maxAuditRow {
		return AuditBasis{}, Errorf(Limit, op, "%d bytes; the limit is %d", len(data), maxAuditRow)
	}
	if err := cborStrict.Unmarshal(data, &w); err != nil {
		return AuditBasis{}, E(Malformed, op, plainCBOR(err), "")
	}
	b, err := w.basis()
	if err != nil {
		return AuditBasis{}, E(Malformed, op, err, "")
	}
	again, _, err := EncodeAuditBasis(b)
	if err == nil && string(again) != string(data) {
		err = errNotDeterministic
	}
	if err != nil {
		return AuditBasis{}, E(Malformed, op, err, "")
	}
	return b, nil
}

func (w *wireBasis) basis() (AuditBasis, error) {
	b := AuditBasis{Encrypted: w.Encrypted, Rules: w.Rules, Agreements: make([]BasisAgreement, len(w.Agreements))}
	err := fixed(b.Member[:], w.Member, "the member's id")
	if err != nil {
		return b, err
	}
	if b.Documents, err = hashesOf(w.Documents); err != nil {
		return b, err
	}
	for i := range w.Agreements {
		if b.Agreements[i], err = w.Agreements[i].agreement(); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (w *wireBasisAgreement) agreement() (BasisAgreement, error) {
	a := BasisAgreement{State: w.State, ClearOnly: w.ClearOnly, Halted: make([]BasisHalt, len(w.Halted)), Entitled: make([]BasisEntitled, len(w.Entitled))}
	var err error
	if a.Terminated, err = momentOf(w.Terminated); err != nil {
		return a, err
	}
	if err := errors.Join(fixed(a.ID[:], w.ID, "an agreement's id"), fixed(a.Version[:], w.Version, "a version's hash")); err != nil {
		return a, err
	}
	if a.Acting, err = hashesOf(w.Acting); err != nil {
		return a, err
	}
	for i, h := range w.Halted {
		to := &a.Halted[i]
		to.Text = h.Text
		if to.Until, err = momentOf(h.Until); err != nil {
			return a, err
		}
		if err := fixed(to.Member[:], h.Member, "a halted party's id"); err != nil {
			return a, err
		}
	}
	for i, e := range w.Entitled {
		to := &a.Entitled[i]
		to.Name = e.Name
		if to.Until, err = momentOf(e.Until); err != nil {
			return a, err
		}
		if err := fixed(to.Member[:], e.Member, "an entitled party's id"); err != nil {
			return a, err
		}
	}
	return a, nil
}

// momentOf reads a time that may be absent, as zero.
func momentOf(us uint64) (time.Time, error) {
	switch {
	case us == 0:
		return time.Time{}, nil
	case us > maxMicros:
		return time.Time{}, errors.New("a time is after the year 9999")
	}
	return timeOf(us), nil
}

func hashesOf(list [][]byte) ([]Hash, error) {
	out := make([]Hash, len(list))
	for i := range list {
		if err := fixed(out[i][:], list[i], "a document's hash"); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// AuditKept is what a row keeps beside the decision itself, so that it can be made
// again (spec, "Audit row").
type AuditKept struct {
	Purpose string      // that the reader stated
	Cases   []AuditCase // what was decided about, where no message holds it
	Basis   []byte      // of EncodeAuditBasis: in the row that writes a basis down
}

// AuditCase is an object as policy was asked about it, and how many were alike.
// Where Origin is set it is not asked about itself: it says how what the case
// before it is about came under another agreement.
type AuditCase struct {
	Count      int
	Origin     bool
	Agreement  AgreementID // it came under; zero: that of the row
	Topic      string      // "": that of the row
	Author     MemberID
	ID         string // where the answer depends on it
	CreatedBy  string
	Type       string
	Marking    Marking
	PAP        PAP
	Problem    string
	Classes    Class
	Inherent   Class
	Context    bool
	Confidence int
	Modified   time.Time // zero: none
	Version    uint64
}

type wireKept struct {
	_       struct{} `cbor:",toarray"`
	Purpose string
	Cases   []wireCase
	Basis   []byte
}

type wireCase struct {
	_          struct{} `cbor:",toarray"`
	Count      uint32
	Origin     bool
	Agreement  []byte
	Topic      string
	Author     []byte
	ID         string
	CreatedBy  string
	Type       string
	Marking    uint8
	PAP        uint8
	Problem    string
	Classes    uint16
	Inherent   uint16
	Context    bool
	Confidence uint8
	Modified   []int64 // microseconds; empty: none
	Version    uint64
}

func (k *AuditKept) wire() *wireKept {
	w := &wireKept{Purpose: valid(k.Purpose), Cases: make([]wireCase, len(k.Cases)), Basis: append([]byte{}, k.Basis...)}
	for i := range k.Cases {
		c := &k.Cases[i]
		w.Cases[i] = wireCase{
			Count: uint32(c.Count), Origin: c.Origin, Agreement: c.Agreement[:], Topic: valid(c.Topic), Author: c.Author[:],
			ID: valid(c.ID), CreatedBy: valid(c.CreatedBy), Type: valid(c.Type), Marking: uint8(c.Marking), PAP: uint8(c.PAP),
			Problem: valid(c.Problem), Classes: uint16(c.Classes), Inherent: uint16(c.Inherent), Context: c.Context,
			Confidence: uint8(c.Confidence), Modified: []int64{}, Version: c.Version,
		}
		if !c.Modified.IsZero() {
			w.Cases[i].Modified = []int64{c.Modified.UnixMicro()}
		}
	}
	return w
}

func (w *wireKept) kept() (*AuditKept, error) {
	k := &AuditKept{Purpose: w.Purpose, Cases: make([]AuditCase, len(w.Cases)), Basis: w.Basis}
	for i := range w.Cases {
		c := &w.Cases[i]
		to := AuditCase{
			Count: int(c.Count), Origin: c.Origin, Topic: c.Topic, ID: c.ID, CreatedBy: c.CreatedBy, Type: c.Type, Marking: Marking(c.Marking),
			PAP: PAP(c.PAP), Problem: c.Problem, Classes: Class(c.Classes), Inherent: Class(c.Inherent), Context: c.Context,
			Confidence: int(c.Confidence), Version: c.Version,
		}
		if err := errors.Join(fixed(to.Agreement[:], c.Agreement, "a case's agreement"), fixed(to.Author[:], c.Author, "a case's author")); err != nil {
			return nil, err
		}
		switch len(c.Modified) {
		case 0:
		case 1:
			to.Modified = time.UnixMicro(c.Modified[0]).UTC()
		default:
			return nil, fmt.Errorf("case %d was modified at %d moments", i, len(c.Modified))
		}
		k.Cases[i] = to
	}
	return k, nil
}

// check holds what the encoding can carry.
func (k *AuditKept) check() error {
	if k == nil {
		return nil
	}
	for i, c := range k.Cases {
		if c.Count < 0 || c.Count > 1<<31 || c.Confidence < 0 || c.Confidence > 100 || c.Version > maxInteger {
			return fmt.Errorf("case %d: a count, a confidence or a version is out of range", i)
		}
	}
	if len(k.Cases) > 0 && k.Cases[0].Origin {
		return errors.New("the first case is an origin of none")
	}
	return nil
}
