package stix

import "testing"

func TestSearchText(t *testing.T) {
	got := SearchText([]byte(`{"type":"note","name":"Über\u0020uns","labels":["a","b"],"x":{"deep":["c"]},"n":4}`))
	if want := "note\nÜber uns\na\nb\nc\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for text, want := range map[string]string{
		``:             "",
		`"alone"`:      "alone\n",
		`{"name":"cut`: "",
		`{"name":"whole","labels":["a",{"b":"c","d`: "whole\na\nc\n",
		`{"name":"whole","name":"twice"}`:           "whole\n",
		`{"name":"whole"}{"name":"another"}`:        "whole\n",
		`["a",{"b":"c"},"d"`:                        "a\nc\nd\n",
	} {
		if got := SearchText([]byte(text)); got != want {
			t.Errorf("%s gave %q, want %q", text, got, want)
		}
	}
}
