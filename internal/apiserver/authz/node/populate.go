package node

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// Populate keeps g up to date from the pods, volumes and attachments of f, which the caller
// starts. The returned function says whether all that was stored is known.
func (g *Graph) Populate(f informers.SharedInformerFactory) (cache.InformerSynced, error) {
	pods, err := f.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { g.SetPod(obj.(*corev1.Pod)) },
		UpdateFunc: func(old, obj any) {
			// A pod's references hardly change: most updates are status.
			was, pod := old.(*corev1.Pod), obj.(*corev1.Pod)
			if was.UID != pod.UID || was.Spec.NodeName != pod.Spec.NodeName ||
				len(was.Spec.EphemeralContainers) != len(pod.Spec.EphemeralContainers) {
				g.SetPod(pod)
			}
		},
		DeleteFunc: func(obj any) {
			if pod, ok := last(obj).(*corev1.Pod); ok {
				g.DeletePod(pod.Namespace, pod.Name)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	volumes, err := f.Core().V1().PersistentVolumes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { g.SetVolume(obj.(*corev1.PersistentVolume)) },
		UpdateFunc: func(_, obj any) { g.SetVolume(obj.(*corev1.PersistentVolume)) },
		DeleteFunc: func(obj any) {
			if pv, ok := last(obj).(*corev1.PersistentVolume); ok {
				g.DeleteVolume(pv.Name)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	attachments, err := f.Storage().V1().VolumeAttachments().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { g.SetAttachment(obj.(*storagev1.VolumeAttachment)) },
		UpdateFunc: func(old, obj any) {
			if was, is := old.(*storagev1.VolumeAttachment), obj.(*storagev1.VolumeAttachment); was.UID != is.UID {
				g.SetAttachment(is)
			}
		},
		DeleteFunc: func(obj any) {
			if a, ok := last(obj).(*storagev1.VolumeAttachment); ok {
				g.DeleteAttachment(a.Name)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return func() bool { return pods.HasSynced() && volumes.HasSynced() && attachments.HasSynced() }, nil
}

// last is the object of a delete event, also when the event itself was missed.
func last(obj any) any {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		return unknown.Obj
	}
	return obj
}
