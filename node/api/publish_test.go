package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"entente/node"
	"entente/protocol"
)

// TestPublishLeavesItsBody asks something after a publication of which the node
// read nothing, many times, on connections that are kept.
func TestPublishLeavesItsBody(t *testing.T) {
	r := start(t, &fake{events: 1})
	for range 200 {
		if _, err := r.client.Publish(t.Context(), "a/b", false, false, strings.NewReader(sampleBundle), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := r.client.Lookup(t.Context(), []string{"x"}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPublishRefusedEarly makes sure that the reason arrives although most of a
// large document was never read.
func TestPublishRefusedEarly(t *testing.T) {
	service := &fake{publish: func(context.Context, node.PublishRequest) (node.Receipt, error) {
		return node.Receipt{}, protocol.E(protocol.NotFound, "publish", errors.New("there is no topic a/b here"), "see which there are: entente agreements")
	}}
	r := start(t, service)
	objects := `{"type":"bundle","objects":[` + strings.Repeat(`{"type":"x"},`, 2_000_000) + `{}]}`
	zip := "PK\x03\x04" + strings.Repeat("\x00", 20<<20)
	for range 5 {
		_, err := r.client.Publish(t.Context(), "a/b", false, false, strings.NewReader(objects), nil)
		if protocol.KindOf(err) != protocol.NotFound || err.Error() != "publish: there is no topic a/b here" {
			t.Fatalf("an unknown topic: %v", err)
		}
		_, err = r.client.Publish(t.Context(), "a/b", false, false, strings.NewReader(zip), nil)
		if protocol.KindOf(err) != protocol.Invalid || !strings.Contains(err.Error(), "zip archive") {
			t.Fatalf("a zip archive: %v", err)
		}
	}
}

// readItems counts the objects of a publication.
func readItems(r node.PublishRequest, each func(int)) (node.Receipt, error) {
	receipt := node.Receipt{DryRun: r.DryRun, Topic: r.Topic}
	for {
		_, err := r.Items()
		if errors.Is(err, io.EOF) {
			return receipt, nil
		}
		if err != nil {
			return receipt, err
		}
		receipt.Read++
		each(receipt.Read)
	}
}

// TestPublishAnswersWhileReading sends the second half of a document only after
// progress about the first came back.
func TestPublishAnswersWhileReading(t *testing.T) {
	service := &fake{publish: func(_ context.Context, r node.PublishRequest) (node.Receipt, error) {
		return readItems(r, func(n int) { r.Progress(node.Progress{Done: int64(n), Unit: "objects"}) })
	}}
	r := start(t, service)
	document, writer := io.Pipe()
	write := func(from, to int) {
		for i := from; i < to; i++ {
			fmt.Fprintf(writer, "{\"type\":\"x-sample\",\"id\":\"x-sample--%032d\"}\n", i)
		}
	}
	var once bool
	first := make(chan struct{})
	go func() {
		write(0, 4000)
		<-first
		write(4000, 5000)
		writer.Close()
	}()
	receipt, err := r.client.Publish(t.Context(), "a/b", false, false, document, func(node.Progress) {
		if !once {
			once = true
			close(first)
		}
	})
	if err != nil || receipt.Read != 5000 {
		t.Errorf("%d objects read, %v", receipt.Read, err)
	}
}

// TestPublishParameters makes sure that nothing is published which was meant to
// be tried only.
func TestPublishParameters(t *testing.T) {
	asked := make(chan node.PublishRequest, 1)
	service := &fake{publish: func(_ context.Context, r node.PublishRequest) (node.Receipt, error) {
		asked <- r
		return readItems(r, func(int) {})
	}}
	r := start(t, service)
	for query, want := range map[string]node.PublishRequest{
		"topic=a/b": {Topic: "a/b"}, "topic=a%2Fb&dry_run=false": {Topic: "a/b"}, "topic=a/b&dry_run=true": {Topic: "a/b", DryRun: true},
		"topic=a/b&strict=true&dry_run=false": {Topic: "a/b", Strict: true},
	} {
		status, body := r.ask("POST", "/v1/publish?"+query, sampleBundle)
		got := <-asked
		if status != 200 || got.Topic != want.Topic || got.DryRun != want.DryRun || got.Strict != want.Strict {
			t.Errorf("%s: %d %s, %+v", query, status, body, got)
		}
	}
	for _, query := range []string{
		"", "topic=", "topic=a/b&dry_run=1", "topic=a/b&dry_run=yes", "topic=a/b&dry_run=True", "topic=a/b&dry_run=", "topic=a/b&dry_run", "topic=a/b&strict=0",
		"topic=a/b&dryrun=true", "topic=a/b&dry-run=true", "topic=a/b&Dry_Run=true", "topic=a/b&dry_run=true&dry_run=false", "topic=a/b&topic=c/d", "topic=a/b;dry_run=true", "topic=%zz",
	} {
		status, body := r.ask("POST", "/v1/publish?"+query, sampleBundle)
		if f := failureOf(t, body); status != 400 || f.Kind != "invalid input" || f.Hint == "" {
			t.Errorf("%s: %d %s", query, status, body)
		}
		select {
		case got := <-asked:
			t.Errorf("%s was published: %+v", query, got)
		default:
		}
	}
}

// TestPublishPartly returns a receipt beside the error that ended it.
func TestPublishPartly(t *testing.T) {
	r := start(t, &fake{publish: func(_ context.Context, r node.PublishRequest) (node.Receipt, error) {
		return readItems(r, func(int) {})
	}})
	for name, document := range map[string]string{"plain": "{\"type\":\"x\"}\n{\"type\":\"x\"}\n{\"ty", "list": "[{},{},{"} {
		receipt, err := r.client.Publish(t.Context(), "a/b", false, false, strings.NewReader(document), nil)
		if receipt.Read != 2 || protocol.KindOf(err) != protocol.Invalid || !strings.Contains(err.Error(), "truncated") {
			t.Errorf("%s: %d objects, %v", name, receipt.Read, err)
		}
	}
}

// brokenFile reads so many bytes of objects and fails then, as a disk does.
type brokenFile struct{ left int }

var errDisk = errors.New("read findings.json: input/output error")

// Read implements io.Reader.
func (b *brokenFile) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errDisk
	}
	line := []byte("{\"type\":\"x-sample\"}\n")
	n := copy(p, bytes.Repeat(line, max(1, len(p)/len(line))))
	n -= n % len(line)
	b.left -= n
	return n, nil
}

// TestPublishFromBrokenFile makes sure that the file is blamed, not the node.
func TestPublishFromBrokenFile(t *testing.T) {
	r := start(t, &fake{publish: func(_ context.Context, r node.PublishRequest) (node.Receipt, error) {
		return readItems(r, func(n int) { r.Progress(node.Progress{Done: int64(n), Unit: "objects"}) })
	}})
	for _, size := range []int{0, 100, 5 << 20} {
		_, err := r.client.Publish(t.Context(), "a/b", false, false, &brokenFile{left: size}, nil)
		if !errors.Is(err, errDisk) {
			t.Errorf("after %d bytes: %v", size, err)
		}
	}
}
