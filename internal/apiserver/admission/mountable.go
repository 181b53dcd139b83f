package admission

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"

	"berth.dev/berth/internal/apiserver/authz/node"
)

// validateMirror refuses mirror pods that would make the node's pod an API client.
func validateMirror(a admission.Attributes, pod *corev1.Pod) error {
	if pod.Spec.ServiceAccountName != "" {
		return admission.NewForbidden(a, errors.New("a mirror pod may not reference service accounts"))
	}
	if node.Refers(pod).Secrets {
		return admission.NewForbidden(a, errors.New("a mirror pod may not reference secrets"))
	}
	for _, v := range pod.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, from := range v.Projected.Sources {
			if from.ServiceAccountToken != nil {
				return admission.NewForbidden(a, errors.New("a mirror pod may not use ServiceAccountToken volume projections"))
			}
		}
	}
	return nil
}

// onlyMountable holds a pod to the secrets that its account lists, where the
// account asks for that.
func onlyMountable(account *corev1.ServiceAccount, pod *corev1.Pod) error {
	allowed := accountSecrets(account)
	for _, v := range pod.Spec.Volumes {
		if s := v.Secret; s != nil && !allowed[s.SecretName] {
			return fmt.Errorf("volume with secret.secretName=\"%s\" is not allowed because service account %s does not reference that secret", s.SecretName, account.Name)
		}
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if err := mountableEnv("init container", c.Name, c.Env, c.EnvFrom, account.Name, allowed); err != nil {
			return err
		}
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if err := mountableEnv("container", c.Name, c.Env, c.EnvFrom, account.Name, allowed); err != nil {
			return err
		}
	}
	pull := map[string]bool{}
	for _, s := range account.ImagePullSecrets {
		pull[s.Name] = true
	}
	for i, s := range pod.Spec.ImagePullSecrets {
		if !pull[s.Name] {
			return fmt.Errorf(`imagePullSecrets[%d].name="%s" is not allowed because service account %s does not reference that imagePullSecret`, i, s.Name, account.Name)
		}
	}
	return nil
}

func accountSecrets(account *corev1.ServiceAccount) map[string]bool {
	allowed := map[string]bool{}
	for _, s := range account.Secrets {
		allowed[s.Name] = true
	}
	return allowed
}

func mountableEnv(kind, container string, env []corev1.EnvVar, from []corev1.EnvFromSource, account string, allowed map[string]bool) error {
	for _, e := range env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && !allowed[e.ValueFrom.SecretKeyRef.Name] {
			return fmt.Errorf("%s %s with envVar %s referencing secret.secretName=\"%s\" is not allowed because service account %s does not reference that secret", kind, container, e.Name, e.ValueFrom.SecretKeyRef.Name, account)
		}
	}
	for _, f := range from {
		if f.SecretRef != nil && !allowed[f.SecretRef.Name] {
			return fmt.Errorf("%s %s with envFrom referencing secret.secretName=\"%s\" is not allowed because service account %s does not reference that secret", kind, container, f.SecretRef.Name, account)
		}
	}
	return nil
}

func (p *serviceAccount) validateEphemeral(ctx context.Context, a admission.Attributes, pod *corev1.Pod) error {
	if isMirror(pod) {
		return nil
	}
	account, err := p.account(ctx, a, pod)
	if err != nil {
		return err
	}
	if account.Annotations[mountable] != "true" {
		return nil
	}
	allowed := accountSecrets(account)
	for i := range pod.Spec.EphemeralContainers {
		c := &pod.Spec.EphemeralContainers[i]
		if err := mountableEnv("ephemeral container", c.Name, c.Env, c.EnvFrom, account.Name, allowed); err != nil {
			return admission.NewForbidden(a, err)
		}
	}
	return nil
}
