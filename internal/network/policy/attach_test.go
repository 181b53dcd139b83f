package policy

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

// What is in force because of a decision from before a pod was attached does not
// let that pod have its network.
func TestAttachWaitsForADecisionOfItsOwn(t *testing.T) {
	f := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	e, err := New(Config{Informers: f, NodeName: "here"})
	if err != nil {
		t.Fatal(err)
	}
	e.pods = f.Core().V1().Pods().Informer()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "db", UID: "u"}, Spec: corev1.PodSpec{NodeName: "here"}}
	if err := e.pods.GetIndexer().Add(pod); err != nil {
		t.Fatal(err)
	}
	name := types.NamespacedName{Namespace: "prod", Name: "db"}
	e.touch(aPod, name.String())
	_, covered := e.observe()
	e.attach(name, attached{uid: "u", addresses: []netip.Addr{netip.MustParseAddr("10.42.0.1")}})
	if e.enforced(covered); e.attached[name].enforced {
		t.Error("attached after the decision, and thought to be part of it")
	}
	news, covered := e.observe()
	if p := news.Pods[name.String()]; p == nil || len(p.Addresses) != 1 {
		t.Errorf("decided on without its address: %v", p)
	}
	if e.enforced(covered); !e.attached[name].enforced {
		t.Error("not part of the decision after that")
	}
	if err := e.pods.GetIndexer().Delete(pod); err != nil {
		t.Fatal(err)
	}
	_, covered = e.observe()
	if e.enforced(covered); len(e.attached) > 0 {
		t.Error("a pod that is gone is remembered")
	}
}
