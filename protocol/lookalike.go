package protocol

import (
	"slices"
	"strings"
)

// Letters of Greek and Cyrillic, and the Latin ones that they are mistaken for
// (documents spec, "Agreements").
const (
	lookalikes = "АВЕКМНОРСТУХІЈЅԚԜаеорсухіјѕһԁԛԝӏвкмнтΑΒΕΖΗΙΚΜΝΟΡΤΥΧαικνορυχγ"
	mistaken   = "abekmhopctyxijsqwaeopcyxijshdqwlbkmhtabezhikmnoptyxaikvopuxy"
)

// alike folds a name to what the eye takes it for, so that names which differ for
// a program and not for a person are found. The rule is fixed; it does not follow
// any version of Unicode.
func alike(name string) string {
	seen := []rune(lookalikes)
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'Ａ' && r <= 'Ｚ':
			return r - 'Ａ' + 'a'
		case r >= 'ａ' && r <= 'ｚ':
			return r - 'ａ' + 'a'
		case strings.ContainsRune(" .,-_'’‐‑–—\u00a0", r):
			return -1
		case r < 0x370:
			return r
		}
		if i := slices.Index(seen, r); i >= 0 {
			return rune(mistaken[i])
		}
		return r
	}, name)
}
