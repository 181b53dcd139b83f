package podspec_test

import (
	"testing"

	"berth.dev/berth/internal/plan/podspec"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestExpand(t *testing.T) {
	values := map[string]string{"A": "a", "EMPTY": "", "REF": "$(A)"}
	lookup := func(name string) (string, bool) { v, ok := values[name]; return v, ok }
	for in, want := range map[string]string{
		"$(A)": "a", "x$(A)y$(A)": "xaya", "$$(A)": "$(A)", "$$$(A)": "$a", "$$$$(A)": "$$(A)",
		"$(NONE)": "$(NONE)", "$(EMPTY)": "", "$(REF)": "$(A)", "$": "$", "$$": "$", "$(": "$(", "$(A": "$(A",
		"$A": "$A", "$)A": "$)A", "${A}": "${A}", "a$(A)$": "aa$", "$(A)$(NONE)$$x": "a$(NONE)$x", "": "",
	} {
		if got := podspec.Expand(in, lookup); got != want {
			t.Errorf("Expand(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("$(A)$$(B)$(")
	f.Fuzz(func(t *testing.T, text string) {
		podspec.Expand(text, func(string) (string, bool) { return "v", true })
		keep := podspec.Expand(text, func(string) (string, bool) { return "", false })
		if len(keep) > len(text) {
			t.Errorf("%q grew to %q", text, keep)
		}
	})
}

func TestEnvironment(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-0", UID: "u0", Labels: map[string]string{"app": "web"}}}
	pod.Spec.NodeName = "n1"
	c := &corev1.Container{
		Name: "app",
		EnvFrom: []corev1.EnvFromSource{
			{Prefix: "C_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "m"}}},
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "none"}, Optional: ptr.To(true)}},
		},
		Env: []corev1.EnvVar{
			{Name: "NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
			{Name: "APP", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['app']"}}},
			{Name: "IP", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}}},
			{Name: "CPU", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}}},
			{Name: "MEM", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "requests.memory", Divisor: resource.MustParse("1Mi")}}},
			{Name: "URL", Value: "http://$(NAME).$(C_zone):$(DB_SERVICE_PORT)/$(LATER)"},
			{Name: "LATER", Value: "x"},
			{Name: "KEY", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "none", Optional: ptr.To(true)}}},
			{Name: "NAME", Value: "$(NAME)!"},
		},
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1500Ki")}},
	}
	from := podspec.Sources{
		Services: []*corev1.Service{
			{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db"}, Spec: corev1.ServiceSpec{ClusterIP: "10.43.0.9", Ports: []corev1.ServicePort{{Name: "sql", Port: 3306}}}},
			{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: corev1.ServiceSpec{ClusterIP: "None", Ports: []corev1.ServicePort{{Port: 80}}}},
			{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "x"}, Spec: corev1.ServiceSpec{ClusterIP: "10.43.0.8", Ports: []corev1.ServicePort{{Port: 80}}}},
		},
		ConfigMap: func(name string) (*corev1.ConfigMap, error) {
			if name != "m" {
				return nil, nil
			}
			return &corev1.ConfigMap{Data: map[string]string{"zone": "z", "bad=key": "1"}}, nil
		},
		Secret: func(string) (*corev1.Secret, error) { return &corev1.Secret{}, nil },
		PodIPs: []string{"10.42.0.7"}, Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")},
	}
	env, invalid, err := podspec.Environment(pod, c, from)
	if err != nil {
		t.Fatal(err)
	}
	want := []podspec.Variable{
		{"C_zone", "z"},
		{"NAME", "web-0!"},
		{"APP", "web"},
		{"IP", "10.42.0.7"},
		{"CPU", "2"},
		{"MEM", "2"},
		{"URL", "http://web-0.z:3306/$(LATER)"},
		{"LATER", "x"},
		{"DB_PORT", "tcp://10.43.0.9:3306"},
		{"DB_PORT_3306_TCP", "tcp://10.43.0.9:3306"},
		{"DB_PORT_3306_TCP_ADDR", "10.43.0.9"},
		{"DB_PORT_3306_TCP_PORT", "3306"},
		{"DB_PORT_3306_TCP_PROTO", "tcp"},
		{"DB_SERVICE_HOST", "10.43.0.9"},
		{"DB_SERVICE_PORT", "3306"},
		{"DB_SERVICE_PORT_SQL", "3306"},
	}
	if diff := cmp.Diff(want, env); diff != "" {
		t.Error(diff)
	}
	if len(invalid) != 1 || invalid[0] != "Keys [C_bad=key] from the EnvFrom configMap default/m were skipped since they are considered invalid environment variable names." {
		t.Errorf("invalid %q", invalid)
	}

	c.Env = []corev1.EnvVar{{Name: "X", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "m"}, Key: "none"}}}}
	if _, _, err := podspec.Environment(pod, c, from); err == nil || err.Error() != "couldn't find key none in ConfigMap default/m" {
		t.Errorf("missing key: %v", err)
	}
}

func TestResolver(t *testing.T) {
	node := podspec.ParseResolver("# x\nnameserver 192.0.2.53\nsearch corp.example. lab.example\noptions timeout:1\n")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns"}}
	pod.Spec.DNSPolicy = corev1.DNSClusterFirst
	pod.Spec.DNSConfig = &corev1.PodDNSConfig{Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: ptr.To("2")}, {Name: "edns0"}}, Searches: []string{"extra"}}
	got, forming := podspec.PodResolver(pod, []string{"10.43.0.10"}, "cluster.local", node)
	want := podspec.Resolver{
		Servers:  []string{"10.43.0.10"},
		Searches: []string{"ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example", "lab.example", "extra"},
		Options:  []string{"ndots:2", "edns0"},
	}
	if diff := cmp.Diff(want, got); diff != "" || forming != "" {
		t.Error(diff, forming)
	}
	pod.Spec.HostNetwork, pod.Spec.DNSConfig = true, nil
	if got, _ := podspec.PodResolver(pod, []string{"10.43.0.10"}, "cluster.local", node); !cmp.Equal(got, node) {
		t.Errorf("host network: %v", got)
	}
	pod.Spec.DNSPolicy = corev1.DNSNone
	pod.Spec.DNSConfig = &corev1.PodDNSConfig{Nameservers: []string{"1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"}}
	if got, forming := podspec.PodResolver(pod, nil, "", node); len(got.Servers) != 3 || forming == "" {
		t.Errorf("limits: %v %q", got, forming)
	}
}

func TestQOSAndScores(t *testing.T) {
	list := func(cpu, mem string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(mem)}
	}
	for _, c := range []struct {
		requests, limits corev1.ResourceList
		want             corev1.PodQOSClass
		score            int64
	}{
		{nil, nil, corev1.PodQOSBestEffort, 1000},
		{list("1", "1Gi"), list("1", "1Gi"), corev1.PodQOSGuaranteed, -997},
		{nil, list("1", "1Gi"), corev1.PodQOSGuaranteed, -997},
		{list("500m", "1Gi"), list("1", "1Gi"), corev1.PodQOSBurstable, 750},
		{list("500m", "1Gi"), nil, corev1.PodQOSBurstable, 750},
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Resources: corev1.ResourceRequirements{Requests: c.requests, Limits: c.limits}}}}}
		if got := podspec.QOS(pod); got != c.want {
			t.Errorf("%v/%v: %s, want %s", c.requests, c.limits, got, c.want)
		}
		if got := podspec.OOMScore(pod, &pod.Spec.Containers[0], 4<<30); got != c.score {
			t.Errorf("%s: score %d, want %d", c.want, got, c.score)
		}
	}
}

func TestHostname(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web-0"}}
	pod.Spec.Hostname, pod.Spec.Subdomain = "web-0", "nginx"
	if name, domain := podspec.Hostname(pod, "cluster.local"); name != "web-0" || domain != "nginx.ns.svc.cluster.local" {
		t.Error(name, domain)
	}
	pod.Spec.SetHostnameAsFQDN = ptr.To(true)
	if name, err := podspec.KernelHostname(pod, "cluster.local"); err != nil || name != "web-0.nginx.ns.svc.cluster.local" {
		t.Error(name, err)
	}
	long := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a123456789a123456789a123456789a123456789a123456789a123456789a1-3456789"}}
	if name, _ := podspec.Hostname(long, ""); name != "a123456789a123456789a123456789a123456789a123456789a123456789a1" {
		t.Error(name)
	}
}
