package examples

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestThreeMembers runs the script with real processes and holds what it prints
// to what the agreements say.
func TestThreeMembers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts four processes; run without -short")
	}
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash here")
	}
	program := build(t)
	// Unix sockets have short paths, so the folder must be near the root.
	dir, err := os.MkdirTemp("", "entente")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", filepath.Join("three-members", "run.sh"), dir)
	cmd.Env = append(os.Environ(), "ENTENTE="+program, fmt.Sprintf("BASE_PORT=%d", freePorts(t, 8)))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // the script stops its nodes
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.String(), logs(dir))
	}
	for _, want := range []string{
		"agreement harbour, version 1: in-force",
		"the bank reaches the vendor",
		"6 objects read, 5 would be published, 1 withheld",
		"6 objects read, 5 published, 1 withheld",
		"may read: bank, cert, vendor",
		"TLP:RED is for named recipients",
		"198.51.100[.]77",
		"Network that hosts it",
		"1 object read, 1 published",
		"may read: cert, public",
		"the researcher sees nothing of the private alliance (exit code 5)",
		"decision publish withhold harbour/indicators", // the explanation
		"objects written to bank.json",
	} {
		if !strings.Contains(strings.ToLower(out.String()), strings.ToLower(want)) {
			t.Errorf("the script did not print %q", want)
		}
	}
	if t.Failed() {
		t.Logf("it printed:\n%s", out.String())
	}
}

func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "entente")
	cmd := exec.Command("go", "build", "-o", program, "entente/cmd/entente")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// freePorts finds the first of count ports in a row that nothing uses.
func freePorts(t *testing.T, count int) int {
	t.Helper()
	for base := 47100; base < 60000; base += count {
		free := true
		for port := base; port < base+count && free; port++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if free = err == nil; free {
				_ = l.Close()
			}
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

func logs(dir string) string {
	var b strings.Builder
	files, _ := filepath.Glob(filepath.Join(dir, "*", "log"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		fmt.Fprintf(&b, "--- %s\n%s", f, text)
	}
	return b.String()
}
