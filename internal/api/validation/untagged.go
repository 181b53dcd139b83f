package validation

import "reflect"

// Untagged gives a value, all the way down, the look that upstream's messages
// have, whose types know no JSON names.
func Untagged(v any) any {
	return untaggedValue(reflect.ValueOf(v)).Interface()
}

func untaggedType(t reflect.Type) reflect.Type {
	switch t.Kind() {
	case reflect.Pointer:
		return reflect.PointerTo(untaggedType(t.Elem()))
	case reflect.Slice:
		return reflect.SliceOf(untaggedType(t.Elem()))
	case reflect.Struct:
		fields := make([]reflect.StructField, t.NumField())
		for i := range fields {
			fields[i] = reflect.StructField{Name: t.Field(i).Name, Type: untaggedType(t.Field(i).Type)}
		}
		return reflect.StructOf(fields)
	}
	return t
}

func untaggedValue(v reflect.Value) reflect.Value {
	out := reflect.New(untaggedType(v.Type())).Elem()
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(out.Type().Elem()))
			out.Elem().Set(untaggedValue(v.Elem()))
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(out.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				out.Index(i).Set(untaggedValue(v.Index(i)))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			out.Field(i).Set(untaggedValue(v.Field(i)))
		}
	default:
		out.Set(v)
	}
	return out
}
