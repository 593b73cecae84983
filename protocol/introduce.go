package protocol

import "bytes"

// IntroductionID is what an invite names that is about no agreement yet: it makes
// two members known to each other, so that they can write one (spec, "Invites").
func IntroductionID(inviter MemberID) AgreementID {
	return AgreementID(domainHash(domainIntroduction, inviter[:]))
}

// InviteDoor is the key that tags the streams on which an invite's secret is shown.
func InviteDoor(secret [32]byte) Hash { return domainHash(domainInviteDoor, secret[:]) }

// InviteMark is what the inviter knows a secret by that it does not keep.
func InviteMark(secret [32]byte) Hash { return domainHash(domainInviteMark, secret[:]) }

// Acquaintance names what two members tell each other who know each other by an
// invite; the order of the two is nothing to it. It is no secret: their nodes know
// each other by their transport keys.
func Acquaintance(a, b MemberID) Hash {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	return domainHash(domainAcquaintance, a[:], b[:])
}
