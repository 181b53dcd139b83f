package authz

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"

	"berth.dev/berth/internal/apiserver/authz/node"
	"berth.dev/berth/internal/apiserver/authz/rbac"
)

func TestSlim(t *testing.T) {
	secret := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}
	volumes := []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}}}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "p", UID: "u", Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"c": "d"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "x"}}, DeletionTimestamp: &metav1.Time{},
		},
		Spec: corev1.PodSpec{
			NodeName: "n", ServiceAccountName: "sa", Volumes: volumes, NodeSelector: map[string]string{"x": "y"},
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
			InitContainers:   []corev1.Container{{Name: "plain", Env: []corev1.EnvVar{{Name: "A", Value: "1"}}}},
			Containers:       []corev1.Container{{Name: "c", Image: "i", Command: []string{"x"}, Env: []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: secret}}}}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	refers := node.Refers(pod)
	got, err := Slim(pod)
	if err != nil {
		t.Fatal(err)
	}
	want := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u", DeletionTimestamp: &metav1.Time{}},
		Spec: corev1.PodSpec{
			NodeName: "n", ServiceAccountName: "sa", Volumes: volumes,
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
			Containers:       []corev1.Container{{Name: "c", Env: []corev1.EnvVar{{Name: "B", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: secret}}}}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if node.Refers(want) != refers {
		t.Error("a reference was lost")
	}
	if obj, err := Slim("no object"); obj != "no object" || err != nil {
		t.Errorf("%v %v", obj, err)
	}
	mirror := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{corev1.MirrorPodAnnotationKey: "h", "x": "y"}}}
	if _, err := Slim(mirror); err != nil || len(mirror.Annotations) != 1 {
		t.Errorf("%v %v", mirror.Annotations, err)
	}
}

func TestNew(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("took no informers")
	}
	f := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	a, err := New(Options{Informers: f, Defaults: rbac.Objects{ClusterRoles: []*rbacv1.ClusterRole{{ObjectMeta: metav1.ObjectMeta{Name: "system:node"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if a.HasSynced() {
		t.Error("has synced before it was started")
	}
	stop := make(chan struct{})
	defer close(stop)
	f.Start(stop)
	f.WaitForCacheSync(stop)
	for range 1000 {
		if a.HasSynced() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("never synced")
}
