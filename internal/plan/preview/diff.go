package preview

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
)

// Diff is a field that changes; From or To is empty when there is none.
type Diff struct {
	Path string `json:"path"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// lastApplied is where kubectl apply keeps the file.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Fields compares two objects by what their users write: not by status and not
// by what the API server keeps beside it. What a Secret holds is not shown.
func Fields(before, after map[string]any) []Diff {
	d := differ{secret: after["kind"] == "Secret"}
	d.compare("", strip(before), strip(after))
	return d.found
}

func strip(object map[string]any) map[string]any {
	kept := maps.Clone(object)
	delete(kept, "status")
	if meta, ok := kept["metadata"].(map[string]any); ok {
		meta = maps.Clone(meta)
		for _, name := range []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"} {
			delete(meta, name)
		}
		if notes, ok := meta["annotations"].(map[string]any); ok {
			notes = maps.Clone(notes)
			delete(notes, lastApplied)
			meta["annotations"] = notes
			if len(notes) == 0 {
				delete(meta, "annotations")
			}
		}
		kept["metadata"] = meta
	}
	return kept
}

type differ struct {
	secret bool
	found  []Diff
}

func (d *differ) compare(path string, before, after any) {
	if equality.Semantic.DeepEqual(before, after) {
		return
	}
	switch b := before.(type) {
	case map[string]any:
		if a, ok := after.(map[string]any); ok {
			d.maps(path, b, a)
			return
		}
	case []any:
		if a, ok := after.([]any); ok && d.lists(path, b, a) {
			return
		}
	}
	d.found = append(d.found, Diff{Path: path, From: d.show(path, before), To: d.show(path, after)})
}

func (d *differ) maps(path string, before, after map[string]any) {
	keys := slices.Collect(maps.Keys(before))
	for key := range after {
		if _, ok := before[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		d.compare(join(path, key), before[key], after[key])
	}
}

func join(path, key string) string {
	switch {
	case strings.ContainsAny(key, "./"):
		return path + "[" + key + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// lists compares lists whose elements have a name, by name, and others of one
// length by position. It reports whether it could.
func (d *differ) lists(path string, before, after []any) bool {
	was, named := byName(before)
	now, named2 := byName(after)
	if named && named2 {
		for _, e := range before {
			name := nameOf(e)
			d.compare(path+"["+name+"]", was[name], now[name])
		}
		for _, e := range after {
			if name := nameOf(e); was[name] == nil {
				d.compare(path+"["+name+"]", nil, now[name])
			}
		}
		return true
	}
	if len(before) != len(after) {
		return false
	}
	for i := range before {
		d.compare(fmt.Sprintf("%s[%d]", path, i), before[i], after[i])
	}
	return true
}

func byName(list []any) (map[string]any, bool) {
	all := map[string]any{}
	for _, e := range list {
		name := nameOf(e)
		if name == "" || all[name] != nil {
			return nil, false
		}
		all[name] = e
	}
	return all, true
}

// nameOf is an element's name; a claim template has it in its metadata.
func nameOf(e any) string {
	m, ok := e.(map[string]any)
	if !ok {
		return ""
	}
	if name, ok := m["name"].(string); ok {
		return name
	}
	if meta, ok := m["metadata"].(map[string]any); ok {
		name, _ := meta["name"].(string)
		return name
	}
	return ""
}

func (d *differ) show(path string, value any) string {
	if value == nil {
		return ""
	}
	if d.secret && (strings.HasPrefix(path, "data") || strings.HasPrefix(path, "stringData")) {
		return "(not shown)"
	}
	if text, ok := value.(string); ok {
		return brief(text)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return brief(string(text))
}

func brief(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	const most = 120
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	if text == "" {
		return `""`
	}
	return text
}
