package validation

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const fixedData = "field is immutable when `immutable` is set"

// ConfigMap checks a new config map.
func ConfigMap(m *corev1.ConfigMap) field.ErrorList {
	var f findings
	f.configMap(m)
	return f.list
}

func (f *findings) configMap(m *corev1.ConfigMap) {
	f.meta(&m.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	size := 0
	for _, key := range slices.Sorted(maps.Keys(m.Data)) {
		p := field.NewPath("data").Key(key)
		f.messages(p, key, validation.IsConfigMapKey(key))
		if _, twice := m.BinaryData[key]; twice {
			f.invalid(p, key, "duplicate of key present in binaryData")
		}
		size += len(m.Data[key])
	}
	for _, key := range slices.Sorted(maps.Keys(m.BinaryData)) {
		f.messages(field.NewPath("binaryData").Key(key), key, validation.IsConfigMapKey(key))
		size += len(m.BinaryData[key])
	}
	if size > corev1.MaxSecretSize {
		f.add(field.TooLong(field.NewPath(""), "", corev1.MaxSecretSize))
	}
}

// ConfigMapUpdate checks a change of a config map.
func ConfigMapUpdate(m, old *corev1.ConfigMap) field.ErrorList {
	var f findings
	f.metaUpdate(&m.ObjectMeta, &old.ObjectMeta)
	if old.Immutable != nil && *old.Immutable {
		f.stillImmutable(m.Immutable)
		if !maps.Equal(m.Data, old.Data) {
			f.forbidden(field.NewPath("data"), fixedData)
		}
		if !maps.EqualFunc(m.BinaryData, old.BinaryData, bytes.Equal) {
			f.forbidden(field.NewPath("binaryData"), fixedData)
		}
	}
	f.configMap(m)
	return f.list
}

func (f *findings) stillImmutable(immutable *bool) {
	if immutable == nil || !*immutable {
		f.forbidden(field.NewPath("immutable"), fixedData)
	}
}

// Secret checks a new secret.
func Secret(s *corev1.Secret) field.ErrorList {
	var f findings
	f.secret(s)
	return f.list
}

func (f *findings) secret(s *corev1.Secret) {
	f.meta(&s.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	data, size := field.NewPath("data"), 0
	for _, key := range slices.Sorted(maps.Keys(s.Data)) {
		f.messages(data.Key(key), key, validation.IsConfigMapKey(key))
		size += len(s.Data[key])
	}
	if size > corev1.MaxSecretSize {
		f.add(field.TooLong(data, "", corev1.MaxSecretSize))
	}
	has := func(key string) bool { _, ok := s.Data[key]; return ok }
	need := func(key string) {
		if !has(key) {
			f.required(data.Key(key), "")
		}
	}
	switch s.Type {
	case corev1.SecretTypeServiceAccountToken:
		f.notEmpty(metaPath.Child("annotations").Key(corev1.ServiceAccountNameKey), s.Annotations[corev1.ServiceAccountNameKey])
	case corev1.SecretTypeDockercfg:
		f.jsonObject(data.Key(corev1.DockerConfigKey), s.Data, corev1.DockerConfigKey)
	case corev1.SecretTypeDockerConfigJson:
		f.jsonObject(data.Key(corev1.DockerConfigJsonKey), s.Data, corev1.DockerConfigJsonKey)
	case corev1.SecretTypeBasicAuth:
		if !has(corev1.BasicAuthUsernameKey) && !has(corev1.BasicAuthPasswordKey) {
			need(corev1.BasicAuthUsernameKey)
			need(corev1.BasicAuthPasswordKey)
		}
	case corev1.SecretTypeSSHAuth:
		f.notEmpty(data.Key(corev1.SSHAuthPrivateKey), string(s.Data[corev1.SSHAuthPrivateKey]))
	case corev1.SecretTypeTLS:
		need(corev1.TLSCertKey)
		need(corev1.TLSPrivateKeyKey)
	}
}

func (f *findings) jsonObject(p *field.Path, data map[string][]byte, key string) {
	text, ok := data[key]
	if !ok {
		f.required(p, "")
		return
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		f.invalid(p, "<secret contents redacted>", err.Error())
	}
}

// SecretUpdate checks a change of a secret.
func SecretUpdate(s, old *corev1.Secret) field.ErrorList {
	var f findings
	f.metaUpdate(&s.ObjectMeta, &old.ObjectMeta)
	f.immutable(field.NewPath("type"), s.Type, old.Type)
	if old.Immutable != nil && *old.Immutable {
		f.stillImmutable(s.Immutable)
		if !maps.EqualFunc(s.Data, old.Data, bytes.Equal) {
			f.forbidden(field.NewPath("data"), fixedData)
		}
	}
	f.secret(s)
	return f.list
}

// jsonObject says whether text is one JSON object.
func jsonObject(text []byte) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal(text, &object) == nil && object != nil
}
