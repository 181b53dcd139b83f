package podspec_test

import (
	"strings"
	"testing"

	"berth.dev/berth/internal/plan/podspec"
)

func TestFileVariable(t *testing.T) {
	const text = "# a comment\n\n  A='one'\nB='with \"quotes\" \\n $x' # said\nC= 'nothing'\nD='two\n  lines'\nE=''\r\nA='later'\nF=bare\nG='g'\n"
	for key, want := range map[string]string{
		"A": "one", "B": `with "quotes" \n $x`, "C": "", "D": "two\n  lines", "E": "",
		"F": "error: invalid environment variable format at line 10: value must be enclosed in single quotes",
		"G": "error: invalid environment variable format at line 10: value must be enclosed in single quotes",
	} {
		got, found, err := podspec.FileVariable(text, key)
		if err != nil {
			got = "error: " + err.Error()
		} else if !found {
			got = "not found"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	for text, want := range map[string]string{
		"A":          "line 1: missing '='",
		"\n='x'":     "line 2: empty variable name",
		"A ='x'":     "line 1: whitespace before '=' is not allowed",
		"A='x' y":    "line 1: unexpected content after closing quote",
		"\nA='x\n\n": "starting at line 2: unclosed single quote",
	} {
		if _, _, err := podspec.FileVariable(text, "Z"); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, found, err := podspec.FileVariable("A='x'", "B"); found || err != nil {
		t.Errorf("%v %v", found, err)
	}
}

func FuzzFileVariable(f *testing.F) {
	f.Add("A='x'\nB='y\nz' # c\n", "B")
	f.Add("# c\nA = 'x'", "A")
	f.Add("A='", "A")
	f.Fuzz(func(t *testing.T, text, key string) {
		value, found, err := podspec.FileVariable(text, key)
		if (err != nil || !found) && value != "" {
			t.Errorf("%q of %q is %q: %v", key, text, value, err)
		}
		if strings.Contains(value, "'") || len(value) > len(text) {
			t.Errorf("%q of %q is %q", key, text, value)
		}
	})
}

func TestExpandWhole(t *testing.T) {
	env := []podspec.Variable{{Name: "POD", Value: "web-0"}, {Name: "EMPTY"}}
	for text, want := range map[string]string{
		"$(POD)/data": "web-0/data", "$$(POD)": "$(POD)", "plain": "plain",
		"$(NOPE)/$(EMPTY)": "error: missing value for EMPTY, NOPE",
	} {
		got, err := podspec.ExpandWhole(text, env)
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
