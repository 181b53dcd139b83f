package admission

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"

	"berth.dev/berth/internal/apiserver/authz/node"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// nodeRestriction holds a node to writing about itself and its own pods.
type nodeRestriction struct {
	*admission.Handler
	client     kubernetes.Interface
	pods       corelisters.PodLister
	nodes      corelisters.NodeLister
	authorizer authorizer.Authorizer
}

func newNodeRestriction(o Options) *nodeRestriction {
	core := o.Informers.Core().V1()
	return &nodeRestriction{
		Handler:    admission.NewHandler(admission.Create, admission.Update, admission.Delete),
		client:     o.Client,
		pods:       core.Pods().Lister(),
		nodes:      core.Nodes().Lister(),
		authorizer: o.Authorizer,
	}
}

// nodeRequest is a request that a node made.
type nodeRequest struct {
	admission.Attributes
	ctx  context.Context
	node string
}

// refuse returns upstream's Forbidden.
func (r nodeRequest) refuse(format string, args ...any) error {
	return admission.NewForbidden(r, fmt.Errorf(format, args...))
}

// Admit implements admission.MutationInterface. It changes nothing, but it must
// judge before others add to the object.
func (p *nodeRestriction) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	name, isNode := node.Identity(a.GetUserInfo())
	if !isNode {
		return nil
	}
	r := nodeRequest{a, ctx, name}
	if name == "" {
		return r.refuse("could not determine node from user %q", a.GetUserInfo().GetName())
	}
	switch a.GetResource().GroupResource() {
	case corev1.Resource("pods"):
		switch a.GetSubresource() {
		case "":
			return p.pod(r)
		case "status":
			return podStatus(r)
		case "eviction":
			return p.eviction(r)
		default:
			return r.refuse("unexpected pod subresource %q, only 'status' and 'eviction' are allowed", a.GetSubresource())
		}
	case corev1.Resource("nodes"):
		return ownNode(r)
	case corev1.Resource("persistentvolumeclaims"):
		if a.GetSubresource() != "status" {
			return r.refuse("may only update PVC status")
		}
		return claimStatus(r)
	case corev1.Resource("persistentvolumes"):
		return p.localVolume(r)
	case snapshotv1.Contents.GroupResource():
		return p.localSnapshot(r)
	case corev1.Resource("serviceaccounts"):
		return p.token(r)
	case schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}:
		return ownLease(r)
	case schema.GroupResource{Group: "storage.k8s.io", Resource: "csinodes"}:
		return ownCSINode(r)
	case schema.GroupResource{Group: "certificates.k8s.io", Resource: "certificatesigningrequests"}:
		return ownCertificate(r)
	case schema.GroupResource{Group: "certificates.k8s.io", Resource: "podcertificaterequests"}:
		return p.podCertificate(r)
	}
	return nil
}
