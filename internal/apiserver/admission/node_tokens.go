package admission

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// token: a node asks for tokens bound to its own pods, for audiences that the
// pod's volumes ask for.
func (p *nodeRestriction) token(r nodeRequest) error {
	if r.GetOperation() != admission.Create || r.GetSubresource() != "token" {
		return nil
	}
	request, ok := r.GetObject().(*authenticationv1.TokenRequest)
	if !ok {
		return r.refuse("unexpected type %T", r.GetObject())
	}
	ref := request.Spec.BoundObjectRef
	if ref == nil || ref.APIVersion != "v1" || ref.Kind != "Pod" || ref.Name == "" {
		return r.refuse("node requested token not bound to a pod")
	}
	if ref.UID == "" {
		return r.refuse("node requested token with a pod binding without a uid")
	}
	pod, err := p.existing(r, ref.Name, ref.UID)
	switch {
	case err != nil:
		return err
	case ref.UID != pod.UID:
		return r.refuse("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID)
	case pod.Spec.NodeName != r.node:
		return r.refuse("node requested token bound to a pod scheduled on a different node")
	}
	return p.audience(r, pod, request.Spec.Audiences)
}

func (p *nodeRestriction) audience(r nodeRequest, pod *corev1.Pod, wanted []string) error {
	if len(wanted) > 1 {
		return r.refuse("node may only request 0 or 1 audiences")
	}
	audience := ""
	if len(wanted) == 1 {
		audience = wanted[0]
	}
	for _, v := range pod.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, from := range v.Projected.Sources {
			if from.ServiceAccountToken != nil && from.ServiceAccountToken.Audience == audience {
				return nil
			}
		}
	}
	decision, _, err := p.authorizer.Authorize(r.ctx, authorizer.AttributesRecord{
		User: r.GetUserInfo(), Verb: "request-serviceaccounts-token-audience", ResourceRequest: true,
		APIVersion: "v1", Resource: audience, Namespace: r.GetNamespace(), Name: r.GetName(),
	})
	if err == nil && decision == authorizer.DecisionAllow {
		return nil
	}
	return r.refuse("audience %q not found in pod spec volume, %s is not authorized to request tokens for this audience", audience, r.GetUserInfo().GetName())
}
