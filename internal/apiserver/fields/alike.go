package fields

import (
	"reflect"

	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// object is a Go struct that, compared with another one of its type, passes over
// the fields that are alike: a new status has no new spec. Only what was read
// for a comparison is one; what is applied to it never is, so nothing that
// looks at both for another reason can miss those fields.
type object struct {
	value.Value
	of reflect.Value
}

func newObject(v value.Value, of reflect.Value) value.Value {
	for of.Kind() == reflect.Pointer && !of.IsNil() {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || !v.IsMap() {
		return v
	}
	return object{v, of}
}

// AsMap implements value.Value.
func (o object) AsMap() value.Map { return o.AsMapUsing(value.HeapAllocator) }

// AsMapUsing implements value.Value.
func (o object) AsMapUsing(a value.Allocator) value.Map { return members{o.Value.AsMapUsing(a), o.of} }

// members are the fields of an object.
type members struct {
	value.Map
	of reflect.Value
}

// Equals implements value.Map.
func (m members) Equals(other value.Map) bool { return m.EqualsUsing(value.HeapAllocator, other) }

// EqualsUsing implements value.Map.
func (m members) EqualsUsing(a value.Allocator, other value.Map) bool {
	return m.Map.EqualsUsing(a, plain(other))
}

// Zip implements value.Map.
func (m members) Zip(other value.Map, order value.MapTraverseOrder, each func(string, value.Value, value.Value) bool) bool {
	return m.ZipUsing(value.HeapAllocator, other, order, each)
}

// ZipUsing implements value.Map.
func (m members) ZipUsing(a value.Allocator, other value.Map, order value.MapTraverseOrder, each func(string, value.Value, value.Value) bool) bool {
	o, ok := other.(members)
	if !ok || order != value.Unordered || o.of.Type() != m.of.Type() {
		return m.Map.ZipUsing(a, plain(other), order, each)
	}
	fields := value.TypeReflectEntryOf(m.of.Type()).Fields()
	return m.Map.ZipUsing(a, o.Map, order, func(name string, mine, theirs value.Value) bool {
		field := fields[name]
		if mine == nil || theirs == nil || field == nil {
			return each(name, mine, theirs)
		}
		x, y := field.GetFrom(m.of), field.GetFrom(o.of)
		if alike(x, y) {
			return true
		}
		return each(name, newObject(mine, x), newObject(theirs, y))
	})
}

func plain(m value.Map) value.Map {
	if o, ok := m.(members); ok {
		return o.Map
	}
	return m
}

// alike says that two values of one type are the same to the last bit. When it
// says no they may still be equal: it only spares a closer look.
func alike(x, y reflect.Value) bool {
	switch x.Kind() {
	case reflect.Bool:
		return x.Bool() == y.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return x.Int() == y.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return x.Uint() == y.Uint()
	case reflect.Float32, reflect.Float64:
		return x.Float() == y.Float()
	case reflect.String:
		return x.String() == y.String()
	case reflect.Pointer:
		return x.Pointer() == y.Pointer() || !x.IsNil() && !y.IsNil() && alike(x.Elem(), y.Elem())
	case reflect.Struct:
		for i := range x.NumField() {
			if !alike(x.Field(i), y.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice:
		if x.IsNil() != y.IsNil() || x.Len() != y.Len() {
			return false
		}
		for i := range x.Len() {
			if !alike(x.Index(i), y.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Map:
		return alikeMaps(x, y)
	default:
		return false
	}
}

func alikeMaps(x, y reflect.Value) bool {
	if x.IsNil() != y.IsNil() || x.Len() != y.Len() {
		return false
	}
	for entries := x.MapRange(); entries.Next(); {
		other := y.MapIndex(entries.Key())
		if !other.IsValid() || !alike(entries.Value(), other) {
			return false
		}
	}
	return true
}

var (
	_ value.Value = object{}
	_ value.Map   = members{}
)
