package stix

// domainProperty returns the rule for a property of a domain object (STIX 2.1
// section 4), the common ones left out.
func (t typeID) domainProperty(name []byte) rule {
	switch string(name) {
	case "description":
		return is(shapeText)
	case "name":
		switch t {
		case typeLocation, typeGrouping, typeIndicator, typeMalware:
			return at(shapeText, slotName)
		case typeMalwareAnalysis, typeNote, typeObservedData, typeOpinion:
			return rule{}
		}
		return need(shapeText, slotName)
	}
	switch t {
	case typeAttackPattern, typeTool, typeInfrastructure, typeVulnerability, typeIncident, typeCourseOfAction:
		return t.technicalProperty(name)
	case typeCampaign, typeIntrusionSet, typeThreatActor:
		return t.actorProperty(name)
	case typeIdentity:
		return identityProperty(name)
	case typeIndicator:
		return indicatorProperty(name)
	case typeLocation:
		return locationProperty(name)
	case typeMalware:
		return malwareProperty(name)
	case typeMalwareAnalysis:
		return analysisProperty(name)
	}
	return t.contextProperty(name)
}

// contextProperty holds the types that speak about other objects.
func (t typeID) contextProperty(name []byte) rule {
	if string(name) == "object_refs" {
		if t == typeObservedData {
			return rule{shape: shapeRefs, slot: slotObjectRefs, targets: anySCO | 1<<typeRelationship | 1<<typeSighting}
		}
		return needRef(shapeRefs, slotObjectRefs, anything)
	}
	switch t {
	case typeGrouping:
		if string(name) == "context" {
			return need(shapeFilled, slotNone)
		}
	case typeReport:
		switch string(name) {
		case "report_types":
			return is(shapeTexts)
		case "published":
			return need(shapeTime, slotNone)
		}
	case typeNote:
		switch string(name) {
		case "abstract":
			return at(shapeText, slotName)
		case "content":
			return need(shapeText, slotNone)
		case "authors":
			return is(shapeTexts)
		}
	case typeOpinion:
		switch string(name) {
		case "explanation":
			return is(shapeText)
		case "authors":
			return is(shapeTexts)
		case "opinion":
			return need(shapeOpinion, slotNone)
		}
	case typeObservedData:
		switch string(name) {
		case "first_observed":
			return need(shapeTime, slotFrom)
		case "last_observed":
			return need(shapeTime, slotUntil)
		case "number_observed":
			return need(shapeObserved, slotNone)
		case "objects":
			return at(shapeDict, slotObjects)
		}
	}
	return rule{}
}

// technicalProperty holds attack-pattern, tool, infrastructure and their like.
func (t typeID) technicalProperty(name []byte) rule {
	switch string(name) {
	case "aliases":
		if t == typeAttackPattern || t == typeTool || t == typeInfrastructure {
			return is(shapeTexts)
		}
	case "kill_chain_phases":
		if t == typeAttackPattern || t == typeTool || t == typeInfrastructure {
			return is(shapeKillChain)
		}
	case "tool_types":
		if t == typeTool {
			return is(shapeTexts)
		}
	case "tool_version":
		if t == typeTool {
			return is(shapeText)
		}
	case "infrastructure_types":
		if t == typeInfrastructure {
			return is(shapeTexts)
		}
	case "first_seen":
		if t == typeInfrastructure {
			return at(shapeTime, slotFrom)
		}
	case "last_seen":
		if t == typeInfrastructure {
			return at(shapeTime, slotUntil)
		}
	}
	return rule{}
}

// actorProperty holds campaign, intrusion-set and threat-actor.
func (t typeID) actorProperty(name []byte) rule {
	switch string(name) {
	case "aliases":
		return is(shapeTexts)
	case "first_seen":
		return at(shapeTime, slotFrom)
	case "last_seen":
		return at(shapeTime, slotUntil)
	case "objective":
		if t == typeCampaign {
			return is(shapeText)
		}
	case "goals", "secondary_motivations":
		if t != typeCampaign {
			return is(shapeTexts)
		}
	case "resource_level", "primary_motivation":
		if t != typeCampaign {
			return is(shapeText)
		}
	case "threat_actor_types", "roles", "personal_motivations":
		if t == typeThreatActor {
			return is(shapeTexts)
		}
	case "sophistication":
		if t == typeThreatActor {
			return is(shapeText)
		}
	}
	return rule{}
}

func identityProperty(name []byte) rule {
	switch string(name) {
	case "roles", "sectors":
		return is(shapeTexts)
	case "identity_class", "contact_information":
		return is(shapeText)
	}
	return rule{}
}

func indicatorProperty(name []byte) rule {
	switch string(name) {
	case "indicator_types":
		return is(shapeTexts)
	case "pattern":
		return need(shapeFilled, slotPattern)
	case "pattern_type":
		return need(shapeFilled, slotPatternType)
	case "pattern_version":
		return is(shapeText)
	case "valid_from":
		return need(shapeTime, slotFrom)
	case "valid_until":
		return at(shapeTime, slotUntil)
	case "kill_chain_phases":
		return is(shapeKillChain)
	}
	return rule{}
}

func locationProperty(name []byte) rule {
	switch string(name) {
	case "latitude":
		return at(shapeFloat, slotLatitude)
	case "longitude":
		return at(shapeFloat, slotLongitude)
	case "precision":
		return at(shapeFloat, slotPrecision)
	case "region":
		return at(shapeText, slotRegion)
	case "country":
		return at(shapeText, slotCountry)
	case "administrative_area", "city", "street_address", "postal_code":
		return is(shapeText)
	}
	return rule{}
}

func malwareProperty(name []byte) rule {
	switch string(name) {
	case "is_family":
		return need(shapeBool, slotFamily)
	case "malware_types", "aliases", "architecture_execution_envs", "implementation_languages", "capabilities":
		return is(shapeTexts)
	case "kill_chain_phases":
		return is(shapeKillChain)
	case "first_seen":
		return at(shapeTime, slotFrom)
	case "last_seen":
		return at(shapeTime, slotUntil)
	case "operating_system_refs":
		return refs(setOf(typeSoftware))
	case "sample_refs":
		return refs(setOf(typeArtifact, typeFile))
	}
	return rule{}
}

func analysisProperty(name []byte) rule {
	switch string(name) {
	case "product":
		return need(shapeFilled, slotNone)
	case "version", "configuration_version", "analysis_engine_version", "analysis_definition_version", "result_name":
		return is(shapeText)
	case "host_vm_ref", "operating_system_ref":
		return ref(setOf(typeSoftware))
	case "installed_software_refs":
		return refs(setOf(typeSoftware))
	case "modules":
		return is(shapeTexts)
	case "submitted":
		return is(shapeTime)
	case "analysis_started":
		return at(shapeTime, slotFrom)
	case "analysis_ended":
		return at(shapeTime, slotUntil)
	case "result":
		return at(shapeText, slotResult)
	case "analysis_sco_refs":
		return rule{shape: shapeRefs, slot: slotResultRefs, targets: anySCO}
	case "sample_ref":
		return ref(setOf(typeArtifact, typeFile, typeNetworkTraffic))
	}
	return rule{}
}
