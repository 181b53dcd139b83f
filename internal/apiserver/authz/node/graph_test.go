package node

import (
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/clock"
	"pgregory.net/rapid"
)

// After any sequence of changes the graph says the same as one built anew.
func TestGraphFollows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := NewGraph()
		pods := map[string]*corev1.Pod{}
		volumes := map[string]*corev1.PersistentVolume{}
		pick := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch pick("step", "pod", "pod", "drop pod", "volume", "drop volume") {
			case "pod":
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: pick("pod", "a", "b", "c")}}
				pod.Spec.NodeName = pick("node", "n1", "n2")
				pod.Spec.ServiceAccountName = pick("account", "x", "y")
				pod.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: pick("claim", "c1", "c2")}}}}
				pods[pod.Name] = pod
				g.SetPod(pod)
			case "drop pod":
				name := pick("pod", "a", "b", "c")
				delete(pods, name)
				g.DeletePod("ns", name)
			case "volume":
				pv := volume(pick("volume", "v1", "v2"), pick("claim", "c1", "c2"), pick("secret", "s1", "s2"))
				if rapid.Bool().Draw(t, "unbound") {
					pv.Spec.ClaimRef = nil
				}
				volumes[pv.Name] = pv
				g.SetVolume(pv)
			case "drop volume":
				name := pick("volume", "v1", "v2")
				delete(volumes, name)
				g.DeleteVolume(name)
			}
		}
		fresh := NewGraph()
		for _, pod := range pods {
			fresh.SetPod(pod)
		}
		for _, pv := range volumes {
			fresh.SetVolume(pv)
		}
		a, b := decided(g), decided(fresh)
		for _, node := range []string{"n1", "n2"} {
			for _, request := range []string{
				"create core/serviceaccounts/token ns x", "create core/serviceaccounts/token ns y",
				"get core/persistentvolumeclaims ns c1", "get core/persistentvolumeclaims ns c2",
				"get core/persistentvolumes - v1", "get core/persistentvolumes - v2",
				"get core/secrets elsewhere s1", "get core/secrets elsewhere s2",
				"get core/pods ns a", "get core/pods ns b",
			} {
				got, _, _ := a.Authorize(t.Context(), ask(asNode(node), request))
				want, _, _ := b.Authorize(t.Context(), ask(asNode(node), request))
				if got != want {
					t.Fatalf("%s %s: %v, built anew %v", node, request, got, want)
				}
			}
		}
		if len(pods) == 0 && len(g.users) != 0 || len(volumes) == 0 && len(g.secretVolumes)+len(g.claims)+len(g.volumeSecrets) != 0 {
			t.Fatalf("leaks: %v %v", g.users, g.secretVolumes)
		}
	})
}

func TestPopulate(t *testing.T) {
	pod := everything()
	client := fake.NewClientset(pod, volume("pv", "claim", "s"))
	f := informers.NewSharedInformerFactory(client, 0)
	g := NewGraph()
	synced, err := g.Populate(f)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	defer close(stop)
	f.Start(stop)
	eventually(t, synced)
	a := New(g, nil, clock.RealClock{})
	allowed := func(request string) bool {
		d, _, _ := a.Authorize(t.Context(), ask(asNode("n1"), request))
		return d == authorizer.DecisionAllow
	}
	if !allowed("get core/persistentvolumes - pv") || !allowed("get core/secrets ns s-env") {
		t.Error("what is stored is not known")
	}
	if err := client.CoreV1().Pods("ns").Delete(t.Context(), "web-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return !allowed("get core/secrets ns s-env") })
}

func TestConcurrentUse(t *testing.T) {
	g := NewGraph()
	a := decided(g)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 200 {
				g.SetPod(everything())
				g.DeletePod("ns", "web-0")
			}
		})
		wait.Go(func() {
			for range 200 {
				a.Authorize(t.Context(), ask(asNode("n1"), "get core/secrets ns s-env"))
			}
		})
	}
	wait.Wait()
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("not within five seconds")
}
