package conversation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// commandWithin bounds one command, answerWithin the wait until a question has
// the answer that is written down.
const (
	commandWithin = 3 * time.Minute
	answerWithin  = time.Minute
)

// looks matches commands that look.
var looks = regexp.MustCompile(`^(kubectl (get|describe|events|logs|top|rollout history)|berth why) `)

// question tells whether a command does nothing but look. What it shows (an event,
// a count in a status) may come a moment after what the command before it waited
// for, so it may be put again; a line that also changes something may not.
func question(command string) bool {
	return looks.MatchString(command) && strings.Count(command, "kubectl ") == 1 && !strings.Contains(command, " & ")
}

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
		answer := func() string {
			out, err := run(t.Context(), with.Shell, turn.command)
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimRight(normal(hidden.Replace(out), c.rules), "\n")
		}
		got := answer()
		for began := time.Now(); got != turn.answer && !with.Update && question(turn.command) && time.Since(began) < answerWithin; {
			got = answer()
		}
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
