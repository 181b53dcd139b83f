package admission

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/utils/ptr"
)

func TestPodDefaults(t *testing.T) {
	s := newSetup(t, account("default", func(a *corev1.ServiceAccount) {
		a.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
	}))
	p := pod(func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "i"}}
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "own", VolumeMounts: []corev1.VolumeMount{{Name: "x", MountPath: tokenMount}}})
	})
	if err := s.do(t, request{op: admission.Create, resource: "pods", obj: p}); err != nil {
		t.Fatal(err)
	}
	volume := p.Spec.Volumes[0].Name
	if len(volume) != len("kube-api-access-")+5 {
		t.Errorf("the volume is named %q", volume)
	}
	mount := []corev1.VolumeMount{{Name: volume, ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}}
	want := corev1.PodSpec{
		ServiceAccountName: "default", DeprecatedServiceAccount: "default",
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}},
		InitContainers:   []corev1.Container{{Name: "i", VolumeMounts: mount}},
		Containers: []corev1.Container{
			{Name: "c", VolumeMounts: mount},
			{Name: "own", VolumeMounts: []corev1.VolumeMount{{Name: "x", MountPath: tokenMount}}},
		},
		Priority: ptr.To[int32](0), PreemptionPolicy: ptr.To(corev1.PreemptLowerPriority),
		Tolerations: []corev1.Toleration{
			{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: ptr.To[int64](300)},
			{Key: "node.kubernetes.io/unreachable", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: ptr.To[int64](300)},
		},
		Volumes: []corev1.Volume{{Name: volume, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: ptr.To[int32](0o644),
			Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr.To[int64](3607)}},
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
				{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}}}},
			},
		}}}},
	}
	if diff := cmp.Diff(want, p.Spec); diff != "" {
		t.Error(diff)
	}
	before := p.DeepCopy()
	if err := s.do(t, request{op: admission.Update, resource: "pods", obj: p, old: before}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, p); diff != "" {
		t.Errorf("an update changed the pod: %s", diff)
	}
	again := p.DeepCopy()
	if err := s.do(t, request{op: admission.Create, resource: "pods", obj: again}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(p, again); diff != "" {
		t.Errorf("a second run adds: %s", diff)
	}
}

func TestServiceAccount(t *testing.T) {
	strict := func(a *corev1.ServiceAccount) {
		a.Annotations = map[string]string{mountable: "true"}
		a.Secrets = []corev1.ObjectReference{{Name: "good"}}
		a.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "pull"}}
	}
	s := newSetup(t, account("sa"), account("strict", strict), account("off", func(a *corev1.ServiceAccount) { a.AutomountServiceAccountToken = new(bool) }))
	with := func(name string, change ...func(*corev1.Pod)) *corev1.Pod {
		return pod(append([]func(*corev1.Pod){func(p *corev1.Pod) { p.Spec.ServiceAccountName = name }}, change...)...)
	}
	mirror := func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }
	env := func(secret string) []corev1.EnvVar {
		return []corev1.EnvVar{{Name: "E", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}}}}
	}
	for name, c := range map[string]struct {
		pod     *corev1.Pod
		mounts  bool
		refusal string
	}{
		"named":               {pod: with("sa"), mounts: true},
		"old field":           {pod: pod(func(p *corev1.Pod) { p.Spec.DeprecatedServiceAccount = "sa" }), mounts: true},
		"account says no":     {pod: with("off")},
		"pod says yes":        {pod: with("off", func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = ptr.To(true) }), mounts: true},
		"pod says no":         {pod: with("sa", func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = new(bool) })},
		"missing":             {pod: with("nobody"), refusal: `pods "p" is forbidden: error looking up service account ns/nobody: serviceaccount "nobody" not found`},
		"missing default":     {pod: pod(), refusal: `pods "p" is forbidden: error looking up service account ns/default: serviceaccount "default" not found`},
		"mirror":              {pod: pod(mirror)},
		"mirror with account": {pod: with("sa", mirror), refusal: "a mirror pod may not reference service accounts"},
		"mirror with secret":  {pod: pod(mirror, func(p *corev1.Pod) { p.Spec.Containers[0].Env = env("x") }), refusal: "a mirror pod may not reference secrets"},
		"mirror with token": {pod: pod(mirror, func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: tokenSource()}}
		}), refusal: "a mirror pod may not use ServiceAccountToken volume projections"},
		"strict": {pod: with("strict", func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "good"}}}}
		}), mounts: true},
		"strict volume": {pod: with("strict", func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "bad"}}}}
		}), refusal: `volume with secret.secretName="bad" is not allowed because service account strict does not reference that secret`},
		"strict env":  {pod: with("strict", func(p *corev1.Pod) { p.Spec.Containers[0].Env = env("bad") }), refusal: `container c with envVar E referencing secret.secretName="bad" is not allowed because service account strict does not reference that secret`},
		"strict init": {pod: with("strict", func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{{Name: "i", Env: env("bad")}} }), refusal: `init container i with envVar E referencing secret.secretName="bad" is not allowed`},
		"strict pull": {pod: with("strict", func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "other"}} }), refusal: `imagePullSecrets[0].name="other" is not allowed because service account strict does not reference that imagePullSecret`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := s.do(t, request{op: admission.Create, resource: "pods", obj: c.pod})
			expect(t, err, c.refusal)
			if err == nil && (len(c.pod.Spec.Containers[0].VolumeMounts) == 1) != c.mounts {
				t.Errorf("mounts: %v", c.pod.Spec.Containers[0].VolumeMounts)
			}
		})
	}
}

func TestDefaultAccountIsAwaited(t *testing.T) {
	s := newSetup(t)
	go func() {
		time.Sleep(50 * time.Millisecond)
		_, _ = s.client.CoreV1().ServiceAccounts("ns").Create(context.WithoutCancel(t.Context()), account("default"), metav1.CreateOptions{})
	}()
	begun := time.Now()
	expect(t, s.do(t, request{op: admission.Create, resource: "pods", obj: pod()}), "")
	if took := time.Since(begun); took > accountPatience {
		t.Errorf("took %s", took)
	}
}

func TestNamespaceLifecycle(t *testing.T) {
	s := newSetup(t, account("default"), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ending", DeletionTimestamp: &metav1.Time{Time: time.Now()}, Finalizers: []string{"x"}}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}})
	missing := pod(func(p *corev1.Pod) { p.Namespace = "nowhere" })
	expect(t, s.do(t, request{op: admission.Create, resource: "pods", obj: missing}), `namespaces "nowhere" not found`)
	ending := pod(func(p *corev1.Pod) { p.Namespace = "ending" })
	err := s.do(t, request{op: admission.Create, resource: "pods", obj: ending})
	expect(t, err, `pods "p" is forbidden: unable to create new content in namespace ending because it is being terminated`)
	if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("no cause: %v", err)
	}
}

func TestTolerations(t *testing.T) {
	s := newSetup(t, account("default"))
	for name, c := range map[string]struct {
		has  []corev1.Toleration
		adds []string
	}{
		"all":           {[]corev1.Toleration{{Operator: "Exists"}}, nil},
		"any NoExecute": {[]corev1.Toleration{{Operator: "Exists", Effect: "NoExecute"}}, nil},
		"NoSchedule":    {[]corev1.Toleration{{Operator: "Exists", Effect: "NoSchedule"}}, []string{"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}},
		"one of two":    {[]corev1.Toleration{{Key: "node.kubernetes.io/not-ready", Operator: "Exists"}}, []string{"node.kubernetes.io/unreachable"}},
	} {
		p := pod(func(p *corev1.Pod) { p.Spec.Tolerations = c.has })
		expect(t, s.do(t, request{op: admission.Create, resource: "pods", obj: p}), "")
		var added []string
		for _, toleration := range p.Spec.Tolerations[len(c.has):] {
			added = append(added, toleration.Key)
		}
		if diff := cmp.Diff(c.adds, added); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestClaims(t *testing.T) {
	class := func(name string, made int64, isDefault string) *storagev1.StorageClass {
		c := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Unix(made, 0)}}
		if isDefault != "" {
			c.Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": isDefault}
		}
		return c
	}
	none := newSetup(t, class("a", 1, ""), class("b", 1, "false"))
	several := newSetup(t, class("old", 1, "true"), class("y", 5, "true"), class("x", 5, "true"), class("newest", 9, "false"))
	for name, c := range map[string]struct {
		in     *setup
		change func(*corev1.PersistentVolumeClaim)
		want   *string
	}{
		"no default":       {in: none},
		"newest, by name":  {in: several, want: ptr.To("x")},
		"named":            {in: several, change: func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = ptr.To("old") }, want: ptr.To("old")},
		"no class, please": {in: several, change: func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = ptr.To("") }, want: ptr.To("")},
		"annotated": {in: several, change: func(c *corev1.PersistentVolumeClaim) {
			c.Annotations = map[string]string{corev1.BetaStorageClassAnnotation: "z"}
		}},
	} {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "c", Finalizers: []string{"own"}}}
		if c.change != nil {
			c.change(claim)
		}
		expect(t, c.in.do(t, request{op: admission.Create, resource: "persistentvolumeclaims", obj: claim}), "")
		if diff := cmp.Diff(c.want, claim.Spec.StorageClassName); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if diff := cmp.Diff([]string{"own", "kubernetes.io/pvc-protection"}, claim.Finalizers); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "v", Finalizers: []string{"kubernetes.io/pv-protection"}}}
	expect(t, none.do(t, request{op: admission.Create, resource: "persistentvolumes", obj: pv}), "")
	if len(pv.Finalizers) != 1 {
		t.Errorf("finalizers %v", pv.Finalizers)
	}
}
