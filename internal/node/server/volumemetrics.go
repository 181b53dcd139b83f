package server

import (
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/node/disk"
	"berth.dev/berth/internal/node/volume"
)

// volumeFamilies are the kubelet's figures of claims; names and help are its own.
var volumeFamilies = []struct {
	name, help string
	value      func(*fsStats) uint64
}{
	{"available_bytes", "Number of available bytes in the volume", func(s *fsStats) uint64 { return s.Available }},
	{"capacity_bytes", "Capacity in bytes of the volume", func(s *fsStats) uint64 { return s.Capacity }},
	{"inodes", "Maximum number of inodes in the volume", func(s *fsStats) uint64 { return s.Inodes }},
	{"inodes_free", "Number of free inodes in the volume", func(s *fsStats) uint64 { return s.InodesFree }},
	{"inodes_used", "Number of used inodes in the volume", func(s *fsStats) uint64 { return s.InodesUsed }},
	{"used_bytes", "Number of used bytes in the volume", func(s *fsStats) uint64 { return s.Used }},
}

// volumeMetrics tells how full the claims are that pods here use, each once.
func (s *Server) volumeMetrics(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Disks == nil {
		return
	}
	type measured struct {
		claim pvcRef
		files volume.Files
	}
	var list []measured
	var folders []disk.Folder
	seen := map[pvcRef]bool{}
	for _, pod := range s.cfg.Pods.Pods() {
		for _, v := range s.cfg.Disks.Volumes(types.UID(pod.UID)) {
			claim := pvcRef{Name: v.Claim, Namespace: pod.Namespace}
			if v.Claim == "" || seen[claim] {
				continue
			}
			seen[claim] = true
			list = append(list, measured{claim, v})
			folders = append(folders, v.Folder())
		}
	}
	if len(list) == 0 {
		return
	}
	uses := s.cfg.Disks.Meter.Measure(r.Context(), folders)
	for _, family := range volumeFamilies {
		fmt.Fprintf(w, "# HELP kubelet_volume_stats_%[1]s [ALPHA] %[2]s\n# TYPE kubelet_volume_stats_%[1]s gauge\n", family.name, family.help)
		for i, m := range list {
			if use, ok := uses[folders[i]]; ok {
				fmt.Fprintf(w, "kubelet_volume_stats_%s{namespace=%q,persistentvolumeclaim=%q} %d\n", family.name, m.claim.Namespace, m.claim.Name, family.value(of(use, ok)))
			}
		}
	}
}
