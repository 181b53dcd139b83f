package validation

import (
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Untagged gives a value of an API type, all the way down, the look that
// upstream's messages have, whose types know no JSON names.
func Untagged(v any) any {
	return untaggedValue(reflect.ValueOf(v)).Interface()
}

// later names fields that come after another one in upstream's types than in
// the served ones: type, field, the field before it.
var later = [][3]string{
	{"PodSpec", "SetHostnameAsFQDN", "Subdomain"},
	{"PodSpec", "PreemptionPolicy", "Priority"},
	{"PodSpec", "Overhead", "RuntimeClassName"},
	{"PodSecurityContext", "FSGroupChangePolicy", "FSGroup"},
	{"Volume", "Quobyte", "RBD"},
	{"PersistentVolumeSource", "FlexVolume", "ISCSI"},
	{"PersistentVolumeSource", "Quobyte", "RBD"},
	{"PersistentVolumeSpec", "FlexVolume", "ISCSI"},
	{"PersistentVolumeSpec", "Quobyte", "RBD"},
}

// ofSecurity are the fields of a PodSpec that upstream's types hold, under the
// same names, at the head of the security context.
var ofSecurity = []string{"HostNetwork", "HostPID", "HostIPC", "ShareProcessNamespace", "HostUsers"}

// UntaggedPodSpec is Untagged for a PodSpec, part of which stands elsewhere in
// upstream's types.
func UntaggedPodSpec(spec *corev1.PodSpec) any {
	flat := untaggedValue(reflect.ValueOf(*spec))
	security := flat.FieldByName("SecurityContext")
	head := make([]reflect.StructField, 0, len(ofSecurity))
	for _, name := range ofSecurity {
		f, _ := flat.Type().FieldByName(name)
		head = append(head, reflect.StructField{Name: name, Type: f.Type})
	}
	whole := reflect.New(reflect.StructOf(append(head, reflect.VisibleFields(security.Type().Elem())...))).Elem()
	if !security.IsNil() {
		copyFields(whole, security.Elem())
	}
	copyFields(whole, flat)
	var fields []reflect.StructField
	for f := range flat.Type().Fields() {
		switch {
		case f.Name == "DeprecatedServiceAccount" || slices.Contains(ofSecurity, f.Name):
			continue
		case f.Name == "SecurityContext":
			f.Type = whole.Type()
		}
		fields = append(fields, reflect.StructField{Name: f.Name, Type: f.Type})
	}
	out := reflect.New(reflect.StructOf(fields)).Elem()
	copyFields(out, flat)
	out.FieldByName("SecurityContext").Set(whole)
	return out.Interface()
}

// copyFields sets the fields that both have in one form.
func copyFields(to, from reflect.Value) {
	for f := range to.Type().Fields() {
		if same := from.FieldByName(f.Name); same.IsValid() && same.Type() == f.Type {
			to.FieldByName(f.Name).Set(same)
		}
	}
}

// tagged says whether t has another form in upstream's messages.
func tagged(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && strings.HasPrefix(t.PkgPath(), "k8s.io/api/")
}

// fieldsOf lists the fields of t in upstream's order; what t embeds counts as
// its own.
func fieldsOf(t reflect.Type) []reflect.StructField {
	var out []reflect.StructField
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous && tagged(f.Type) || len(f.Index) > 1 && !tagged(t.FieldByIndex(f.Index[:1]).Type) {
			continue
		}
		out = append(out, f)
	}
	index := func(name string) int {
		return slices.IndexFunc(out, func(f reflect.StructField) bool { return f.Name == name })
	}
	for _, move := range later {
		if from := index(move[1]); move[0] == t.Name() && from >= 0 {
			f := out[from]
			out = slices.Insert(slices.Delete(out, from, from+1), index(move[2])+1, f)
		}
	}
	return out
}

func untaggedType(t reflect.Type) reflect.Type {
	switch t.Kind() {
	case reflect.Pointer:
		return reflect.PointerTo(untaggedType(t.Elem()))
	case reflect.Slice:
		return reflect.SliceOf(untaggedType(t.Elem()))
	case reflect.Map:
		return reflect.MapOf(t.Key(), untaggedType(t.Elem()))
	case reflect.Struct:
		if !tagged(t) {
			return t
		}
		var fields []reflect.StructField
		for _, f := range fieldsOf(t) {
			fields = append(fields, reflect.StructField{Name: f.Name, Type: untaggedType(f.Type)})
		}
		return reflect.StructOf(fields)
	}
	return t
}

func untaggedValue(v reflect.Value) reflect.Value {
	out := reflect.New(untaggedType(v.Type())).Elem()
	switch kind := v.Kind(); {
	case kind == reflect.Pointer && !v.IsNil():
		out.Set(reflect.New(out.Type().Elem()))
		out.Elem().Set(untaggedValue(v.Elem()))
	case kind == reflect.Slice && !v.IsNil():
		out.Set(reflect.MakeSlice(out.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(untaggedValue(v.Index(i)))
		}
	case kind == reflect.Map && !v.IsNil():
		out.Set(reflect.MakeMapWithSize(out.Type(), v.Len()))
		for key, value := range v.Seq2() {
			out.SetMapIndex(key, untaggedValue(value))
		}
	case kind == reflect.Struct && tagged(v.Type()):
		for n, f := range fieldsOf(v.Type()) {
			out.Field(n).Set(untaggedValue(v.FieldByIndex(f.Index)))
		}
	case kind != reflect.Pointer && kind != reflect.Slice && kind != reflect.Map:
		out.Set(v)
	}
	return out
}
