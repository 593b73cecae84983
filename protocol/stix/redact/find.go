package redact

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// hit is one place of a text that tells a thing.
type hit struct {
	from, to int
	thing    Things
	form     form
	value    string // what is hidden, as it makes pseudonyms
	instead  string // what to put there; "" where the thing decides
}

// finder looks for things in texts.
type finder struct {
	look   Things
	inside *inside
	names  *names
}

// hits returns what a text tells, in order, none within another.
func (f *finder) hits(text string, command bool) []hit {
	if text == "" || stands(text) {
		return nil
	}
	var out []hit
	lower := strings.ToLower(text)
	if f.look&Credentials != 0 {
		out = f.credentials(text, lower, out)
	}
	if f.look&Users != 0 {
		out = f.users(text, lower, command, out)
	}
	if f.look&Recipients != 0 {
		out = f.emails(text, out)
	}
	if f.look&Accounts != 0 {
		out = f.accounts(text, out)
	}
	if f.look&(InternalAddresses|InternalNames) != 0 {
		out = f.network(text, lower, out)
	}
	if f.names != nil {
		out = f.names.find(text, f.look, out)
	}
	return ordered(out)
}

// ordered sorts hits, and joins those that overlap.
func ordered(hits []hit) []hit {
	slices.SortStableFunc(hits, func(a, b hit) int {
		if a.from != b.from {
			return a.from - b.from
		}
		return b.to - a.to
	})
	out := hits[:0]
	for _, h := range hits {
		if n := len(out); n > 0 && h.from < out[n-1].to {
			out[n-1].to = max(out[n-1].to, h.to)
			continue
		}
		out = append(out, h)
	}
	return out
}

// add takes a hit whose text is between two offsets, unless a redaction left it.
func add(out []hit, text string, from, to int, thing Things, f form) []hit {
	if from < 0 || from >= to || stands(text[from:to]) {
		return out
	}
	return append(out, hit{from: from, to: to, thing: thing, form: f, value: text[from:to]})
}

// secretForm is one form of credentials. The last group is what is hidden; a text
// without any of the words, in lower case, has none.
type secretForm struct {
	words []string
	form  *regexp.Regexp
}

var secretForms = []secretForm{
	{[]string{"://"}, regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]{1,31}://([^\s/?#@"'<>]+)@`)},
	{[]string{"="}, regexp.MustCompile(`(?i)[?&;#](?:password|passwd|pass|pwd|token|access_?token|id_?token|refresh_?token|auth|authorization|api[_-]?key|apikey|key|secret|client_?secret|session|session_?id|sid|sig|signature|code|jwt|credentials?|private_?key)=([^&\s"'<>#;]+)`)},
	{[]string{"authorization"}, regexp.MustCompile(`(?i)\b(?:proxy-)?authorization["']?\s*[:=]\s*([^\r\n]+)`)},
	{[]string{"cookie"}, regexp.MustCompile(`(?i)\b(?:set-)?cookie["']?\s*[:=]\s*([^\r\n]+)`)},
	{[]string{"x-"}, regexp.MustCompile(`(?i)\bx-(?:api-key|auth-token|amz-security-token|csrf-token)["']?\s*[:=]\s*([^\s,;]+)`)},
	{[]string{"bearer", "basic"}, regexp.MustCompile(`(?i)\b(?:bearer|basic)\s+([A-Za-z0-9._~+/=-]{8,})`)},
	{[]string{"eyj"}, regexp.MustCompile(`(eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?)`)},
	{[]string{"private key"}, regexp.MustCompile(`(?s)(-----BEGIN [A-Z ]{0,32}PRIVATE KEY.*?(?:-----END [A-Z ]{0,32}PRIVATE KEY(?: BLOCK)?-----|\z))`)},
	{[]string{"akia", "asia"}, regexp.MustCompile(`\b((?:AKIA|ASIA)[0-9A-Z]{16})\b`)},
	{[]string{"ghp", "gho", "ghs", "glpat", "xox"}, regexp.MustCompile(`\b((?:ghp|gho|ghs|glpat|xox[abprs])[_-][A-Za-z0-9_-]{10,})`)},
	{[]string{"pass", "pwd", "token", "secret", "key"}, regexp.MustCompile(`(?i)(?:^|\s)(?:--?|/)(?:password|passwd|pass|pwd|token|secret|api-?key)(?:[:=]|\s+)("[^"]*"|[^\s"]+)`)},
	{[]string{"pass", "pwd", "secret", "key", "token"}, regexp.MustCompile(`(?i)(?:\b|_)(?:password|passwort|passwd|passphrase|pwd|secret[_ -]?key|api[_ -]?key|access[_ -]?token)["']?\s*[:=]\s*("[^"]*"|'[^']*'|[^\s"',;&]+)`)},
	{[]string{"net "}, regexp.MustCompile(`(?i)\bnet\s+use(?:r)?\s+\S+\s+("[^"]*"|[^\s"/*][^\s"]*)`)},
}

func (f *finder) credentials(text, lower string, out []hit) []hit {
	for _, s := range secretForms {
		if !hasAny(lower, s.words...) {
			continue
		}
		for _, at := range s.form.FindAllStringSubmatchIndex(text, -1) {
			out = add(out, text, at[2], at[3], Credentials, formWord)
		}
	}
	return out
}

func hasAny(text string, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}

var (
	userFolder  = regexp.MustCompile(`(?i)(?:[\\/]|%5c|%2f)(?:users|home|documents(?:\s|%20|\+)and(?:\s|%20|\+)settings|profiles)(?:[\\/]|%5c|%2f)+`)
	userNumber  = regexp.MustCompile(`(?i)\bS-1-(?:5-21|12-1)(?:-\d{1,10}){3,6}\b`)
	userOption  = regexp.MustCompile(`(?i)(?:(?:/|--?)user(?:name)?[:= ]\s*|\b(?:username|logname|user_name|userid|login)["']?\s*[:=]\s*)("[^"]+"|'[^']+'|[^\s"',;]+)`)
	userRemote  = regexp.MustCompile(`(?i)(?:^|[\s"'])([a-z_][a-z0-9_.$-]{0,63})@[a-z0-9_.-]+`)
	userCommand = regexp.MustCompile(`(?i)\bnet1?\s+user\s+("[^"]+"|[^\s"/]+)`)
)

// users finds names of users in paths, and what else names them by its form.
func (f *finder) users(text, lower string, command bool, out []hit) []hit {
	for at := 0; hasAny(lower, "users", "home", "documents", "profiles"); {
		loc := userFolder.FindStringIndex(text[at:])
		if loc == nil {
			break
		}
		from := at + loc[1]
		to := from + folder(text[from:])
		if name := strings.ToLower(text[from:to]); name != "" && !everybody(name) {
			out = add(out, text, from, to, Users, formWord)
		}
		at = to
	}
	if strings.Contains(lower, "s-1-") {
		for _, at := range userNumber.FindAllStringIndex(text, -1) {
			out = add(out, text, at[0], at[1], Users, formWord)
		}
	}
	if hasAny(lower, "user", "logname", "login") {
		for _, at := range userOption.FindAllStringSubmatchIndex(text, -1) {
			out = add(out, text, at[2], at[3], Users, formWord)
		}
	}
	if command && hasAny(lower, "@", "user") {
		for _, form := range []*regexp.Regexp{userRemote, userCommand} {
			for _, at := range form.FindAllStringSubmatchIndex(text, -1) {
				out = add(out, text, at[2], at[3], Users, formWord)
			}
		}
	}
	return out
}

// folder returns how long the name of a folder is that a text begins with. It may
// have blanks where a path goes on behind it.
func folder(text string) int {
	end := strings.IndexAny(text, "\\/\"'<>|:*?\r\n\t;,&%()[]{}")
	if end < 0 {
		end = len(text)
	}
	behind := strings.ToLower(text[end:min(end+3, len(text))])
	separator := behind != "" && (behind[0] == '\\' || behind[0] == '/') || behind == "%5c" || behind == "%2f"
	if blank := strings.IndexByte(text[:end], ' '); blank >= 0 && (!separator || end > 64) {
		end = blank
	}
	if end == len(text) || !separator {
		return len(strings.TrimRight(text[:end], "."))
	}
	return end
}

// everybody reports whether a folder of users belongs to nobody in particular, or
// is a variable.
func everybody(name string) bool {
	switch name {
	case "public", "default", "default user", "all users", "shared", "defaultuser0", "guest", "localservice", "networkservice":
		return true
	}
	return strings.HasPrefix(name, "$") || strings.HasPrefix(name, "~")
}

var email = regexp.MustCompile(`[\p{L}\p{N}._%+'=-]+@(?:[\p{L}\p{N}_-]+\.)+[\p{L}\p{N}-]{2,}`)

func (f *finder) emails(text string, out []hit) []hit {
	if !strings.Contains(text, "@") {
		return out
	}
	for _, at := range email.FindAllStringIndex(text, -1) {
		out = add(out, text, at[0], at[1], Recipients, formEmail)
	}
	return out
}

var (
	iban = regexp.MustCompile(`(?i)\b[a-z]{2}\d{2}(?:[ -]?[a-z0-9]){11,30}`)
	card = regexp.MustCompile(`\b[3-6]\d{3}(?:[ -]?\d){9,15}\b`)
)

// accounts finds numbers of bank accounts and of payment cards: those whose check
// digits are right.
func (f *finder) accounts(text string, out []hit) []hit {
	digits := 0
	for i := range len(text) {
		if isDigit(text[i]) {
			digits++
		}
	}
	if digits < 8 {
		return out // every number of an account has more
	}
	for _, at := range iban.FindAllStringIndex(text, -1) {
		// Words may stand behind the number: the longest part with right digits.
		for end := at[1]; end-at[0] >= 15; end-- {
			if text[end-1] != ' ' && text[end-1] != '-' && goodIBAN(text[at[0]:end]) {
				out = add(out, text, at[0], end, Accounts, formWord)
				break
			}
		}
	}
	for _, at := range card.FindAllStringIndex(text, -1) {
		if goodCard(text[at[0]:at[1]]) {
			out = add(out, text, at[0], at[1], Accounts, formWord)
		}
	}
	return out
}

// goodIBAN holds ISO 13616: the remainder by 97 is 1.
func goodIBAN(text string) bool {
	text = strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(text))
	if len(text) < 15 || len(text) > 34 {
		return false
	}
	rest := 0
	for _, c := range text[4:] + text[:4] {
		switch {
		case c >= '0' && c <= '9':
			rest = (rest*10 + int(c-'0')) % 97
		case c >= 'A' && c <= 'Z':
			rest = (rest*100 + int(c-'A') + 10) % 97
		default:
			return false
		}
	}
	return rest == 1
}

// goodCard holds ISO/IEC 7812: the sum of Luhn ends in zero.
func goodCard(text string) bool {
	sum, double, count := 0, false, 0
	for i := len(text) - 1; i >= 0; i-- {
		c := text[i]
		if c < '0' || c > '9' {
			continue
		}
		d := int(c - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum, double, count = sum+d, !double, count+1
	}
	return count >= 13 && count <= 19 && sum%10 == 0
}

var (
	hostRun   = regexp.MustCompile(`[\p{L}\p{N}_-]+(?:\.[\p{L}\p{N}_-]+)+`)
	address6  = regexp.MustCompile(`[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?:%[0-9A-Za-z]+)?(?:/\d{1,3})?`)
	hardware  = regexp.MustCompile(`\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b|\b(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}\b`)
	shortHost = regexp.MustCompile(`(?i)(?:\b[a-z][a-z0-9+.-]{1,31}://(?:[^\s/?#@"'<>]*@)?|(?:^|[\s"'=(,;])\\\\)([a-z0-9_-]+)(?:[:/?#\\\s"'<>),;]|$)`)
	dashed    = regexp.MustCompile(`(?i)\bip-(\d{1,3})-(\d{1,3})-(\d{1,3})-(\d{1,3})\b`)
)

// network finds addresses and names of the inside.
func (f *finder) network(text, lower string, out []hit) []hit {
	if f.look&InternalAddresses != 0 {
		out = f.addresses4(text, out)
		out = f.addresses6(text, out)
		if strings.Count(text, ":") >= 5 || strings.Count(text, "-") >= 5 || strings.Count(text, ".") >= 2 {
			for _, at := range hardware.FindAllStringIndex(text, -1) {
				out = add(out, text, at[0], at[1], InternalAddresses, formHardware)
			}
		}
		if strings.Contains(lower, "ip-") {
			for _, at := range dashed.FindAllStringSubmatchIndex(text, -1) {
				if p, ok := four(strings.Split(text[at[2]:at[9]], "-")); ok && f.inside.address(p) {
					out = add(out, text, at[0], at[1], InternalAddresses, formHost)
				}
			}
		}
	}
	if hasAny(lower, f.inside.domains...) || strings.Contains(lower, ".arpa") {
		out = f.hosts(text, out)
	}
	if !hasAny(text, "://", `\\`) {
		return out
	}
	for _, at := range shortHost.FindAllStringSubmatchIndex(text, -1) {
		host := strings.ToLower(text[at[2]:at[3]])
		number, isNumber := numeric(host)
		switch {
		case isNumber:
			if f.look&InternalAddresses != 0 && f.inside.address(netip.PrefixFrom(number, 32)) {
				out = add(out, text, at[2], at[3], InternalAddresses, formAddress4)
			}
		case f.look&InternalNames != 0 && host != "localhost":
			out = add(out, text, at[2], at[3], InternalNames, formHost)
		}
	}
	return out
}

// hosts finds names of hosts of two words or more.
func (f *finder) hosts(text string, out []hit) []hit {
	for _, at := range hostRun.FindAllStringIndex(text, -1) {
		host := text[at[0]:at[1]]
		switch {
		case f.inside.reverse(strings.ToLower(host)):
			thing := InternalNames
			if f.look&InternalAddresses != 0 {
				thing = InternalAddresses
			}
			out = add(out, text, at[0], at[1], thing, formHost)
		case f.look&InternalNames != 0 && f.inside.name(host):
			out = add(out, text, at[0], at[1], InternalNames, formHost)
		}
	}
	return out
}

// numeric reads an IPv4 address that is written as one number, as URLs may.
func numeric(host string) (netip.Addr, bool) {
	if host == "" || host[0] < '0' || host[0] > '9' {
		return netip.Addr{}, false
	}
	n, err := strconv.ParseUint(host, 0, 32)
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), err == nil
}

// four makes an address of four numbers, which may have leading zeros.
func four(parts []string) (netip.Prefix, bool) {
	var b [4]byte
	if len(parts) != 4 {
		return netip.Prefix{}, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil || len(p) > 3 {
			return netip.Prefix{}, false
		}
		b[i] = byte(n)
	}
	return netip.PrefixFrom(netip.AddrFrom4(b), 32), true
}

// addresses4 finds IPv4 addresses wherever four numbers stand with points between,
// so that no digits or words around them hide one.
func (f *finder) addresses4(text string, out []hit) []hit {
	for from := 0; from < len(text); from++ {
		if !isDigit(text[from]) || from > 0 && isDigit(text[from-1]) {
			continue
		}
		at, parts := from, make([]string, 0, 4)
		for len(parts) < 4 {
			begin := at
			for at < len(text) && isDigit(text[at]) {
				at++
			}
			if parts = append(parts, text[begin:at]); begin == at || at-begin > 3 {
				break
			}
			if len(parts) < 4 && (at >= len(text) || text[at] != '.') {
				break
			}
			if len(parts) < 4 {
				at++
			}
		}
		p, ok := four(parts)
		if !ok {
			continue
		}
		end := at
		if bits := network(text[at:]); bits > 0 {
			n, _ := strconv.Atoi(text[at+1 : at+bits])
			if n <= 32 {
				p, end = netip.PrefixFrom(p.Addr(), n), at+bits
			}
		}
		if f.inside.address(p) {
			out = append(out, hit{from: from, to: end, thing: InternalAddresses, form: formAddress4, value: p.String()})
		}
	}
	return out
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// network returns how long the length of a network is that a text begins with: /24.
func network(text string) int {
	n := 0
	if strings.HasPrefix(text, "/") {
		for n = 1; n < len(text) && n < 4 && isDigit(text[n]); n++ {
		}
	}
	if n < 2 || n > 3 || n < len(text) && (isDigit(text[n]) || text[n] == '/' || text[n] == '.') {
		return 0
	}
	return n
}

func (f *finder) addresses6(text string, out []hit) []hit {
	if strings.Count(text, ":") < 2 {
		return out
	}
	for _, at := range address6.FindAllStringIndex(text, -1) {
		word := text[at[0]:at[1]]
		bare, length, _ := strings.Cut(word, "/")
		bare = strings.TrimRight(bare, ".")
		if !strings.HasSuffix(bare, "::") {
			bare = strings.TrimRight(bare, ":")
		}
		if !strings.HasPrefix(bare, "::") {
			bare = strings.TrimLeft(bare, ":")
		}
		address, err := netip.ParseAddr(bare)
		if err != nil || !address.Is6() {
			continue
		}
		bits, err := strconv.Atoi(length)
		if err != nil || bits > 128 {
			bits = 128
		}
		if f.inside.address(netip.PrefixFrom(address.WithZone(""), bits)) {
			out = append(out, hit{from: at[0], to: at[0] + len(strings.TrimRight(word, ".")), thing: InternalAddresses, form: formAddress6, value: address.WithZone("").String()})
		}
	}
	return out
}

// names are words that are known to tell something: what hidden objects are called.
type names struct {
	first map[string][]name // by their first word, in lower case
	more  *names            // that are known besides; may be nil
}

type name struct {
	words []string
	thing Things
	value string
}

// mostNames bounds the names of one publication.
const mostNames = 20_000

// learn takes up a name. One that is a single short or everyday word is passed
// over: to take it out everywhere would take out more than it tells.
func (n *names) learn(text string, thing Things) {
	if stands(text) || len(n.first) >= mostNames {
		return
	}
	words := wordsOf(strings.ToLower(text))
	if len(words) == 0 || len(words) > 8 || len(words) == 1 && (utf8.RuneCountInString(words[0]) < 4 || everyday(words[0])) {
		return
	}
	n.keep(name{words: words, thing: thing, value: text})
	if joined := strings.Join(words, ""); len(words) > 1 && len(joined) >= 6 {
		n.keep(name{words: []string{joined}, thing: thing, value: text})
	}
}

func (n *names) keep(known name) {
	if n.first == nil {
		n.first = map[string][]name{}
	}
	list := n.first[known.words[0]]
	if !slices.ContainsFunc(list, func(k name) bool { return slices.Equal(k.words, known.words) }) && len(list) < 256 {
		n.first[known.words[0]] = append(list, known)
	}
}

// everyday are names that too many have.
func everyday(word string) bool {
	return slices.Contains([]string{"admin", "administrator", "user", "users", "root", "test", "guest", "system", "default", "public", "service", "company",
		"bank", "customer", "client", "unknown", "anonymous", "victim", "organisation", "organization", "none", "null", "true", "false"}, word)
}

// wordsOf cuts a text into runs of letters and digits.
func wordsOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
}

// find looks for the names word by word, whatever stands between the words.
func (n *names) find(text string, look Things, out []hit) []hit {
	if n.more != nil {
		out = n.more.find(text, look, out)
	}
	if len(n.first) == 0 {
		return out
	}
	type span struct{ from, to int }
	var spans []span
	from := -1
	for i, r := range text + " " {
		word := unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
		switch {
		case word && from < 0:
			from = i
		case !word && from >= 0:
			spans = append(spans, span{from, i})
			from = -1
		}
	}
	for i := range spans {
		for _, known := range n.first[strings.ToLower(text[spans[i].from:spans[i].to])] {
			if known.thing&look == 0 || len(known.words) > len(spans)-i {
				continue
			}
			same := true
			for j, w := range known.words {
				same = same && strings.ToLower(text[spans[i+j].from:spans[i+j].to]) == w && (j == 0 || spans[i+j].from-spans[i+j-1].to <= 4)
			}
			if same {
				out = append(out, hit{from: spans[i].from, to: spans[i+len(known.words)-1].to, thing: known.thing, value: known.value})
			}
		}
	}
	return out
}
