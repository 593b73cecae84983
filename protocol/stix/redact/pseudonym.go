package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"entente/protocol/stix"
)

// removed stands where something was taken out of a text that stays.
const removed = "REDACTED"

// anonymous is what an identity is called whose name was taken out.
const anonymous = "anonymous"

// form is what a pseudonym must look like.
type form uint8

const (
	formWord     form = iota // anything: a name, a number
	formAddress4             // IPv4
	formAddress6             // IPv6
	formHardware             // MAC
	formHost                 // name of a host
	formEmail                // e-mail address
)

// keyed makes ids and pseudonyms that only the holder of a secret can make, under
// one agreement.
type keyed struct {
	key       []byte // of the agreement, made of the secret
	transform string // what the ids are for
}

func newKeyed(secret [32]byte, agreement, transform string) keyed {
	return keyed{key: digest(secret[:], "agreement", agreement), transform: transform}
}

// digest is a MAC over words, each with its length before it.
func digest(key []byte, words ...string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("entente redaction v1\x00"))
	for _, w := range words {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(w)))
		mac.Write(size[:])
		mac.Write([]byte(w))
	}
	return mac.Sum(nil)
}

// id returns the id that stands for another one. Its first half follows from that
// id, its second from the first, so that the holder of the secret knows the ids
// that were made so.
func (k keyed) id(original string) string {
	kind, _, _ := strings.Cut(original, "--")
	var u [16]byte
	copy(u[:8], digest(k.key, "id", k.transform, original))
	return k.sealed(kind, u)
}

// sealed fills in the second half.
func (k keyed) sealed(kind string, u [16]byte) string {
	u[6] = u[6]&0x0f | 0x50 // as NameID will
	copy(u[8:], digest(k.key, "own", kind, string(u[:8])))
	return stix.NameID(kind, u)
}

// own reports whether an id was made here, for this agreement.
func (k keyed) own(id string) bool {
	kind, uuid, _ := strings.Cut(id, "--")
	var u [16]byte
	if n, err := hex.Decode(u[:], []byte(strings.ReplaceAll(uuid, "-", ""))[:min(32, len(uuid)-strings.Count(uuid, "-"))]); n != 16 || err != nil {
		return false
	}
	return hmac.Equal([]byte(k.sealed(kind, u)), []byte(id))
}

// pseudonym returns what stands for a value of a thing, of the given form. None
// can be taken for a real value, see the package comment.
func (k keyed) pseudonym(thing Things, f form, value string) string {
	sum := digest(k.key, "pseudonym", thing.String(), strings.ToLower(value))
	word := strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:10]))
	switch f {
	case formAddress4:
		sum[0] |= 0xf0
		if sum[0] == 0xff {
			sum[0] = 0xfe // 255.255.255.255 is everybody
		}
		return netip.AddrFrom4([4]byte(sum[:4])).String()
	case formAddress6:
		sum[0], sum[1], sum[2] = 0x3f, 0xff, sum[2]&0x0f
		return netip.AddrFrom16([16]byte(sum[:16])).String()
	case formHardware:
		return fmt.Sprintf("f2:ff:%02x:%02x:%02x:%02x", sum[0], sum[1], sum[2], sum[3])
	case formHost:
		return "host-" + word + ".invalid"
	case formEmail:
		return "mail-" + word + "@pseudonym.invalid"
	}
	return prefixes(thing) + word
}

// prefixes begin the pseudonyms that are words.
func prefixes(thing Things) string {
	switch thing {
	case Victims:
		return "victim-"
	case Users:
		return "user-"
	case Accounts:
		return "account-"
	case Credentials:
		return "credential-"
	case Source:
		return "source-"
	}
	return "hidden-"
}

// stands reports whether a text is itself what a redaction left: the mark of what
// was taken out, or a pseudonym.
func stands(text string) bool {
	text = strings.ToLower(strings.Trim(text, `"'`))
	if text == strings.ToLower(removed) || text == anonymous {
		return true
	}
	if mail, ok := strings.CutSuffix(text, "@pseudonym.invalid"); ok {
		text = mail
	} else if host, ok := strings.CutSuffix(text, ".invalid"); ok {
		text = host
	} else if rest, ok := strings.CutPrefix(text, "f2:ff:"); ok && len(rest) == 11 {
		return true
	}
	for _, prefix := range []string{"victim-", "user-", "account-", "credential-", "source-", "hidden-", "host-", "mail-"} {
		if word, ok := strings.CutPrefix(text, prefix); ok && len(word) == 16 && strings.Trim(word, "0123456789abcdefghijklmnopqrstuv") == "" {
			return true
		}
	}
	return false
}
