package app

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/join"
)

func TestWhyATokenIsRefused(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	wrong := fmt.Errorf("asked: %w", errRefused)
	for _, x := range []struct {
		name    string
		err     error
		expires time.Time
		says    string
	}{
		{"it has ended", wrong, now.Add(-time.Hour), "--token: it expired at 2026-01-02T11:00:00Z"},
		{"it was deleted", wrong, now.Add(time.Hour), "--token: asked: the servers refuse it"},
		{"it never ends", wrong, time.Time{}, "--token: asked: the servers refuse it"},
		{"something else", errors.New("no server answers"), now.Add(-time.Hour), "no server answers"},
	} {
		if err := refused(x.err, join.Token{Expires: x.expires}, now); !strings.HasPrefix(err.Error(), x.says) {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}
