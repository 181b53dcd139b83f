package volume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/plan/trust"
)

// ref names a ConfigMap, a Secret or something of certificates that a volume shows.
type ref struct {
	kind      string // "configmap", "secret", …: as in upstream's messages
	namespace string
	name      string
}

// object is what is kept of it.
type object struct {
	version   string
	immutable bool
	data      map[string][]byte
	bundles   []trust.Bundle
	request   *certificatesv1.PodCertificateRequestStatus
}

// follows watches each object that pods of this node use, one by one: the
// node authorizer lets a node see nothing else. A watch lives as long as a
// pod uses its object.
type follows struct {
	client  kubernetes.Interface
	node    string
	clock   clock.WithTicker
	log     *slog.Logger
	changed func(users []types.UID)
	running sync.WaitGroup

	mu    sync.Mutex
	byRef map[ref]*follow
	byPod map[types.UID][]ref
}

// follow is one watched object.
type follow struct {
	ref
	stop context.CancelFunc
	used map[types.UID]bool // guarded by follows.mu

	mu     sync.Mutex
	synced bool    // the API server has answered
	object *object // nil when there is none
	err    error   // the last failure, cleared by an answer
	moved  chan struct{}
}

func newFollows(client kubernetes.Interface, node string, clk clock.WithTicker, log *slog.Logger, changed func([]types.UID)) *follows {
	return &follows{
		client: client, node: node, clock: clk, log: log, changed: changed,
		byRef: map[ref]*follow{}, byPod: map[types.UID][]ref{},
	}
}

// wait returns when all watches have ended, after the context of use.
func (f *follows) wait() { f.running.Wait() }

// use says which objects the pod uses now; life ends the watches.
func (f *follows) use(life context.Context, uid types.UID, refs []ref) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if life.Err() != nil {
		return
	}
	for _, r := range refs {
		f.begin(life, uid, r)
	}
	for _, r := range f.byPod[uid] {
		if !slices.Contains(refs, r) {
			f.drop(uid, r)
		}
	}
	f.byPod[uid] = refs
}

// also says that the pod uses one more object.
func (f *follows) also(life context.Context, uid types.UID, r ref) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if life.Err() == nil && !slices.Contains(f.byPod[uid], r) {
		f.begin(life, uid, r)
		f.byPod[uid] = append(slices.Clone(f.byPod[uid]), r)
	}
}

// begin follows an object for a pod. The lock is held.
func (f *follows) begin(life context.Context, uid types.UID, r ref) {
	one := f.byRef[r]
	if one == nil {
		ctx, stop := context.WithCancel(life)
		one = &follow{ref: r, stop: stop, used: map[types.UID]bool{}, moved: make(chan struct{})}
		f.byRef[r] = one
		f.running.Go(func() { f.run(ctx, one) })
	}
	one.used[uid] = true
}

// release ends the pod's use of all objects.
func (f *follows) release(uid types.UID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.byPod[uid] {
		f.drop(uid, r)
	}
	delete(f.byPod, uid)
}

func (f *follows) drop(uid types.UID, r ref) {
	one := f.byRef[r]
	if one == nil {
		return
	}
	delete(one.used, uid)
	if len(one.used) == 0 {
		one.stop()
		delete(f.byRef, r)
	}
}

// get returns the object as last seen, or a NotFound error. It waits for the
// first answer at most sync, and for an object that is missing at most missing.
func (f *follows) get(ctx context.Context, r ref, sync, missing time.Duration) (*object, error) {
	f.mu.Lock()
	one := f.byRef[r]
	f.mu.Unlock()
	if one == nil {
		return nil, fmt.Errorf("object %q/%q not registered", r.namespace, r.name)
	}
	timeout := f.clock.NewTimer(sync)
	defer timeout.Stop()
	patience := f.clock.NewTimer(missing)
	defer patience.Stop()
	patient := missing > 0
	for {
		one.mu.Lock()
		synced, object, moved, err := one.synced, one.object, one.moved, one.err
		one.mu.Unlock()
		if synced && object != nil {
			return object, nil
		}
		if synced && !patient {
			return nil, apierrors.NewNotFound(corev1.Resource(r.kind), r.name)
		}
		select {
		case <-moved:
		case <-patience.C():
			patient = false
		case <-timeout.C():
			if synced {
				patient = false
				continue
			}
			f.log.Warn("the API server does not answer about an object that a pod uses",
				"kind", r.kind, "namespace", r.namespace, "name", r.name, "error", err)
			return nil, fmt.Errorf("failed to sync %s cache: timed out waiting for the condition", r.kind)
		case <-ctx.Done():
			if err != nil {
				return nil, errors.Join(ctx.Err(), err)
			}
			return nil, ctx.Err()
		}
	}
}

// await returns the object once it is as wanted, or as it is when patience ends.
func (f *follows) await(ctx context.Context, r ref, patience time.Duration, wanted func(*object) bool) (*object, error) {
	f.mu.Lock()
	one := f.byRef[r]
	f.mu.Unlock()
	if one == nil {
		return nil, fmt.Errorf("object %q/%q not registered", r.namespace, r.name)
	}
	late := f.clock.NewTimer(patience)
	defer late.Stop()
	for {
		one.mu.Lock()
		synced, found, moved := one.synced, one.object, one.moved
		one.mu.Unlock()
		if synced && found == nil {
			return nil, apierrors.NewNotFound(certificatesv1.Resource(r.kind), r.name)
		}
		if synced && wanted(found) {
			return found, nil
		}
		if patience <= 0 {
			return nil, nil
		}
		select {
		case <-moved:
		case <-late.C():
			return found, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// run lists and watches the object until ctx ends.
func (f *follows) run(ctx context.Context, one *follow) {
	const shortest, longest = 10 * time.Millisecond, 5 * time.Second
	delay := shortest
	for ctx.Err() == nil {
		began := f.clock.Now()
		final, err := f.watch(ctx, one)
		if final || ctx.Err() != nil {
			return
		}
		if err != nil {
			one.mu.Lock()
			one.err = err
			one.mu.Unlock()
		}
		if f.clock.Since(began) > longest {
			delay = shortest // the watch had been fine
		}
		pause := f.clock.NewTimer(delay + rand.N(delay/4))
		select {
		case <-pause.C():
		case <-ctx.Done():
		}
		pause.Stop()
		delay = min(2*delay, longest)
	}
}

// watch reads the object and follows it until the watch ends; it is final when
// the object can never change.
func (f *follows) watch(ctx context.Context, one *follow) (final bool, err error) {
	access := f.access(one.ref)
	found, version, err := access.list(ctx)
	if err != nil {
		return false, err
	}
	f.set(one, found)
	if found != nil && found.immutable {
		return true, nil
	}
	watch, err := access.watch(ctx, version, int64(300+rand.N(300)))
	if err != nil {
		return false, err
	}
	defer watch.Stop()
	for {
		select {
		case event, ok := <-watch.ResultChan():
			if !ok {
				return false, nil
			}
			found, ours, err := access.read(event)
			if errors.Is(err, errAgain) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			if !ours {
				continue
			}
			f.set(one, found)
			if found != nil && found.immutable {
				return true, nil
			}
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// set records an answer and wakes those who wait for it or use it.
func (f *follows) set(one *follow, found *object) {
	one.mu.Lock()
	same := one.synced && ((found == nil && one.object == nil) ||
		(found != nil && one.object != nil && found.version != "" && found.version == one.object.version))
	first := !one.synced
	one.synced, one.err = true, nil
	if !same {
		one.object = found
		close(one.moved)
		one.moved = make(chan struct{})
	}
	one.mu.Unlock()
	if same || first && one.kind != certificate && one.kind != claimKind { // which nobody may be waiting for
		return
	}
	f.mu.Lock()
	users := slices.Collect(maps.Keys(one.used))
	f.mu.Unlock()
	f.changed(users)
}
