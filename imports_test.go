package berth_test

import (
	"flag"
	"go/ast"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata/modules.txt")

// Components meet in API objects only. A component is everything below its
// folder; each control loop and each part of the network is one of its own.
var components = []string{"apiserver", "controller/*", "scheduler", "ipam", "node", "network/*"}

// shared are folders below a component that belong to all: the shape of loops,
// the host that runs them, and what the network's parts do to the kernel.
var shared = []string{"controller/loop", "controller/host", "controller/owned", "controller/podend", "controller/podindex", "controller/volumeindex", "controller/served", "network/link", "network/nettest"}

// joiners put components together.
var joiners = []string{"app", "cli", "sim", "teardown", "controller/all"}

// component names the component that a folder of internal/ belongs to, or "".
func component(dir string) string {
	if under(dir, shared) || under(dir, joiners) {
		return ""
	}
	parts := strings.Split(dir, "/")
	for _, c := range components {
		depth := strings.Count(c, "/") + 1
		if len(parts) < depth {
			continue
		}
		name := strings.Join(parts[:depth], "/")
		if ok, _ := path.Match(c, name); ok {
			return name
		}
	}
	return ""
}

func under(dir string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return dir == root || strings.HasPrefix(dir, root+"/") })
}

func TestComponentsDoNotImportOneAnother(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range allPackages(t) {
		dir, ok := ours(p.ImportPath)
		from := component(strings.TrimPrefix(dir, "internal/"))
		if !ok || from == "" || p.ForTest != "" || strings.HasSuffix(dir, ".test") {
			continue
		}
		seen[from] = true
		for _, i := range p.Imports {
			to, _ := ours(i)
			if c := component(strings.TrimPrefix(to, "internal/")); c != "" && c != from {
				t.Errorf("%s imports %s: components meet in API objects; put what both need into a package of its own", dir, to)
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("only these components were found: %v", seen)
	}
}

func TestNeverKubernetesItself(t *testing.T) {
	for _, p := range allPackages(t) {
		if p.Module != nil && p.Module.Path == "k8s.io/kubernetes" {
			t.Errorf("%s is needed; what it has that we need is ours to write", p.ImportPath)
		}
	}
}

// What packages under internal/plan may import: nothing that reads a clock, the
// machine, or randomness, and nothing that can be called twice with two answers.
var (
	pureStandard = []string{
		"bytes", "cmp", "container/heap", "container/list", "crypto/hmac", "crypto/sha256", "crypto/x509", "encoding", "errors", "fmt", "hash", "iter", "maps",
		"math", "math/bits", "net/netip", "path", "regexp", "slices", "sort", "strconv", "strings", "text/tabwriter", "time", "unicode",
	}
	pureOthers = []string{
		"k8s.io/api", "k8s.io/apimachinery", "k8s.io/component-helpers", "k8s.io/utils/dump", "k8s.io/utils/ptr", "k8s.io/utils/net",
		module + "/internal/plan", module + "/spiderpool",
	}
	impureNames = map[string][]string{
		"time":                                 {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
		"crypto/x509":                          {"CreateCertificate", "CreateCertificateRequest", "CreateRevocationList", "SetFallbackRoots", "SystemCertPool"},
		"fmt":                                  {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
		"k8s.io/apimachinery/pkg/apis/meta/v1": {"Now"},
	}
	impureOthers = []string{
		"k8s.io/apimachinery/pkg/util/rand", "k8s.io/apimachinery/pkg/util/uuid", "k8s.io/apimachinery/pkg/util/wait",
		"k8s.io/apimachinery/pkg/util/runtime", "k8s.io/apimachinery/pkg/watch",
	}
)

func TestPlanIsPure(t *testing.T) {
	for _, s := range allSources(t) {
		if !strings.HasPrefix(s.path, "internal/plan/") || s.test() {
			continue
		}
		names := map[string]string{} // of imported packages in this file
		for _, i := range s.file.Imports {
			name, _ := strconv.Unquote(i.Path.Value)
			local := path.Base(name)
			if i.Name != nil {
				local = i.Name.Name
			}
			names[local] = name
			standard := !strings.Contains(strings.Split(name, "/")[0], ".")
			switch {
			case standard && !slices.Contains(pureStandard, name) && !under(name, []string{"encoding", "hash", "unicode"}),
				!standard && (!under(name, pureOthers) || under(name, impureOthers)):
				t.Errorf("%s imports %s: internal/plan is pure", s.path, name)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.SelectStmt, *ast.ChanType, *ast.SendStmt:
				t.Errorf("%s: goroutines and channels: internal/plan is pure", s.fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				if ok && slices.Contains(impureNames[names[x.Name]], n.Sel.Name) {
					t.Errorf("%s: %s.%s: internal/plan is pure; take it as an argument", s.fset.Position(n.Pos()), x.Name, n.Sel.Name)
				}
			}
			return true
		})
	}
}

// The list of modules that are compiled into our programs, or into tests only,
// is checked in, so that a change of it shows in review.
func TestModules(t *testing.T) {
	const file = "testdata/modules.txt"
	all := allPackages(t)
	linked := map[string]bool{}
	var follow func(string)
	follow = func(name string) {
		if p, ok := all[name]; ok && !p.Standard && !linked[name] {
			linked[name] = true
			for _, i := range p.Imports {
				follow(i)
			}
		}
	}
	for name := range all {
		if dir, ok := ours(name); ok && strings.HasPrefix(dir, "cmd/") && !strings.HasSuffix(dir, ".test") {
			follow(name)
		}
	}
	modules := map[string]bool{} // by path: linked into a program
	for name, p := range all {
		if p.Module != nil && p.Module.Path != module {
			modules[p.Module.Path] = modules[p.Module.Path] || linked[name]
		}
	}
	var lines []string
	for name, linked := range modules {
		if !linked {
			name += " (tests only)"
		}
		lines = append(lines, name)
	}
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the modules that are compiled in changed; if that is meant, run go test . -update\n%s", diff)
	}
}
