package stix

// typeID numbers the types that STIX 2.1 defines; 0 is any other one.
type typeID uint8

const (
	typeCustom typeID = iota

	typeAttackPattern
	typeCampaign
	typeCourseOfAction
	typeGrouping
	typeIdentity
	typeIncident
	typeIndicator
	typeInfrastructure
	typeIntrusionSet
	typeLocation
	typeMalware
	typeMalwareAnalysis
	typeNote
	typeObservedData
	typeOpinion
	typeReport
	typeThreatActor
	typeTool
	typeVulnerability

	typeRelationship
	typeSighting

	typeArtifact
	typeAutonomousSystem
	typeDirectory
	typeDomainName
	typeEmailAddr
	typeEmailMessage
	typeFile
	typeIPv4Addr
	typeIPv6Addr
	typeMACAddr
	typeMutex
	typeNetworkTraffic
	typeProcess
	typeSoftware
	typeURL
	typeUserAccount
	typeWindowsRegistryKey
	typeX509Certificate

	typeLanguageContent
	typeMarkingDefinition
	typeExtensionDefinition

	typeBundle // no object, but known so that errors can say so
	typeCount
)

// typeInfo is what STIX 2.1 says of a type as a whole.
type typeInfo struct {
	name     string
	kind     Kind
	section  string // of STIX 2.1
	required string // names of its required properties, the common ones left out
}

// typeTable is never written to. Its order is that of the constants.
var typeTable = [typeCount]typeInfo{
	typeCustom: {"", Custom, "11.2", ""},

	typeAttackPattern:   {"attack-pattern", SDO, "4.1", "name"},
	typeCampaign:        {"campaign", SDO, "4.2", "name"},
	typeCourseOfAction:  {"course-of-action", SDO, "4.3", "name"},
	typeGrouping:        {"grouping", SDO, "4.4", "context object_refs"},
	typeIdentity:        {"identity", SDO, "4.5", "name"},
	typeIncident:        {"incident", SDO, "4.6", "name"},
	typeIndicator:       {"indicator", SDO, "4.7", "pattern pattern_type valid_from"},
	typeInfrastructure:  {"infrastructure", SDO, "4.8", "name"},
	typeIntrusionSet:    {"intrusion-set", SDO, "4.9", "name"},
	typeLocation:        {"location", SDO, "4.10", ""},
	typeMalware:         {"malware", SDO, "4.11", "is_family"},
	typeMalwareAnalysis: {"malware-analysis", SDO, "4.12", "product"},
	typeNote:            {"note", SDO, "4.13", "content object_refs"},
	typeObservedData:    {"observed-data", SDO, "4.14", "first_observed last_observed number_observed"},
	typeOpinion:         {"opinion", SDO, "4.15", "opinion object_refs"},
	typeReport:          {"report", SDO, "4.16", "name published object_refs"},
	typeThreatActor:     {"threat-actor", SDO, "4.17", "name"},
	typeTool:            {"tool", SDO, "4.18", "name"},
	typeVulnerability:   {"vulnerability", SDO, "4.19", "name"},

	typeRelationship: {"relationship", SRO, "5.1", "relationship_type source_ref target_ref"},
	typeSighting:     {"sighting", SRO, "5.2", "sighting_of_ref"},

	typeArtifact:           {"artifact", SCO, "6.1", ""},
	typeAutonomousSystem:   {"autonomous-system", SCO, "6.2", "number"},
	typeDirectory:          {"directory", SCO, "6.3", "path"},
	typeDomainName:         {"domain-name", SCO, "6.4", "value"},
	typeEmailAddr:          {"email-addr", SCO, "6.5", "value"},
	typeEmailMessage:       {"email-message", SCO, "6.6", "is_multipart"},
	typeFile:               {"file", SCO, "6.7", ""},
	typeIPv4Addr:           {"ipv4-addr", SCO, "6.8", "value"},
	typeIPv6Addr:           {"ipv6-addr", SCO, "6.9", "value"},
	typeMACAddr:            {"mac-addr", SCO, "6.10", "value"},
	typeMutex:              {"mutex", SCO, "6.11", "name"},
	typeNetworkTraffic:     {"network-traffic", SCO, "6.12", "protocols"},
	typeProcess:            {"process", SCO, "6.13", ""},
	typeSoftware:           {"software", SCO, "6.14", "name"},
	typeURL:                {"url", SCO, "6.15", "value"},
	typeUserAccount:        {"user-account", SCO, "6.16", ""},
	typeWindowsRegistryKey: {"windows-registry-key", SCO, "6.17", ""},
	typeX509Certificate:    {"x509-certificate", SCO, "6.18", ""},

	typeLanguageContent:     {"language-content", Meta, "7.1", "object_ref contents"},
	typeMarkingDefinition:   {"marking-definition", Meta, "7.2.1", ""},
	typeExtensionDefinition: {"extension-definition", Meta, "7.3", "created_by_ref name schema version extension_types"},

	typeBundle: {"bundle", Custom, "8", ""},
}

func (t typeID) info() *typeInfo { return &typeTable[t] }

// typeSet is a set of types that a reference may lead to; bit 0 stands for all
// custom ones.
type typeSet uint64

func setOf(types ...typeID) typeSet {
	var set typeSet
	for _, t := range types {
		set |= 1 << t
	}
	return set
}

func (s typeSet) has(t typeID) bool { return s&(1<<t) != 0 }

// String lists the types for an error text.
func (s typeSet) String() string {
	switch s {
	case anySCO:
		return "a cyber-observable"
	case anySDO:
		return "a domain object"
	case anyEnd:
		return "a domain object or cyber-observable"
	}
	text := ""
	for t := typeCustom + 1; t < typeCount; t++ {
		if s.has(t) {
			if text != "" {
				text += " or "
			}
			text += t.info().name
		}
	}
	return text
}

// The sets of whole families. Custom types may belong to any.
const (
	custom    typeSet = 1 << typeCustom
	anything  typeSet = 1<<typeBundle - 1
	anySDO            = custom | (1<<typeRelationship - 1<<typeAttackPattern)
	anySCO            = custom | (1<<typeLanguageContent - 1<<typeArtifact)
	anyEnd            = anySDO | anySCO
	addresses typeSet = 1<<typeIPv4Addr | 1<<typeIPv6Addr | 1<<typeMACAddr | 1<<typeDomainName
)
