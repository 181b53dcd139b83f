package volume

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

func claim(name string, more ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name + "-uid")}}
	c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	c.Spec.StorageClassName = ptr.To("")
	c.Status.Phase = corev1.ClaimPending
	for _, f := range more {
		f(c)
	}
	return c
}

func ofClass(name string) func(*corev1.PersistentVolumeClaim) {
	return func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = &name }
}

func pv(name, size string, more ...func(*corev1.PersistentVolume)) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}}
	v.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	v.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	v.Status.Phase = corev1.VolumeAvailable
	for _, f := range more {
		f(v)
	}
	return v
}

func heldBy(c *corev1.PersistentVolumeClaim) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) { v.Spec.ClaimRef = Reference(c); v.Status.Phase = corev1.VolumeBound }
}

func modes(m ...corev1.PersistentVolumeAccessMode) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) { v.Spec.AccessModes = m }
}

func boundTo(name string) func(*corev1.PersistentVolumeClaim) {
	return func(c *corev1.PersistentVolumeClaim) {
		c.Spec.VolumeName = name
		c.Annotations = map[string]string{volume.AnnBindCompleted: "yes"}
	}
}

func storageClass(name, by string, mode storagev1.VolumeBindingMode) *storagev1.StorageClass {
	return &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: by, VolumeBindingMode: &mode}
}

const (
	immediate = storagev1.VolumeBindingImmediate
	wait      = storagev1.VolumeBindingWaitForFirstConsumer
)

func TestClaim(t *testing.T) {
	cases := map[string]struct {
		state ClaimState
		// want is the volume the claim is bound to, its phase if written, and the events.
		volume string
		phase  corev1.PersistentVolumeClaimPhase
		events []string
	}{
		"no volume, no class": {
			state:  ClaimState{Claim: claim("c")},
			events: []string{"Normal FailedBinding no persistent volumes available for this claim and no storage class is set"},
		},
		"smallest that fits": {
			state:  ClaimState{Claim: claim("c"), Volumes: []*corev1.PersistentVolume{pv("big", "9Gi"), pv("small", "512Mi"), pv("right", "2Gi")}},
			volume: "right", phase: corev1.ClaimBound,
		},
		"narrowest modes before smallest size": {
			state: ClaimState{Claim: claim("c"), Volumes: []*corev1.PersistentVolume{
				pv("many", "1Gi", modes(corev1.ReadWriteOnce, corev1.ReadWriteMany)), pv("one", "2Gi"),
			}},
			volume: "one", phase: corev1.ClaimBound,
		},
		"modes do not fit": {
			state:  ClaimState{Claim: claim("c"), Volumes: []*corev1.PersistentVolume{pv("many", "1Gi", modes(corev1.ReadWriteMany))}},
			events: []string{"Normal FailedBinding no persistent volumes available for this claim and no storage class is set"},
		},
		"reserved for the claim by its user": {
			state: ClaimState{Claim: claim("c"), Volumes: []*corev1.PersistentVolume{pv("a", "1Gi"), pv("z", "5Gi", func(v *corev1.PersistentVolume) {
				v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "default", Name: "c"}
			})}},
			volume: "z", phase: corev1.ClaimBound,
		},
		"selector": {
			state: ClaimState{Claim: claim("c", func(c *corev1.PersistentVolumeClaim) {
				c.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
			}), Volumes: []*corev1.PersistentVolume{pv("x", "1Gi"), pv("y", "1Gi", func(v *corev1.PersistentVolume) { v.Labels = map[string]string{"a": "b"} })}},
			volume: "y", phase: corev1.ClaimBound,
		},
		"block volume": {
			state: ClaimState{
				Claim:   claim("c", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock) }),
				Volumes: []*corev1.PersistentVolume{pv("x", "1Gi")},
			},
			events: []string{"Normal FailedBinding no persistent volumes available for this claim and no storage class is set"},
		},
		"unknown class": {
			state:  ClaimState{Claim: claim("c", ofClass("x"))},
			events: []string{`Warning ProvisioningFailed storageclass.storage.k8s.io "x" not found`},
		},
		"static class": {
			state:  ClaimState{Claim: claim("c", ofClass("x")), Class: storageClass("x", "kubernetes.io/no-provisioner", immediate)},
			events: []string{"Warning ProvisioningFailed no volume plugin matched name: kubernetes.io/no-provisioner"},
		},
		"first consumer": {
			state: ClaimState{
				Claim: claim("c", ofClass("x")), Class: storageClass("x", LocalProvisioner, wait),
				Volumes: []*corev1.PersistentVolume{pv("fits", "1Gi", func(v *corev1.PersistentVolume) { v.Spec.StorageClassName = "x" })},
			},
			events: []string{"Normal WaitForFirstConsumer waiting for first consumer to be created before binding"},
		},
		"pod not scheduled": {
			state:  ClaimState{Claim: claim("c", ofClass("x")), Class: storageClass("x", LocalProvisioner, wait), Pods: []string{"web-0"}},
			events: []string{"Normal WaitForPodScheduled waiting for pod web-0 to be scheduled"},
		},
		"pods of it wait for a node": {
			state:  ClaimState{Claim: claim("c", ofClass("x")), Class: storageClass("x", LocalProvisioner, wait), Pods: []string{"a", "b"}},
			events: []string{"Normal WaitForPodScheduled waiting for pods a,b to be scheduled"},
		},
		"somebody else's provisioner": {
			state: ClaimState{Claim: claim("c", ofClass("x"), func(c *corev1.PersistentVolumeClaim) {
				c.Annotations = map[string]string{annProvisioner: "example.com/nfs"}
			}), Class: storageClass("x", "example.com/nfs", immediate)},
			events: []string{"Normal ExternalProvisioning Waiting for a volume to be created either by the external provisioner 'example.com/nfs' or manually by the system administrator. " +
				"If volume creation is delayed, please verify that the provisioner is running and correctly registered."},
		},
		"named volume too small": {
			state:  ClaimState{Claim: claim("c", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "x" }), Volumes: []*corev1.PersistentVolume{pv("x", "1Mi")}},
			events: []string{`Warning VolumeMismatch Cannot bind to requested volume "x": requested PV is too small`},
		},
		"named volume taken": {
			state: ClaimState{
				Claim:   claim("c", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "x" }),
				Volumes: []*corev1.PersistentVolume{pv("x", "1Gi", heldBy(claim("other")))},
			},
			events: []string{`Warning FailedBinding volume "x" already bound to a different claim.`},
		},
		"bound and well": {state: func() ClaimState {
			c := claim("c", boundTo("x"))
			c.Status.Phase = corev1.ClaimBound
			c.Status.AccessModes = c.Spec.AccessModes
			c.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
			return ClaimState{Claim: c, Volumes: []*corev1.PersistentVolume{pv("x", "1Gi", heldBy(c))}}
		}()},
		"lost": {
			state: ClaimState{Claim: claim("c", boundTo("x"))}, phase: corev1.ClaimLost,
			events: []string{"Warning ClaimLost Bound claim has lost its PersistentVolume. Data on the volume is lost!"},
		},
		"misbound": {
			state: ClaimState{Claim: claim("c", boundTo("x")), Volumes: []*corev1.PersistentVolume{pv("x", "1Gi", heldBy(claim("other")))}}, phase: corev1.ClaimLost,
			events: []string{"Warning ClaimMisbound Two claims are bound to the same volume, this one is bound incorrectly"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			plan := Claim(c.state)
			var events []string
			for _, e := range plan.Events {
				events = append(events, e.Type+" "+e.Reason+" "+e.Message)
			}
			got, phase := "", corev1.PersistentVolumeClaimPhase("")
			if plan.Claim != nil {
				got = plan.Claim.Spec.VolumeName
			}
			if plan.Status != nil {
				phase = plan.Status.Phase
			}
			if got != c.volume || phase != c.phase || !cmp.Equal(events, c.events) {
				t.Errorf("volume %q phase %q, want %q %q\n%s", got, phase, c.volume, c.phase, cmp.Diff(c.events, events))
			}
		})
	}
}

func TestDefaultClassIsFilledIn(t *testing.T) {
	c := claim("c")
	c.Spec.StorageClassName = nil
	plan := Claim(ClaimState{Claim: c, Default: storageClass("local", LocalProvisioner, wait)})
	if plan.Claim == nil || *plan.Claim.Spec.StorageClassName != "local" {
		t.Fatalf("got %+v", plan)
	}
}

func TestVolume(t *testing.T) {
	c := claim("c")
	mine := func(v *corev1.PersistentVolume) {
		v.Annotations = map[string]string{volume.AnnDynamicallyProvisioned: LocalProvisioner}
		v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
	}
	released := func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumeReleased }
	cases := map[string]struct {
		volume  *corev1.PersistentVolume
		claim   *corev1.PersistentVolumeClaim
		phase   corev1.PersistentVolumePhase
		unbound bool
		deleted bool
		says    string
	}{
		"new":                {volume: pv("v", "1Gi", func(v *corev1.PersistentVolume) { v.Status.Phase = "" }), phase: corev1.VolumeAvailable},
		"rest":               {volume: pv("v", "1Gi")},
		"claim not done yet": {volume: pv("v", "1Gi", heldBy(c)), claim: c},
		"bound": {
			volume: pv("v", "1Gi", heldBy(c), func(v *corev1.PersistentVolume) { v.Status.Phase = "" }),
			claim:  claim("c", boundTo("v")), phase: corev1.VolumeBound,
		},
		"claim gone, retained":     {volume: pv("v", "1Gi", heldBy(c)), phase: corev1.VolumeReleased},
		"claim replaced":           {volume: pv("v", "1Gi", heldBy(c)), claim: claim("c", func(x *corev1.PersistentVolumeClaim) { x.UID = "new" }), phase: corev1.VolumeReleased},
		"still retained":           {volume: pv("v", "1Gi", heldBy(c), released)},
		"ours: released first":     {volume: pv("v", "1Gi", heldBy(c), mine), phase: corev1.VolumeReleased},
		"ours: then deleted":       {volume: pv("v", "1Gi", heldBy(c), mine, released), deleted: true},
		"someone else deletes its": {volume: pv("v", "1Gi", heldBy(c), released, mine, func(v *corev1.PersistentVolume) { v.Annotations[volume.AnnDynamicallyProvisioned] = "example.com/nfs" })},
		"made by hand, to be deleted": {
			volume: pv("v", "1Gi", heldBy(c), mine, func(v *corev1.PersistentVolume) { v.Annotations = nil }), phase: corev1.VolumeFailed,
			says: `VolumeFailedDelete error getting deleter volume plugin for volume "v": no deletable volume plugin matched`,
		},
		"a folder of the host, to be deleted": {
			volume: pv("v", "1Gi", heldBy(c), mine, func(v *corev1.PersistentVolume) {
				v.Annotations, v.Spec.HostPath = nil, &corev1.HostPathVolumeSource{Path: "/data"}
			}), phase: corev1.VolumeFailed,
			says: "VolumeFailedDelete host_path deleter only supports /tmp/.+ but received provided /data",
		},
		"by a plugin that is not there": {
			volume: pv("v", "1Gi", heldBy(c), mine, func(v *corev1.PersistentVolume) {
				v.Annotations[volume.AnnDynamicallyProvisioned] = "kubernetes.io/gce-pd"
			}), phase: corev1.VolumeFailed, says: "VolumeFailedDelete no deletable volume plugin matched",
		},
		"said once": {volume: pv("v", "1Gi", heldBy(c), mine, func(v *corev1.PersistentVolume) { v.Annotations, v.Status.Phase = nil, corev1.VolumeFailed })},
		"recycled": {
			volume: pv("v", "1Gi", heldBy(c), func(v *corev1.PersistentVolume) {
				v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRecycle
			}), phase: corev1.VolumeFailed, says: "VolumeFailedRecycle No recycler plugin found for the volume!",
		},
		"another mode": {
			volume: pv("v", "1Gi", heldBy(c), func(v *corev1.PersistentVolume) { v.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock) }), claim: c,
			says: `VolumeMismatch Cannot bind PersistentVolume to requested PersistentVolumeClaim "c" due to incompatible volumeMode.` +
				`VolumeMismatch Cannot bind PersistentVolume "v" to requested PersistentVolumeClaim due to incompatible volumeMode.`,
		},
		"claim went elsewhere": {volume: pv("v", "1Gi", heldBy(c), func(v *corev1.PersistentVolume) {
			v.Annotations = map[string]string{volume.AnnBoundByController: "yes"}
		}), claim: claim("c", boundTo("other")), phase: corev1.VolumeAvailable, unbound: true},
	}
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			plan := Volume(VolumeState{Volume: x.volume, Claim: x.claim})
			phase := corev1.PersistentVolumePhase("")
			if plan.Status != nil {
				phase = plan.Status.Phase
			}
			says := ""
			for _, e := range append(plan.Events, plan.ClaimEvents...) {
				says += e.Reason + " " + e.Message
			}
			if says != x.says {
				t.Errorf("says %q, want %q", says, x.says)
			}
			unbound := plan.Volume != nil && plan.Volume.Spec.ClaimRef == nil
			if phase != x.phase || unbound != x.unbound || plan.Delete != x.deleted {
				t.Errorf("phase %q unbound %v delete %v, want %q %v %v", phase, unbound, plan.Delete, x.phase, x.unbound, x.deleted)
			}
		})
	}
}

// TestBindingConverges applies plans to random worlds, in random order and
// with writes lost, and expects that each claim ends with a volume of its own.
func TestBindingConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var volumes []*corev1.PersistentVolume
		var claims []*corev1.PersistentVolumeClaim
		for i := range rapid.IntRange(0, 6).Draw(t, "volumes") {
			volumes = append(volumes, pv(fmt.Sprint("v", i), fmt.Sprintf("%dGi", rapid.IntRange(1, 5).Draw(t, "size"))))
		}
		for i := range rapid.IntRange(0, 6).Draw(t, "claims") {
			size := fmt.Sprintf("%dGi", rapid.IntRange(1, 5).Draw(t, "size"))
			claims = append(claims, claim(fmt.Sprint("c", i), func(c *corev1.PersistentVolumeClaim) {
				c.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse(size)
			}))
		}
		step := func(crash bool) (wrote bool) {
			for i := range claims {
				plan := Claim(ClaimState{Claim: claims[i], Volumes: volumes})
				if plan.Volume != nil {
					wrote = true
					for j := range volumes {
						if volumes[j].Name == plan.Volume.Name {
							volumes[j] = plan.Volume
						}
					}
				}
				if crash && rapid.Bool().Draw(t, "crash") {
					continue
				}
				if plan.Claim != nil {
					wrote, claims[i] = true, plan.Claim
				}
				if plan.Status != nil {
					wrote = true
					claims[i] = claims[i].DeepCopy()
					claims[i].Status = *plan.Status
				}
			}
			for i := range volumes {
				var c *corev1.PersistentVolumeClaim
				for _, x := range claims {
					if ref := volumes[i].Spec.ClaimRef; ref != nil && ref.Name == x.Name {
						c = x
					}
				}
				plan := Volume(VolumeState{Volume: volumes[i], Claim: c})
				if plan.Volume != nil {
					wrote, volumes[i] = true, plan.Volume
				}
				if plan.Status != nil {
					wrote = true
					volumes[i] = volumes[i].DeepCopy()
					volumes[i].Status = *plan.Status
				}
			}
			return wrote
		}
		for range 3 {
			step(true)
		}
		for i := 0; step(false); i++ {
			if i > 20 {
				t.Fatal("does not settle")
			}
		}
		holder := map[string]string{}
		for _, c := range claims {
			if c.Status.Phase != corev1.ClaimBound {
				continue
			}
			if other := holder[c.Spec.VolumeName]; other != "" {
				t.Fatalf("%s is held by %s and %s", c.Spec.VolumeName, other, c.Name)
			}
			holder[c.Spec.VolumeName] = c.Name
		}
		for _, v := range volumes {
			if v.Spec.ClaimRef != nil && holder[v.Name] != v.Spec.ClaimRef.Name {
				t.Fatalf("%s says %s, but that is held by %q", v.Name, v.Spec.ClaimRef.Name, holder[v.Name])
			}
		}
	})
}
