package admission

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"

	"berth.dev/berth/internal/apiserver/authz/rbac"
	"berth.dev/berth/internal/apiserver/presence"
)

// setup starts a chain over objects.
type setup struct {
	chain  admission.Interface
	client *fake.Clientset
}

func newSetup(t *testing.T, objects ...runtime.Object) *setup {
	t.Helper()
	for _, name := range []string{"ns", "kube-system", "kube-node-lease"} {
		objects = append(objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}})
	}
	s := &setup{client: fake.NewClientset(objects...)}
	f := informers.NewSharedInformerFactory(s.client, 0)
	authorizer, err := rbac.New(f, rbac.Objects{})
	if err != nil {
		t.Fatal(err)
	}
	s.chain, err = New(Options{Client: s.client, Informers: f, Authorizer: authorizer, RBAC: authorizer, TaintNewNodes: true, Presence: presence.NewBoard()})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	f.Start(stop)
	f.WaitForCacheSync(stop)
	return s
}

type request struct {
	op       admission.Operation
	resource string // "group/resource/subresource", or "resource"
	name     string
	obj, old runtime.Object
	user     string
	groups   []string
}

func (r request) attributes() admission.Attributes {
	parts := strings.Split(r.resource, "/")
	gvr := schema.GroupVersionResource{Version: "v1", Resource: parts[0]}
	sub := ""
	if len(parts) == 2 {
		sub = parts[1]
	}
	if len(parts) == 3 {
		gvr.Group, gvr.Resource, sub = parts[0], parts[1], parts[2]
	}
	namespace := "ns"
	kind := schema.GroupVersionKind{Group: gvr.Group, Version: "v1"}
	switch gvr.Resource {
	case "nodes", "persistentvolumes", "clusterroles", "clusterrolebindings", "csinodes", "volumesnapshotcontents":
		namespace = ""
	case "leases":
		namespace = "kube-node-lease"
	}
	if o, ok := r.obj.(metav1.Object); ok {
		if o.GetNamespace() != "" {
			namespace = o.GetNamespace()
		}
		if r.name == "" {
			r.name = o.GetName()
		}
	}
	who := &user.DefaultInfo{Name: r.user, Groups: append(r.groups, "system:authenticated")}
	return admission.NewAttributesRecord(r.obj, r.old, kind, namespace, r.name, gvr, sub, r.op, nil, false, who)
}

func (s *setup) do(t *testing.T, r request) error {
	t.Helper()
	a := r.attributes()
	if !s.chain.Handles(r.op) {
		t.Fatalf("nobody handles %s", r.op)
	}
	if err := s.chain.(admission.MutationInterface).Admit(t.Context(), a, nil); err != nil {
		return err
	}
	return s.chain.(admission.ValidationInterface).Validate(t.Context(), a, nil)
}

func account(name string, change ...func(*corev1.ServiceAccount)) *corev1.ServiceAccount {
	a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: "u"}}
	for _, f := range change {
		f(a)
	}
	return a
}

func pod(change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}
	for _, f := range change {
		f(p)
	}
	return p
}

func expect(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("got %v\nwant %s", err, want)
	}
}
