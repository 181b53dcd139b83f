package schedule

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// stock is storage as plain maps.
type stock struct {
	claims     map[string]*corev1.PersistentVolume // bound to these
	limits     map[string]int32                    // by node
	attached   map[string]string
	insists    bool
	capacities []*storagev1.CSIStorageCapacity
}

const disk = "example.com/disk"

func (s stock) Claim(_, name string) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume, *storagev1.StorageClass) {
	return claim(name), s.claims[name], nil
}

func (s stock) Limits(node string) *storagev1.CSINode {
	limit, ok := s.limits[node]
	if !ok {
		return nil
	}
	return &storagev1.CSINode{Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{{Name: disk, Allocatable: &storagev1.VolumeNodeResources{Count: &limit}}}}}
}

func (s stock) Attached(string) map[string]string { return s.attached }

func (s stock) Driver(string) *storagev1.CSIDriver {
	return &storagev1.CSIDriver{Spec: storagev1.CSIDriverSpec{
		PreventPodSchedulingIfMissing: ptr.To(s.insists), StorageCapacity: ptr.To(s.capacities != nil),
	}}
}

func (s stock) Capacities() []*storagev1.CSIStorageCapacity { return s.capacities }

func TestVolumeLimits(t *testing.T) {
	volume := func(name string) *corev1.PersistentVolume {
		pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyZone: "one__two"}}}
		pv.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: disk, VolumeHandle: name}
		return pv
	}
	uses := func(claims ...string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			for _, c := range claims {
				p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c},
				}})
			}
		}
	}
	bound := Claim{Name: "c", Claim: claim("c", func(c *corev1.PersistentVolumeClaim) {
		c.Spec.VolumeName = "v"
		c.Annotations = map[string]string{bindCompleted: "yes"}
	}), Volume: volume("v")}
	waits := Claim{Name: "c", Claim: claim("c"), Class: class(disk, storagev1.VolumeBindingWaitForFirstConsumer)}
	alone := bound
	alone.Claim = bound.Claim.DeepCopy()
	alone.Claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
	room := func(size string) []*storagev1.CSIStorageCapacity {
		return []*storagev1.CSIStorageCapacity{{StorageClassName: "local", Capacity: ptr.To(resource.MustParse(size)), NodeTopology: &metav1.LabelSelector{}}}
	}
	cases := map[string]struct {
		stock  stock
		claim  Claim
		node   Node
		reason string
	}{
		"no limit":                      {stock{}, bound, node("a", "4"), ""},
		"within":                        {stock{limits: map[string]int32{"a": 1}}, bound, node("a", "4"), ""},
		"over":                          {stock{limits: map[string]int32{"a": 1}, claims: map[string]*corev1.PersistentVolume{"d": volume("w")}}, bound, node("a", "4").with(pod("q", "", uses("d"))), reasonMaxVolumes},
		"the same volume":               {stock{limits: map[string]int32{"a": 1}, claims: map[string]*corev1.PersistentVolume{"d": volume("v")}}, bound, node("a", "4").with(pod("q", "", uses("d"))), ""},
		"still attached":                {stock{limits: map[string]int32{"a": 1}, attached: map[string]string{disk + "/x": disk}}, bound, node("a", "4"), reasonMaxVolumes},
		"one to be made":                {stock{limits: map[string]int32{"a": 0}}, waits, node("a", "4"), reasonMaxVolumes},
		"a driver that insists":         {stock{insists: true}, bound, node("a", "4"), disk + " CSI driver is not installed on the node"},
		"a driver that is there":        {stock{insists: true, limits: map[string]int32{"a": 9}}, bound, node("a", "4"), ""},
		"storage left":                  {stock{capacities: room("2Gi")}, waits, node("a", "4"), ""},
		"no storage left":               {stock{capacities: room("1Mi")}, waits, node("a", "4"), reasonNoSpace},
		"its zone":                      {stock{}, bound, node("a", "4", labelled(corev1.LabelTopologyZone, "two")), ""},
		"another zone":                  {stock{}, bound, node("a", "4", labelled(corev1.LabelTopologyZone, "three")), reasonZone},
		"for one pod only":              {stock{}, alone, node("a", "4").with(pod("q", "", uses("c"))), reasonAlone},
		"for one pod only, and is free": {stock{}, alone, node("a", "4").with(pod("q", "", uses("d"))), ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := Decide(State{Ask: Ask{Pod: pod("p", "", uses("c")), Claims: []Claim{c.claim}, Storage: c.stock}, Nodes: []Node{c.node}})
			if c.reason == "" && got.Node != "a" || c.reason != "" && (len(got.Refusals) != 1 || got.Refusals[0].Reasons[0] != c.reason) {
				t.Errorf("node %q, %v; want %q", got.Node, got.Refusals, c.reason)
			}
		})
	}
}

func TestImages(t *testing.T) {
	has := func(image string, size int64) func(*corev1.Node) {
		return func(n *corev1.Node) {
			n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{image}, SizeBytes: size})
		}
	}
	p := pod("p", "", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "example.com/db" })
	nodes := []Node{node("a", "4"), node("b", "4", has("example.com/db:latest", 900<<20)), node("c", "4", has("example.com/db:2", 900<<20))}
	if got := Decide(State{Ask: Ask{Pod: p}, Nodes: nodes}); got.Node != "b" {
		t.Errorf("goes to %s, which has to pull", got.Node)
	}
}
