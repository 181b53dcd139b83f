package node

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/utils/clock"
	testclock "k8s.io/utils/clock/testing"
)

func asNode(name string) user.Info {
	return &user.DefaultInfo{Name: "system:node:" + name, Groups: []string{"system:nodes", "system:authenticated"}}
}

func named(name string) corev1.LocalObjectReference {
	return corev1.LocalObjectReference{Name: name}
}

// everything refers to one object in every way that a pod can.
func everything() *corev1.Pod {
	secretEnv := func(name string) []corev1.EnvVar {
		return []corev1.EnvVar{{Name: "plain", Value: "x"}, {Name: "X", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: named(name)}}}}
	}
	configEnv := func(name string) []corev1.EnvVar {
		return []corev1.EnvVar{{Name: "Y", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: named(name)}}}}
	}
	volumes := []corev1.VolumeSource{
		{Secret: &corev1.SecretVolumeSource{SecretName: "s-volume"}},
		{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: named("c-volume")}},
		{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "claim"}},
		{Ephemeral: &corev1.EphemeralVolumeSource{}},
		{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{Secret: &corev1.SecretProjection{LocalObjectReference: named("s-projected")}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: named("c-projected")}},
		}}},
		{CSI: &corev1.CSIVolumeSource{NodePublishSecretRef: &corev1.LocalObjectReference{Name: "s-csi"}}},
		{ISCSI: &corev1.ISCSIVolumeSource{SecretRef: &corev1.LocalObjectReference{Name: "s-iscsi"}}},
		{EmptyDir: &corev1.EmptyDirVolumeSource{}},
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web-0", UID: "u"}, Spec: corev1.PodSpec{
		NodeName: "n1", ServiceAccountName: "sa", ImagePullSecrets: []corev1.LocalObjectReference{named("s-pull")},
		InitContainers: []corev1.Container{{Env: secretEnv("s-init")}},
		Containers: []corev1.Container{{
			Env:     append(secretEnv("s-env"), configEnv("c-env")...),
			EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: named("s-from")}}, {ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: named("c-from")}}},
		}},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Env: secretEnv("s-ephemeral")}}},
	}}
	for i, source := range volumes {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: fmt.Sprintf("v%d", i), VolumeSource: source})
	}
	return pod
}

func volume(name, claimName, secretName string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
		ClaimRef: &corev1.ObjectReference{Namespace: "ns", Name: claimName},
		PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
			NodeStageSecretRef:         &corev1.SecretReference{Namespace: "elsewhere", Name: secretName},
			ControllerExpandSecretRef:  &corev1.SecretReference{Namespace: "elsewhere", Name: "s-controller"},
			ControllerPublishSecretRef: &corev1.SecretReference{Namespace: "elsewhere", Name: "s-controller"},
		}},
	}}
}

// decided answers at once: its clock's timers are always over.
func decided(g *Graph) *Authorizer {
	return New(g, []rbacv1.PolicyRule{{Verbs: []string{"create"}, APIGroups: []string{""}, Resources: []string{"events"}}}, impatient{testclock.NewFakeClock(time.Unix(0, 0))})
}

type impatient struct{ *testclock.FakeClock }

func (impatient) NewTimer(time.Duration) clock.Timer {
	c := make(chan time.Time, 1)
	c <- time.Time{}
	return over(c)
}

type over chan time.Time

func (o over) C() <-chan time.Time    { return o }
func (over) Stop() bool               { return true }
func (over) Reset(time.Duration) bool { return true }

// ask reads "verb group/resource/subresource namespace name [field=value]".
func ask(who user.Info, words string) authorizer.AttributesRecord {
	f := strings.Fields(words)
	for i := range f {
		if f[i] == "-" {
			f[i] = ""
		}
	}
	parts := strings.SplitN(f[1], "/", 3)
	a := authorizer.AttributesRecord{User: who, Verb: f[0], ResourceRequest: true, APIGroup: parts[0], Resource: parts[1], Namespace: f[2], Name: f[3]}
	if a.APIGroup == "core" {
		a.APIGroup = ""
	}
	if len(parts) == 3 {
		a.Subresource = parts[2]
	}
	if len(f) > 4 {
		a.FieldSelectorRequirements = fields.ParseSelectorOrDie(f[4]).Requirements()
	}
	return a
}

func TestMatrix(t *testing.T) {
	g := NewGraph()
	g.SetPod(everything())
	other := everything()
	other.Name, other.Spec = "web-1", corev1.PodSpec{NodeName: "n2", ServiceAccountName: "sa2", Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s-two"}}}}}
	g.SetPod(other)
	unplaced := everything()
	unplaced.Name, unplaced.Spec = "pending", corev1.PodSpec{ServiceAccountName: "sa3"}
	g.SetPod(unplaced)
	mirror := everything()
	mirror.Name, mirror.Annotations = "static", map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	mirror.Spec.NodeName = "n2"
	g.SetPod(mirror)
	g.SetVolume(volume("pv", "claim", "s-mount"))
	g.SetVolume(volume("pv2", "claim2", "s-mount2"))
	g.SetVolume(&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "free"}})
	for name, node := range map[string]string{"here": "n1", "elsewhere": "n2", "gone": "n1"} {
		g.SetAttachment(&storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: storagev1.VolumeAttachmentSpec{NodeName: node}})
	}
	g.DeleteAttachment("gone")
	a := decided(g)

	const none = "no relationship found between node 'n1' and this object"
	cases := []struct{ asks, refusal string }{
		{"get core/persistentvolumeclaims ns claim", ""},
		{"get core/persistentvolumeclaims ns web-0-v3", ""},
		{"get core/persistentvolumeclaims ns claim2", none},
		{"watch core/persistentvolumeclaims ns claim", ""},
		{"watch core/persistentvolumeclaims ns claim2", none},
		{"list core/persistentvolumeclaims ns -", "can only get individual resources of this type"},
		{"patch core/persistentvolumeclaims/status ns claim", ""},
		{"patch core/persistentvolumeclaims/status ns claim2", none},
		{"get core/persistentvolumeclaims/status ns claim", "can only get/update/patch this type"},
		{"get core/persistentvolumes - pv", ""},
		{"get core/persistentvolumes - pv2", none},
		{"get core/persistentvolumes - free", none},
		{"delete core/persistentvolumes - pv", "can only get individual resources of this type"},
		{"get core/secrets elsewhere s-mount", ""},
		{"get core/secrets elsewhere s-mount2", none},
		{"get core/secrets elsewhere s-controller", none},
		{"watch core/secrets ns s-env", ""},
		{"list core/secrets ns s-env", ""},
		{"list core/secrets ns -", "No Object name found"},
		{"list core/secrets - -", "can only read namespaced object of this type"},
		{"get core/secrets other s-env", none},
		{"get core/secrets ns s-two", none},
		{"update core/secrets ns s-env", "can only read resources of this type"},
		{"get core/secrets/x ns s-env", "cannot read subresource"},
		{"get core/configmaps ns c-volume", ""},
		{"get core/configmaps ns s-volume", none},
		{"create core/serviceaccounts/token ns sa", ""},
		{"create core/serviceaccounts/token ns sa2", none},
		{"create core/serviceaccounts/token ns sa3", none},
		{"create core/serviceaccounts/token ns -", "can only create tokens for individual service accounts"},
		{"get core/serviceaccounts ns sa", ""},
		{"get core/serviceaccounts ns sa2", none},
		{"list core/serviceaccounts ns sa", "can only create tokens for individual service accounts"},
		{"create certificates.k8s.io/podcertificaterequests ns -", ""}, // admission looks at the pod
		{"watch certificates.k8s.io/podcertificaterequests ns - spec.nodeName=n1", ""},
		{"list certificates.k8s.io/podcertificaterequests ns req-1 metadata.name=req-1,spec.nodeName=n1", ""},
		{"list certificates.k8s.io/podcertificaterequests ns - spec.nodeName=n2", "can only create podcertificaterequests, and list/watch them with spec.nodeName field selector"},
		{"delete certificates.k8s.io/podcertificaterequests ns req-1", "can only create podcertificaterequests, and list/watch them with spec.nodeName field selector"},
		{"update certificates.k8s.io/podcertificaterequests/status ns req-1", "nodes may not access the status subresource of PodCertificateRequests"},
		{"create core/serviceaccounts ns sa", "can only create token subresource of serviceaccount"},
		{"get core/nodes - n1", ""},
		{"watch core/nodes - n1", ""},
		{"create core/nodes - -", ""},
		{"patch core/nodes/status - n1", ""},
		{"list core/nodes - -", ""}, // routes lead to all nodes
		{"watch core/nodes - -", ""},
		{"watch core/nodes - n2", "node 'n1' cannot read 'n2', only its own Node object"},
		{"get core/nodes - n2", "node 'n1' cannot read 'n2', only its own Node object"},
		{"delete core/nodes - n1", "-"},
		{"get core/nodes/proxy - n1", "-"},
		{"get core/pods ns web-0", ""},
		{"get core/pods ns web-1", none},
		{"get core/pods ns pending", none},
		{"list core/pods - - spec.nodeName=n1", ""},
		{"watch core/pods ns - spec.nodeName=n1,status.phase!=Failed", ""},
		{"list core/pods - - spec.nodeName!=n1", "can only list/watch pods with spec.nodeName field selector"},
		{"list core/pods - - spec.nodeName=n2", "can only list/watch pods with spec.nodeName field selector"},
		{"watch core/pods ns web-0", ""},
		{"create core/pods ns -", ""},
		{"delete core/pods ns web-1", ""}, // admission looks at the pod
		{"deletecollection core/pods ns -", "-"},
		{"patch core/pods/status ns web-0", ""},
		{"update core/pods ns web-0", "-"},
		{"get core/pods/log ns web-0", "-"},
		{"create core/pods/exec ns web-0", "-"},
		{"create core/pods/binding ns web-0", "-"},
		{"create core/pods/eviction ns web-0", ""},
		{"update coordination.k8s.io/leases kube-node-lease n1", ""},
		{"update coordination.k8s.io/leases kube-node-lease n2", "can only access node lease with the same name as the requesting node"},
		{"create coordination.k8s.io/leases kube-node-lease -", ""},
		{"update coordination.k8s.io/leases kube-system n1", `can only access leases in the "kube-node-lease" system namespace`},
		{"list coordination.k8s.io/leases kube-node-lease -", "can only get, create, update, patch, or delete a node lease"},
		{"get storage.k8s.io/csinodes - n1", ""},
		{"get storage.k8s.io/csinodes - n2", "can only access CSINode with the same name as the requesting node"},
		{"list storage.k8s.io/csinodes - -", "can only get, create, update, patch, or delete a CSINode"},
		{"get storage.k8s.io/volumeattachments - x", none},
		{"get storage.k8s.io/volumeattachments - here", ""},
		{"get storage.k8s.io/volumeattachments - elsewhere", none},
		{"get storage.k8s.io/volumeattachments - gone", none},
		{"list storage.k8s.io/volumeattachments - -", "can only get individual resources of this type"},
		{"get spiderpool.spidernet.io/spiderendpoints ns web-0", ""},
		{"get spiderpool.spidernet.io/spiderendpoints ns web-1", none},
		{"watch spiderpool.spidernet.io/spiderendpoints - - status.current.node=n1", ""},
		{"list spiderpool.spidernet.io/spiderendpoints - - status.current.node=n2", ""},
		{"watch spiderpool.spidernet.io/spiderendpoints - -", ""},
		{"watch spiderpool.spidernet.io/spiderendpoints ns web-1", none},
		{"update spiderpool.spidernet.io/spiderendpoints ns web-0", "can only read spiderendpoints"},
		{"update spiderpool.spidernet.io/spiderendpoints/status ns web-0", "cannot read subresource"},
		{"create core/events ns -", ""},
		{"delete core/events ns e", "-"},
		{"get apps/statefulsets ns web", "-"},
		{"get rbac.authorization.k8s.io/clusterroles - x", "-"},
	}
	for _, name := range []string{"s-volume", "s-projected", "s-csi", "s-iscsi", "s-pull", "s-init", "s-env", "s-from", "s-ephemeral"} {
		cases = append(cases, struct{ asks, refusal string }{"get core/secrets ns " + name, ""})
	}
	for _, name := range []string{"c-volume", "c-projected", "c-env", "c-from"} {
		cases = append(cases, struct{ asks, refusal string }{"get core/configmaps ns " + name, ""})
	}
	for _, c := range cases {
		decision, reason, err := a.Authorize(t.Context(), ask(asNode("n1"), c.asks))
		if err != nil || decision == authorizer.DecisionDeny {
			t.Errorf("%s: %v %v", c.asks, decision, err)
		}
		if c.refusal == "-" {
			c.refusal = ""
			if decision == authorizer.DecisionAllow {
				t.Errorf("%s is allowed", c.asks)
			}
		} else if (decision == authorizer.DecisionAllow) != (c.refusal == "") {
			t.Errorf("%s: %v (%s)", c.asks, decision, reason)
		}
		if reason != c.refusal {
			t.Errorf("%s: got %q, want %q", c.asks, reason, c.refusal)
		}
	}
}

func TestIdentity(t *testing.T) {
	a := decided(NewGraph())
	for _, c := range []struct {
		who    user.Info
		reason string
		allow  bool
	}{
		{asNode("n1"), "", true},
		{&user.DefaultInfo{Name: "system:node:n1"}, "", false},                       // not in the group
		{&user.DefaultInfo{Name: "n1", Groups: []string{"system:nodes"}}, "", false}, // not named as a node
		{&user.DefaultInfo{Name: "system:node:", Groups: []string{"system:nodes"}}, `unknown node for user "system:node:"`, false},
		{&user.DefaultInfo{Name: "system:kube-scheduler"}, "", false},
		{nil, "", false},
	} {
		decision, reason, _ := a.Authorize(t.Context(), ask(c.who, "create core/events ns -"))
		if (decision == authorizer.DecisionAllow) != c.allow || reason != c.reason {
			t.Errorf("%v: %v %q", c.who, decision, reason)
		}
	}
}

// A refusal waits for what the node has heard of and the graph has not.
func TestWaitsForTheGraph(t *testing.T) {
	g := NewGraph()
	a := New(g, nil, clock.RealClock{})
	request := ask(asNode("n1"), "get core/secrets ns s-env")
	go func() {
		time.Sleep(20 * time.Millisecond)
		g.SetVolume(volume("x", "y", "z")) // nothing to do with it
		g.SetPod(everything())
	}()
	if d, reason, _ := a.Authorize(t.Context(), request); d != authorizer.DecisionAllow {
		t.Errorf("got %v %s", d, reason)
	}
	begun := time.Now()
	if d, _, _ := a.Authorize(t.Context(), ask(asNode("n1"), "get core/secrets ns other")); d == authorizer.DecisionAllow {
		t.Error("allowed")
	}
	if took := time.Since(begun); took < patience || took > 20*patience {
		t.Errorf("refused after %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begun = time.Now()
	a.Authorize(ctx, ask(asNode("n1"), "get core/secrets ns other"))
	if time.Since(begun) > patience/2 {
		t.Error("a request that has ended still waits")
	}
}
