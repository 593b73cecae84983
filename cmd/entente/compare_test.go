package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"entente/protocol"
)

// terminal opens a terminal: what a program reads and writes, and the end at
// which a person sits.
func terminal(t *testing.T) (program, person *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here:", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return program, person
}

// TestConsent: on a terminal only the word yes is a yes; elsewhere nobody is
// asked, and what does not widen needs none.
func TestConsent(t *testing.T) {
	a := &protocol.Agreement{Name: "harbour", Version: 2}
	for typed, agreed := range map[string]bool{"yes": true, " YES ": true, "y": false, "no": false, "": false, "yes please": false, "\x04": false} {
		program, person := terminal(t)
		cmd := &cobra.Command{}
		cmd.SetIn(program)
		cmd.SetErr(program)
		asked := make(chan string)
		go func() {
			in := bufio.NewReader(person)
			var said strings.Builder
			for !strings.Contains(said.String(), "Type yes to go on: ") {
				b, err := in.ReadByte()
				if err != nil {
					break
				}
				said.WriteByte(b)
			}
			fmt.Fprintln(person, typed)
			asked <- said.String()
		}()
		err := consent(cmd, "sign", a, true, false)
		if said := <-asked; !strings.Contains(said, "version 2 of harbour lets something flow") {
			t.Errorf("asked %q", said)
		}
		if (err == nil) != agreed || (err != nil && protocol.KindOf(err) != protocol.Refused) {
			t.Errorf("%q: %v", typed, err)
		}
	}
	cmd := &cobra.Command{}
	cmd.SetIn(strings.NewReader("yes\n"))
	if err := consent(cmd, "sign", a, false, true); protocol.KindOf(err).Exit() != 4 || !strings.Contains(protocol.HintOf(err), "--yes") {
		t.Errorf("without a terminal: %v", err)
	}
	if err := consent(cmd, "sign", a, false, false); err != nil {
		t.Errorf("what does not widen: %v", err)
	}
}

// TestWording: where two texts differ is shown, however late that is.
func TestWording(t *testing.T) {
	long := strings.Repeat("word ", 40)
	for _, tc := range []struct{ old, next, wantOld, wantNext string }{
		{"a b", "a c", "a b", "a c"},
		{long + "ends so", long + "ends thus", "…" + long[len(long)-35:] + "ends so", "…" + long[len(long)-35:] + "ends thus"},
		{long, long + "more", "…" + long[len(long)-40:], "…" + long[len(long)-40:] + "more"},
	} {
		if old, next := wording(tc.old, tc.next); old != tc.wantOld || next != tc.wantNext {
			t.Errorf("%q, %q", old, next)
		}
	}
}
