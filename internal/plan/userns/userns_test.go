package userns

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever comes and goes, no two pods share a user, none has one of the node's,
// and a free range is found as long as there is one.
func TestNoOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := DefaultPool(rapid.IntRange(1, 8).Draw(t, "pods"))
		pool.First *= uint32(rapid.IntRange(1, 3).Draw(t, "first"))
		has := map[string]uint32{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			pod := rapid.StringMatching("[a-j]").Draw(t, "pod")
			if _, found := has[pod]; found {
				delete(has, pod)
				continue
			}
			taken := map[uint32]bool{}
			for _, first := range has {
				taken[first] = true
			}
			first, err := pool.Choose(func(first uint32) bool { return taken[first] })
			if full := len(has) == int(pool.Count/Length); full != (err != nil) {
				t.Fatalf("%d of %d ranges are used: %v", len(has), pool.Count/Length, err)
			}
			if err != nil {
				continue
			}
			if taken[first] || first < Length || first < pool.First || first+Length > pool.First+pool.Count {
				t.Fatalf("%d of %+v with %v used", first, pool, has)
			}
			data, err := Write(first)
			if again, err2 := Read(data); err != nil || err2 != nil || again != first {
				t.Fatalf("%d is read as %d: %v %v", first, again, err, err2)
			}
			has[pod] = first
		}
	})
}

func TestParsePool(t *testing.T) {
	for what, c := range map[string]struct {
		users, groups string
		want          Pool
		ok            bool
		err           string
	}{
		"none":        {"someone:100000:65536\n", "someone:100000:65536\n", Pool{}, false, ""},
		"the kubelet": {"a:1:2\nkubelet:131072:131072\n", "kubelet:131072:131072", Pool{131072, 131072}, true, ""},
		"different":   {"kubelet:131072:131072", "kubelet:65536:131072", Pool{}, false, "must be the same"},
		"odd":         {"kubelet:100000:131072", "kubelet:100000:131072", Pool{}, true, "is not a multiple of 65536"},
		"root's":      {"kubelet:0:131072", "kubelet:0:131072", Pool{}, true, "must be greater or equal to 65536"},
		"odd end":     {"kubelet:65536:131073", "kubelet:65536:131073", Pool{}, true, "length 131073 is not a multiple"},
		"few":         {"kubelet:65536:65536", "kubelet:65536:65536", Pool{}, true, "not enough to support 2 pods"},
		"beyond":      {"kubelet:4294836224:131072", "kubelet:4294836224:131072", Pool{}, true, "end beyond the last one"},
		"nonsense":    {"kubelet:x:1", "kubelet:x:1", Pool{}, false, "invalid syntax"},
		"short":       {"kubelet:1", "kubelet:1", Pool{}, false, "is not user:first:count"},
	} {
		got, ok, err := ParsePool(c.users, c.groups, "kubelet", 2)
		if ok != c.ok || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %+v %v %v", what, got, ok, err)
		}
		if err == nil && got != c.want {
			t.Errorf("%s: %+v, want %+v", what, got, c.want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"{": "invalid user namespace mappings file", "{}": "should be identical",
		`{"uidMappings":[{"hostId":65536,"length":65536}],"gidMappings":[{"hostId":131072,"length":65536}]}`:                                "should be identical",
		`{"uidMappings":[{"hostId":65536,"containerId":1,"length":65536}],"gidMappings":[{"hostId":65536,"containerId":1,"length":65536}]}`: "UID 0 must be mapped",
		`{"uidMappings":[{"hostId":65536,"length":1}],"gidMappings":[{"hostId":65536,"length":1}]}`:                                         "wrong user namespace length 1",
		`{"uidMappings":[{"hostId":1,"length":65536}],"gidMappings":[{"hostId":1,"length":65536}]}`:                                         "wrong user namespace offset specified 1",
		`{"uidMappings":[{"hostId":0,"length":65536}],"gidMappings":[{"hostId":0,"length":65536}]}`:                                         "wrong user namespace offset specified 0",
	} {
		if first, err := Read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %d, %v", text, first, err)
		}
	}
}
