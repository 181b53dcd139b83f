package manifest

import (
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
)

// place is a field of a document that was looked for.
type place struct {
	line  int // within the document
	field string
	value *yamlv3.Node
	// whole: the field is there; else this is the innermost block around it.
	whole bool
}

// Line is the line of a field, or of the innermost block that should have it. An
// element of a list is named by its number, or by its name as in containers[nginx].
func (d *Document) Line(field string) int { return d.from + d.find(field).line }

// Has tells whether the field is written.
func (d *Document) Has(field string) bool { return d.find(field).whole }

func (d *Document) find(field string) place {
	here := place{line: d.root.Line, value: d.root, whole: true}
	for _, segment := range segments(field) {
		next, found := step(here, segment)
		if !found {
			here.whole = false
			return here
		}
		here = next
	}
	return here
}

// findAll is find for a path that leaves out the numbers in lists.
func (d *Document) findAll(field string) []place {
	all := []place{{line: d.root.Line, value: d.root, whole: true}}
	for _, segment := range segments(field) {
		var next []place
		for _, p := range all {
			for _, e := range elements(p) {
				if q, found := step(e, segment); found {
					next = append(next, q)
				}
			}
		}
		all = next
	}
	var leaves []place
	for _, p := range all {
		leaves = append(leaves, p)
		if p.value.Kind == yamlv3.SequenceNode {
			leaves = append(leaves, elements(p)...)
		}
	}
	return leaves
}

// elements are those of a list, and anything else itself.
func elements(p place) []place {
	if p.value.Kind != yamlv3.SequenceNode {
		return []place{p}
	}
	var all []place
	for i, e := range p.value.Content {
		all = append(all, place{line: e.Line, field: p.field + "[" + strconv.Itoa(i) + "]", value: resolve(e), whole: true})
	}
	return all
}

// segment is a key, or what is between brackets.
type segment struct {
	text    string
	bracket bool
}

func segments(field string) []segment {
	var all []segment
	for field != "" {
		if rest, found := strings.CutPrefix(field, "["); found {
			inside, after, _ := strings.Cut(rest, "]")
			all = append(all, segment{inside, true})
			field = strings.TrimPrefix(after, ".")
			continue
		}
		end := strings.IndexAny(field, ".[")
		if end < 0 {
			end = len(field)
		}
		all = append(all, segment{field[:end], false})
		field = strings.TrimPrefix(field[end:], ".")
	}
	return all
}

func step(p place, s segment) (place, bool) {
	if p.value.Kind == yamlv3.SequenceNode && s.bracket {
		for i, e := range p.value.Content {
			if name := valueOf(resolve(e), "name"); strconv.Itoa(i) != s.text && !hasName(resolve(e), name, s.text) {
				continue
			}
			return place{line: e.Line, field: p.field + "[" + strconv.Itoa(i) + "]", value: resolve(e), whole: true}, true
		}
		return p, false
	}
	value := valueOf(p.value, s.text)
	if value == nil {
		return p, false
	}
	next := place{field: p.field + "." + s.text, value: value, whole: true}
	if s.bracket {
		next.field = p.field + "[" + s.text + "]"
	}
	next.field = strings.TrimPrefix(next.field, ".")
	for _, key := range keys(p.value) {
		if key.Value == s.text {
			next.line = key.Line
		}
	}
	return next, true
}

// hasName tells whether a list's element has the name: its own, or, as a claim
// template, its metadata's.
func hasName(e, name *yamlv3.Node, want string) bool {
	if name != nil {
		return name.Value == want
	}
	metadata := valueOf(e, "metadata")
	if metadata == nil {
		return false
	}
	name = valueOf(metadata, "name")
	return name != nil && name.Value == want
}
