package fields

import (
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

func pod(change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web-0", Labels: map[string]string{"a": "b"}},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{"disk": "ssd"}, Priority: ptr.To(int32(1)), HostNetwork: true,
			Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("1")}}}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &metav1.Time{Time: time.Unix(1, 0)}},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

// What differs in anything is not alike.
func TestAlike(t *testing.T) {
	if !alike(reflect.ValueOf(pod()), reflect.ValueOf(pod())) {
		t.Error("two equal pods are not alike")
	}
	for name, change := range map[string]func(*corev1.Pod){
		"a string":              func(p *corev1.Pod) { p.Name = "web-1" },
		"a boolean":             func(p *corev1.Pod) { p.Spec.HostNetwork = false },
		"what is pointed to":    func(p *corev1.Pod) { p.Spec.Priority = ptr.To(int32(2)) },
		"no pointer":            func(p *corev1.Pod) { p.Spec.Priority = nil },
		"a value in a map":      func(p *corev1.Pod) { p.Labels["a"] = "c" },
		"a key in a map":        func(p *corev1.Pod) { p.Labels = map[string]string{"c": "b"} },
		"one more in a map":     func(p *corev1.Pod) { p.Labels["c"] = "d" },
		"no map":                func(p *corev1.Pod) { p.Labels = nil },
		"an empty map, not nil": func(p *corev1.Pod) { p.Annotations = map[string]string{} },
		"an empty list":         func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{} },
		"one more in a list":    func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, corev1.Container{}) },
		"an item of a list":     func(p *corev1.Pod) { p.Spec.Containers[0].TTY = true },
		"a quantity":            func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests["cpu"] = resource.MustParse("2") },
		"a time":                func(p *corev1.Pod) { p.Status.StartTime = &metav1.Time{Time: time.Unix(2, 0)} },
	} {
		if alike(reflect.ValueOf(pod()), reflect.ValueOf(pod(change))) {
			t.Errorf("%s is overlooked", name)
		}
	}
	any1 := runtime.RawExtension{Object: pod()}
	if alike(reflect.ValueOf(any1), reflect.ValueOf(any1)) {
		t.Error("what is behind an interface is not looked at, so it is not alike")
	}
}

// Two objects that are compared tell of what differs alone, with anything else
// an object is what it was.
func TestOnlyWhatDiffersIsCompared(t *testing.T) {
	as := func(p *corev1.Pod) value.Map {
		v, err := value.NewValueReflect(p)
		if err != nil {
			t.Fatal(err)
		}
		return newObject(v, reflect.ValueOf(p)).AsMap()
	}
	seen := func(a, b value.Map, order value.MapTraverseOrder) map[string]bool {
		out := map[string]bool{}
		var each func(prefix string) func(string, value.Value, value.Value) bool
		each = func(prefix string) func(string, value.Value, value.Value) bool {
			return func(name string, x, y value.Value) bool {
				out[prefix+name] = true
				if x != nil && y != nil && x.IsMap() {
					x.AsMap().Zip(y.AsMap(), order, each(prefix+name+"."))
				}
				return true
			}
		}
		a.Zip(b, order, each(""))
		return out
	}
	old, bound := as(pod()), as(pod(func(p *corev1.Pod) { p.Spec.NodeName = "n1" }))
	got := seen(old, bound, value.Unordered)
	if want := map[string]bool{"spec": true, "spec.nodeName": true}; !reflect.DeepEqual(got, want) {
		t.Errorf("compared were %v, want %v", got, want)
	}
	if got := seen(old, bound, value.LexicalKeyOrder); !got["metadata.name"] || !got["spec.containers"] || !got["status.phase"] {
		t.Errorf("an ordered walk saw %v only", got)
	}
	unstructured := value.NewValueInterface(map[string]any{"spec": map[string]any{"hostNetwork": true}}).AsMap()
	if got := seen(old, unstructured, value.Unordered); !got["metadata"] || !got["spec.containers"] {
		t.Errorf("beside another form of object, %v were seen only", got)
	}
	if !old.Equals(as(pod())) || old.Equals(bound) {
		t.Error("equality is not what it was")
	}
}
