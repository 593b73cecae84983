package stix

import "strings"

// The closed vocabularies of STIX 2.1 section 10, words between blanks. Open
// vocabularies are not checked: any word is allowed there.
const (
	opinions       = "strongly-disagree disagree neutral agree strongly-agree"
	encryptions    = "AES-256-GCM ChaCha20-Poly1305 mime-type-indicated"
	extensionTypes = "new-sdo new-sco new-sro property-extension toplevel-property-extension"
	registryTypes  = "REG_NONE REG_SZ REG_EXPAND_SZ REG_BINARY REG_DWORD REG_DWORD_BIG_ENDIAN REG_DWORD_LITTLE_ENDIAN " +
		"REG_LINK REG_MULTI_SZ REG_RESOURCE_LIST REG_FULL_RESOURCE_DESCRIPTION REG_RESOURCE_REQUIREMENTS_LIST " +
		"REG_QWORD REG_INVALID_TYPE"
	socketFamilies  = "AF_UNSPEC AF_INET AF_IPX AF_APPLETALK AF_NETBIOS AF_INET6 AF_IRDA AF_BTH"
	socketTypes     = "SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_RDM SOCK_SEQPACKET"
	integrityLevels = "low medium high system"
	serviceStarts   = "SERVICE_AUTO_START SERVICE_BOOT_START SERVICE_DEMAND_START SERVICE_DISABLED SERVICE_SYSTEM_ALERT"
	serviceTypes    = "SERVICE_KERNEL_DRIVER SERVICE_FILE_SYSTEM_DRIVER SERVICE_WIN32_OWN_PROCESS SERVICE_WIN32_SHARE_PROCESS"
	serviceStates   = "SERVICE_CONTINUE_PENDING SERVICE_PAUSE_PENDING SERVICE_PAUSED SERVICE_RUNNING SERVICE_START_PENDING " +
		"SERVICE_STOP_PENDING SERVICE_STOPPED"
)

// checkExtension checks one entry of the dictionary of extensions (STIX 2.1
// section 7.3): its name, its extension_type, and what section 6 fixes for the
// predefined ones.
func (p *parser) checkExtension(w *where, key string, i int) *fault {
	path := string(w.name) + "." + key
	if p.kindOf(i) != nodeObject {
		return p.mistyped(w.dot(key), i, "an object")
	}
	if objectType, ok := typeOfID([]byte(key)); ok {
		if string(objectType) != "extension-definition" {
			return p.bad(path, "is the id of another type than extension-definition")
		}
	} else if !strings.HasSuffix(key, "-ext") {
		p.warn(path, "the name is neither the id of an extension definition nor a predefined one")
	}
	if kind := p.get(i, "extension_type"); kind != 0 {
		if err := p.oneOf(where{name: []byte(path), member: "extension_type"}, kind, extensionTypes); err != nil {
			return err
		}
	}
	return p.checkPredefined(path, key, i)
}

// checkPredefined checks required properties and closed vocabularies of the
// extensions that STIX 2.1 section 6 defines.
func (p *parser) checkPredefined(path, key string, i int) *fault {
	switch {
	case p.t == typeFile && key == "archive-ext":
		return p.needMembers(path, i, "contains_refs")
	case p.t == typeFile && key == "windows-pebinary-ext":
		return p.needMembers(path, i, "pe_type")
	case p.t == typeUserAccount && key == "unix-account-ext", p.t == typeFile && key == "ntfs-ext",
		p.t == typeFile && key == "raster-image-ext", p.t == typeFile && key == "pdf-ext",
		p.t == typeNetworkTraffic && key == "tcp-ext":
		return p.needMembers(path, i)
	case p.t == typeNetworkTraffic && key == "http-request-ext":
		return p.needMembers(path, i, "request_method", "request_value")
	case p.t == typeNetworkTraffic && key == "icmp-ext":
		return p.needMembers(path, i, "icmp_type_hex", "icmp_code_hex")
	case p.t == typeNetworkTraffic && key == "socket-ext":
		if err := p.needMembers(path, i, "address_family"); err != nil {
			return err
		}
		return p.closed(path, i, "address_family", socketFamilies, "socket_type", socketTypes)
	case p.t == typeProcess && key == "windows-process-ext":
		return p.closed(path, i, "integrity_level", integrityLevels)
	case p.t == typeProcess && key == "windows-service-ext":
		return p.closed(path, i, "start_type", serviceStarts, "service_type", serviceTypes, "service_status", serviceStates)
	}
	return nil
}

// needMembers requires the named members, and at least one at all.
func (p *parser) needMembers(path string, i int, names ...string) *fault {
	if p.empty(i) {
		return p.bad(path, "is empty, it needs at least one property")
	}
	for _, name := range names {
		if p.get(i, name) == 0 {
			return p.bad(path+"."+name, "is required")
		}
	}
	return nil
}

// closed holds members that are there against their vocabularies, given in
// pairs of name and words.
func (p *parser) closed(path string, i int, pairs ...string) *fault {
	for at := 0; at < len(pairs); at += 2 {
		if value := p.get(i, pairs[at]); value != 0 {
			if err := p.oneOf(where{name: []byte(path), member: pairs[at]}, value, pairs[at+1]); err != nil {
				return err
			}
		}
	}
	return nil
}
