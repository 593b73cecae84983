package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"entente/protocol"
)

const (
	maxQuestion  = 4 << 20  // bytes of a JSON question
	maxDocuments = 4 << 20  // bytes of an imported document with its signatures
	maxUpload    = 16 << 20 // bytes of the JSON that bears them: escapes make it longer
	maxValues    = 100000   // of one lookup
	idleRead     = 30 * time.Second
)

const opQuestion = "read the question"

// question reads a JSON object strictly: no field that is not known, none
// twice, nothing behind it, at most so many bytes, all of it within half a
// minute.
func question(w http.ResponseWriter, r *http.Request, most int64, into any) error {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(idleRead))
	in := jsontext.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	err := strictly(in, into)
	if err != nil {
		return unclear(err)
	}
	return nil // and net/http lifts the deadline, since all of the body was read
}

func strictly(in *jsontext.Decoder, into any) error {
	if kind := in.PeekKind(); kind != '{' && kind != jsontext.KindInvalid {
		return fmt.Errorf("a JSON object is wanted, not a %s", kindName(kind))
	}
	if err := json.UnmarshalDecode(in, into, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	switch _, err := in.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	default:
		return fmt.Errorf("byte %d: there is something behind the end of the question", in.InputOffset())
	}
}

// unclear puts what is wrong with a question into words for who wrote it.
func unclear(err error) error {
	var size *http.MaxBytesError
	var syntax *jsontext.SyntacticError
	var meaning *json.SemanticError
	invalid := func(format string, args ...any) error {
		return protocol.E(protocol.Invalid, opQuestion, fmt.Errorf(format, args...), hintDescription)
	}
	switch {
	case errors.As(err, &size):
		return protocol.E(protocol.Limit, opQuestion, fmt.Errorf("it is over the limit of %d bytes", size.Limit), "ask in parts")
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntax):
		return invalid("byte %d: the field %s is given twice", syntax.ByteOffset, place(syntax.JSONPointer))
	case errors.Is(err, json.ErrUnknownName) && errors.As(err, &meaning):
		return invalid("byte %d: there is no field %s", meaning.ByteOffset, place(meaning.JSONPointer))
	case errors.As(err, &meaning) && meaning.Err != nil:
		return invalid("byte %d: %s: %w", meaning.ByteOffset, place(meaning.JSONPointer), meaning.Err)
	case errors.As(err, &meaning):
		return invalid("byte %d: %s cannot be a %s", meaning.ByteOffset, place(meaning.JSONPointer), kindName(meaning.JSONKind))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return invalid("it did not come within %s", idleRead)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return invalid("it ends in the middle")
	case errors.Is(err, io.EOF):
		return invalid("it is empty; a JSON object is wanted")
	case errors.As(err, &syntax):
		return invalid("byte %d: it is no JSON: %w", syntax.ByteOffset, syntax.Err)
	default:
		return invalid("%w", err)
	}
}

// place names where in a question something stands.
func place(p jsontext.Pointer) string {
	if p == "" {
		return "the whole"
	}
	return fmt.Sprintf("%q", strings.TrimPrefix(string(p), "/"))
}

func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "truth value"
	case '"':
		return "string"
	case '0':
		return "number"
	case '[':
		return "list"
	default:
		return "object"
	}
}
