package serviceaccount

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Getters read what a token is made for and bound to.
type Getters struct{ Accounts, Pods, Secrets, Nodes rest.Getter }

// Token serves serviceaccounts/token.
type Token struct {
	get    Getters
	minter Minter
}

var (
	_ rest.NamedCreater             = &Token{}
	_ rest.GroupVersionKindProvider = &Token{}
)

// NewToken returns the endpoint.
func NewToken(get Getters, minter Minter) *Token { return &Token{get, minter} }

var tokenRequest = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")

// GroupVersionKind implements rest.GroupVersionKindProvider.
func (*Token) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind { return tokenRequest }

// New implements rest.Storage.
func (*Token) New() runtime.Object { return &authenticationv1.TokenRequest{} }

// Destroy implements rest.Storage.
func (*Token) Destroy() {}

// Create implements rest.NamedCreater.
func (t *Token) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	req, ok := obj.(*authenticationv1.TokenRequest)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenRequest: %T", obj))
	}
	namespace, ok := request.NamespaceFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("namespace is required")
	}
	if err := sameName(req, name, namespace); err != nil {
		return nil, err
	}
	found, err := t.get.Accounts.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	account := found.(*corev1.ServiceAccount)
	req.Name, req.Namespace = account.Name, account.Namespace
	if validate != nil {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	bound, err := t.bind(ctx, name, namespace, req.Spec.BoundObjectRef)
	if err != nil {
		return nil, err
	}
	req.CreationTimestamp = metav1.Now()
	return req, t.minter.Mint(ctx, account, bound, req)
}

func sameName(req *authenticationv1.TokenRequest, name, namespace string) error {
	path := field.NewPath("metadata")
	if req.Name != "" && req.Name != name {
		return apierrors.NewInvalid(tokenRequest.GroupKind(), name, field.ErrorList{
			field.Invalid(path.Child("name"), req.Name, "must match the service account name if specified"),
		})
	}
	if req.Namespace != "" && req.Namespace != namespace {
		return apierrors.NewInvalid(tokenRequest.GroupKind(), name, field.ErrorList{
			field.Invalid(path.Child("namespace"), req.Namespace, "must match the service account namespace if specified"),
		})
	}
	return nil
}

// bind finds the object that the token is to die with.
func (t *Token) bind(ctx context.Context, account, namespace string, ref *authenticationv1.BoundObjectReference) (Bound, error) {
	var (
		b   Bound
		uid types.UID
	)
	if ref == nil {
		return b, nil
	}
	gvk := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	switch gvk.GroupKind().String() {
	case "Pod":
		obj, err := t.get.Pods.Get(about(ctx, "pods", namespace, ref.Name), ref.Name, &metav1.GetOptions{})
		if err != nil {
			return b, err
		}
		b.Pod = obj.(*corev1.Pod)
		if b.Pod.Spec.ServiceAccountName != account {
			return b, apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", account))
		}
		uid = b.Pod.UID
		if node := b.Pod.Spec.NodeName; node != "" {
			obj, err := t.get.Nodes.Get(about(ctx, "nodes", "", node), node, &metav1.GetOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return b, err
			}
			if err == nil {
				b.Node = obj.(*corev1.Node)
			}
		}
	case "Secret":
		obj, err := t.get.Secrets.Get(about(ctx, "secrets", namespace, ref.Name), ref.Name, &metav1.GetOptions{})
		if err != nil {
			return b, err
		}
		b.Secret = obj.(*corev1.Secret)
		uid = b.Secret.UID
	case "Node":
		obj, err := t.get.Nodes.Get(about(ctx, "nodes", "", ref.Name), ref.Name, &metav1.GetOptions{})
		if err != nil {
			return b, err
		}
		b.Node = obj.(*corev1.Node)
		uid = b.Node.UID
	default:
		return b, apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s", gvk.String()))
	}
	if ref.UID != "" && uid != ref.UID {
		return b, apierrors.NewConflict(schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}, ref.Name,
			fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID))
	}
	return b, nil
}

// about is a context for reading another resource, which names that resource in errors.
func about(ctx context.Context, resource, namespace, name string) context.Context {
	ctx = request.WithRequestInfo(ctx, &request.RequestInfo{
		IsResourceRequest: true, Verb: "get", APIVersion: "v1",
		Resource: resource, Namespace: namespace, Name: name,
	})
	return request.WithNamespace(ctx, namespace)
}
