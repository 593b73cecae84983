package protocol

import (
	"errors"
	"fmt"
	"strings"
)

// Destination is where a request (statement kind 8) wants objects passed on to,
// with the reason, as its text says (spec, "Statements").
type Destination struct {
	Agreement AgreementID
	Topic     string
	Reason    string // for people; one line or several
}

const destinationPrefix = "to: "

// Text returns the text of a request for the destination. One that ParseDestination
// would not read is Invalid.
func (d Destination) Text() (string, error) {
	text := destinationPrefix + d.Agreement.String() + "/" + d.Topic + "\n" + d.Reason
	if again, err := ParseDestination(text); err != nil || again != d {
		return "", E(Invalid, "write a request", errors.Join(errors.New("the destination or the reason cannot be written down"), err), "")
	}
	if len(text) > maxStatementText {
		return "", E(Invalid, "write a request", fmt.Errorf("with its destination the reason has %d bytes; the limit is %d", len(text), maxStatementText), "give a shorter reason")
	}
	return text, nil
}

// ParseDestination reads the text of a request. A text without a destination is
// Malformed: such a request can be read by people, but no grant of it is used.
func ParseDestination(text string) (Destination, error) {
	const op = "read a request"
	line, reason, ok := strings.Cut(text, "\n")
	where, prefixed := strings.CutPrefix(line, destinationPrefix)
	agreement, topic, named := strings.Cut(where, "/")
	if !ok || !prefixed || !named || reason == "" {
		return Destination{}, Errorf(Malformed, op, "its text does not begin with a line that says where to (to: AGREEMENT/TOPIC), followed by a reason")
	}
	id, err := ParseHash(agreement)
	if err == nil && (id.IsZero() || id.String() != agreement) {
		err = errors.New("the agreement is not named by its id in 64 lower-case hexadecimal digits")
	}
	if err == nil {
		_, err = handle(topic)
	}
	if err != nil {
		return Destination{}, E(Malformed, op, err, "")
	}
	return Destination{Agreement: AgreementID(id), Topic: topic, Reason: reason}, nil
}
