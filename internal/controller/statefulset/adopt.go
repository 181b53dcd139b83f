package statefulset

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	plan "berth.dev/berth/internal/plan/statefulset"
)

// adopt makes the set the object's controller, after a live look that the set
// is still the one we know and is not being deleted.
func (s *pass) adopt(ctx context.Context, kind string, obj client.Object) error {
	if err := s.mayAdopt(ctx); err != nil {
		return fmt.Errorf("can't adopt %s %s/%s (%s): %w", kind, obj.GetNamespace(), obj.GetName(), obj.GetUID(), err)
	}
	err := s.patchOwners(ctx, obj, plan.SetRef(s.set))
	return client.IgnoreNotFound(err)
}

// release gives a pod up that the set no longer selects.
func (s *pass) release(ctx context.Context, pod *corev1.Pod) error {
	err := s.patchOwners(ctx, pod, map[string]string{"$patch": "delete", "uid": string(s.set.UID)})
	return client.IgnoreNotFound(err)
}

// patchOwners merges one entry into the owner references of this very object:
// the UID in the patch makes the server refuse it for another one of that name.
func (s *pass) patchOwners(ctx context.Context, obj client.Object, entry any) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid":             obj.GetUID(),
		"ownerReferences": []any{entry},
	}})
	if err != nil {
		return err
	}
	return s.write.Patch(ctx, obj.DeepCopyObject().(client.Object), client.RawPatch(types.StrategicMergePatchType, patch))
}

// mayAdopt asks the API server once per pass.
func (s *pass) mayAdopt(ctx context.Context) error {
	if s.adoptable == nil {
		err := s.checkAdoptable(ctx)
		s.adoptable = &err
	}
	return *s.adoptable
}

func (s *pass) checkAdoptable(ctx context.Context) error {
	live := &appsv1.StatefulSet{}
	if err := s.env.Live.Get(ctx, client.ObjectKeyFromObject(s.set), live); err != nil {
		return err
	}
	if live.UID != s.set.UID {
		return fmt.Errorf("original StatefulSet %s/%s is gone: got uid %s, wanted %s", s.set.Namespace, s.set.Name, live.UID, s.set.UID)
	}
	if live.DeletionTimestamp != nil {
		return fmt.Errorf("%s/%s has just been deleted at %s", s.set.Namespace, s.set.Name, live.DeletionTimestamp)
	}
	return nil
}
