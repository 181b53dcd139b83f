package corefile

import "fmt"

// Words are those of a text, each with its line.
func Words(text string) (out []string) {
	for _, t := range split(text) {
		out = append(out, fmt.Sprint(t.line, " ", t.text))
	}
	return out
}
