package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"berth.dev/berth/bench/figure"
)

// Size is how much is asked of a server in one repeat.
type Size struct {
	// Workers ask at once.
	Workers int
	// Creates, Updates and Gets are requests of one repeat. What is created stays.
	Creates, Updates, Gets int
	// Watchers are watched by FanOut writes one after the other, and by Burst
	// writes at once.
	Watchers, FanOut, Burst int
	// Informed are the writes that an informer is timed by.
	Informed int
}

// DefaultSize suits a machine with two cores.
var DefaultSize = Size{
	Workers: 16, Creates: 2000, Updates: 1000, Gets: 3000,
	Watchers: 1000, FanOut: 20, Burst: 40, Informed: 100,
}

// The namespaces: what is written and listed, what is watched, what informers see.
const (
	many    = "bench-many"
	watched = "bench-watched"
	noticed = "bench-noticed"
)

// Load is the load for one server.
type Load struct {
	config  *rest.Config
	client  kubernetes.Interface
	size    Size
	created int // pods in the first namespace
}

// New makes the load for the server that config leads to.
func New(config *rest.Config, size Size) (*Load, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Load{config: config, client: client, size: size}, nil
}

// Prepare makes the namespaces, with the account that pods run as: upstream's
// API server alone makes none.
func (l *Load) Prepare(ctx context.Context) error {
	for _, name := range []string{many, watched, noticed} {
		_, err := l.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("namespace %s: %w", name, err)
		}
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
		_, err = l.client.CoreV1().ServiceAccounts(name).Create(ctx, account, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("service account of %s: %w", name, err)
		}
	}
	return nil
}

// Step is one measurement.
type Step struct {
	Name string
	run  func(*Load, context.Context) (figure.Sample, error)
}

// Run measures once.
func (s Step) Run(ctx context.Context, l *Load) (figure.Sample, error) {
	sample, err := s.run(l, ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	return sample, nil
}

// Steps are all measurements: those of the first list write the pods that
// those of the second read.
var (
	Writing = []Step{
		{"create", (*Load).create},
		{"update", (*Load).update},
		{"get", (*Load).get},
	}
	Reading = []Step{
		{"list", (*Load).list},
		{"fan-out", (*Load).fanOut},
		{"informer", (*Load).informer},
	}
)

// FindStep finds a step by its name.
func FindStep(name string) (Step, bool) {
	for _, s := range append(append([]Step{}, Writing...), Reading...) {
		if s.Name == name {
			return s, true
		}
	}
	return Step{}, false
}

// rate is how many of n requests a second are answered when all workers ask.
func (l *Load) rate(ctx context.Context, n int, request func(ctx context.Context, i int) error) (float64, error) {
	began := time.Now()
	if err := each(ctx, l.size.Workers, n, request); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// each calls do for 0 to n-1 from some workers, until one fails.
func each(ctx context.Context, workers, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}
