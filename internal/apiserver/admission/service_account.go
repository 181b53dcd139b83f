package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/utils/ptr"
)

const (
	defaultAccount = "default"
	// tokenVolume is how the names of the token volumes begin.
	tokenVolume = "kube-api-access-"
	tokenMount  = "/var/run/secrets/kubernetes.io/serviceaccount"
	// tokenSeconds is a little over an hour, by which the API server knows the
	// tokens whose life it may stretch.
	tokenSeconds int64 = 60*60 + 7
	rootCA             = "kube-root-ca.crt"
	mountable          = "kubernetes.io/enforce-mountable-secrets"
)

// serviceAccount gives each pod an identity: the account, the volume with its
// token, and the account's pull secrets.
type serviceAccount struct {
	*admission.Handler
	accounts *accountFinder
	name     func(base string) string
}

func newServiceAccount(o Options) (*serviceAccount, error) {
	finder, err := newAccountFinder(o)
	if err != nil {
		return nil, err
	}
	p := &serviceAccount{admission.NewHandler(admission.Create, admission.Update), finder, names.SimpleNameGenerator.GenerateName}
	p.SetReadyFunc(finder.synced)
	return p, nil
}

// Admit implements admission.MutationInterface.
func (p *serviceAccount) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	pod, ok := createdPod(a)
	if !ok {
		return nil
	}
	// A mirror pod must stay as its node wrote it.
	if isMirror(pod) {
		return p.Validate(ctx, a, o)
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = pod.Spec.DeprecatedServiceAccount
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = defaultAccount
	}
	pod.Spec.DeprecatedServiceAccount = pod.Spec.ServiceAccountName
	account, err := p.account(ctx, a, pod)
	if err != nil {
		return err
	}
	if automount(account, pod) {
		p.mountToken(pod)
	}
	if len(pod.Spec.ImagePullSecrets) == 0 {
		pod.Spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
	}
	return p.Validate(ctx, a, o)
}

// Validate implements admission.ValidationInterface.
func (p *serviceAccount) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != corev1.Resource("pods") {
		return nil
	}
	pod, ok := a.GetObject().(*corev1.Pod)
	if !ok {
		return nil
	}
	if a.GetOperation() == admission.Update && a.GetSubresource() == "ephemeralcontainers" {
		return p.validateEphemeral(ctx, a, pod)
	}
	if a.GetOperation() != admission.Create || a.GetSubresource() != "" {
		return nil
	}
	if isMirror(pod) {
		return validateMirror(a, pod)
	}
	if pod.Spec.ServiceAccountName == "" {
		return admission.NewForbidden(a, fmt.Errorf("no service account specified for pod %s/%s", a.GetNamespace(), pod.Name))
	}
	account, err := p.account(ctx, a, pod)
	if err != nil {
		return err
	}
	if account.Annotations[mountable] == "true" {
		if err := onlyMountable(account, pod); err != nil {
			return admission.NewForbidden(a, err)
		}
	}
	return nil
}

func (p *serviceAccount) account(ctx context.Context, a admission.Attributes, pod *corev1.Pod) (*corev1.ServiceAccount, error) {
	if !p.WaitForReady() {
		return nil, admission.NewForbidden(a, errors.New("not yet ready to handle request"))
	}
	account, err := p.accounts.find(ctx, a.GetNamespace(), pod.Spec.ServiceAccountName)
	if err != nil {
		return nil, admission.NewForbidden(a, fmt.Errorf("error looking up service account %s/%s: %w", a.GetNamespace(), pod.Spec.ServiceAccountName, err))
	}
	return account, nil
}

func isMirror(pod *corev1.Pod) bool {
	_, ok := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}

// automount: the pod's wish, else the account's, else yes.
func automount(account *corev1.ServiceAccount, pod *corev1.Pod) bool {
	if want := pod.Spec.AutomountServiceAccountToken; want != nil {
		return *want
	}
	return ptr.Deref(account.AutomountServiceAccountToken, true)
}

// mountToken mounts the token volume into each container that has nothing of
// its own in that place.
func (p *serviceAccount) mountToken(pod *corev1.Pod) {
	volume := ""
	for i := range pod.Spec.Volumes {
		if strings.HasPrefix(pod.Spec.Volumes[i].Name, tokenVolume) {
			volume = pod.Spec.Volumes[i].Name
			break
		}
	}
	present := volume != ""
	if !present {
		volume = p.name(tokenVolume)
	}
	mount := corev1.VolumeMount{Name: volume, ReadOnly: true, MountPath: tokenMount}
	used := false
	into := func(c *corev1.Container) {
		if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == tokenMount }) {
			c.VolumeMounts = append(c.VolumeMounts, mount)
			used = true
		}
	}
	for i := range pod.Spec.InitContainers {
		into(&pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		into(&pod.Spec.Containers[i])
	}
	if used && !present {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: volume, VolumeSource: tokenSource()})
	}
}

func tokenSource() corev1.VolumeSource {
	return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: ptr.To(corev1.ProjectedVolumeSourceDefaultMode),
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr.To(tokenSeconds)}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: rootCA},
				Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
				Path:     "namespace",
				FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
			}}}},
		},
	}}
}
