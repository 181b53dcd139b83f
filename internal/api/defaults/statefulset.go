package defaults

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// StatefulSet fills a set, its template and its claim templates.
func StatefulSet(set *appsv1.StatefulSet) {
	s := &set.Spec
	if s.PodManagementPolicy == "" {
		s.PodManagementPolicy = appsv1.OrderedReadyPodManagement
	}
	updateStrategy(&s.UpdateStrategy)
	retentionPolicy(s)
	if s.Replicas == nil {
		s.Replicas = new(int32(1))
	}
	if s.RevisionHistoryLimit == nil {
		s.RevisionHistoryLimit = new(int32(10))
	}
	PodTemplateSpec(&s.Template)
	for i := range s.VolumeClaimTemplates {
		c := &s.VolumeClaimTemplates[i]
		c.APIVersion, c.Kind = "v1", "PersistentVolumeClaim"
		PersistentVolumeClaim(c)
	}
}

// updateStrategy fills the parameters of a rolling update only if the whole
// strategy was left out or some parameter was written: a bare type stays bare,
// and the controller tells the two apart.
func updateStrategy(u *appsv1.StatefulSetUpdateStrategy) {
	if u.Type == "" {
		u.Type = appsv1.RollingUpdateStatefulSetStrategyType
		if u.RollingUpdate == nil {
			u.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{}
		}
	}
	if u.Type != appsv1.RollingUpdateStatefulSetStrategyType || u.RollingUpdate == nil {
		return
	}
	if u.RollingUpdate.Partition == nil {
		u.RollingUpdate.Partition = new(int32(0))
	}
	if u.RollingUpdate.MaxUnavailable == nil {
		u.RollingUpdate.MaxUnavailable = new(intstr.FromInt32(1))
	}
}

func retentionPolicy(s *appsv1.StatefulSetSpec) {
	if s.PersistentVolumeClaimRetentionPolicy == nil {
		s.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{}
	}
	p := s.PersistentVolumeClaimRetentionPolicy
	if p.WhenDeleted == "" {
		p.WhenDeleted = appsv1.RetainPersistentVolumeClaimRetentionPolicyType
	}
	if p.WhenScaled == "" {
		p.WhenScaled = appsv1.RetainPersistentVolumeClaimRetentionPolicyType
	}
}
