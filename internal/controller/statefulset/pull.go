package statefulset

import (
	"context"
	"encoding/json"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	plan "berth.dev/berth/internal/plan/statefulset"
	"berth.dev/berth/internal/plan/statefulset/options"
)

// askForImages tells the node of a pod which images come next, on the pod itself:
// its node watches that, and may pull with the pod's own secrets.
func (s *pass) askForImages(ctx context.Context, a plan.Action) error {
	pod := s.pod(a.Ordinal)
	if pod == nil || pod.UID != a.UID {
		return nil
	}
	pull := options.Pull{Images: strings.Split(a.Images, ","), Since: s.env.Clock.Now().UTC()}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid":         a.UID,
		"annotations": map[string]string{options.PullAnnotation: pull.String()},
	}})
	if err != nil {
		return err
	}
	return client.IgnoreNotFound(s.write.Patch(ctx, pod.DeepCopy(), client.RawPatch(types.MergePatchType, patch)))
}
