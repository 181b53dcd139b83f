package csi

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
)

// nodeIDs is the annotation of a node with what each driver calls it, as JSON.
const nodeIDs = "csi.volume.kubernetes.io/nodeid"

// begin sees to it that this node has a CSINode. Drivers that are in it already
// stay: most of them come back in a moment.
func (r *Registry) begin(ctx context.Context) {
	for delay := 100 * time.Millisecond; ; delay = min(2*delay, 10*time.Second) {
		err := r.changeCSINode(ctx, func(*storagev1.CSINode) {})
		if err == nil || ctx.Err() != nil {
			return
		}
		r.cfg.Log.Warn("cannot make this node's CSINode, trying again", "error", err)
		pause := r.cfg.Clock.NewTimer(delay)
		select {
		case <-pause.C():
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// announce shows a driver: its name for this node, where the node is, and how
// many volumes it can have.
func (r *Registry) announce(ctx context.Context, name string, about *csi.NodeGetInfoResponse) error {
	topology := about.GetAccessibleTopology().GetSegments()
	err := r.changeNode(ctx, func(node *corev1.Node, ids map[string]string) error {
		for _, key := range slices.Sorted(maps.Keys(topology)) {
			if has, ok := node.Labels[key]; ok && has != topology[key] {
				return fmt.Errorf("detected topology value collision: driver reported %q:%q but existing label is %q:%q", key, topology[key], key, has)
			}
			metav1.SetMetaDataLabel(&node.ObjectMeta, key, topology[key])
		}
		ids[name] = about.GetNodeId()
		return nil
	})
	if err != nil {
		return fmt.Errorf("error updating Node object with CSI driver node info: %w", err)
	}
	err = r.changeCSINode(ctx, func(n *storagev1.CSINode) {
		n.Spec.Drivers = append(without(n, name), describe(name, about))
	})
	if err != nil {
		return fmt.Errorf("error updating CSINode object with CSI driver node info: %w", err)
	}
	return nil
}

func describe(name string, about *csi.NodeGetInfoResponse) storagev1.CSINodeDriver {
	d := storagev1.CSINodeDriver{
		Name: name, NodeID: about.GetNodeId(),
		TopologyKeys: slices.Sorted(maps.Keys(about.GetAccessibleTopology().GetSegments())),
	}
	if most := about.GetMaxVolumesPerNode(); most > 0 {
		count := int32(min(most, 1<<31-1))
		d.Allocatable = &storagev1.VolumeNodeResources{Count: &count}
	}
	return d
}

// hide takes a driver out; where the node is it still is, so labels stay.
func (r *Registry) hide(ctx context.Context, name string) error {
	if err := r.changeCSINode(ctx, func(n *storagev1.CSINode) { n.Spec.Drivers = without(n, name) }); err != nil {
		return err
	}
	return r.changeNode(ctx, func(_ *corev1.Node, ids map[string]string) error {
		delete(ids, name)
		return nil
	})
}

func without(n *storagev1.CSINode, name string) []storagev1.CSINodeDriver {
	return slices.DeleteFunc(slices.Clone(n.Spec.Drivers), func(d storagev1.CSINodeDriver) bool { return d.Name == name })
}

// changeCSINode changes this node's CSINode, which ends with the node.
func (r *Registry) changeCSINode(ctx context.Context, change func(*storagev1.CSINode)) error {
	r.show.Lock()
	defer r.show.Unlock()
	nodes := r.cfg.Client.StorageV1().CSINodes()
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		old, err := nodes.Get(ctx, r.cfg.NodeName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			node, err := r.cfg.Client.CoreV1().Nodes().Get(ctx, r.cfg.NodeName, metav1.GetOptions{})
			if err != nil {
				return err
			}
			fresh := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: node.Name, OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID},
			}}, Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{}}}
			change(fresh)
			_, err = nodes.Create(ctx, fresh, metav1.CreateOptions{})
			return err
		}
		if err != nil {
			return err
		}
		changed := old.DeepCopy()
		change(changed)
		if equality.Semantic.DeepEqual(old.Spec, changed.Spec) {
			return nil
		}
		// What a driver calls the node never changes in place: it goes and comes.
		if renamed := replaced(old, changed); renamed != "" {
			gone := old.DeepCopy()
			gone.Spec.Drivers = without(gone, renamed)
			if gone, err = nodes.Update(ctx, gone, metav1.UpdateOptions{}); err != nil {
				return err
			}
			changed.ResourceVersion = gone.ResourceVersion
		}
		_, err = nodes.Update(ctx, changed, metav1.UpdateOptions{})
		return err
	})
}

// replaced is the driver whose entry is another one now, more than in its limit.
func replaced(old, changed *storagev1.CSINode) string {
	for _, was := range old.Spec.Drivers {
		for _, is := range changed.Spec.Drivers {
			if is.Name == was.Name && (is.NodeID != was.NodeID || !slices.Equal(is.TopologyKeys, was.TopologyKeys)) {
				return was.Name
			}
		}
	}
	return ""
}

// changeNode changes labels of this node and what drivers call it.
func (r *Registry) changeNode(ctx context.Context, change func(node *corev1.Node, ids map[string]string) error) error {
	r.show.Lock()
	defer r.show.Unlock()
	nodes := r.cfg.Client.CoreV1().Nodes()
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		node, err := nodes.Get(ctx, r.cfg.NodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		old, ids := node.DeepCopy(), map[string]string{}
		if text := node.Annotations[nodeIDs]; text != "" {
			if err := json.Unmarshal([]byte(text), &ids); err != nil {
				return fmt.Errorf("annotation %s of this node: %w", nodeIDs, err)
			}
		}
		if err := change(node, ids); err != nil {
			return err
		}
		var annotation *string
		if len(ids) > 0 {
			text, err := json.Marshal(ids)
			if err != nil {
				return err
			}
			annotation = new(string(text))
		}
		if maps.Equal(old.Labels, node.Labels) && (annotation == nil && old.Annotations[nodeIDs] == "" || annotation != nil && *annotation == old.Annotations[nodeIDs]) {
			return nil
		}
		labels := map[string]string{}
		for key, value := range node.Labels {
			if old.Labels[key] != value {
				labels[key] = value
			}
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"resourceVersion": old.ResourceVersion, "labels": labels, "annotations": map[string]*string{nodeIDs: annotation},
		}})
		if err != nil {
			return err
		}
		_, err = nodes.Patch(ctx, node.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	})
}
