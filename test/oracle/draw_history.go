package oracle

import (
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/revision"
	plan "berth.dev/berth/internal/plan/statefulset"
)

// drawRevisions draws the history: some of the variants, the wanted one often
// the newest, and what may stand in the way of a new one.
func (d *drawing) drawRevisions() {
	known := d.Perm(variants)[:d.IntN(variants+1)]
	for i, v := range known {
		if v+1 == d.wanted && d.chance(0.6) {
			last := len(known) - 1
			known[i], known[last] = known[last], known[i]
		}
	}
	for i, v := range known {
		rev := d.newRevision(v+1, int64(i+1))
		if d.chance(0.1) { // as an older release wrote it
			old := strings.Replace(string(rev.Data.Raw), `"metadata":{`, `"metadata":{"creationTimestamp":null,`, 1)
			rev.Data.Raw = []byte(old)
			rev.Labels[revision.HashLabel] = revision.Hash(rev.Data.Raw, 0)
			revision.Rename(rev, setName, 0)
		}
		if d.Set.DeletionTimestamp == nil && d.chance(0.05) {
			rev.OwnerReferences = nil
		}
		d.Revisions = append(d.Revisions, rev)
	}
	if d.chance(0.08) {
		d.drawCollision()
	}
}

func (d *drawing) newRevision(variant int, number int64) *appsv1.ControllerRevision {
	t := template(variant)
	rev, err := revision.New(d.Set, plan.SetRef(d.Set), &t, number, 0)
	if err != nil {
		panic(err)
	}
	rev.UID, rev.ResourceVersion = types.UID("revision-"+rev.Name), "1"
	rev.CreationTimestamp = metav1.NewTime(epoch.Add(-time.Duration(60-number) * time.Minute))
	return rev
}

// drawCollision puts somebody else's object where the revision of the wanted
// template would be, with the same data or with other.
func (d *drawing) drawCollision() {
	rev := d.newRevision(d.wanted, 1)
	for _, other := range d.Revisions {
		if other.Name == rev.Name {
			return
		}
	}
	rev.Labels, rev.OwnerReferences = map[string]string{"app": "stranger"}, nil
	if d.chance(0.7) {
		rev.Data.Raw = []byte(`{"spec":{}}`)
	}
	d.Revisions = append(d.Revisions, rev)
}

// newest is the newest revision that is the set's, or nil.
func (d *drawing) newest() *appsv1.ControllerRevision {
	var last *appsv1.ControllerRevision
	for _, rev := range d.Revisions {
		if rev.Labels["app"] == setName && (last == nil || rev.Revision > last.Revision) {
			last = rev
		}
	}
	return last
}

// drawStatus draws what an earlier sync may have left.
func (d *drawing) drawStatus() {
	status := &d.Set.Status
	wanted := d.newRevision(d.wanted, 0)
	d.update, d.current = wanted.Name, wanted.Name
	if len(d.Revisions) > 0 {
		d.current = pick(d.dice, d.Revisions...).Name
	}
	status.CurrentRevision = d.current
	if d.chance(0.1) {
		status.CurrentRevision = pick(d.dice, "", "web-forgotten")
	}
	status.ObservedGeneration, status.UpdateRevision = d.Set.Generation-1, d.current
	if newest := d.newest(); newest != nil {
		status.UpdateRevision = newest.Name
		if d.chance(0.8) && d.variantOf(newest) == d.wanted {
			d.update, status.ObservedGeneration = newest.Name, d.Set.Generation
		}
	}
	n := int(*d.Set.Spec.Replicas) + 2
	status.Replicas, status.ReadyReplicas, status.AvailableReplicas = int32(d.IntN(n)), int32(d.IntN(n)), int32(d.IntN(n))
	status.CurrentReplicas, status.UpdatedReplicas = int32(d.IntN(n)), int32(d.IntN(n))
	if d.chance(0.5) {
		status.CollisionCount = ptr.To(int32(pick(d.dice, 0, 0, 0, 1)))
	}
	if d.chance(0.2) {
		status.Conditions = []appsv1.StatefulSetCondition{{Type: "Foreign", Status: corev1.ConditionTrue, Reason: "Set", LastTransitionTime: metav1.NewTime(epoch.Add(-time.Hour))}}
	}
}

// variantOf is the variant that a revision is of, 0 when it is none of them.
func (d *drawing) variantOf(rev *appsv1.ControllerRevision) int {
	for v := 1; v <= variants; v++ {
		if t, err := revision.Template(rev); err == nil && len(t.Spec.Containers) == 1 && t.Spec.Containers[0].Image == template(v).Spec.Containers[0].Image {
			return v
		}
	}
	return 0
}

// templateOf is the template of a revision, the wanted one when it is not known.
func (d *drawing) templateOf(name string) corev1.PodTemplateSpec {
	if rev := revision.Named(d.Revisions, name); rev != nil {
		if v := d.variantOf(rev); v > 0 {
			return template(v)
		}
	}
	return template(d.wanted)
}

// drawClaims draws the claims of all ordinals that may matter.
func (d *drawing) drawClaims() {
	for ordinal := max(d.start()-2, 0); ordinal < d.end()+3; ordinal++ {
		for i := range d.Set.Spec.VolumeClaimTemplates {
			if !d.chance(1 - d.trouble - 0.03) {
				continue
			}
			claim := plan.NewClaim(d.Set, i, ordinal, plan.Nobody)
			claim.UID, claim.ResourceVersion = types.UID("claim-"+claim.Name), "1"
			claim.CreationTimestamp = metav1.NewTime(epoch.Add(-20 * time.Minute))
			claim.OwnerReferences = d.claimOwners(ordinal)
			if d.chance(0.5) {
				claim.Status.Phase, claim.Status.Capacity = corev1.ClaimBound, claim.Spec.Resources.Requests.DeepCopy()
				if d.chance(0.1) { // less than its template asks for today
					claim.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("512Mi")
				}
			}
			if d.chance(d.trouble / 3) {
				claim.DeletionTimestamp, claim.DeletionGracePeriodSeconds = ptr.To(metav1.NewTime(epoch.Add(-time.Second))), ptr.To(int64(0))
				claim.Finalizers = []string{"kubernetes.io/pvc-protection"}
			}
			d.Claims = append(d.Claims, claim)
		}
	}
}

// claimOwners are a claim's: ours, of the right object or of one long gone, as
// controller or not, and those of others; one controller at most.
func (d *drawing) claimOwners(ordinal int) []metav1.OwnerReference {
	var refs []metav1.OwnerReference
	controlled := false
	add := func(version, kind, name string, uid types.UID) {
		ref := metav1.OwnerReference{APIVersion: version, Kind: kind, Name: name, UID: uid, Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true)}
		if controlled || d.chance(0.15) {
			ref.Controller, ref.BlockOwnerDeletion = pick(d.dice, nil, ptr.To(false)), nil
		}
		controlled = controlled || ptr.Deref(ref.Controller, false)
		refs = append(refs, ref)
	}
	policy := d.Set.Spec.PersistentVolumeClaimRetentionPolicy
	if d.chance(0.15) {
		add("example.com/v1", "Database", "main", "database-1")
	}
	bySet, byPod := 0.1, 0.1
	if policy.WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType {
		bySet = 0.85
	}
	if d.chance(bySet) {
		add("apps/v1", "StatefulSet", setName, d.maybeOld(setUID))
	}
	if d.chance(byPod) {
		add("v1", "Pod", plan.PodName(setName, ordinal), d.maybeOld(podUID(ordinal)))
	}
	return refs
}

func (d *drawing) maybeOld(uid types.UID) types.UID {
	if d.chance(0.05 + d.trouble/3) {
		return uid + "-old"
	}
	return uid
}
