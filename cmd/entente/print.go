package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/schollz/progressbar/v3"

	"entente/node"
)

// printJSON writes one JSON value a line.
func printJSON(w io.Writer, v any) error {
	if err := json.MarshalWrite(w, v, json.Deterministic(true)); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// printPretty writes an object's JSON for people.
func printPretty(w io.Writer, raw []byte) error {
	v := jsontext.Value(append([]byte(nil), raw...))
	if err := v.Indent(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, string(v))
	return err
}

// table aligns what is written to it in columns.
func table(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 2, 0, 2, ' ', 0) }

// clean makes a text that a peer may have written safe to show on a terminal:
// one line, nothing that a terminal obeys.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return '·'
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > 200 {
		return string(runes[:199]) + "…"
	}
	return s
}

// quantity puts a number before a noun that takes an s.
func quantity[T ~int | ~int64 | ~uint64](n T, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

// number writes a count with thousands apart.
func number[T ~int | ~int64 | ~uint64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// size writes a number of bytes for people.
func size[T ~int | ~int64 | ~uint64](n T) string {
	v, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 {
			break
		}
		v, unit = v/1024, u
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", int64(n))
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// meter shows progress with rate and remaining time, on a terminal only and
// only for work that takes more than a second.
type meter struct {
	w     io.Writer
	start time.Time
	bar   *progressbar.ProgressBar
	unit  string
}

func newMeter(w io.Writer) *meter { return &meter{w: w, start: time.Now()} }

func (m *meter) show(p node.Progress) {
	if !isTerminal(m.w) || time.Since(m.start) < time.Second {
		return
	}
	if m.bar == nil || m.unit != p.Unit {
		m.clear()
		total := p.Total
		if total == 0 {
			total = -1
		}
		m.unit = p.Unit
		m.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(m.w), progressbar.OptionSetDescription(p.Unit),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("objects"),
			progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
			progressbar.OptionEnableColorCodes(os.Getenv("NO_COLOR") == ""))
	}
	_ = m.bar.Set64(p.Done)
}

func (m *meter) clear() {
	if m.bar != nil {
		_ = m.bar.Clear()
	}
}
