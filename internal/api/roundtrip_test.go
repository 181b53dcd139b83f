package api

import (
	"bytes"
	"context"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
)

// seeds are the manifests that fuzzing starts from.
var seeds = []string{
	`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"b"},"spec":{"containers":[{"name":"a","image":"a"}]}}`,
	`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"hostNetwork":true,"overhead":{"cpu":"1n"},"serviceAccount":"x","volumes":[{"name":"v"},{"name":"w","projected":{"sources":[{"serviceAccountToken":{"path":"t"}}]}}],"containers":[{"name":"a","image":"a:latest@sha256:x","ports":[{"containerPort":80}],"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['a']"}}}],"resources":{"limits":{"cpu":"0.0001","hugepages-2Mi":"3Mi"}},"livenessProbe":{"grpc":{"port":1}}}]}}`,
	`{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"w"},"spec":{"selector":{"matchLabels":{"a":"b"}},"updateStrategy":{"rollingUpdate":{"maxUnavailable":"5%"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"a","image":"a"}]}},"volumeClaimTemplates":[{"metadata":{"name":"d"},"spec":{"resources":{"requests":{"storage":"1Gi"}}}}]}}`,
	`{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{"container.apparmor.security.beta.kubernetes.io/x":"y"}},"spec":{"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"matchLabelKeys":["a"]}]}},"dnsConfig":{"searches":["."]},"topologySpreadConstraints":[{}],"ephemeralContainers":[{}],"initContainers":[{"lifecycle":{"preStop":{}}}]}}`,
	`{"apiVersion":"v1","kind":"Service","spec":{"clusterIPs":["None","x","y"],"ipFamilies":["IPv4","IPv9"],"ports":[{}]}}`,
	`{"apiVersion":"v1","kind":"PersistentVolume","spec":{"iscsi":{"iqn":"i"},"csi":{},"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchFields":[{}]}]}}}}`,
	`{"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":"e"},"regarding":{"kind":"Pod"},"series":{"count":1},"note":"n"}`,
	`{"apiVersion":"spiderpool.spidernet.io/v2beta1","kind":"SpiderIPPool","spec":{"subnet":"10.0.0.0/8","ips":["10.0.0.1-10.0.0.9"],"gateway":"x"}}`,
}

// endless finds quantities so small that apimachinery computes for ever on them.
var endless = regexp.MustCompile(`[eE]-\d{4}`)

// FuzzObject checks that no object, however wrong, breaks a rule, and that one
// that is stored reads back as it was.
func FuzzObject(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if endless.Match(text) {
			return
		}
		obj, gvk, err := Codecs.UniversalDeserializer().Decode(text, nil, nil)
		if err != nil {
			return
		}
		if obj, err = Scheme.ConvertToVersion(obj, runtime.InternalGroupVersioner); err != nil {
			return
		}
		for _, k := range Kinds() {
			if k.GVK == *gvk {
				exercise(t, k, obj)
			}
		}
	})
}

// exercise runs an object through all that the server does with it.
func exercise(t interface {
	Helper()
	Fatalf(string, ...any)
}, k Kind, obj runtime.Object,
) {
	t.Helper()
	ctx := context.Background()
	Scheme.Default(obj)
	again := obj.DeepCopyObject()
	Scheme.Default(again)
	if !equality.Semantic.DeepEqual(obj, again) {
		t.Fatalf("defaulting is not idempotent: %s", cmp.Diff(obj, again))
	}
	codec := Codecs.LegacyCodec(k.GVK.GroupVersion())
	var stored bytes.Buffer
	if err := codec.Encode(obj.DeepCopyObject(), &stored); err != nil {
		t.Fatalf("encoding: %v", err)
	}
	back, _, err := codec.Decode(stored.Bytes(), nil, nil)
	if err != nil {
		t.Fatalf("decoding what was encoded: %v", err)
	}
	var restored bytes.Buffer
	if err := codec.Encode(back, &restored); err != nil || !bytes.Equal(stored.Bytes(), restored.Bytes()) {
		t.Fatalf("stored and read back differ: %v\n%s", err, cmp.Diff(stored.String(), restored.String()))
	}
	old := obj.DeepCopyObject()
	untouched := obj.DeepCopyObject()
	k.Validate(ctx, obj)
	k.ValidateUpdate(ctx, obj, old)
	if k.ValidateStatusUpdate != nil {
		k.ValidateStatusUpdate(ctx, obj, old)
	}
	if k.Warnings != nil {
		k.Warnings(ctx, obj, nil)
	}
	if len(k.Row(obj)) != len(k.Columns) {
		t.Fatalf("wrong number of cells")
	}
	if k.Fields != nil {
		k.Fields(obj)
	}
	if k.DefaultGracePeriod != nil {
		k.DefaultGracePeriod(obj, nil)
	}
	if !equality.Semantic.DeepEqual(obj, untouched) {
		t.Fatalf("validation changed the object: %s", cmp.Diff(untouched, obj))
	}
	for _, prepare := range []func(){
		func() { call(k.PrepareCreate, ctx, obj) },
		func() { call2(k.PrepareUpdate, ctx, obj, old) },
		func() { call2(k.PrepareStatusUpdate, ctx, obj, old) },
	} {
		prepare()
	}
}

func call(f func(context.Context, runtime.Object), ctx context.Context, o runtime.Object) {
	if f != nil {
		f(ctx, o)
	}
}

func call2(f func(context.Context, runtime.Object, runtime.Object), ctx context.Context, o, old runtime.Object) {
	if f != nil {
		f(ctx, o, old)
	}
}

// TestObjectsRoundTrip does the same with objects that are mostly sound.
func TestObjectsRoundTrip(t *testing.T) {
	pods, sets := kindOf(t, corev1.SchemeGroupVersion.WithKind("Pod")), kindOf(t, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
	rapid.Check(t, func(t *rapid.T) {
		template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "a"}}, Spec: drawPodSpec(t)}
		exercise(t, pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "b"}, Spec: *template.Spec.DeepCopy()})
		exercise(t, sets, &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "b"},
			Spec: appsv1.StatefulSetSpec{
				Replicas: rapid.Ptr(rapid.Int32Range(-1, 5), true).Draw(t, "replicas"),
				Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}},
				Template: template,
			},
		})
	})
}

func drawPodSpec(t *rapid.T) corev1.PodSpec {
	name := rapid.SampledFrom([]string{"a", "b", "Bad", ""})
	quantity := rapid.SampledFrom([]string{"1", "100m", "1n", "1Gi", "-1"})
	container := rapid.Custom(func(t *rapid.T) corev1.Container {
		c := corev1.Container{
			Name:  name.Draw(t, "name"),
			Image: rapid.SampledFrom([]string{"a", "a:latest", "a:1", "A", "host:5000/a", "a@sha256:" + hash}).Draw(t, "image"),
		}
		if rapid.Bool().Draw(t, "limited") {
			c.Resources.Limits = corev1.ResourceList{
				rapid.SampledFrom([]corev1.ResourceName{"cpu", "memory", "hugepages-2Mi", "example.com/x"}).Draw(t, "resource"): resource.MustParse(quantity.Draw(t, "quantity")),
			}
		}
		if rapid.Bool().Draw(t, "probed") {
			c.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(80)}}}
		}
		if rapid.Bool().Draw(t, "mounted") {
			c.VolumeMounts = []corev1.VolumeMount{{Name: name.Draw(t, "mount"), MountPath: "/x"}}
		}
		return c
	})
	return corev1.PodSpec{
		HostNetwork:    rapid.Bool().Draw(t, "hostNetwork"),
		Containers:     rapid.SliceOfN(container, 0, 3).Draw(t, "containers"),
		InitContainers: rapid.SliceOfN(container, 0, 2).Draw(t, "init"),
		Volumes: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) corev1.Volume {
			return corev1.Volume{Name: name.Draw(t, "volume")}
		}), 0, 3).Draw(t, "volumes"),
	}
}

const hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
