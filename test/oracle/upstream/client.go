package main

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	appsclient "k8s.io/client-go/kubernetes/typed/apps/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
)

// The parts of a client that the controller uses. The interfaces that are embedded
// are nil: a call to anything else panics, and so is noticed.
type (
	core struct {
		coreclient.CoreV1Interface
		api *api
	}
	apps struct {
		appsclient.AppsV1Interface
		api *api
	}
	pods struct {
		otherPods
		store[*corev1.Pod]
	}
	claims struct {
		otherPersistentVolumeClaims
		store[*corev1.PersistentVolumeClaim]
	}
	revisions struct {
		otherControllerRevisions
		store[*appsv1.ControllerRevision]
	}
	sets struct {
		otherStatefulSets
		store[*appsv1.StatefulSet]
	}
	otherPods                   struct{ coreclient.PodInterface }
	otherPersistentVolumeClaims struct {
		coreclient.PersistentVolumeClaimInterface
	}
	otherControllerRevisions struct {
		appsclient.ControllerRevisionInterface
	}
	otherStatefulSets struct {
		appsclient.StatefulSetInterface
	}
)

func (a *api) CoreV1() coreclient.CoreV1Interface { return core{api: a} }
func (a *api) AppsV1() appsclient.AppsV1Interface { return apps{api: a} }

func (c core) Pods(ns string) coreclient.PodInterface {
	return pods{store: store[*corev1.Pod]{api: c.api, objects: c.api.pods, ns: ns, kind: "Pod"}}
}

func (c core) PersistentVolumeClaims(ns string) coreclient.PersistentVolumeClaimInterface {
	return claims{store: store[*corev1.PersistentVolumeClaim]{api: c.api, objects: c.api.claims, ns: ns, kind: "PersistentVolumeClaim"}}
}

func (c apps) ControllerRevisions(ns string) appsclient.ControllerRevisionInterface {
	return revisions{store: store[*appsv1.ControllerRevision]{api: c.api, objects: c.api.revisions, ns: ns, kind: "ControllerRevision"}}
}

func (c apps) StatefulSets(ns string) appsclient.StatefulSetInterface {
	return sets{store: store[*appsv1.StatefulSet]{api: c.api, objects: c.api.sets, ns: ns, kind: "StatefulSet"}}
}
