package validation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (c *podCheck) env(p *field.Path, vars []corev1.EnvVar) {
	for i := range vars {
		v, p := &vars[i], p.Index(i)
		if c.notEmpty(p.Child("name"), v.Name) {
			c.messages(p.Child("name"), v.Name, validation.IsRelaxedEnvVarName(v.Name))
		}
		if v.ValueFrom != nil {
			c.envSource(p.Child("valueFrom"), v)
		}
	}
}

func (c *podCheck) envSource(p *field.Path, v *corev1.EnvVar) {
	from, sources := v.ValueFrom, 0
	if r := from.FieldRef; r != nil {
		sources++
		c.fieldRef(p.Child("fieldRef"), r, envFields)
	}
	if r := from.ResourceFieldRef; r != nil {
		sources++
		c.resourceRef(p.Child("resourceFieldRef"), r, false)
	}
	if r := from.ConfigMapKeyRef; r != nil {
		sources++
		c.keyRef(p.Child("configMapKeyRef"), r.Name, r.Key)
	}
	if r := from.SecretKeyRef; r != nil {
		sources++
		c.keyRef(p.Child("secretKeyRef"), r.Name, r.Key)
	}
	if r := from.FileKeyRef; r != nil {
		sources++
		c.fileKeyRef(p.Child("fileKeyRef"), r)
	}
	switch {
	case sources == 0:
		c.invalid(p, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`")
	case v.Value != "":
		c.invalid(p, "", "may not be specified when `value` is not empty")
	case sources > 1:
		c.invalid(p, "", "may not have more than one field specified at a time")
	}
}

func (c *podCheck) envFrom(list *field.Path, sources []corev1.EnvFromSource) {
	for i := range sources {
		s, p := &sources[i], list.Index(i)
		if s.Prefix != "" {
			c.messages(p.Child("prefix"), s.Prefix, validation.IsRelaxedEnvVarName(s.Prefix))
		}
		if r := s.ConfigMapRef; r != nil {
			c.sourceName(p.Child("configMapRef", "name"), r.Name)
		}
		if r := s.SecretRef; r != nil {
			c.sourceName(p.Child("secretRef", "name"), r.Name)
		}
		switch {
		case s.ConfigMapRef == nil && s.SecretRef == nil:
			c.invalid(list, "", "must specify one of: `configMapRef` or `secretRef`")
		case s.ConfigMapRef != nil && s.SecretRef != nil:
			c.invalid(list, "", "may not have more than one field specified at a time")
		}
	}
}

func (c *podCheck) sourceName(p *field.Path, name string) {
	if c.notEmpty(p, name) {
		c.messages(p, name, apivalidation.NameIsDNSSubdomain(name, true))
	}
}

func (c *podCheck) keyRef(p *field.Path, name, key string) {
	c.messages(p.Child("name"), name, apivalidation.NameIsDNSSubdomain(name, false))
	if c.notEmpty(p.Child("key"), key) {
		c.messages(p.Child("key"), key, validation.IsConfigMapKey(key))
	}
}

func (c *podCheck) fileKeyRef(p *field.Path, r *corev1.FileKeySelector) {
	if c.notEmpty(p.Child("key"), r.Key) {
		c.messages(p.Child("key"), r.Key, validation.IsRelaxedEnvVarName(r.Key))
	}
	if c.notEmpty(p.Child("volumeName"), r.VolumeName) {
		c.dnsLabel(p.Child("volumeName"), r.VolumeName)
	}
	if c.notEmpty(p.Child("path"), r.Path) {
		c.noBacksteps(p.Child("path"), r.Path)
	}
}

// variableFiles checks that the files that hold variables are in volumes that
// containers can write.
func (c *podCheck) variableFiles(p *field.Path, s *corev1.PodSpec) {
	volumes := map[string]*corev1.Volume{}
	for i := range s.Volumes {
		volumes[s.Volumes[i].Name] = &s.Volumes[i]
	}
	eachContainer(s, p, func(ctr *corev1.Container, p *field.Path) {
		for i := range ctr.Env {
			from := ctr.Env[i].ValueFrom
			if from == nil || from.FileKeyRef == nil {
				continue
			}
			name, at := from.FileKeyRef.VolumeName, p.Child("env").Index(i).Child("valueFrom", "fileKeyRef", "volumeName")
			if v, ok := volumes[name]; !ok {
				c.add(field.NotFound(at, name))
			} else if v.EmptyDir == nil {
				c.invalid(at, name, "referenced volume must be of type emptyDir")
			}
		}
	})
}

// What a pod may learn about itself, by variable and by file.
var (
	envFields = []string{
		"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
	}
	fileFields = []string{
		"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",
	}
	knownFields = []string{
		"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",
		"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.phase", "status.podIP", "status.podIPs",
	}
	resourceFields = []string{
		"limits.cpu", "limits.ephemeral-storage", "limits.memory",
		"requests.cpu", "requests.ephemeral-storage", "requests.memory",
	}
)

func (c *podCheck) fieldRef(p *field.Path, r *corev1.ObjectFieldSelector, allowed []string) {
	if !c.notEmpty(p.Child("apiVersion"), r.APIVersion) || !c.notEmpty(p.Child("fieldPath"), r.FieldPath) {
		return
	}
	if r.APIVersion != "v1" {
		c.invalid(p.Child("fieldPath"), r.FieldPath, "error converting fieldPath: unsupported pod version: "+r.APIVersion)
		return
	}
	path, subscript, subscripted := splitSubscript(r.FieldPath)
	if subscripted && path != "metadata.annotations" && path != "metadata.labels" {
		c.invalid(p.Child("fieldPath"), r.FieldPath, "error converting fieldPath: field label does not support subscript: "+r.FieldPath)
		return
	}
	if path == "spec.host" {
		path = "spec.nodeName"
	}
	switch {
	case !slices.Contains(knownFields, path):
		c.invalid(p.Child("fieldPath"), r.FieldPath, "error converting fieldPath: field label not supported: "+r.FieldPath)
	case subscripted && path == "metadata.annotations":
		c.qualifiedName(p, strings.ToLower(subscript))
	case subscripted:
		c.qualifiedName(p, subscript)
	case !slices.Contains(allowed, path):
		c.add(field.NotSupported(p.Child("fieldPath"), path, allowed))
	}
}

// splitSubscript takes "a['k']" apart.
func splitSubscript(path string) (string, string, bool) {
	if !strings.HasSuffix(path, "']") {
		return path, "", false
	}
	before, key, found := strings.Cut(strings.TrimSuffix(path, "']"), "['")
	if !found || before == "" {
		return path, "", false
	}
	return before, key, true
}

func (c *podCheck) resourceRef(p *field.Path, r *corev1.ResourceFieldSelector, file bool) {
	huge := strings.HasPrefix(r.Resource, "limits.hugepages-") || strings.HasPrefix(r.Resource, "requests.hugepages-")
	switch {
	case file && r.ContainerName == "":
		c.required(p.Child("containerName"), "")
	case r.Resource == "":
		c.required(p.Child("resource"), "")
	case !huge && !slices.Contains(resourceFields, r.Resource):
		c.add(field.NotSupported(p.Child("resource"), r.Resource, resourceFields))
	}
	c.divisor(p.Child("divisor"), r)
}

var byteDivisors = []string{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}

func (c *podCheck) divisor(p *field.Path, r *corev1.ResourceFieldSelector) {
	if r.Divisor.IsZero() {
		return
	}
	_, what, _ := strings.Cut(r.Resource, ".")
	by := r.Divisor.String()
	if what == "cpu" {
		if by != "1" && by != "1m" {
			c.invalid(p, r.Resource, "only divisor's values 1m and 1 are supported with the cpu resource")
		}
		return
	}
	switch {
	case what == "ephemeral-storage":
		what = "local ephemeral storage"
	case strings.HasPrefix(what, "hugepages-"):
		what = "hugepages"
	case what != "memory":
		return
	}
	if !slices.Contains(byteDivisors, by) {
		c.invalid(p, r.Resource, fmt.Sprintf("only divisor's values %s are supported with the %s resource",
			strings.Join(byteDivisors, ", "), what))
	}
}
