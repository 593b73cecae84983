package protocol

import (
	"errors"
	"fmt"
	"net/http"
)

// Kind says what went wrong in a way that a program can act on. Each kind has
// one exit code, one HTTP status and one verdict to the network.
type Kind uint8

// The kinds of error.
const (
	Other        Kind = iota // anything not named below
	Invalid                  // the caller's input is wrong; the hint says how to put it right
	Malformed                // bytes from outside break a format
	BadSignature             // a signature is false under the key of its author
	Limit                    // a limit was hit; the message names it
	Unreachable              // the node, or a peer, does not answer
	Refused                  // policy said no
	NotFound                 // no such thing, or none that this reader may see
	Conflict                 // contradicts what is held: a fork, an older version, a taken name
	Unverified               // cannot be verified yet: unknown member, newer agreement version
	Full                     // the disk, a quota or a queue has no room
	Findings                 // the command worked and found problems
)

// Error is the project's error: what was being done, what kind of failure,
// its cause, and the way out.
type Error struct {
	Kind Kind
	Op   string // what was being done, "publish", "import agreement"
	Err  error  // the cause; nil only where Kind says it all
	Hint string // what helps: a command to run, a value to change; may be empty
}

// E makes an *Error. A nil cause is allowed.
func E(kind Kind, op string, cause error, hint string) error {
	return &Error{Kind: kind, Op: op, Err: cause, Hint: hint}
}

// Errorf makes an *Error whose cause is a formatted text; %w wraps.
func Errorf(kind Kind, op, format string, args ...any) error {
	return &Error{Kind: kind, Op: op, Err: fmt.Errorf(format, args...)}
}

// Error returns operation and cause on one line; the hint is not part of it.
func (e *Error) Error() string {
	cause := e.Kind.String()
	if e.Err != nil {
		cause = e.Err.Error()
	}
	if e.Op == "" {
		return cause
	}
	return e.Op + ": " + cause
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the outermost *Error in the chain that has one
// other than Other, else Other. KindOf(nil) is Other.
func KindOf(err error) Kind {
	var e *Error
	for errors.As(err, &e) {
		if e.Kind != Other {
			return e.Kind
		}
		err = e.Err
	}
	return Other
}

// HintOf returns the outermost hint in the chain, or "".
func HintOf(err error) string {
	var e *Error
	for errors.As(err, &e) {
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}

// kindRow is one line of the table that every outcome of an error comes from.
type kindRow struct {
	name    string
	exit    int
	status  int
	verdict Verdict
}

func (k Kind) row() kindRow {
	switch k {
	case Invalid:
		return kindRow{"invalid input", 2, http.StatusBadRequest, Ignore}
	case Malformed:
		return kindRow{"malformed", 2, http.StatusBadRequest, Reject}
	case BadSignature:
		return kindRow{"bad signature", 6, http.StatusUnprocessableEntity, Reject}
	case Limit:
		return kindRow{"limit", 2, http.StatusRequestEntityTooLarge, Reject}
	case Unreachable:
		return kindRow{"not reachable", 3, http.StatusBadGateway, Ignore}
	case Refused:
		return kindRow{"refused", 4, http.StatusForbidden, Ignore}
	case NotFound:
		return kindRow{"not found", 5, http.StatusNotFound, Ignore}
	case Conflict:
		return kindRow{"conflict", 6, http.StatusConflict, Ignore}
	case Unverified:
		return kindRow{"unverified", 6, http.StatusConflict, Ignore}
	case Full:
		return kindRow{"full", 1, http.StatusInsufficientStorage, Ignore}
	case Findings:
		return kindRow{"findings", 7, http.StatusOK, Ignore}
	default:
		return kindRow{"error", 1, http.StatusInternalServerError, Ignore}
	}
}

// String names the kind, as it stands in JSON answers.
func (k Kind) String() string { return k.row().name }

// Exit returns the exit code of a command that ends with this kind.
func (k Kind) Exit() int { return k.row().exit }

// Status returns the HTTP status of an answer that ends with this kind.
func (k Kind) Status() int { return k.row().status }

// Verdict returns what the network is told about a message that failed so.
func (k Kind) Verdict() Verdict { return k.row().verdict }

// Verdict is the answer that a node gives its network about a message.
type Verdict uint8

// The verdicts. Only Accept is passed on. Reject is for malformed bytes and
// false signatures alone, and costs the sender; all that depends on local state
// (clock, version, rules, disk) is Ignore, or honest peers would pay.
const (
	Ignore Verdict = iota
	Accept
	Reject
)

// String returns "accept", "ignore" or "reject".
func (v Verdict) String() string {
	switch v {
	case Accept:
		return "accept"
	case Reject:
		return "reject"
	default:
		return "ignore"
	}
}
