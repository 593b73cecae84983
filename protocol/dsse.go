package protocol

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// Limits of what carries signatures (documents spec, "Envelope").
const (
	maxEnvelope   = 2 << 20
	maxSignatures = 4096
)

// preAuth is DSSE's pre-authentication encoding: what a signature covers.
func preAuth(kind DocumentType, payload []byte) []byte {
	out := make([]byte, 0, len(payload)+len(kind)+40)
	out = append(out, "DSSEv1 "...)
	out = strconv.AppendInt(out, int64(len(kind)), 10)
	out = append(append(append(out, ' '), kind...), ' ')
	out = strconv.AppendInt(out, int64(len(payload)), 10)
	return append(append(out, ' '), payload...)
}

// SignDocument signs a payload for a member with its root key; member is zero
// where it is not known yet. The key must be one of ed25519's length.
func SignDocument(kind DocumentType, payload []byte, member MemberID, key ed25519.PrivateKey) Signature {
	s := Signature{Member: member, Key: PublicOf(key)}
	copy(s.Bytes[:], ed25519.Sign(key, preAuth(kind, payload)))
	return s
}

// VerifySignature checks a signature under the key that it names; a false one
// is BadSignature. Whether that key may speak for the member is for the caller
// to know: VerifyAgreement and VerifyRecord do.
func VerifySignature(kind DocumentType, payload []byte, s Signature) error {
	if !ed25519.Verify(s.Key[:], preAuth(kind, payload), s.Bytes[:]) {
		return E(BadSignature, "verify signature", fmt.Errorf("the signature of member %s by %s does not fit the document", s.Member.Short(), s.Key),
			"the document was changed after it was signed, or the signature belongs to another one; ask the signer to sign this very file")
	}
	return nil
}

// envelope is the JSON form of a document: DSSE v1.
type envelope struct {
	PayloadType string              `json:"payloadType"`
	Payload     string              `json:"payload"`
	Signatures  []envelopeSignature `json:"signatures"`
}

type envelopeSignature struct {
	KeyID     string `json:"keyid"` // the member's id, a space, and the key
	Signature string `json:"sig"`
}

// EncodeEnvelope returns the DSSE envelope of a document. One that DecodeEnvelope
// would refuse for its size is Limit.
func EncodeEnvelope(d Document) ([]byte, error) {
	const op = "write envelope"
	e := envelope{PayloadType: string(d.Type), Payload: base64.StdEncoding.EncodeToString(d.Payload), Signatures: []envelopeSignature{}}
	for _, s := range MergeSignatures(nil, d.Signatures) {
		e.Signatures = append(e.Signatures, envelopeSignature{KeyID: s.Member.String() + " " + s.Key.String(),
			Signature: base64.StdEncoding.EncodeToString(s.Bytes[:])})
	}
	data, err := json.Marshal(e)
	if err != nil {
		return nil, E(Invalid, op, err, "")
	}
	if len(data) > maxEnvelope || len(d.Payload) > MaxDocument || len(e.Signatures) > maxSignatures {
		return nil, Errorf(Limit, op, "%d bytes with %d signatures; the limits are %d and %d", len(data), len(e.Signatures), maxEnvelope, maxSignatures)
	}
	return data, nil
}

// DecodeEnvelope reads a DSSE envelope strictly: known fields and types alone,
// none of them twice, standard base64, at most 2 MiB. Signatures come back
// sorted, none twice, not verified. What breaks the format is Malformed.
func DecodeEnvelope(data []byte) (Document, error) {
	const op = "read envelope"
	if len(data) > maxEnvelope {
		return Document{}, Errorf(Limit, op, "the envelope has %d bytes; the limit is %d", len(data), maxEnvelope)
	}
	var e envelope
	if err := json.Unmarshal(data, &e, json.RejectUnknownMembers(true)); err != nil {
		return Document{}, E(Malformed, op, err, "")
	}
	d := Document{Type: DocumentType(e.PayloadType)}
	if !slices.Contains([]DocumentType{RecordType, ProfileType, AgreementType}, d.Type) {
		return Document{}, Errorf(Malformed, op, "payload type %.80q is not known", e.PayloadType)
	}
	var err error
	if d.Payload, err = strictBase64(e.Payload); err != nil {
		return Document{}, E(Malformed, op, fmt.Errorf("the payload: %w", err), "")
	}
	if len(d.Payload) == 0 {
		return Document{}, Errorf(Malformed, op, "the payload is empty")
	}
	if len(d.Payload) > MaxDocument || len(e.Signatures) > maxSignatures {
		return Document{}, Errorf(Limit, op, "a payload of %d bytes and %d signatures; the limits are %d and %d",
			len(d.Payload), len(e.Signatures), MaxDocument, maxSignatures)
	}
	for _, s := range e.Signatures {
		signature, err := parseSignature(s.KeyID, s.Signature)
		if err != nil {
			return Document{}, E(Malformed, op, err, "")
		}
		d.Signatures = append(d.Signatures, signature)
	}
	d.Signatures = MergeSignatures(nil, d.Signatures)
	return d, nil
}

// strictBase64 takes the one spelling that the standard encoding gives.
func strictBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // which the decoder would skip
		return nil, errors.New("it is not base64 without line breaks")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, errors.New("it is not base64")
	}
	return raw, nil
}

func parseSignature(keyID, encoded string) (Signature, error) {
	var s Signature
	member, key, ok := strings.Cut(keyID, " ")
	if !ok {
		return s, fmt.Errorf("%.80q does not name a signature's member and key", keyID)
	}
	id, err := ParseHash(member)
	if err != nil {
		return s, fmt.Errorf("the member of a signature: %w", err)
	}
	if s.Key, err = ParsePublicKey(key); err != nil {
		return s, err
	}
	raw, err := strictBase64(encoded)
	if err != nil || len(raw) != len(s.Bytes) {
		return s, errors.New("a signature is 64 bytes in base64")
	}
	s.Member = MemberID(id)
	copy(s.Bytes[:], raw)
	return s, nil
}

// EncodeSignatures returns the text of a signatures file: one signature a line,
// as member id, key and base64, sorted and none twice.
func EncodeSignatures(signatures []Signature) []byte {
	var b bytes.Buffer
	for _, s := range MergeSignatures(nil, signatures) {
		fmt.Fprintf(&b, "%s %s %s\n", s.Member, s.Key, base64.StdEncoding.EncodeToString(s.Bytes[:]))
	}
	return b.Bytes()
}

// DecodeSignatures reads a signatures file. Empty lines and those that begin
// with # are passed over; the order does not matter, nor whether lines end as on
// Windows, since nothing here is signed text. What is wrong is Invalid and names
// the line.
func DecodeSignatures(text []byte) ([]Signature, error) {
	const op = "read signatures"
	if len(text) > MaxDocument {
		return nil, Errorf(Limit, op, "the file has %d bytes; the limit is %d", len(text), MaxDocument)
	}
	var out []Signature
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if len(words) != 3 {
			return nil, Errorf(Invalid, op, "line %d: a signature is member id, key and base64, with spaces between", number)
		}
		s, err := parseSignature(words[0]+" "+words[1], words[2])
		if err != nil {
			return nil, Errorf(Invalid, op, "line %d: %w", number, err)
		}
		if len(out) == maxSignatures {
			return nil, Errorf(Limit, op, "line %d: over %d signatures, the limit", number, maxSignatures)
		}
		out = append(out, s)
	}
	return MergeSignatures(nil, out), nil
}

// MergeSignatures returns all of both, sorted by member, key and bytes, none
// twice. Two signatures that differ in their bytes alone both stay: nothing
// says yet which of them is true, and a false one must not displace a true one.
func MergeSignatures(have, more []Signature) []Signature {
	out := slices.Concat(have, more)
	slices.SortFunc(out, compareSignatures)
	return slices.Compact(out)
}

func compareSignatures(a, b Signature) int {
	if c := bytes.Compare(a.Member[:], b.Member[:]); c != 0 {
		return c
	}
	if c := bytes.Compare(a.Key[:], b.Key[:]); c != 0 {
		return c
	}
	return bytes.Compare(a.Bytes[:], b.Bytes[:])
}
