package endpointslice

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/endpoint"
)

// EndpointsLoop returns the loop of Endpoints, which only old clients read. Each
// of its writes says again what all pods of a Service offer, so changes that
// follow soon are written together.
func EndpointsLoop() loop.Loop {
	return loop.Loop{
		Name: "endpoint", User: "system:serviceaccount:kube-system:endpoint-controller", Workers: 2,
		Watches: []loop.Watch{
			{Kind: &corev1.Service{}, Map: ofObject},
			{Kind: &corev1.Pod{}, Map: onPod},
			{Kind: &corev1.Endpoints{}, Map: ofObject},
		},
		New: func(env loop.Env) reconcile.Reconciler {
			return &legacy{env: env, own: loop.NewOwnWrites(env), services: map[types.NamespacedName]known{}}
		},
	}
}

// How long two looks at one Service keep a distance, and at most for one of many pods.
const (
	legacyRest    = time.Second
	legacyPerPod  = 4 * time.Millisecond
	legacyLongest = 5 * time.Second
)

type legacy struct {
	env loop.Env
	own *loop.OwnWrites

	mu       sync.Mutex
	services map[types.NamespacedName]known
}

// known is what the last look at a Service found.
type known struct {
	triggers endpoint.Triggers
	ended    time.Time
	pods     int
}

func (k known) rest(now time.Time) time.Duration {
	return k.ended.Add(min(legacyRest+time.Duration(k.pods)*legacyPerPod, legacyLongest)).Sub(now)
}

// Reconcile brings the Endpoints of one Service up to date.
func (c *legacy) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	key := req.NamespacedName
	if !c.own.Seen(ctx, key) {
		return reconcile.Result{RequeueAfter: loop.Lost}, nil
	}
	service := &corev1.Service{}
	if err := c.env.Cache.Get(ctx, key, service); apierrors.IsNotFound(err) {
		return reconcile.Result{}, c.cleanUp(ctx, key)
	} else if err != nil {
		return reconcile.Result{}, err
	}
	last, seen := c.of(key)
	if !selects(service) || service.DeletionTimestamp != nil {
		c.remember(key, known{ended: last.ended})
		return reconcile.Result{}, nil
	}
	now := c.env.Clock.Now()
	if rest := last.rest(now); seen && rest > 0 {
		return reconcile.Result{RequeueAfter: rest}, nil
	}
	state := endpoint.State{Service: service}
	var err error
	state.Pods, err = loop.List[*corev1.Pod](ctx, c.env.Cache, &corev1.PodList{}, client.InNamespace(service.Namespace),
		client.MatchingLabelsSelector{Selector: labels.SelectorFromSet(service.Spec.Selector)})
	if err != nil {
		return reconcile.Result{}, err
	}
	have, err := c.have(ctx, key)
	if err != nil {
		return reconcile.Result{}, err
	}
	triggers := endpoint.TriggersOf(state)
	since := triggers.Since(nil)
	if seen {
		since = triggers.Since(&last.triggers)
	}
	want := endpoint.Endpoints(state, have, since)
	if err := c.store(ctx, c.own.Writer(key), service, have, want); err != nil {
		return reconcile.Result{}, err
	}
	c.remember(key, known{triggers: triggers, ended: now, pods: len(state.Pods)})
	return reconcile.Result{}, nil
}

func (c *legacy) store(ctx context.Context, write loop.Writer, service *corev1.Service, have, want *corev1.Endpoints) error {
	if want == nil {
		return nil
	}
	reason, text, err := "FailedToUpdateEndpoint", "Failed to update endpoint %s/%s: %v", error(nil)
	if have == nil {
		reason, text = "FailedToCreateEndpoint", "Failed to create endpoint for service %s/%s: %v"
		err = write.Create(ctx, want)
	} else {
		err = write.Update(ctx, want)
	}
	switch {
	case err == nil || namespaceEnds(err):
		return nil
	case !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err):
		c.env.Events.Event(want, corev1.EventTypeWarning, reason, fmt.Sprintf(text, service.Namespace, service.Name, err))
	}
	return fmt.Errorf("write the Endpoints of service %s/%s: %w", service.Namespace, service.Name, err)
}

// cleanUp deletes what a Service leaves: what was written here, and what somebody
// wrote for one that this loop has seen. Endpoints that never had a Service are
// somebody's own.
func (c *legacy) cleanUp(ctx context.Context, key types.NamespacedName) error {
	_, seen := c.of(key)
	have, err := c.have(ctx, key)
	if err == nil && have != nil && (seen || have.Labels[endpoint.LegacyManagedBy] == endpoint.LegacyController) {
		err = client.IgnoreNotFound(c.own.Writer(key).Delete(ctx, have.DeepCopy(), client.Preconditions{UID: &have.UID}))
	}
	if err != nil {
		return fmt.Errorf("delete the Endpoints of service %s, which is gone: %w", key, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.services, key)
	return nil
}

// have is the Service's Endpoints object, nil when there is none.
func (c *legacy) have(ctx context.Context, key types.NamespacedName) (*corev1.Endpoints, error) {
	e := &corev1.Endpoints{}
	if err := c.env.Cache.Get(ctx, key, e); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return e, nil
}

func (c *legacy) of(key types.NamespacedName) (known, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, seen := c.services[key]
	return k, seen
}

func (c *legacy) remember(key types.NamespacedName, k known) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.services[key] = k
}

func ofObject(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(ev.Object())}}
}
