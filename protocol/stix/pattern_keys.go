package stix

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// Keys returns the values that the pattern compares for equality (=, IN) or,
// for addresses, containment (ISSUBSET), and that are not negated. Whether
// they are joined by AND or OR does not matter: each one leads to the
// indicator. Sorted, distinct, at most MaxKeys.
func (p *Pattern) Keys() []Key {
	keys, _ := p.KeysUpTo(MaxKeys)
	return keys
}

// KeysUpTo is Keys with a bound of its own. It also returns how many values
// were left out.
func (p *Pattern) KeysUpTo(most int) (keys []Key, dropped int) {
	var list keyList
	p.root.collect(&list)
	return list.finish(most)
}

func (o *observation) collect(list *keyList) {
	for _, part := range o.parts {
		part.collect(list)
	}
	if o.test != nil {
		o.test.collect(list)
	}
}

func (c *comparison) collect(list *keyList) {
	for _, part := range c.parts {
		part.collect(list)
	}
	if c.test != nil {
		c.test.collect(list)
	}
}

func (t *test) collect(list *keyList) {
	if t.negated {
		return
	}
	what := t.path.subject()
	if what == aboutNothing {
		return
	}
	switch t.op {
	case "=":
		list.constant(what, &t.value)
	case "IN":
		for i := range t.set {
			list.constant(what, &t.set[i])
		}
	case "ISSUBSET":
		if what == aboutAddress || what == aboutEndpoint {
			list.add(aboutAddress, t.value.text)
		}
	}
}

// constant adds a literal's value: a string, a digest as hexadecimal literal, a
// number of an autonomous system.
func (l *keyList) constant(what subject, v *literal) {
	switch v.kind {
	case literalString:
		l.add(what, v.text)
	case literalHex:
		if what == aboutHash {
			l.add(what, hex.EncodeToString([]byte(v.text)))
		}
	case literalInteger:
		if what == aboutASN {
			l.add(what, strconv.FormatInt(v.integer, 10))
		}
	}
}

// subject says what the property at the path is about. Indexes do not matter:
// to_refs[*].value and to_refs[0].value are the same.
func (p *objectPath) subject() subject {
	switch p.object {
	case "ipv4-addr", "ipv6-addr":
		switch {
		case p.is("value"):
			return aboutAddress
		case p.is("resolves_to_refs", "value"):
			return aboutMAC
		}
	case "domain-name":
		switch {
		case p.is("value"):
			return aboutHost
		case p.is("resolves_to_refs", "value"):
			return aboutEndpoint
		}
	case "network-traffic":
		if p.is("src_ref", "value") || p.is("dst_ref", "value") {
			return aboutEndpoint
		}
	case "email-message":
		if p.is("from_ref", "value") || p.is("sender_ref", "value") ||
			p.is("to_refs", "value") || p.is("cc_refs", "value") || p.is("bcc_refs", "value") {
			return aboutEmail
		}
	case "file", "artifact", "x509-certificate", "process":
		return p.fileSubject()
	default:
		return p.simpleSubject()
	}
	return aboutNothing
}

// simpleSubject knows the objects that have one telling property.
func (p *objectPath) simpleSubject() subject {
	table := [...]struct {
		object, property string
		what             subject
	}{
		{"url", "value", aboutURL},
		{"email-addr", "value", aboutEmail},
		{"mac-addr", "value", aboutMAC},
		{"autonomous-system", "number", aboutASN},
		{"mutex", "name", aboutMutex},
		{"windows-registry-key", "key", aboutRegistry},
		{"directory", "path", aboutPath},
		{"user-account", "account_login", aboutAccount},
		{"user-account", "user_id", aboutAccount},
	}
	for _, row := range table {
		if p.object == row.object && p.is(row.property) {
			return row.what
		}
	}
	return aboutNothing
}

// fileSubject knows the objects that have digests. The names of the references
// and extensions in between do not matter: hashes.X are digests wherever a
// file, its content, an archive's members or a process's image is meant.
func (p *objectPath) fileSubject() subject {
	last := len(p.steps) - 1
	if last >= 1 && p.steps[last].kind == stepName && p.steps[last-1].kind == stepName && p.steps[last-1].name == "hashes" {
		return aboutHash
	}
	switch {
	case p.object == "x509-certificate" && p.is("serial_number"):
		return aboutSerial
	case p.object == "artifact" && p.is("url"):
		return aboutURL
	case p.object == "file" && (p.is("name") || p.is("extensions", "archive-ext", "contains_refs", "name")),
		p.object == "process" && p.is("image_ref", "name"):
		return aboutFileName
	case p.object == "file" && p.is("parent_directory_ref", "path"):
		return aboutPath
	case p.object == "file" && len(p.steps) == 3 && p.steps[0].name == "extensions" && p.steps[1].name == "windows-pebinary-ext" &&
		strings.HasSuffix(p.steps[2].name, "imphash"):
		return aboutHash
	}
	return aboutNothing
}

// is reports whether the path has exactly these names, indexes aside.
func (p *objectPath) is(names ...string) bool {
	for i := range p.steps {
		if p.steps[i].kind != stepName {
			continue
		}
		if len(names) == 0 || names[0] != p.steps[i].name {
			return false
		}
		names = names[1:]
	}
	return len(names) == 0
}
