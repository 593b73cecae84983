package protocol

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Changes are what an amendment changes of who is party to an agreement.
type Changes struct {
	Expel     []string // handles of parties that leave
	Cuts      []Cut    // closing positions of their logs: what counts of them for ever
	Admit     []Party  // from their member records; Kind must be set
	Suspend   []string // handles of parties that get and give nothing while the version counts
	Reinstate []string // handles of parties that were suspended by the version before
}

// Apply makes the changes in the text of a version that is not signed yet, and
// leaves the rest of it as it is, comments too. What had to change for their sake
// (clauses that spoke of an expelled party alone, numbers of signatures) is
// returned as lines for people. Changes that the text does not allow are Invalid.
func (c Changes) Apply(text []byte) (changed []byte, notes []string, err error) {
	const op = "amend agreement"
	if _, err := ParseAgreement(text); err != nil {
		return nil, nil, err
	}
	e := &amender{lines: strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")}
	for _, handle := range c.Expel {
		err = firstError(err, func() error { return e.expel(handle) })
	}
	for _, p := range c.Admit {
		err = firstError(err, func() error { return e.admit(p) })
	}
	for _, handle := range c.Suspend {
		err = firstError(err, func() error { return e.suspend(handle, true) })
	}
	for _, handle := range c.Reinstate {
		err = firstError(err, func() error { return e.suspend(handle, false) })
	}
	err = firstError(err, func() error { return e.cut(c.Cuts) })
	err = firstError(err, e.numbers)
	if err != nil {
		return nil, nil, E(Invalid, op, err, "change the text by hand")
	}
	out := e.text()
	if _, err := ParseAgreement(out); err != nil {
		return nil, nil, err
	}
	return out, e.notes, nil
}

func firstError(err error, f func() error) error {
	if err != nil {
		return err
	}
	return f()
}

// amender changes lines of an agreement. What it knows of them is read anew for
// each change, so that places are always those of the lines as they are.
type amender struct {
	lines []string
	notes []string
}

func (e *amender) text() []byte { return []byte(strings.Join(e.lines, "\n") + "\n") }

func (e *amender) note(format string, args ...any) {
	e.notes = append(e.notes, fmt.Sprintf(format, args...))
}

func (e *amender) root() (*yamlNode, error) {
	root, _, err := parseYAML(e.text())
	return root, err
}

// list returns the entries of a list at the top of the document, and the line
// after each of them.
func (e *amender) list(root *yamlNode, key string) (items []*yamlNode, ends []int, err error) {
	at := slices.IndexFunc(root.fields, func(f yamlField) bool { return f.key == key })
	if at < 0 {
		return nil, nil, nil
	}
	field := root.fields[at]
	end := len(e.lines) + 1
	if at+1 < len(root.fields) {
		end = root.fields[at+1].line
	}
	// Comments that begin at the margin belong to what follows them.
	for end > field.line+1 && (e.lines[end-2] == "" || e.lines[end-2][0] == '#') {
		end--
	}
	items = field.value.items
	for i, item := range items {
		next := end
		if i+1 < len(items) {
			next = items[i+1].line
		}
		if item.line == next || item.line == field.line {
			return nil, nil, fmt.Errorf("line %d: %s stand on one line, where they cannot be told apart safely", item.line, key)
		}
		ends = append(ends, next)
	}
	return items, ends, nil
}

// scalarOf returns what stands in a field of a mapping, or "".
func scalarOf(n *yamlNode, key string) string {
	if f := n.field(key); f != nil {
		return f.value.text
	}
	return ""
}

// party finds a party's entry, and the line after it.
func (e *amender) party(root *yamlNode, handle string) (item *yamlNode, end int, err error) {
	items, ends, err := e.list(root, "parties")
	if err != nil {
		return nil, 0, err
	}
	var known []string
	for i, p := range items {
		if scalarOf(p, "handle") == handle {
			return p, ends[i], nil
		}
		known = append(known, scalarOf(p, "handle"))
	}
	return nil, 0, fmt.Errorf("no party is called %q; they are %s", handle, strings.Join(known, ", "))
}

func (e *amender) expel(handle string) error {
	root, err := e.root()
	if err != nil {
		return err
	}
	p, end, err := e.party(root, handle)
	if err != nil {
		return err
	}
	e.lines = slices.Delete(e.lines, p.line-1, end-1)
	if root, err = e.root(); err != nil {
		return err
	}
	if s := root.field("suspend"); s != nil && names(s.value, handle) {
		if err := e.unname(s.value, handle, s.line, s.value.lastBelow(s.line)+1, "nobody may suspend a party any more: "+handle+" alone could"); err != nil {
			return err
		}
	}
	for {
		again, err := e.unnameInClauses(handle)
		if err != nil || !again {
			return err
		}
	}
}

// unnameInClauses takes a handle out of the first group of a clause that names it,
// and reports whether there was one.
func (e *amender) unnameInClauses(handle string) (bool, error) {
	root, err := e.root()
	if err != nil {
		return false, err
	}
	clauses, ends, err := e.list(root, "clauses")
	if err != nil {
		return false, err
	}
	for i, clause := range clauses {
		for _, side := range []string{"from", "to"} {
			f := clause.field(side)
			if f == nil || !names(f.value, handle) {
				continue
			}
			gone := fmt.Sprintf("clause %s named %s alone and is left out", scalarOf(clause, "number"), handle)
			return true, e.unname(f.value, handle, clause.line, ends[i], gone)
		}
	}
	return false, nil
}

// names reports whether a group names a party by its handle.
func names(group *yamlNode, handle string) bool {
	f := group.field("parties")
	return f != nil && slices.ContainsFunc(f.value.items, func(n *yamlNode) bool { return n.text == handle })
}

// lastBelow is the last line on which something of a value stands.
func (n *yamlNode) lastBelow(last int) int {
	last = max(last, n.line)
	for _, item := range n.items {
		last = item.lastBelow(last)
	}
	for _, f := range n.fields {
		last = f.value.lastBelow(last)
	}
	return last
}

// unname takes a handle out of the parties of a group. Where it is the only one
// the lines from and up to an end go, since a group that names nobody in
// particular would mean everybody.
func (e *amender) unname(group *yamlNode, handle string, from, end int, gone string) error {
	f := group.field("parties")
	var rest []string
	at := 0
	for i, item := range f.value.items {
		if item.text == handle {
			at = i
		} else {
			rest = append(rest, item.text)
		}
	}
	switch {
	case len(rest) == 0:
		e.lines = slices.Delete(e.lines, from-1, end-1)
		e.note("%s", gone)
	case f.value.items[0].line != f.value.items[len(f.value.items)-1].line:
		line := f.value.items[at].line
		e.lines = slices.Delete(e.lines, line-1, line)
	default:
		line := e.lines[f.value.line-1]
		last := f.value.items[len(f.value.items)-1].offset
		closing := strings.IndexByte(line[last:], ']')
		if closing < 0 {
			return fmt.Errorf("line %d: the list of parties cannot be changed safely", f.value.line)
		}
		e.lines[f.value.line-1] = line[:f.value.offset] + "[" + strings.Join(rest, ", ") + "]" + line[last+closing+1:]
	}
	return nil
}

func (e *amender) admit(p Party) error {
	root, err := e.root()
	if err != nil {
		return err
	}
	if _, _, err := e.party(root, p.Handle); err == nil {
		return fmt.Errorf("%s is a party already, or another has its handle", p.Handle)
	}
	_, ends, err := e.list(root, "parties")
	if err != nil {
		return err
	}
	w := &yamlWriter{}
	w.party(p)
	e.lines = slices.Insert(e.lines, ends[len(ends)-1]-1, strings.Split(strings.TrimSuffix(w.String(), "\n"), "\n")...)
	return nil
}

func (e *amender) suspend(handle string, on bool) error {
	root, err := e.root()
	if err != nil {
		return err
	}
	p, _, err := e.party(root, handle)
	if err != nil {
		return err
	}
	switch f := p.field("suspended"); {
	case on && f != nil:
		return fmt.Errorf("%s is suspended already", handle)
	case !on && f == nil:
		return fmt.Errorf("%s is not suspended by the version before; a suspension by statement is lifted by: entente agreements resume", handle)
	case !on:
		e.lines = slices.Delete(e.lines, f.line-1, f.line)
	default:
		last := p.fields[len(p.fields)-1].value.lastBelow(p.line)
		first := p.fields[0]
		if first.line == last && len(p.fields) > 1 {
			return fmt.Errorf("line %d: %s stands on one line; write \"suspended: true\" there by hand", p.line, handle)
		}
		e.lines = slices.Insert(e.lines, last, strings.Repeat(" ", first.offset)+"suspended: true")
	}
	return nil
}

func (e *amender) cut(cuts []Cut) error {
	if len(cuts) == 0 {
		return nil
	}
	root, err := e.root()
	if err != nil {
		return err
	}
	cuts = slices.Clone(cuts)
	slices.SortFunc(cuts, func(a, b Cut) int { return bytes.Compare(a.Log[:], b.Log[:]) })
	_, ends, err := e.list(root, "cuts")
	if err != nil {
		return err
	}
	at := len(e.lines)
	if len(ends) > 0 {
		at = ends[len(ends)-1] - 1
	}
	var lines []string
	if len(ends) == 0 {
		lines = append(lines, "# What parties that left have published up to here stays; what they publish beyond",
			"# it is refused, whatever time it claims.", "cuts:")
	}
	for _, c := range cuts {
		lines = append(lines, fmt.Sprintf("  - {member: %s, log: %s, sequence: %d, head: %s}", quote(c.Member.String()), quote(c.Log.String()), c.Position.Sequence, quote(c.Position.Head.String())))
	}
	e.lines = slices.Insert(e.lines, at, lines...)
	return nil
}

// numbers keeps the counts of signatures within what the parties that are left, or
// have come, allow.
func (e *amender) numbers() error {
	root, err := e.root()
	if err != nil {
		return err
	}
	items, _, err := e.list(root, "parties")
	if err != nil {
		return err
	}
	n := len(items)
	if f := root.field("amend"); f != nil {
		e.within(f, "signatures needed for a version", n/2+1, n, n)
	}
	scores, _, err := e.list(root, "contributions")
	if err != nil {
		return err
	}
	for _, s := range scores {
		if f := s.field("signers"); f != nil {
			e.within(f, "signers of the contribution "+scalarOf(s, "name"), 1, n-1, n)
		}
	}
	return nil
}

func (e *amender) within(f *yamlField, what string, least, most, parties int) {
	v, err := strconv.Atoi(f.value.text)
	if err != nil || v >= least && v <= most {
		return
	}
	now := min(max(v, least), most)
	line := e.lines[f.line-1]
	e.lines[f.line-1] = line[:f.value.offset] + strings.Replace(line[f.value.offset:], f.value.text, strconv.Itoa(now), 1)
	e.note("%s: %d, and no longer %d, since the parties are %d", what, now, v, parties)
}
