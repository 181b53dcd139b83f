// Package usage serves metrics.k8s.io: what nodes and pods use of processors
// and memory. Node agents are asked when somebody asks, and nothing is kept but
// the last two answers of each.
package usage

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	plan "berth.dev/berth/internal/plan/usage"
)

const (
	// freshFor is how long an answer is good for all who ask.
	freshFor = 10 * time.Second
	// longest is the longest window: what was used before then says nothing about now.
	longest = 90 * time.Second
	// firstWindow is how far apart two samples are when there is none of before.
	firstWindow = time.Second
	// patience bounds the wait for one node.
	patience = 5 * time.Second
	// atOnce is how many nodes are asked at once.
	atOnce = 16
)

// Fetch asks the agent of a node for its /metrics/resource.
type Fetch func(ctx context.Context, node string) ([]byte, error)

// Sampler knows what nodes use now.
type Sampler struct {
	fetch Fetch
	clock clock.Clock

	mu    sync.Mutex
	nodes map[string]*node
}

// node is what is known of one node. asking is held by who asks it.
type node struct {
	asking chan struct{}
	sample *plan.Sample
	at     time.Time // of sample
	rates  plan.Rates
	known  bool // rates are
	asked  time.Time
}

// NewSampler asks by fetch.
func NewSampler(fetch Fetch, c clock.Clock) *Sampler {
	return &Sampler{fetch: fetch, clock: c, nodes: map[string]*node{}}
}

// Rates returns what these nodes use. One that cannot be asked is left out.
func (s *Sampler) Rates(ctx context.Context, names []string) map[string]plan.Rates {
	out := make(map[string]plan.Rates, len(names))
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, name := range names {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			rates, err := s.node(ctx, name)
			if err != nil {
				klog.V(2).InfoS("A node does not say what it uses", "node", name, "err", err)
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			out[name] = rates
			return nil
		})
	}
	_ = group.Wait()
	return out
}

// node asks one node unless it was asked just now.
func (s *Sampler) node(ctx context.Context, name string) (plan.Rates, error) {
	n := s.entry(name)
	select {
	case n.asking <- struct{}{}:
		defer func() { <-n.asking }()
	case <-ctx.Done():
		return plan.Rates{}, ctx.Err()
	}
	if n.known && s.clock.Since(n.at) < freshFor {
		return n.rates, nil
	}
	before := n.sample
	if before == nil || s.clock.Since(n.at) > longest {
		var err error
		if before, err = s.ask(ctx, name); err != nil {
			return plan.Rates{}, err
		}
		select {
		case <-s.clock.After(firstWindow):
		case <-ctx.Done():
			return plan.Rates{}, ctx.Err()
		}
	}
	after, err := s.ask(ctx, name)
	if err != nil {
		return plan.Rates{}, err
	}
	n.sample, n.at, n.rates, n.known = after, s.clock.Now(), plan.Between(before, after), true
	return n.rates, nil
}

func (s *Sampler) ask(ctx context.Context, name string) (*plan.Sample, error) {
	text, err := s.fetch(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("ask node %s what it uses: %w", name, err)
	}
	return plan.Parse(text)
}

// entry is the node's; those that nobody has asked about for long are forgotten.
func (s *Sampler) entry(name string) *node {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	for other, n := range s.nodes {
		if now.Sub(n.asked) > longest {
			delete(s.nodes, other)
		}
	}
	n := s.nodes[name]
	if n == nil {
		n = &node{asking: make(chan struct{}, 1)}
		s.nodes[name] = n
	}
	n.asked = now
	return n
}
