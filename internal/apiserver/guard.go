package apiserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"

	"berth.dev/berth/internal/api"
)

// guarded adds to a kind's validation what depends on more than the object: who
// asks, and what else is stored.
func (g *groups) guarded(k api.Kind) api.Kind {
	switch k.GVK.GroupKind().String() {
	case "ResourceClaim.resource.k8s.io", "ResourceClaimTemplate.resource.k8s.io":
		return g.adminAccess(k)
	case "ValidatingAdmissionPolicy.admissionregistration.k8s.io", "MutatingAdmissionPolicy.admissionregistration.k8s.io",
		"ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding.admissionregistration.k8s.io":
		return g.readers(k)
	}
	return k
}

// adminAccess lets devices be used by others' leave only in namespaces that
// say so.
func (g *groups) adminAccess(k api.Kind) api.Kind {
	validate, status := k.Validate, k.ValidateStatusUpdate
	k.Validate = func(ctx context.Context, obj runtime.Object) field.ErrorList {
		var errs field.ErrorList
		switch o := obj.(type) {
		case *resourcev1.ResourceClaim:
			errs = g.adminRequests(o.Spec.Devices.Requests, o.Namespace)
		case *resourcev1.ResourceClaimTemplate:
			errs = g.adminRequests(o.Spec.Spec.Devices.Requests, o.Namespace)
		}
		return append(errs, validate(ctx, obj)...)
	}
	if status == nil {
		return k
	}
	k.ValidateStatusUpdate = func(ctx context.Context, obj, old runtime.Object) field.ErrorList {
		claim, was := obj.(*resourcev1.ResourceClaim), old.(*resourcev1.ResourceClaim)
		var errs field.ErrorList
		if i := adminResult(claim); i >= 0 && adminResult(was) < 0 {
			errs = g.labelled(field.NewPath("status", "allocation", "devices", "results").Index(i).Child("adminAccess"), claim.Namespace)
		}
		return append(errs, status(ctx, obj, old)...)
	}
	return k
}

func (g *groups) adminRequests(requests []resourcev1.DeviceRequest, namespace string) field.ErrorList {
	i := slices.IndexFunc(requests, func(r resourcev1.DeviceRequest) bool {
		return r.Exactly != nil && r.Exactly.AdminAccess != nil && *r.Exactly.AdminAccess
	})
	if i < 0 {
		return nil
	}
	return g.labelled(field.NewPath("spec", "devices", "requests").Index(i).Child("adminAccess"), namespace)
}

// adminResult is the first result with admin access, -1 if there is none.
func adminResult(claim *resourcev1.ResourceClaim) int {
	if claim.Status.Allocation == nil {
		return -1
	}
	return slices.IndexFunc(claim.Status.Allocation.Devices.Results, func(r resourcev1.DeviceRequestAllocationResult) bool {
		return r.AdminAccess != nil && *r.AdminAccess
	})
}

func (g *groups) labelled(p *field.Path, namespace string) field.ErrorList {
	obj, err := g.mains["namespaces"].Get(clusterWide(), namespace, &metav1.GetOptions{})
	if err != nil {
		return field.ErrorList{field.InternalError(p, fmt.Errorf("could not retrieve namespace to verify admin access: %w", err))}
	}
	if obj.(*corev1.Namespace).Labels[resourcev1.DRAAdminNamespaceLabelKey] != "true" {
		return field.ErrorList{field.Forbidden(p, fmt.Sprintf("admin access to devices requires the `%s: true` label on the containing namespace", resourcev1.DRAAdminNamespaceLabelKey))}
	}
	return nil
}

// readers lets only those name parameters of policies who may read these: what
// a policy says of them would tell others.
func (g *groups) readers(k api.Kind) api.Kind {
	validate, update := k.Validate, k.ValidateUpdate
	k.Validate = func(ctx context.Context, obj runtime.Object) field.ErrorList {
		errs := validate(ctx, obj)
		if len(errs) == 0 {
			errs = g.mayRead(ctx, parametersOf(obj))
		}
		return errs
	}
	k.ValidateUpdate = func(ctx context.Context, obj, old runtime.Object) field.ErrorList {
		errs := update(ctx, obj, old)
		if now := parametersOf(obj); len(errs) == 0 && !now.same(parametersOf(old)) {
			errs = g.mayRead(ctx, now)
		}
		return errs
	}
	return k
}

// parameters are what a policy, or its binding, says of them.
type parameters struct {
	kind *admissionregistrationv1.ParamKind
	ref  *admissionregistrationv1.ParamRef
	// resource and policy name the policy of a binding.
	resource, policy string
}

func (p parameters) same(q parameters) bool {
	return p.policy == q.policy && equality.Semantic.DeepEqual(p.kind, q.kind) && equality.Semantic.DeepEqual(p.ref, q.ref)
}

func parametersOf(obj runtime.Object) parameters {
	switch o := obj.(type) {
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		return parameters{kind: o.Spec.ParamKind}
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		return parameters{kind: o.Spec.ParamKind}
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		return parameters{ref: o.Spec.ParamRef, resource: "validatingadmissionpolicies", policy: o.Spec.PolicyName}
	case *admissionregistrationv1.MutatingAdmissionPolicyBinding:
		return parameters{ref: o.Spec.ParamRef, resource: "mutatingadmissionpolicies", policy: o.Spec.PolicyName}
	}
	return parameters{}
}

func (g *groups) mayRead(ctx context.Context, p parameters) field.ErrorList {
	who, known := request.UserFrom(ctx)
	if p.kind == nil && p.ref == nil || g.server.parts.Authorizer == nil || known && slices.Contains(who.GetGroups(), user.SystemPrivilegedGroup) {
		return nil
	}
	path, err := field.NewPath("spec", "paramKind"), errors.New("cannot identify user to authorize read access to paramKind resources")
	switch {
	case p.ref != nil && known:
		path, err = field.NewPath("spec", "paramRef"), g.mayReadReferred(ctx, who, p)
	case p.ref != nil:
		path, err = field.NewPath("spec", "paramRef"), errors.New("cannot identify user to authorize read access to paramRef object")
	case known:
		err = g.mayReadKind(ctx, who, p.kind)
	}
	if err == nil {
		return nil
	}
	return field.ErrorList{field.Forbidden(path, err.Error())}
}

// mayReadKind wants the right to read every object of the kind.
func (g *groups) mayReadKind(ctx context.Context, who user.Info, kind *admissionregistrationv1.ParamKind) error {
	of, _, _ := g.resourceOf(kind)
	may, err := g.may(ctx, who, "get", of, "*", "*")
	if err == nil && !may {
		err = fmt.Errorf(`user %v must have "get" permission on all objects of the referenced paramKind (kind=%s, apiVersion=%s)`, who, kind.Kind, kind.APIVersion)
	}
	return err
}

// mayReadReferred wants the right to read what a binding refers to; where that
// cannot be told, to everything.
func (g *groups) mayReadReferred(ctx context.Context, who user.Info, p parameters) error {
	of := schema.GroupVersionResource{Group: "*", Version: "*", Resource: "*"}
	var policyErr, versionErr, resourceErr error
	var kind *admissionregistrationv1.ParamKind
	policy, policyErr := g.mains[p.resource+".admissionregistration.k8s.io"].Get(clusterWide(), p.policy, &metav1.GetOptions{})
	if policyErr == nil {
		if kind = parametersOf(policy).kind; kind != nil {
			of, versionErr, resourceErr = g.resourceOf(kind)
		}
	}
	verb := "get"
	if p.ref.Name == "" {
		verb = "list"
	}
	may, err := g.may(ctx, who, verb, of, p.ref.Namespace, p.ref.Name)
	const everything = ` to determine minimum required permissions and user %v does not have "%v" permission for all groups, versions and resources`
	switch {
	case err != nil:
		return fmt.Errorf("failed to authorize request: %w", err)
	case may:
		return nil
	case policyErr != nil:
		return fmt.Errorf("unable to get policy %s"+everything, p.policy, who, verb)
	case versionErr != nil:
		return fmt.Errorf("unable to parse paramKind %v"+everything, kind, who, verb)
	case resourceErr != nil:
		return fmt.Errorf("unable to resolve paramKind %v"+everything, kind, who, verb)
	}
	return fmt.Errorf(`user %v does not have "%v" permission on the object referenced by paramRef`, who, verb)
}

func (g *groups) may(ctx context.Context, who user.Info, verb string, of schema.GroupVersionResource, namespace, name string) (bool, error) {
	decision, _, err := g.server.parts.Authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: who, Verb: verb, ResourceRequest: true, Namespace: namespace, Name: name,
		APIGroup: of.Group, APIVersion: of.Version, Resource: of.Resource,
	})
	return decision == authorizer.DecisionAllow, err
}

// resourceOf is where objects of a kind are read; what cannot be told is a star.
func (g *groups) resourceOf(kind *admissionregistrationv1.ParamKind) (of schema.GroupVersionResource, versionErr, resourceErr error) {
	of = schema.GroupVersionResource{Group: "*", Version: "*", Resource: "*"}
	gv, err := schema.ParseGroupVersion(kind.APIVersion)
	if err != nil {
		return of, err, nil
	}
	of.Group, of.Version = gv.Group, gv.Version
	list, err := g.server.parts.Client.Discovery().ServerResourcesForGroupVersion(kind.APIVersion)
	if err != nil {
		return of, nil, err
	}
	i := slices.IndexFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Kind == kind.Kind && !strings.Contains(r.Name, "/") })
	if i < 0 {
		return of, nil, fmt.Errorf("no resource of kind %s in %s", kind.Kind, kind.APIVersion)
	}
	of.Resource = list.APIResources[i].Name
	return of, nil, nil
}
