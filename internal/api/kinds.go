package api

// Kinds lists every served kind in the order of discovery.
func Kinds() []Kind {
	return []Kind{
		namespaceKind(),
		nodeKind(),
		podKind(),
		podTemplateKind(),
		serviceKind(),
		endpointsKind(),
		configMapKind(),
		secretKind(),
		serviceAccountKind(),
		persistentVolumeKind(),
		persistentVolumeClaimKind(),
		eventKind(),
		eventV1Kind(),
		leaseKind(),
		storageClassKind(),
		endpointSliceKind(),
		statefulSetKind(),
		controllerRevisionKind(),
		roleKind(),
		clusterRoleKind(),
		roleBindingKind(),
		clusterRoleBindingKind(),
		priorityClassKind(),
		spiderIPPoolKind(),
		spiderEndpointKind(),
	}
}
