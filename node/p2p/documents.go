package p2p

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"entente/protocol"
)

// A question for documents carries a digest of the version that the asker
// holds, by which the asked one sees that it is behind, and one of all that the
// asker has, to which the answer may be that there is nothing else.
const askSize = 2 * sha256.Size

// headDigest names a version to those who hold it and tells others nothing.
func headDigest(k tagKey) [sha256.Size]byte {
	return sha256.Sum256(append([]byte("entente/1 version\x00"), k[:]...))
}

// documentsDigest is over documents and signatures, whatever their order.
func documentsDigest(documents []protocol.Document) [sha256.Size]byte {
	hashes := make([][]byte, len(documents))
	for i, d := range documents {
		signatures := make([][]byte, len(d.Signatures))
		for j, s := range d.Signatures {
			signatures[j] = slices.Concat(s.Member[:], s.Key[:], s.Bytes[:])
		}
		slices.SortFunc(signatures, bytes.Compare)
		h := sha256.New()
		for _, part := range append([][]byte{[]byte(d.Type), d.Payload}, signatures...) {
			h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
			h.Write(part)
		}
		hashes[i] = h.Sum(nil)
	}
	slices.SortFunc(hashes, bytes.Compare)
	return sha256.Sum256(bytes.Join(hashes, nil))
}

// wireDocument is a document in a frame.
type wireDocument struct {
	_          struct{} `cbor:",toarray"`
	Type       string
	Payload    []byte
	Signatures []wireSignature
}

type wireSignature struct {
	_      struct{} `cbor:",toarray"`
	Member []byte
	Key    []byte
	Bytes  []byte
}

func encodeDocument(d protocol.Document) ([]byte, error) {
	w := wireDocument{Type: string(d.Type), Payload: d.Payload, Signatures: []wireSignature{}}
	for _, s := range d.Signatures {
		w.Signatures = append(w.Signatures, wireSignature{Member: s.Member[:], Key: s.Key[:], Bytes: s.Bytes[:]})
	}
	return cbor.Marshal(w)
}

// decodeDocument reads a document strictly. The frame it came in bounds it.
func decodeDocument(body []byte) (d protocol.Document, err error) {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 4, MaxArrayElements: maxSignatures, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode()
	if err != nil {
		return d, err
	}
	var w wireDocument
	if err := mode.Unmarshal(body, &w); err != nil {
		return d, fmt.Errorf("%w: %v", errFrame, err)
	}
	switch d.Type = protocol.DocumentType(w.Type); d.Type {
	case protocol.AgreementType, protocol.RecordType, protocol.ProfileType:
	default:
		return d, fmt.Errorf("%w: a document of unknown type", errFrame)
	}
	d.Payload = w.Payload
	for _, s := range w.Signatures {
		var signature protocol.Signature
		if len(s.Member) != len(signature.Member) || len(s.Key) != len(signature.Key) || len(s.Bytes) != len(signature.Bytes) {
			return d, fmt.Errorf("%w: a signature with a field of the wrong length", errFrame)
		}
		copy(signature.Member[:], s.Member)
		copy(signature.Key[:], s.Key)
		copy(signature.Bytes[:], s.Bytes)
		d.Signatures = append(d.Signatures, signature)
	}
	return d, nil
}

// serveDocuments answers one question for documents. An asker that holds a
// version unknown here is asked in turn.
func (h *Host) serveDocuments(m *membership, s *stream) {
	w := newWire(s, maxDocument)
	ask, err := w.expect(frameDocuments)
	if err != nil || len(ask) != askSize {
		_ = s.Reset()
		return
	}
	if err := h.answerDocuments(m, s, w, ask); err != nil {
		_ = s.Reset()
		return
	}
	_ = s.Close()
	known := m.fitsAny(ask[:sha256.Size])
	var none [sha256.Size]byte
	if !known && !bytes.Equal(ask[:sha256.Size], none[:]) {
		h.sync.trigger(m.Agreement, s.remote, hintDelay, true)
	}
}

func (h *Host) answerDocuments(m *membership, s *stream, w *wire, ask []byte) error {
	documents := h.cfg.Handler.Documents(h.roster.Load().person(m, s.remote), m.Agreement)
	digest := documentsDigest(documents)
	if bytes.Equal(digest[:], ask[sha256.Size:]) {
		return w.write(frameSame, nil)
	}
	return w.writeDocuments(documents)
}

// writeDocuments sends documents, and that they are all.
func (w *wire) writeDocuments(documents []protocol.Document) error {
	if len(documents) > maxDocuments {
		return protocol.Errorf(protocol.Limit, "send documents", "%d documents are held; at most %d are sent", len(documents), maxDocuments)
	}
	for _, d := range documents {
		body, err := encodeDocument(d)
		if err != nil {
			return err
		}
		if err := w.write(frameDocument, body); err != nil {
			return err
		}
	}
	return w.write(frameEnd, nil)
}

// pullDocuments asks a connected peer for what it has of the agreement's
// documents, and gives the handler what it does not have itself. Where the peer
// does not know the version in force here, older ones open the door. With nudge the
// peer is told that there is something for it here, and asks in turn.
func (h *Host) pullDocuments(ctx context.Context, m *membership, id peer.ID, nudge bool) error {
	person := h.roster.Load().person(m, id)
	mine := h.cfg.Handler.Documents(person, m.Agreement)
	err := errNotTaken
	keys := m.acceptable(kindDocuments, id)
	head := headDigest(m.keys[0])
	if nudge {
		_, _ = rand.Read(head[:]) // of a version that the peer cannot know; Read never fails
	}
	for _, key := range keys[:min(len(keys), 4)] {
		var documents []protocol.Document
		documents, err = h.askDocuments(ctx, m.Agreement, key, head, documentsDigest(mine), id)
		if errors.Is(err, errNotTaken) {
			continue
		}
		if err != nil || len(documents) == 0 {
			return err
		}
		return h.cfg.Handler.TakeDocuments(ctx, person, m.Agreement, documents)
	}
	return err
}

// askDocuments asks one question for documents.
func (h *Host) askDocuments(ctx context.Context, agreement protocol.AgreementID, key tagKey, head, held [sha256.Size]byte, id peer.ID) ([]protocol.Document, error) {
	s, err := h.openFor(ctx, agreement, key, kindDocuments, id)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	documents, err := readDocuments(newWire(s, maxDocument), slices.Concat(head[:], held[:]))
	if err != nil {
		_ = s.Reset()
		return nil, err
	}
	_ = s.Close()
	return documents, nil
}

// maxDocumentBytes is what the answer to one question may hold.
const maxDocumentBytes = 32 << 20

func readDocuments(w *wire, ask []byte) ([]protocol.Document, error) {
	if err := w.write(frameDocuments, ask); err != nil {
		return nil, err
	}
	return w.readDocuments(maxDocuments)
}

// readDocuments reads documents to their end, at most so many.
func (w *wire) readDocuments(most int) ([]protocol.Document, error) {
	var documents []protocol.Document
	total := 0
	for {
		t, body, err := w.read()
		if err != nil {
			return nil, err
		}
		switch {
		case t == frameSame && documents == nil, t == frameEnd:
			return documents, nil
		case t != frameDocument:
			return nil, fmt.Errorf("%w: type %d among documents", errFrame, t)
		}
		total += len(body)
		if len(documents) >= most || total > maxDocumentBytes {
			return nil, fmt.Errorf("%w: more documents than are taken", errFrame)
		}
		d, err := decodeDocument(body)
		if err != nil {
			return nil, err
		}
		documents = append(documents, d)
	}
}

// Fetch asks the host at any of the addresses (multiaddrs with /p2p) for the
// documents of a public agreement. It fails with Invalid when no address can be
// read or the host is not the public one, and with Unreachable when no host
// answers; the documents are not verified.
func (h *Host) Fetch(ctx context.Context, addresses []string, agreement protocol.AgreementID) ([]protocol.Document, error) {
	const op = "fetch a public agreement"
	if !h.cfg.Public {
		return nil, protocol.Errorf(protocol.Invalid, op, "only the public host fetches")
	}
	infos, err := addressInfos(addresses)
	if err != nil {
		return nil, protocol.E(protocol.Invalid, op, err, "an address looks like /ip4/203.0.113.7/tcp/4101/p2p/12D3…")
	}
	var failed error
	for _, info := range infos {
		documents, err := h.fetchFrom(ctx, info, agreement)
		if err == nil && len(documents) > 0 {
			return documents, nil
		}
		if err == nil {
			err = fmt.Errorf("%s has nothing of the agreement", info.ID)
		}
		failed = errors.Join(failed, err)
	}
	return nil, protocol.E(protocol.Unreachable, op, failed, "")
}

func (h *Host) fetchFrom(ctx context.Context, info peer.AddrInfo, agreement protocol.AgreementID) ([]protocol.Document, error) {
	was := h.net.Network().Connectedness(info.ID) == network.Connected
	if !was {
		if err := h.connectTo(ctx, info); err != nil {
			return nil, err
		}
		defer func() {
			if _, known := h.roster.Load().nodes[info.ID]; !known {
				_ = h.net.Network().ClosePeer(info.ID)
			}
		}()
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var none [sha256.Size]byte
	return h.askDocuments(ctx, agreement, openKey(agreement), none, none, info.ID)
}

// addressInfos reads multiaddrs with /p2p, several of one peer as one.
func addressInfos(addresses []string) ([]peer.AddrInfo, error) {
	var infos []peer.AddrInfo
	var failed error
	for _, address := range addresses {
		info, err := peer.AddrInfoFromString(address)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("address %q: %w", address, err))
			continue
		}
		at := slices.IndexFunc(infos, func(i peer.AddrInfo) bool { return i.ID == info.ID })
		if at < 0 {
			infos = append(infos, *info)
		} else {
			infos[at].Addrs = append(infos[at].Addrs, info.Addrs...)
		}
	}
	if len(infos) == 0 {
		return nil, errors.Join(failed, errors.New("no address to ask at"))
	}
	return infos, nil
}
