package stix

import "testing"

func TestSearchText(t *testing.T) {
	got := SearchText([]byte(`{"type":"note","name":"Über\u0020uns","labels":["a","b"],"x":{"deep":["c"]},"n":4}`))
	if want := "note\nÜber uns\na\nb\nc\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := SearchText([]byte(`{"name":"cut`)); got != "" {
		t.Errorf("a cut object gave %q", got)
	}
}
