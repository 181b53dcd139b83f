package podspec

import (
	"fmt"
	"strings"
)

// FileVariable looks for a variable in the text of an env file: lines of
// NAME='value', where a value is always in single quotes, is taken as it is and
// may have several lines. "#" begins a comment. What is wrong before the
// variable is found is an error.
func FileVariable(text, key string) (value string, found bool, err error) {
	bad := func(line int, what string) (string, bool, error) {
		return "", false, fmt.Errorf("invalid environment variable format at line %d: %s", line, what)
	}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimLeft(strings.TrimSuffix(lines[i], "\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest, ok := strings.Cut(line, "=")
		switch {
		case !ok:
			return bad(i+1, "missing '='")
		case strings.TrimRight(name, " \t") == "":
			return bad(i+1, "empty variable name")
		case strings.TrimRight(name, " \t") != name:
			return bad(i+1, "whitespace before '=' is not allowed")
		}
		if rest != strings.TrimLeft(rest, " \t") {
			// To a shell this sets the variable to nothing.
			if name == key {
				return "", true, nil
			}
			continue
		}
		body, ok := strings.CutPrefix(rest, "'")
		if !ok {
			return bad(i+1, "value must be enclosed in single quotes")
		}
		began := i
		var value strings.Builder
		for {
			inside, after, closed := strings.Cut(body, "'")
			value.WriteString(inside)
			if closed {
				if after = strings.TrimLeft(after, " \t"); after != "" && after[0] != '#' {
					return bad(i+1, "unexpected content after closing quote")
				}
				break
			}
			value.WriteByte('\n')
			if i++; i == len(lines) {
				return "", false, fmt.Errorf("invalid environment variable format starting at line %d: unclosed single quote", began+1)
			}
			body = strings.TrimSuffix(lines[i], "\r")
		}
		if name == key {
			return value.String(), true, nil
		}
	}
	return "", false, nil
}
