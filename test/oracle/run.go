package oracle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	plan "berth.dev/berth/internal/plan/statefulset"
)

// Config says what to compare.
type Config struct {
	// Program is test/oracle/upstream, built.
	Program string
	// Seed, and the number of the first history; each begins with a drawn state.
	Seed, First uint64
	// States is how many states are compared at least.
	States int
	// Steps is how many syncs a history has at most.
	Steps int
	// Workers is how many programs run at once.
	Workers int
	// Rules are ours; plan.Upstream is to be no different.
	Rules plan.Rules
	// Most is after how many differences it ends.
	Most int
}

// Report is what was compared and found.
type Report struct {
	States, Histories, Skipped int
	// Writes counts what upstream did, by verb and kind.
	Writes      map[string]int
	Differences []Difference
	// Used counts the reasons for which upstream's answer was not taken as it is.
	Used map[string]int
}

// Difference is a state, made as plain as it goes, on which both disagree.
type Difference struct {
	History uint64
	Step    int
	State   *State
	Found   []string
}

func (d Difference) String() string {
	return fmt.Sprintf("history %d, step %d:\n%s%s", d.History, d.Step, d.State, strings.Join(d.Found, "\n"))
}

// Lines tell a report.
func (r *Report) Lines() []string {
	lines := []string{fmt.Sprintf("%d states in %d histories, %d differences; %d states left out", r.States, r.Histories, len(r.Differences), r.Skipped)}
	for _, counts := range []map[string]int{r.Writes, r.Used} {
		for _, what := range slices.Sorted(maps.Keys(counts)) {
			lines = append(lines, fmt.Sprintf("%8d  %s", counts[what], what))
		}
	}
	return lines
}

// Run compares until there are enough states or too many differences.
func Run(ctx context.Context, c Config) (*Report, error) {
	report, next := newReport(), atomic.Uint64{}
	next.Store(c.First)
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	for range c.Workers {
		group.Go(func() error {
			up, err := StartUpstream(ctx, c.Program)
			if err != nil {
				return err
			}
			for {
				part, err := history(ctx, up, &c, next.Add(1)-1)
				if err != nil {
					return errors.Join(err, up.Close())
				}
				mu.Lock()
				report.add(part)
				enough := report.States >= c.States || len(report.Differences) >= c.Most
				mu.Unlock()
				if enough {
					return up.Close()
				}
			}
		})
	}
	return report, group.Wait()
}

func newReport() *Report { return &Report{Writes: map[string]int{}, Used: map[string]int{}} }

func (r *Report) add(part *Report) {
	r.States, r.Histories, r.Skipped = r.States+part.States, r.Histories+1, r.Skipped+part.Skipped
	r.Differences = append(r.Differences, part.Differences...)
	for what, n := range part.Writes {
		r.Writes[what] += n
	}
	for reason, n := range part.Used {
		r.Used[reason] += n
	}
}

// history is a drawn state and what comes of it.
func history(ctx context.Context, up *Upstream, c *Config, n uint64) (*Report, error) {
	report := newReport()
	s := Draw(c.Seed, n)
	for step := range c.Steps {
		e, ours, found, err := look(ctx, up, s, c.Rules)
		if errors.Is(err, errUndecided) {
			report.Skipped++
			return report, nil
		} else if err != nil {
			return nil, fmt.Errorf("history %d, step %d: %w\n%s", n, step, err, s)
		}
		report.States++
		for what, n := range e.Writes {
			report.Writes[what] += n
		}
		for _, reason := range e.Used {
			report.Used[reason]++
		}
		if len(found) > 0 {
			d := Difference{History: n, Step: step}
			d.State = Shrink(s, func(s *State) bool {
				_, _, found, err := look(ctx, up, s, c.Rules)
				return err == nil && len(found) > 0
			})
			_, _, d.Found, err = look(ctx, up, d.State, c.Rules)
			report.Differences = append(report.Differences, d)
			return report, err
		}
		if s, err = s.after(ours.Writes); err != nil {
			return nil, err
		}
		React(s, c.Seed+n, uint64(step))
	}
	return report, nil
}

// look compares one sync.
func look(ctx context.Context, up *Upstream, s *State, rules plan.Rules) (*Expectation, *Answer, []string, error) {
	e, err := Expect(up, s)
	if err != nil {
		return nil, nil, nil, err
	}
	ours := Ours(ctx, s, rules)
	found, err := Compare(s, e, ours)
	return e, ours, found, err
}
