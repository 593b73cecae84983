package redact

import (
	"maps"
	"slices"
	"strings"

	"entente/protocol/stix"
)

// text takes care of a property that STIX 2.1 says is text.
func (p *pass) text(name string) {
	all := p.task.all()
	switch {
	case name == "labels":
		p.labels(all&FreeText != 0, FreeText)
		return
	case name == "pattern":
		p.pattern()
		return
	case all&FreeText != 0 && p.prose(name):
		return
	}
	if thing := p.tellsOf(name) & all; thing != 0 {
		p.value(name, thing&-thing)
		return
	}
	look := p.find.look
	if p.kind == "email-addr" && name == "value" {
		p.find.look &^= Recipients // who it is of is known from messages, see addressee
		if p.addressee() {
			p.find.look = look
		}
	}
	before := maps.Clone(p.told)
	p.tree[name] = p.inner(p.tree[name], name, p.kind == "process")
	p.find.look = look
	if p.defines(name) {
		for thing, n := range p.told {
			if n > before[thing] && (p.task.Pseudonymise&thing == 0 || p.task.Redact&thing != 0) && !p.within(thing) {
				p.gone |= thing
			}
		}
	}
}

// addressee reports whether an e-mail address counts as one that got mail: where
// no object says that it sent some.
func (p *pass) addressee() bool {
	return p.listed && !p.sender
}

// defines reports whether a property says what the object is: without it nothing
// is left of the object.
func (p *pass) defines(name string) bool {
	if name != "value" {
		return false
	}
	switch p.kind {
	case "ipv4-addr", "ipv6-addr", "mac-addr", "domain-name", "email-addr", "url":
		return true
	}
	return false
}

// within reports whether a thing is a part that can be taken out of a URL.
func (p *pass) within(thing Things) bool {
	return p.kind == "url" && thing&(Credentials|Users|Accounts) != 0
}

// tellsOf returns what a property tells, whatever is in it.
func (p *pass) tellsOf(name string) Things {
	switch p.kind {
	case "user-account":
		switch name {
		case "user_id", "account_login", "display_name":
			return Users | Accounts
		case "credential":
			return Credentials
		}
	case "email-addr":
		if name == "display_name" {
			return Recipients | Users
		}
	case "domain-name":
		if value, _ := p.tree["value"].(string); name == "value" && !strings.Contains(strings.Trim(value, "."), ".") && value != "localhost" {
			return InternalNames
		}
	case "email-message":
		if name == "received_lines" {
			return Recipients
		}
	}
	return 0
}

// value takes out a property that is all of one thing, or puts a pseudonym there.
func (p *pass) value(name string, thing Things) {
	text, ok := p.tree[name].(string)
	if ok && stands(text) && thing != Recipients {
		return
	}
	whole := p.kind == "domain-name" || p.kind == "user-account" && name != "display_name" && name != "credential"
	f := formWord
	if p.kind == "domain-name" {
		f = formHost
	}
	instead := removed
	if ok && p.kind != "email-addr" {
		instead = p.inPlaceOf(thing, f, text)
	}
	switch {
	case instead != removed:
		p.tree[name] = instead
		p.told[thing]++
	case whole:
		p.told[thing]++
		p.gone |= thing
	default:
		p.drop(name, thing)
	}
}

// prose takes out what people wrote in their own words, and reports whether the
// property is that. What must be there is replaced.
func (p *pass) prose(name string) bool {
	observable := false
	switch stix.PropertyForm(p.kind, "value") {
	case stix.FormCustom:
	default:
		observable = true
	}
	switch name {
	case "name":
		switch p.kind {
		case "file", "mutex", "software", "autonomous-system":
			return false
		case "identity":
			if p.bound(p.id) {
				return false // parties know each other
			}
		case "vulnerability":
			if text, _ := p.tree[name].(string); cve.MatchString(text) {
				return false
			}
		}
	case "description", "abstract", "content", "explanation", "objective", "goals", "authors", "contact_information", "aliases",
		"subject", "body", "received_lines", "display_name", "result_name", "street_address":
		if observable && name != "display_name" || p.kind == "x509-certificate" {
			return false
		}
	default:
		return false
	}
	if text, ok := p.tree[name].(string); ok && stands(text) {
		return true
	}
	if name == "name" && p.kind != "indicator" && p.kind != "grouping" && p.kind != "location" || name == "content" {
		p.tree[name] = removed
		p.told[FreeText]++
		return true
	}
	p.drop(name, FreeText)
	return true
}

// inner scrubs the strings within a value and returns what is left. Names within
// that tell something cannot be replaced.
func (p *pass) inner(v any, name string, command bool) any {
	switch v := v.(type) {
	case string:
		if thing := p.keyTells(name); thing != 0 && v != "" && !stands(v) {
			p.told[thing]++
			return p.inPlaceOf(thing, formWord, v)
		}
		return p.scrub(v, command)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = p.inner(e, name, command)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if refersOnly(k, v[k]) {
				out[k] = v[k]
				continue
			}
			told := maps.Clone(p.told)
			if p.find.scrub(k, false, p.says) != k {
				p.told = told
				p.refuse("the name of a value tells %s", p.task.all())
			}
			out[k] = p.inner(v[k], k, command)
		}
		return out
	}
	if thing := p.numberTells(v); thing != 0 {
		p.refuse("a number tells %s", thing)
	}
	return v
}

// numberTells reports what a number tells: those of accounts may be written so.
func (p *pass) numberTells(v any) Things {
	number, ok := v.(interface{ String() string })
	if !ok || p.find.look&Accounts == 0 {
		return 0
	}
	if text := number.String(); len(text) >= 13 && card.MatchString(text) && goodCard(text) {
		return Accounts
	}
	return 0
}

// keyTells returns what a value tells by the name that it has in a dictionary:
// variables of a process, fields of a message or of a request.
func (p *pass) keyTells(name string) Things {
	key := strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	look := p.find.look
	switch key {
	case "username", "user", "logname", "userid", "user_id", "userprofile", "homepath", "owner_sid", "sudo_user", "userdomain", "login", "account_login":
		return Users & look
	case "to", "cc", "bcc", "delivered_to", "envelope_to", "x_original_to", "x_envelope_to", "x_rcpt_to", "resent_to", "resent_cc", "apparently_to", "x_receiver", "x_delivered_to":
		return Recipients & look
	case "authorization", "proxy_authorization", "cookie", "set_cookie", "x_api_key", "x_auth_token", "x_amz_security_token":
		return Credentials & look
	case "computername", "hostname", "logonserver", "x_originating_host":
		return InternalNames & look
	}
	for _, part := range []string{"password", "passwd", "secret", "token", "api_key", "apikey", "credential", "private_key", "access_key"} {
		if strings.Contains(key, part) {
			return Credentials & look
		}
	}
	return 0
}

// structure takes care of dictionaries and lists of objects.
func (p *pass) structure(name string) {
	free := p.task.all()&FreeText != 0
	switch {
	case name == "external_references":
		p.external(free)
		return
	case name == "body_multipart" && free, name == "additional_header_fields" && free:
		p.drop(name, FreeText)
		return
	}
	p.tree[name] = p.inner(p.tree[name], name, p.kind == "process")
	known := map[string][]string{
		"kill_chain_phases": {"kill_chain_name", "phase_name"}, "values": {"name", "data", "data_type"},
		"body_multipart": {"body", "body_raw_ref", "content_type", "content_disposition"},
	}
	if list, ok := p.tree[name].([]any); ok && known[name] != nil {
		for _, e := range list {
			p.prune(e, known[name]...)
		}
	}
}

// prune takes out of an entry of a list what STIX 2.1 does not define there.
func (p *pass) prune(v any, known ...string) {
	entry, _ := v.(map[string]any)
	if !p.blind() {
		return
	}
	for k := range entry {
		if !slices.Contains(known, k) {
			delete(entry, k)
			p.told[lowest(p.task.all()&unknowable)]++
		}
	}
}

// external scrubs external references. One that says nothing any more goes.
func (p *pass) external(free bool) {
	list, _ := p.tree["external_references"].([]any)
	out := make([]any, 0, len(list))
	for _, e := range list {
		entry, ok := p.inner(e, "", false).(map[string]any)
		if !ok {
			continue
		}
		p.prune(entry, "source_name", "description", "url", "hashes", "external_id")
		if _, told := entry["description"]; told && free {
			delete(entry, "description")
			p.told[FreeText]++
		}
		if entry["description"] == nil && entry["url"] == nil && entry["external_id"] == nil {
			p.shorter["external_references"] = true
			continue
		}
		out = append(out, entry)
	}
	if p.tree["external_references"] = out; len(out) == 0 {
		delete(p.tree, "external_references")
	}
}

// predefined are the extensions that STIX 2.1 section 6 defines.
func predefined() []string {
	return []string{"archive-ext", "ntfs-ext", "pdf-ext", "raster-image-ext", "windows-pebinary-ext", "http-request-ext", "icmp-ext",
		"socket-ext", "tcp-ext", "windows-process-ext", "windows-service-ext", "unix-account-ext"}
}

// extensions scrubs those that STIX 2.1 defines; of all others nobody here knows
// what they tell.
func (p *pass) extensions(value any) {
	all, _ := value.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !slices.Contains(predefined(), name) {
			p.refuse("it has an extension, %.80q, of which nobody here knows what it tells", name)
			return
		}
		all[name] = p.inner(all[name], name, true)
		inner, _ := all[name].(map[string]any)
		for _, property := range []string{"comment", "descriptions", "display_name", "document_info_dict", "exif_tags"} {
			free := property == "document_info_dict" || property == "exif_tags" // whatever the maker of a file wrote
			if inner[property] != nil && (p.task.all()&FreeText != 0 || free && p.blind()) {
				delete(inner, property)
				p.told[lowest(p.task.all()&unknowable)]++
			}
		}
		if len(inner) == 0 {
			delete(all, name)
		}
	}
	if len(all) == 0 {
		delete(p.tree, "extensions")
	}
}

// embedded goes through the observables within observed-data. They are known by
// names of their own, so that none can go without the others.
func (p *pass) embedded(value any) {
	all, _ := value.(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		tree, _ := all[key].(map[string]any)
		kind, _ := tree["type"].(string)
		if tree == nil || stix.PropertyForm(kind, "type") != stix.FormFixed || !observable(kind) {
			p.refuse("the object within it is of no type that is known here")
			return
		}
		inner := *p
		inner.kind, inner.id, inner.tree, inner.gone = kind, "", tree, 0
		for _, name := range slices.Sorted(maps.Keys(tree)) {
			inner.property(name)
		}
		if inner.gone != 0 {
			p.refuse("an object within it is itself what is to be taken out: %s", inner.gone)
		}
		if inner.unsafe != "" {
			p.unsafe = inner.unsafe
		}
		if p.unsafe != "" {
			return
		}
	}
}

// observable reports whether a type is one of the cyber-observables of STIX 2.1.
func observable(kind string) bool {
	return slices.Contains([]string{"artifact", "autonomous-system", "directory", "domain-name", "email-addr", "email-message", "file", "ipv4-addr",
		"ipv6-addr", "mac-addr", "mutex", "network-traffic", "process", "software", "url", "user-account", "windows-registry-key", "x509-certificate"}, kind)
}
