package admission

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/utils/ptr"
)

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
