// Package localvolume does on the node what the control plane asks for local
// volumes: it fills those that are copies, makes grown ones larger, takes
// snapshots and removes the directories of deleted ones. The control plane only writes the PersistentVolume; an annotation, or a
// finalizer, stays until the node has done its part.
//
// It removes nothing that the local provisioner did not make: only a real
// directory directly below the node's volumes directory, named after a volume
// that says so itself, whose claim is gone and whose policy is Delete, and only
// when nothing is mounted in it.
package localvolume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"berth.dev/berth/internal/plan/volume"
	"berth.dev/berth/internal/plan/volumesnapshot"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// Config is what the volumes of one node need.
type Config struct {
	// Client may read volumes and write what became of this node's.
	Client   kubernetes.Interface
	NodeName string
	// Dir is the directory that the node's annotation names.
	Dir string
	// Snapshots may read VolumeSnapshotContents and write what became of this
	// node's; nil where there are none.
	Snapshots dynamic.Interface
	// Share mounts the directory of a server that an NFS volume lies in, for as
	// long as a function works in it.
	Share func(ctx context.Context, pv *corev1.PersistentVolume, do func(root, name string) error) error
	// Event tells the user of a volume something; nil tells nobody.
	Event func(about runtime.Object, kind, reason, message string)
	Log   *slog.Logger
}

// Run looks after the volumes of one node until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	client, logger := cfg.Client, cfg.Log
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(strip))
	informer := factory.Core().V1().PersistentVolumes().Informer()
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	add := func(o any) {
		if pv, ok := o.(*corev1.PersistentVolume); ok && (volume.LocalAsks(pv) || volume.NFSMustRemove(pv, cfg.NodeName)) {
			queue.Add(pv.Name)
		}
	}
	// The source of a copy may have waited for it.
	copied := func(o any) {
		if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		if pv, ok := o.(*corev1.PersistentVolume); ok {
			if source, ok := volume.LocalCopyOf(pv); ok {
				queue.Add(source)
			}
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    add,
		UpdateFunc: func(old, o any) { add(o); copied(old) },
		DeleteFunc: copied,
	})
	if err != nil {
		return fmt.Errorf("watch persistent volumes: %w", err)
	}
	synced := []cache.InformerSynced{informer.HasSynced}
	snapshots := cache.SharedIndexInformer(nil)
	r := &janitor{Config: cfg, store: informer.GetStore()}
	if cfg.Snapshots != nil {
		snapshots = dynamicinformer.NewFilteredDynamicInformer(cfg.Snapshots, snapshotv1.Contents, "", 0, cache.Indexers{}, nil).Informer()
		r.contents = snapshots.GetStore()
		wake := func(o any) {
			if named, ok := o.(metav1.Object); ok {
				queue.Add(contentKey + named.GetName())
			}
		}
		handler, err := snapshots.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: wake, UpdateFunc: func(_, o any) { wake(o) }})
		if err != nil {
			return fmt.Errorf("watch the contents of snapshots: %w", err)
		}
		synced = append(synced, handler.HasSynced)
	}
	var running sync.WaitGroup
	defer running.Wait()
	r.copies = copies{
		running: map[string]*copying{}, start: running.Go,
		again: func(name string, failed bool) {
			if failed {
				queue.AddRateLimited(name)
			} else {
				queue.Add(name)
			}
		},
	}
	running.Go(func() { informer.RunWithContext(ctx) })
	if snapshots != nil {
		running.Go(func() { snapshots.RunWithContext(ctx) })
	}
	running.Go(func() {
		<-ctx.Done()
		queue.ShutDown()
	})
	// Whether a deleted volume has copies is known when all volumes are.
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil
	}
	running.Go(r.sweep)
	for {
		name, stopped := queue.Get()
		if stopped {
			return nil
		}
		if err := r.look(ctx, name); err != nil && ctx.Err() == nil {
			if !apierrors.IsConflict(err) {
				logger.Warn("local volume: trying again", "volume", name, "error", err)
			}
			queue.AddRateLimited(name)
		} else {
			queue.Forget(name)
		}
		queue.Done(name)
	}
}

// strip leaves out what nobody here reads.
func strip(o any) (any, error) {
	if pv, ok := o.(*corev1.PersistentVolume); ok {
		pv.ManagedFields = nil
	}
	return o, nil
}

type janitor struct {
	Config
	store    cache.Store
	hostname string
	copies   copies
	contents cache.Store
}

// look does what one volume asks for, if it is this node's.
func (r *janitor) look(ctx context.Context, name string) error {
	if content, ok := strings.CutPrefix(name, contentKey); ok {
		return r.snapshot(ctx, content)
	}
	if strings.HasPrefix(name, volumesnapshot.FolderPrefix) && r.contents != nil {
		return r.snapshotsIn(ctx, name)
	}
	o, found, err := r.store.GetByKey(name)
	if err != nil || !found {
		return err
	}
	pv := o.(*corev1.PersistentVolume)
	if volume.NFSMustRemove(pv, r.NodeName) {
		r.removeShared(ctx, pv)
		return nil
	}
	host, err := r.host(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(volume.LocalHosts(pv), host) {
		return nil // another node's
	}
	path, ours := volume.LocalDirectory(pv, r.Dir, host)
	switch source, copy := volume.LocalCopyOf(pv); {
	case volume.LocalReclaim(pv) != volume.LocalRest:
		if r.copies.end(name) || r.isCopied(name) {
			return nil // its end, or that of its copy, comes back to it
		}
		return r.reclaim(ctx, pv, path, ours)
	case ours && copy && pv.DeletionTimestamp == nil:
		return r.fill(ctx, pv, path, source)
	case ours && volume.LocalMustGrow(pv):
		return r.grow(ctx, pv, path)
	}
	return nil
}

// reclaim finishes one deleted volume.
func (r *janitor) reclaim(ctx context.Context, pv *corev1.PersistentVolume, path string, ours bool) error {
	if ours && volume.LocalReclaim(pv) == volume.LocalRemove {
		if err := errors.Join(remove(unfinished(path)), remove(path)); err != nil {
			err = fmt.Errorf("remove the directory of volume %s: %w", pv.Name, err)
			if r.Event != nil {
				r.Event(pv, corev1.EventTypeWarning, "VolumeFailedDelete", err.Error())
			}
			return err
		}
	}
	return r.letGo(ctx, pv, volume.LocalFinalizer)
}

// letGo takes our finalizer from a volume whose data has been dealt with.
func (r *janitor) letGo(ctx context.Context, pv *corev1.PersistentVolume, finalizer string) error {
	changed := pv.DeepCopy()
	changed.Finalizers = slices.DeleteFunc(changed.Finalizers, func(f string) bool { return f == finalizer })
	_, err := r.Client.CoreV1().PersistentVolumes().Update(ctx, changed, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// host is the node's hostname label, which volumes name.
func (r *janitor) host(ctx context.Context) (string, error) {
	if r.hostname == "" {
		node, err := r.Client.CoreV1().Nodes().Get(ctx, r.NodeName, metav1.GetOptions{})
		if err != nil {
			return "", fmt.Errorf("read the hostname of node %s: %w", r.NodeName, err)
		}
		r.hostname = node.Labels[corev1.LabelHostname]
	}
	return r.hostname, nil
}
