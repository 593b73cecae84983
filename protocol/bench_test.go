package protocol

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"testing"
)

const benchObjects = 500

func report(b *testing.B) {
	b.ReportMetric(float64(benchObjects)*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(benchObjects)/float64(b.N), "ns/object")
}

func BenchmarkPack(b *testing.B) {
	c, objects := testCodec(b), stixLike(benchObjects)
	for b.Loop() {
		if _, err := c.Pack(objects, testHash("seed")); err != nil {
			b.Fatal(err)
		}
	}
	report(b)
}

// BenchmarkPackYardstick is what Pack cannot do without: one hash an object,
// and compressing them all.
func BenchmarkPackYardstick(b *testing.B) {
	c, objects := testCodec(b), stixLike(benchObjects)
	for b.Loop() {
		for _, o := range objects {
			sha256.Sum256(o)
		}
		c.compressor.EncodeAll(bytes.Join(objects, nil), nil)
	}
	report(b)
}

func BenchmarkSeal(b *testing.B) {
	c := testCodec(b)
	body, err := c.Pack(stixLike(benchObjects), testHash("seed"))
	if err != nil {
		b.Fatal(err)
	}
	draft, key := testDraft(body), testKey("node")
	for b.Loop() {
		if _, err := c.Seal(draft, Position{}, nil, key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	c := testCodec(b)
	frame := sealed(b, c, stixLike(benchObjects)).Frame()
	for b.Loop() {
		if _, err := c.Decode(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	c := testCodec(b)
	frame, key := sealed(b, c, stixLike(benchObjects)).Frame(), publicOf(testKey("node"))
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		s, err := c.Decode(frame)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Open(s, key); err != nil {
			b.Fatal(err)
		}
	}
	report(b)
}

// BenchmarkOpenYardstick is what Open cannot do without: the signature,
// decompressing, and one hash an object.
func BenchmarkOpenYardstick(b *testing.B) {
	c, objects := testCodec(b), stixLike(benchObjects)
	m := sealed(b, c, objects)
	header, signature := m.SignedHeader()
	message, key := append([]byte(domainHeaderSignature), header...), publicOf(testKey("node"))
	length := m.Header().BodyLength
	for b.Loop() {
		if !ed25519.Verify(key, message, signature) {
			b.Fatal("false signature")
		}
		if _, err := c.decompressor.DecodeAll(m.frame.body, make([]byte, 0, length)); err != nil {
			b.Fatal(err)
		}
		for _, o := range objects {
			sha256.Sum256(o)
		}
	}
	report(b)
}

func BenchmarkReopen(b *testing.B) {
	c := testCodec(b)
	frame := sealed(b, c, stixLike(benchObjects)).Frame()
	for b.Loop() {
		if _, err := c.Reopen(frame); err != nil {
			b.Fatal(err)
		}
	}
	report(b)
}

func BenchmarkReopenAndLoad(b *testing.B) {
	c := testCodec(b)
	frame := sealed(b, c, stixLike(benchObjects)).Frame()
	for b.Loop() {
		m, err := c.Reopen(frame)
		if err != nil {
			b.Fatal(err)
		}
		if err := m.Load(); err != nil {
			b.Fatal(err)
		}
	}
	report(b)
}

// benchFrontier is as long as a frontier can be in one piece.
func benchFrontier() Frontier {
	f := make(Frontier, MaxFrontier)
	for i := range f {
		f[i].Log = exampleLogs()[0]
		f[i].Log.Author.Node = uint32(i)
		f[i].Position = Position{Sequence: 1000, Head: testHash("head")}
	}
	f.Sort()
	return f
}

func BenchmarkFrontierEncode(b *testing.B) {
	f := benchFrontier()
	for b.Loop() {
		if _, err := EncodeFrontier(f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFrontierDecode(b *testing.B) {
	data, err := EncodeFrontier(benchFrontier())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := DecodeFrontier(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFrontierDigest(b *testing.B) {
	f := benchFrontier()
	for b.Loop() {
		f.Digest()
	}
}

func BenchmarkAuditRowEncode(b *testing.B) {
	r := exampleRow()
	for b.Loop() {
		if _, err := EncodeAuditRow(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAuditRowDecode(b *testing.B) {
	data, err := EncodeAuditRow(exampleRow())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := DecodeAuditRow(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGossipID(b *testing.B) {
	frame := sealed(b, testCodec(b), stixLike(benchObjects)).Frame()
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		GossipID("topic", frame)
	}
}
