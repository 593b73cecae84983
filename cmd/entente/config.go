package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"entente/node/api"
	"entente/protocol"
)

// cli is what all verbs share: where the node lives and how to answer. It is
// filled in before a verb runs and not changed after.
type cli struct {
	purpose string // that reading is for
	home    string
	json    bool
	config  config
}

// config is the node's configuration, HOME/config.yaml. Every field has a
// default, a flag of `up` or an environment variable may stand in for it, in
// that order of precedence: flag, ENTENTE_X, file, default.
type config struct {
	Listen         []string `yaml:"listen"`          // multiaddrs of the member host; default all interfaces, TCP 4710
	PublicListen   []string `yaml:"public-listen"`   // multiaddrs of the public host; default TCP 4711; [] for none
	Announce       []string `yaml:"announce"`        // addresses for the member record; default: those of Listen
	PublicAnnounce []string `yaml:"public-announce"` // addresses for the public profile
	APISocket      string   `yaml:"api-socket"`      // path; default HOME/api.sock
	APIListen      string   `yaml:"api-listen"`      // loopback host:port for HTTP with a token; default none
	LogLevel       string   `yaml:"log-level"`       // debug, info, warn, error; default info
	LogFormat      string   `yaml:"log-format"`      // text or json; default text
	Memory         int      `yaml:"memory"`          // MiB for the store's caches; the process stays within 256 more; default 192
	Async          bool     `yaml:"async"`           // acknowledge before the disk has it; a power cut may lose the last second
	EncryptedDisk  bool     `yaml:"encrypted-disk"`  // the disk under HOME is encrypted, for agreements that oblige to that; the node believes it and does not check
	Internal       internal `yaml:"internal"`        // what belongs to the member's own network, for agreements that oblige to take that out
}

func defaults(home string) config {
	return config{
		Listen: []string{"/ip4/0.0.0.0/tcp/4710"}, PublicListen: []string{"/ip4/0.0.0.0/tcp/4711"},
		APISocket: filepath.Join(home, "api.sock"), LogLevel: "info", LogFormat: "text", Memory: 192,
	}
}

// load finds the home and reads its configuration.
func (c *cli) load(*cobra.Command) error {
	if c.home == "" {
		c.home = os.Getenv("ENTENTE_HOME")
	}
	if c.home == "" {
		base := os.Getenv("XDG_DATA_HOME")
		if base == "" {
			user, err := os.UserHomeDir()
			if err != nil {
				return protocol.E(protocol.Invalid, "find the home folder", err, "name one with --home")
			}
			base = filepath.Join(user, ".local", "share")
		}
		c.home = filepath.Join(base, "entente")
	}
	home, err := filepath.Abs(c.home)
	if err != nil {
		return err
	}
	c.home = home
	c.config = defaults(home)
	return c.config.read(filepath.Join(home, "config.yaml"))
}

// read takes what the file and then the environment set.
func (g *config) read(path string) error {
	const op = "read the configuration"
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return protocol.E(protocol.Invalid, op, err, "")
	default:
		if err := protocol.CheckText(text); err != nil {
			return protocol.E(protocol.Invalid, op+" "+path, err, "")
		}
		if err := yaml.UnmarshalWithOptions(text, g, yaml.Strict(), yaml.DisallowUnknownField()); err != nil {
			return protocol.E(protocol.Invalid, op+" "+path, errors.New(strings.TrimSpace(yaml.FormatError(err, false, true))), "the keys are listed by: entente paths")
		}
	}
	if _, err := g.Internal.read(); err != nil {
		return protocol.E(protocol.Invalid, op+" "+path, fmt.Errorf("internal: %w", err), "mend the file; what is in effect: entente paths")
	}
	return g.environment(op)
}

func (g *config) environment(op string) error {
	list := func(name string, to *[]string) {
		if v, ok := os.LookupEnv("ENTENTE_" + name); ok {
			*to = strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
		}
	}
	text := func(name string, to *string) {
		if v, ok := os.LookupEnv("ENTENTE_" + name); ok {
			*to = v
		}
	}
	list("LISTEN", &g.Listen)
	list("PUBLIC_LISTEN", &g.PublicListen)
	list("ANNOUNCE", &g.Announce)
	list("PUBLIC_ANNOUNCE", &g.PublicAnnounce)
	text("API_SOCKET", &g.APISocket)
	text("API_LISTEN", &g.APIListen)
	text("LOG_LEVEL", &g.LogLevel)
	text("LOG_FORMAT", &g.LogFormat)
	if v, ok := os.LookupEnv("ENTENTE_MEMORY"); ok {
		n, err := strconv.Atoi(v)
		if err != nil {
			return protocol.Errorf(protocol.Invalid, op, "ENTENTE_MEMORY is %q; it should be a number of MiB", v)
		}
		g.Memory = n
	}
	truth := func(name string, to *bool) error {
		v, ok := os.LookupEnv("ENTENTE_" + name)
		if !ok {
			return nil
		}
		b, err := strconv.ParseBool(v)
		if err != nil {
			return protocol.Errorf(protocol.Invalid, op, "ENTENTE_%s is %q; it should be true or false", name, v)
		}
		*to = b
		return nil
	}
	if err := truth("ASYNC", &g.Async); err != nil {
		return err
	}
	if err := truth("ENCRYPTED_DISK", &g.EncryptedDisk); err != nil {
		return err
	}
	if g.Memory < 32 || g.Memory > 1<<20 {
		return protocol.Errorf(protocol.Invalid, op, "memory is %d MiB; it should be 32 at least", g.Memory)
	}
	if g.LogFormat != "text" && g.LogFormat != "json" {
		return protocol.Errorf(protocol.Invalid, op, "log-format is %q; it should be text or json", g.LogFormat)
	}
	return nil
}

// logger makes the node's logger, on standard error.
func (g *config) logger(w *os.File) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(g.LogLevel)); err != nil {
		return nil, protocol.Errorf(protocol.Invalid, "read the configuration", "log-level is %q; it should be debug, info, warn or error", g.LogLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	if g.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return slog.New(slog.NewTextHandler(w, options)), nil
}

// client returns the client of the node that runs in this home.
func (c *cli) client() *api.Client { return api.NewClient(c.config.APISocket).For(c.purpose) }

// keyFiles names the file of each key, under HOME/keys.
func keyFiles() map[protocol.KeyRole]string {
	return map[protocol.KeyRole]string{
		protocol.RootKey: "root.key", protocol.OperationsRole: "operations.key", protocol.NodeKey: "node.key",
		protocol.TransportKey: "transport.key", protocol.PublicTransportKey: "public-transport.key",
	}
}

func (c *cli) pathsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "paths", Short: "Say where everything is kept, and what the configuration is", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys := filepath.Join(c.home, "keys")
			rows := [][2]string{
				{"home", c.home}, {"config", filepath.Join(c.home, "config.yaml")}, {"local-rules", c.rulesFile()}, {"keys", keys},
				{"root-key", filepath.Join(keys, keyFiles()[protocol.RootKey])}, {"members", filepath.Join(c.home, "members")},
				{"profiles", filepath.Join(c.home, "profiles")}, {"agreements", filepath.Join(c.home, "agreements")},
				{"store", filepath.Join(c.home, "store")}, {"api-socket", c.config.APISocket}, {"api-token", filepath.Join(c.home, "api.token")},
				{"listen", strings.Join(c.config.Listen, " ")}, {"public-listen", strings.Join(c.config.PublicListen, " ")},
				{"api-listen", c.config.APIListen}, {"log-level", c.config.LogLevel}, {"log-format", c.config.LogFormat},
				{"redaction-key", redactionKey(c.home)}, {"internal", c.config.Internal.String()},
				{"memory", fmt.Sprint(c.config.Memory)}, {"async", fmt.Sprint(c.config.Async)},
				{"encrypted-disk", fmt.Sprint(c.config.EncryptedDisk)},
			}
			if c.json {
				out := map[string]string{}
				for _, r := range rows {
					out[r[0]] = r[1]
				}
				return printJSON(cmd.OutOrStdout(), out)
			}
			t := table(cmd.OutOrStdout())
			for _, r := range rows {
				fmt.Fprintf(t, "%s\t%s\n", r[0], r[1])
			}
			return t.Flush()
		},
	}
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Say which version this is", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{"version": version()})
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "entente", version())
			return err
		},
	}
}
