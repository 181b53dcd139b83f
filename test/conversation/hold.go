package conversation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// commandWithin bounds one command.
const commandWithin = time.Minute

// Partner answers.
type Partner struct {
	// Shell makes a command that gives one line to a shell, in the directory that
	// holds the files and with kubectl at hand.
	Shell func(ctx context.Context, line string) *exec.Cmd
	// Hidden are names of this run, each followed by what stands for it.
	Hidden []string
	// Update writes what was answered into the file, instead of comparing.
	Update bool
}

// Hold has the conversation and compares, or notes down, the answers.
func (c *Conversation) Hold(t *testing.T, with Partner) {
	t.Helper()
	hidden := strings.NewReplacer(with.Hidden...)
	changed := false
	for i := range c.turns {
		turn := &c.turns[i]
		out, err := run(t.Context(), with.Shell, turn.command)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.TrimRight(normal(hidden.Replace(out), c.rules), "\n")
		if got == turn.answer {
			continue
		}
		if with.Update {
			turn.answer, changed = got, true
			continue
		}
		t.Fatalf("%s:%d: $ %s\n%s", c.path, turn.line, turn.command,
			cmp.Diff(strings.Split(turn.answer, "\n"), strings.Split(got, "\n")))
	}
	if changed {
		if err := c.write(); err != nil {
			t.Fatal(err)
		}
	}
}

// run returns what a line wrote to both streams, and its exit code.
func run(ctx context.Context, shell func(context.Context, string) *exec.Cmd, line string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandWithin)
	defer cancel()
	var out bytes.Buffer
	cmd := shell(ctx, line)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, time.Second
	err := cmd.Run()
	text := out.String()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("not done within %s: %s\n%s", commandWithin, line, text)
	case errors.As(err, &exit):
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		return text + fmt.Sprintf("[exit %d]\n", exit.ExitCode()), nil
	}
	return text, err
}
