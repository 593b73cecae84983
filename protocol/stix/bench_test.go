package stix

import (
	"encoding/json"
	"testing"
)

// everyday are objects as members share them every day.
func everyday() []struct{ name, text string } {
	marked := `,"object_marking_refs":["` + markingPrefix + `55d920b0-5e8b-4f79-9ee9-91f868d9b421"],"created_by_ref":"` + id("identity") + `","confidence":80`
	return []struct{ name, text string }{
		{"indicator", sdo("indicator", indicator+marked+`,"name":"Command and control of Example","description":"Seen in beacons from three customers, each of which had opened the invoice lure.","indicator_types":["malicious-activity"],"labels":["c2"],"valid_until":"2026-06-01T00:00:00Z"`)},
		{"relationship", sdo("relationship", `"relationship_type":"indicates","source_ref":"`+id("indicator")+`","target_ref":"`+id("malware")+`"`+marked)},
		{"file", sco("file", `"name":"invoice.exe","size":35840,"hashes":{"MD5":"d41d8cd98f00b204e9800998ecf8427e","SHA-256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}`)},
		{"ipv4-addr", sco("ipv4-addr", `"value":"198.51.100.1"`)},
		{"domain-name", sco("domain-name", `"value":"login.example.com"`)},
		{"url", sco("url", `"value":"https://login.example.com/gate.php?id=1"`)},
	}
}

// BenchmarkParse reads everyday objects. The yardstick of the same run is
// encoding/json, which only tells whether the text is JSON at all.
func BenchmarkParse(b *testing.B) {
	for _, c := range everyday() {
		raw, limits := []byte(c.text), DefaultLimits()
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			p := NewParser(limits)
			for b.Loop() {
				if _, err := p.Parse(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/yardstick", func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if !json.Valid(raw) {
					b.Fatal("no JSON")
				}
			}
		})
	}
}

// BenchmarkKeys makes the entries of the value index for everyday objects.
func BenchmarkKeys(b *testing.B) {
	for _, c := range everyday() {
		o, err := Parse([]byte(c.text), DefaultLimits())
		if err != nil {
			b.Fatal(err)
		}
		if len(o.Keys()) == 0 {
			continue
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, k := range o.Keys() {
					AppendKey(nil, k)
				}
			}
		})
	}
}
