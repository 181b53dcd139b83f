package golden

import (
	"strings"
	"testing"
)

// Teller carries out one block of a story: its command, the words after it, and
// the lines below. It returns what comes out; "" for nothing.
type Teller func(command, words string, input []string) string

// Stories runs the stories in testdata/*.txt. A story is a list of blocks with
// an empty line between two: a command, its input, a line of four dashes, and
// what comes out. Lines before the command that begin with # are remarks. begin
// is called for each story.
func Stories(t *testing.T, begin func(t *testing.T) Teller) {
	t.Helper()
	Files(t, func(t *testing.T, text string) string { return tell(begin(t), text) })
}

func tell(next Teller, text string) string {
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		head, _, _ := strings.Cut(block, "\n----")
		out.WriteString(head + "\n")
		lines := strings.Split(head, "\n")
		for len(lines) > 0 && strings.HasPrefix(lines[0], "#") {
			lines = lines[1:]
		}
		if len(lines) > 0 {
			command, words, _ := strings.Cut(lines[0], " ")
			if said := next(command, words, lines[1:]); said != "" {
				out.WriteString("----\n" + strings.TrimRight(said, "\n") + "\n")
			}
		}
		out.WriteString("\n")
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}
