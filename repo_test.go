package berth_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	module   = "berth.dev/berth"
	hardSize = 600 // lines that no file of ours may exceed
	softSize = 400 // lines from which a file is worth a look
	mainSize = 40  // lines that a main.go may have
)

// source is one Go file of ours, parsed without its function bodies' meaning.
type source struct {
	path  string // from the repository's root, with slashes
	lines int
	file  *ast.File
	fset  *token.FileSet
}

func (s source) dir() string     { return path.Dir(s.path) }
func (s source) test() bool      { return strings.HasSuffix(s.path, "_test.go") }
func (s source) generated() bool { return ast.IsGenerated(s.file) }

// sources are all Go files of the repository, those of other modules too.
var sources = sync.OnceValues(func() ([]source, error) {
	var out []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"bin", "dist", "testdata"}, d.Name())):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		s := source{path: filepath.ToSlash(name), lines: bytes.Count(text, []byte("\n")), fset: token.NewFileSet()}
		s.file, err = parser.ParseFile(s.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		out = append(out, s)
		return err
	})
	return out, err
})

func allSources(t *testing.T) []source {
	t.Helper()
	out, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pkg is what `go list` says about a package that our code or tests need.
type pkg struct {
	ImportPath string
	ForTest    string
	Standard   bool
	Imports    []string
	Module     *struct{ Path string }
}

// ours cuts the module's path off; false for packages of others.
func ours(importPath string) (string, bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// packages are our packages and all that they and their tests need, by import path.
var packages = sync.OnceValues(func() (map[string]pkg, error) {
	cmd := exec.Command("go", "list", "-deps", "-test", "-json=ImportPath,ForTest,Standard,Imports,Module", "./...")
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	out := map[string]pkg{}
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		out[p.ImportPath] = p
	}
})

func allPackages(t *testing.T) map[string]pkg {
	t.Helper()
	out, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Each package says in one place what it is for.
func TestPackageDocs(t *testing.T) {
	type where struct{ docs, files int }
	dirs := map[string]where{}
	for _, s := range allSources(t) {
		w := dirs[s.dir()]
		if !s.test() || s.file.Doc != nil {
			w.files++
		}
		if s.file.Doc != nil {
			w.docs++
			words := strings.Fields(s.file.Doc.Text())
			if name := s.file.Name.Name; name != "main" && !strings.HasSuffix(name, "_test") && !slices.Equal(words[:min(2, len(words))], []string{"Package", name}) {
				t.Errorf("%s: the package comment begins with %q; write \"Package %s …\"", s.path, strings.Join(words[:min(2, len(words))], " "), name)
			}
		}
		dirs[s.dir()] = w
	}
	for dir, w := range dirs {
		switch {
		case w.docs == 0:
			t.Errorf("%s: no package comment; say in one sentence what the package is for", dir)
		case w.docs > 1:
			t.Errorf("%s: %d package comments; keep one", dir, w.docs)
		}
	}
}

// Files stay short enough to be read at one sitting.
func TestFileSize(t *testing.T) {
	for _, s := range allSources(t) {
		switch {
		case s.generated():
		case s.lines > hardSize:
			t.Errorf("%s: %d lines, at most %d; split it by what it is about", s.path, s.lines, hardSize)
		case s.lines > softSize:
			t.Logf("%s: %d lines, worth a look", s.path, s.lines)
		}
		if path.Base(s.path) == "main.go" && strings.HasPrefix(s.path, "cmd/") && s.lines >= mainSize {
			t.Errorf("%s: %d lines, under %d; a main parses, calls a package and exits", s.path, s.lines, mainSize)
		}
	}
}

// directs are the direct requirements and tools of a go.mod.
func directs(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	block := ""
	for in := bufio.NewScanner(bytes.NewReader(text)); in.Scan(); {
		words := strings.Fields(in.Text())
		switch {
		case len(words) == 2 && words[1] == "(":
			block = words[0]
			continue
		case len(words) == 1 && words[0] == ")":
			block = ""
			continue
		case block != "":
			words = append([]string{block}, words...)
		}
		if len(words) > 1 && (words[0] == "tool" || words[0] == "require" && !strings.HasSuffix(in.Text(), "// indirect")) {
			out = append(out, words[1])
		}
	}
	return out
}

// Whoever adds a dependency writes down why.
func TestDependenciesHaveReasons(t *testing.T) {
	records, err := filepath.Glob("docs/decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range records {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, file := range []string{"go.mod", "bundle/go.mod", "tools/go.mod", "test/oracle/upstream/go.mod"} {
		names := directs(t, file)
		if len(names) == 0 {
			t.Errorf("%s: no direct dependency found", file)
		}
		for _, name := range names {
			if !strings.Contains(all.String(), "`"+name+"`") {
				t.Errorf("%s needs %s: give the reason in docs/decisions, with the path in backquotes", file, name)
			}
		}
	}
}
