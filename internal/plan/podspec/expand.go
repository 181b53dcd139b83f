package podspec

import (
	"fmt"
	"slices"
	"strings"
)

// Expand replaces $(NAME) by the variable's value. $$ is a dollar sign, and a
// reference to a variable that is not there stays as it is written.
func Expand(text string, lookup func(string) (string, bool)) string {
	if !strings.Contains(text, "$") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		switch text[i+1] {
		case '$':
			b.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(text[i+2:], ')')
			if end < 0 {
				b.WriteString("$(")
				i++
				continue
			}
			name := text[i+2 : i+2+end]
			if value, ok := lookup(name); ok {
				b.WriteString(value)
			} else {
				b.WriteString("$(" + name + ")")
			}
			i += 2 + end
		default:
			b.WriteByte('$')
			b.WriteByte(text[i+1])
			i++
		}
	}
	return b.String()
}

// ExpandAll expands each text with the given environment.
func ExpandAll(texts []string, env []Variable) []string {
	values := make(map[string]string, len(env))
	for _, v := range env {
		values[v.Name] = v.Value
	}
	var out []string
	for _, t := range texts {
		out = append(out, Expand(t, func(name string) (string, bool) {
			v, ok := values[name]
			return v, ok
		}))
	}
	return out
}

// ExpandWhole expands a text in which every variable must have a value.
func ExpandWhole(text string, env []Variable) (string, error) {
	values := make(map[string]string, len(env))
	for _, v := range env {
		values[v.Name] = v.Value
	}
	var missing []string
	out := Expand(text, func(name string) (string, bool) {
		if values[name] == "" && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
		return values[name], true
	})
	if len(missing) > 0 {
		slices.Sort(missing)
		return "", fmt.Errorf("missing value for %s", strings.Join(missing, ", "))
	}
	return out, nil
}
