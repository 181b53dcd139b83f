package ipam

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/address"
	"berth.dev/berth/internal/plan/autopool"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// reconciler owns the ledger.
type reconciler struct {
	env     loop.Env
	own     *loop.OwnWrites
	builtin []spiderpoolv2beta1.SpiderIPPool

	// stateless: pods of StatefulSets are like any other.
	stateless bool

	ledger *address.Ledger // nil until open
	// specs are the pools by name.
	specs map[string]*spiderpoolv2beta1.SpiderIPPool
	// byApp says that some are for the pods of certain workloads.
	byApp bool
	// defaults are the open default pools by family, in the order of use.
	defaults map[address.Family][]string
	// unwritten are the pods whose record is not in the API yet.
	unwritten map[types.NamespacedName]bool
	// gone says since when a pod is known to be gone, ended whether it has ended.
	gone  map[types.NamespacedName]time.Time
	ended map[types.NamespacedName]types.UID
	// waiting are the pods that no pool had an address for, first come first
	// served; freed says that another try is worth while.
	waiting []types.NamespacedName
	told    map[types.NamespacedName]types.UID
	freed   bool
	// networks are what pods with further interfaces get, until they are gone.
	networks map[types.NamespacedName]resolved
	// rendered is the state of each pool's status.
	rendered map[string]rendering
	// silent are pools that changed without an event that wakes them.
	silent map[string]bool
}

func newReconciler(env loop.Env, builtin []spiderpoolv2beta1.SpiderIPPool) *reconciler {
	return &reconciler{
		env: env, own: loop.NewOwnWrites(env), builtin: builtin,
		unwritten: map[types.NamespacedName]bool{},
		gone:      map[types.NamespacedName]time.Time{},
		ended:     map[types.NamespacedName]types.UID{},
		told:      map[types.NamespacedName]types.UID{},
		networks:  map[types.NamespacedName]resolved{},
		rendered:  map[string]rendering{},
		silent:    map[string]bool{},
	}
}

// Reconcile handles one key, then the pods that wait for an address.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if err := r.open(ctx); err != nil {
		return reconcile.Result{}, err
	}
	again, err := r.one(ctx, req)
	if err == nil && r.freed {
		err = r.serve(ctx)
	}
	for _, pool := range slices.Sorted(maps.Keys(r.silent)) {
		if err != nil {
			break
		}
		var wait time.Duration
		if wait, err = r.pool(ctx, pool); wait == 0 && err == nil {
			delete(r.silent, pool)
		} else if again == 0 || wait < again {
			again = wait
		}
	}
	return reconcile.Result{RequeueAfter: again}, err
}

func (r *reconciler) one(ctx context.Context, req reconcile.Request) (time.Duration, error) {
	switch {
	case req.Namespace == "" && req.Name == anew:
		r.freed = len(r.waiting) > 0
		return 0, nil
	case req.Namespace == "" && req.Name == reserved:
		return 0, r.readReserved(ctx, r.env.Cache)
	case req.Namespace == "":
		return r.pool(ctx, req.Name)
	}
	name, ended := splitKey(req.Name)
	pod := types.NamespacedName{Namespace: req.Namespace, Name: name}
	if rec, ok := r.ledger.Record(pod); ok && ended != "" && rec.UID == ended {
		r.ended[pod] = ended
	}
	return r.pod(ctx, pod)
}

// open builds the ledger. It reads the API server itself: a grant that the
// cache does not show yet must not be given away again.
func (r *reconciler) open(ctx context.Context) error {
	if r.ledger != nil {
		return nil
	}
	endpoints := &spiderpoolv2beta1.SpiderEndpointList{}
	if err := r.env.Live.List(ctx, endpoints); err != nil {
		return fmt.Errorf("read the addresses held: %w", err)
	}
	pools := &spiderpoolv2beta1.SpiderIPPoolList{}
	if err := r.env.Live.List(ctx, pools); err != nil {
		return fmt.Errorf("read the address pools: %w", err)
	}
	ledger := address.NewLedger()
	slices.SortStableFunc(endpoints.Items, older) // of two holders the elder keeps the address
	for i := range endpoints.Items {
		e := &endpoints.Items[i]
		r.warnConflicts(e, ledger.Adopt(recordOf(e)))
	}
	for i := range r.builtin {
		p, err := poolOf(&r.builtin[i])
		if err != nil {
			return err
		}
		ledger.SetPool(p)
	}
	for i := range pools.Items {
		if p, err := poolOf(&pools.Items[i]); err == nil {
			ledger.SetPool(p)
		}
	}
	r.ledger = ledger
	if err := r.readReserved(ctx, r.env.Live); err != nil {
		r.ledger = nil
		return err
	}
	r.setSpecs(pools)
	r.defaults = r.defaultPools(pools)
	return nil
}

// setSpecs remembers the pools; the built-in ones may not exist as objects yet.
func (r *reconciler) setSpecs(pools *spiderpoolv2beta1.SpiderIPPoolList) {
	r.specs = make(map[string]*spiderpoolv2beta1.SpiderIPPool, len(pools.Items)+len(r.builtin))
	for i := range r.builtin {
		r.specs[r.builtin[i].Name] = &r.builtin[i]
	}
	r.byApp = false
	for i := range pools.Items {
		p := &pools.Items[i]
		r.specs[p.Name] = p
		r.byApp = r.byApp || autopool.ByApp(p)
	}
}

// readReserved tells the ledger which addresses nobody may have.
func (r *reconciler) readReserved(ctx context.Context, read client.Reader) error {
	list := &spiderpoolv2beta1.SpiderReservedIPList{}
	if err := read.List(ctx, list); err != nil {
		return fmt.Errorf("read the reserved addresses: %w", err)
	}
	var spans []address.Span
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp != nil {
			continue
		}
		for _, text := range list.Items[i].Spec.IPs {
			if span, err := address.ParseSpan(text); err == nil {
				spans = append(spans, span)
			}
		}
	}
	r.ledger.SetReserved(spans)
	r.freed = len(r.waiting) > 0
	return nil
}

func older(a, b spiderpoolv2beta1.SpiderEndpoint) int {
	return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
}

func (r *reconciler) warnConflicts(e *spiderpoolv2beta1.SpiderEndpoint, conflicts []address.Conflict) {
	for _, c := range conflicts {
		r.env.Events.Event(e, corev1.EventTypeWarning, "AddressConflict",
			fmt.Sprintf("address %s is held by pod %s too, which keeps it; delete pod %s to give it another one", c.Addr, c.Holder, c.Pod))
	}
}

// serve tries the waiting pods again, in order.
func (r *reconciler) serve(ctx context.Context) error {
	queue := r.waiting
	r.waiting = nil
	for i, pod := range queue {
		if _, err := r.pod(ctx, pod); err != nil {
			r.waiting = append(r.waiting, queue[i:]...) // freed stays set: the key that brought us here comes again
			return err
		}
	}
	r.freed = false
	return nil
}
