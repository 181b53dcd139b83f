package schedule

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestHelps(t *testing.T) {
	n := func(more ...func(*corev1.Node)) *corev1.Node { return node("a", "4", more...).Node }
	cordoned := func(n *corev1.Node) { n.Spec.Unschedulable = true }
	larger := func(n *corev1.Node) { n.Status.Allocatable[corev1.ResourceCPU] = resource.MustParse("8") }
	ended := func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }
	smaller := func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("1m")
	}
	uses := func(claim string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
			}})
		}
	}
	other := func(more ...func(*corev1.Pod)) *corev1.Pod { return pod("q", "1", append(more, on("a"))...) }
	waitsFor := func(node string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Status.NominatedNodeName = node }
	}
	web, host := called("app", "web"), near(corev1.LabelHostname, "app", "web")
	cases := map[string]struct {
		pod      *corev1.Pod
		failed   Filters
		old, now any
		want     bool
	}{
		"uncordoned":                     {pod("p", "1"), Unschedulable, n(cordoned), n(), true},
		"still cordoned":                 {pod("p", "1"), Unschedulable, n(cordoned), n(cordoned, larger), false},
		"another filter":                 {pod("p", "1"), Fit, n(cordoned), n(), false},
		"taint gone":                     {pod("p", "1"), TaintToleration, n(taint("k", corev1.TaintEffectNoSchedule)), n(), true},
		"another taint":                  {pod("p", "1"), TaintToleration, n(taint("k", corev1.TaintEffectNoSchedule)), n(taint("l", corev1.TaintEffectNoSchedule)), false},
		"its label":                      {pod("p", "1", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }), NodeAffinity, n(), n(labelled("disk", "ssd")), true},
		"another label":                  {pod("p", "1", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }), NodeAffinity, n(), n(labelled("disk", "hdd")), false},
		"a new node":                     {pod("p", "1"), Fit, nil, n(), true},
		"a new node, too small":          {pod("p", "5"), Fit, nil, n(), false},
		"a larger node":                  {pod("p", "5"), Fit, n(), n(larger), true},
		"a node goes":                    {pod("p", "5"), Fit, n(), nil, false},
		"a node goes, of a spread":       {pod("p", "5"), TopologySpread, n(), nil, true},
		"a pod goes":                     {pod("p", "1"), Fit, other(), nil, true},
		"a pod ends":                     {pod("p", "1"), Fit, other(), other(ended), true},
		"a pod without a node goes":      {pod("p", "1"), Fit, pod("q", "1"), nil, false},
		"a pod shrinks":                  {pod("p", "1"), Fit, other(), other(smaller), true},
		"a pod is bound":                 {pod("p", "1"), Fit, pod("q", "1"), other(), false},
		"a port is free":                 {pod("p", "1", hostPort(80, "")), NodePorts, other(hostPort(80, "")), nil, true},
		"another port is free":           {pod("p", "1", hostPort(80, "")), NodePorts, other(hostPort(81, "")), nil, false},
		"its claim is free":              {pod("p", "1", uses("c")), VolumeRestrictions, other(uses("c")), nil, true},
		"another claim is free":          {pod("p", "1", uses("c")), VolumeRestrictions, other(uses("d")), nil, false},
		"one that it avoids goes":        {pod("p", "1", avoids(host)), InterPodAffinity, other(web), nil, true},
		"one that avoids it goes":        {pod("p", "1", web), InterPodAffinity, other(avoids(host)), nil, true},
		"one that it does not mind goes": {pod("p", "1", avoids(host)), InterPodAffinity, other(), nil, false},
		"one that it wants comes":        {pod("p", "1", wants(host)), InterPodAffinity, pod("q", "1", web), other(web), true},
		"one that it wants not comes":    {pod("p", "1", wants(host)), InterPodAffinity, pod("q", "1"), other(), false},
		"one that waited for room comes": {pod("p", "1", wants(host)), InterPodAffinity, pod("q", "1", web, waitsFor("a")), other(web, waitsFor("a")), true},
		"one becomes one that it wants":  {pod("p", "1", wants(host)), InterPodAffinity, other(), other(web), true},
		"one of its spread comes":        {pod("p", "1", spreads("zone", 1, "app", "web")), TopologySpread, pod("q", "1", web), other(web), true},
		"one of its spread ends":         {pod("p", "1", spreads("zone", 1, "app", "web")), TopologySpread, other(web), other(web, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }), true},
		"one of no spread of its":        {pod("p", "1", spreads("zone", 1, "app", "web")), TopologySpread, pod("q", "1"), other(), false},
		"its claim":                      {pod("p", "1", uses("c")), VolumeBinding, claim("c"), claim("c"), true},
		"another claim":                  {pod("p", "1", uses("c")), VolumeBinding, claim("d"), claim("d"), false},
		"a volume":                       {pod("p", "1", uses("c")), VolumeBinding, nil, volumeOn("v", "a"), true},
		"a volume, but no room":          {pod("p", "1", uses("c")), Fit, nil, volumeOn("v", "a"), false},
		"an attachment goes":             {pod("p", "1", uses("c")), VolumeLimits, &storagev1.VolumeAttachment{}, nil, true},
		"a driver's limits":              {pod("p", "1", uses("c")), VolumeLimits, &storagev1.CSINode{}, &storagev1.CSINode{}, true},
	}
	for name, c := range cases {
		if got := Empty().Helps(c.pod, c.failed, c.old, c.now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
