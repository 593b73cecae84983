package protocol

// DocumentType tells documents apart; it is bound into every signature.
type DocumentType string

// The types of document.
const (
	RecordType    DocumentType = "application/vnd.entente.member-record+yaml"
	ProfileType   DocumentType = "application/vnd.entente.public-profile+yaml"
	AgreementType DocumentType = "application/vnd.entente.agreement+yaml"
)

// PublicKey is an Ed25519 public key. Its text form is "ed25519:" and the
// unpadded URL-safe base64 of the 32 bytes.
type PublicKey [32]byte

// Signature is one signature over a document: DSSE's pre-authentication
// encoding of type and payload, signed with Ed25519.
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
