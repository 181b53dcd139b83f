package warning

import (
	"crypto/tls"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Node warns about a node.
func Node(n *corev1.Node) []string {
	var w list
	if n.Spec.ConfigSource != nil {
		w.say("spec.configSource: the feature is removed")
	}
	if n.Spec.DoNotUseExternalID != "" {
		w.say("spec.externalID: this field is deprecated, and is unused by Kubernetes")
	}
	for i, cidr := range n.Spec.PodCIDRs {
		w.add(validation.GetWarningsForCIDR(field.NewPath("spec", "podCIDRs").Index(i), cidr))
	}
	return w
}

// Secret warns about a key that is not the certificate's.
func Secret(s *corev1.Secret) []string {
	if s.Type != corev1.SecretTypeTLS {
		return nil
	}
	if _, err := tls.X509KeyPair(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return []string{err.Error()}
	}
	return nil
}

// mountableSecrets is the annotation that binds an account to its own secrets.
const mountableSecrets = "kubernetes.io/enforce-mountable-secrets"

// ServiceAccount warns about an annotation that is new on the account.
func ServiceAccount(a, old *corev1.ServiceAccount) []string {
	if old != nil {
		if _, had := old.Annotations[mountableSecrets]; had {
			return nil
		}
	}
	if _, has := a.Annotations[mountableSecrets]; !has {
		return nil
	}
	return []string{"metadata.annotations[" + mountableSecrets + "]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"}
}
