package stix

import (
	"net/netip"
	"strings"

	"entente/protocol"
)

// relations holds what STIX 2.1 says between the properties of a type.
func (p *parser) relations() *fault {
	if p.has(slotFrom) && p.has(slotUntil) {
		if err := p.ordered(); err != nil {
			return err
		}
	}
	switch p.obj.Kind {
	case SDO:
		return p.domainRelations()
	case SRO:
		if p.t == typeRelationship {
			return p.statedType()
		}
	case SCO:
		return p.observableRelations()
	case Meta:
		if p.t == typeMarkingDefinition {
			return p.checkDefinition()
		}
	}
	return nil
}

// ordered holds the two ends of a time span. An indicator's and a
// relationship's must differ.
func (p *parser) ordered() *fault {
	from, until := p.times[slotFrom], p.times[slotUntil]
	if until.Before(from) {
		return p.bad(p.nameOf(slotUntil), "is earlier than %s", p.nameOf(slotFrom))
	}
	if until.Equal(from) && (p.t == typeIndicator || p.t == typeRelationship) {
		return p.bad(p.nameOf(slotUntil), "must be later than %s", p.nameOf(slotFrom))
	}
	return nil
}

// statedType holds the form of relationship_type.
func (p *parser) statedType() *fault {
	for _, c := range p.content(int(p.slots[slotStatedType])) {
		if c-'a' > 25 && c-'0' > 9 && c != '-' {
			return p.bad("relationship_type", "must have lower-case letters, digits and hyphens only, not %s", clip(string(p.contentAt(slotStatedType))))
		}
	}
	return nil
}

func (p *parser) domainRelations() *fault {
	switch p.t {
	case typeIndicator:
		if n := len(p.content(int(p.slots[slotPattern]))); n > p.limits.Pattern {
			f := p.bad("pattern", "has %d bytes, over the limit of %d", n, p.limits.Pattern)
			f.kind, f.hint = protocol.Limit, "split the indicator into several"
			return f
		}
	case typeLocation:
		return p.placed()
	case typeMalware:
		if p.kindOf(int(p.slots[slotFamily])) == nodeTrue && len(p.contentAt(slotName)) == 0 {
			return p.bad("name", "is required where is_family is true")
		}
	case typeMalwareAnalysis:
		if !p.has(slotResult) && !p.has(slotResultRefs) {
			return p.bad("result", "is required, or analysis_sco_refs")
		}
	case typeObservedData:
		if p.has(slotObjects) == p.has(slotObjectRefs) {
			return p.bad("object_refs", "is required, or objects, and not both")
		}
	}
	return nil
}

// placed holds STIX 2.1 section 4.10: a place is a region, a country or
// coordinates.
func (p *parser) placed() *fault {
	latitude, longitude := p.has(slotLatitude), p.has(slotLongitude)
	switch {
	case latitude != longitude:
		return p.bad("latitude", "and longitude go together")
	case !latitude && p.has(slotPrecision):
		return p.bad("precision", "needs latitude and longitude")
	case !latitude && !p.has(slotRegion) && !p.has(slotCountry):
		return p.bad("region", "is required, or country, or latitude and longitude")
	case !latitude:
		return nil
	}
	if f := p.float(int(p.slots[slotLatitude])); f < -90 || f > 90 {
		return p.bad("latitude", "is %g, it must be from -90 to 90", f)
	}
	if f := p.float(int(p.slots[slotLongitude])); f < -180 || f > 180 {
		return p.bad("longitude", "is %g, it must be from -180 to 180", f)
	}
	return nil
}

func (p *parser) observableRelations() *fault {
	switch p.t {
	case typeArtifact:
		return p.payload()
	case typeEmailMessage:
		multipart := p.kindOf(int(p.slots[slotMultipart])) == nodeTrue
		if multipart && p.has(slotBody) {
			return p.bad("body", "must not be there where is_multipart is true")
		}
		if !multipart && p.has(slotParts) {
			return p.bad("body_multipart", "must not be there where is_multipart is false")
		}
	case typeFile:
		if !p.has(slotHashes) && !p.has(slotName) {
			return p.bad("hashes", "is required, or name")
		}
	case typeNetworkTraffic:
		if !p.has(slotSource) && !p.has(slotTarget) {
			return p.bad("src_ref", "is required, or dst_ref")
		}
		if p.has(slotUntil) && p.has(slotActive) && p.kindOf(int(p.slots[slotActive])) == nodeTrue {
			return p.bad("is_active", "must be false where end is there")
		}
	case typeProcess, typeUserAccount, typeWindowsRegistryKey, typeX509Certificate:
		if p.own == 0 {
			return &fault{kind: protocol.Invalid, at: -1,
				text: "at least one property of " + p.obj.Type + " is required (STIX 2.1 section " + p.t.info().section + ")"}
		}
	}
	return nil
}

// payload holds STIX 2.1 section 6.1: the content itself or where it is.
func (p *parser) payload() *fault {
	content, url := p.has(slotPayload), p.has(slotURL)
	switch {
	case content == url:
		return p.bad("payload_bin", "is required, or url, and not both")
	case url && !p.has(slotHashes):
		return p.bad("hashes", "is required with url")
	}
	return nil
}

// lookAtAddress warns of an address that is none. It is kept: nothing follows
// from it but that no look-up leads to it.
func (p *parser) lookAtAddress(text string) {
	if p.t == typeMACAddr {
		if len(text) != 17 || strings.ToLower(text) != text || strings.Count(text, ":") != 5 {
			p.warn("value", "is not six pairs of lower-case hexadecimal digits with colons")
		}
		return
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		var prefix netip.Prefix
		if prefix, err = netip.ParsePrefix(text); err == nil {
			address = prefix.Addr()
		}
	}
	if err != nil || address.Is4() != (p.t == typeIPv4Addr) {
		p.warn("value", "is neither an address nor a network of this family")
	}
}
