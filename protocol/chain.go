package protocol

import (
	"fmt"
	"slices"
)

// Standing is how far the signatures of a version of an agreement reach. While
// signatures are collected it is not Valid, and that is no error.
type Standing struct {
	Valid    bool       // both counts below are zero
	Signed   []MemberID // parties with a true signature under their root key: these are bound
	Unsigned []MemberID // parties without one: they are not bound, whatever the others signed
	Missing  int        // signatures wanting for the version's own threshold
	Before   int        // signatures wanting for the threshold of the versions before it
	Double   []MemberID // signed both sides of the fork that the version resolves; not counted
}

// SignedVersion is a valid version of an agreement with who signed it: of a
// branch of a fork, whoever signed any version of that branch.
type SignedVersion struct {
	Agreement *Agreement
	Signers   []MemberID
}

// VerifyAgreement checks a version with its signatures against the versions
// that it names as previous, which must be valid themselves (documents spec,
// "Versions of an agreement"). Version 1 has none; two or more resolve a fork.
//
// A signature counts for the party whose root key made it, once for each party;
// those under keys of nobody are passed over. Errors: Invalid for its form,
// BadSignature where a party has none but false ones, Unverified where versions
// before it are not given, Conflict where it does not continue them.
func VerifyAgreement(d Document, previous []SignedVersion) (Standing, error) {
	const op = "verify agreement"
	a, err := ParseAgreement(d.Payload)
	if err != nil {
		return Standing{}, err
	}
	if d.Type != AgreementType {
		return Standing{}, Errorf(Malformed, op, "the envelope says %.80q of an agreement", d.Type)
	}
	if len(previous) != len(a.Previous) {
		return Standing{}, E(Unverified, op, fmt.Errorf("version %d of %s builds on %d versions, of which %d are here", a.Version, a.Name, len(a.Previous), len(previous)),
			"import its earlier versions first")
	}
	for _, v := range previous {
		if err := a.continues(v.Agreement, previous); err != nil {
			return Standing{}, E(Conflict, op, err, "")
		}
	}
	parties := slices.Clone(a.Parties)
	for _, v := range previous {
		parties = append(parties, v.Agreement.Parties...)
	}
	signed, err := signedKeys(d, parties)
	if err != nil {
		return Standing{}, err
	}
	st := Standing{}
	if len(previous) > 1 {
		st.Double = DoubleSigners(previous)
	}
	st.Signed, st.Unsigned = signers(signed, a.Parties)
	st.Missing = wanting(signed, a, st.Double)
	for _, v := range previous {
		st.Before = max(st.Before, wanting(signed, v.Agreement, st.Double))
	}
	st.Valid = st.Missing == 0 && st.Before == 0
	return st, nil
}

// continues holds a version to what it may change of one before it.
func (a *Agreement) continues(p *Agreement, all []SignedVersion) error {
	highest := uint64(0)
	for _, v := range all {
		highest = max(highest, v.Agreement.Version)
	}
	switch {
	case !slices.Contains(a.Previous, p.Hash) || a.ID != p.ID:
		return fmt.Errorf("version %d of %s does not continue version %d, which is here", a.Version, a.Name, p.Version)
	case a.Version != highest+1:
		return fmt.Errorf("a version that continues version %d of %s has number %d, not %d", highest, a.Name, highest+1, a.Version)
	case a.Name != p.Name:
		return fmt.Errorf("version %d calls itself %s; the agreement's name is %s for good", a.Version, a.Name, p.Name)
	case a.Visibility != p.Visibility:
		return fmt.Errorf("version %d of %s is %s; the agreement is %s for good", a.Version, a.Name, a.Visibility, p.Visibility)
	case a.Visibility == Private && a.secret == p.secret:
		return fmt.Errorf("version %d of %s has the secret of version %d; every version has its own, or a removed party could guess its hash", a.Version, a.Name, p.Version)
	}
	for _, cut := range p.Cuts {
		if !slices.Contains(a.Cuts, cut) {
			return fmt.Errorf("version %d of %s leaves out or changes the cut of log %s; what is closed stays closed", a.Version, a.Name, cut.Log.Short())
		}
	}
	return nil
}

// wanting returns how many signatures a version's threshold still lacks. Those
// who signed both sides of a fork do not count; where too few others are left
// for the threshold, all of them must sign, and one at least.
func wanting(signed map[PublicKey]bool, a *Agreement, double []MemberID) int {
	have, able := 0, 0
	for _, p := range a.Parties {
		if slices.Contains(double, p.ID) {
			continue
		}
		able++
		if signed[p.Root] {
			have++
		}
	}
	return max(0, max(1, min(a.Amend, able))-have)
}

// signedKeys returns the root keys of parties under which the document bears a
// true signature. A key with false ones alone is BadSignature.
func signedKeys(d Document, parties []Party) (map[PublicKey]bool, error) {
	asked := map[PublicKey]bool{}
	for i := range parties {
		asked[parties[i].Root] = true
	}
	signed := map[PublicKey]bool{}
	untrue := map[PublicKey]error{}
	for _, s := range d.Signatures {
		if !asked[s.Key] || signed[s.Key] {
			continue
		}
		if err := VerifySignature(d.Type, d.Payload, s); err != nil {
			untrue[s.Key] = err
			continue
		}
		signed[s.Key] = true
	}
	for _, s := range d.Signatures { // in their order, so that the same one is named every time
		if err := untrue[s.Key]; err != nil && !signed[s.Key] {
			return nil, err
		}
	}
	return signed, nil
}

// signers tells which parties have signed under the root key that the document
// pins for them.
func signers(keys map[PublicKey]bool, parties []Party) (signed, unsigned []MemberID) {
	for _, p := range parties {
		if keys[p.Root] {
			signed = append(signed, p.ID)
		} else {
			unsigned = append(unsigned, p.ID)
		}
	}
	return signed, unsigned
}

// Signers returns the parties of a version whose true signature a document
// bears. A party that is not among them is not bound.
func Signers(d Document, a *Agreement) []MemberID {
	var out []MemberID
	keys := map[PublicKey]bool{}
	for _, s := range TrueSignatures(d, a) {
		keys[s.Key] = true
	}
	out, _ = signers(keys, a.Parties)
	return out
}

// TrueSignatures returns the signatures that are worth keeping and passing on:
// true, one for each key, under the root key of a party of one of the versions
// (give a version and those before it). All else may be a stranger's, made to
// fill the room that a document has for signatures.
func TrueSignatures(d Document, versions ...*Agreement) []Signature {
	asked := map[PublicKey]bool{}
	for _, a := range versions {
		for i := range a.Parties {
			asked[a.Parties[i].Root] = true
		}
	}
	var out []Signature
	for _, s := range MergeSignatures(nil, d.Signatures) {
		if asked[s.Key] && VerifySignature(d.Type, d.Payload, s) == nil {
			out = append(out, s)
			asked[s.Key] = false
		}
	}
	return out
}

// DoubleSigners returns who signed more than one of several versions that
// exclude each other. Thresholds are above half, so a fork proves that somebody
// did; an agreement of two parties whose both signed twice cannot be resolved,
// only ended and made anew.
func DoubleSigners(versions []SignedVersion) []MemberID {
	times := map[MemberID]int{}
	var out []MemberID
	for _, v := range versions {
		signers := slices.Clone(v.Signers)
		slices.SortFunc(signers, compareMembers)
		for _, m := range slices.Compact(signers) {
			if times[m]++; times[m] == 2 {
				out = append(out, m)
			}
		}
	}
	return out
}

func compareMembers(a, b MemberID) int { return slices.Compare(a[:], b[:]) }

// Accepts tells whether a node that holds current may go on to next, which must
// be valid: versions only rise, also across restarts. It returns nil for a
// higher version that builds on current, and for current itself. Unverified:
// versions in between are missing. Conflict: next is older, another agreement,
// or another version under the same number (a fork).
func Accepts(current, next *Agreement) error {
	const op = "accept agreement"
	switch {
	case current.ID != next.ID:
		return Errorf(Conflict, op, "%s is another agreement than %s", next.Name, current.Name)
	case current.Hash == next.Hash:
		return nil
	case next.Version < current.Version:
		return E(Conflict, op, fmt.Errorf("version %d of %s is older than version %d, which is here; versions only rise", next.Version, next.Name, current.Version),
			"ask the other parties for the newest version")
	case next.Version == current.Version:
		return E(Conflict, op, fmt.Errorf("there are two versions %d of %s: %s and %s", next.Version, next.Name, current.Hash.Short(), next.Hash.Short()),
			"the parties resolve a fork by a version that names both as previous")
	case slices.Contains(next.Previous, current.Hash):
		return nil
	case next.Version > current.Version+1:
		return E(Unverified, op, fmt.Errorf("version %d of %s is here; version %d builds on versions that are not", current.Version, current.Name, next.Version),
			"import the versions between them first")
	}
	return E(Conflict, op, fmt.Errorf("version %d of %s does not build on version %d as it is here (%s)", next.Version, next.Name, current.Version, current.Hash.Short()),
		"the parties resolve a fork by a version that names both as previous")
}
