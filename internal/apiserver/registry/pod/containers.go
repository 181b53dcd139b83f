package pod

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// container checks the wanted container's name, or finds the only one.
func container(pod *corev1.Pod, wanted string) (string, error) {
	var main, initial, ephemeral []string
	for _, c := range pod.Spec.Containers {
		main = append(main, c.Name)
	}
	for _, c := range pod.Spec.InitContainers {
		initial = append(initial, c.Name)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		ephemeral = append(ephemeral, c.Name)
	}
	if wanted != "" {
		for _, names := range [][]string{main, initial, ephemeral} {
			for _, n := range names {
				if n == wanted {
					return wanted, nil
				}
			}
		}
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", wanted, pod.Name))
	}
	switch {
	case len(main) == 1 && len(initial) == 0 && len(ephemeral) == 0:
		return main[0], nil
	case len(main) == 0:
		return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s", pod.Name))
	}
	text := fmt.Sprintf("a container name must be specified for pod %s, choose one of: [%s]", pod.Name, strings.Join(main, " "))
	if len(initial) > 0 {
		text += fmt.Sprintf(" or one of the init containers: [%s]", strings.Join(initial, " "))
	}
	if len(ephemeral) > 0 {
		text += fmt.Sprintf(" or one of the ephemeral containers: [%s]", strings.Join(ephemeral, " "))
	}
	return "", apierrors.NewBadRequest(text)
}
