// Package seeds holds docs/seeds.md to what it says: each statement and each
// error of the documents is accounted for once, by tests that exist.
package seeds

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const (
	root       = "../.."
	statements = 331
	mistakes   = 104
)

var (
	row       = regexp.MustCompile(`^\| (E?[1-9]\d*(?:-E?\d+)?(?:, E?\d+(?:-E?\d+)?)*) \| [^|]+ \| (.+) \|$`)
	quoted    = regexp.MustCompile("`([^`]+)`")
	testFunc  = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(t \*testing\.T`)
	oneOfMany = regexp.MustCompile(`(?m)^\t\t"([a-z-]+)": +[a-zA-Z]+,$`)
)

func TestSeeds(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/seeds.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests, files := known(t)
	times := map[string]int{}
	for i, line := range strings.Split(string(text), "\n") {
		m := row.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		shown := 0
		for _, name := range quoted.FindAllStringSubmatch(m[2], -1) {
			switch name := name[1]; {
			case strings.HasPrefix(name, "Test"):
				if shown++; !tests[name] {
					t.Errorf("docs/seeds.md:%d: there is no test %s", i+1, name)
				}
			case strings.HasSuffix(name, ".txt"), strings.HasSuffix(name, ".txtar"):
				if shown++; !files[name] {
					t.Errorf("docs/seeds.md:%d: there is no file %s", i+1, name)
				}
			}
		}
		if reason, isNot := strings.CutPrefix(m[2], "not: "); !isNot && shown == 0 || isNot && reason == "" {
			t.Errorf("docs/seeds.md:%d: neither a test nor a reason why there is none", i+1)
		}
		for _, n := range numbers(t, m[1]) {
			times[n]++
		}
	}
	want := map[string]bool{}
	for i := range statements {
		want[strconv.Itoa(i+1)] = true
	}
	for i := range mistakes {
		want["E"+strconv.Itoa(i+1)] = true
	}
	for n := range want {
		if times[n] != 1 {
			t.Errorf("%s is accounted for %d times", n, times[n])
		}
	}
	for n := range times {
		if !want[n] {
			t.Errorf("there is no %s", n)
		}
	}
}

// numbers are those of "1, 3-5", or "E1-E3".
func numbers(t *testing.T, text string) []string {
	t.Helper()
	var all []string
	for part := range strings.SplitSeq(text, ", ") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		prefix := ""
		if strings.HasPrefix(first, "E") {
			prefix = "E"
		}
		from, err := strconv.Atoi(strings.TrimPrefix(first, prefix))
		to, err2 := strconv.Atoi(strings.TrimPrefix(last, prefix))
		if err != nil || err2 != nil || to < from {
			t.Fatalf("%q is no number or range", part)
		}
		for n := from; n <= to; n++ {
			all = append(all, fmt.Sprint(prefix, n))
		}
	}
	return all
}

// known are all tests, stories of the shared cluster as TestOneCluster/NAME, and
// files below a testdata, by name and by path.
func known(t *testing.T) (tests, files map[string]bool) {
	t.Helper()
	tests, files = map[string]bool{}, map[string]bool{}
	for _, dir := range []string{"internal", "test"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if strings.Contains(path, "/testdata/") {
				files[d.Name()], files[strings.TrimPrefix(path, root+"/")] = true, true
			}
			if !strings.HasSuffix(path, "_test.go") {
				return nil
			}
			text, err := os.ReadFile(path)
			for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
				tests[m[1]] = true
			}
			if d.Name() == "shared_test.go" {
				for _, m := range oneOfMany.FindAllStringSubmatch(string(text), -1) {
					tests["TestOneCluster/"+m[1]] = true
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return tests, files
}
