package policy

import "entente/protocol"

// The rules of the floor and of form, in plain words. They are constants, so
// that a refusal of thousands of objects makes no garbage.
const (
	textOwn        = "an author may always read what is its own"
	textRed        = "TLP:RED is for named recipients and never goes on a topic; this node has no private lane for it yet"
	textPublic     = "a public agreement carries TLP:CLEAR only"
	textNobody     = "nobody but its author reads this topic"
	textNoDocument = "no agreement of this id is known here"
	textNoAuthor   = "the author is no party to the agreement"
	textPurpose    = "no clause permits this to a reader who states no such purpose; state one of those for which a clause does: "
	textAtRest     = "the agreement demands that this is kept on encrypted disks only, and the disk of this node is not known to be one"
	textUnvouched  = "nobody vouched lately that this version of the agreement is the newest, so only TLP:CLEAR passes"
	textOpen       = "TLP:CLEAR may go to anyone, and stays readable after the end of the agreement"
	textStray      = "it came here under an agreement that is not known any more, and what that forbids everywhere cannot be asked"
	textNoParty    = "the reader is no party to the agreement, which is private"
)

// The levels that a clause or an object may bear, as bits and as an index.
const (
	levels = int(protocol.Red)
	anyTLP = uint8(1<<protocol.Clear | 1<<protocol.Green | 1<<protocol.Amber | 1<<protocol.AmberStrict | 1<<protocol.Red)
)

// floorTopic is what TLP 2.0 says to a marking on a topic, whoever reads. The
// outcome is Allow where it has nothing against it.
func floorTopic(visibility protocol.Visibility, m protocol.Marking) (Outcome, string) {
	switch {
	case visibility == protocol.Public && m > protocol.Clear:
		return Refuse, textPublic
	case m >= protocol.Red:
		return Withhold, textRed
	default:
		return Allow, ""
	}
}

// floorOutsider is what TLP 2.0 says to a reader who is no party. The community
// of an agreement is prose, which no node can match a stranger against: only
// its parties are known to belong to it.
func floorOutsider(m protocol.Marking) (Outcome, string) {
	switch m {
	case protocol.Clear:
		return Allow, ""
	case protocol.Green:
		return Withhold, "TLP:GREEN stays in the community of the agreement, and this reader is not known to belong to it"
	case protocol.Amber:
		return Withhold, "TLP:AMBER stays in the organisations that are parties, and this reader is none"
	case protocol.AmberStrict:
		return Withhold, "TLP:AMBER+STRICT stays inside the organisations that are parties, and this reader is none"
	default:
		return Withhold, textRed
	}
}

// floorPass says why the floor lets a marking pass to a party.
func floorPass(m protocol.Marking) string {
	switch m {
	case protocol.Clear:
		return "TLP:CLEAR may go to anyone"
	case protocol.Green:
		return "TLP:GREEN may go to the community, to which the parties belong"
	default:
		return m.String() + " may go to the organisations that are parties"
	}
}

// level brings a marking of a subject to one that the floor knows: what cannot
// be trusted, or is no level at all, counts as RED.
func level(s *Subject) protocol.Marking {
	if s.Problem != "" || s.Marking > protocol.Red {
		return protocol.Red
	}
	return s.Marking
}

// distrust is the text for an object that counts as RED for its bad marking.
func distrust(problem string) string {
	return "its marking cannot be trusted and counts as TLP:RED (" + problem + "); " + textRed
}
