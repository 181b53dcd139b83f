package datastore

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
)

func TestLastWords(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"full":       {&os.PathError{Op: "write", Path: "/d/db", Err: syscall.ENOSPC}, "failed to commit tx: write /d/db: no space left on device; make space there and start berth again"},
		"over quota": {syscall.EDQUOT, "make space there"},
		"broken":     {errors.New("input/output error"), "failed to commit tx: input/output error; see whether the disk"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			code := -1
			log := serverLogger(lastWords{dir: "/d", out: &out, exit: func(c int) { code = c }})
			log.Fatal("failed to commit tx", zap.Error(c.err))
			line := out.String()
			if code != 1 || strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, "berth: the datastore in /d cannot be written: ") || !strings.Contains(line, c.want) {
				t.Errorf("exit code %d: %s", code, line)
			}
		})
	}
}
