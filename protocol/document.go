package protocol

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
)

// DocumentType tells documents apart; it is bound into every signature.
type DocumentType string

// The types of document.
const (
	RecordType    DocumentType = "application/vnd.entente.member-record+yaml"
	ProfileType   DocumentType = "application/vnd.entente.public-profile+yaml"
	AgreementType DocumentType = "application/vnd.entente.agreement+yaml"
)

// What the field "kind" says in each type of document.
const (
	kindRecord    = "entente/member-record"
	kindProfile   = "entente/public-profile"
	kindAgreement = "entente/agreement"
	kindLocal     = "entente/local-rules"
)

// PublicKey is an Ed25519 public key. Its text form is "ed25519:" and the
// unpadded URL-safe base64 of the 32 bytes.
type PublicKey [32]byte

// Signature is one signature over a document: DSSE's pre-authentication
// encoding of type and payload, signed with Ed25519. Member is what the bearer
// says and is not signed; signatures are counted by their key alone.
type Signature struct {
	Member MemberID // zero on a first member record, whose id is not known yet
	Key    PublicKey
	Bytes  [64]byte
}

// Document is a payload as people read and signed it, with its signatures.
// It is not verified.
type Document struct {
	Type       DocumentType
	Payload    []byte
	Signatures []Signature
}

// PayloadHash is the hash by which a document is known: SHA-256 of its bytes
// as they are, the same that sha256sum prints.
func PayloadHash(payload []byte) Hash { return sha256.Sum256(payload) }

// DetectDocument tells which type of document a text is, from its field "kind".
// The text is read by the rules of all documents first; what is none of ours is
// Invalid, with the place where there is one to show.
func DetectDocument(payload []byte) (DocumentType, error) {
	const op = "read document"
	var found DocumentType
	err := readForm(payload, op, []string{kindAgreement, kindRecord, kindProfile}, func(_ section, kind string) {
		switch kind {
		case kindAgreement:
			found = AgreementType
		case kindRecord:
			found = RecordType
		case kindProfile:
			found = ProfileType
		}
	})
	return found, err
}

// FileNames returns the names under which a version of a document and its
// signatures are kept: NAME.vN.yaml and NAME.vN.sigs.
func FileNames(name string, version uint64) (document, signatures string) {
	base := fmt.Sprintf("%s.v%d", name, version)
	return base + ".yaml", base + ".sigs"
}

// ParseFileName reads either of the names that FileNames gives, without a
// folder; ok is false for every other name.
func ParseFileName(file string) (name string, version uint64, signatures, ok bool) {
	base, signatures := strings.CutSuffix(file, ".sigs")
	if !signatures {
		base, ok = strings.CutSuffix(file, ".yaml")
		if !ok {
			return "", 0, false, false
		}
	}
	at := strings.LastIndex(base, ".v")
	if at < 0 {
		return "", 0, false, false
	}
	version, err := strconv.ParseUint(base[at+2:], 10, 64)
	if _, bad := handle(base[:at]); bad != nil || err != nil || version == 0 || strconv.FormatUint(version, 10) != base[at+2:] {
		return "", 0, false, false
	}
	return base[:at], version, signatures, true
}
