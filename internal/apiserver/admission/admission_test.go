package admission

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

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
	case "nodes", "persistentvolumes", "clusterroles", "clusterrolebindings", "csinodes":
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

func TestNodeRestriction(t *testing.T) {
	on := func(node string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Spec.NodeName = node } }
	named := func(name string, uid types.UID) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Name, p.UID = name, uid }
	}
	tokenVolume := func(audience string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			source := tokenSource()
			source.Projected.Sources[0].ServiceAccountToken.Audience = audience
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{VolumeSource: source})
		}
	}
	mirror := func(p *corev1.Pod) {
		p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n1", UID: "n1-uid", Controller: ptr.To(true)}}
	}
	changed := func(f func(*corev1.Pod)) *corev1.Pod { return pod(on("n1"), mirror, f) }
	node := func(change ...func(*corev1.Node)) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "n1-uid"}}
		for _, f := range change {
			f(n)
		}
		return n
	}
	label := func(key string) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Labels = map[string]string{key: "v"} }
	}
	ask := func(name string, uid types.UID, audiences ...string) *authenticationv1.TokenRequest {
		return &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: name, UID: uid}}}
	}
	claim := func(change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
		c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "c"}}
		for _, f := range change {
			f(c)
		}
		return c
	}
	s := newSetup(t, node(), account("default"),
		pod(on("n1"), named("mine", "mine-uid"), tokenVolume(""), tokenVolume("vault")), pod(on("n2"), named("other", "other-uid")), pod(on("n1"), named("bare", "bare-uid")),
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "aud"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"request-serviceaccounts-token-audience"}, APIGroups: []string{""}, Resources: []string{"registry"}}}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "aud"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "aud"}, Subjects: []rbacv1.Subject{{Kind: "Group", Name: "system:nodes"}}},
	)
	const create, update, remove = admission.Create, admission.Update, admission.Delete
	for name, c := range map[string]struct {
		r       request
		refusal string
	}{
		"plain pod":        {request{op: create, resource: "pods", obj: pod(on("n1"))}, `pods "p" is forbidden: pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods`},
		"mirror pod":       {request{op: create, resource: "pods", obj: pod(on("n1"), mirror)}, ""},
		"mirror elsewhere": {request{op: create, resource: "pods", obj: pod(on("n2"), mirror)}, `node "n1" can only create pods with spec.nodeName set to itself`},
		"no owner":         {request{op: create, resource: "pods", obj: changed(func(p *corev1.Pod) { p.OwnerReferences = nil })}, `node "n1" can only create pods with an owner reference set to itself`},
		"two owners":       {request{op: create, resource: "pods", obj: changed(func(p *corev1.Pod) { p.OwnerReferences = append(p.OwnerReferences, p.OwnerReferences[0]) })}, "with a single owner reference set to itself"},
		"another owner":    {request{op: create, resource: "pods", obj: changed(func(p *corev1.Pod) { p.OwnerReferences[0].Name = "n2" })}, "with an owner reference set to itself"},
		"no controller":    {request{op: create, resource: "pods", obj: changed(func(p *corev1.Pod) { p.OwnerReferences[0].Controller = nil })}, "with a controller owner reference set to itself"},
		"blocking owner":   {request{op: create, resource: "pods", obj: changed(func(p *corev1.Pod) { p.OwnerReferences[0].BlockOwnerDeletion = ptr.To(true) })}, "must not set blockOwnerDeletion on an owner reference"},
		"another uid":      {request{op: create, resource: "pods", obj: changed(func(p *corev1.Pod) { p.OwnerReferences[0].UID = "x" })}, "node n1 UID mismatch: expected x got n1-uid"},
		"with account":     {request{op: create, resource: "pods", obj: changed(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "default" })}, ""},
		"with secret":      {request{op: create, resource: "pods", obj: changed(func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "x"}} })}, "can not create pods that reference secrets"},
		"with config map": {request{op: create, resource: "pods", obj: changed(func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "x"}}}}}
		})}, "can not create pods that reference configmaps"},
		"with claim": {request{op: create, resource: "pods", obj: changed(func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "x"}}}}
		})}, "can not create pods that reference persistentvolumeclaims"},
		"delete own":       {request{op: remove, resource: "pods", name: "mine"}, ""},
		"delete other":     {request{op: remove, resource: "pods", name: "other"}, `node "n1" can only delete pods with spec.nodeName set to itself`},
		"delete missing":   {request{op: remove, resource: "pods", name: "none"}, `"none" not found`},
		"update pod":       {request{op: update, resource: "pods", obj: pod(on("n1")), old: pod(on("n1"))}, `unexpected operation "UPDATE", node "n1" can only create and delete mirror pods`},
		"status":           {request{op: update, resource: "pods/status", obj: pod(on("n1")), old: pod(on("n1"))}, ""},
		"status elsewhere": {request{op: update, resource: "pods/status", obj: pod(on("n1")), old: pod(on("n2"))}, `node "n1" can only update pod status for pods with spec.nodeName set to itself`},
		"status labels":    {request{op: update, resource: "pods/status", obj: pod(on("n1"), func(p *corev1.Pod) { p.Labels = map[string]string{"a": "b"} }), old: pod(on("n1"))}, `node "n1" cannot update labels through pod status`},
		"binding":          {request{op: create, resource: "pods/binding", obj: &corev1.Binding{}}, `unexpected pod subresource "binding", only 'status' and 'eviction' are allowed`},
		"evict own":        {request{op: create, resource: "pods/eviction", name: "mine", obj: &policyv1.Eviction{}}, ""},
		"evict other":      {request{op: create, resource: "pods/eviction", name: "other", obj: &policyv1.Eviction{}}, "node n1 can only evict pods with spec.nodeName set to itself"},
		"evict whom":       {request{op: create, resource: "pods/eviction", obj: &policyv1.Eviction{}}, "could not determine pod from request data"},
		"own node":         {request{op: create, resource: "nodes", obj: node()}, ""},
		"another node":     {request{op: create, resource: "nodes", obj: node(func(n *corev1.Node) { n.Name = "n2" })}, `node "n1" is not allowed to modify node "n2"`},
		"delete a node":    {request{op: remove, resource: "nodes", name: "n2"}, `node "n1" is not allowed to modify node "n2"`},
		"label":            {request{op: create, resource: "nodes", obj: node(label("kubernetes.io/hostname"))}, ""},
		"own domain":       {request{op: create, resource: "nodes", obj: node(label("example.com/x"))}, ""},
		"role label":       {request{op: create, resource: "nodes", obj: node(label("node-role.kubernetes.io/control-plane"))}, `node "n1" is not allowed to set the following labels: node-role.kubernetes.io/control-plane`},
		"restricted label": {request{op: update, resource: "nodes", obj: node(label("foo.node-restriction.kubernetes.io/x")), old: node()}, "is not allowed to modify labels: foo.node-restriction.kubernetes.io/x"},
		"removed label":    {request{op: update, resource: "nodes", obj: node(), old: node(label("node-restriction.kubernetes.io/x"))}, "is not allowed to modify labels: node-restriction.kubernetes.io/x"},
		"node label":       {request{op: update, resource: "nodes", obj: node(label("node.kubernetes.io/exclude")), old: node()}, ""},
		"taints":           {request{op: update, resource: "nodes", obj: node(func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "x"}} }), old: node()}, `node "n1" is not allowed to modify taints`},
		"owners":           {request{op: update, resource: "nodes", obj: node(func(n *corev1.Node) { n.OwnerReferences = []metav1.OwnerReference{{Name: "x"}} }), old: node()}, `node "n1" is not allowed to modify ownerReferences`},
		"node status":      {request{op: update, resource: "nodes/status", obj: node(func(n *corev1.Node) { n.Status.Phase = "x" }), old: node()}, ""},
		"own lease":        {request{op: create, resource: "coordination.k8s.io/leases/", obj: &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}}, ""},
		"another lease":    {request{op: create, resource: "coordination.k8s.io/leases/", obj: &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "n2"}}}, "can only access node lease with the same name as the requesting node"},
		"lease elsewhere":  {request{op: create, resource: "coordination.k8s.io/leases/", obj: &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "n1"}}}, `can only access leases in the "kube-node-lease" system namespace`},
		"another CSINode":  {request{op: create, resource: "storage.k8s.io/csinodes/", obj: &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "n2"}}}, "can only access CSINode with the same name as the requesting node"},
		"claim":            {request{op: update, resource: "persistentvolumeclaims", obj: claim(), old: claim()}, "may only update PVC status"},
		"claim capacity": {request{op: update, resource: "persistentvolumeclaims/status", old: claim(), obj: claim(func(c *corev1.PersistentVolumeClaim) {
			c.Status.Capacity = corev1.ResourceList{}
			c.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{Type: "Resizing"}}
		})}, ""},
		"claim phase":        {request{op: update, resource: "persistentvolumeclaims/status", old: claim(), obj: claim(func(c *corev1.PersistentVolumeClaim) { c.Status.Phase = "Bound" })}, "is not allowed to update fields other than status.capacity and status.conditions"},
		"token":              {request{op: create, resource: "serviceaccounts/token", name: "default", obj: ask("mine", "mine-uid")}, ""},
		"token for vault":    {request{op: create, resource: "serviceaccounts/token", name: "default", obj: ask("mine", "mine-uid", "vault")}, ""},
		"token by right":     {request{op: create, resource: "serviceaccounts/token", name: "default", obj: ask("mine", "mine-uid", "registry")}, ""},
		"token for others":   {request{op: create, resource: "serviceaccounts/token", name: "default", obj: ask("mine", "mine-uid", "evil")}, `serviceaccounts "default" is forbidden: audience "evil" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience`},
		"token for two":      {request{op: create, resource: "serviceaccounts/token", name: "default", obj: ask("mine", "mine-uid", "vault", "x")}, "node may only request 0 or 1 audiences"},
		"token without pod":  {request{op: create, resource: "serviceaccounts/token", name: "default", obj: &authenticationv1.TokenRequest{}}, "node requested token not bound to a pod"},
		"token without uid":  {request{op: create, resource: "serviceaccounts/token", name: "default", obj: ask("mine", "")}, "node requested token with a pod binding without a uid"},
		"token of old pod":   {request{op: create, resource: "serviceaccounts/token", name: "default", obj: ask("mine", "old")}, "the UID in the bound object reference (old) does not match the UID in record. The object might have been deleted and then recreated"},
		"token of other pod": {request{op: create, resource: "serviceaccounts/token", name: "default", obj: ask("other", "other-uid")}, "node requested token bound to a pod scheduled on a different node"},
		"token not mounted":  {request{op: create, resource: "serviceaccounts/token", name: "default", obj: ask("bare", "bare-uid")}, `audience "" not found in pod spec volume`},
		"event":              {request{op: create, resource: "events", obj: &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "e"}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			switch name { // ServiceAccount looks first
			case "with account":
				c.refusal = "a mirror pod may not reference service accounts"
			case "with secret":
				c.refusal = "a mirror pod may not reference secrets"
			}
			c.r.user, c.r.groups = "system:node:n1", []string{"system:nodes"}
			expect(t, s.do(t, c.r), c.refusal)
		})
	}
	t.Run("others are not restricted", func(t *testing.T) {
		expect(t, s.do(t, request{op: remove, resource: "pods", name: "other", user: "jane"}), "")
		expect(t, s.do(t, request{op: update, resource: "nodes", obj: node(label("node-role.kubernetes.io/x")), old: node(), user: "system:node:n1"}), "")
	})
	t.Run("nameless node", func(t *testing.T) {
		expect(t, s.do(t, request{op: update, resource: "nodes", obj: node(), old: node(), user: "system:node:", groups: []string{"system:nodes"}}), `could not determine node from user "system:node:"`)
	})
	t.Run("new nodes are tainted", func(t *testing.T) {
		n := node()
		expect(t, s.do(t, request{op: create, resource: "nodes", obj: n}), "")
		if diff := cmp.Diff([]corev1.Taint{{Key: "node.kubernetes.io/not-ready", Effect: "NoSchedule"}}, n.Spec.Taints); diff != "" {
			t.Error(diff)
		}
	})
}

func TestEscalation(t *testing.T) {
	rule := func(verb, group, resource string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names}
	}
	clusterRole := func(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
		return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
	}
	role := func(name string, rules ...rbacv1.PolicyRule) *rbacv1.Role {
		return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Rules: rules}
	}
	binding := func(kind, name string) *rbacv1.RoleBinding {
		return &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "b"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}}
	}
	to := func(who, role string) *rbacv1.ClusterRoleBinding {
		return &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: who + role}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, Subjects: []rbacv1.Subject{{Kind: "User", Name: who}}}
	}
	aggregated := func(name string) *rbacv1.ClusterRole {
		r := clusterRole(name)
		r.AggregationRule = &rbacv1.AggregationRule{}
		return r
	}
	s := newSetup(t,
		clusterRole("pods", rule("get", "", "pods")), clusterRole("secrets", rule("get", "", "secrets")), role("local", rule("get", "", "secrets")),
		clusterRole("escalator", rule("escalate", "rbac.authorization.k8s.io", "roles"), rule("bind", "rbac.authorization.k8s.io", "clusterroles", "secrets")),
		clusterRole("root", rule("*", "*", "*"), rbacv1.PolicyRule{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}),
		to("jane", "pods"), to("ed", "escalator"), to("root", "root"),
	)
	const g = "rbac.authorization.k8s.io/"
	grown := role("r", rule("get", "", "secrets"))
	collected := grown.DeepCopy()
	collected.Finalizers, collected.OwnerReferences = []string{"x"}, []metav1.OwnerReference{{Name: "o"}}
	relabelled := grown.DeepCopy()
	relabelled.Labels = map[string]string{"a": "b"}
	const held = "is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"
	for name, c := range map[string]struct {
		user     string
		groups   []string
		op       admission.Operation
		resource string
		obj, old runtime.Object
		refusal  string
	}{
		"held":                    {user: "jane", resource: "roles/", obj: role("r", rule("get", "", "pods"))},
		"not held":                {user: "jane", resource: "roles/", obj: role("r", rule("get", "", "secrets")), refusal: `roles.rbac.authorization.k8s.io "r" is forbidden: user "jane" (groups=["system:authenticated"]) ` + held},
		"not held, cluster":       {user: "jane", resource: "clusterroles/", obj: clusterRole("r", rule("get", "", "secrets")), refusal: held},
		"masters":                 {user: "x", groups: []string{"system:masters"}, resource: "roles/", obj: role("r", rule("*", "*", "*"))},
		"escalate":                {user: "ed", resource: "roles/", obj: role("r", rule("get", "", "secrets"))},
		"escalate, other kind":    {user: "ed", resource: "clusterroles/", obj: clusterRole("r", rule("get", "", "secrets")), refusal: held},
		"update":                  {user: "jane", op: admission.Update, resource: "roles/", obj: grown, old: role("r"), refusal: held},
		"update by the collector": {user: "jane", op: admission.Update, resource: "roles/", obj: collected, old: grown},
		"update of labels":        {user: "jane", op: admission.Update, resource: "roles/", obj: relabelled, old: grown, refusal: held},
		"bind held":               {user: "jane", resource: "rolebindings/", obj: binding("ClusterRole", "pods")},
		"bind not held":           {user: "jane", resource: "rolebindings/", obj: binding("ClusterRole", "secrets"), refusal: held},
		"bind local":              {user: "jane", resource: "rolebindings/", obj: binding("Role", "local"), refusal: held},
		"bind missing":            {user: "jane", resource: "rolebindings/", obj: binding("Role", "gone"), refusal: `roles.rbac.authorization.k8s.io "gone" not found`},
		"bind by right":           {user: "ed", resource: "rolebindings/", obj: binding("ClusterRole", "secrets")},
		"bind other by right":     {user: "ed", resource: "rolebindings/", obj: binding("ClusterRole", "pods"), refusal: "is attempting to grant"},
		"bind in cluster":         {user: "jane", resource: "clusterrolebindings/", obj: to("jane", "secrets"), refusal: held},
		"aggregate":               {user: "jane", resource: "clusterroles/", obj: aggregated("a"), refusal: "must have cluster-admin privileges to use the aggregationRule"},
		"stop aggregating":        {user: "jane", op: admission.Update, resource: "clusterroles/", obj: clusterRole("a"), old: aggregated("a"), refusal: "must have cluster-admin privileges to use the aggregationRule"},
		"aggregate as root":       {user: "root", resource: "clusterroles/", obj: aggregated("a")},
	} {
		t.Run(name, func(t *testing.T) {
			if c.op == "" {
				c.op = admission.Create
			}
			expect(t, s.do(t, request{op: c.op, resource: g + c.resource, obj: c.obj, old: c.old, user: c.user, groups: c.groups}), c.refusal)
		})
	}
}
