package api

import (
	"context"
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
	ctx := s.bench.b.Context()
	save := func(ctx context.Context, kind, seconds string) error {
		request := s.client.Discovery().RESTClient().Get().AbsPath("/debug/pprof/" + kind)
		if seconds != "" {
			request.Param("seconds", seconds)
		}
		data, err := request.Do(ctx).Raw()
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(*profiles, strconv.Itoa(s.steps)+"-"+step+"-"+kind+".prof"), data, 0o644)
	}
	// A profile comes when its time is over, so it cannot end with the step.
	ended := make(chan error, 1)
	go func() { ended <- save(ctx, "profile", "2") }()
	return func() error {
		if err := <-ended; err != nil {
			return err
		}
		return save(ctx, "allocs", "")
	}
}
