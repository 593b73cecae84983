package protocol

import (
	"crypto/sha256"
	"testing"
)

func TestWhatAnInviteIsKnownBy(t *testing.T) {
	secret, a, b := [32]byte(testHash("secret")), MemberID(testHash("a")), MemberID(testHash("b"))
	for name, c := range map[string]struct {
		got  Hash
		over []byte
	}{
		"door":         {InviteDoor(secret), append([]byte("entente invite door v1\x00"), secret[:]...)},
		"mark":         {InviteMark(secret), append([]byte("entente invite mark v1\x00"), secret[:]...)},
		"introduction": {Hash(IntroductionID(a)), append([]byte("entente introduction v1\x00"), a[:]...)},
	} {
		if c.got != Hash(sha256.Sum256(c.over)) {
			t.Errorf("%s is %s, which is not what the spec says", name, c.got)
		}
	}
	if Acquaintance(a, b) != Acquaintance(b, a) || Acquaintance(a, b) == Acquaintance(a, a) {
		t.Error("an acquaintance depends on the order of the two, or not on both")
	}
}
