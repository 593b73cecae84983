package redact

import (
	"errors"
	"maps"
	"regexp"
	"strings"

	"entente/protocol/stix"
)

// pattern takes care of an indicator's pattern: what it compares with a hidden
// value goes, or is compared with the pseudonym.
func (p *pass) pattern() {
	raw, _ := p.tree["pattern"].(string)
	if language, _ := p.tree["pattern_type"].(string); language != "stix" {
		before := p.count()
		if p.texts(raw, true); p.count() > before {
			p.refuse("its pattern, in another language than STIX, tells %s", p.tells())
		}
		if p.task.all()&FreeText != 0 {
			p.refuse("its pattern is in another language than STIX, where free text cannot be told from the rest")
		}
		return
	}
	parsed, err := stix.ParsePattern(raw)
	if err != nil {
		p.refuse("its pattern cannot be read")
		return
	}
	rest, err := parsed.Rewrite(p.constant)
	switch {
	case errors.Is(err, stix.ErrNothing):
		p.gone |= p.found()
		return
	case err != nil:
		p.refuse("its pattern asks for what is to be taken out: %s; %v", p.tells(), err)
		return
	}
	if text := rest.String(); text != parsed.String() || p.comments(raw) {
		p.tree["pattern"] = text
	}
}

// found returns all things that were found.
func (p *pass) found() Things {
	var all Things
	for t := range p.told {
		all |= t
	}
	return all
}

// quotedText matches the strings of a pattern.
var quotedText = regexp.MustCompile(`'(?:[^'\\]|\\.)*'`)

// comments reports whether the text of a pattern has comments that tell something;
// they are no part of what is parsed.
func (p *pass) comments(raw string) bool {
	bare := quotedText.ReplaceAllString(raw, "")
	if !strings.Contains(bare, "/*") && !strings.Contains(bare, "//") {
		return false
	}
	if p.task.all()&FreeText != 0 {
		return true
	}
	told := maps.Clone(p.told)
	defer func() { p.told = told }()
	before := p.count()
	p.texts(raw, false)
	return p.count() > before
}

// patternThings returns what a constant tells by what it is compared with.
func patternThings(path string) Things {
	switch {
	case strings.HasPrefix(path, "user-account:user_id"), strings.HasPrefix(path, "user-account:account_login"), strings.HasPrefix(path, "user-account:display_name"),
		strings.Contains(path, "user_ref.user_id"), strings.Contains(path, "user_ref.account_login"), strings.Contains(path, "user_ref.display_name"),
		strings.Contains(path, "belongs_to_ref.user_id"), strings.Contains(path, "belongs_to_ref.account_login"):
		return Users | Accounts
	case strings.Contains(path, "credential"):
		return Credentials
	case strings.HasPrefix(path, "email-message:to_refs"), strings.HasPrefix(path, "email-message:cc_refs"), strings.HasPrefix(path, "email-message:bcc_refs"):
		return Recipients
	case strings.HasPrefix(path, "email-addr:display_name"):
		return Recipients | Users
	}
	return 0
}

// partOfAddress finds the beginnings of the networks that are always within, in
// expressions that match addresses.
var partOfAddress = regexp.MustCompile(`(?i)^\W*(?:10\.|192\.168\b|172\.(?:1[6-9]|2\d|3[01])\b|169\.254\b|f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:)`)

// constant decides about one constant of a pattern.
func (p *pass) constant(v stix.PatternValue) (text string, keep bool, err error) {
	if p.scrub(v.Path, false) != v.Path {
		return "", false, errPath
	}
	if thing := patternThings(v.Path) & p.task.all(); thing != 0 && v.Text != "" && !stands(v.Text) {
		thing &= -thing
		p.told[thing]++
		f := formWord
		if thing == Recipients && strings.HasSuffix(v.Path, ".value") {
			f = formEmail
		}
		instead := p.inPlaceOf(thing, f, v.Text)
		return instead, instead != removed && v.Literal && (v.Operator == "=" || v.Operator == "!=" || v.Operator == "IN"), nil
	}
	look := p.find.look
	defer func() { p.find.look = look }()
	if strings.HasPrefix(v.Path, "email-addr:value") || strings.HasPrefix(v.Path, "email-message:from_ref") || strings.HasPrefix(v.Path, "email-message:sender_ref") {
		p.find.look &^= Recipients // of those who write; what they are looked for by
	}
	if strings.HasPrefix(v.Path, "domain-name:value") && p.task.all()&InternalNames != 0 && !strings.Contains(v.Text, ".") && !stands(v.Text) && v.Operator == "=" {
		p.told[InternalNames]++
		instead := p.inPlaceOf(InternalNames, formHost, v.Text)
		return instead, instead != removed, nil
	}
	command := strings.HasPrefix(v.Path, "process:")
	if v.Operator == "LIKE" || v.Operator == "MATCHES" {
		return v.Text, !p.expression(v, command), nil
	}
	if !v.Literal {
		before := p.count()
		for _, decoded := range append(textsOf([]byte(v.Text)), v.Text) {
			p.texts(decoded, command)
		}
		return v.Text, p.count() == before, nil
	}
	before := maps.Clone(p.told)
	clean := p.scrub(v.Text, command)
	for thing, n := range p.told {
		if n > before[thing] && p.inPlaceOf(thing, formWord, "x") == removed {
			return "", false, nil
		}
	}
	return clean, true, nil
}

var errPath = errors.New("what it compares has a name that tells it")

// expression reports whether an expression of LIKE or MATCHES tells something. It
// has no pseudonym.
func (p *pass) expression(v stix.PatternValue, command bool) bool {
	plain := strings.NewReplacer(`\\`, `\`, `\.`, ".", `\-`, "-", `\@`, "@", "^", "", "$", "", "%", "", "?", "").Replace(v.Text)
	before := p.count()
	p.texts(v.Text, command)
	if plain != v.Text {
		p.texts(plain, command)
	}
	address := strings.HasPrefix(v.Path, "ipv4-addr:") || strings.HasPrefix(v.Path, "ipv6-addr:") || strings.HasPrefix(v.Path, "network-traffic:")
	if address && p.task.all()&InternalAddresses != 0 && partOfAddress.MatchString(plain) {
		p.told[InternalAddresses]++
	}
	return p.count() > before
}
