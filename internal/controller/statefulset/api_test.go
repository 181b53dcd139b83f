package statefulset_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/apiserver/apitest"
	"berth.dev/berth/internal/controller/host"
	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/statefulset"
)

// toyNode is a loop that makes pods ready as soon as they exist and lets deleted
// ones go.
func toyNode() loop.Loop {
	return loop.Loop{
		Name: "toynode", User: "system:node:toy", Workers: 8,
		Watches: []loop.Watch{{Kind: &corev1.Pod{}, Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(ev.Object())}}
		}}},
		New: func(env loop.Env) reconcile.Reconciler { return toyKubelet{env} },
	}
}

type toyKubelet struct{ env loop.Env }

func (k toyKubelet) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pod := &corev1.Pod{}
	if err := k.env.Cache.Get(ctx, req.NamespacedName, pod); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if pod.DeletionTimestamp != nil {
		err := k.env.Write.Delete(ctx, pod.DeepCopy(), client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID})
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if pod.Status.Phase == corev1.PodRunning || strings.Contains(pod.Spec.Containers[0].Image, "bad") {
		return reconcile.Result{}, nil
	}
	pod = pod.DeepCopy()
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(k.env.Clock.Now()),
	})
	return reconcile.Result{}, client.IgnoreNotFound(k.env.Write.Status().Update(ctx, pod))
}

func start(t testing.TB, loops ...loop.Loop) *apitest.Env {
	t.Helper()
	env := apitest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	h := host.New(host.Config{
		RESTConfig: env.As,
		Logger:     slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}, loops...)
	ready, done := make(chan struct{}), make(chan error, 1)
	begun := time.Now()
	go func() { done <- h.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("host: %v", err)
		}
	})
	select {
	case <-ready:
		t.Logf("loops ready after %s", time.Since(begun))
	case <-time.After(30 * time.Second):
		t.Fatal("the loops did not become ready")
	}
	return env
}

func newSet(name string, replicas int32) *appsv1.StatefulSet {
	labels := map[string]string{"app": name}
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: appsv1.StatefulSetSpec{
			ServiceName: "nginx",
			Replicas:    ptr.To(replicas),
			Selector:    &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "nginx", Image: "good:1"}}},
			},
		},
	}
}

// await polls as a user would; the loops under test do not.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func getSet(t testing.TB, c kubernetes.Interface, name string) *appsv1.StatefulSet {
	t.Helper()
	set, err := c.AppsV1().StatefulSets("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func podUIDs(t testing.TB, c kubernetes.Interface) map[string]types.UID {
	t.Helper()
	pods, err := c.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]types.UID{}
	for i := range pods.Items {
		all[pods.Items[i].Name] = pods.Items[i].UID
	}
	return all
}

func names(t testing.TB, c kubernetes.Interface) []string {
	t.Helper()
	pods, err := c.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range pods.Items {
		all = append(all, pods.Items[i].Name)
	}
	return all
}

func TestAgainstTheAPIServer(t *testing.T) {
	env := start(t, statefulset.Loop(), toyNode())
	api := env.Client.AppsV1().StatefulSets("default")
	set := newSet("web", 3)
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{
		ObjectMeta: metav1.ObjectMeta{Name: "www"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}}
	if _, err := api.Create(t.Context(), set, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "3 ready", func() bool { return getSet(t, env.Client, "web").Status.ReadyReplicas == 3 })
	pod, err := env.Client.CoreV1().Pods("default").Get(t.Context(), "web-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	status := getSet(t, env.Client, "web").Status
	if pod.Spec.Hostname != "web-1" || pod.Spec.Subdomain != "nginx" || pod.Labels["apps.kubernetes.io/pod-index"] != "1" ||
		pod.Labels["controller-revision-hash"] != status.UpdateRevision || pod.Spec.Volumes[0].PersistentVolumeClaim.ClaimName != "www-web-1" {
		t.Errorf("pod is not rendered right: %v %v", pod.Labels, pod.Spec)
	}

	t.Run("a deleted pod comes back", func(t *testing.T) {
		if err := env.Client.CoreV1().Pods("default").Delete(t.Context(), "web-1", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		await(t, "a new web-1", func() bool {
			p, err := env.Client.CoreV1().Pods("default").Get(t.Context(), "web-1", metav1.GetOptions{})
			return err == nil && p.UID != pod.UID && p.Status.Phase == corev1.PodRunning
		})
	})
	t.Run("scale", func(t *testing.T) {
		for _, n := range []int32{5, 2} {
			patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, n)
			if _, err := api.Patch(t.Context(), "web", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
			await(t, patch, func() bool {
				s := getSet(t, env.Client, "web").Status
				return s.ReadyReplicas == n && s.Replicas == n && len(names(t, env.Client)) == int(n)
			})
		}
	})
	t.Run("claims grow, pods stay", func(t *testing.T) {
		before := podUIDs(t, env.Client)
		claims := env.Client.CoreV1().PersistentVolumeClaims("default")
		for _, name := range []string{"www-web-0", "www-web-1"} {
			if _, err := claims.Patch(t.Context(), name, types.MergePatchType, []byte(`{"status":{"phase":"Bound","capacity":{"storage":"1Gi"}}}`), metav1.PatchOptions{}, "status"); err != nil {
				t.Fatal(err)
			}
		}
		patch := `[{"op": "replace", "path": "/spec/volumeClaimTemplates/0/spec/resources/requests/storage", "value": "2Gi"}]`
		if _, err := api.Patch(t.Context(), "web", types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		progressing := func() appsv1.StatefulSetCondition {
			for _, c := range getSet(t, env.Client, "web").Status.Conditions {
				if c.Type == "Progressing" {
					return c
				}
			}
			return appsv1.StatefulSetCondition{}
		}
		for _, name := range []string{"www-web-0", "www-web-1"} {
			await(t, name+" to ask for 2Gi", func() bool {
				claim, err := claims.Get(t.Context(), name, metav1.GetOptions{})
				return err == nil && claim.Spec.Resources.Requests.Storage().String() == "2Gi"
			})
		}
		await(t, "word of it", func() bool { return progressing().Reason == "RolloutProgressing" })
		for _, name := range []string{"www-web-0", "www-web-1"} {
			if _, err := claims.Patch(t.Context(), name, types.MergePatchType, []byte(`{"status":{"capacity":{"storage":"2Gi"}}}`), metav1.PatchOptions{}, "status"); err != nil {
				t.Fatal(err)
			}
		}
		await(t, "the end of it", func() bool { return progressing().Reason == "RolloutComplete" })
		if diff := cmp.Diff(before, podUIDs(t, env.Client)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("update and back", func(t *testing.T) {
		first := getSet(t, env.Client, "web").Status.UpdateRevision
		for _, image := range []string{"good:2", "good:1"} {
			patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":%q}]}}}}`, image)
			if _, err := api.Patch(t.Context(), "web", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
			await(t, "rolled to "+image, func() bool {
				s := getSet(t, env.Client, "web")
				return s.Status.ObservedGeneration == s.Generation && s.Status.UpdatedReplicas == 2 && s.Status.ReadyReplicas == 2 &&
					s.Status.CurrentRevision == s.Status.UpdateRevision
			})
		}
		revs, err := env.Client.AppsV1().ControllerRevisions("default").List(t.Context(), metav1.ListOptions{})
		if err != nil || len(revs.Items) != 2 {
			t.Fatalf("%d revisions, %v", len(revs.Items), err)
		}
		for _, rev := range revs.Items {
			if rev.Name == first && rev.Revision != 3 {
				t.Errorf("the first revision has number %d after the rollback, want 3", rev.Revision)
			}
		}
		if now := getSet(t, env.Client, "web").Status.UpdateRevision; now != first {
			t.Errorf("rolled back to %s, want %s", now, first)
		}
	})
	t.Run("a bad image and back", func(t *testing.T) {
		for _, image := range []string{"bad:1", "good:1"} {
			patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":%q}]}}}}`, image)
			if _, err := api.Patch(t.Context(), "web", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
			if image == "bad:1" {
				await(t, "stuck", func() bool {
					s := getSet(t, env.Client, "web").Status
					return s.ReadyReplicas == 1 && s.UpdatedReplicas == 1
				})
			}
		}
		await(t, "recovered", func() bool {
			s := getSet(t, env.Client, "web").Status
			return s.ReadyReplicas == 2 && s.UpdatedReplicas == 2
		})
	})
	t.Run("orphaned and adopted", func(t *testing.T) {
		before := getSet(t, env.Client, "web")
		uid := before.UID
		orphan := metav1.DeletePropagationOrphan
		if err := api.Delete(t.Context(), "web", metav1.DeleteOptions{PropagationPolicy: &orphan}); err != nil {
			t.Fatal(err)
		}
		// No garbage collector here: do its part.
		pods, _ := env.Client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
		revs, _ := env.Client.AppsV1().ControllerRevisions("default").List(t.Context(), metav1.ListOptions{})
		drop := []byte(`{"metadata":{"ownerReferences":null}}`)
		for _, p := range pods.Items {
			if _, err := env.Client.CoreV1().Pods("default").Patch(t.Context(), p.Name, types.MergePatchType, drop, metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range revs.Items {
			if _, err := env.Client.AppsV1().ControllerRevisions("default").Patch(t.Context(), r.Name, types.MergePatchType, drop, metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := api.Patch(t.Context(), "web", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
			t.Log(err)
		}
		again := newSet("web", 2)
		again.Spec.VolumeClaimTemplates = before.Spec.VolumeClaimTemplates
		await(t, "created again", func() bool {
			_, err := api.Create(t.Context(), again, metav1.CreateOptions{})
			return err == nil
		})
		await(t, "pods adopted", func() bool {
			set := getSet(t, env.Client, "web")
			pods, _ := env.Client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
			for _, p := range pods.Items {
				if ref := metav1.GetControllerOf(&p); ref == nil || ref.UID != set.UID || ref.UID == uid {
					return false
				}
			}
			return set.Status.ReadyReplicas == 2 && set.Status.UpdateRevision == before.Status.UpdateRevision
		})
		after, _ := env.Client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
		if len(after.Items) != len(pods.Items) || after.Items[0].UID != pods.Items[0].UID {
			t.Error("adopted pods were replaced")
		}
	})
	t.Run("events", func(t *testing.T) {
		await(t, "events", func() bool {
			events, err := env.Client.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events.Items {
				if e.Reason == "SuccessfulCreate" && e.Message == "Create Pod web-0 in StatefulSet web successful" && e.Source.Component == "statefulset-controller" {
					return true
				}
			}
			return false
		})
	})
}
