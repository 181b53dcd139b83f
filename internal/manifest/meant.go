package manifest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	yamlv3 "go.yaml.in/yaml/v3"
)

// meant says which field was probably meant by one that is not known.
func (d *Document) meant(field string, sample any) string {
	if sample == nil {
		return ""
	}
	t := reflect.TypeOf(sample)
	all := segments(field)
	for _, s := range all[:len(all)-1] {
		if t = inside(t, s); t == nil {
			return ""
		}
	}
	last := all[len(all)-1].text
	known := fieldsOf(t)
	if name := nearest(last, slices.Collect(mapKeys(known))); name != "" {
		return fmt.Sprintf("%q is probably meant to be %q", last, name)
	}
	// Labels written where a selector is wanted.
	if _, found := known["matchLabels"]; found && d.find(field).value.Kind == yamlv3.ScalarNode {
		return fmt.Sprintf("write it below matchLabels: {%s: %s}", last, d.find(field).value.Value)
	}
	return ""
}

func mapKeys(m map[string]reflect.Type) func(func(string) bool) {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Values(names)
}

// inside is the type of a field or element, nil when there is none.
func inside(t reflect.Type, s segment) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Map, t.Kind() == reflect.Slice && s.bracket:
		return t.Elem()
	}
	return fieldsOf(t)[s.text]
}

// fieldsOf are a struct's fields by their names in JSON.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	all := map[string]reflect.Type{}
	if t.Kind() != reflect.Struct {
		return all
	}
	for f := range fields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "" && (f.Anonymous || strings.Contains(options, "inline")):
			for name, inner := range fieldsOf(f.Type) {
				all[name] = inner
			}
		case name != "":
			all[name] = f.Type
		}
	}
	return all
}

func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

// nearest is the name that a word is a slip of the pen of: the same words in
// another order, or at most two letters wrong.
func nearest(word string, names []string) string {
	best, least := "", 3
	for _, name := range names {
		if slices.Equal(words(word), words(name)) {
			return name
		}
		if n := distance(word, name); n < least && 3*n <= len(name) {
			best, least = name, n
		}
	}
	return best
}

// words are those of a camelCase name, in the order of the alphabet and without
// the s of a plural.
func words(name string) []string {
	var all []string
	begun := 0
	for i, r := range name {
		if unicode.IsUpper(r) && i > begun {
			all, begun = append(all, name[begun:i]), i
		}
	}
	all = append(all, name[begun:])
	for i := range all {
		all[i] = strings.TrimSuffix(strings.ToLower(all[i]), "s")
	}
	slices.Sort(all)
	return all
}

// distance is how many letters are too many, missing, other or swapped.
func distance(a, b string) int {
	x, y := []rune(strings.ToLower(a)), []rune(strings.ToLower(b))
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range y {
		rows[0][j+1] = j + 1
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}
