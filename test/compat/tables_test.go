package compat

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var all = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}

// known is what upstream serves.
type known struct {
	resource
	off bool // by default
}

// readUpstream reads the list of facts.
func readUpstream(t *testing.T) []known {
	t.Helper()
	text, err := os.ReadFile("testdata/upstream.txt")
	must(t, err)
	var out []known
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		main, sub, _ := strings.Cut(line, "+")
		words := strings.Fields(main)
		gv, err := schema.ParseGroupVersion(words[0])
		must(t, err)
		k := known{resource: resource{
			GroupVersionResource: gv.WithResource(words[1]), kind: words[2], namespaced: words[3] == "namespaced", verbs: all, sub: map[string][]string{},
		}}
		for _, word := range words[4:] {
			key, value, _ := strings.Cut(word, "=")
			switch key {
			case "short":
				k.short = strings.Split(value, ",")
			case "cat":
				k.categories = strings.Split(value, ",")
			case "verbs":
				k.verbs = strings.Split(value, ",")
			case "off":
				k.off = true
			default:
				t.Fatalf("upstream.txt: what is %q?", word)
			}
		}
		for _, name := range strings.Fields(sub) {
			k.sub[name] = nil
		}
		out = append(out, k)
	}
	return out
}

// compare wants what is served to be named as upstream has it.
func compare(t *testing.T, served []resource, upstream []known) {
	facts := func(r resource) string {
		return fmt.Sprintf("%s namespaced=%t %v short=%v categories=%v", r.kind, r.namespaced, r.verbs, r.short, r.categories)
	}
	for _, r := range served {
		i := slices.IndexFunc(upstream, func(k known) bool { return k.GroupVersionResource == r.GroupVersionResource })
		if i < 0 {
			if !ours(r) {
				t.Errorf("upstream does not serve %s", r)
			}
			continue
		}
		if d := gocmp.Diff(facts(upstream[i].resource), facts(r)); d != "" {
			t.Errorf("%s: upstream (-), here (+):\n%s", r, d)
		}
		for sub := range r.sub {
			if _, ok := upstream[i].sub[sub]; !ok {
				t.Errorf("upstream does not serve %s/%s", r, sub)
			}
		}
	}
}

// ours are Berth's own kinds, the one of this test, and what another server
// (metrics-server) serves in a cluster of upstream's.
func ours(r resource) bool {
	return r.Group == "spiderpool.spidernet.io" || r.Group == "k8s.cni.cncf.io" || r.Group == "compat.example.com" || r.Group == snapshots || r.Group == metrics
}

// readReasons reads why something is not served: "RESOURCE[/SUB] GROUP/VERSION reason".
func readReasons(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/left-out.txt")
	must(t, err)
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.SplitN(strings.TrimSpace(line), " ", 3)
		out[words[1]+" "+words[0]] = words[2]
	}
	return out
}

// writeTables compares docs/compatibility.md with what was found, or rewrites it.
func writeTables(t *testing.T, served []resource, upstream []known) {
	reasons := readReasons(t)
	place := func(r resource) int {
		i := slices.IndexFunc(upstream, func(k known) bool { return k.GroupVersionResource == r.GroupVersionResource })
		if i < 0 {
			return len(upstream)
		}
		return i
	}
	slices.SortStableFunc(served, func(a, b resource) int {
		return cmp.Or(place(a)-place(b), strings.Compare(a.String(), b.String()))
	})
	kinds := "| group and version | resource | verbs | subresources |\n|---|---|---|---|\n"
	have := map[string]bool{}
	for _, r := range served {
		have[r.GroupVersion().String()+" "+r.Resource] = true
		verbs := strings.Join(r.verbs, ", ")
		if slices.Equal(r.verbs, all) {
			verbs = "all"
		}
		var subs []string
		for sub := range r.sub {
			have[r.GroupVersion().String()+" "+r.Resource+"/"+sub] = true
			subs = append(subs, sub)
		}
		slices.Sort(subs)
		kinds += fmt.Sprintf("| %s | %s | %s | %s |\n", r.GroupVersion(), r.Resource, verbs, strings.Join(subs, ", "))
	}
	var stale []string
	missing := "| group and version | resource | why |\n|---|---|---|\n"
	name := func(k known, sub string) {
		key := k.GroupVersion().String() + " " + k.Resource + sub
		why, ok := reasons[key]
		delete(reasons, key)
		switch {
		case have[key] && ok:
			stale = append(stale, k.Resource+sub+" "+k.GroupVersion().String()+" ")
		case have[key]:
		case ok:
			missing += fmt.Sprintf("| %s | %s | %s |\n", k.GroupVersion(), k.Resource+sub, why)
		case k.off:
			missing += fmt.Sprintf("| %s | %s | off in Kubernetes too, unless switched on |\n", k.GroupVersion(), k.Resource+sub)
		default:
			t.Errorf("%s is not served and nothing says why: left-out.txt", key)
		}
	}
	for _, k := range upstream {
		name(k, "")
		if !have[k.GroupVersion().String()+" "+k.Resource] {
			continue // its subresources are missing for the same reason
		}
		for _, sub := range slices.Sorted(maps.Keys(k.sub)) {
			name(k, "/"+sub)
		}
	}
	for key := range reasons {
		t.Errorf("left-out.txt: upstream does not serve %s, or all of it is left out", key)
	}
	dropReasons(t, stale)
	put(t, "kinds", kinds)
	put(t, "left out", missing)
}

// dropReasons takes lines out of left-out.txt, or says that they have to go.
func dropReasons(t *testing.T, stale []string) {
	t.Helper()
	if len(stale) == 0 {
		return
	}
	if !*update {
		t.Errorf("left-out.txt: these are served; run go test ./test/compat -update: %v", stale)
		return
	}
	text, err := os.ReadFile("testdata/left-out.txt")
	must(t, err)
	kept := ""
	for line := range strings.Lines(string(text)) {
		if !slices.ContainsFunc(stale, func(s string) bool { return strings.HasPrefix(line, s) }) {
			kept += line
		}
	}
	must(t, os.WriteFile("testdata/left-out.txt", []byte(kept), 0o644))
}

// put replaces, or compares, the part of the page between two marks.
func put(t *testing.T, name, table string) {
	t.Helper()
	const file = "../../docs/compatibility.md"
	from, to := "<!-- "+name+": go test ./test/compat -update -->\n\n", "\n<!-- /"+name+" -->"
	text, err := os.ReadFile(file)
	must(t, err)
	before, rest, ok1 := strings.Cut(string(text), from)
	_, after, ok2 := strings.Cut(rest, to)
	if !ok1 || !ok2 {
		t.Fatalf("%s: the marks of %q are missing", file, name)
	}
	want := before + from + table + to + after
	if *update {
		must(t, os.WriteFile(file, []byte(want), 0o644))
	} else if d := gocmp.Diff(strings.Split(string(text), "\n"), strings.Split(want, "\n")); d != "" {
		t.Errorf("%s is not up to date; run go test ./test/compat -update\n%s", file, d)
	}
}
