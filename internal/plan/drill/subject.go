package drill

import (
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Subject is a set as it was seen at one time, with its pods.
type Subject struct {
	Set  *appsv1.StatefulSet
	Pods []corev1.Pod
}

// Whole is nil when the set has all its pods, Ready and at its template.
func (s Subject) Whole() error {
	if s.Set.DeletionTimestamp != nil {
		return errors.New("it is being deleted")
	}
	if s.Set.Status.ObservedGeneration < s.Set.Generation {
		return errors.New("its last change is not taken up yet")
	}
	for _, name := range s.names() {
		p := s.pod(name)
		switch {
		case p == nil:
			return fmt.Errorf("%s does not exist", name)
		case p.DeletionTimestamp != nil:
			return fmt.Errorf("%s is being deleted", name)
		case !ready(p):
			return fmt.Errorf("%s is not Ready", name)
		case !s.kept(name) && p.Labels[appsv1.StatefulSetRevisionLabel] != s.Set.Status.UpdateRevision:
			return fmt.Errorf("%s is not at the set's template", name)
		}
	}
	if len(s.Pods) > len(s.names()) {
		return errors.New("it has more pods than it should")
	}
	return nil
}

// Refuse is why a drill may not begin, or nil: what is broken already would be
// taken for the drill's doing.
func (s Subject) Refuse(k Kind, pod string) error {
	if len(s.names()) == 0 {
		return errors.New("it has no replicas, so there is nothing to try")
	}
	if err := s.Whole(); err != nil {
		return fmt.Errorf("it is not whole: %w; a drill begins with all pods Ready", err)
	}
	if pod != "" && !slices.Contains(s.names(), pod) {
		return fmt.Errorf("%s is no pod of it", pod)
	}
	if k.Rolls && s.Set.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		return errors.New("its update strategy is OnDelete, so no image is rolled out")
	}
	if k.Rolls && s.partition() > 0 {
		return fmt.Errorf("its update strategy has partition %d, so an image is rolled out to some pods only", s.partition())
	}
	return nil
}

// Image is the image of a container of the template; of the first without a name.
func (s Subject) Image(container string) (name, image string, err error) {
	for _, c := range s.Set.Spec.Template.Spec.Containers {
		if container == "" || c.Name == container {
			return c.Name, c.Image, nil
		}
	}
	return "", "", fmt.Errorf("its pods have no container %q", container)
}

// Stuck are the pods that wait for an image that cannot be had.
func (s Subject) Stuck(image string) []corev1.Pod {
	return slices.DeleteFunc(slices.Clone(s.Pods), func(p corev1.Pod) bool {
		return !slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
			return c.Image == image && c.State.Waiting != nil &&
				slices.Contains([]string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"}, c.State.Waiting.Reason)
		})
	})
}

// Others tells whether none of a pod's containers, of one if it is named, is one
// that was there before.
func (s Subject) Others(before Subject, pod, container string) bool {
	was, now := before.pod(pod), s.pod(pod)
	if was == nil || now == nil {
		return false
	}
	old := ids(was, "")
	got := ids(now, container)
	return len(got) > 0 && !slices.ContainsFunc(got, func(id string) bool { return id == "" || slices.Contains(old, id) })
}

// ids are the runtime's names for a pod's containers that are to run on.
func ids(p *corev1.Pod, container string) []string {
	var all []string
	for _, c := range p.Status.ContainerStatuses {
		if container == "" || c.Name == container {
			all = append(all, c.ContainerID)
		}
	}
	return all
}

func (s Subject) names() []string {
	count, start := int32(1), int32(0)
	if s.Set.Spec.Replicas != nil {
		count = *s.Set.Spec.Replicas
	}
	if s.Set.Spec.Ordinals != nil {
		start = s.Set.Spec.Ordinals.Start
	}
	var all []string
	for i := range count {
		all = append(all, fmt.Sprintf("%s-%d", s.Set.Name, start+i))
	}
	return all
}

// kept tells that a partition leaves the pod at its old template.
func (s Subject) kept(pod string) bool {
	if s.Set.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		return true
	}
	first := int32(0)
	if s.Set.Spec.Ordinals != nil {
		first = s.Set.Spec.Ordinals.Start
	}
	return slices.Index(s.names(), pod) < int(s.partition()-first)
}

func (s Subject) partition() int32 {
	if r := s.Set.Spec.UpdateStrategy.RollingUpdate; r != nil && r.Partition != nil {
		return *r.Partition
	}
	return 0
}

func (s Subject) pod(name string) *corev1.Pod {
	for i := range s.Pods {
		if s.Pods[i].Name == name {
			return &s.Pods[i]
		}
	}
	return nil
}

func ready(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
