package node_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"entente/node"
)

// agree concludes an agreement, which ends earlier than those of other tests where
// `lasts` says so.
func (s *story) agree(t *testing.T, arg func(string) string, body string, parties ...*resident) string {
	t.Helper()
	text := agreementText(arg("name"), arg("visibility"), body+"\n", parties...)
	if lasts := arg("lasts"); lasts != "" {
		until, err := time.ParseDuration(lasts)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, _ := bytes.Cut(text, []byte("  until: "))
		_, rest, _ = bytes.Cut(rest, []byte("\n"))
		text = fmt.Appendf(nil, "%s  until: %s\n%s", before, time.Now().UTC().Add(until).Format("2006-01-02T15:04:05Z"), rest)
	}
	out := s.lab.conclude(text, parties...)
	return out.State + ": " + out.Text + "\n"
}

// handling tells how an object is to be handled, by `get`, and that `lookup` says
// the same where it finds it.
func (s *story) handling(ctx context.Context, at *resident, object string) string {
	kind, name, _ := strings.Cut(object, ":")
	versions, err := at.node.Get(ctx, idOf(kind, name))
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	for _, v := range versions {
		h := v.Handling
		for _, u := range h.Under {
			fmt.Fprintf(&b, "%s v%d clause %s, %s by %s, %s", u.Agreement, u.Version, u.Clause, u.Topic, u.Author, u.Marking)
			if u.Own {
				b.WriteString(", own")
			}
			if u.Ends.IsZero() {
				b.WriteString(", over")
			}
			fmt.Fprintf(&b, "\n  %s\n", s.terms(v, u.Terms))
		}
		fmt.Fprintf(&b, "together: %s\n  %s\n", h.Marking, s.terms(v, h.Terms))
	}
	return b.String()
}

// terms tells terms, with moments as what lies between them and the arrival.
func (s *story) terms(v node.Version, t node.Terms) string {
	var list []string
	say := func(what string, of ...string) {
		if of = strings.Fields(strings.Join(of, " ")); len(of) > 0 {
			list = append(list, what+" "+strings.Join(of, " "))
		}
	}
	after := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.Sub(time.UnixMicro(v.Added)).Round(time.Minute).String()
	}
	say("actions", t.Actions...)
	say("licences", strings.ReplaceAll(strings.Join(t.Licences, " + "), "\n", "!"))
	say("attribution", t.Attribution)
	say("sources", t.Sources...)
	say("onward", t.Onward)
	say("purposes", t.Purposes...)
	say("notify", t.Notify)
	say("encrypt", t.Encrypt)
	say("keep", after(t.KeepUntil))
	say("review", after(t.ReviewBy))
	say("embargo", after(t.Embargo))
	return strings.Join(list, "; ")
}

// export tells what an export holds, and what it warns of.
func (s *story) export(at *resident, topic string) string {
	var b strings.Builder
	sum, err := at.node.Export(context.Background(), node.SearchQuery{Topic: topic}, func(v node.Version) bool {
		fmt.Fprintf(&b, "%s: %s\n", v.Name, s.terms(v, v.Handling.Terms))
		return true
	})
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	fmt.Fprintf(&b, "%d objects\n", sum.Objects)
	for _, w := range sum.Warnings {
		fmt.Fprintf(&b, "%s %s, %d objects: %s\n", w.Code, w.Agreement, w.Objects, w.Text)
	}
	return b.String()
}
