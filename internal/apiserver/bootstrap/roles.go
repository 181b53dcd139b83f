package bootstrap

import (
	"context"
	"errors"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applyrbacv1 "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"berth.dev/berth/internal/apiserver/authz/rbac"
)

// Roles keeps the default roles and bindings in the API.
type Roles struct {
	client   kubernetes.Interface
	rbac     *rbac.Authorizer
	defaults rbac.Objects
	stored   stored
	changed  chan struct{} // holds one entry after a change
}

// NewRoles listens to the informers of f, which the caller starts.
func NewRoles(client kubernetes.Interface, f informers.SharedInformerFactory, authorizer *rbac.Authorizer, defaults rbac.Objects) (*Roles, error) {
	v1 := f.Rbac().V1()
	r := &Roles{
		client: client, rbac: authorizer, defaults: defaults, changed: make(chan struct{}, 1),
		stored: stored{v1.ClusterRoles().Lister(), v1.ClusterRoleBindings().Lister(), v1.Roles().Lister(), v1.RoleBindings().Lister()},
	}
	note := func(any) {
		select {
		case r.changed <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: note, DeleteFunc: note, UpdateFunc: func(_, obj any) { note(obj) }}
	for _, informer := range []cache.SharedIndexInformer{
		v1.ClusterRoles().Informer(), v1.ClusterRoleBindings().Informer(), v1.Roles().Informer(), v1.RoleBindings().Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Run writes what is missing and then keeps the rules of aggregated roles up
// to date until ctx ends. The informers must have synced. An error is worth
// another try.
func (r *Roles) Run(ctx context.Context) error {
	if err := r.reconcile(ctx); err != nil {
		return err
	}
	for r.missing() {
		select {
		case <-r.changed:
		case <-ctx.Done():
			return nil
		}
	}
	r.rbac.Settle()
	for {
		if err := r.aggregate(ctx); err != nil {
			return err
		}
		select {
		case <-r.changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// reconcile writes one object after the other: it shares the machine with a
// cluster that is starting.
func (r *Roles) reconcile(ctx context.Context) error {
	var errs []error
	for _, want := range r.defaults.ClusterRoles {
		errs = append(errs, ensure(ctx, r.client.RbacV1().ClusterRoles(), r.stored.clusterRole(want.Name), want, mergeClusterRole))
	}
	for _, want := range r.defaults.ClusterRoleBindings {
		have := r.stored.clusterRoleBinding(want.Name)
		if have != nil && have.RoleRef != want.RoleRef && !protected(have) {
			// A binding's role cannot be changed.
			errs = append(errs, remove(ctx, r.client.RbacV1().ClusterRoleBindings(), want.Name))
			have = nil
		}
		errs = append(errs, ensure(ctx, r.client.RbacV1().ClusterRoleBindings(), have, want, mergeClusterRoleBinding))
	}
	for _, want := range r.defaults.Roles {
		errs = append(errs, ensure(ctx, r.client.RbacV1().Roles(want.Namespace), r.stored.role(want.Namespace, want.Name), want, mergeRole))
	}
	for _, want := range r.defaults.RoleBindings {
		have := r.stored.roleBinding(want.Namespace, want.Name)
		if have != nil && have.RoleRef != want.RoleRef && !protected(have) {
			errs = append(errs, remove(ctx, r.client.RbacV1().RoleBindings(want.Namespace), want.Name))
			have = nil
		}
		errs = append(errs, ensure(ctx, r.client.RbacV1().RoleBindings(want.Namespace), have, want, mergeRoleBinding))
	}
	return errors.Join(errs...)
}

// missing says whether a default is not yet among what the informers know.
func (r *Roles) missing() bool {
	for _, o := range r.defaults.ClusterRoles {
		if r.stored.clusterRole(o.Name) == nil {
			return true
		}
	}
	for _, o := range r.defaults.ClusterRoleBindings {
		if r.stored.clusterRoleBinding(o.Name) == nil {
			return true
		}
	}
	for _, o := range r.defaults.Roles {
		if r.stored.role(o.Namespace, o.Name) == nil {
			return true
		}
	}
	for _, o := range r.defaults.RoleBindings {
		if r.stored.roleBinding(o.Namespace, o.Name) == nil {
			return true
		}
	}
	return false
}

// aggregator is the name under which upstream's controller owns gathered rules.
const aggregator = "clusterrole-aggregation-controller"

// aggregate applies the gathered rules to aggregated roles, where clients see
// them: whatever else a role says stays its writer's.
func (r *Roles) aggregate(ctx context.Context) error {
	all := r.stored.clusterRoleList()
	for _, role := range all {
		if role.AggregationRule == nil {
			continue
		}
		rules := rbac.Aggregate(role, all)
		if same(rules, role.Rules) {
			continue
		}
		want := applyrbacv1.ClusterRole(role.Name).WithUID(role.UID)
		for _, rule := range rules {
			want.WithRules(&applyrbacv1.PolicyRuleApplyConfiguration{
				Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources,
				ResourceNames: rule.ResourceNames, NonResourceURLs: rule.NonResourceURLs,
			})
		}
		_, err := r.client.RbacV1().ClusterRoles().Apply(ctx, want, metav1.ApplyOptions{FieldManager: aggregator, Force: true})
		// A conflict (the role was deleted, and perhaps made again) or a deletion
		// brings an event, and with it another turn.
		if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return fmt.Errorf("aggregating cluster role %s: %w", role.Name, err)
		}
	}
	return nil
}

// protected objects were taken over by an administrator.
func protected(have interface{ GetAnnotations() map[string]string }) bool {
	return have.GetAnnotations()[rbacv1.AutoUpdateAnnotationKey] == "false"
}
