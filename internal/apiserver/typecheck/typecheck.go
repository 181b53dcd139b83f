// Package typecheck looks at the expressions of ValidatingAdmissionPolicies
// with the types of what they match, and writes what does not fit into their
// status. It runs within the API server, only once there is a policy.
package typecheck

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsscheme "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/scheme"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	applyv1 "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	listers "k8s.io/client-go/listers/admissionregistration/v1"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"berth.dev/berth/internal/openapi"
)

// manager is who owns the status.
const manager = "validatingadmissionpolicy-status-controller"

// retries is how often a failing policy is tried again before it has to change.
const retries = 10

// Checker keeps the statuses.
type Checker struct {
	client   kubernetes.Interface
	mapper   *restmapper.DeferredDiscoveryRESTMapper
	types    *validating.TypeChecker
	logger   *slog.Logger
	queue    workqueue.TypedRateLimitingInterface[string]
	policies listers.ValidatingAdmissionPolicyLister
}

// New returns a Checker that has not begun.
func New(client kubernetes.Interface, logger *slog.Logger) *Checker {
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	// The types of built-in kinds are known; only those of custom ones are asked for.
	known := resolver.NewDefinitionsSchemaResolver(openapi.GetOpenAPIDefinitions, scheme.Scheme, apiextensionsscheme.Scheme)
	return &Checker{
		client: client, mapper: mapper, logger: logger,
		types: &validating.TypeChecker{
			SchemaResolver: known.Combine(&resolver.ClientDiscoveryResolver{Discovery: client.Discovery()}), RestMapper: mapper,
		},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](10*time.Millisecond, time.Minute)),
	}
}

// Run works until ctx ends.
func (c *Checker) Run(ctx context.Context) error {
	defer c.queue.ShutDown()
	own := informers.NewSharedInformerFactory(c.client, 0)
	policies := own.Admissionregistration().V1().ValidatingAdmissionPolicies()
	c.policies = policies.Lister()
	if _, err := policies.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.changed,
		UpdateFunc: func(_, is any) { c.changed(is) },
	}); err != nil {
		return err
	}
	own.Start(ctx.Done())
	defer own.Shutdown()
	go func() {
		<-ctx.Done()
		c.queue.ShutDown()
	}()
	if !cache.WaitForCacheSync(ctx.Done(), policies.Informer().HasSynced) {
		return nil
	}
	for c.next(ctx) {
	}
	return nil
}

func (c *Checker) changed(obj any) {
	if p, ok := obj.(*admissionregistrationv1.ValidatingAdmissionPolicy); ok && p.Generation > p.Status.ObservedGeneration {
		c.queue.Add(p.Name)
	}
}

func (c *Checker) next(ctx context.Context) bool {
	name, shutdown := c.queue.Get()
	if shutdown {
		return false
	}
	defer c.queue.Done(name)
	err := c.check(ctx, name)
	switch {
	case err == nil || ctx.Err() != nil:
		c.queue.Forget(name)
	case c.queue.NumRequeues(name) < retries:
		c.queue.AddRateLimited(name)
	default:
		c.queue.Forget(name)
		c.logger.Warn("the types of a policy are not checked", "policy", name, "error", err)
	}
	return true
}

// check writes the status of one policy.
func (c *Checker) check(ctx context.Context, name string) error {
	policy, err := c.policies.Get(name)
	if apierrors.IsNotFound(err) || err == nil && policy.Generation <= policy.Status.ObservedGeneration {
		return nil
	}
	if err != nil {
		return err
	}
	c.mapper.Reset() // it may match kinds that are new
	types := applyv1.TypeChecking()
	for _, w := range c.types.Check(policy) {
		types.WithExpressionWarnings(applyv1.ExpressionWarning().WithFieldRef(w.FieldRef).WithWarning(w.Warning))
	}
	status := applyv1.ValidatingAdmissionPolicyStatus().WithObservedGeneration(policy.Generation).WithTypeChecking(types)
	_, err = c.client.AdmissionregistrationV1().ValidatingAdmissionPolicies().ApplyStatus(ctx,
		applyv1.ValidatingAdmissionPolicy(name).WithStatus(status), metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("status of policy %s: %w", name, err)
	}
	return nil
}
