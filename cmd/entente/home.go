package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"entente/node/api"
	"entente/protocol"
	"entente/protocol/stix"
	"entente/store"
)

// identity is what init makes: keys and first documents of a member.
type identity struct {
	keys   keyring
	handle string
	record *protocol.Record
}

// exists reports whether the home holds an identity already.
func (c *cli) exists() bool {
	_, err := os.Stat(filepath.Join(c.home, "keys"))
	return err == nil
}

// create makes keys, record and profile in the home. A crash on the way leaves
// a folder keys.new, which the next try removes: keys are complete or absent.
func (c *cli) create(handle, name string) (*identity, error) {
	const op = "init"
	if c.exists() {
		return nil, protocol.E(protocol.Conflict, op, fmt.Errorf("%s holds a member already", c.home), "use it: entente up; or name another folder with --home")
	}
	keys, err := newKeyring(rand.Reader)
	if err != nil {
		return nil, err
	}
	announce, err := announced(c.config.Announce, c.config.Listen)
	if err != nil {
		return nil, protocol.E(protocol.Invalid, op, err, "name the addresses with announce in the configuration")
	}
	public, err := announced(c.config.PublicAnnounce, c.config.PublicListen)
	if err != nil {
		return nil, protocol.E(protocol.Invalid, op, err, "name the addresses with public-announce in the configuration")
	}
	record, profile, parsed, err := firstRecords(keys, handle, name, announce, public, time.Now())
	if err != nil {
		return nil, err
	}
	documents, err := store.OpenDocuments(c.home)
	if err != nil {
		return nil, err
	}
	for kind, d := range map[string]protocol.Document{"members": record, "profiles": profile} {
		if err := documents.Save(kind, handle, 1, d.Payload, protocol.EncodeSignatures(d.Signatures)); err != nil {
			return nil, protocol.E(protocol.KindOf(err), op, err, "an earlier try may have left it; remove "+filepath.Join(c.home, kind))
		}
	}
	if err := c.writeKeys(keys); err != nil {
		return nil, err
	}
	return &identity{keys: keys, handle: handle, record: parsed}, nil
}

func (k *keyring) byRole() map[protocol.KeyRole]*ed25519.PrivateKey {
	return map[protocol.KeyRole]*ed25519.PrivateKey{
		protocol.RootKey: &k.Root, protocol.OperationsRole: &k.Operations, protocol.NodeKey: &k.Node,
		protocol.TransportKey: &k.Transport, protocol.PublicTransportKey: &k.PublicTransport,
	}
}

func (c *cli) writeKeys(keys keyring) error {
	fresh := filepath.Join(c.home, "keys.new")
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.MkdirAll(fresh, 0o700); err != nil {
		return err
	}
	for role, key := range keys.byRole() {
		if err := store.WriteFileAtomic(filepath.Join(fresh, keyFiles()[role]), []byte(protocol.FormatSecretKey(role, *key)), 0o600); err != nil {
			return err
		}
	}
	return os.Rename(fresh, filepath.Join(c.home, "keys"))
}

// open reads the identity that the home holds. The root key may be elsewhere.
func (c *cli) open() (*identity, error) {
	const op = "open the node's keys"
	id := &identity{}
	for role, to := range id.keys.byRole() {
		path := filepath.Join(c.home, "keys", keyFiles()[role])
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) && role == protocol.RootKey {
			continue
		}
		if err != nil {
			return nil, protocol.E(protocol.NotFound, op, err, "make a member: entente init; or name its folder with --home")
		}
		if *to, err = protocol.ParseSecretKey(role, string(text)); err != nil {
			return nil, protocol.E(protocol.Invalid, op+" "+path, err, "put the file back from your backup")
		}
	}
	own := protocol.PublicOf(id.keys.Node)
	documents, err := store.OpenDocuments(c.home)
	if err != nil {
		return nil, err
	}
	err = documents.Load(func(kind, _ string, _ uint64, payload, _ []byte) error {
		if kind != "members" {
			return nil
		}
		r, err := protocol.ParseRecord(payload)
		if err == nil && slices.ContainsFunc(r.Nodes, func(n protocol.NodeEntry) bool { return n.Key == own }) && (id.record == nil || r.Version > id.record.Version) {
			id.record, id.handle = r, r.Handle
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if id.record == nil {
		return nil, protocol.E(protocol.Conflict, op, fmt.Errorf("no member record in %s names this node's key", filepath.Join(c.home, "members")), "put the record back from your backup")
	}
	return id, nil
}

// announced returns the addresses to put into a record: those given, or those
// listened on with an address of this machine in place of "any".
func announced(given, listen []string) ([]string, error) {
	if len(given) > 0 {
		return given, nil
	}
	var out []string
	for _, l := range listen {
		switch {
		case strings.HasPrefix(l, "/ip4/0.0.0.0/"):
			out = append(out, "/ip4/"+outwardIP()+strings.TrimPrefix(l, "/ip4/0.0.0.0"))
		case strings.HasPrefix(l, "/ip6/::/"):
			continue
		case strings.Contains(l, "/tcp/0"), strings.Contains(l, "/udp/0"):
			return nil, fmt.Errorf("%s lets the system choose a port, which a record cannot name", l)
		default:
			out = append(out, l)
		}
	}
	return out, nil
}

// outwardIP returns the first address of this machine that is not loopback.
func outwardIP() string {
	addresses, err := net.InterfaceAddrs()
	if err == nil {
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
				return n.IP.String()
			}
		}
	}
	return "127.0.0.1"
}

// suggestHandle makes a short name out of what the machine or user is called.
func suggestHandle() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	name, _, _ = strings.Cut(name, ".")
	clean := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, name), "-")
	if clean == "" {
		return "member"
	}
	return clean[:min(len(clean), 40)]
}

func (c *cli) initCommand() *cobra.Command {
	var handle, name string
	cmd := &cobra.Command{
		Use: "init", Short: "Make a member: keys, member record and public profile", Args: cobra.NoArgs,
		Long: `Makes a member in the home folder: its root, operations and node keys, its first
member record (for the parties of its agreements) and its public profile (for
readers of its public agreements), both signed by the root key. Nothing that is
there is changed.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			id, err := c.create(names(handle, name))
			if err != nil {
				return err
			}
			return c.tellCreated(cmd, id)
		},
	}
	cmd.Flags().StringVar(&handle, "handle", "", "short name: a-z, 0-9 and hyphens (default from the machine's name)")
	cmd.Flags().StringVar(&name, "name", "", "name of the organisation (default: the handle)")
	return cmd
}

func names(handle, name string) (string, string) {
	if handle == "" {
		handle = suggestHandle()
	}
	if name == "" {
		name = handle
	}
	return handle, name
}

func (c *cli) tellCreated(cmd *cobra.Command, id *identity) error {
	document, signatures := protocol.FileNames(id.handle, 1)
	files := filepath.Join(c.home, "members", document)
	if c.json {
		return printJSON(cmd.OutOrStdout(), map[string]string{
			"member_id": id.record.Member.String(), "handle": id.handle, "root": id.record.Root.String(), "home": c.home,
			"record": files, "signatures": filepath.Join(c.home, "members", signatures), "profile": filepath.Join(c.home, "profiles", document),
		})
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), `Made the member %s in %s
  member id  %s
  root key   %s
  keys       %s (move root.key offline when you can)
  record     %s
What to do next:
  1. run the node:           entente up
  2. give your record to the others, with the .sigs file beside it, and take theirs:
                             entente members add FILE
  3. write an agreement:     entente agreements new NAME --party FILE --party FILE
     or follow a public one: entente agreements join TICKET
`, id.handle, c.home, id.record.Member, id.record.Root, filepath.Join(c.home, "keys"), files)
	return err
}

func (c *cli) upCommand() *cobra.Command {
	var handle, name string
	cmd := &cobra.Command{
		Use: "up", Short: "Run the node until Ctrl-C; makes what is missing", Args: cobra.NoArgs,
		Long: `Runs the node in the foreground. With nothing set up it first makes a member as
init does, and says what it made. It ends with Ctrl-C or SIGTERM; everything
that was acknowledged is on disk then. SIGHUP makes it read its local rules again,
as entente policy reload does.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.up(cmd, handle, name) },
	}
	cmd.Flags().StringVar(&handle, "handle", "", "short name of the member, where one is made")
	cmd.Flags().StringVar(&name, "name", "", "name of the organisation, where one is made")
	cmd.Flags().StringSlice("listen", nil, "multiaddrs of the member host")
	cmd.Flags().StringSlice("public-listen", nil, "multiaddrs of the public host")
	cmd.Flags().String("api-listen", "", "loopback host:port for HTTP with a token")
	cmd.Flags().Bool("no-local-rules", false, "go on without local rules, where there were some and their file is gone")
	return cmd
}

// flags takes what was said on the command line, which beats all else.
func (g *config) flags(cmd *cobra.Command) {
	for name, to := range map[string]*[]string{"listen": &g.Listen, "public-listen": &g.PublicListen} {
		if cmd.Flags().Changed(name) {
			*to, _ = cmd.Flags().GetStringSlice(name)
		}
	}
	if cmd.Flags().Changed("api-listen") {
		g.APIListen, _ = cmd.Flags().GetString("api-listen")
	}
}

func (c *cli) up(cmd *cobra.Command, handle, name string) error {
	c.config.flags(cmd)
	made := !c.exists()
	if made {
		id, err := c.create(names(handle, name))
		if err != nil {
			return err
		}
		if err := c.tellCreated(cmd, id); err != nil {
			return err
		}
	}
	id, err := c.open()
	if err != nil {
		return err
	}
	logger, err := c.config.logger(os.Stderr)
	if err != nil {
		return err
	}
	token, err := c.token()
	if err != nil {
		return err
	}
	inside, err := c.config.Internal.read()
	if err != nil {
		return err
	}
	boundMemory(c.config.Memory, 1)
	bare, _ := cmd.Flags().GetBool("no-local-rules")
	a, err := assemble(id.keys, id.record.Member, assemblyOptions{
		Home: c.home, Listen: c.config.Listen, PublicListen: c.config.PublicListen, Memory: int64(c.config.Memory) << 20, Async: c.config.Async, Encrypted: c.config.EncryptedDisk, Logger: logger, Internal: inside,
		Rules: func() ([]byte, error) { return readRules(c.rulesFile()) }, NoRules: bare,
	})
	if err != nil {
		return err
	}
	server, err := api.New(api.Config{
		Service: a.node, Socket: c.config.APISocket, Listen: c.config.APIListen, Token: token, Limits: stix.DefaultLimits(), Registry: a.metrics(), Logger: logger,
	})
	if err != nil {
		return errors.Join(err, a.close())
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "The node of %s is up. API on %s. Ctrl-C ends it.\n", id.handle, c.config.APISocket)
	if at := server.Address(); at != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "HTTP API on http://%s with the token in %s\n", at, filepath.Join(c.home, "api.token"))
	}
	if made {
		fmt.Fprintln(cmd.ErrOrStderr(), "See how it is doing: entente status")
	}
	group, ctx := errgroup.WithContext(cmd.Context())
	// The node outlives its API, so that what is being answered when the end
	// comes is still answered.
	whole, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group.Go(func() error { return a.run(whole) })
	group.Go(func() error { return reloadOnHangup(ctx, a.node, logger) })
	group.Go(func() error {
		defer stop()
		return server.Run(ctx)
	})
	err = group.Wait()
	if err == nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "The node has stopped; everything acknowledged is on disk.")
	}
	return err
}

// token returns the API's token, made at the first start.
func (c *cli) token() (string, error) {
	path := filepath.Join(c.home, "api.token")
	text, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var b [32]byte
	fillRandom(b[:])
	token := hex.EncodeToString(b[:])
	return token, store.WriteFileAtomic(path, []byte(token+"\n"), 0o600)
}
