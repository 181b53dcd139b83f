package evict_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"berth.dev/berth/internal/plan/evict"
)

const mi = 1 << 20

// using is a pod that asks for asked MiB of memory and disk and uses used of both.
func using(name string, priority int32, asked, used int64) evict.Pod {
	q := *resource.NewQuantity(asked*mi, resource.BinarySI)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Priority: &priority, Containers: []corev1.Container{{Name: "c"}}}}
	if asked > 0 {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: q, corev1.ResourceEphemeralStorage: q}
	}
	return evict.Pod{
		Pod: p, Known: true, Memory: used * mi, Disk: used * mi, Inodes: used, Processes: used,
		Containers: []evict.Container{{Name: "c", Memory: used * mi, Disk: used * mi}},
	}
}

func unknown(p evict.Pod) evict.Pod {
	p.Known, p.Containers = false, nil
	return p
}

func TestVictim(t *testing.T) {
	low := evict.Observation{Available: 50 * mi, Capacity: 1000 * mi}
	memory := evict.Threshold{Signal: evict.MemoryAvailable, Least: evict.Amount{Count: 100 * mi}}
	disk := evict.Threshold{Signal: evict.DiskAvailable, Least: evict.Amount{Share: 0.1}}
	const lowMemory = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "
	const lowDisk = "The node was low on resource: ephemeral-storage. Threshold quantity: 100Mi, available: 50Mi. "
	for name, c := range map[string]struct {
		t     evict.Threshold
		pods  []evict.Pod
		pod   string
		words string
		grace int64
	}{
		"uses more than it asked for": {
			memory,
			[]evict.Pod{using("big", 0, 300, 290), using("small", 0, 10, 20)},
			"small",
			lowMemory + "Container c was using 20Mi, request is 10Mi, has larger consumption of memory. ", 1,
		},
		"asked for nothing": {
			memory,
			[]evict.Pod{using("a", 0, 100, 90), using("b", 0, 0, 1)},
			"b",
			lowMemory + "Container c was using 1Mi, request is 0, has larger consumption of memory. ", 1,
		},
		"matters less": {
			memory,
			[]evict.Pod{using("a", 10, 0, 500), using("b", 5, 0, 50)},
			"b",
			lowMemory + "Container c was using 50Mi, request is 0, has larger consumption of memory. ", 1,
		},
		"uses most beyond": {
			memory,
			[]evict.Pod{using("a", 0, 100, 200), using("b", 0, 10, 150)},
			"b",
			lowMemory + "Container c was using 150Mi, request is 10Mi, has larger consumption of memory. ", 1,
		},
		"uses most of what pods may have": {
			evict.Threshold{Signal: evict.AllocatableMemory, Least: evict.Amount{Count: 100 * mi}},
			[]evict.Pod{using("a", 0, 100, 200), using("b", 0, 10, 150)},
			"b",
			lowMemory + "Container c was using 150Mi, request is 10Mi, has larger consumption of memory. ", 1,
		},
		"all within":             {memory, []evict.Pod{using("a", 0, 100, 90), using("b", 0, 100, 99)}, "b", lowMemory, 1},
		"nothing is known of it": {memory, []evict.Pod{using("a", 0, 0, 90), unknown(using("b", 9, 0, 0))}, "b", lowMemory, 1},
		"critical stays":         {memory, []evict.Pod{using("a", 2_000_000_000, 0, 90)}, "", "", 0},
		"disk": {
			disk,
			[]evict.Pod{using("a", 0, 100, 90), using("b", 0, 0, 7)},
			"b",
			lowDisk + "Container c was using 7Mi, request is 0, has larger consumption of ephemeral-storage. ", 1,
		},
		"process IDs": {
			evict.Threshold{Signal: evict.PIDAvailable, Least: evict.Amount{Share: 0.1}},
			[]evict.Pod{using("a", 5, 0, 90), using("b", 1, 0, 7), using("c", 1, 0, 8)},
			"c",
			"The node was low on resource: pids. Threshold quantity: 100Mi, available: 52428800. ", 1,
		},
		"soft": {
			evict.Threshold{Signal: evict.InodesFree, Least: evict.Amount{Count: 1000}, Grace: time.Minute},
			[]evict.Pod{using("a", 0, 0, 1), using("b", 0, 0, 2)},
			"b",
			"The node was low on resource: inodes. Threshold quantity: 1k, available: 52428800. ", 20,
		},
	} {
		t.Run(name, func(t *testing.T) {
			victim, kill := evict.Config{MaxGrace: 20}.Victim(c.t, low, c.pods)
			got := ""
			if victim != nil {
				got = victim.Name
			}
			if got != c.pod || kill.Message != c.words || ptr.Deref(kill.Grace, 0) != c.grace {
				t.Errorf("%q with %d s: %s\nwant %q with %d s: %s", got, ptr.Deref(kill.Grace, 0), kill.Message, c.pod, c.grace, c.words)
			}
			if victim != nil && (kill.Reason != "Evicted" || kill.Condition.Reason != "TerminationByKubelet" || kill.Condition.Message != c.words) {
				t.Errorf("%+v", kill)
			}
		})
	}
}

// Who is within what it asked for stays as long as somebody is not.
func TestVictimsAreThoseThatExceed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pods []evict.Pod
		exceed, least := false, int32(0)
		for range rapid.IntRange(1, 6).Draw(t, "pods") {
			asked, used := rapid.Int64Range(0, 5).Draw(t, "asked"), rapid.Int64Range(0, 9).Draw(t, "used")
			p := using("p", rapid.Int32Range(0, 3).Draw(t, "priority"), asked, used)
			if used > asked && (!exceed || *p.Spec.Priority < least) {
				exceed, least = true, *p.Spec.Priority
			}
			pods = append(pods, p)
		}
		victim, _ := evict.Config{}.Victim(evict.Threshold{Signal: evict.MemoryAvailable}, evict.Observation{}, pods)
		asked := victim.Spec.Containers[0].Resources.Requests.Memory().Value()
		if exceed && (victim.Memory <= asked || *victim.Spec.Priority != least) {
			t.Fatalf("priority %d, asked %d, used %d goes first", *victim.Spec.Priority, asked, victim.Memory)
		}
	})
}

func TestExceeds(t *testing.T) {
	limit := func(p evict.Pod, amount string) evict.Pod {
		p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceEphemeralStorage: resource.MustParse(amount)}
		return p
	}
	volume := func(p evict.Pod, amount string, used int64) evict.Pod {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: ptr.To(resource.MustParse(amount))}}}}
		p.Volumes = map[string]int64{"v": used * mi}
		return p
	}
	besides := limit(using("p", 0, 0, 4), "5Mi")
	besides.Disk = 6 * mi // one of its volumes holds the rest
	other := limit(using("p", 0, 0, 6), "5Mi")
	other.Spec.Containers = append(other.Spec.Containers, corev1.Container{Name: "d", Resources: corev1.ResourceRequirements{Limits: other.Spec.Containers[0].Resources.Limits}})
	for name, c := range map[string]struct {
		pod  evict.Pod
		want string
	}{
		"no limit":                 {using("p", 0, 0, 1000), ""},
		"within":                   {limit(using("p", 0, 0, 5), "5Mi"), ""},
		"the pod":                  {besides, "Pod ephemeral local storage usage exceeds the total limit of containers 5Mi. "},
		"one of two containers":    {other, `Container c exceeded its local ephemeral storage limit "5Mi". `},
		"a volume":                 {volume(using("p", 0, 0, 0), "2Mi", 3), `Usage of EmptyDir volume "v" exceeds the limit "2Mi". `},
		"a volume within":          {volume(using("p", 0, 0, 0), "2Mi", 2), ""},
		"critical pods are let be": {volume(using("p", 2_000_000_000, 0, 0), "2Mi", 3), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if kill := evict.Exceeds(&c.pod); kill != nil {
				got = kill.Message
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if limited := evict.Limited(c.pod.Pod); limited == (name == "no limit") {
				t.Errorf("has limits: %v", limited)
			}
		})
	}
}
