// Package conversation reads and holds scripted conversations with a cluster:
// what a user types, and exactly what is answered.
//
// A conversation is the text of NAME.txtar up to its files:
//
//	# What is shown, and why.
//	$ kubectl get configmap c -o name
//	configmap/c
//
//	$ kubectl get configmap d
//	Error from server (NotFound): configmaps "d" not found
//	[exit 1]
//
// Lines after "$ " go to a shell in a directory of the conversation's own that
// holds the archive's files; a backslash at the end continues the line. Both
// streams are compared with what follows, after ages, UIDs and the like were
// replaced (see normal.go; a line "% REGEXP => TEXT" adds a rule).
package conversation

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/tools/txtar"
)

// Conversation is one parsed script.
type Conversation struct {
	// Name is the file's, without its ending.
	Name string

	path    string
	archive *txtar.Archive
	rules   []rule
	turns   []turn
}

// turn is one command with what is answered; text before the first command and
// between commands belongs to the turn after it.
type turn struct {
	before  string // comments, rules and blank lines, as written
	command string // without "$ "
	answer  string
	line    int
}

// Read parses the script in a file.
func Read(path string) (*Conversation, error) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		return nil, err
	}
	c := &Conversation{path: path, Name: strings.TrimSuffix(filepath.Base(path), ".txtar"), archive: archive}
	lines := strings.Split(strings.TrimRight(string(archive.Comment), "\n"), "\n")
	var before []string
	for i := 0; i < len(lines); {
		line := lines[i]
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			if line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "% ") {
				return nil, fmt.Errorf("%s:%d: neither a comment, a rule nor a command: %s", path, i+1, line)
			}
			if text, isRule := strings.CutPrefix(line, "% "); isRule {
				from, to, _ := strings.Cut(text, " => ")
				expression, err := regexp.Compile("(?m)" + from)
				if err != nil {
					return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
				}
				c.rules = append(c.rules, rule{expression, to})
			}
			before = append(before, line)
			i++
			continue
		}
		t := turn{before: strings.Join(before, "\n"), command: command, line: i + 1}
		for i++; strings.HasSuffix(lines[i-1], `\`) && i < len(lines); i++ {
			t.command += "\n" + lines[i]
		}
		begun := i
		for i < len(lines) && !strings.HasPrefix(lines[i], "$ ") && !strings.HasPrefix(lines[i], "# ") && !strings.HasPrefix(lines[i], "% ") {
			i++
		}
		end := i
		for end > begun && lines[end-1] == "" {
			end--
		}
		t.answer = strings.Join(lines[begun:end], "\n")
		before = lines[end:i:i]
		c.turns = append(c.turns, t)
	}
	return c, nil
}

// write puts the answers into the file.
func (c *Conversation) write() error {
	var b strings.Builder
	for i, t := range c.turns {
		if i > 0 && t.before == "" {
			t.before = "\n"
		} else if t.before != "" {
			t.before = strings.TrimRight(t.before, "\n") + "\n"
			if i > 0 {
				t.before = "\n" + strings.TrimLeft(t.before, "\n")
			}
		}
		b.WriteString(t.before + "$ " + t.command + "\n")
		if t.answer != "" {
			b.WriteString(t.answer + "\n")
		}
	}
	c.archive.Comment = []byte(b.String())
	if len(c.archive.Files) > 0 {
		c.archive.Comment = append(c.archive.Comment, '\n')
	}
	return os.WriteFile(c.path, txtar.Format(c.archive), 0o644)
}

// Files writes the archive's files into a directory; scripts can be run.
func (c *Conversation) Files(dir string) error {
	for _, f := range c.archive.Files {
		name := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(string(f.Data), "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(name, f.Data, mode); err != nil {
			return err
		}
	}
	return nil
}
