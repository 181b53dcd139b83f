package staticpod

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/validation"
	"berth.dev/berth/internal/plan/staticpod"
)

// decode reads the one pod that a file describes.
func decode(text []byte, node, file string, now time.Time) (*corev1.Pod, error) {
	text, err := single(text)
	if err != nil {
		return nil, err
	}
	pod := &corev1.Pod{}
	if err := yaml.Unmarshal(text, pod); err != nil {
		return nil, err
	}
	if pod.Kind != "Pod" || pod.APIVersion != "v1" {
		return nil, fmt.Errorf("invalid pod: a file of static pods holds one v1 Pod, not %q of %q", pod.Kind, pod.APIVersion)
	}
	if err := staticpod.Complete(pod, node, file, now.Format(time.RFC3339Nano)); err != nil {
		return nil, err
	}
	defaults.Pod(pod)
	if errs := validation.Pod(pod); len(errs) > 0 {
		return nil, fmt.Errorf("invalid pod: %w", errs.ToAggregate())
	}
	return pod, staticpod.Independent(pod)
}

// single is the only document of a file.
func single(text []byte) ([]byte, error) {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var only []byte
	for {
		one, err := documents.Read()
		switch {
		case errors.Is(err, io.EOF):
			return only, nil
		case err != nil:
			return nil, err
		case empty(one):
		case only != nil:
			return nil, errors.New("invalid pod: a file describes one pod; put the others into files of their own")
		default:
			only = one
		}
	}
}

// empty is true for a document of comments.
func empty(document []byte) bool {
	for line := range bytes.Lines(document) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return false
		}
	}
	return true
}
