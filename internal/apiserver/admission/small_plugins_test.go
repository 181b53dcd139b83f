package admission_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestClaimsGrow(t *testing.T) {
	s := start(t)
	s.apply(`{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: elastic}, provisioner: example.com/p, allowVolumeExpansion: true}`)
	s.apply(`{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: rigid}, provisioner: example.com/p}`)
	claims := s.Client.CoreV1().PersistentVolumeClaims("default")
	grow := func(name string) error {
		_, err := claims.Patch(t.Context(), name, types.MergePatchType, []byte(`{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}`), metav1.PatchOptions{})
		return err
	}
	for _, class := range []string{"elastic", "rigid", `""`} {
		name := map[string]string{"elastic": "elastic", "rigid": "rigid", `""`: "manual"}[class]
		s.apply(`{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: ` + name + `}, spec: {storageClassName: ` + class + `, volumeName: v-` + name + `,
			accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}`)
	}
	for _, name := range []string{"elastic", "rigid", "manual"} {
		if _, err := claims.Patch(t.Context(), name, types.MergePatchType, []byte(`{"status":{"phase":"Bound"}}`), metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"rigid", "manual"} {
		refused(t, grow(name), `persistentvolumeclaims "`+name+`" is forbidden: `+
			`only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize`)
	}
	until(t, "the class is known and the claim may grow", func() bool { return grow("elastic") == nil })

	sets := s.Client.AppsV1().StatefulSets("default")
	for _, class := range []string{"elastic", "rigid", "none", `""`} {
		name := map[string]string{`""`: "manual"}[class]
		if name == "" {
			name = class
		}
		s.apply(`{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: ` + name + `}, spec: {selector: {matchLabels: {app: a}},
			template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: demo}]}},
			volumeClaimTemplates: [{metadata: {name: data}, spec: {storageClassName: ` + class + `, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}`)
		_, err := sets.Patch(t.Context(), name, types.JSONPatchType,
			[]byte(`[{"op": "replace", "path": "/spec/volumeClaimTemplates/0/spec/resources/requests/storage", "value": "2Gi"}]`), metav1.PatchOptions{})
		if why := map[string]string{
			"rigid":  `storage class "rigid" does not allow claims to grow (allowVolumeExpansion)`,
			"none":   "claims without a storage class do not grow",
			"manual": "claims without a storage class do not grow",
		}[name]; why != "" {
			refused(t, err, `statefulsets.apps "`+name+`" is forbidden: spec.volumeClaimTemplates[0].spec.resources.requests.storage: Forbidden: `+why)
		} else if err != nil {
			t.Errorf("set of class %s: %v", name, err)
		}
	}
}

func TestPodsLearnTheirTopology(t *testing.T) {
	s := start(t)
	s.apply(`{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {topology.kubernetes.io/zone: a, topology.kubernetes.io/region: "", rack: r}}}`)
	s.apply(`{apiVersion: v1, kind: Node, metadata: {name: n2}}`)
	want := map[string]string{corev1.LabelTopologyZone: "a", corev1.LabelTopologyRegion: ""}
	placed := `{apiVersion: v1, kind: Pod, metadata: {name: placed, labels: {topology.kubernetes.io/zone: own}}, spec: {nodeName: n1, automountServiceAccountToken: false, containers: [{name: c, image: demo}]}}`
	until(t, "the node is known", func() bool {
		made, err := s.dryRun(placed)
		return err == nil && made.GetLabels()[corev1.LabelTopologyZone] == "a"
	})
	if d := cmp.Diff(want, s.apply(placed).GetLabels()); d != "" {
		t.Error(d)
	}
	bind := func(pod, node string) {
		t.Helper()
		err := s.Client.CoreV1().Pods("default").Bind(t.Context(), &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: pod}, Target: corev1.ObjectReference{Kind: "Node", Name: node},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"bound", "elsewhere", "nowhere"} {
		s.apply(podNamed(name))
	}
	bind("bound", "n1")
	if d := cmp.Diff(want, s.pod("bound").Labels); d != "" {
		t.Error(d)
	}
	bind("elsewhere", "n2")
	bind("nowhere", "n3")
	for _, name := range []string{"elsewhere", "nowhere"} {
		if got := s.pod(name).Labels; len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}
