package admission

import (
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"

	"berth.dev/berth/internal/api/certificates"
)

// ownCertificate: a node asks for certificates in its own name only.
func ownCertificate(r nodeRequest) error {
	if r.GetOperation() != admission.Create {
		return nil
	}
	csr, ok := r.GetObject().(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return r.refuse("unexpected type %T", r.GetObject())
	}
	switch csr.Spec.SignerName {
	case certificatesv1.KubeletServingSignerName, certificatesv1.KubeAPIServerClientKubeletSignerName:
	default:
		return nil
	}
	parsed, err := certificates.ParseRequest(csr.Spec.Request)
	if err != nil {
		return r.refuse("unable to parse csr: %w", err)
	}
	if parsed.Subject.CommonName != r.GetUserInfo().GetName() {
		return r.refuse("can only create a node CSR with CN=%s", r.GetUserInfo().GetName())
	}
	return nil
}

// podCertificate: a node asks for certificates of the pods that run on it, and
// for those signers that the pods have volumes of.
func (p *nodeRestriction) podCertificate(r nodeRequest) error {
	if r.GetOperation() != admission.Create {
		return r.refuse("unexpected operation %v, node %q can only create PodCertificateRequests", r.GetOperation(), r.node)
	}
	if r.GetSubresource() != "" {
		return nil
	}
	req, ok := r.GetObject().(*certificatesv1.PodCertificateRequest)
	if !ok {
		return r.refuse("unexpected type %T", r.GetObject())
	}
	spec := &req.Spec
	if string(spec.NodeName) != r.node {
		return r.refuse("PodCertificateRequest.Spec.NodeName=%q, which is not the requesting node %q", spec.NodeName, r.node)
	}
	pod, err := p.existing(r, spec.PodName, spec.PodUID)
	if err != nil {
		return err
	}
	at := r.GetNamespace() + "/" + spec.PodName
	switch {
	case pod.UID != spec.PodUID:
		return r.refuse("PodCertificateRequest for pod %q contains pod UID (%q) which differs from running pod %q", at, spec.PodUID, pod.UID)
	case pod.Spec.NodeName != r.node:
		return r.refuse("pod %q is not running on node %q named in the PodCertificateRequest", at, r.node)
	case isMirror(pod):
		return r.refuse("pod %q is a mirror pod", at)
	case pod.Spec.ServiceAccountName != spec.ServiceAccountName:
		return r.refuse("PodCertificateRequest for pod %q contains serviceAccountName (%q) that differs from running pod (%q)", at, spec.ServiceAccountName, pod.Spec.ServiceAccountName)
	}
	account, err := p.client.CoreV1().ServiceAccounts(r.GetNamespace()).Get(r.ctx, spec.ServiceAccountName, metav1.GetOptions{})
	if err != nil {
		return r.refuse("%w", err)
	}
	if account.UID != spec.ServiceAccountUID {
		return r.refuse("PodCertificateRequest for pod %q names service account UID (%q), which differs from the running service account (%q)", at, spec.ServiceAccountUID, account.UID)
	}
	running, err := p.nodes.Get(r.node)
	if err != nil {
		return r.refuse("%w", err)
	}
	if running.UID != spec.NodeUID {
		return r.refuse("PodCertificateRequest for pod %q names node UID (%q), inconsistent with the running node (%q)", at, spec.NodeUID, running.UID)
	}
	if !mountsCertificate(pod, spec.SignerName) {
		return r.refuse("pod %q does not mount a podCertificate projected volume for signer %q", at, spec.SignerName)
	}
	return nil
}

func mountsCertificate(pod *corev1.Pod, signer string) bool {
	for i := range pod.Spec.Volumes {
		projected := pod.Spec.Volumes[i].Projected
		if projected == nil {
			continue
		}
		for _, source := range projected.Sources {
			if source.PodCertificate != nil && source.PodCertificate.SignerName == signer {
				return true
			}
		}
	}
	return false
}
