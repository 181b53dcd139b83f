package validation

import (
	"reflect"
	"strings"
)

// Untagged gives a value of an API type, all the way down, the look that
// upstream's messages have, whose types know no JSON names.
func Untagged(v any) any {
	return untaggedValue(reflect.ValueOf(v)).Interface()
}

// tagged says whether t has another form in upstream's messages.
func tagged(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && strings.HasPrefix(t.PkgPath(), "k8s.io/api/")
}

// eachField lists the fields of t; what t embeds counts as its own.
func eachField(t reflect.Type, index []int, f func(reflect.StructField, []int)) {
	for i := range t.NumField() {
		field, at := t.Field(i), append(index[:len(index):len(index)], i)
		if field.Anonymous && tagged(field.Type) {
			eachField(field.Type, at, f)
		} else {
			f(field, at)
		}
	}
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
		eachField(t, nil, func(f reflect.StructField, _ []int) {
			fields = append(fields, reflect.StructField{Name: f.Name, Type: untaggedType(f.Type)})
		})
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
		n := 0
		eachField(v.Type(), nil, func(_ reflect.StructField, at []int) {
			out.Field(n).Set(untaggedValue(v.FieldByIndex(at)))
			n++
		})
	case kind != reflect.Pointer && kind != reflect.Slice && kind != reflect.Map:
		out.Set(v)
	}
	return out
}
