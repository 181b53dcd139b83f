// Package staticpod reads the static pods of a node: those that files in a
// folder describe, one in each, as YAML or JSON. What becomes of them is said
// by internal/plan/staticpod.
package staticpod

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/node/dirwatch"
)

// relist is how often the folder is read though nothing told of a change.
const relist = 20 * time.Second

// Source is a folder of manifests.
type Source struct {
	Dir  string
	Node string
	// Refused is told once of each text that describes no pod; nil tells nobody.
	Refused func(file string, err error)
	Clock   clock.Clock
	Log     *slog.Logger

	files map[string]file
}

// file is what is known of one file.
type file struct {
	text string
	// pod is what the file said last that could be understood.
	pod *corev1.Pod
}

// Run calls changed with all pods of the folder at once and whenever they may
// have changed, until ctx ends. A folder that cannot be read is tried again and
// changes nothing.
func (s *Source) Run(ctx context.Context, changed func([]*corev1.Pod)) {
	var watch *dirwatch.Watch
	defer func() {
		if watch != nil {
			watch.Close()
		}
	}()
	for {
		if watch == nil {
			// Watched before it is read, so that nothing is missed.
			var err error
			if err = os.MkdirAll(s.Dir, 0o700); err == nil {
				watch, err = dirwatch.Dir(s.Dir)
			}
			if err != nil {
				s.Log.Warn("the folder of static pods cannot be watched", "folder", s.Dir, "error", err)
			}
		}
		wait := relist
		if pods, err := s.read(); err == nil {
			changed(pods)
		} else {
			s.Log.Warn("the folder of static pods cannot be read, trying again", "folder", s.Dir, "error", err)
			wait = time.Second
		}
		var events <-chan struct{}
		if watch != nil {
			events = watch.Events
		}
		timer := s.Clock.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-events:
		case <-timer.C():
			// The folder may be another one by now.
			if watch != nil {
				watch.Close()
				watch = nil
			}
		}
		timer.Stop()
	}
}

// read returns the pods in the order of the files' names. A file that describes
// no pod any more keeps the one that it did: half a file must not end a pod.
func (s *Source) read() ([]*corev1.Pod, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return nil, err
	}
	next := map[string]file{}
	var pods []*corev1.Pod
	for _, e := range entries {
		path := filepath.Join(s.Dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := os.Stat(path) // a link counts as what it leads to
		if errors.Is(err, os.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f, known := s.files[path]
		if !known || f.text != string(text) {
			f.text = string(text)
			pod, err := decode(text, s.Node, path, s.Clock.Now())
			switch {
			case err == nil:
				f.pod = pod
			case len(strings.TrimSpace(f.text)) > 0:
				s.refuse(path, err)
			}
		}
		next[path] = f
		if f.pod != nil {
			pods = append(pods, f.pod)
		}
	}
	s.files = next
	return pods, nil
}

func (s *Source) refuse(path string, err error) {
	err = fmt.Errorf("could not process manifest file: %w", err)
	s.Log.Warn("a file describes no pod", "file", path, "error", err)
	if s.Refused != nil {
		s.Refused(path, err)
	}
}
