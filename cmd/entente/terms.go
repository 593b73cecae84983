package main

import (
	"fmt"
	"os"
	"slices"

	"entente/protocol"
)

// renderAgreement writes version 1 of an agreement from a template of the program,
// or with the terms of an agreement in a file. Kinds are part of such terms.
func renderAgreement(template string, v protocol.TemplateValues, kinds []string) ([]byte, error) {
	const op = "agreements new"
	if slices.Contains(protocol.Templates(), template) {
		return protocol.RenderTemplate(template, v)
	}
	terms, err := os.ReadFile(template)
	if os.IsNotExist(err) {
		_, err := protocol.RenderTemplate(template, v) // which knows what was meant
		return nil, protocol.E(protocol.Invalid, op, fmt.Errorf("%w; nor is there a file of that name", err), "")
	}
	if err != nil {
		return nil, protocol.E(protocol.NotFound, op, err, "")
	}
	if len(kinds) > 0 {
		return nil, protocol.E(protocol.Invalid, op, fmt.Errorf("the kinds of parties stand in %s", template), "leave --kind out, and edit the file that is written")
	}
	text, err := protocol.FillAgreement(terms, v)
	if err != nil {
		return nil, protocol.E(protocol.KindOf(err), op+" --template "+template, err, "")
	}
	return text, nil
}
