package cli_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/why"
)

// volume makes a volume of 1Gi on a node, for claim data of the namespace.
func (c *cluster) volume(t *testing.T, namespace, node string) {
	t.Helper()
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "v-" + namespace}}
	pv.Spec = corev1.PersistentVolumeSpec{
		Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain, PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/data"}},
		ClaimRef: &corev1.ObjectReference{Namespace: namespace, Name: "data"},
		NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
		}}}},
	}
	_, err := c.Client.CoreV1().PersistentVolumes().Create(t.Context(), pv, metav1.CreateOptions{})
	must(t, err)
	c.claim(t, namespace, "")
	until(t, "the claim to be bound", func() bool {
		claim, err := c.Client.CoreV1().PersistentVolumeClaims(namespace).Get(t.Context(), "data", metav1.GetOptions{})
		return err == nil && claim.Status.Phase == corev1.ClaimBound
	})
}

// waysOfLoops are those that the binder, the provisioner, the scheduler and the
// StatefulSet loop bring about.
func (c *cluster) waysOfLoops() []asked {
	parallel := func(s *appsv1.StatefulSet) { s.Spec.PodManagementPolicy = appsv1.ParallelPodManagement }
	patch := func(t *testing.T, ns, text string) {
		_, err := c.Client.AppsV1().StatefulSets(ns).Patch(t.Context(), "web", types.StrategicMergePatchType, []byte(text), metav1.PatchOptions{})
		must(t, err)
	}
	return []asked{
		{name: "lost", object: "pvc/data", bring: func(t *testing.T, ns string) {
			c.volume(t, ns, "n1")
			volumes := c.Client.CoreV1().PersistentVolumes()
			must(t, volumes.Delete(t.Context(), "v-"+ns, metav1.DeleteOptions{}))
			_, err := volumes.Patch(t.Context(), "v-"+ns, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
			must(t, err)
		}, want: why.ClaimLost, passes: why.No, words: []string{"claim data has lost its volume v-lost"}},
		{name: "elsewhere", object: "pod/one", bring: func(t *testing.T, ns string) {
			c.volume(t, ns, "n9")
			c.pod(t, ns, "one", func(p *corev1.Pod) {
				mounts(p)
				p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
			})
		}, want: why.VolumeElsewhere, passes: why.Unknown, words: []string{"its volume v-elsewhere can be reached from none, only from n9", "n1: its volume is not there"}},
		{
			name: "missing claim", object: "pod/one", bring: func(t *testing.T, ns string) { c.pod(t, ns, "one", mounts) },
			want: why.ClaimMissing, passes: why.No, words: []string{"claim data does not exist"},
		},
		{name: "provisioner", object: "pvc/data", bring: func(t *testing.T, ns string) {
			_, err := c.Client.StorageV1().StorageClasses().Create(t.Context(), &storagev1.StorageClass{
				ObjectMeta: metav1.ObjectMeta{Name: "now"}, Provisioner: "berth.dev/local", VolumeBindingMode: ptr.To(storagev1.VolumeBindingImmediate),
			}, metav1.CreateOptions{})
			must(t, err)
			claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}}
			claim.Spec.AccessModes, claim.Spec.Selector = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
			claim.Spec.StorageClassName = ptr.To("now")
			claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
			_, err = c.Client.CoreV1().PersistentVolumeClaims(ns).Create(t.Context(), claim, metav1.CreateOptions{})
			must(t, err)
		}, want: why.ClaimProvisionerFails, passes: why.No, words: []string{"to change  spec.selector of persistentvolumeclaim/data", "provisioner berth.dev/local of StorageClass now cannot make a volume for claim data", "claim.Spec.Selector is not supported"}},
		{name: "budget", bring: func(t *testing.T, ns string) {
			c.set(t, ns, "good", 3, parallel)
			c.settled(t, ns, 3)
			patch(t, ns, `{"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":"absent"}]}}}}`)
		}, want: why.ImageNotThere, passes: why.No, words: []string{"rollout undo statefulset/web", "BudgetUsed", "no more than 1 of 3 pods may be unavailable"}},
		{name: "start limit", bring: func(t *testing.T, ns string) {
			c.set(t, ns, "absent", 3, parallel, func(s *appsv1.StatefulSet) { s.Annotations = map[string]string{"berth.dev/max-unavailable-scale": "1"} })
		}, want: why.ImageNotThere, passes: why.No, words: []string{"StartLimited", "1 pods may be on their way up at once"}},
		{
			name: "ends", bring: func(t *testing.T, ns string) { c.set(t, ns, "failing", 1) },
			want: why.BackingOff, passes: why.Unknown, words: []string{"its pods keep ending", "logs web-0 --all-containers"},
		},
		{name: "respected", bring: func(t *testing.T, ns string) {
			c.set(t, ns, "good", 1, func(s *appsv1.StatefulSet) { s.Annotations = map[string]string{"berth.dev/respect-pdb": "true"} })
			c.settled(t, ns, 1)
			c.spentBudget(t, ns)
			patch(t, ns, `{"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":"good:2"}]}}}}`)
		}, want: why.DisruptionBudget, passes: why.No, words: []string{"waiting to replace web-0: PodDisruptionBudget web lets no pod go now", "it never allows one to go"}},
		{name: "taken over", bring: func(t *testing.T, ns string) {
			c.set(t, ns, "good", 1)
			c.settled(t, ns, 1)
			must(t, c.Client.AppsV1().StatefulSets(ns).Delete(t.Context(), "web", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationOrphan)}))
			until(t, "the set to go", func() bool {
				_, err := c.Client.AppsV1().StatefulSets(ns).Get(t.Context(), "web", metav1.GetOptions{})
				return err != nil
			})
			c.set(t, ns, "good", 1, func(s *appsv1.StatefulSet) {
				claim := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "www"}}
				claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
				claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
				s.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{claim}
			})
		}, want: why.VolumeLacking, passes: why.No, words: []string{"web-0 is older than a claim template of the set", "delete pod web-0"}},
		{name: "job", object: "job/load", bring: func(t *testing.T, ns string) {
			job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "load"}, Spec: batchv1.JobSpec{Suspend: ptr.To(true)}}
			job.Spec.Template.Spec = corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "load", Image: "good"}}}
			_, err := c.Client.BatchV1().Jobs(ns).Create(t.Context(), job, metav1.CreateOptions{})
			must(t, err)
		}, want: why.Paused, passes: why.No, words: []string{"Job load is suspended"}},
	}
}
