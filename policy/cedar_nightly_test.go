//go:build nightly

package policy

// cedarAgreements is how many random agreements Cedar is asked about, 1,120
// requests each: a million in all.
const cedarAgreements = 900
