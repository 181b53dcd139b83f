// Package golden compares what tests get with what their testdata says, and
// writes it there when they are run with -update.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what came out into testdata, and the tables into docs")

// Updating says that what came out is right: write it down.
func Updating() bool { return *update }

// Same compares got with a file.
func Same(t *testing.T, file, got string) {
	t.Helper()
	if Updating() {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s says otherwise; if this is meant, run with -update and read what changed (-want +got)\n%s", file, diff)
	}
}

// Files plays each text in testdata/*.txt, a subtest each: play returns it with
// every expected output replaced by the real one.
func Files(t *testing.T, play func(t *testing.T, text string) string) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			Same(t, file, play(t, string(text)))
		})
	}
}
