package podspec

import (
	"fmt"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Variable is one environment variable.
type Variable struct{ Name, Value string }

// Sources is what the values of variables may come from. ConfigMap and Secret
// return nil without an error when the object does not exist; File says in
// its error, and by missing, that there is no such file in a volume.
type Sources struct {
	Services    []*corev1.Service
	ConfigMap   func(name string) (*corev1.ConfigMap, error)
	Secret      func(name string) (*corev1.Secret, error)
	File        func(volume, path string) (text string, missing bool, err error)
	PodIPs      []string
	HostIPs     []string
	Allocatable corev1.ResourceList
}

// Environment is the environment of one container, in a stable order: what the
// spec lists in its order, then the variables of services. invalid are the
// keys of envFrom sources that cannot name a variable.
func Environment(pod *corev1.Pod, c *corev1.Container, from Sources) (env []Variable, invalid []string, err error) {
	set := environment{values: map[string]string{}}
	for i := range c.EnvFrom {
		bad, err := set.addAll(pod, &c.EnvFrom[i], from)
		if err != nil {
			return nil, nil, err
		}
		invalid = append(invalid, bad...)
	}
	services := map[string]string{}
	for _, v := range ServiceVariables(pod, from.Services) {
		services[v.Name] = v.Value
	}
	lookup := func(name string) (string, bool) {
		if v, ok := set.values[name]; ok {
			return v, true
		}
		v, ok := services[name]
		return v, ok
	}
	for i := range c.Env {
		e := &c.Env[i]
		value, skip, err := valueOf(pod, c, e, from, lookup)
		if err != nil {
			return nil, nil, err
		}
		if !skip {
			set.put(e.Name, value)
		}
	}
	env = set.list()
	var rest []Variable
	for name, value := range services {
		if _, taken := set.values[name]; !taken {
			rest = append(rest, Variable{name, value})
		}
	}
	sort.Slice(rest, func(i, j int) bool { return rest[i].Name < rest[j].Name })
	return append(env, rest...), invalid, nil
}

type environment struct {
	order  []string
	values map[string]string
}

func (e *environment) put(name, value string) {
	if _, ok := e.values[name]; !ok {
		e.order = append(e.order, name)
	}
	e.values[name] = value
}

func (e *environment) list() []Variable {
	out := make([]Variable, 0, len(e.order))
	for _, name := range e.order {
		out = append(out, Variable{name, e.values[name]})
	}
	return out
}

// addAll takes in all keys of a ConfigMap or Secret.
func (e *environment) addAll(pod *corev1.Pod, src *corev1.EnvFromSource, from Sources) (invalid []string, err error) {
	values := map[string]string{}
	origin := ""
	switch {
	case src.ConfigMapRef != nil:
		name := src.ConfigMapRef.Name
		origin = fmt.Sprintf("configMap %s/%s", pod.Namespace, name)
		m, err := from.ConfigMap(name)
		if err != nil {
			return nil, err
		}
		if m == nil {
			if optional(src.ConfigMapRef.Optional) {
				return nil, nil
			}
			return nil, fmt.Errorf("configmap %q not found", name)
		}
		values = m.Data
	case src.SecretRef != nil:
		name := src.SecretRef.Name
		origin = fmt.Sprintf("secret %s/%s", pod.Namespace, name)
		s, err := from.Secret(name)
		if err != nil {
			return nil, err
		}
		if s == nil {
			if optional(src.SecretRef.Optional) {
				return nil, nil
			}
			return nil, fmt.Errorf("secret %q not found", name)
		}
		for k, v := range s.Data {
			values[k] = string(v)
		}
	}
	keys := make([]string, 0, len(values))
	for k := range values {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var bad []string
	for _, k := range keys {
		name := src.Prefix + k
		if !validName(name) {
			bad = append(bad, name)
			continue
		}
		e.put(name, values[k])
	}
	if len(bad) > 0 {
		invalid = append(invalid, fmt.Sprintf("Keys [%s] from the EnvFrom %s were skipped since they are considered invalid environment variable names.", strings.Join(bad, ", "), origin))
	}
	return invalid, nil
}

// validName accepts any printable ASCII but "=".
func validName(name string) bool {
	if name == "" {
		return false
	}
	for i := range len(name) {
		if name[i] < 0x20 || name[i] > 0x7e || name[i] == '=' {
			return false
		}
	}
	return true
}

func optional(b *bool) bool { return b != nil && *b }
