package corefile

import "strings"

// text writes tokens so that each is on its line again.
type text struct {
	strings.Builder
	line int
}

func (w *text) put(t token) {
	for w.line < t.line {
		w.WriteByte('\n')
		w.line++
	}
	if w.Len() > 0 {
		w.WriteByte(' ')
	}
	if t.text == "" || strings.HasPrefix(t.text, `"`) || strings.ContainsAny(t.text, " \t\r\n#") {
		w.WriteString(`"` + strings.ReplaceAll(t.text, `"`, `\"`) + `"`)
	} else {
		w.WriteString(t.text)
	}
	w.line = t.end()
}

// String is the whole, without comments, each word on its line.
func (f *File) String() string { return f.text(func(int, int) bool { return true }) }

// text has those directives that are wanted.
func (f *File) text(wanted func(block, directive int) bool) string {
	w := text{line: 1}
	for i, b := range f.blocks {
		for _, k := range b.keys {
			w.put(k)
		}
		w.put(token{"{", b.open})
		for j, d := range b.directives {
			if wanted(i, j) {
				for _, t := range d {
					w.put(t)
				}
			}
		}
		w.put(token{"}", max(b.close, w.line)})
	}
	w.WriteByte('\n')
	return w.String()
}

// Line finds the directive that cannot be, with the help of a judge who is
// shown one at a time (snippets stay whole): the line on which it stands, or 0.
func (f *File) Line(wrong func(text string) bool) int {
	for i, b := range f.blocks {
		for j, d := range b.directives {
			one := func(block, directive int) bool { return f.blocks[block].snippet() || block == i && directive == j }
			if wrong(f.text(one)) {
				return d[0].line
			}
		}
	}
	return 0
}

func (b block) snippet() bool {
	return len(b.keys) == 1 && strings.HasPrefix(b.keys[0].text, "(") && strings.HasSuffix(b.keys[0].text, ")")
}
