package api

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the table of kinds in docs/compatibility.md")

// The documentation lists exactly the kinds that are served.
func TestServedKindsAreDocumented(t *testing.T) {
	const (
		file = "../../docs/compatibility.md"
		from = "-update -->\n\n"
		to   = "\n<!-- /kinds -->"
	)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), from)
	_, after, ok2 := strings.Cut(rest, to)
	if !ok1 || !ok2 {
		t.Fatalf("%s: the table's marks are missing", file)
	}
	table := "| group and version | resource | subresources |\n|---|---|---|\n"
	for _, k := range Kinds() {
		var sub []string
		if k.HasStatus {
			sub = append(sub, "status")
		}
		if k.Scale != nil {
			sub = append(sub, "scale")
		}
		table += fmt.Sprintf("| %s | %s | %s |\n", k.GVK.GroupVersion(), k.Resource, strings.Join(sub, ", "))
	}
	want := before + from + table + to + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(text), want); diff != "" {
		t.Errorf("%s is not up to date; run go test ./internal/api -run TestServedKindsAreDocumented -update\n%s", file, diff)
	}
}
