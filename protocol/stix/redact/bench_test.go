package redact_test

import (
	"fmt"
	"testing"

	"entente/protocol/stix"
	"entente/protocol/stix/redact"
)

// everyday are objects of the usual size, one in ten of which tells something.
func everyday(b *testing.B, count int, task redact.Task) []redact.Item {
	b.Helper()
	items := make([]redact.Item, count)
	for i := range items {
		text := "Seen in the wild, talks to its server every ten minutes."
		if i%10 == 0 {
			text = `Seen on 10.1.2.3, ran C:\\Users\\jane.doe\\a.exe.`
		}
		raw := fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":"indicator--%08d-1111-4111-8111-111111111111","created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z","name":"Beacon of some family","description":"%s","pattern":"[domain-name:value = 'wrong.example' OR url:value = 'https://bad.example/path?x=1']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z"}`, i, text)
		items[i] = redact.Item{Object: parse(b, []byte(raw)), Task: task}
	}
	return items
}

func BenchmarkBatch(b *testing.B) {
	p := redact.New(redact.Config{Agreement: "one", Limits: stix.DefaultLimits()})
	items := everyday(b, 500, redact.Task{Redact: 0x7f})
	for b.Loop() {
		p.Batch(items)
	}
	b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "objects/s")
}

func BenchmarkRemains(b *testing.B) {
	items := everyday(b, 500, redact.Task{Redact: 0x7f})
	for b.Loop() {
		for _, item := range items {
			redact.Remains(item.Object, item.Task, nil, nil)
		}
	}
	b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "objects/s")
}
