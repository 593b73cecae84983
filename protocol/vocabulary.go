package protocol

import (
	"fmt"
	"slices"
	"strings"
)

// PartyKinds returns the closed vocabulary of kinds of party.
func PartyKinds() []string {
	return []string{"company", "vendor", "government", "cert", "law-enforcement", "platform", "research", "ngo", "isac", "critical-infrastructure"}
}

// objectTypes returns the types that STIX 2.1 defines.
func objectTypes() []string {
	return []string{"artifact", "attack-pattern", "autonomous-system", "campaign", "course-of-action", "directory", "domain-name",
		"email-addr", "email-message", "extension-definition", "file", "grouping", "identity", "incident", "indicator",
		"infrastructure", "intrusion-set", "ipv4-addr", "ipv6-addr", "language-content", "location", "mac-addr", "malware",
		"malware-analysis", "marking-definition", "mutex", "network-traffic", "note", "observed-data", "opinion", "process",
		"relationship", "report", "sighting", "software", "threat-actor", "tool", "url", "user-account", "vulnerability",
		"windows-registry-key", "x509-certificate"}
}

// ParseObjectType takes a type of STIX 2.1 or a custom one, which begins with "x-",
// as clauses name them. Everything else is an error that names what comes near.
func ParseObjectType(s string) (string, error) { return objectType(s) }

// objectType takes a type of STIX 2.1, or a custom one, which begins with x-.
func objectType(s string) (string, error) {
	known := objectTypes()
	if slices.Contains(known, s) {
		return s, nil
	}
	if _, err := handle(s); err == nil && strings.HasPrefix(s, "x-") {
		return s, nil
	}
	return "", fmt.Errorf("%.80q is no type of STIX 2.1%s; custom types begin with x-", s, suggest(s, known))
}

// clauseNumber takes the number of a clause: digits in up to eight parts with
// points between them.
func clauseNumber(s string) (string, error) {
	parts := strings.Split(s, ".")
	for _, part := range parts {
		if len(part) == 0 || len(part) > 4 || strings.Trim(part, "0123456789") != "" || len(parts) > 8 {
			return "", fmt.Errorf("%.40q is no number of a clause; write 1 or 2.3", s)
		}
	}
	return s, nil
}
