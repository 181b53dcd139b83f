package app

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"berth.dev/berth/internal/node/register"
	"berth.dev/berth/internal/plan/evict"
)

// Thresholds are written as for the kubelet; what is set replaces the default.
func TestEvictionThresholds(t *testing.T) {
	for text, want := range map[string]evict.Amount{
		"7%": {Share: 0.07}, "0%": {}, "5Gi": {Count: 5 << 30}, "1000": {Count: 1000},
	} {
		_, e, err := Config{EvictionHard: map[string]string{"nodefs.available": text}}.reservations()
		if err != nil || e.DiskAvailable != want {
			t.Errorf("%s: %+v, %v", text, e, err)
		}
		if e.InodesFree != register.DefaultEviction().InodesFree || !e.MemoryAvailable.Equal(resource.MustParse("100Mi")) {
			t.Errorf("%s changed the others: %+v", text, e)
		}
	}
	_, e, err := Config{}.reservations()
	if err != nil || e.DiskAvailable != (evict.Amount{Share: 0.10, Count: 5 << 30}) {
		t.Errorf("%+v, %v", e, err)
	}
	for text, want := range map[string]string{
		"nodefs.available=-1%":   `--eviction-hard: nodefs.available="-1%": use an amount such as 5Gi or a part of the whole such as 10%`,
		"nodefs.available=-5Gi":  "use an amount",
		"nodefs.available=lots":  "use an amount",
		"nodefs.inodesFree=5Gi":  "use a part of the whole such as 10%",
		"imagefs.available=10%":  "unknown signal",
		"memory.available=10MiB": `--eviction-hard: memory.available="10MiB": `,
	} {
		signal, value, _ := strings.Cut(text, "=")
		if _, _, err := (Config{EvictionHard: map[string]string{signal: value}}).reservations(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
