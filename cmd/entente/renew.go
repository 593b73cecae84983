package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"entente/protocol"
	"entente/store"
)

func (c *cli) membersRenew() *cobra.Command {
	var keyPath string
	cmd := &cobra.Command{
		Use: "renew", Short: "Sign a new version of this member's record and profile", Args: cobra.NoArgs,
		Long: `Writes and signs the next version of this member's record and public profile: good
for a year from now, the operations key for 90 days, with the addresses that the
configuration says now. A running node takes them at once; give the record to the
parties of your agreements: entente members add FILE.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.renew(cmd, keyPath) },
	}
	cmd.Flags().StringVar(&keyPath, "key", "", "file of the root key (default HOME/keys/root.key)")
	return cmd
}

func (c *cli) renew(cmd *cobra.Command, keyPath string) error {
	const op = "members renew"
	id, err := c.open()
	if err != nil {
		return err
	}
	if id.keys.Root == nil || keyPath != "" {
		if keyPath == "" {
			keyPath = filepath.Join(c.home, "keys", keyFiles()[protocol.RootKey])
		}
		text, err := os.ReadFile(keyPath)
		if err != nil {
			return protocol.E(protocol.NotFound, op, err, "name the file of the root key with --key")
		}
		if id.keys.Root, err = protocol.ParseSecretKey(protocol.RootKey, string(text)); err != nil {
			return protocol.E(protocol.Invalid, op+" "+keyPath, err, "")
		}
	}
	if id.record.Root != protocol.PublicOf(id.keys.Root) {
		return protocol.Errorf(protocol.Refused, op, "this is not the root key of %s", id.handle)
	}
	documents, err := store.OpenDocuments(c.home)
	if err != nil {
		return err
	}
	var written []string
	for _, public := range []bool{false, true} {
		path, err := c.renewOne(documents, id, public)
		if err != nil {
			return err
		}
		if path != "" {
			written = append(written, path)
		}
	}
	if err := c.offer(cmd, written); err != nil {
		return err
	}
	if c.json {
		return printJSON(cmd.OutOrStdout(), map[string][]string{"files": written})
	}
	for _, path := range written {
		fmt.Fprintln(cmd.ErrOrStderr(), "Wrote", path)
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr(), "Next: give the record, with the .sigs file beside it, to the parties of your agreements; they take it with: entente members add FILE")
	return err
}

// renewOne writes the next version of the record, or of the profile where there
// is one, and returns its path.
func (c *cli) renewOne(documents *store.Documents, id *identity, public bool) (string, error) {
	folder, kind, announce, listen := "members", protocol.RecordType, c.config.Announce, c.config.Listen
	if public {
		folder, kind, announce, listen = "profiles", protocol.ProfileType, c.config.PublicAnnounce, c.config.PublicListen
	}
	var last *protocol.Record
	var name string
	err := documents.Load(func(in, as string, _ uint64, payload, _ []byte) error {
		if in != folder {
			return nil
		}
		r, err := protocol.ParseRecord(payload)
		if err == nil && r.Member == id.record.Member && (last == nil || r.Version > last.Version) {
			last, name = r, as
		}
		return nil
	})
	if err != nil || last == nil {
		return "", err
	}
	next := *last
	now := time.Now().UTC().Truncate(time.Second)
	next.Version, next.Previous = last.Version+1, last.Hash
	next.Member = id.record.Member
	next.From, next.Until = now, now.Add(recordLife)
	if next.From.Before(last.From) {
		return "", protocol.E(protocol.Conflict, "members renew", errors.New("this machine's clock stands before the beginning of the record that is here"), "set the clock")
	}
	next.Operations.Until = now.Add(operationsLife)
	addresses, err := announced(announce, listen)
	if err != nil {
		return "", protocol.E(protocol.Invalid, "members renew", err, "name the addresses with announce in the configuration")
	}
	next.Nodes = append([]protocol.NodeEntry(nil), last.Nodes...)
	for i := range next.Nodes {
		if next.Nodes[i].Key == protocol.PublicOf(id.keys.Node) {
			next.Nodes[i].Addresses = addresses
		}
	}
	text, err := protocol.RenderRecord(next)
	if err != nil {
		return "", err
	}
	d := signed(kind, text, id.record.Member, id.keys.Root)
	if _, err := protocol.VerifyRecord(d, last); err != nil {
		return "", err
	}
	if err := documents.Save(folder, name, next.Version, d.Payload, protocol.EncodeSignatures(d.Signatures)); err != nil {
		return "", err
	}
	payload, _ := protocol.FileNames(name, next.Version)
	return filepath.Join(c.home, folder, payload), nil
}

// offer tells the running node of documents that were written into its home. One
// that does not run finds them when it starts.
func (c *cli) offer(cmd *cobra.Command, files []string) error {
	for _, file := range files {
		payload, signatures, err := readDocument(cmd.InOrStdin(), file)
		if err != nil {
			return err
		}
		if _, err := c.client().Import(cmd.Context(), payload, signatures); err != nil {
			if protocol.KindOf(err) == protocol.Unreachable {
				return nil
			}
			return err
		}
	}
	return nil
}
