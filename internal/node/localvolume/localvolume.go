// Package localvolume removes the directories of deleted local volumes on
// their node. The control plane only deletes the PersistentVolume; a finalizer
// keeps it until the node has removed what it holds.
//
// It removes nothing that the local provisioner did not make: only a real
// directory directly below the node's volumes directory, named after a volume
// that says so itself, whose claim is gone and whose policy is Delete.
package localvolume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"berth.dev/berth/internal/plan/volume"
)

// Run looks after the volumes of one node until ctx ends. volumesDir is the
// directory that the node's annotation names.
func Run(ctx context.Context, client kubernetes.Interface, nodeName, volumesDir string, logger *slog.Logger) error {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(strip))
	informer := factory.Core().V1().PersistentVolumes().Informer()
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	add := func(o any) {
		if pv, ok := o.(*corev1.PersistentVolume); ok && volume.LocalReclaim(pv) != volume.LocalRest {
			queue.Add(pv.Name)
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: add, UpdateFunc: func(_, o any) { add(o) },
	})
	if err != nil {
		return fmt.Errorf("watch persistent volumes: %w", err)
	}
	r := &remover{client: client, nodeName: nodeName, dir: volumesDir, store: informer.GetStore()}

	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { informer.RunWithContext(ctx) })
	running.Go(func() {
		<-ctx.Done()
		queue.ShutDown()
	})
	for {
		name, stopped := queue.Get()
		if stopped {
			return nil
		}
		if err := r.reclaim(ctx, name); err != nil && ctx.Err() == nil {
			if !apierrors.IsConflict(err) {
				logger.Warn("local volume not reclaimed, trying again", "volume", name, "error", err)
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

type remover struct {
	client        kubernetes.Interface
	nodeName, dir string
	store         cache.Store
	hostname      string
}

// reclaim finishes one deleted volume, if it is ours and its time has come.
func (r *remover) reclaim(ctx context.Context, name string) error {
	o, found, err := r.store.GetByKey(name)
	if err != nil || !found {
		return err
	}
	pv := o.(*corev1.PersistentVolume)
	step := volume.LocalReclaim(pv)
	if step == volume.LocalRest {
		return nil
	}
	host, err := r.host(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(volume.LocalHosts(pv), host) {
		return nil // another node's
	}
	if path, ours := volume.LocalDirectory(pv, r.dir, host); ours && step == volume.LocalRemove {
		if err := remove(path); err != nil {
			return fmt.Errorf("remove the directory of volume %s: %w", name, err)
		}
	}
	changed := pv.DeepCopy()
	changed.Finalizers = slices.DeleteFunc(changed.Finalizers, func(f string) bool { return f == volume.LocalFinalizer })
	_, err = r.client.CoreV1().PersistentVolumes().Update(ctx, changed, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// host is the node's hostname label, which volumes name.
func (r *remover) host(ctx context.Context) (string, error) {
	if r.hostname == "" {
		node, err := r.client.CoreV1().Nodes().Get(ctx, r.nodeName, metav1.GetOptions{})
		if err != nil {
			return "", fmt.Errorf("read the hostname of node %s: %w", r.nodeName, err)
		}
		r.hostname = node.Labels[corev1.LabelHostname]
	}
	return r.hostname, nil
}

// remove deletes a directory tree without ever leaving the directory above it:
// neither a link in its place nor one inside leads elsewhere.
func remove(path string) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	name := filepath.Base(path)
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory; remove it by hand and the volume will go", path)
	}
	return root.RemoveAll(name)
}
