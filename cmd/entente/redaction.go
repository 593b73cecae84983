package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"entente/node"
	"entente/protocol"
	"entente/protocol/stix/redact"
	"entente/store"
)

// internal is what the configuration says of the member's own network.
type internal struct {
	Networks []string `yaml:"networks"` // 10.1.0.0/16; private ones always count
	Domains  []string `yaml:"domains"`  // corp.example, with all below it
}

func (i internal) read() (redact.Internal, error) { return redact.ParseInternal(i.Networks, i.Domains) }

// String lists networks and domains.
func (i internal) String() string { return strings.Join(slices.Concat(i.Networks, i.Domains), " ") }

// redactionKey is the file of the secret that pseudonyms and the ids of redacted
// objects are made with.
func redactionKey(home string) string { return filepath.Join(home, "keys", "redaction.key") }

const redactionPrefix = "entente-redaction-secret:"

// redactionSecret returns the member's secret, made where it is missing. Who loses
// it makes other ids and pseudonyms from then on; who has it can tell what a
// pseudonym stands for.
func redactionSecret(home string) (secret [32]byte, err error) {
	path := redactionKey(home)
	const op = "open the redaction key"
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fillRandom(secret[:])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return secret, protocol.E(protocol.Other, op, err, "")
		}
		lines := "# Makes pseudonyms and the ids of redacted objects. Keep it as you keep the keys; all nodes of a member have the same.\n" + redactionPrefix + hex.EncodeToString(secret[:]) + "\n"
		return secret, store.WriteFileAtomic(path, []byte(lines), 0o600)
	case err != nil:
		return secret, protocol.E(protocol.Other, op, err, "")
	}
	for line := range strings.Lines(string(text)) {
		digits, ok := strings.CutPrefix(strings.TrimSpace(line), redactionPrefix)
		if n, err := hex.Decode(secret[:], []byte(digits)[:min(len(digits), 64)]); ok && err == nil && n == 32 && len(digits) == 64 {
			return secret, nil
		}
	}
	return secret, protocol.E(protocol.Invalid, op+" "+path, errors.New("the file holds no secret"), "put it back from your backup; without it, remove the file: redacted objects get other ids from then on")
}

// printRedaction tells people which objects go under other ids, and why.
func printRedaction(w io.Writer, r node.Receipt) {
	if r.Redacted == nil {
		return
	}
	verb := "transformed as the agreement obliges"
	if r.DryRun {
		verb = "would be transformed as the agreement obliges"
	}
	fmt.Fprintf(w, "  %s %s%s\n", quantity(r.Redacted.Objects, "object"), verb, counted(r.Redacted.Told))
	for i, o := range r.Redacted.First {
		if i == 10 {
			fmt.Fprintf(w, "      … and %s more (--json names up to 1,000; entente explain ID tells of any)\n", number(r.Redacted.Objects-i))
			break
		}
		why := counted(o.Told)
		if why == "" {
			why = ": follows what it refers to"
		}
		fmt.Fprintf(w, "      %s goes as %s%s\n", clean(o.ID), clean(o.NewID), why)
	}
}

// counted lists things with their numbers.
func counted(list []node.ThingCount) string {
	var parts []string
	for _, t := range list {
		parts = append(parts, fmt.Sprintf("%s ×%s", t.Thing, number(t.Count)))
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

// published returns the ids under which an object went out: its own, if it is
// here, and those of what was made of it.
func (c *cli) published(cmd *cobra.Command, id string) ([]string, error) {
	e, err := c.client().ExplainObject(cmd.Context(), id, "")
	if protocol.KindOf(err) == protocol.NotFound || err == nil && len(e.MadeInto) == 0 {
		return []string{id}, nil // what is wrong with it, who retracts it says
	}
	if err != nil {
		return nil, err
	}
	ids := e.MadeInto
	if _, err := c.client().Get(cmd.Context(), id); err == nil {
		ids = append([]string{id}, ids...)
	}
	return ids, nil
}
