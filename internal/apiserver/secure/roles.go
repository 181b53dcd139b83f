package secure

import (
	"context"
	"time"

	"berth.dev/berth/internal/apiserver"
)

const (
	retryFirst = 100 * time.Millisecond
	retryMost  = 10 * time.Second
)

// startRoles keeps the default roles in the background: readiness does not
// wait for some eighty writes.
func (p *parts) startRoles(ctx context.Context, _ apiserver.Parts) error {
	go p.keepRoles(ctx)
	return nil
}

func (p *parts) keepRoles(ctx context.Context) {
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
		err := p.roles.Run(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		p.o.Logger.Warn("writing the default roles: trying again", "error", err, "in", pause)
		again := p.o.Clock.NewTimer(pause)
		select {
		case <-again.C():
		case <-ctx.Done():
		}
		again.Stop()
	}
}
