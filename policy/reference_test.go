package policy

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"entente/protocol"
)

// The reference decides for one reader at a time by the words of the package
// comment, clause by clause over the document as it stands, without numbers,
// sets, classes or a cache.

// answer is what the reference says: the outcome, who decided, and by what.
type answer struct {
	outcome Outcome
	layer   Layer
	clause  string
}

func refParty(a *protocol.Agreement, id protocol.MemberID) *protocol.Party {
	for i := range a.Parties {
		if a.Parties[i].ID == id {
			return &a.Parties[i]
		}
	}
	return nil
}

func refFormer(a *protocol.Agreement, id protocol.MemberID) bool {
	return refParty(a, id) == nil && slices.ContainsFunc(a.Cuts, func(c protocol.Cut) bool { return c.Member == id })
}

// refSelects: all conditions that are given must hold; nil is no party.
func refSelects(s protocol.Selector, p *protocol.Party) bool {
	if p == nil {
		return len(s.Parties)+len(s.Kinds)+len(s.Countries)+len(s.Roles) == 0
	}
	role := len(s.Roles) == 0
	for _, r := range p.Roles {
		role = role || slices.Contains(s.Roles, r)
	}
	return role && (len(s.Parties) == 0 || slices.Contains(s.Parties, p.Handle)) &&
		(len(s.Kinds) == 0 || slices.Contains(s.Kinds, p.Kind)) &&
		(len(s.Countries) == 0 || slices.Contains(s.Countries, p.Country))
}

// refTo: does the clause give to (or keep from) the reader; nil is the public.
func refTo(c protocol.Clause, reader *protocol.Party) bool {
	if c.To.Public {
		return reader == nil || c.Permit
	}
	return reader != nil && refSelects(c.To, reader)
}

func refLive(c protocol.Clause, now time.Time) bool {
	return (c.Starts.IsZero() || !now.Before(c.Starts)) && (c.Ends.IsZero() || now.Before(c.Ends))
}

func refTopic(c protocol.Clause, topic string) bool {
	return len(c.Topics) == 0 || slices.Contains(c.Topics, topic)
}

// refClause: does the clause speak of the question, for this reader.
func refClause(a *protocol.Agreement, c protocol.Clause, topic string, author protocol.MemberID, reader *protocol.Party, typ string, m protocol.Marking, now time.Time) bool {
	return refLive(c, now) && refTopic(c, topic) && refSelects(c.From, refParty(a, author)) && refTo(c, reader) &&
		(len(c.Types) == 0 || slices.Contains(c.Types, typ)) &&
		(c.Max == protocol.NoMarking || m <= c.Max) && (len(c.Marks) == 0 || slices.Contains(c.Marks, m))
}

// refReader decides for one reader other than the author.
func refReader(a *protocol.Agreement, topic string, author, reader protocol.MemberID, typ string, m protocol.Marking, now time.Time) answer {
	p := refParty(a, reader)
	switch {
	case a.Visibility == protocol.Public && m > protocol.Clear:
		return answer{Refuse, Floor, ""}
	case m == protocol.Red, p == nil && a.Visibility == protocol.Private && m > protocol.Clear:
		return answer{Withhold, Floor, ""}
	case p == nil && a.Visibility == protocol.Private:
		return answer{Withhold, Governing, ""}
	case now.Before(a.From), !now.Before(a.Until), !a.LegalBasis.Until.IsZero() && !now.Before(a.LegalBasis.Until):
		return answer{Refuse, Governing, ""}
	}
	for _, effect := range []bool{false, true} {
		for _, c := range a.Clauses {
			if c.Permit == effect && refClause(a, c, topic, author, p, typ, m, now) {
				return answer{map[bool]Outcome{false: Withhold, true: Allow}[effect], Governing, c.Number}
			}
		}
	}
	return answer{Withhold, Governing, ""}
}

// refReads: some live permitting clause names the reader, and no live clause
// forbids it everything.
func refReads(a *protocol.Agreement, topic string, reader *protocol.Party, now time.Time) bool {
	reads := false
	for _, c := range a.Clauses {
		if !refLive(c, now) || !refTopic(c, topic) || !refTo(c, reader) {
			continue
		}
		if !c.Permit && refSelects(c.From, nil) && len(c.Types) == 0 && len(c.Marks) == 0 && (c.Max == 0 || c.Max == protocol.Red) {
			return false
		}
		reads = reads || c.Permit
	}
	return reads
}

// refMarking is the marking that counts; ok is false where there is none.
func refMarking(a *protocol.Agreement, topic string, s Subject) (m protocol.Marking, ok bool) {
	m = s.Marking
	for _, t := range a.Topics {
		if t.Name == topic && m == protocol.NoMarking {
			m = t.Default
		}
	}
	if s.Problem != "" || m > protocol.Red {
		m = protocol.Red
	}
	return m, m != protocol.NoMarking
}

// refOutbound gives the outcome, the readers and the denied with their answers.
func refOutbound(a *protocol.Agreement, topic string, author protocol.MemberID, s Subject, now time.Time) (Outcome, []string, []string) {
	m, ok := refMarking(a, topic, s)
	if !ok || refParty(a, author) == nil && !refFormer(a, author) {
		return Refuse, nil, nil
	}
	var readers []protocol.MemberID
	if refParty(a, author) != nil {
		readers = append(readers, author)
	}
	var denied []string
	own := len(readers)
	candidates := []protocol.MemberID{{}}
	for _, p := range a.Parties {
		candidates = append(candidates, p.ID)
	}
	slices.SortFunc(candidates, func(x, y protocol.MemberID) int { return bytes.Compare(x[:], y[:]) })
	withhold := false
	for _, id := range candidates {
		if id == author || id.IsZero() && a.Visibility == protocol.Private || !refReads(a, topic, refParty(a, id), now) {
			continue
		}
		got := refReader(a, topic, author, id, s.Type, m, now)
		switch {
		case got.outcome == Refuse:
			return Refuse, nil, nil
		case got.outcome == Allow:
			readers = append(readers, id)
		default:
			withhold = withhold || got.layer == Floor
			denied = append(denied, fmt.Sprint(id.Short(), got))
		}
	}
	slices.SortFunc(readers, func(x, y protocol.MemberID) int { return bytes.Compare(x[:], y[:]) })
	switch {
	case m == protocol.Red && a.Visibility == protocol.Private:
		return Withhold, short(readers), denied
	case a.Visibility == protocol.Public && m > protocol.Clear:
		return Refuse, nil, nil
	case len(readers) == own:
		return Refuse, nil, denied
	case len(denied) > 0:
		return Withhold, short(readers), denied
	default:
		return Allow, short(readers), nil
	}
}

func short(ids []protocol.MemberID) []string {
	var list []string
	for _, id := range ids {
		list = append(list, id.Short())
	}
	return list
}

// TestReference holds the engine to the reference on random agreements.
func TestReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAgreement(t)
		self := drawMember(t, "self")
		e, err := Compile(self, []*protocol.Agreement{a})
		if err != nil {
			t.Fatalf("compile: %v", err)
		}
		for range 30 {
			q := drawQuestion(t)
			m, marked := refMarking(a, q.topic, q.subject)
			former := refFormer(a, q.author)
			known := marked && (refParty(a, q.author) != nil || former)

			outcome, readers, denied := refOutbound(a, q.topic, q.author, q.subject, q.now)
			v := e.Outbound(a.ID, q.topic, q.author, q.subject, q.now)
			var gotDenied []string
			for _, d := range v.Denied {
				gotDenied = append(gotDenied, fmt.Sprint(d.Reader.Short(), answer{d.Decision.Outcome, d.Decision.Layer, d.Decision.Clause}))
			}
			if former {
				if v.Outcome != Refuse {
					t.Fatalf("a former party may publish: %+v", v)
				}
			} else if v.Outcome != outcome || !slices.Equal(short(v.Readers), readers) || !slices.Equal(gotDenied, denied) {
				t.Fatalf("outbound %+v\n got %v %v %v\nwant %v %v %v", q, v.Outcome, short(v.Readers), gotDenied, outcome, readers, denied)
			}

			want := answer{Allow, Floor, ""}
			if q.reader != q.author || q.author.IsZero() {
				want = refReader(a, q.topic, q.author, q.reader, q.subject.Type, m, q.now)
			}
			d := e.Read(Reader{Member: q.reader}, a.ID, q.topic, q.author, q.subject, q.now)
			if got := (answer{d.Outcome, d.Layer, d.Clause}); known && got != want {
				t.Fatalf("read %+v\n got %v (%s)\nwant %v", q, got, d.Text, want)
			}
			if !known && d.Outcome == Allow && q.reader != q.author {
				t.Fatalf("read %+v: allowed without marking or author", q)
			}

			allowed := known && refReader(a, q.topic, q.author, self, q.subject.Type, m, q.now).outcome == Allow &&
				(outcome == Allow || q.subject.Version == 1) && (q.subject.Header == 0 || m <= q.subject.Header)
			if self == q.author {
				allowed = known
			}
			if d := e.Inbound(a.ID, q.topic, q.author, q.subject, q.now); (d.Outcome == Allow) != allowed || d.Outcome == Withhold {
				t.Fatalf("inbound %+v: got %+v, want allowed %v", q, d, allowed)
			}
		}
	})
}

// TestCachedIsUncached asks one engine many questions, in any order of time,
// and holds every answer to that of an engine that was never asked before.
func TestCachedIsUncached(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAgreement(t)
		warm, err := Compile(member("bank"), []*protocol.Agreement{a})
		if err != nil {
			t.Fatalf("compile: %v", err)
		}
		for range 40 {
			q := drawQuestion(t)
			cold, _ := Compile(member("bank"), []*protocol.Agreement{a})
			ask := func(e *Engine) []any {
				return []any{
					e.Outbound(a.ID, q.topic, q.author, q.subject, q.now),
					e.Inbound(a.ID, q.topic, q.author, q.subject, q.now),
					e.Read(Reader{Member: q.reader}, a.ID, q.topic, q.author, q.subject, q.now),
				}
			}
			if got, want := ask(warm), ask(cold); !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v\n warm %+v\n cold %+v", q, got, want)
			}
		}
	})
}
