package stix

// observableProperty returns the rule for a property of a cyber-observable
// (STIX 2.1 section 6), the common ones left out.
func (t typeID) observableProperty(name []byte) rule {
	switch t {
	case typeDomainName, typeEmailAddr, typeIPv4Addr, typeIPv6Addr, typeMACAddr, typeURL:
		return t.valueProperty(name)
	case typeArtifact:
		return artifactProperty(name)
	case typeAutonomousSystem, typeMutex, typeSoftware:
		return t.namedProperty(name)
	case typeDirectory:
		return directoryProperty(name)
	case typeEmailMessage:
		return emailProperty(name)
	case typeFile:
		return fileProperty(name)
	case typeNetworkTraffic:
		return trafficProperty(name)
	case typeProcess:
		return processProperty(name)
	case typeUserAccount:
		return accountProperty(name)
	case typeWindowsRegistryKey:
		return registryProperty(name)
	case typeX509Certificate:
		return certificateProperty(name)
	}
	return rule{}
}

func (t typeID) valueProperty(name []byte) rule {
	switch string(name) {
	case "value":
		return need(shapeFilled, slotValue)
	case "display_name":
		if t == typeEmailAddr {
			return is(shapeText)
		}
	case "belongs_to_ref":
		if t == typeEmailAddr {
			return ref(setOf(typeUserAccount))
		}
	case "belongs_to_refs":
		if t == typeIPv4Addr || t == typeIPv6Addr {
			return refs(setOf(typeAutonomousSystem))
		}
	case "resolves_to_refs":
		switch t {
		case typeDomainName:
			return refs(setOf(typeIPv4Addr, typeIPv6Addr, typeDomainName))
		case typeIPv4Addr, typeIPv6Addr:
			return refs(setOf(typeMACAddr))
		}
	}
	return rule{}
}

func artifactProperty(name []byte) rule {
	switch string(name) {
	case "mime_type", "decryption_key":
		return is(shapeText)
	case "payload_bin":
		return at(shapeBinary, slotPayload)
	case "url":
		return at(shapeFilled, slotURL)
	case "hashes":
		return at(shapeHashes, slotHashes)
	case "encryption_algorithm":
		return at(shapeEncryption, slotAlgorithm)
	}
	return rule{}
}

func (t typeID) namedProperty(name []byte) rule {
	switch {
	case t == typeAutonomousSystem && string(name) == "number":
		return need(shapeCount, slotNumber)
	case t == typeAutonomousSystem && (string(name) == "name" || string(name) == "rir"):
		return is(shapeText)
	case t == typeAutonomousSystem:
		return rule{}
	case string(name) == "name":
		return need(shapeFilled, slotName)
	case t == typeMutex:
		return rule{}
	}
	switch string(name) {
	case "cpe", "swid", "vendor", "version":
		return is(shapeText)
	case "languages":
		return is(shapeTexts)
	}
	return rule{}
}

func directoryProperty(name []byte) rule {
	switch string(name) {
	case "path":
		return need(shapeFilled, slotKey)
	case "path_enc":
		return is(shapeText)
	case "ctime", "mtime", "atime":
		return is(shapeTime)
	case "contains_refs":
		return refs(setOf(typeFile, typeDirectory))
	}
	return rule{}
}

func emailProperty(name []byte) rule {
	switch string(name) {
	case "is_multipart":
		return need(shapeBool, slotMultipart)
	case "date":
		return is(shapeTime)
	case "content_type", "message_id":
		return is(shapeText)
	case "subject":
		return at(shapeText, slotName)
	case "from_ref", "sender_ref":
		return ref(setOf(typeEmailAddr))
	case "to_refs", "cc_refs", "bcc_refs":
		return refs(setOf(typeEmailAddr))
	case "received_lines":
		return is(shapeTexts)
	case "additional_header_fields":
		return is(shapeDict)
	case "body":
		return at(shapeText, slotBody)
	case "body_multipart":
		return at(shapeMIMEParts, slotParts)
	case "raw_email_ref":
		return ref(setOf(typeArtifact))
	}
	return rule{}
}

func fileProperty(name []byte) rule {
	switch string(name) {
	case "hashes":
		return at(shapeHashes, slotHashes)
	case "size":
		return is(shapeCount)
	case "name":
		return at(shapeText, slotName)
	case "name_enc", "mime_type":
		return is(shapeText)
	case "magic_number_hex":
		return is(shapeHex)
	case "ctime", "mtime", "atime":
		return is(shapeTime)
	case "parent_directory_ref":
		return ref(setOf(typeDirectory))
	case "contains_refs":
		return refs(anySCO)
	case "content_ref":
		return ref(setOf(typeArtifact))
	}
	return rule{}
}

func trafficProperty(name []byte) rule {
	switch string(name) {
	case "start":
		return at(shapeTime, slotFrom)
	case "end":
		return at(shapeTime, slotUntil)
	case "is_active":
		return at(shapeBool, slotActive)
	case "src_ref":
		return refAt(slotSource, addresses)
	case "dst_ref":
		return refAt(slotTarget, addresses)
	case "src_port", "dst_port":
		return is(shapePort)
	case "protocols":
		return need(shapeTexts, slotNone)
	case "src_byte_count", "dst_byte_count", "src_packets", "dst_packets":
		return is(shapeCount)
	case "ipfix":
		return is(shapeDict)
	case "src_payload_ref", "dst_payload_ref":
		return ref(setOf(typeArtifact))
	case "encapsulates_refs":
		return refs(setOf(typeNetworkTraffic))
	case "encapsulated_by_ref":
		return ref(setOf(typeNetworkTraffic))
	}
	return rule{}
}

func processProperty(name []byte) rule {
	switch string(name) {
	case "is_hidden":
		return is(shapeBool)
	case "pid":
		return is(shapeCount)
	case "created_time":
		return is(shapeTime)
	case "cwd":
		return is(shapeText)
	case "command_line":
		return at(shapeText, slotName)
	case "environment_variables":
		return is(shapeDict)
	case "opened_connection_refs":
		return refs(setOf(typeNetworkTraffic))
	case "creator_user_ref":
		return ref(setOf(typeUserAccount))
	case "image_ref":
		return ref(setOf(typeFile))
	case "parent_ref":
		return ref(setOf(typeProcess))
	case "child_refs":
		return refs(setOf(typeProcess))
	}
	return rule{}
}

func accountProperty(name []byte) rule {
	switch string(name) {
	case "user_id":
		return at(shapeText, slotUserID)
	case "account_login":
		return at(shapeText, slotLogin)
	case "display_name":
		return at(shapeText, slotName)
	case "credential", "account_type":
		return is(shapeText)
	case "is_service_account", "is_privileged", "can_escalate_privs", "is_disabled":
		return is(shapeBool)
	case "account_created", "account_expires", "credential_last_changed", "account_first_login", "account_last_login":
		return is(shapeTime)
	}
	return rule{}
}

func registryProperty(name []byte) rule {
	switch string(name) {
	case "key":
		return at(shapeFilled, slotKey)
	case "values":
		return is(shapeRegistry)
	case "modified_time":
		return is(shapeTime)
	case "creator_user_ref":
		return ref(setOf(typeUserAccount))
	case "number_of_subkeys":
		return is(shapeCount)
	}
	return rule{}
}

func certificateProperty(name []byte) rule {
	switch string(name) {
	case "is_self_signed":
		return is(shapeBool)
	case "hashes":
		return at(shapeHashes, slotHashes)
	case "version", "signature_algorithm", "issuer", "subject_public_key_algorithm", "subject_public_key_modulus":
		return is(shapeText)
	case "subject":
		return at(shapeText, slotName)
	case "serial_number":
		return at(shapeText, slotSerial)
	case "validity_not_before":
		return at(shapeTime, slotFrom)
	case "validity_not_after":
		return at(shapeTime, slotUntil)
	case "subject_public_key_exponent":
		return is(shapeCount)
	case "x509_v3_extensions":
		return is(shapeDict)
	}
	return rule{}
}
