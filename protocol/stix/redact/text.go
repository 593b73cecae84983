package redact

import (
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// mostLayers is how many codings within each other are looked through.
const mostLayers = 3

// scrub returns a text in which everything that f finds is replaced, and tells told
// of each. Values that are written in another way (percent signs, brackets around
// points, other forms of a letter, base64) are found too; the whole word that they
// are written in is then replaced by the plain one.
func (f *finder) scrub(text string, command bool, say func(hit) string) string {
	return f.layer(text, command, say, 0)
}

func (f *finder) layer(text string, command bool, say func(hit) string, depth int) string {
	if f.look == 0 {
		return text
	}
	hits := f.hits(text, command)
	if depth < mostLayers {
		hits = ordered(append(f.coded(text, command, say, depth), hits...))
	}
	if len(hits) == 0 {
		return text
	}
	var b strings.Builder
	last := 0
	for _, h := range hits {
		b.WriteString(text[last:h.from])
		if h.instead != "" {
			b.WriteString(h.instead)
		} else {
			b.WriteString(say(h))
		}
		last = h.to
	}
	b.WriteString(text[last:])
	return b.String()
}

var (
	plainWord = regexp.MustCompile(`[^\s"'<>]+`)
	brackets  = regexp.MustCompile(`(?i)[\[({]\s?(?:dot|\.|\.\]|at|@|:|://|/)\s?[\])}]|\\\.|hxxp|[\[({]\.|\.[\])}]`)
)

// coded finds words that tell something once they are decoded.
func (f *finder) coded(text string, command bool, say func(hit) string, depth int) []hit {
	var out []hit
	tells := func(from, to int, decoded string) {
		if decoded == text[from:to] {
			return
		}
		found := false
		clean := f.layer(decoded, command, func(h hit) string { found = true; return say(h) }, depth+1)
		if found {
			out = append(out, hit{from: from, to: to, instead: clean})
		}
	}
	percent, odd := strings.Contains(text, "%"), strings.ContainsAny(text, `[({\`) || hasAny(text, "hxxp", "hXXp", "HXXP", ".]", ".)", ".}")
	ascii := isASCII(text)
	if percent || odd || !ascii {
		for _, at := range plainWord.FindAllStringIndex(text, -1) {
			word := text[at[0]:at[1]]
			if percent && strings.Contains(word, "%") {
				if decoded, ok := unescaped(word); ok {
					tells(at[0], at[1], decoded)
				}
			}
			if odd {
				tells(at[0], at[1], refanged(word))
			}
			if !ascii {
				tells(at[0], at[1], plainForm(word))
			}
		}
	}
	for _, at := range base64Runs(text) {
		for _, decoded := range decodings(text[at[0]:at[1]]) {
			found := false
			f.layer(decoded, true, func(hit) string { found = true; return removed }, depth+1)
			if found {
				h := f.first(decoded, true, depth+1)
				h.from, h.to = at[0], at[1]
				h.instead = ""
				out = append(out, h)
				break
			}
		}
	}
	return out
}

// base64Runs returns where a text has twelve or more letters of base64 together.
func base64Runs(text string) [][2]int {
	var out [][2]int
	from := 0
	for at := 0; at <= len(text); at++ {
		if at < len(text) && (isDigit(text[at]) || text[at]|0x20 >= 'a' && text[at]|0x20 <= 'z' || strings.IndexByte("+/-_", text[at]) >= 0) {
			continue
		}
		if at-from >= 12 {
			end := at
			for end < len(text) && end < at+2 && text[end] == '=' {
				end++
			}
			out = append(out, [2]int{from, end})
		}
		from = at + 1
	}
	return out
}

// first returns what a decoded text tells first, so that it can be said of the
// whole of it.
func (f *finder) first(decoded string, command bool, depth int) hit {
	var found *hit
	f.layer(decoded, command, func(h hit) string {
		if found == nil {
			found = &h
		}
		return removed
	}, depth)
	return hit{thing: found.thing, value: found.value}
}

// unescaped undoes percent signs, as far as they are whole.
func unescaped(word string) (string, bool) {
	if decoded, err := url.PathUnescape(word); err == nil {
		return strings.ToValidUTF8(decoded, "�"), true
	}
	var b strings.Builder
	for i := 0; i < len(word); i++ {
		if word[i] == '%' && i+2 < len(word) {
			if c, err := url.PathUnescape(word[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(word[i])
	}
	return strings.ToValidUTF8(b.String(), "�"), true
}

// refanged undoes what people do to make a value harmless.
func refanged(word string) string {
	return brackets.ReplaceAllStringFunc(word, func(s string) string {
		switch inner := strings.ToLower(strings.Trim(s, "[](){} ")); inner {
		case "dot", ".", `\.`:
			return "."
		case "at", "@":
			return "@"
		case "hxxp":
			return "http"
		default:
			return inner
		}
	})
}

// plainForm brings other forms of letters, digits and points to the plain one, and
// leaves out what cannot be seen.
func plainForm(word string) string {
	word = strings.NewReplacer("。", ".", "｡", ".", "․", ".", "∕", "/", "⁄", "/", "∶", ":").Replace(norm.NFKC.String(word))
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || r == '\u034f' || r >= 0xfe00 && r <= 0xfe0f {
			return -1
		}
		return r
	}, word)
}

// decodings returns the texts that a run of base64 may hold: as it is, or in the
// UTF-16 that PowerShell takes.
func decodings(run string) []string {
	run = strings.TrimRight(run, "=")
	coding := base64.RawStdEncoding
	if strings.ContainsAny(run, "-_") {
		coding = base64.RawURLEncoding
	}
	if len(run)%4 == 1 {
		run = run[:len(run)-1]
	}
	data, err := coding.DecodeString(run)
	if err != nil || len(data) < 8 {
		return nil
	}
	return textsOf(data)
}

// textsOf returns the texts that bytes may be.
func textsOf(data []byte) []string {
	var out []string
	if utf8.Valid(data) && printable(string(data)) {
		out = append(out, string(data))
	}
	if len(data) >= 8 {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			units := make([]uint16, len(data)/2)
			for i := range units {
				units[i] = order.Uint16(data[2*i:])
			}
			if wide := string(utf16.Decode(units)); isASCII(wide) && printable(wide) {
				out = append(out, wide)
			}
		}
	}
	return out
}

// printable reports whether a text is one that people could read.
func printable(text string) bool {
	odd := 0
	for _, r := range text {
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == utf8.RuneError {
			odd++
		}
	}
	return odd*16 <= len(text)
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
