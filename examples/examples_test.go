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

// TestScripts runs the scripts with real processes and holds what they print to
// what the agreements say. A script stops by itself where something happens that
// must not; what is looked for here is that it came as far.
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes; run without -short")
	}
	program := build(t)
	for _, c := range []struct {
		script  string
		shell   string
		members int
		prints  []string
	}{
		{"three-members/run.sh", "bash", 4, []string{
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
		}},
		{"alliance/run.sh", "sh", 7, []string{
			"coverage 100 %",
			"it came under an embargo until",
			"8 would be published, 2 refused",
			"clause 1.1: the clause obliges to name the source",
			"it was made by aldergate, who alone may publish or revoke versions of it here",
			"objects transformed as the agreement obliges: victims ×3",
			"neither name, address nor id of the victim is with anybody but Dunmore",
			"aldergate  gave 3  entitled until", "borealis   gave 0  not entitled: 3 more",
			"may read: aldergate, cert, dunmore",
			"alliance v1, clause 6: This is no place for policy.",
			"may read: cert, public",
			"# that is all",
		}},
		{"exchange/run.sh", "sh", 4, []string{
			"coverage 100 %",
			"may read: bureau, meridian",
			"exchange v1, clause 4: Offices in XC",
			"(for prosecution)",
			"4 × refused: exchange v1, clause 5: Matters of a political, military, religious or racial character",
			"exchange v1, clause 2: it came under a clause that lets it be passed on only when its source has been asked",
			"is revoked on exchange/answers",
			"was published by another member, who alone can have it erased",
			"confirmed by bureau, office-b, office-c, meridian; nobody is missing",
			"and the text is not on their disks",
			"may read: bureau, meridian, office-b",
			"office-c on exchange/persons: withhold",
			"# that is all",
		}},
		{"dialogue/run.sh", "sh", 3, []string{
			"coverage 100 %",
			"Answers of Meridian to the first round",
			"dialogue v1, clause 3: Belief, race and single persons",
			"hoped for by 2027-03-01T12:00:00Z",
			"lumen: 0 objects",
			"# that is all",
		}},
		{"dialogue/isolation.sh", "sh", 12, []string{
			"alliance v1, clause 6", "exchange v1, clause 7", "dialogue v1, clause 1", "dialogue v1, clause 4", "clause 1 of dialogue",
			"cert has no note--0d1a1060-0001-4000-8000-00000000000a",
			"bureau has no note--0d1a1060-0001-4000-8000-00000000000a",
			"# that is all",
		}},
	} {
		t.Run(c.script, func(t *testing.T) { play(t, program, c.shell, c.script, c.members, c.prints) })
	}
}

// play runs one script in a folder of its own.
func play(t *testing.T, program, shell, script string, members int, prints []string) {
	if _, err := exec.LookPath(shell); err != nil {
		t.Fatalf("the scripts need %s: %v", shell, err)
	}
	// Unix sockets have short paths, so the folder must be near the root.
	dir, err := os.MkdirTemp("", "entente")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell, filepath.FromSlash(script), dir)
	cmd.Env = append(os.Environ(), "ENTENTE="+program, fmt.Sprintf("BASE_PORT=%d", freePorts(t, 2*members)))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // the script stops its nodes
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.String(), logs(dir))
	}
	for _, want := range prints {
		if !strings.Contains(strings.ToLower(out.String()), strings.ToLower(want)) {
			t.Errorf("the script did not print %q", want)
		}
	}
	if t.Failed() {
		t.Logf("it printed:\n%s", out.String())
	}
}

// TestAgreements holds every agreement that is shipped to its cases, which must
// show all of it, and to what policy check has to say.
func TestAgreements(t *testing.T) {
	program := build(t)
	files, err := filepath.Glob("*/*.tests.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("found cases %v, %v", files, err)
	}
	for _, file := range files {
		agreement := strings.TrimSuffix(file, ".tests.yaml") + ".yaml"
		if out, err := exec.CommandContext(t.Context(), program, "agreements", "test", "--coverage", agreement).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", agreement, err, out)
		}
		if out, err := exec.CommandContext(t.Context(), program, "policy", "check", "--at", "2027-01-15", agreement).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", agreement, err, out)
		}
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
