package protocol

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

const (
	maxEnvelope   = 2 << 20
	maxSignatures = 1024
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

// PayloadHash is the hash by which a document is known: SHA-256 of its bytes
// as they are, the same that sha256sum prints.
func PayloadHash(payload []byte) Hash { return sha256.Sum256(payload) }

// SignDocument signs a payload for a member.
func SignDocument(kind DocumentType, payload []byte, member MemberID, key ed25519.PrivateKey) Signature {
	s := Signature{Member: member, Key: PublicOf(key)}
	copy(s.Bytes[:], ed25519.Sign(key, preAuth(kind, payload)))
	return s
}

// VerifySignature checks a signature under the key that it names. Whether that
// key may speak for the member is for the caller to know.
func VerifySignature(kind DocumentType, payload []byte, s Signature) error {
	if !ed25519.Verify(s.Key[:], preAuth(kind, payload), s.Bytes[:]) {
		return E(BadSignature, "verify", fmt.Errorf("the signature of member %s by %s does not fit the document", s.Member.Short(), s.Key),
			"the document was changed after it was signed, or the signature belongs to another one; ask the signer to sign this very file")
	}
	return nil
}

// envelope is the JSON form of a document: DSSE.
type envelope struct {
	PayloadType string              `json:"payloadType"`
	Payload     []byte              `json:"payload"`
	Signatures  []envelopeSignature `json:"signatures"`
}

type envelopeSignature struct {
	KeyID     string `json:"keyid"` // the member's id, a blank, and the key
	Signature []byte `json:"sig"`
}

// EncodeEnvelope returns the DSSE envelope of a document.
func EncodeEnvelope(d Document) ([]byte, error) {
	e := envelope{PayloadType: string(d.Type), Payload: d.Payload, Signatures: []envelopeSignature{}}
	for _, s := range d.Signatures {
		e.Signatures = append(e.Signatures, envelopeSignature{KeyID: s.Member.String() + " " + s.Key.String(), Signature: s.Bytes[:]})
	}
	return json.Marshal(e)
}

// DecodeEnvelope reads a DSSE envelope strictly: known fields, known types,
// at most 2 MiB. Signatures are not verified.
func DecodeEnvelope(data []byte) (Document, error) {
	const op = "read envelope"
	if len(data) > maxEnvelope {
		return Document{}, Errorf(Limit, op, "the envelope has %d bytes; 2 MiB is the most", len(data))
	}
	var e envelope
	if err := json.Unmarshal(data, &e, json.RejectUnknownMembers(true)); err != nil {
		return Document{}, Errorf(Malformed, op, "%w", err)
	}
	d := Document{Type: DocumentType(e.PayloadType), Payload: e.Payload}
	if !slices.Contains([]DocumentType{RecordType, ProfileType, AgreementType}, d.Type) {
		return Document{}, Errorf(Malformed, op, "unknown payload type %.80q", e.PayloadType)
	}
	if len(e.Payload) > maxDocument || len(e.Signatures) > maxSignatures {
		return Document{}, Errorf(Limit, op, "the envelope holds more than 1 MiB or %d signatures", maxSignatures)
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

func parseSignature(keyID string, raw []byte) (Signature, error) {
	var s Signature
	member, key, ok := strings.Cut(keyID, " ")
	if !ok {
		return s, fmt.Errorf("a signature should name member and key, not %.80q", keyID)
	}
	id, err := ParseHash(member)
	if err != nil {
		return s, err
	}
	if s.Key, err = ParsePublicKey(key); err != nil {
		return s, err
	}
	if len(raw) != len(s.Bytes) {
		return s, fmt.Errorf("a signature has 64 bytes, not %d", len(raw))
	}
	s.Member = MemberID(id)
	copy(s.Bytes[:], raw)
	return s, nil
}

// EncodeSignatures returns the text of a signatures file: one signature a line,
// member id, key and signature in base64.
func EncodeSignatures(signatures []Signature) []byte {
	var b bytes.Buffer
	for _, s := range signatures {
		fmt.Fprintf(&b, "%s %s %s\n", s.Member, s.Key, base64.StdEncoding.EncodeToString(s.Bytes[:]))
	}
	return b.Bytes()
}

// DecodeSignatures reads a signatures file; blank lines and lines that begin
// with # are passed over.
func DecodeSignatures(text []byte) ([]Signature, error) {
	const op = "read signatures"
	if len(text) > maxDocument {
		return nil, Errorf(Limit, op, "the file has %d bytes; 1 MiB is the most", len(text))
	}
	var out []Signature
	for number, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		words := strings.Fields(line)
		if len(words) != 3 {
			return nil, Errorf(Invalid, op, "line %d: a signature is member id, key and signature with blanks between", number+1)
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(words[2])
		if err != nil {
			return nil, Errorf(Invalid, op, "line %d: the signature is not base64", number+1)
		}
		s, err := parseSignature(words[0]+" "+words[1], raw)
		if err != nil {
			return nil, Errorf(Invalid, op, "line %d: %w", number+1, err)
		}
		if len(out) == maxSignatures {
			return nil, Errorf(Limit, op, "more than %d signatures", maxSignatures)
		}
		out = append(out, s)
	}
	return MergeSignatures(nil, out), nil
}

// MergeSignatures adds signatures to others, one for each member and key,
// sorted: the first that is there stays.
func MergeSignatures(have, more []Signature) []Signature {
	out := slices.Clone(have)
	for _, s := range more {
		if !slices.ContainsFunc(out, func(o Signature) bool { return o.Member == s.Member && o.Key == s.Key }) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Signature) int {
		if c := bytes.Compare(a.Member[:], b.Member[:]); c != 0 {
			return c
		}
		return bytes.Compare(a.Key[:], b.Key[:])
	})
	return out
}

// DetectDocument tells what kind of document a text is, by its first field.
func DetectDocument(payload []byte) (DocumentType, error) {
	for line := range strings.Lines(string(payload[:min(len(payload), 4096)])) {
		switch kind, _ := strings.CutPrefix(strings.TrimSpace(line), "kind: "); kind {
		case kindRecord:
			return RecordType, nil
		case kindProfile:
			return ProfileType, nil
		case kindAgreement:
			return AgreementType, nil
		}
	}
	return "", E(Invalid, "read document", fmt.Errorf("there is no line %q, %q or %q at its beginning", "kind: "+kindAgreement, "kind: "+kindRecord, "kind: "+kindProfile),
		"see how one looks: entente agreements new NAME")
}

// FileNames returns the names under which a version of a document and its
// signatures are kept: NAME.vN.yaml and NAME.vN.sigs.
func FileNames(name string, version uint64) (document, signatures string) {
	base := fmt.Sprintf("%s.v%d", name, version)
	return base + ".yaml", base + ".sigs"
}
