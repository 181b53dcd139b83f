package quantity

import (
	"reflect"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/resource"
)

var quantityType = reflect.TypeFor[resource.Quantity]()

// holders remembers which types have a quantity in them, by type.
var holders sync.Map

// holds says whether there may be a quantity in a value of type t.
func holds(t reflect.Type) bool {
	if t == nil {
		return false
	}
	if known, ok := holders.Load(t); ok {
		return known.(bool)
	}
	found := search(t, map[reflect.Type]bool{})
	holders.Store(t, found)
	return found
}

func search(t reflect.Type, seen map[reflect.Type]bool) bool {
	t = target(t)
	if t == quantityType || seen[t] {
		return t == quantityType
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		return search(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).IsExported() && search(t.Field(i).Type, seen) {
				return true
			}
		}
	}
	return false
}

// target follows pointers.
func target(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// element is the type of t's field or element of that name in JSON, nil where
// there is none.
func element(t reflect.Type, name string) reflect.Type {
	t = target(t)
	if t == nil || t == quantityType {
		return nil
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		return t.Elem()
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if tag == name && name != "" {
				return f.Type
			}
			if tag == "" && (f.Anonymous || strings.Contains(options, "inline")) {
				if e := element(f.Type, name); e != nil {
					return e
				}
			}
		}
	}
	return nil
}

// numbered is t's field of that number in protobuf, nil where there is none.
func numbered(t reflect.Type, number string) (inner reflect.Type, name string) {
	if t = target(t); t.Kind() != reflect.Struct {
		return nil, ""
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if parts := strings.SplitN(f.Tag.Get("protobuf"), ",", 3); len(parts) == 3 && parts[1] == number {
			name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
			return f.Type, name
		}
	}
	return nil, ""
}
