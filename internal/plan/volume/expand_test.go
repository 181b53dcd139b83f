package volume

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
	"pgregory.net/rapid"
)

func storage(size string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
}

// grown is a bound claim of a local volume of 1Gi that now asks for more.
func grown(size string) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {
	c := claim("c", boundTo("v"))
	c.Spec.Resources.Requests = storage(size)
	c.Status.Phase, c.Status.Capacity = corev1.ClaimBound, storage("1Gi")
	return c, pv("v", "1Gi", heldBy(c), func(v *corev1.PersistentVolume) {
		v.Annotations = map[string]string{volume.AnnDynamicallyProvisioned: LocalProvisioner}
		term := corev1.NodeSelectorRequirement{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{"n1"}}
		v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{term}}},
		}}
	})
}

func conditions(c *corev1.PersistentVolumeClaim) (out string) {
	for _, x := range c.Status.Conditions {
		out += string(x.Type) + " "
	}
	return out
}

// One growth, step by step, as a user watches it.
func TestExpand(t *testing.T) {
	c, v := grown("3Gi")
	c.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{Type: "Mine", Status: corev1.ConditionTrue}}
	now := time.Unix(1000, 0)
	step := func(event, conds string, capacity, volumes string, status corev1.ClaimResourceStatus) {
		t.Helper()
		plan := Expand(ExpandState{Claim: c, Volume: v, Now: now})
		if plan.Volume != nil {
			v = plan.Volume
		}
		if plan.Status != nil {
			c = c.DeepCopy()
			c.Status = *plan.Status
		}
		var said string
		for _, e := range plan.Events {
			said += e.Reason + ": " + e.Message
		}
		if said != event {
			t.Errorf("says %q, want %q", said, event)
		}
		if got := conditions(c); got != conds {
			t.Errorf("conditions %q, want %q", got, conds)
		}
		if got := c.Status.Capacity.Storage().String() + " " + v.Spec.Capacity.Storage().String(); got != capacity+" "+volumes {
			t.Errorf("capacity of claim and volume: %s, want %s %s", got, capacity, volumes)
		}
		if got := c.Status.AllocatedResourceStatuses[corev1.ResourceStorage]; got != status {
			t.Errorf("status %q, want %q", got, status)
		}
	}
	step("Resizing: External resizer is resizing volume v", "Mine Resizing ", "1Gi", "1Gi", corev1.PersistentVolumeClaimControllerResizeInProgress)
	step("FileSystemResizeRequired: Require file system resize of volume on node", "Mine Resizing FileSystemResizePending ", "1Gi", "3Gi",
		corev1.PersistentVolumeClaimNodeResizePending)
	if !LocalMustGrow(v) || v.Annotations[LocalGrowing] != "1Gi" {
		t.Errorf("the node is not told: %v", v.Annotations)
	}
	step("", "Mine Resizing FileSystemResizePending ", "1Gi", "3Gi", corev1.PersistentVolumeClaimNodeResizePending)
	delete(v.Annotations, LocalGrowing)
	step(`FileSystemResizeSuccessful: MountVolume.NodeExpandVolume succeeded for volume "v" n1`, "Mine ", "3Gi", "3Gi", "")
	if got := c.Status.AllocatedResources.Storage().String(); got != "3Gi" {
		t.Errorf("allocated %s", got)
	}
	step("", "Mine ", "3Gi", "3Gi", "")
}

func TestExpandLeavesOthersAlone(t *testing.T) {
	for name, spoil := range map[string]func(*corev1.PersistentVolumeClaim, *corev1.PersistentVolume){
		"somebody else's volume": func(_ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) { v.Annotations = nil },
		"pending": func(c *corev1.PersistentVolumeClaim, _ *corev1.PersistentVolume) {
			c.Status.Phase = corev1.ClaimPending
		},
		"of another claim": func(_ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) { v.Spec.ClaimRef.UID = "x" },
		"less": func(c *corev1.PersistentVolumeClaim, _ *corev1.PersistentVolume) {
			c.Spec.Resources.Requests = storage("1Mi")
		},
	} {
		c, v := grown("3Gi")
		spoil(c, v)
		if plan := Expand(ExpandState{Claim: c, Volume: v}); plan.Volume != nil || plan.Status != nil || plan.Events != nil {
			t.Errorf("%s: %+v", name, plan)
		}
	}
}

// TestExpandConverges lets the user change sizes, the node grow at any moment
// and writes get lost: capacity never shrinks, is never more than the node made
// room for, and is in the end what was asked for.
func TestExpandConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, v := grown("1Gi")
		made := resource.MustParse("1Gi")
		node := func() {
			if LocalMustGrow(v) {
				made = v.Spec.Capacity[corev1.ResourceStorage]
				v = v.DeepCopy()
				delete(v.Annotations, LocalGrowing)
			}
		}
		step := func(lossy bool) bool {
			plan := Expand(ExpandState{Claim: c, Volume: v})
			if plan.Volume != nil {
				v = plan.Volume
			}
			if lossy && rapid.Bool().Draw(t, "lost") {
				return true
			}
			if plan.Status != nil {
				before := c.Status.Capacity[corev1.ResourceStorage]
				c = c.DeepCopy()
				c.Status = *plan.Status
				after := c.Status.Capacity[corev1.ResourceStorage]
				if after.Cmp(before) < 0 || after.Cmp(made) > 0 {
					t.Fatalf("capacity from %s to %s, and the node has %s", before.String(), after.String(), made.String())
				}
			}
			return plan.Volume != nil || plan.Status != nil
		}
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				size := resource.NewQuantity(int64(rapid.IntRange(1, 5).Draw(t, "GiB"))<<30, resource.BinarySI)
				// What the API server lets through.
				if real := c.Status.Capacity[corev1.ResourceStorage]; size.Cmp(real) >= 0 {
					c = c.DeepCopy()
					c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: *size}
				}
			case 1:
				node()
			default:
				step(true)
			}
		}
		for i := 0; ; i++ {
			wrote := step(false)
			if !wrote && !LocalMustGrow(v) {
				break
			}
			if node(); i > 20 {
				t.Fatal("does not settle")
			}
		}
		wanted, has := c.Spec.Resources.Requests[corev1.ResourceStorage], c.Status.Capacity[corev1.ResourceStorage]
		if has.Cmp(wanted) < 0 || has.Cmp(made) != 0 || len(c.Status.Conditions) > 0 || metav1.HasAnnotation(v.ObjectMeta, LocalGrowing) {
			t.Fatalf("asked for %s, has %s of %s, %v", wanted.String(), has.String(), made.String(), c.Status.Conditions)
		}
	})
}

func TestExpandsElsewhere(t *testing.T) {
	for i, c := range []struct {
		size   string
		change func(*corev1.PersistentVolumeClaim, *corev1.PersistentVolume)
		want   bool
	}{
		{"3Gi", func(_ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) { v.Annotations = nil }, true},
		{"1Gi", func(_ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) { v.Annotations = nil }, false},
		{"3Gi", func(*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {}, false}, // ours
		{"3Gi", func(c *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) {
			v.Annotations, c.Status.Phase = nil, corev1.ClaimLost
		}, false},
		{"3Gi", func(_ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) {
			v.Annotations, v.Spec.ClaimRef.UID = nil, "another"
		}, false},
	} {
		claim, pv := grown(c.size)
		c.change(claim, pv)
		if got := ExpandsElsewhere(claim, pv); got != c.want {
			t.Errorf("case %d: %v", i, got)
		}
	}
}
