package main

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"net/http"
	"time"
)

// product is something to buy.
type product struct {
	Name  string `json:"name"`
	Price int    `json:"price"` // in cents
	Sold  int    `json:"sold"`
}

// order is what a customer bought.
type order struct {
	ID       string `json:"id"`
	Product  string `json:"product"`
	Quantity int    `json:"quantity"`
	Total    int    `json:"total"`
}

// keyHeader names an order, so that sending it twice buys once. Go's client
// repeats a request that carries it when a kept connection was closed.
const keyHeader = "Idempotency-Key"

// storeClient asks the members of the store.
type storeClient struct {
	members []string
	key     string
}

func (c storeClient) header() http.Header {
	return http.Header{"Authorization": {"Bearer " + c.key}}
}

// keep has an order written by the first member that can.
func (c storeClient) keep(ctx context.Context, o order) error {
	return c.any(ctx, patience, o.ID, func(member string) error {
		return ask(ctx, http.MethodPut, member+"/orders/"+o.ID, c.header(), o, nil)
	})
}

// orders are all that any member has.
func (c storeClient) orders(ctx context.Context) ([]order, error) {
	var out []order
	err := c.any(ctx, patience, "", func(member string) error {
		out = nil
		return ask(ctx, http.MethodGet, member+"/orders", c.header(), nil, &out)
	})
	return out, err
}

// order is one, from any member that has it.
func (c storeClient) order(ctx context.Context, id string) (order, error) {
	var out order
	err := c.any(ctx, patience, id, func(member string) error {
		return ask(ctx, http.MethodGet, member+"/orders/"+id, c.header(), nil, &out)
	})
	return out, err
}

// sold is how many of each product.
func (c storeClient) sold(ctx context.Context) (map[string]int, error) {
	var out map[string]int
	err := c.any(ctx, 0, "", func(member string) error {
		return ask(ctx, http.MethodGet, member+"/sold", c.header(), nil, &out)
	})
	return out, err
}

// patience is how long an order waits for any member of the store.
const patience = 5 * time.Second

// any asks one member after the other until one answers, and goes round again: a
// member may be away while its node or its pod is replaced, and while one comes
// back as the other goes, each may be asked in the wrong moment. What a member
// refuses is not asked again. It goes round once at least.
func (c storeClient) any(ctx context.Context, patience time.Duration, spread string, do func(member string) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var failures []error
		for i := range c.members {
			member := c.members[(i+pick(spread, len(c.members)))%len(c.members)]
			err := do(member)
			if err == nil {
				return nil
			}
			slog.Warn("a member of the store did not answer", "member", member, "err", err)
			failures = append(failures, err)
		}
		err := errors.Join(failures...)
		if code(err) < 500 {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// pick is a number below n, the same for the same key.
func pick(key string, n int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails
	return int(h.Sum32() % uint32(n))
}
