package node

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"berth.dev/berth/internal/plan/podspec"
)

// pageSizes are the sizes of huge pages that the kernel has, in bytes.
var pageSizes = sync.OnceValue(func() []int64 { return readPageSizes("/sys/kernel/mm/hugepages") })

func readPageSizes(dir string) []int64 {
	entries, _ := os.ReadDir(dir)
	var sizes []int64
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), "hugepages-")
		if kb, err := strconv.ParseInt(strings.TrimSuffix(text, "kB"), 10, 64); ok && err == nil {
			sizes = append(sizes, kb<<10)
		}
	}
	slices.Sort(sizes)
	return sizes
}

// limitHugePages sets how many huge pages a pod may have, where the kernel can
// limit them. The cgroup is that of makeCgroup.
func limitHugePages(root, path string, unified bool, pages []podspec.HugePages) error {
	if !unified {
		if _, err := os.Stat(filepath.Join(root, "hugetlb")); err != nil {
			return nil
		}
		if err := os.MkdirAll(filepath.Join(root, "hugetlb", path), 0o755); err != nil {
			return err
		}
		return limit(root, path, map[string][]setting{"hugetlb": hugePageSettings(pages, ".limit_in_bytes", filepath.Join(root, "hugetlb", path))}, true)
	}
	return limit(root, path, map[string][]setting{"": hugePageSettings(pages, ".max", filepath.Join(root, path))}, true)
}

// hugePageSettings are those files of a cgroup that are there: what may be used,
// and on newer kernels what may be reserved.
func hugePageSettings(pages []podspec.HugePages, suffix, dir string) []setting {
	var out []setting
	for _, p := range pages {
		for _, name := range []string{"hugetlb." + p.Size + suffix, "hugetlb." + p.Size + ".rsvd" + suffix} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				out = append(out, number(name, p.Bytes))
			}
		}
	}
	return out
}
