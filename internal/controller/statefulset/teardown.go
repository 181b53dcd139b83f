package statefulset

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	plan "berth.dev/berth/internal/plan/statefulset"
	"berth.dev/berth/internal/plan/statefulset/options"
)

// setGuard adds or removes the finalizer of an ordered teardown. The patch names
// the version it was made from, so that no other finalizer is lost by it.
func (s *pass) setGuard(ctx context.Context, on bool) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid":             s.set.UID,
		"resourceVersion": s.set.ResourceVersion,
		"finalizers":      plan.Finalizers(s.set.Finalizers, options.TeardownFinalizer, on),
	}})
	if err != nil {
		return err
	}
	set := s.set.DeepCopy()
	if err := s.write.Patch(ctx, set, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("set the finalizer %s: %w", options.TeardownFinalizer, err))
	}
	s.set = set
	return nil
}
