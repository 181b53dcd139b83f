package main

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// copyHeader marks an order that another member passes on.
const copyHeader = "Shop-Copy"

// copy passes an order on. A member that is away reads it later by itself.
func (s *store) copy(ctx context.Context, o order) {
	header := s.header()
	header.Set(copyHeader, "1")
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for _, other := range s.others {
		if err := ask(ctx, http.MethodPut, other+"/orders/"+o.ID, header, o, nil); err != nil {
			slog.Warn("an order was not copied yet", "order", o.ID, "to", other, "err", err)
		}
	}
}

// follow reads every second what the others have more.
func (s *store) follow(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for _, other := range s.others {
			if err := s.read(ctx, other); err != nil {
				slog.Warn("the orders of another member were not read", "member", other, "err", err)
			}
		}
		s.mu.Lock()
		s.even = true
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *store) read(ctx context.Context, other string) error {
	s.mu.Lock()
	after := s.seen[other]
	s.mu.Unlock()
	var more []order
	if err := ask(ctx, http.MethodGet, other+"/orders?after="+strconv.Itoa(after), s.header(), nil, &more); err != nil {
		if code(err) == http.StatusGone { // it has a new disk
			s.mu.Lock()
			delete(s.seen, other)
			s.mu.Unlock()
		}
		return err
	}
	if err := s.keep(more...); err != nil {
		return err
	}
	s.mu.Lock()
	s.seen[other] = after + len(more)
	s.mu.Unlock()
	return nil
}

func (s *store) header() http.Header { return storeClient{key: s.key}.header() }
