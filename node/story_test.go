package node_test

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"

	"entente/node"
	"entente/protocol"
)

// TestStories plays the files of testdata/stories: members, agreements,
// publications, and what each node then shows and says. Each file runs in a
// simulated network of its own, in virtual time.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/stories/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories found: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &story{
					lab: newLab(t), tails: map[string]*follower{}, stops: map[string]context.CancelFunc{}, firsts: map[string]*protocol.Agreement{}, labels: map[string][]byte{}, tickets: map[string]string{},
				}
				datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string { return s.play(t, d) })
			})
		})
	}
}

// story plays one file.
type story struct {
	lab        *lab
	tails      map[string]*follower           // by member
	stops      map[string]context.CancelFunc  // of tails
	firsts     map[string]*protocol.Agreement // version 1, by name
	labels     map[string][]byte              // payloads of documents, by label
	payload    []byte                         // of the document that was written last
	signatures []protocol.Signature
	tickets    map[string]string // by label
}

func (s *story) play(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var at *resident
	if d.HasArg("at") {
		var handle string
		d.ScanArgs(t, "at", &handle)
		if at = s.lab.members[handle]; at == nil {
			d.Fatalf(t, "no member %q", handle)
		}
	}
	arg := func(name string) string {
		var v string
		if d.HasArg(name) {
			d.ScanArgs(t, name, &v)
		}
		return v
	}
	switch d.Cmd {
	case "member":
		s.lab.add(arg("handle"), arg("kind"))
		return ""
	case "agree":
		var parties []*resident
		for _, h := range strings.Split(arg("parties"), "+") {
			parties = append(parties, s.lab.members[h])
		}
		return s.agree(t, arg, d.Input, parties...)
	case "publish":
		return s.publish(t, at, arg("topic"), d)
	case "wait":
		var text string
		d.ScanArgs(t, "for", &text)
		span, err := time.ParseDuration(text)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		<-time.After(span)
		synctest.Wait()
		return ""
	case "down":
		at.down()
		return ""
	case "up":
		at.encrypted = at.encrypted || d.HasArg("encrypted")
		at.start()
		return ""
	case "join":
		ticket, err := s.lab.members[arg("from")].node.Invite(context.Background(), arg("agreement"), 0)
		if err != nil {
			return "error: " + err.Error() + "\n"
		}
		out, err := at.node.Join(context.Background(), ticket)
		if err != nil {
			return "error: " + err.Error() + "\n"
		}
		return out.State + ": " + out.Text + "\n"
	case "force":
		if err := at.force(arg("topic"), d.HasArg("anew"), s.objects(d.Input)...); err != nil {
			return "error: " + err.Error() + "\n"
		}
		return ""
	case "erase":
		kind, name, _ := strings.Cut(arg("object"), ":")
		return s.erased(at.node.Erase(context.Background(), []string{idOf(kind, name)}, strings.TrimSpace(d.Input)))
	case "erasures":
		return s.erased(at.node.Erasures(context.Background()))
	case "ask", "answer", "requests":
		return s.onward(d, at, arg)
	case "scoreboard":
		return s.scoreboard(at, arg("agreement"))
	case "reviews", "review":
		return s.review(d, at, arg)
	case "declare":
		out, err := at.node.Declare(context.Background(), arg("agreement"), node.StatementRequest{Kind: arg("kind"), Party: arg("party"), Text: strings.TrimSpace(d.Input)})
		if err != nil {
			return fmt.Sprintf("%s: %v\n", protocol.KindOf(err), err)
		}
		return out.Says + "\n"
	case "standing":
		return s.standing(t, at, arg("agreement"))
	case "raw":
		return s.raw(at, arg("topic"))
	case "made":
		return s.made(at, arg("id"))
	case "tail":
		return s.tail(t, at, arg("topic"), d.HasArg("resume"))
	case "tail-ends":
		s.tailEnds(at)
		return ""
	case "tail-shows":
		return s.tailShows(at)
	case "document":
		return s.write(t, d, arg)
	case "compare":
		return s.compare(t, at, d)
	case "import":
		return s.take(at, d.HasArg("signatures"), d.HasArg("alone"))
	case "holds":
		return s.holds(reading(t, arg("purpose")), at, arg("topic"))
	case "handling":
		return s.handling(reading(t, arg("purpose")), at, arg("object"))
	case "export":
		return s.export(at, arg("topic"))
	case "lookup":
		return s.lookup(at, d)
	case "state":
		return s.state(t, at, d, arg)
	case "replay":
		return s.replay(at)
	case "forge-row":
		return s.forgeRow(t, at, arg("action"), arg("change"))
	case "audit":
		return s.audit(at, arg("action"), d.HasArg("sorted"))
	case "explain":
		return s.explain(at, arg("object"), arg("for"))
	case "rules":
		return s.rules(at, d.Input)
	case "trail":
		return s.trail(at, arg("object"), arg("topic"), arg("for"))
	case "findings":
		return s.findings(at)
	case "invite", "invites", "revoke", "meet", "sign":
		return s.introduce(t, d, at, arg)
	case "knows":
		return s.knows(at)
	}
	d.Fatalf(t, "unknown command %q", d.Cmd)
	return ""
}

// erased tells how far erasures have come.
func (s *story) erased(list []node.Erasure, err error) string {
	if err != nil {
		return fmt.Sprintf("%s: %v\n", protocol.KindOf(err), err)
	}
	var b strings.Builder
	for _, e := range list {
		var confirmed []string
		for _, c := range e.Confirmed {
			confirmed = append(confirmed, c.Member)
		}
		fmt.Fprintf(&b, "%d on %s: confirmed by [%s], missing [%s] %s\n", e.Objects, e.Topic, strings.Join(confirmed, " "), strings.Join(e.Missing, " "), e.Text)
	}
	return b.String()
}

// reading is the context of who reads for a purpose, which may be "".
func reading(t *testing.T, purpose string) context.Context {
	t.Helper()
	if purpose == "" {
		return context.Background()
	}
	ctx, err := node.WithPurpose(context.Background(), purpose)
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// standing tells how an agreement stands at a member, and its parties.
func (s *story) standing(t *testing.T, at *resident, name string) string {
	t.Helper()
	infos, err := at.node.Agreements(context.Background(), name)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "version %d %s\n", infos[0].Version, infos[0].State)
	if infos[0].ClearOnly {
		b.WriteString("only TLP:CLEAR passes\n")
	}
	for _, p := range infos[0].Parties {
		if p.Halted != "" {
			fmt.Fprintf(&b, "%s: %s\n", p.Handle, p.Halted)
		}
	}
	return b.String()
}

// objects are those that the input describes, one a line: type, name, and
// properties; or raw and the bytes.
func (s *story) objects(input string) []string {
	var objects []string
	for line := range strings.Lines(input) {
		words := strings.Fields(line)
		if words[0] == "raw" {
			objects = append(objects, strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "raw")))
			continue
		}
		with := map[string]string{}
		for _, w := range words[2:] {
			k, v, _ := strings.Cut(w, "=")
			with[k] = strings.ReplaceAll(v, "_", " ")
		}
		objects = append(objects, object(words[0], words[1], with))
	}
	return objects
}

// publish publishes objects and tells what the receipt says.
func (s *story) publish(t *testing.T, at *resident, topic string, d *datadriven.TestData) string {
	t.Helper()
	objects := s.objects(d.Input)
	r, err := at.node.Publish(context.Background(), node.PublishRequest{Topic: topic, Items: items(objects...), DryRun: d.HasArg("dry"), Strict: d.HasArg("strict")})
	if err != nil {
		return fmt.Sprintf("%s: %v\n", protocol.KindOf(err), err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "read %d, published %d, unchanged %d, withheld %d, refused %d, readers %s\n",
		r.Read, r.Published, r.Unchanged, r.Withheld, r.Refused, strings.Join(r.Readers, " "))
	for _, reason := range r.Reasons {
		fmt.Fprintf(&b, "%d × %s by %s", reason.Count, reason.Why.Outcome, reason.Why.Layer)
		if reason.Why.Clause != "" {
			fmt.Fprintf(&b, ", clause %s", reason.Why.Clause)
		}
		fmt.Fprintf(&b, ": %s\n", reason.Why.Text)
		for _, o := range reason.First {
			fmt.Fprintf(&b, "  line %d %s", o.Line, s.name(o.ID))
			if len(o.Why.Readers) > 0 {
				fmt.Fprintf(&b, " from %s", strings.Join(o.Why.Readers, " "))
			}
			for _, m := range o.Missing {
				fmt.Fprintf(&b, " missing %s", s.name(m))
			}
			b.WriteString("\n")
		}
	}
	b.WriteString(s.redacted(r.Redacted))
	return b.String()
}

// name shortens an id to its type and the first digits.
func (s *story) name(id string) string {
	kind, rest, _ := strings.Cut(id, "--")
	return kind + "--" + rest[:min(8, len(rest))]
}

func (s *story) holds(ctx context.Context, at *resident, topic string) string {
	var b strings.Builder
	_, err := at.node.Export(ctx, node.SearchQuery{Topic: topic, All: true}, func(v node.Version) bool {
		name := v.Name
		if name == "" {
			name = s.name(v.ID)
		}
		fmt.Fprintf(&b, "%s %s %s from %s\n", v.Type, name, v.Marking, v.Provenance[0].Author)
		return true
	})
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	lines := strings.SplitAfter(b.String(), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func (s *story) lookup(at *resident, d *datadriven.TestData) string {
	s.lab.eventually(10*time.Second, "the index catching up", func() bool {
		st := at.store.Stats()
		return st.Indexed >= st.LastAdded
	})
	answers, err := at.node.Lookup(context.Background(), strings.Fields(d.Input))
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	for _, a := range answers {
		fmt.Fprintf(&b, "%s (%s):", a.Value, a.Kind)
		for _, h := range a.Hits {
			fmt.Fprintf(&b, " %s [%s %s]", h.Name, h.Match, h.Marking)
		}
		b.WriteString(a.Error + "\n")
	}
	return b.String()
}

func (s *story) audit(at *resident, action string, sorted bool) string {
	<-time.After(time.Second) // notes are written soon, not at once
	synctest.Wait()
	var b strings.Builder
	err := at.node.Audit(context.Background(), node.AuditQuery{}, func(e node.AuditEntry) bool {
		// Who signed first comes in no certain order.
		if e.Action == action && !strings.Contains(e.Text, " has signed version ") {
			fmt.Fprintf(&b, "%s %s %s party=%s clause=%s layer=%s count=%d: %s\n", e.Kind, e.Outcome, e.Topic, e.Party, e.Clause, e.Layer, e.Count, e.Text)
		}
		return true
	})
	if err != nil && err != io.EOF {
		return "error: " + err.Error() + "\n"
	}
	if sorted { // what several send at one moment comes in no certain order
		lines := strings.SplitAfter(b.String(), "\n")
		slices.Sort(lines)
		return strings.Join(lines, "")
	}
	return b.String()
}

func (s *story) explain(at *resident, object, party string) string {
	kind, name, _ := strings.Cut(object, ":")
	e, err := at.node.ExplainObject(context.Background(), idOf(kind, name), party)
	if err != nil {
		return fmt.Sprintf("%s: %s\n", protocol.KindOf(err), strings.ReplaceAll(err.Error(), idOf(kind, name), object))
	}
	var b strings.Builder
	for _, r := range e.Recorded {
		fmt.Fprintf(&b, "recorded: %s %s by %s clause %s: %s\n", r.Action, r.Outcome, r.Layer, r.Clause, r.Text)
	}
	for _, w := range e.Now {
		fmt.Fprintf(&b, "now %s: %s by %s clause %s: %s\n", w.Reader, w.Why.Outcome, w.Why.Layer, w.Why.Clause, w.Why.Text)
	}
	return b.String()
}

func (s *story) findings(at *resident) string {
	st, err := at.node.Status(context.Background())
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	for _, f := range st.Findings {
		fmt.Fprintf(&b, "%s %s: %s\n", f.Severity, f.Code, f.Text)
	}
	return b.String()
}

// knows lists agreements, members and peers that a node has ever heard of.
func (s *story) knows(at *resident) string {
	st, err := at.node.Status(context.Background())
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	for _, a := range st.Agreements {
		fmt.Fprintf(&b, "agreement %s (%s)\n", a.Name, a.State)
	}
	members, err := at.node.Members(context.Background())
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	for _, m := range members {
		fmt.Fprintf(&b, "member %s public=%v\n", m.Handle, m.Public)
	}
	for _, p := range st.Peers {
		fmt.Fprintf(&b, "peer %s host=%s connected=%v\n", p.Member, p.Host, p.Connected)
	}
	return b.String()
}
