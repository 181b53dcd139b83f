package api

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
)

// profile takes a CPU profile of Berth while a step runs, if that is wanted,
// and what was allocated by then at its end.
func (s *overTLS) profile(step string) (done func() error) {
	if *profiles == "" || s.title != "Berth" {
		return func() error { return nil }
	}
	s.steps++
	name := strconv.Itoa(s.steps) + "-" + step
	ctx := s.bench.b.Context()
	// A profile comes when its time is over, so it cannot end with the step.
	ended := make(chan error, 1)
	go func() { ended <- s.save(ctx, name, "profile", 2) }()
	return func() error {
		if err := <-ended; err != nil {
			return err
		}
		return s.save(ctx, name, "allocs", 0)
	}
}

// save asks for a profile and writes it to a file.
func (s *overTLS) save(ctx context.Context, name, kind string, seconds int) error {
	request := s.client.Discovery().RESTClient().Get().AbsPath("/debug/pprof/" + kind)
	if seconds > 0 {
		request.Param("seconds", strconv.Itoa(seconds))
	}
	data, err := request.Do(ctx).Raw()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(*profiles, name+"-"+kind+".prof"), data, 0o644)
}

// profileIdle takes both while nothing is asked of it.
func (s *overTLS) profileIdle(when string) error {
	if *profiles == "" || s.title != "Berth" {
		return nil
	}
	ctx := s.bench.b.Context()
	return errors.Join(s.save(ctx, "idle-"+when, "profile", 20), s.save(ctx, "idle-"+when, "heap", 0), s.save(ctx, "idle-"+when, "goroutine", 0))
}
