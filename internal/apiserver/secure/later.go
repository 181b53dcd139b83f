package secure

import (
	"context"
	"time"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/bootstrap"
)

const (
	retryFirst = 100 * time.Millisecond
	retryMost  = 10 * time.Second
)

// startRoles keeps the default roles in the background: readiness does not
// wait for some eighty writes.
func (p *parts) startRoles(ctx context.Context, _ apiserver.Parts) error {
	go p.later(ctx, "the default roles", p.roles.Run)
	return nil
}

// startPriorityClasses writes the priority classes of the system, which
// admission knows without them.
func (p *parts) startPriorityClasses(ctx context.Context, s apiserver.Parts) error {
	go p.later(ctx, "the priority classes of the system", func(ctx context.Context) error {
		return bootstrap.PriorityClasses(ctx, s.Client)
	})
	return nil
}

// startFlowControl writes upstream's flow schemas and priority levels.
func (p *parts) startFlowControl(ctx context.Context, s apiserver.Parts) error {
	go p.later(ctx, "the default flow schemas", func(ctx context.Context) error {
		return bootstrap.FlowControl(ctx, s.Client)
	})
	return nil
}

// later writes what the start does not wait for, and tries until it succeeds.
func (p *parts) later(ctx context.Context, what string, write func(context.Context) error) {
	if p.o.RolesAfter != nil {
		late := p.o.Clock.NewTimer(p.o.RolesAtTheLatest)
		select {
		case <-p.o.RolesAfter:
		case <-late.C():
		case <-ctx.Done():
		}
		late.Stop()
	}
	for pause := retryFirst; ctx.Err() == nil; pause = min(2*pause, retryMost) {
		err := write(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		p.o.Logger.Warn("writing "+what+": trying again", "error", err, "in", pause)
		again := p.o.Clock.NewTimer(pause)
		select {
		case <-again.C():
		case <-ctx.Done():
		}
		again.Stop()
	}
}
