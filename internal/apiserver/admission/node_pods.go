package admission

import (
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/apiserver/authz/node"
)

// pod: a node creates mirror pods of its own and deletes its own pods.
func (p *nodeRestriction) pod(r nodeRequest) error {
	switch r.GetOperation() {
	case admission.Create:
		return p.mirrorPod(r)
	case admission.Delete:
		pod, err := p.existing(r, r.GetName(), "")
		if err != nil {
			return err
		}
		if pod.Spec.NodeName != r.node {
			return r.refuse("node %q can only delete pods with spec.nodeName set to itself", r.node)
		}
		return nil
	default:
		return r.refuse("unexpected operation %q, node %q can only create and delete mirror pods", r.GetOperation(), r.node)
	}
}

// existing returns the pod as it is stored: of the request where that has it,
// else of the informer, and where that does not show the pod on the node, of
// the API: the node may have heard of its new pod first.
// An empty uid stands for any.
func (p *nodeRestriction) existing(r nodeRequest, name string, uid types.UID) (*corev1.Pod, error) {
	if pod, ok := r.GetOldObject().(*corev1.Pod); ok && pod != nil {
		return pod, nil
	}
	pod, err := p.pods.Pods(r.GetNamespace()).Get(name)
	if err == nil && pod.Spec.NodeName == r.node && (uid == "" || pod.UID == uid) {
		return pod, nil
	}
	pod, err = p.client.CoreV1().Pods(r.GetNamespace()).Get(r.ctx, name, metav1.GetOptions{})
	if err != nil && !errors.IsNotFound(err) {
		return nil, r.refuse("%w", err)
	}
	return pod, err
}

func (p *nodeRestriction) mirrorPod(r nodeRequest) error {
	pod, ok := r.GetObject().(*corev1.Pod)
	if !ok {
		return r.refuse("unexpected type %T", r.GetObject())
	}
	if !isMirror(pod) {
		return r.refuse("pod does not have %q annotation, node %q can only create mirror pods", corev1.MirrorPodAnnotationKey, r.node)
	}
	if pod.Spec.NodeName != r.node {
		return r.refuse("node %q can only create pods with spec.nodeName set to itself", r.node)
	}
	if err := p.owner(r, pod); err != nil {
		return err
	}
	if pod.Spec.ServiceAccountName != "" {
		return r.refuse("node %q can not create pods that reference a service account", r.node)
	}
	refs := node.Refers(pod)
	if refs.Secrets {
		return r.refuse("node %q can not create pods that reference secrets", r.node)
	}
	if refs.ConfigMaps {
		return r.refuse("node %q can not create pods that reference configmaps", r.node)
	}
	for _, v := range pod.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, from := range v.Projected.Sources {
			if from.ClusterTrustBundle != nil {
				return r.refuse("node %q can not create pods that reference clustertrustbundles", r.node)
			}
		}
	}
	if refs.Claims {
		return r.refuse("node %q can not create pods that reference persistentvolumeclaims", r.node)
	}
	return nil
}

// owner: a mirror pod belongs to its node, and goes with it.
func (p *nodeRestriction) owner(r nodeRequest, pod *corev1.Pod) error {
	switch len(pod.OwnerReferences) {
	case 0:
		return r.refuse("node %q can only create pods with an owner reference set to itself", r.node)
	case 1:
	default:
		return r.refuse("node %q can only create pods with a single owner reference set to itself", r.node)
	}
	owner := pod.OwnerReferences[0]
	switch {
	case owner.APIVersion != "v1" || owner.Kind != "Node" || owner.Name != r.node:
		return r.refuse("node %q can only create pods with an owner reference set to itself", r.node)
	case !ptr.Deref(owner.Controller, false):
		return r.refuse("node %q can only create pods with a controller owner reference set to itself", r.node)
	case ptr.Deref(owner.BlockOwnerDeletion, false):
		return r.refuse("node %q must not set blockOwnerDeletion on an owner reference", r.node)
	}
	self, err := p.nodes.Get(r.node)
	switch {
	case errors.IsNotFound(err):
		return err
	case err != nil:
		return r.refuse("error looking up node %s to verify uid: %w", r.node, err)
	case owner.UID != self.UID:
		return r.refuse("node %s UID mismatch: expected %s got %s", r.node, owner.UID, self.UID)
	}
	return nil
}

// podStatus: a node reports on its own pods, and relabels none.
func podStatus(r nodeRequest) error {
	if r.GetOperation() != admission.Update {
		return r.refuse("unexpected operation %q", r.GetOperation())
	}
	old, ok := r.GetOldObject().(*corev1.Pod)
	if !ok {
		return r.refuse("unexpected type %T", r.GetOldObject())
	}
	if old.Spec.NodeName != r.node {
		return r.refuse("node %q can only update pod status for pods with spec.nodeName set to itself", r.node)
	}
	pod, ok := r.GetObject().(*corev1.Pod)
	if !ok {
		return r.refuse("unexpected type %T", r.GetObject())
	}
	if !labels.Equals(old.Labels, pod.Labels) {
		return r.refuse("node %q cannot update labels through pod status", r.node)
	}
	if !equality.Semantic.DeepEqual(old.Status.ResourceClaimStatuses, pod.Status.ResourceClaimStatuses) {
		return r.refuse("node %q cannot update resource claim statues", r.node)
	}
	return nil
}

// eviction: a node evicts its own pods.
func (p *nodeRestriction) eviction(r nodeRequest) error {
	if r.GetOperation() != admission.Create {
		return r.refuse("unexpected operation %s", r.GetOperation())
	}
	eviction, ok := r.GetObject().(*policyv1.Eviction)
	if !ok {
		return r.refuse("unexpected type %T", r.GetObject())
	}
	name := r.GetName()
	if name == "" {
		name = eviction.Name
	}
	if name == "" {
		return r.refuse("could not determine pod from request data")
	}
	pod, err := p.existing(r, name, "")
	if err != nil {
		return err
	}
	if pod.Spec.NodeName != r.node {
		return r.refuse("node %s can only evict pods with spec.nodeName set to itself", r.node)
	}
	return nil
}
