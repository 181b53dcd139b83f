package why

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"berth.dev/berth/internal/golden"
)

// The table in docs/stuck.md is the closed list.
func TestDocs(t *testing.T) {
	const file, begin, end = "../../../docs/stuck.md", "<!-- reasons: begin -->\n", "<!-- reasons: end -->\n"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	was, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has lost its marks %q and %q", file, begin, end)
	}
	var b strings.Builder
	b.WriteString("| reason | how it shows | by itself? | what to do |\n|---|---|---|---|\n")
	for _, r := range Reasons {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.Reason, r.Sign, r.Passes, r.Do)
	}
	if b.String() == was {
		return
	}
	if !golden.Updating() {
		t.Fatalf("%s does not have the closed list; run this test with -update", file)
	}
	if err := os.WriteFile(file, []byte(before+begin+b.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestKind(t *testing.T) {
	for written, want := range map[string]string{"sts": "statefulset", "StatefulSets": "statefulset", "po": "pod", "pvc": "persistentvolumeclaim", "deploy": "deployment", "node": ""} {
		if got := Kind(written); got != want {
			t.Errorf("Kind(%q) = %q, want %q", written, got, want)
		}
	}
	if _, err := Ask(healthy().Facts, "statefulset", "db"); err == nil || err.Error() != "statefulset/db not found in namespace shop" {
		t.Errorf("%v", err)
	}
}
