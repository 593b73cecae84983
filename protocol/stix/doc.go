// Package stix reads STIX 2.1 at a trust boundary: strictly, within limits,
// keeping the creator's bytes.
package stix
