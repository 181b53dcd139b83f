package main

import (
	"context"
	"errors"
	"log"
	"slices"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// control does what the sidecars of a driver's chart do, with their annotations,
// finalizers and steps: it provisions and deletes, attaches and detaches, resizes.
type control struct {
	*driver
	client kubernetes.Interface
	any    dynamic.Interface
}

const (
	provisionedBy = "pv.kubernetes.io/provisioned-by"
	finalizer     = "external-attacher/csi-test"
)

func newControl(d *driver) (*control, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	unknown, err := dynamic.NewForConfig(config)
	return &control{d, client, unknown}, err
}

// run looks at everything again and again: a test's driver has few volumes.
func (c *control) run(ctx context.Context) {
	for range time.Tick(100 * time.Millisecond) {
		for _, step := range []func(context.Context) error{c.provision, c.remove, c.attach, c.resize, c.snapshots} {
			if err := step(ctx); err != nil {
				log.Print(err)
			}
		}
	}
}

func (c *control) provision(ctx context.Context) error {
	claims, err := c.client.CoreV1().PersistentVolumeClaims("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var problems []error
	for i := range claims.Items {
		claim := &claims.Items[i]
		if claim.Annotations["volume.kubernetes.io/storage-provisioner"] == c.name && claim.Spec.VolumeName == "" {
			problems = append(problems, c.provisionOne(ctx, claim))
		}
	}
	return errors.Join(problems...)
}

func (c *control) provisionOne(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	class, err := c.client.StorageV1().StorageClasses().Get(ctx, *claim.Spec.StorageClassName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if claim.Annotations["volume.kubernetes.io/selected-node"] == "" {
		return nil
	}
	size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	capability := &csi.VolumeCapability{AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}}}
	if m := claim.Spec.VolumeMode; m != nil && *m == corev1.PersistentVolumeBlock {
		capability.AccessType = &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}
	}
	name := "pvc-" + string(claim.UID)
	made, err := c.CreateVolume(ctx, &csi.CreateVolumeRequest{
		Name: name, CapacityRange: &csi.CapacityRange{RequiredBytes: size.Value()}, VolumeCapabilities: []*csi.VolumeCapability{capability},
	})
	if err != nil {
		return err
	}
	from, err := c.sourceOf(ctx, claim)
	if err == nil && from != "" {
		err = c.restore(ctx, made.Volume.VolumeId, from)
	}
	if err != nil {
		return err
	}
	made.Volume.VolumeContext["attach"] = "true"
	_, err = c.client.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{provisionedBy: c.name}, Finalizers: []string{"external-provisioner.volume.kubernetes.io/finalizer"}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: corev1.ResourceList{corev1.ResourceStorage: size}, AccessModes: claim.Spec.AccessModes, VolumeMode: claim.Spec.VolumeMode,
			StorageClassName: class.Name, PersistentVolumeReclaimPolicy: *class.ReclaimPolicy,
			ClaimRef: &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: topologyKey, Operator: corev1.NodeSelectorOpIn, Values: []string{c.nodeID}}},
			}}}},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver: c.name, VolumeHandle: made.Volume.VolumeId, VolumeAttributes: made.Volume.VolumeContext,
			}},
		},
	}, metav1.CreateOptions{})
	return err
}

func (c *control) remove(ctx context.Context) error {
	volumes, err := c.client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range volumes.Items {
		pv := &volumes.Items[i]
		if pv.Annotations[provisionedBy] != c.name || pv.Status.Phase != corev1.VolumeReleased || pv.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
			continue
		}
		if _, err := c.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: pv.Spec.CSI.VolumeHandle}); err != nil {
			log.Print(err)
			continue
		}
		if err := c.client.CoreV1().PersistentVolumes().Delete(ctx, pv.Name, metav1.DeleteOptions{}); err != nil {
			return err
		}
		latest, err := c.client.CoreV1().PersistentVolumes().Get(ctx, pv.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		latest.Finalizers = slices.DeleteFunc(latest.Finalizers, func(f string) bool {
			return f == pv.Finalizers[0] || f == "external-provisioner.volume.kubernetes.io/finalizer"
		})
		if _, err := c.client.CoreV1().PersistentVolumes().Update(ctx, latest, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func (c *control) attach(ctx context.Context) error {
	list, err := c.client.StorageV1().VolumeAttachments().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var problems []error
	for i := range list.Items {
		if a := &list.Items[i]; a.Spec.Attacher == c.name {
			problems = append(problems, c.attachOne(ctx, a))
		}
	}
	return errors.Join(problems...)
}

func (c *control) attachOne(ctx context.Context, a *storagev1.VolumeAttachment) error {
	attachments := c.client.StorageV1().VolumeAttachments()
	pv, err := c.client.CoreV1().PersistentVolumes().Get(ctx, *a.Spec.Source.PersistentVolumeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	handle, node := pv.Spec.CSI.VolumeHandle, "id-of-"+a.Spec.NodeName
	switch {
	case a.DeletionTimestamp != nil:
		if _, err := c.ControllerUnpublishVolume(ctx, &csi.ControllerUnpublishVolumeRequest{VolumeId: handle, NodeId: node}); err != nil {
			a.Status.DetachError = &storagev1.VolumeError{Time: metav1.Now(), Message: err.Error()}
			_, told := attachments.UpdateStatus(ctx, a, metav1.UpdateOptions{})
			return errors.Join(err, told)
		}
		a.Finalizers = nil
		_, err = attachments.Update(ctx, a, metav1.UpdateOptions{})
	case !a.Status.Attached:
		if len(a.Finalizers) == 0 {
			a.Finalizers = []string{finalizer}
			if a, err = attachments.Update(ctx, a, metav1.UpdateOptions{}); err != nil {
				return err
			}
		}
		answer, failed := c.ControllerPublishVolume(ctx, &csi.ControllerPublishVolumeRequest{VolumeId: handle, NodeId: node})
		if failed != nil {
			a.Status.AttachError = &storagev1.VolumeError{Time: metav1.Now(), Message: failed.Error()}
		} else {
			a.Status = storagev1.VolumeAttachmentStatus{Attached: true, AttachmentMetadata: answer.PublishContext}
		}
		_, err = attachments.UpdateStatus(ctx, a, metav1.UpdateOptions{})
	}
	return err
}

func (c *control) resize(ctx context.Context) error {
	volumes, err := c.client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range volumes.Items {
		pv := &volumes.Items[i]
		if pv.Annotations[provisionedBy] != c.name || pv.Status.Phase != corev1.VolumeBound {
			continue
		}
		claim, err := c.client.CoreV1().PersistentVolumeClaims(pv.Spec.ClaimRef.Namespace).Get(ctx, pv.Spec.ClaimRef.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
		if size.Cmp(pv.Spec.Capacity[corev1.ResourceStorage]) <= 0 {
			continue
		}
		answer, err := c.ControllerExpandVolume(ctx, &csi.ControllerExpandVolumeRequest{VolumeId: pv.Spec.CSI.VolumeHandle, CapacityRange: &csi.CapacityRange{RequiredBytes: size.Value()}})
		if err != nil {
			return err
		}
		pv.Spec.Capacity[corev1.ResourceStorage] = *resource.NewQuantity(answer.CapacityBytes, resource.BinarySI)
		if _, err := c.client.CoreV1().PersistentVolumes().Update(ctx, pv, metav1.UpdateOptions{}); err != nil {
			return err
		}
		claim.Status.AllocatedResources = corev1.ResourceList{corev1.ResourceStorage: size}
		claim.Status.AllocatedResourceStatuses = map[corev1.ResourceName]corev1.ClaimResourceStatus{corev1.ResourceStorage: corev1.PersistentVolumeClaimNodeResizePending}
		claim.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{Type: corev1.PersistentVolumeClaimFileSystemResizePending, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
		if _, err := c.client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, claim, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return nil
}
