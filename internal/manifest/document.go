package manifest

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Document is one object of a file.
type Document struct {
	File   string
	Object *unstructured.Unstructured

	root *yamlv3.Node
	// from is the number of lines before the part of the file that root is of.
	from int
}

// Finding is one thing that is to be changed in a file.
type Finding struct {
	File string `json:"file"`
	// Line is the first of the file being 1.
	Line int `json:"line"`
	// Object is whose line it is, such as "statefulset/web"; empty when the text
	// could not be read.
	Object string `json:"object,omitempty"`
	Field  string `json:"field,omitempty"`
	// Text says what is wrong, in the API server's words if it said so.
	Text string `json:"text"`
	// Hint says what was probably meant.
	Hint string `json:"hint,omitempty"`
}

// Read takes a file apart. What cannot be read as an object is a finding, and
// the rest is read all the same.
func Read(file string, text []byte) ([]*Document, []Finding) {
	var documents []*Document
	var findings []Finding
	for _, p := range split(text) {
		more, wrong := p.read(file)
		documents = append(documents, more...)
		findings = append(findings, wrong...)
	}
	return documents, findings
}

// part is the text between two separators, after so many lines of the file.
type part struct {
	text []byte
	from int
}

func split(text []byte) []part {
	parts := []part{{}}
	for i, line := range bytes.SplitAfter(text, []byte("\n")) {
		if rest, found := bytes.CutPrefix(line, []byte("---")); found {
			if rest = bytes.TrimSpace(rest); len(rest) == 0 || rest[0] == '#' {
				parts = append(parts, part{from: i + 1})
				continue
			}
		}
		last := &parts[len(parts)-1]
		last.text = append(last.text, line...)
	}
	return parts
}

var lineOfError = regexp.MustCompile(`\bline (\d+): `)

func (p part) read(file string) ([]*Document, []Finding) {
	wrong := func(line int, format string, args ...any) []Finding {
		return []Finding{{File: file, Line: p.from + line, Text: fmt.Sprintf(format, args...)}}
	}
	var top yamlv3.Node
	if err := yamlv3.Unmarshal(p.text, &top); err != nil {
		line := 1
		if m := lineOfError.FindStringSubmatch(err.Error()); m != nil {
			line, _ = strconv.Atoi(m[1])
		}
		if strings.Contains(err.Error(), "did not find expected") { // where that block begins, counted from 0
			line = min(line+1, bytes.Count(p.text, []byte("\n"))+1)
		}
		return nil, wrong(line, "%s", lineOfError.ReplaceAllString(err.Error(), ""))
	}
	if len(top.Content) == 0 || top.Content[0].Tag == "!!null" {
		return nil, nil
	}
	root := top.Content[0]
	if root.Kind != yamlv3.MappingNode {
		return nil, wrong(root.Line, "this is no object: fields are expected, such as apiVersion and kind")
	}
	content := map[string]any{}
	if err := yaml.Unmarshal(p.text, &content); err != nil {
		return nil, wrong(root.Line, "%s", err)
	}
	d := &Document{File: file, Object: &unstructured.Unstructured{Object: content}, root: root, from: p.from}
	if items := valueOf(root, "items"); strings.HasSuffix(d.Object.GetKind(), "List") && items != nil && items.Kind == yamlv3.SequenceNode {
		return d.items(items)
	}
	if f := d.unnamed(); len(f) > 0 {
		return nil, f
	}
	return []*Document{d}, nil
}

// items are the objects of a list.
func (d *Document) items(items *yamlv3.Node) ([]*Document, []Finding) {
	var documents []*Document
	var findings []Finding
	all, _, _ := unstructured.NestedSlice(d.Object.Object, "items")
	for i, node := range items.Content {
		if i >= len(all) {
			break
		}
		content, isObject := all[i].(map[string]any)
		if !isObject {
			continue
		}
		item := &Document{File: d.File, Object: &unstructured.Unstructured{Object: content}, root: node, from: d.from}
		if f := item.unnamed(); len(f) > 0 {
			findings = append(findings, f...)
			continue
		}
		documents = append(documents, item)
	}
	return documents, findings
}

// unnamed says that the object does not say what it is.
func (d *Document) unnamed() []Finding {
	var findings []Finding
	for _, field := range []string{"apiVersion", "kind"} {
		if text, isText := d.Object.Object[field].(string); isText && text != "" {
			continue
		}
		f := d.at(field, field+" not set")
		for _, key := range keys(d.root) {
			if key.Value != field && nearest(key.Value, []string{field}) != "" {
				f.Line, f.Hint = d.from+key.Line, fmt.Sprintf("%q is probably meant to be %q", key.Value, field)
			}
		}
		findings = append(findings, f)
	}
	return findings
}

// Name is how the object is named in a sentence, such as "statefulset/web".
func (d *Document) Name() string {
	if d.Object.GetKind() == "" {
		return ""
	}
	return strings.ToLower(d.Object.GetKind()) + "/" + cmp.Or(d.Object.GetName(), d.Object.GetGenerateName()+"?")
}

// Twice finds objects that are in files more than once: the later one changes
// what the earlier one has made.
func Twice(documents []*Document, namespace string) []Finding {
	type key struct{ group, kind, namespace, name string }
	first := map[key]*Document{}
	var findings []Finding
	for _, d := range documents {
		o := d.Object
		k := key{o.GroupVersionKind().Group, o.GetKind(), cmp.Or(o.GetNamespace(), namespace), o.GetName()}
		if k.name == "" {
			continue
		}
		if before, found := first[k]; found {
			findings = append(findings, d.at("metadata.name", fmt.Sprintf("%s is already in %s, line %d: this one would change it instead of being a second one",
				d.Name(), before.File, before.Line("metadata.name"))))
			continue
		}
		first[k] = d
	}
	return findings
}

// keys are the nodes of a mapping's keys.
func keys(n *yamlv3.Node) []*yamlv3.Node {
	var all []*yamlv3.Node
	for i := 0; i+1 < len(n.Content) && n.Kind == yamlv3.MappingNode; i += 2 {
		all = append(all, n.Content[i])
	}
	return all
}

func valueOf(n *yamlv3.Node, key string) *yamlv3.Node {
	i := slices.IndexFunc(keys(n), func(k *yamlv3.Node) bool { return k.Value == key })
	if i < 0 {
		return nil
	}
	return resolve(n.Content[2*i+1])
}

// resolve follows an alias.
func resolve(n *yamlv3.Node) *yamlv3.Node {
	if n.Kind == yamlv3.AliasNode {
		return n.Alias
	}
	return n
}
