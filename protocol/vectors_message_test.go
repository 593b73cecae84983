package protocol

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

// zstdHead begins a zstd frame of a single segment whose content has size
// bytes, under 64 KiB or up to 4 GiB.
func zstdHead(size int) []byte {
	magic := []byte{0x28, 0xb5, 0x2f, 0xfd}
	return binary.LittleEndian.AppendUint32(append(magic, 0xa0), uint32(size))
}

// zstdBlock appends a block of a zstd frame: 0 is raw, 1 repeats its one byte.
func zstdBlock(dst []byte, last bool, kind, size int, content []byte) []byte {
	h := uint32(size)<<3 | uint32(kind)<<1
	if last {
		h |= 1
	}
	return append(append(dst, byte(h), byte(h>>8), byte(h>>16)), content...)
}

// zstdRaw is a zstd frame that holds data as it is: any encoder may make it,
// and it never changes with a library.
func zstdRaw(data []byte) []byte {
	return zstdBlock(zstdHead(len(data)), true, 0, len(data), data)
}

// zstdParts is data in two frames, with all that a reader must put up with.
func zstdParts(data []byte) []byte {
	skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3}
	unknownSize := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x68} // a checksum, no size, a window of 8 MiB
	second := zstdBlock(unknownSize, true, 0, len(data)-50, data[50:])
	return bytes.Join([][]byte{skippable, zstdRaw(data[:50]), second, {1, 2, 3, 4}}, nil)
}

// zstdBomb is a zstd frame of size zero bytes, in blocks of 128 KiB.
func zstdBomb(head []byte, size int) []byte {
	const block = 128 << 10
	for ; size > block; size -= block {
		head = zstdBlock(head, false, 1, block, []byte{0})
	}
	return zstdBlock(head, true, 1, size, []byte{0})
}

// messageMaker makes frames that are right but for what is changed in them.
type messageMaker struct {
	t       *testing.T
	objects [][]byte
	body    *contents
	header  Header
}

func newMessageMaker(t *testing.T, objects ...string) *messageMaker {
	mm := &messageMaker{t: t}
	size := seedSize
	for _, o := range objects {
		mm.objects = append(mm.objects, []byte(o))
		size += len(o) + uvarintSize(len(o))
	}
	seed := testHash("seed")
	mm.body = newContents(mm.objects, seed[:], size)
	mm.header = exampleHeader()
	mm.header.Root, mm.header.Objects, mm.header.BodyLength = mm.body.root(), len(objects), size
	return mm
}

// frame signs the header, changed, around a body.
func (mm *messageMaker) frame(change func(*Header), encoding byte, body []byte) []byte {
	h := mm.header
	if change != nil {
		change(&h)
	}
	encoded := mustEncode(mm.t, h)
	return newFrame(encoded, sign(testKey("node"), domainHeaderSignature, encoded), encoding, body).bytes
}

func (mm *messageMaker) means() map[string]any {
	leaves := mm.body.leaves(mm.body.hasher())
	encoded := mustEncode(mm.t, mm.header)
	var objects []string
	for _, o := range mm.objects {
		objects = append(objects, string(o))
	}
	return map[string]any{"header_hash": HeaderHash(encoded), "leaves": leaves, "root": mm.header.Root, "objects": objects}
}

func messageVectors(t *testing.T) vectorFile {
	mm := newMessageMaker(t, `{"type":"identity","name":"one"}`, "{\n  \"two\": 2\n}", `{"three":[3,3,3]}`)
	raw := mm.body.raw
	part := mm.body.without([]bool{false, true, false})
	none := mm.body.without([]bool{true, true, true})
	file := vectorFile{
		About: "Messages (SPEC.md, Frame). They are signed by the key whose seed is SHA-256(\"node\"). " +
			"Objects that are gone from a message are null.",
		Keys: map[string]any{"node_public": hexOf(publicOf(testKey("node")))},
	}
	partMeans, noneMeans := mm.means(), mm.means()
	partMeans["objects"] = []any{string(mm.objects[0]), nil, string(mm.objects[2])}
	noneMeans["objects"] = []any{nil, nil, nil}
	one := newMessageMaker(t, "x")
	extensionFrame := func() []byte {
		encoded := extended(t, pairsOf(t, mustEncode(t, mm.header))).bytes()
		return newFrame(encoded, sign(testKey("node"), domainHeaderSignature, encoded), 0, raw).bytes
	}()
	file.Accept = []vector{
		accept("three objects, not compressed", mm.frame(nil, 0, raw), mm.means()),
		accept("three objects, compressed", mm.frame(nil, encodedZstd, zstdRaw(raw)), mm.means()),
		accept("compressed, two zstd frames after a skippable one, the second of unknown size with a wrong checksum", mm.frame(nil, encodedZstd, zstdParts(raw)), mm.means()),
		accept("object 1 is gone", mm.frame(nil, encodedPartial, part.raw), partMeans),
		accept("object 1 is gone, compressed", mm.frame(nil, encodedPartial|encodedZstd, zstdRaw(part.raw)), partMeans),
		accept("all objects are gone", mm.frame(nil, encodedPartial, none.raw), noneMeans),
		accept("one object of one byte", one.frame(nil, 0, one.body.raw), one.means()),
		{Name: "extensions in the header", Hex: hexOf(extensionFrame)},
	}
	file.Refuse = append(frameRefusals(t, mm), bodyRefusals(t, mm)...)
	return file
}

// frameRefusals break the frame around header and body.
func frameRefusals(t *testing.T, mm *messageMaker) []refusal {
	good := mm.frame(nil, 0, mm.body.raw)
	header := mustEncode(t, mm.header)
	signature := sign(testKey("node"), domainHeaderSignature, header)
	change := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	bodyAt := len(good) - len(mm.body.raw)
	long := append([]byte{1, good[1] | 0x80, good[2] | 0x80, 0}, good[3:]...)
	longBody := append(bytes.Clone(good[:bodyAt-1]), good[bodyAt-1]|0x80, 0)
	longBody = append(longBody, good[bodyAt:]...)
	noHeader := append([]byte{1, 0}, signature...)
	otherDomain := newFrame(header, sign(testKey("node"), domainStatementSignature, header), 0, mm.body.raw).bytes
	noDomain := newFrame(header, sign(testKey("node"), "", header), 0, mm.body.raw).bytes
	return []refusal{
		refuse("no bytes", nil, Malformed),
		refuse("only a version", []byte{1}, Malformed),
		refuse("version 0", change(0, 0), Malformed),
		refuse("version 2", change(0, 2), Unverified),
		refuse("header length not minimal", long, Malformed),
		refuse("header length over 2 KiB", append([]byte{1, 0x81, 0x10}, make([]byte, 4000)...), Limit),
		refuse("header length beyond the end", []byte{1, 0xff, 0x7f, 1}, Malformed),
		refuse("header length of 70 bits", append([]byte{1}, bytes.Repeat([]byte{0xff}, 11)...), Malformed),
		refuse("no header", append(noHeader, 0, 1, 1), Malformed),
		refuse("cut in the signature", good[:3+len(header)+10], Malformed),
		refuse("cut before the encoding", good[:3+len(header)+64], Malformed),
		refuse("cut before the body", good[:bodyAt-1], Malformed),
		refuse("cut in the body", good[:len(good)-1], Malformed),
		refuse("body length not minimal", longBody, Malformed),
		refuse("trailing byte", append(bytes.Clone(good), 0), Malformed),
		refuse("encoding 4", change(3+len(header)+64, 4), Malformed),
		refuse("a bit of the signature changed", change(3+len(header), good[3+len(header)]^1), BadSignature),
		refuse("signed for another domain", otherDomain, BadSignature),
		refuse("signed without a domain", noDomain, BadSignature),
		refuse("a byte of the header changed", change(3+len(header)-20, good[3+len(header)-20]^1), BadSignature),
		refuse("a byte of an object changed", change(len(good)-2, '4'), Malformed),
		refuse("a byte of the seed changed", change(bodyAt, good[bodyAt]^1), Malformed),
	}
}

// bodyRefusals break the body, under a signature that is right.
func bodyRefusals(t *testing.T, mm *messageMaker) []refusal {
	raw := mm.body.raw
	seed, rest := raw[:seedSize], raw[seedSize:]
	length := func(n int) func(*Header) { return func(h *Header) { h.BodyLength = n } }
	body := func(parts ...[]byte) []byte { return bytes.Join(append([][]byte{seed}, parts...), nil) }
	whole := func(b []byte) []byte { return mm.frame(length(len(b)), 0, b) }
	part := mm.body.without([]bool{false, true, false}).raw
	minimal := rest[1:]
	salted := partialBody(mm)
	swapped := newContents([][]byte{mm.objects[1], mm.objects[0], mm.objects[2]}, seed, len(raw)).raw
	unknownSize := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58} // no content size, a window of 2 MiB
	return []refusal{
		refuse("wrong root", mm.frame(func(h *Header) { h.Root = testHash("other") }, 0, raw), Malformed),
		refuse("objects swapped", mm.frame(nil, 0, swapped), Malformed),
		refuse("one object more than there are", mm.frame(func(h *Header) { h.Objects = 4 }, 0, raw), Malformed),
		refuse("one object fewer than there are", mm.frame(func(h *Header) { h.Objects = 2 }, 0, raw), Malformed),
		refuse("body length one less", mm.frame(length(len(raw)-1), 0, raw), Malformed),
		refuse("body length one more", mm.frame(length(len(raw)+1), 0, raw), Malformed),
		refuse("compressed body length one less", mm.frame(length(len(raw)-1), encodedZstd, zstdRaw(raw)), Malformed),
		refuse("compressed body length one more", mm.frame(length(len(raw)+1), encodedZstd, zstdRaw(raw)), Malformed),
		refuse("object length not minimal", whole(body([]byte{rest[0] | 0x80, 0}, minimal)), Malformed),
		refuse("empty object", whole(body([]byte{0}, rest)), Malformed),
		refuse("object length beyond the end", whole(body([]byte{0xff, 0x01}, minimal)), Malformed),
		refuse("bytes after the last object", whole(body(rest, []byte{0})), Malformed),
		refuse("whole body called partial", mm.frame(nil, encodedPartial, raw), Malformed),
		refuse("partial body called whole", mm.frame(length(len(part)), 0, part), Malformed),
		refuse("partial body with nothing gone", mm.frame(nil, encodedPartial, salted), Malformed),
		refuse("partial body with a leaf hash changed", mm.frame(nil, encodedPartial, flip(part, bytes.IndexByte(part[60:], 0)+60)), Malformed),
		refuse("partial body with a salt changed", mm.frame(nil, encodedPartial, flip(part, 1)), Malformed),
		refuse("partial body cut in a leaf hash", mm.frame(nil, encodedPartial, []byte{0, 1, 2, 3}), Malformed),
		refuse("partial body cut in a salt", mm.frame(nil, encodedPartial, append(make([]byte, 33), 9, 1, 2, 3)), Malformed),
		refuse("partial body longer than it can be", mm.frame(nil, encodedPartial, make([]byte, len(raw)+3*31+1)), Malformed),
		refuse("no zstd", mm.frame(nil, encodedZstd, raw), Malformed),
		refuse("zstd cut short", mm.frame(nil, encodedZstd, zstdRaw(raw)[:40]), Malformed),
		refuse("zstd with trailing bytes", mm.frame(nil, encodedZstd, append(zstdRaw(raw), 1, 2, 3, 4, 5)), Malformed),
		refuse("zstd frames without content", mm.frame(nil, encodedZstd, zstdBlock(zstdHead(0), true, 0, 0, nil)), Malformed),
		refuse("zstd window over 8 MiB", mm.frame(nil, encodedZstd, zstdBlock([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x70}, true, 0, len(raw), raw)), Malformed),
		refuse("zstd with a dictionary", mm.frame(nil, encodedZstd, zstdBlock([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x58, 7}, true, 0, len(raw), raw)), Malformed),
		refuse("bomb: says how long it is", mm.frame(nil, encodedZstd, zstdBomb(zstdHead(64<<20), 64<<20)), Malformed),
		refuse("bomb: does not say", mm.frame(nil, encodedZstd, zstdBomb(bytes.Clone(unknownSize), 64<<20)), Malformed),
		refuse("bomb: partial", mm.frame(nil, encodedZstd|encodedPartial, zstdBomb(bytes.Clone(unknownSize), 64<<20)), Malformed),
		refuse("bomb: over the ratio", mm.frame(length(4<<20), encodedZstd, zstdBomb(zstdHead(4<<20), 4<<20)), Limit),
	}
}

// partialBody is the body in its partial form with every leaf there.
func partialBody(mm *messageMaker) []byte {
	var out []byte
	h := mm.body.hasher()
	for i, o := range mm.objects {
		salt := h.saltOf(i)
		out = append(binary.AppendUvarint(out, uint64(len(o))+1), salt[:]...)
		out = append(out, o...)
	}
	return out
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func TestMessageVectors(t *testing.T) {
	c := testCodec(t)
	built := messageVectors(t)
	open := func(data []byte) (*Message, error) {
		s, err := c.Decode(data)
		if err != nil {
			return nil, err
		}
		return c.Open(s, publicOf(testKey("node")))
	}
	checkVectors(t, "message.json", built, func(data []byte) error {
		_, err := open(data)
		return err
	})
	for _, v := range built.Accept {
		m, err := open(unhex(t, v.Hex))
		if err != nil {
			t.Fatal(err)
		}
		for i := range m.Header().Objects {
			var want any
			switch objects := v.Means["objects"].(type) {
			case []string:
				want = objects[i]
			case []any:
				want = objects[i]
			default:
				continue
			}
			if got := m.Object(i); (want == nil) != (got == nil) || want != nil && want != string(got) {
				t.Errorf("%s: object %d is %q, not %v", v.Name, i, got, want)
			}
		}
	}
}

// TestLeafByHand writes the definition of salt, leaf and node out once more.
func TestLeafByHand(t *testing.T) {
	mm := newMessageMaker(t, "one", "two")
	seed := testHash("seed")
	leaf := func(i byte, object string) [32]byte {
		salt := sha256.Sum256([]byte("entente salt v1\x00" + string(seed[:]) + "\x00\x00\x00" + string(i)))
		return sha256.Sum256([]byte("entente leaf v1\x00" + string(salt[:16]) + object))
	}
	l, r := leaf(0, "one"), leaf(1, "two")
	if want := sha256.Sum256([]byte("entente node v1\x00" + string(l[:]) + string(r[:]))); mm.body.root() != want {
		t.Fatalf("root %s, not %x", mm.body.root(), want)
	}
}
