package inplace

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func template(edit func(*corev1.PodTemplateSpec)) *corev1.PodTemplateSpec {
	t := &corev1.PodTemplateSpec{}
	t.Labels = map[string]string{"app": "web"}
	t.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "init:1"}}
	t.Spec.Containers = []corev1.Container{{Name: "db", Image: "db:1"}, {Name: "log", Image: "log:1"}}
	t.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
	t.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "ZONE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['zone']"}}}}
	if edit != nil {
		edit(t)
	}
	return t
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*corev1.PodTemplateSpec)
		want string
	}{
		"nothing":          {nil, ""},
		"image":            {func(t *corev1.PodTemplateSpec) { t.Spec.Containers[1].Image = "log:2" }, ""},
		"label":            {func(t *corev1.PodTemplateSpec) { t.Labels["tier"] = "gold" }, ""},
		"first annotation": {func(t *corev1.PodTemplateSpec) { t.Annotations = map[string]string{"note.io/x": "1"} }, ""},
		"cpu": {func(t *corev1.PodTemplateSpec) {
			t.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("2")
		}, ""},
		"restart":              {func(t *corev1.PodTemplateSpec) { t.Annotations = map[string]string{restartedAt: "now"} }, "metadata.annotations[kubectl.kubernetes.io/restartedAt] asks for new pods"},
		"label that env reads": {func(t *corev1.PodTemplateSpec) { t.Labels["zone"] = "b" }, "metadata.labels[zone] is read into the environment"},
		"env":                  {func(t *corev1.PodTemplateSpec) { t.Spec.Containers[0].Env[0].Name = "Z" }, "spec.containers[0].env[0].name cannot change in place"},
		"memory comes": {func(t *corev1.PodTemplateSpec) {
			t.Spec.Containers[0].Resources.Requests[corev1.ResourceMemory] = resource.MustParse("1Gi")
		}, "spec.containers[0].resources.requests.memory cannot"},
		"another container": {func(t *corev1.PodTemplateSpec) { t.Spec.Containers = t.Spec.Containers[:1] }, "spec.containers cannot"},
		"init image":        {func(t *corev1.PodTemplateSpec) { t.Spec.InitContainers[0].Image = "init:2" }, "spec.initContainers[0].image cannot"},
		"grace period":      {func(t *corev1.PodTemplateSpec) { t.Spec.TerminationGracePeriodSeconds = new(int64(1)) }, "spec.terminationGracePeriodSeconds cannot"},
		"class": {func(t *corev1.PodTemplateSpec) {
			t.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("0")
		}, "spec.containers would get another quality of service class"},
	} {
		got := ""
		if o := Check(template(nil), template(c.edit)); o != nil {
			got = o.Error()
		}
		if (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// From the patch over the containers' restart to the end.
func TestApplyAndPending(t *testing.T) {
	from := template(nil)
	to := template(func(t *corev1.PodTemplateSpec) {
		t.Spec.Containers[0].Image, t.Labels = "db:2", map[string]string{"app": "web", "tier": "gold"}
		t.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("2")
	})
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	pod := &corev1.Pod{Spec: *from.Spec.DeepCopy()}
	pod.Labels = map[string]string{"app": "web", "mine": "yes", appsv1.ControllerRevisionHashLabelKey: "web-a"}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "db", ContainerID: "x://1", State: running}, {Name: "log", ContainerID: "x://2", State: running}}
	if Resizable(pod, to) {
		t.Error("the node does not report resources, and yet can resize")
	}
	if !Resize(pod, to) || Resize(pod, to) {
		t.Error("resources are not set once")
	}
	if err := Apply(pod, from, to, "web-b"); err != nil {
		t.Fatal(err)
	}
	if pod.Spec.Containers[0].Image != "db:2" || pod.Labels["tier"] != "gold" || pod.Labels["mine"] != "yes" || pod.Labels[appsv1.ControllerRevisionHashLabelKey] != "web-b" {
		t.Errorf("patched wrongly: %v %v", pod.Labels, pod.Spec.Containers)
	}
	db := &pod.Status.ContainerStatuses[0]
	pod.Generation, pod.Status.ObservedGeneration = 2, 1
	steps := []struct {
		do    func()
		want  string
		stuck bool
	}{
		{func() {}, "container db is being updated in place", false},
		{func() {
			db.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}
			db.ContainerID = "x://3"
		}, "container db is being updated in place", false},
		{func() { db.State = running }, "the node has not seen its update in place yet", false},
		{func() {
			pod.Status.ObservedGeneration = 2
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: corev1.PodReasonInfeasible, Message: "too big"}}
		}, "its resize is not done: Infeasible too big", true},
		{func() { pod.Status.Conditions = nil }, "", false},
	}
	for i, step := range steps {
		step.do()
		if what, stuck := Pending(pod); what != step.want || stuck != step.stuck {
			t.Errorf("step %d: %q %t, want %q", i, what, stuck, step.want)
		}
	}
}
