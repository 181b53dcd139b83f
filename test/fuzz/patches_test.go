package fuzz

import (
	"encoding/json"
	"slices"
	"strings"
)

// patch gives r a patch of one of the four kinds, aimed at the places of s.
func (c chooser) patch(r *request, s seeded) {
	kind := c.of(patchTypes...)
	r.Header.Set("Content-Type", kind)
	var v any
	switch kind {
	case "application/json-patch+json":
		v = c.operations(s)
	case "application/apply-patch+yaml":
		m := mutate(c.Rand, s.manifest)
		if r.Query += "&fieldManager=" + c.of("m", "n"); c.chance(2) {
			r.Query += "&force=true"
		}
		v = m
	default:
		v = c.partial(s)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return
	}
	if r.Body = text; c.chance(15) {
		r.Body = c.damage(text)
	}
}

func (c chooser) operations(s seeded) any {
	if c.chance(20) {
		return odd(c.Rand)
	}
	paths := pointers("", map[string]any(s.manifest))
	path := func() string {
		p := paths[c.Intn(len(paths))]
		if c.chance(8) {
			p += c.of("/-", "/0", "/99999999999", "/-1", "/~", "/~2", "/", "/a~1b", "/00")
		}
		if c.chance(20) {
			p = c.of("", "/", "x", "/metadata/resourceVersion", "/metadata/uid", "/metadata/managedFields", "/status", "/kind", "/apiVersion", "/metadata/finalizers", "/metadata/deletionTimestamp")
		}
		return p
	}
	var out []any
	for range 1 + c.Intn(4) {
		op := map[string]any{"op": c.of("add", "remove", "replace", "move", "copy", "test", "x"), "path": path()}
		if c.chance(2) {
			op["value"] = odd(c.Rand)
		}
		if c.chance(2) {
			op["from"] = path()
		}
		if c.chance(30) {
			delete(op, "path")
		}
		out = append(out, op)
	}
	return out
}

// pointers are the JSON pointers of all places in v.
func pointers(at string, v any) []string {
	out := []string{at}
	switch v := v.(type) {
	case map[string]any:
		for _, key := range keys(v) {
			out = append(out, pointers(at+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(key), v[key])...)
		}
	case []any:
		for i, e := range v {
			out = append(out, pointers(at+"/"+string(rune('0'+i%10)), e)...)
		}
	}
	return out
}

// partial is a piece of a changed object, with directives of strategic merging.
func (c chooser) partial(s seeded) any {
	m := map[string]any(mutate(c.Rand, s.manifest))
	if c.chance(15) {
		return odd(c.Rand)
	}
	names := slices.DeleteFunc(keys(m), func(string) bool { return c.chance(2) })
	out := map[string]any{}
	for _, name := range names {
		out[name] = m[name]
	}
	if c.chance(2) {
		holders := places(out)
		if h, ok := holders[c.Intn(len(holders))].(map[string]any); ok {
			h[c.of("$patch", "$retainKeys", "$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers", "$setElementOrder/x", "$x")] = []any{"delete", "replace", "merge", "x", []any{"a"}, []any{map[string]any{"name": "c"}}, nil, map[string]any{}}[c.Intn(8)]
		}
	}
	return out
}
