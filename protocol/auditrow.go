package protocol

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxAuditRow bounds an encoded audit row: a row that names every object of a
// large refused import still fits.
const maxAuditRow = 8 << 20

// wireAuditRow is the map of an audit row. All but the kind may be absent.
type wireAuditRow struct {
	Number    uint64      `cbor:"1,keyasint,omitempty"`
	Time      uint64      `cbor:"2,keyasint,omitempty"`
	Kind      string      `cbor:"3,keyasint"`
	Action    string      `cbor:"4,keyasint,omitempty"`
	Outcome   string      `cbor:"5,keyasint,omitempty"`
	Agreement []byte      `cbor:"6,keyasint,omitempty"`
	Version   uint64      `cbor:"7,keyasint,omitempty"`
	Topic     string      `cbor:"8,keyasint,omitempty"`
	Log       *wireLog    `cbor:"9,keyasint,omitempty"`
	Sequence  uint64      `cbor:"10,keyasint,omitempty"`
	Peer      string      `cbor:"11,keyasint,omitempty"`
	Party     []byte      `cbor:"12,keyasint,omitempty"`
	Reason    *wireReason `cbor:"13,keyasint,omitempty"`
	Positions []int       `cbor:"14,keyasint,omitempty"`
	Objects   []string    `cbor:"15,keyasint,omitempty"`
	Count     int         `cbor:"16,keyasint,omitempty"`
	Bytes     int64       `cbor:"17,keyasint,omitempty"`
	Basis     []byte      `cbor:"18,keyasint,omitempty"`
	Kept      *wireKept   `cbor:"19,keyasint,omitempty"`
}

func (*wireAuditRow) keys() uint64 { return 19 }

type wireReason struct {
	_       struct{} `cbor:",toarray"`
	Layer   string
	Clause  string
	Text    string
	Parties [][]byte
}

// check holds the rules of a row; the words in it are not judged, so that a
// node can still read rows of a later version.
func (r *AuditRow) check() error {
	switch {
	case r.Kind == "":
		return errors.New("the row has no kind")
	case r.Count < 0 || r.Bytes < 0:
		return fmt.Errorf("%d objects and %d bytes: a count is not negative", r.Count, r.Bytes)
	case r.Number > maxInteger || r.Version > maxInteger || r.Sequence > maxInteger:
		return fmt.Errorf("a number is over %d", uint64(maxInteger))
	}
	for _, p := range r.Positions {
		if p < 0 {
			return fmt.Errorf("position %d is negative", p)
		}
	}
	if r.Log != nil {
		if err := r.Log.check(); err != nil {
			return err
		}
	}
	return r.Kept.check()
}

// EncodeAuditRow returns the deterministic encoding of a row (spec, "Audit
// row"), which is what the audit log's hashes are over. Times are cut to
// microseconds, and U+FFFD stands for what is not UTF-8: texts may quote what
// strangers sent, and a row must not fail for it. A row that contradicts itself
// is Invalid.
func EncodeAuditRow(r AuditRow) ([]byte, error) {
	const op = "encode audit row"
	if err := r.check(); err != nil {
		return nil, E(Invalid, op, err, "")
	}
	w := wireAuditRow{
		Number: r.Number, Kind: valid(string(r.Kind)), Action: valid(r.Action), Outcome: valid(r.Outcome), Version: r.Version,
		Topic: valid(r.Topic), Sequence: r.Sequence, Peer: valid(r.Peer), Positions: r.Positions, Objects: validAll(r.Objects),
		Count: r.Count, Bytes: r.Bytes,
	}
	if !r.Time.IsZero() {
		at, err := micros(r.Time)
		if err != nil {
			return nil, E(Invalid, op, err, "")
		}
		w.Time = at
	}
	if !r.Agreement.IsZero() {
		w.Agreement = r.Agreement[:]
	}
	if !r.Party.IsZero() {
		w.Party = r.Party[:]
	}
	if r.Basis != (Hash{}) {
		w.Basis = r.Basis[:]
	}
	if r.Kept != nil {
		w.Kept = r.Kept.wire()
	}
	if l := r.Log; l != nil {
		w.Log = &wireLog{Agreement: l.Agreement[:], Lane: l.Lane.appendCBOR(nil),
			Author: wireAuthor{Member: l.Author.Member[:], Node: l.Author.Node}, Incarnation: l.Incarnation[:]}
	}
	if q := r.Reason; q.Layer != "" || q.Clause != "" || q.Text != "" || len(q.Parties) > 0 {
		w.Reason = &wireReason{Layer: valid(q.Layer), Clause: valid(q.Clause), Text: valid(q.Text), Parties: make([][]byte, len(q.Parties))}
		for i := range q.Parties {
			w.Reason.Parties[i] = q.Parties[i][:]
		}
	}
	out, err := cborEncoding.Marshal(&w)
	if err != nil {
		return nil, E(Invalid, op, err, "")
	}
	if len(out) > maxAuditRow {
		return nil, E(Limit, op, fmt.Errorf("the row has %d bytes; the limit is %d", len(out), maxAuditRow), "write it as several rows")
	}
	return out, nil
}

func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

// validAll returns the list itself where all of it is UTF-8.
func validAll(list []string) []string {
	if !slices.ContainsFunc(list, func(s string) bool { return !utf8.ValidString(s) }) {
		return list
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = valid(s)
	}
	return out
}

// DecodeAuditRow reads exactly what EncodeAuditRow wrote, and rows with
// extensions. Anything else is Malformed.
func DecodeAuditRow(data []byte) (AuditRow, error) {
	const op = "decode audit row"
	if len(data) > maxAuditRow {
		return AuditRow{}, Errorf(Limit, op, "the row has %d bytes; the limit is %d", len(data), maxAuditRow)
	}
	var w wireAuditRow
	extensions, err := unmarshalMap(data, &w)
	if err != nil {
		return AuditRow{}, E(Malformed, op, err, "")
	}
	r, err := w.row()
	if err != nil {
		return AuditRow{}, E(Malformed, op, err, "")
	}
	again, err := EncodeAuditRow(r)
	if err == nil {
		err = sameBytes(data, again, extensions)
	}
	if err != nil {
		return AuditRow{}, E(Malformed, op, err, "")
	}
	return r, nil
}

func (w *wireAuditRow) row() (AuditRow, error) {
	r := AuditRow{
		Number: w.Number, Kind: AuditKind(w.Kind), Action: w.Action, Outcome: w.Outcome, Version: w.Version,
		Topic: w.Topic, Sequence: w.Sequence, Peer: w.Peer, Positions: w.Positions, Objects: w.Objects,
		Count: w.Count, Bytes: w.Bytes,
	}
	if w.Time > maxMicros {
		return r, errors.New("the time is after the year 9999")
	}
	if w.Time > 0 {
		r.Time = timeOf(w.Time)
	}
	if w.Agreement != nil {
		if err := fixed(r.Agreement[:], w.Agreement, "the agreement's id"); err != nil {
			return r, err
		}
	}
	if w.Party != nil {
		if err := fixed(r.Party[:], w.Party, "the party's id"); err != nil {
			return r, err
		}
	}
	if w.Log != nil {
		log, err := w.Log.log()
		if err != nil {
			return r, err
		}
		r.Log = &log
	}
	if w.Basis != nil {
		if err := fixed(r.Basis[:], w.Basis, "the hash of the basis"); err != nil {
			return r, err
		}
	}
	if w.Kept != nil {
		kept, err := w.Kept.kept()
		if err != nil {
			return r, err
		}
		r.Kept = kept
	}
	if q := w.Reason; q != nil {
		r.Reason = AuditReason{Layer: q.Layer, Clause: q.Clause, Text: q.Text}
		for _, p := range q.Parties {
			var id MemberID
			if err := fixed(id[:], p, "the id of a party it was withheld for"); err != nil {
				return r, err
			}
			r.Reason.Parties = append(r.Reason.Parties, id)
		}
	}
	return r, nil
}
