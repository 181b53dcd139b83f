// Package corefile reads a Corefile as users write it and says what a node's
// DNS makes of it: the same text, line for line, in which what is Berth's own is
// put in place. Everything else is CoreDNS' to judge.
package corefile

import (
	"fmt"
	"strings"
)

// Name is what messages call the text.
const Name = "Corefile"

// Default is the Corefile of a cluster whose user wrote none. Names of the
// cluster are never kept by anybody (ttl 0), so they exist and vanish at once.
func Default(domain string) string {
	return `.:53 {
    errors
    health
    ready
    kubernetes ` + domain + ` in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 0
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
`
}

// Error is a mistake and where it is.
type Error struct {
	Line int
	Msg  string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d - %s", Name, e.Line, e.Msg) }

// File is a Corefile in its parts.
type File struct{ blocks []block }

// block is a server block, or a snippet: its keys are one name in parentheses.
type block struct {
	keys        []token
	open, close int // lines of its braces
	directives  []directive
}

// directive is its name, its arguments and, in braces, its properties.
type directive []token

type token struct {
	text string
	line int
}

// end is the line on which a token ends.
func (t token) end() int { return t.line + strings.Count(t.text, "\n") }

// Parse takes a Corefile apart. It finds no more mistakes than it has to.
func Parse(text string) (*File, error) {
	all := split(text)
	if len(all) == 0 {
		return nil, &Error{1, "there is no server block"}
	}
	f := &File{}
	for len(all) > 0 {
		var b block
		for len(all) > 0 && all[0].text != "{" {
			if n := len(b.keys); all[0].text == "}" || n > 0 && all[0].line > b.keys[n-1].end() && !strings.HasSuffix(b.keys[n-1].text, ",") {
				return nil, &Error{all[0].line, fmt.Sprintf("%q stands where the { of a server block is expected", all[0].text)}
			}
			b.keys, all = append(b.keys, all[0]), all[1:]
		}
		if len(b.keys) == 0 {
			return nil, &Error{all[0].line, "the server block has no zone"}
		}
		if len(all) == 0 {
			return nil, &Error{b.keys[len(b.keys)-1].line, "a { is expected after the zones of a server block"}
		}
		b.open = all[0].line
		var err error
		if all, err = b.fill(all[1:]); err != nil {
			return nil, err
		}
		f.blocks = append(f.blocks, b)
	}
	return f, nil
}

// fill reads directives up to the brace that closes the block.
func (b *block) fill(all []token) (rest []token, err error) {
	last, depth := b.open, 0
	for i, t := range all {
		switch {
		case t.text == "}" && depth == 0:
			b.close = t.line
			return all[i+1:], nil
		case t.line > last && depth == 0:
			b.directives = append(b.directives, directive{t})
		case len(b.directives) == 0:
			return nil, &Error{t.line, fmt.Sprintf("%q has to begin a line of its own", t.text)}
		default:
			n := len(b.directives) - 1
			b.directives[n] = append(b.directives[n], t)
		}
		switch t.text {
		case "{":
			depth++
		case "}":
			depth--
		}
		last = t.end()
	}
	return nil, &Error{b.open, "the { of this server block is never closed"}
}

// properties calls each with the words of each line within the braces of a
// directive, at whatever depth.
func (d directive) properties(each func(words []token) error) error {
	depth := 0
	var line []token
	flush := func() error {
		if len(line) == 0 {
			return nil
		}
		words := line
		line = nil
		return each(words)
	}
	for _, t := range d[1:] {
		if n := len(line); n > 0 && t.line > line[n-1].end() || t.text == "{" || t.text == "}" {
			if err := flush(); err != nil {
				return err
			}
		}
		switch {
		case t.text == "{":
			depth++
		case t.text == "}":
			depth--
		case depth > 0:
			line = append(line, t)
		}
	}
	return flush()
}

// args are the words before the braces.
func (d directive) args() []token {
	for i, t := range d[1:] {
		if t.text == "{" {
			return d[1 : i+1]
		}
	}
	return d[1:]
}

// with has the directive with another name and arguments.
func (d directive) with(name string, args ...string) directive {
	out := directive{{name, d[0].line}}
	for _, a := range args {
		out = append(out, token{a, d[0].line})
	}
	return append(out, d[1+len(d.args()):]...)
}

// without leaves out properties.
func (d directive) without(property string) directive {
	out := directive{}
	for i := 0; i < len(d); i++ {
		if i > 0 && d[i].text == property && d[i].line > d[i-1].end() {
			for i+1 < len(d) && d[i+1].line == d[i].line && d[i+1].text != "}" {
				i++
			}
			continue
		}
		out = append(out, d[i])
	}
	return out
}
