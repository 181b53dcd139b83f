package corefile

import (
	"strings"
	"unicode"
)

// split takes a text into its words as CoreDNS does: between spaces, or between
// quotes that begin a word, in which only \" stands for something else. A # and
// what follows it on the line is nobody's, unless it is in quotes.
func split(text string) []token {
	var (
		out                     []token
		word                    strings.Builder
		within, quoted, escaped bool
		comment                 bool
		line, began             = 1, 1
		// CoreDNS forgets with each word that a comment had begun within it.
		end = func() {
			out = append(out, token{word.String(), began})
			word.Reset()
			within, comment = false, false
		}
	)
	for _, r := range strings.TrimPrefix(text, "\ufeff") {
		switch {
		case quoted:
			switch {
			case r == '\\' && !escaped:
				escaped = true
			case r == '"' && !escaped:
				quoted = false
				end()
			default:
				if escaped && r != '"' {
					word.WriteByte('\\')
				}
				word.WriteRune(r)
				escaped = false
			}
		case r == '\r':
		case unicode.IsSpace(r):
			if r == '\n' {
				comment = false
			}
			if within {
				end()
			}
		case comment:
		case r == '#':
			comment = true
		case !within && r == '"':
			quoted, began = true, line
		default:
			if !within {
				within, began = true, line
			}
			word.WriteRune(r)
		}
		if r == '\n' {
			line++
		}
	}
	if word.Len() > 0 {
		end()
	}
	return out
}
