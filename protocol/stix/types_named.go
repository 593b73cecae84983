package stix

// typeNamed returns the number of a type, typeCustom for one that STIX 2.1
// does not define.
func typeNamed(name []byte) typeID {
	switch string(name) {
	case "attack-pattern":
		return typeAttackPattern
	case "campaign":
		return typeCampaign
	case "course-of-action":
		return typeCourseOfAction
	case "grouping":
		return typeGrouping
	case "identity":
		return typeIdentity
	case "incident":
		return typeIncident
	case "indicator":
		return typeIndicator
	case "infrastructure":
		return typeInfrastructure
	case "intrusion-set":
		return typeIntrusionSet
	case "location":
		return typeLocation
	case "malware":
		return typeMalware
	case "malware-analysis":
		return typeMalwareAnalysis
	case "note":
		return typeNote
	case "observed-data":
		return typeObservedData
	case "opinion":
		return typeOpinion
	case "report":
		return typeReport
	case "threat-actor":
		return typeThreatActor
	case "tool":
		return typeTool
	case "vulnerability":
		return typeVulnerability
	case "relationship":
		return typeRelationship
	case "sighting":
		return typeSighting
	case "language-content":
		return typeLanguageContent
	case "marking-definition":
		return typeMarkingDefinition
	case "extension-definition":
		return typeExtensionDefinition
	case "bundle":
		return typeBundle
	}
	return observableNamed(name)
}

func observableNamed(name []byte) typeID {
	switch string(name) {
	case "artifact":
		return typeArtifact
	case "autonomous-system":
		return typeAutonomousSystem
	case "directory":
		return typeDirectory
	case "domain-name":
		return typeDomainName
	case "email-addr":
		return typeEmailAddr
	case "email-message":
		return typeEmailMessage
	case "file":
		return typeFile
	case "ipv4-addr":
		return typeIPv4Addr
	case "ipv6-addr":
		return typeIPv6Addr
	case "mac-addr":
		return typeMACAddr
	case "mutex":
		return typeMutex
	case "network-traffic":
		return typeNetworkTraffic
	case "process":
		return typeProcess
	case "software":
		return typeSoftware
	case "url":
		return typeURL
	case "user-account":
		return typeUserAccount
	case "windows-registry-key":
		return typeWindowsRegistryKey
	case "x509-certificate":
		return typeX509Certificate
	}
	return typeCustom
}
