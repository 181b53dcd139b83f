package host

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// living are the hosts of this process whose test has not ended.
var living = hosts{all: map[*Host]bool{}}

type hosts struct {
	mu  sync.Mutex
	all map[*Host]bool
}

func (l *hosts) add(h *Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all[h] = true
}

func (l *hosts) remove(h *Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, h)
}

// endWhenTold waits until somebody has had enough (Ctrl-C), and ends all hosts
// and the process: a test's own cleanup is not run then.
func endWhenTold() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGINT) { // as it is for what runs in the background
		signal.Notify(told, syscall.SIGINT)
	}
	why := <-told
	fmt.Fprintf(os.Stderr, "\n%s: the test machines are removed\n", why)
	living.mu.Lock() // and never unlocked: there shall be no new ones
	for h := range living.all {
		if first := h.first; first != nil {
			_ = first.Process.Kill() // and with it all that runs there
		}
		if err := errors.Join(removeLoops(h.Dir), removeTraces(h.Dir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(130)
}

// removeTraces removes what a host that is off has left.
func removeTraces(dir string) error {
	err := removeCgroups(dir)
	if failed := removeAll(dir); failed != nil {
		err = errors.Join(err, fmt.Errorf("remove %s: %w", dir, failed))
	}
	return err
}
