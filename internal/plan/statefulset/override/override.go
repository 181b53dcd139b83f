// Package override reads patches of a pod template by ordinal, and applies them.
// They are the data of a ConfigMap: the key is an ordinal or a range ("2",
// "3-5", also with ".yaml" at the end), the value a strategic merge patch of the
// template in YAML or JSON. Where several meet, the narrowest is applied last.
package override

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/yaml"

	"berth.dev/berth/internal/plan/statefulset/options"
)

// HashAnnotation is how a pod remembers which patches it was rendered with.
const HashAnnotation = "berth.dev/override-hash"

// Set is the patches for one StatefulSet; the zero value has none.
type Set struct{ patches []patch }

type patch struct {
	key   string
	span  options.Span
	patch []byte // JSON with sorted keys
}

// Parse reads the data of a ConfigMap. The error names the key.
func Parse(data map[string]string) (Set, error) {
	var s Set
	for key, text := range data {
		p, err := read(key, text)
		if err != nil {
			return Set{}, fmt.Errorf("%s: %w", key, err)
		}
		s.patches = append(s.patches, p)
	}
	slices.SortFunc(s.patches, func(a, b patch) int {
		return cmp.Or(
			cmp.Compare(b.span.Last-b.span.First, a.span.Last-a.span.First),
			cmp.Compare(a.span.First, b.span.First),
			cmp.Compare(a.key, b.key),
		)
	})
	return s, nil
}

// Read is Parse for the ConfigMap of that name, nil when there is none. problem
// says what is wrong with it.
func Read(name string, found *corev1.ConfigMap) (s Set, problem string) {
	if found == nil {
		return Set{}, fmt.Sprintf("there is no ConfigMap %s", name)
	}
	s, err := Parse(found.Data)
	if err != nil {
		return Set{}, fmt.Sprintf("ConfigMap %s: %s", name, err)
	}
	return s, ""
}

func read(key, text string) (patch, error) {
	ordinals, err := options.ParseOrdinals(strings.TrimSuffix(key, ".yaml"))
	if err != nil || len(ordinals) != 1 {
		return patch{}, fmt.Errorf(`the key must be an ordinal or a range of ordinals, such as "2" or "3-5"`)
	}
	raw, err := yaml.ToJSON([]byte(text))
	if err != nil {
		return patch{}, err
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil || len(object) == 0 {
		return patch{}, fmt.Errorf("must be a patch of a pod template, with metadata or spec")
	}
	if err := checkFields(object); err != nil {
		return patch{}, err
	}
	raw, err = json.Marshal(object)
	return patch{key: key, span: ordinals[0], patch: raw}, err
}

// checkFields refuses what a template does not have, and the metadata that is
// the controller's.
func checkFields(object map[string]any) error {
	for key := range entries(object["metadata"]) {
		if key != "labels" && key != "annotations" {
			return fmt.Errorf("metadata.%s: only labels and annotations of pods can be overridden", key)
		}
	}
	raw, err := json.Marshal(plain(object))
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	return decoder.Decode(&corev1.PodTemplateSpec{})
}

func entries(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// plain is a patch without the directives of strategic merging.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if !strings.HasPrefix(key, "$") {
				out[key] = plain(value)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	}
	return v
}

// Check applies each patch to a template and says what is wrong with the result:
// pods that their set would not know again, or that ask to be replaced.
func (s Set) Check(template *corev1.PodTemplateSpec, selector labels.Selector) error {
	for _, p := range s.patches {
		changed, err := merge(template, p)
		switch {
		case err != nil:
			return err
		case !selector.Matches(labels.Set(changed.Labels)):
			return fmt.Errorf("%s: changes a label that the set selects its pods by", p.key)
		case changed.Labels[options.ReplaceLabel] != "":
			return fmt.Errorf("%s: the label %s is for a single pod: every new one would ask to be replaced", p.key, options.ReplaceLabel)
		}
	}
	return nil
}

// Hash stands for the patches of an ordinal; "" when there are none.
func (s Set) Hash(ordinal int) string {
	hash := fnv.New64a()
	found := false
	for _, p := range s.patches {
		if p.covers(ordinal) {
			found = true
			hash.Write(p.patch)
			hash.Write([]byte{0})
		}
	}
	if !found {
		return ""
	}
	return strconv.FormatUint(hash.Sum64(), 36)
}

// Apply returns the template of an ordinal, with the hash of what was applied.
// Without a patch that is the template itself.
func (s Set) Apply(template *corev1.PodTemplateSpec, ordinal int) (*corev1.PodTemplateSpec, error) {
	hash := s.Hash(ordinal)
	if hash == "" {
		return template, nil
	}
	for _, p := range s.patches {
		if !p.covers(ordinal) {
			continue
		}
		var err error
		if template, err = merge(template, p); err != nil {
			return nil, err
		}
	}
	if template.Annotations == nil {
		template.Annotations = map[string]string{}
	}
	template.Annotations[HashAnnotation] = hash
	return template, nil
}

func (p patch) covers(ordinal int) bool { return p.span.First <= ordinal && ordinal <= p.span.Last }

func merge(template *corev1.PodTemplateSpec, p patch) (*corev1.PodTemplateSpec, error) {
	before, err := json.Marshal(template)
	if err != nil {
		return nil, err
	}
	after, err := strategicpatch.StrategicMergePatch(before, p.patch, corev1.PodTemplateSpec{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.key, err)
	}
	changed := &corev1.PodTemplateSpec{}
	if err := json.Unmarshal(after, changed); err != nil {
		return nil, fmt.Errorf("%s: %w", p.key, err)
	}
	return changed, nil
}
