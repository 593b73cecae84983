package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"entente": main})
}

// TestScripts plays the transcripts of testdata/script with real processes: what
// a person types, what is printed, and the exit code.
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes; run without -short")
	}
	// Unix sockets have short paths, so the folders must be near the root.
	root, err := os.MkdirTemp("", "e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		WorkdirRoot:         root,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition:           scriptCondition,
		Setup: func(e *testscript.Env) error {
			attack, err := filepath.Abs(attackFolder)
			e.Setenv("ATTACK", attack)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": scriptExits, "eventually": scriptEventually, "member": scriptMember, "ports": scriptPorts,
			"many": scriptMany, "nested": scriptNested, "disk": scriptDisk, "edit": scriptEdit, "fill": scriptFill,
		},
	})
}

// scriptExits runs a program that must end with the exit code: exits CODE
// PROGRAM ARGS…; the text - for the code is any but 0.
func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := exitCode(ts.Exec(args[1], args[2:]...)); got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

// scriptEventually repeats a command until it ends well, for a minute at most.
func scriptEventually(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	path, err := exec.LookPath(args[0])
	ts.Check(err)
	for {
		quiet := exec.CommandContext(ctx, path, args[1:]...)
		quiet.Dir = ts.MkAbs(".")
		quiet.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"))
		if quiet.Run() == nil {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			_ = ts.Exec(args[0], args[1:]...) // shows what it says
			ts.Fatalf("%s did not end well within a minute", strings.Join(args, " "))
		}
	}
	ts.Check(ts.Exec(args[0], args[1:]...))
}

// scriptMember makes a member at a home with ports of its own: member HANDLE
// [init flags].
func scriptMember(ts *testscript.TestScript, no bool, args []string) {
	scriptPorts(ts, no, args)
	ts.Check(ts.Exec("entente", append([]string{"--home", args[0], "init", "--handle", args[0]}, args[1:]...)...))
}

// scriptPorts writes a configuration with free ports: ports HOME.
func scriptPorts(ts *testscript.TestScript, _ bool, args []string) {
	home := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(home, 0o700))
	var ports [2]int
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		defer func() { _ = l.Close() }()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	config := fmt.Sprintf("listen: [\"/ip4/127.0.0.1/tcp/%d\"]\npublic-listen: [\"/ip4/127.0.0.1/tcp/%d\"]\n", ports[0], ports[1])
	ts.Check(os.WriteFile(filepath.Join(home, "config.yaml"), []byte(config), 0o600))
}

// scriptMany writes a bundle of many indicators: many COUNT FILE, and in the
// middle what the third argument holds, if it is there.
func scriptMany(ts *testscript.TestScript, _ bool, args []string) {
	count, err := strconv.Atoi(args[0])
	ts.Check(err)
	var b bytes.Buffer
	b.WriteString(`{"type":"bundle","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","objects":[` + "\n")
	for i := range count {
		if i > 0 {
			b.WriteString(",\n")
		}
		if i == count/2 && len(args) > 2 {
			b.WriteString(strings.TrimSpace(ts.ReadFile(args[2])))
			continue
		}
		fmt.Fprintf(&b, `{"type":"indicator","spec_version":"2.1","id":"indicator--%08x-aaaa-4aaa-8aaa-aaaaaaaaaaaa","created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z","name":"host %d","pattern":"[ipv4-addr:value = '10.%d.%d.%d']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z"}`,
			i, i, i>>16&255, i>>8&255, i&255)
	}
	b.WriteString("\n]}\n")
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b.Bytes(), 0o600))
}

// scriptNested writes nested arrays: nested BYTES FILE.
func scriptNested(ts *testscript.TestScript, _ bool, args []string) {
	size, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), bytes.Repeat([]byte("["), size), 0o600))
}

// attackFolder is where the ATT&CK bundles are, from this package's folder.
const attackFolder = "../../../shared/data/attack"

// scriptCondition knows [mount]: this process may mount a disk of its own, and
// [attack]: the ATT&CK bundles are beside the checkout.
func scriptCondition(name string) (bool, error) {
	switch name {
	case "attack":
		_, err := os.Stat(attackFolder)
		return err == nil, nil
	case "mount":
	default:
		return false, fmt.Errorf("unknown condition %q", name)
	}
	dir, err := os.MkdirTemp("", "e")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(dir) }()
	if unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m") != nil {
		return false, nil
	}
	return true, unix.Unmount(dir, 0)
}

// scriptDisk mounts a small disk of so many MiB at a folder: disk MIB FOLDER.
func scriptDisk(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+args[0]+"m"))
	ts.Defer(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// scriptEdit replaces a text in a file: edit FILE OLD NEW.
func scriptEdit(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o600))
}

// scriptFill takes a disk's room until so many MiB are left: fill MIB FILE.
func scriptFill(ts *testscript.TestScript, _ bool, args []string) {
	left, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	path := ts.MkAbs(args[1])
	var st unix.Statfs_t
	ts.Check(unix.Statfs(filepath.Dir(path), &st))
	f, err := os.Create(path)
	ts.Check(err)
	ts.Check(unix.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*int64(st.Bsize)-left<<20))
	ts.Check(f.Close())
}
