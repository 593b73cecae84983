package protocol

import (
	"slices"
	"time"
)

// Limits of an agreement (documents spec, "Agreements").
const (
	maxParties  = 1000
	maxTopics   = 200
	maxClauses  = 5000
	maxCuts     = 10000
	maxRoles    = 32
	maxPrevious = 8
	maxScores   = 16
)

// Visibility of an agreement as a whole.
type Visibility string

// The two visibilities.
const (
	Private Visibility = "private" // known to its parties only, all of it
	Public  Visibility = "public"  // published; its topics may be read by anyone; CLEAR only
)

// Agreement is one version of a governing document. Only ParseAgreement makes
// one; its fields are not to be changed.
type Agreement struct {
	ID         AgreementID // the hash of version 1's payload
	Hash       Hash        // of this payload
	Name       string      // short name: a-z, 0-9 and hyphen
	Title      string
	Version    uint64
	Previous   []Hash // empty in version 1; two or more heads where a fork is resolved
	Visibility Visibility
	From       time.Time
	Until      time.Time // the first moment at which it is no longer in force
	LegalBasis LegalBasis
	Amend      int // how many parties must sign a version; two parties: both
	Use        Use
	Suspend    *Selector // who may suspend a party; nil: nobody
	Scores     []Contribution
	Parties    []Party
	Topics     []Topic
	Clauses    []Clause
	Cuts       []Cut

	secret Hash // of a private agreement: what makes its hash unguessable
}

// Use says what holders may do with what they hold: whom it may reach beyond the
// parties, in prose, and what is left to them after the end.
type Use struct {
	Community string // of TLP:GREEN
	Clients   string // of TLP:AMBER, and of the obligation "onward: clients"
	After     OwnUse
}

// OwnUse says what a holder may still do for itself with what it holds when the
// agreement is over.
type OwnUse string

// The two kinds of own use after the end.
const (
	UseStops          OwnUse = "stop"            // nothing is read any more
	UseUntilRetention OwnUse = "until-retention" // read as the clauses that survive permit, for as long as those let it be kept
)

// Contribution is a score that entitles a party to what a clause makes depend on
// it: a number of objects given within a period, counted by other parties from
// the logs and signed by them.
type Contribution struct {
	Name     string
	Text     string   // the legal prose
	Topics   []string // where objects count; empty: all topics
	Types    []string // which count; empty: all
	Objects  int      // how many are needed
	Within   Period   // in which they were given
	Signers  int      // how many other parties must have signed the score
	Entitles Period   // how long a signed score entitles
	Grace    Period   // from the first version that names the party, without a score; may be zero
}

// LegalBasis is what the agreement rests on. When it lapses the agreement does.
type LegalBasis struct {
	Text  string
	Until time.Time // zero: as long as the agreement
}

// Party is a member of the agreement.
type Party struct {
	Handle  string // unique in the agreement: a-z, 0-9 and hyphen
	Name    string
	ID      MemberID
	Root    PublicKey // pinned: the member's record must chain to it
	Kind    string    // company, government, cert, law-enforcement, platform, research, …
	Country string    // ISO 3166-1 alpha-2; may be empty
	Roles   []string

	Suspended bool // it gets nothing above CLEAR and gives nothing
}

// Topic is a channel that the agreement defines.
type Topic struct {
	Name        string
	Description string
	Default     Marking // of objects without one; NoMarking refuses those
	Class       Class   // of objects that declare none
}

// Clause is one numbered sentence that the engine enforces. An empty list
// means no restriction by that field.
type Clause struct {
	Number string // "1", "2.3": unique in the agreement
	Text   string // the legal prose
	Permit bool   // else it forbids
	From   Selector
	To     Selector
	Topics []string
	Types  []string  // STIX object types
	Max    Marking   // highest marking that the clause speaks of; NoMarking: any
	Marks  []Marking // exact markings that the clause speaks of
	Starts time.Time // zero: with the agreement
	Ends   time.Time // zero: with the agreement
	If     Conditions
	Then   *Obligations // of a clause that permits; nil: none
	Line   int          // of the document, for error texts

	Everywhere bool // of a clause that forbids: it follows copies and derivations out of the agreement
	Survives   bool // of a clause that permits: it goes on after the end, for own use
}

// Selector names parties: all conditions that are given must hold.
type Selector struct {
	Parties   []string // handles
	Kinds     []string
	Countries []string
	Roles     []string
	Public    bool // "to: public": readers who are no party (public agreements)
}

// Names reports whether all conditions that the selector gives hold for the party.
// One without conditions names every party.
func (s *Selector) Names(p *Party) bool {
	listed := func(words []string, word string) bool { return len(words) == 0 || slices.Contains(words, word) }
	return listed(s.Parties, p.Handle) && listed(s.Kinds, p.Kind) && listed(s.Countries, p.Country) &&
		(len(s.Roles) == 0 || slices.ContainsFunc(p.Roles, func(r string) bool { return slices.Contains(s.Roles, r) })) && !s.Public
}

// Cut closes a log of a party that an amendment removes.
type Cut struct {
	Log      Hash // hash of the log's id
	Member   MemberID
	Position Position
}

// Party returns the party with the given id, or nil.
func (a *Agreement) Party(id MemberID) *Party {
	for i := range a.Parties {
		if a.Parties[i].ID == id {
			return &a.Parties[i]
		}
	}
	return nil
}

// InForce returns nil while the agreement and its legal basis stand. Before
// From it is Unverified: to be asked again later; after the end Refused. It
// takes no skew of clocks: dates of an agreement are for people.
func (a *Agreement) InForce(now time.Time) error {
	const op = "use agreement"
	switch {
	case now.Before(a.From):
		return Errorf(Unverified, op, "version %d of %s begins at %s", a.Version, a.Name, a.From.Format(momentLayout))
	case !now.Before(a.Until):
		return Errorf(Refused, op, "%s ended at %s", a.Name, a.Until.Format(momentLayout))
	case !a.LegalBasis.Until.IsZero() && !now.Before(a.LegalBasis.Until):
		return Errorf(Refused, op, "the legal basis of %s lapsed at %s", a.Name, a.LegalBasis.Until.Format(momentLayout))
	}
	return nil
}
