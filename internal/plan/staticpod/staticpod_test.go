package staticpod_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/staticpod"
)

func completed(t *testing.T, pod *corev1.Pod, node, file string) *corev1.Pod {
	t.Helper()
	pod = pod.DeepCopy()
	if err := staticpod.Complete(pod, node, file, "2026-01-01T00:00:00Z"); err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestComplete(t *testing.T) {
	plain := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "etcd"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	pod := completed(t, plain, "Node-1", "/m/etcd.yaml")
	if len(pod.UID) != 32 {
		t.Errorf("UID %q", pod.UID)
	}
	want := plain.DeepCopy()
	want.Name, want.Namespace, want.UID = "etcd-node-1", "default", pod.UID
	want.Annotations = map[string]string{
		"kubernetes.io/config.hash": string(pod.UID), "kubernetes.io/config.source": "file", "kubernetes.io/config.seen": "2026-01-01T00:00:00Z",
	}
	want.Spec.NodeName = "Node-1"
	want.Spec.Tolerations = []corev1.Toleration{{Operator: "Exists", Effect: "NoExecute"}}
	want.Status.Phase = corev1.PodPending
	if diff := cmp.Diff(want, pod); diff != "" {
		t.Error(diff)
	}
	if again := completed(t, plain, "Node-1", "/m/etcd.yaml"); again.UID != pod.UID {
		t.Error("the same file is another pod")
	}
	other := plain.DeepCopy()
	other.Spec.Containers[0].Image = "j"
	for name, uid := range map[string]types.UID{
		"another node": completed(t, plain, "node-2", "/m/etcd.yaml").UID,
		"another file": completed(t, plain, "Node-1", "/m/etcd2.yaml").UID,
		"another text": completed(t, other, "Node-1", "/m/etcd.yaml").UID,
	} {
		if uid == pod.UID {
			t.Errorf("%s is the same pod", name)
		}
	}
	given := plain.DeepCopy()
	given.UID, given.Namespace = "mine", "kube-system"
	given.Spec.Tolerations = want.Spec.Tolerations
	if p := completed(t, given, "n", "f"); p.UID != "mine" || p.Namespace != "kube-system" || p.Annotations[staticpod.Hash] != "mine" || len(p.Spec.Tolerations) != 1 {
		t.Errorf("what the file says is lost: %+v", p)
	}
	if err := staticpod.Complete(&corev1.Pod{}, "n", "f", ""); err == nil || err.Error() != "invalid pod: name is needed for the pod" {
		t.Errorf("%v", err)
	}
}

func TestMirror(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "node-uid"}}
	pod := completed(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}}, "n", "f")
	m := staticpod.MirrorOf(pod, node)
	owner := metav1.GetControllerOf(m)
	if m.UID != "" || m.Annotations[staticpod.Mirror] != string(pod.UID) || owner == nil || owner.Kind != "Node" || owner.UID != "node-uid" || owner.BlockOwnerDeletion != nil {
		t.Errorf("%+v", m.ObjectMeta)
	}
	m.UID = "of-the-api"
	if staticpod.IsMirror(pod) || !staticpod.IsMirror(m) || staticpod.Identity(m) != pod.UID || staticpod.Identity(pod) != pod.UID {
		t.Error("a mirror is not told from its pod")
	}
	for _, c := range []struct {
		status corev1.PodStatus
		want   corev1.PodPhase
	}{
		{corev1.PodStatus{Phase: corev1.PodRunning}, corev1.PodRunning},
		{corev1.PodStatus{Phase: corev1.PodFailed}, corev1.PodFailed},
		{corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Terminated"}, corev1.PodPending},
	} {
		m.Status = c.status
		if got := staticpod.Begin(m); got.Phase != c.want {
			t.Errorf("%+v goes on from %s", c.status, got.Phase)
		}
	}
	if staticpod.Begin(nil).Phase != corev1.PodPending {
		t.Error("without a mirror")
	}
}

func TestIndependent(t *testing.T) {
	for spec, want := range map[string]string{
		`{"volumes":[{"name":"v","emptyDir":{}},{"name":"h","hostPath":{"path":"/"}},{"name":"p","projected":{"sources":[{"downwardAPI":{}}]}}]}`: "",
		`{"serviceAccountName":"x"}`:          "serviceaccounts",
		`{"imagePullSecrets":[{"name":"s"}]}`: "secrets",
		`{"initContainers":[{"env":[{"name":"E","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]}]}`: "secrets",
		`{"containers":[{"envFrom":[{"configMapRef":{"name":"s"}}]}]}`:                                    "configmaps",
		`{"containers":[{"env":[{"name":"E","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}]}`:  "",
		`{"resourceClaims":[{"name":"c"}]}`:                                                               "resourceclaims",
		`{"volumes":[{"name":"v","configMap":{"name":"c"}}]}`:                                             "configmaps (via configmap volumes)",
		`{"volumes":[{"name":"v","secret":{"secretName":"c"}}]}`:                                          "secrets (via secret volumes)",
		`{"volumes":[{"name":"v","csi":{"driver":"d"}}]}`:                                                 "csidrivers (via CSI volumes)",
		`{"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"c"}}]}`:                            "persistentvolumeclaims",
		`{"volumes":[{"name":"v","ephemeral":{}}]}`:                                                       "persistentvolumeclaims (via ephemeral volumes)",
		`{"volumes":[{"name":"v","projected":{"sources":[{"configMap":{"name":"c"}}]}}]}`:                 "configmaps (via projected volumes)",
		`{"volumes":[{"name":"v","projected":{"sources":[{"secret":{"name":"c"}}]}}]}`:                    "secrets (via projected volumes)",
		`{"volumes":[{"name":"v","projected":{"sources":[{"serviceAccountToken":{}}]}}]}`:                 "serviceaccounts (via projected volumes)",
		`{"volumes":[{"name":"v","projected":{"sources":[{"clusterTrustBundle":{}}]}}]}`:                  "clustertrustbundles",
		`{"volumes":[{"name":"v","projected":{"sources":[{"podCertificate":{}}]}}]}`:                      "podcertificates",
	} {
		pod := &corev1.Pod{}
		if err := json.Unmarshal([]byte(spec), &pod.Spec); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := staticpod.Independent(pod); err != nil {
			got = err.Error()
		}
		if want != "" {
			want = "static pods may not reference " + want
		}
		if got != want {
			t.Errorf("%s: %q, want %q", spec, got, want)
		}
	}
	if err := staticpod.Independent(&corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "v"}}}}); err == nil {
		t.Error("a volume of no kind is taken")
	}
}

func TestSteps(t *testing.T) {
	static := func(name string, uid types.UID) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: name, UID: uid}}
	}
	mirror := func(name, of string) *corev1.Pod {
		p := static(name, types.UID("api-"+of))
		p.Annotations = map[string]string{staticpod.Mirror: of}
		return p
	}
	going := mirror("a", "1")
	going.DeletionTimestamp = &metav1.Time{}
	names := func(list []*corev1.Pod) (out []string) {
		for _, p := range list {
			out = append(out, p.Name+" "+string(staticpod.Identity(p)))
		}
		return out
	}
	for name, c := range map[string]struct {
		m              staticpod.Mirrors
		delete, create []string
	}{
		"nothing":          {staticpod.Mirrors{}, nil, nil},
		"new":              {staticpod.Mirrors{Wanted: []*corev1.Pod{static("b", "2"), static("a", "1")}}, nil, []string{"a 1", "b 2"}},
		"shown":            {staticpod.Mirrors{Wanted: []*corev1.Pod{static("a", "1")}, There: []*corev1.Pod{mirror("a", "1")}}, nil, nil},
		"deleted by hand":  {staticpod.Mirrors{Wanted: []*corev1.Pod{static("a", "1")}, There: []*corev1.Pod{going}}, []string{"a 1"}, []string{"a 1"}},
		"another text":     {staticpod.Mirrors{Wanted: []*corev1.Pod{static("a", "2")}, There: []*corev1.Pod{mirror("a", "1")}}, []string{"a 1"}, []string{"a 2"}},
		"the old one ends": {staticpod.Mirrors{Wanted: []*corev1.Pod{static("a", "2")}, There: []*corev1.Pod{mirror("a", "1")}, Alive: map[types.UID]bool{"1": true}}, nil, nil},
		"no file":          {staticpod.Mirrors{There: []*corev1.Pod{mirror("a", "1")}}, []string{"a 1"}, nil},
		"no file, ends":    {staticpod.Mirrors{There: []*corev1.Pod{mirror("a", "1")}, Alive: map[types.UID]bool{"1": true}}, nil, nil},
	} {
		s := c.m.Steps()
		if diff := cmp.Diff([][]string{c.delete, c.create}, [][]string{names(s.Delete), names(s.Create)}); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
