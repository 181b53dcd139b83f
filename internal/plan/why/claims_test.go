package why

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/storage/volume"
)

func claimCases() []stuck {
	const ask = "persistentvolumeclaim/data"
	return []stuck{
		{name: "claim is bound", ask: ask, disturb: func(w world) { bound(w.claim("fast"), "v1") }},
		{name: "no class", ask: ask, want: ClaimNoClass, disturb: func(w world) { w.claim("none"); w.class("slow", "example.com/slow", "Immediate") }},
		{name: "class missing", ask: ask, want: ClaimClassMissing, disturb: func(w world) { w.claim("fast"); w.volume("v1", "slow", "5Gi") }},
		{name: "no volume fits", ask: ask, want: ClaimNoVolumeFits, disturb: func(w world) {
			w.claim("")
			w.volume("v1", "", "512Mi")
			w.volume("v2", "slow", "5Gi")
			w.volume("v3", "", "5Gi").Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
			w.volume("v4", "", "5Gi").Spec.ClaimRef = &corev1.ObjectReference{Namespace: "bank", Name: "ledger", UID: "other"}
		}},
		{name: "named volume missing", ask: ask, want: ClaimNoVolumeFits, disturb: func(w world) { w.claim("").Spec.VolumeName = "v9" }},
		{name: "named volume too small", ask: ask, want: ClaimNoVolumeFits, disturb: func(w world) {
			w.claim("").Spec.VolumeName = "v1"
			w.volume("v1", "", "512Mi")
		}},
		{name: "being bound", ask: ask, want: ClaimProvisioning, disturb: func(w world) {
			w.claim("").Spec.VolumeName = "v1"
			w.volume("v1", "", "1Gi")
		}},
		{name: "waits for first consumer", ask: ask, want: ClaimWaitsForConsumer, disturb: func(w world) {
			w.claim("local")
			w.class("local", "berth.dev/local", "WaitForFirstConsumer")
		}},
		{name: "waits for a consumer that fits nowhere", ask: ask, want: ClaimWaitsForConsumer, disturb: func(w world) {
			w.claim("local")
			w.class("local", "berth.dev/local", "WaitForFirstConsumer")
			w.uses(w.unplaced(), "data")
			w.Nodes[0].Spec.Unschedulable = true
		}},
		{name: "provisioner fails", ask: ask, want: ClaimProvisionerFails, disturb: func(w world) {
			w.claim("fast")
			w.class("fast", "example.com/fast", "Immediate")
			w.event("PersistentVolumeClaim", "data", "ProvisioningFailed", "failed to provision volume: out of space")
		}},
		{name: "provisioner at work", ask: ask, want: ClaimProvisioning, disturb: func(w world) {
			w.claim("local").Annotations = map[string]string{volume.AnnSelectedNode: "n1"}
			w.class("local", "berth.dev/local", "WaitForFirstConsumer")
		}},
		{name: "provisioner silent", ask: ask, want: ClaimProvisioning, disturb: func(w world) {
			w.claim("fast").CreationTimestamp = ago(time.Hour)
			w.class("fast", "example.com/fast", "Immediate")
		}},
		{name: "claim deleted and in use", ask: ask, want: ClaimInUse, disturb: func(w world) {
			c := w.claim("fast")
			bound(c, "v1")
			t := ago(time.Minute)
			c.DeletionTimestamp, c.Finalizers = &t, []string{"kubernetes.io/pvc-protection"}
			w.uses(w.Pods[0], "data")
		}},
		{name: "claim deleted and about to go", ask: ask, want: ClaimInUse, disturb: func(w world) {
			t := ago(time.Second)
			w.claim("fast").DeletionTimestamp = &t
		}},
		{name: "finalizer keeps a claim", ask: ask, want: FinalizerKeeps, disturb: func(w world) {
			c := w.claim("fast")
			t := ago(time.Minute)
			c.DeletionTimestamp, c.Finalizers = &t, []string{"example.com/backup"}
		}},
		{name: "claim lost", ask: ask, want: ClaimLost, disturb: func(w world) {
			c := w.claim("fast")
			bound(c, "v1")
			c.Status.Phase = corev1.ClaimLost
		}},
	}
}
