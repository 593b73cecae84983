package protocol

import (
	"fmt"
	"slices"
)

// Standing is how far the signatures of a version of an agreement reach.
type Standing struct {
	Valid    bool       // its own threshold and that of the versions before it are met
	Signed   []MemberID // parties whose signature under their root key is there
	Unsigned []MemberID // parties without one
	Missing  int        // signatures wanting for its own threshold
	Before   int        // signatures wanting by the rules of the versions before it
}

// SignedVersion is a version of an agreement with who has signed it.
type SignedVersion struct {
	Agreement *Agreement
	Signers   []MemberID
}

// VerifyAgreement checks a version with its signatures against the versions
// that it names as previous, which must be valid themselves. Signatures may
// still be wanting: that is no error but Standing's to tell. Signatures are
// counted once for each party and each key; those of others are passed over.
//
// Errors: Invalid for its form, BadSignature where one is false, Conflict where
// it does not continue the versions given.
func VerifyAgreement(d Document, previous []SignedVersion) (Standing, error) {
	const op = "verify agreement"
	a, err := ParseAgreement(d.Payload)
	if err != nil {
		return Standing{}, err
	}
	if d.Type != AgreementType {
		return Standing{}, Errorf(Malformed, op, "the envelope says %s", d.Type)
	}
	for _, s := range d.Signatures {
		if err := VerifySignature(d.Type, d.Payload, s); err != nil {
			return Standing{}, err
		}
	}
	if len(previous) != len(a.Previous) {
		return Standing{}, E(Unverified, op, fmt.Errorf("version %d of %s builds on %d versions, of which %d are here", a.Version, a.Name, len(a.Previous), len(previous)),
			"import its earlier versions first")
	}
	var st Standing
	st.Signed, st.Unsigned = signers(d, a.Parties)
	st.Missing = max(0, a.Amend-len(st.Signed))
	double := DoubleSigners(previous)
	for _, v := range previous {
		p := v.Agreement
		if !slices.Contains(a.Previous, p.Hash) || p.ID != a.ID || p.Visibility != a.Visibility || a.Version <= p.Version {
			return st, Errorf(Conflict, op, "version %d of %s does not continue version %d, which is here", a.Version, a.Name, p.Version)
		}
		approved, _ := signers(d, p.Parties)
		// A version that resolves a fork counts without those who signed both
		// sides of it.
		approved = slices.DeleteFunc(approved, func(m MemberID) bool { return slices.Contains(double, m) })
		st.Before = max(st.Before, p.Amend-len(approved))
	}
	st.Valid = st.Missing == 0 && st.Before <= 0
	st.Before = max(0, st.Before)
	return st, nil
}

// DoubleSigners returns who signed more than one of several versions that
// exclude each other: since thresholds are above half, a fork proves that
// somebody did.
func DoubleSigners(versions []SignedVersion) []MemberID {
	times := map[MemberID]int{}
	var out []MemberID
	for _, v := range versions {
		for _, m := range v.Signers {
			if times[m]++; times[m] == 2 {
				out = append(out, m)
			}
		}
	}
	return out
}

// signers tells which parties have signed under the root key that the document
// pins for them.
func signers(d Document, parties []Party) (signed, unsigned []MemberID) {
	for _, p := range parties {
		if slices.ContainsFunc(d.Signatures, func(s Signature) bool { return s.Member == p.ID && s.Key == p.Root }) {
			signed = append(signed, p.ID)
		} else {
			unsigned = append(unsigned, p.ID)
		}
	}
	return signed, unsigned
}

// Signers returns the parties whose signature under their root key a document
// bears. The signatures must have been verified.
func Signers(d Document, a *Agreement) []MemberID {
	signed, _ := signers(d, a.Parties)
	return signed
}
