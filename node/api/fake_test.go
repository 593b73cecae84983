package api

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"entente/node"
	"entente/protocol"
	"entente/protocol/stix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a small Service. It answers with everything filled in, so that a field
// that the description lacks is noticed, or with an error where one is set.
type fake struct {
	mu     sync.Mutex
	err    error
	asked  []node.PublishRequest
	items  int
	follow chan struct{} // tells when a tail's context has ended
	many   int           // how many events a tail yields before it waits
}

func (f *fake) fail() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *fake) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func one[T any](f *fake) (T, error) {
	var v T
	if err := f.fail(); err != nil {
		return v, err
	}
	fill(reflect.ValueOf(&v).Elem())
	return v, nil
}

func some[T any](f *fake, yield func(T) bool) error {
	for range 3 {
		v, err := one[T](f)
		if err != nil {
			return err
		}
		if !yield(v) {
			return nil
		}
	}
	return nil
}

// fill sets every field to something that is not zero.
func fill(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
		return
	case *node.RawObject:
		*x = node.RawObject(`{"type":"indicator","x_own":[1,2]}`)
		return
	case *node.Severity:
		*x = node.Warning
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
		if why, ok := v.Addr().Interface().(*node.Why); ok {
			why.Outcome = "withhold"
		}
		if a, ok := v.Addr().Interface().(*node.AgreementInfo); ok {
			a.Visibility = "private"
		}
		for _, name := range []string{"Host"} {
			if host := v.FieldByName(name); host.IsValid() {
				host.SetString("member")
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.String:
		v.SetString("text <b>&\u2028")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(8)
	case reflect.Float64:
		v.SetFloat(1.5)
	default:
		panic("no filling for " + v.Type().String())
	}
}

func (f *fake) Status(context.Context) (node.Status, error)        { return one[node.Status](f) }
func (f *fake) Members(context.Context) ([]node.MemberInfo, error) { return one[[]node.MemberInfo](f) }
func (f *fake) Agreements(context.Context, string) ([]node.AgreementInfo, error) {
	return one[[]node.AgreementInfo](f)
}
func (f *fake) Import(context.Context, []byte, []byte) (node.Imported, error) {
	return one[node.Imported](f)
}
func (f *fake) Join(context.Context, string) (node.Imported, error) { return one[node.Imported](f) }
func (f *fake) Invite(context.Context, string, time.Duration) (string, error) {
	return "ticket", f.fail()
}
func (f *fake) Ping(context.Context, string) ([]node.NodeInfo, error) {
	return one[[]node.NodeInfo](f)
}
func (f *fake) Get(context.Context, string) ([]node.Version, error) { return one[[]node.Version](f) }
func (f *fake) Lookup(_ context.Context, values []string) ([]node.LookupAnswer, error) {
	return one[[]node.LookupAnswer](f)
}
func (f *fake) ExplainObject(context.Context, string, string) (node.Explanation, error) {
	return one[node.Explanation](f)
}
func (f *fake) ExplainRow(context.Context, uint64) (node.Explanation, error) {
	return one[node.Explanation](f)
}
func (f *fake) Search(_ context.Context, _ node.SearchQuery, yield func(node.Version) bool) error {
	return some(f, yield)
}
func (f *fake) Export(_ context.Context, _ node.SearchQuery, yield func(node.Version) bool) error {
	return some(f, yield)
}
func (f *fake) Audit(_ context.Context, _ node.AuditQuery, yield func(node.AuditEntry) bool) error {
	return some(f, yield)
}

func (f *fake) Reindex(_ context.Context, progress func(node.Progress)) error {
	p, err := one[node.Progress](f)
	progress(p)
	return err
}

func (f *fake) Tail(ctx context.Context, _ string, _ int64, yield func(node.TailEvent) bool) error {
	v, err := one[node.TailEvent](f)
	if err != nil {
		return err
	}
	for range f.many {
		if !yield(v) {
			break
		}
	}
	if f.follow != nil {
		<-ctx.Done()
		close(f.follow)
	}
	return nil
}

func (f *fake) Publish(_ context.Context, r node.PublishRequest) (node.Receipt, error) {
	receipt, err := one[node.Receipt](f)
	if err != nil {
		return node.Receipt{}, err
	}
	p, _ := one[node.Progress](f)
	r.Progress(p)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r)
	for {
		_, err := r.Items()
		var bad *stix.ItemError
		switch {
		case err == nil, errors.As(err, &bad):
			f.items++
		case errors.Is(err, io.EOF):
			return receipt, nil
		default:
			return receipt, err
		}
	}
}

// serve runs a server over the fake until the test ends, and returns it with its
// socket's path.
func serve(t *testing.T, f *fake, listen string) (*Server, string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	s, err := New(Config{Service: f, Socket: socket, Listen: listen, Token: "the token", Limits: stix.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return s, socket
}

// kinds are all kinds of error.
func kinds() []protocol.Kind {
	var out []protocol.Kind
	for k := protocol.Other; k <= protocol.Findings; k++ {
		out = append(out, k)
	}
	return out
}
