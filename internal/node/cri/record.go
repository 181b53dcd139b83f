package cri

import (
	"strconv"
	"strings"
	"time"

	"berth.dev/berth/internal/plan/podsync"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Record is a container with what only the node needs to know of it.
type Record struct {
	podsync.Container
	LogPath string
	Notes   map[string]string
	Mounts  []*runtimeapi.Mount
}

// DecodeSandbox reads a sandbox's status.
func DecodeSandbox(s *runtimeapi.PodSandboxStatus) podsync.Sandbox {
	sb := podsync.Sandbox{
		ID: s.Id, Attempt: s.Metadata.GetAttempt(),
		Ready:     s.State == runtimeapi.PodSandboxState_SANDBOX_READY,
		CreatedAt: time.Unix(0, s.CreatedAt),
	}
	if ip := s.GetNetwork().GetIp(); ip != "" {
		sb.IPs = append(sb.IPs, ip)
		for _, more := range s.Network.AdditionalIps {
			sb.IPs = append(sb.IPs, more.Ip)
		}
	}
	return sb
}

// DecodeContainer reads a container's status. The termination message is not
// part of it (see Message).
func DecodeContainer(sandboxID string, s *runtimeapi.ContainerStatus) Record {
	r := Record{LogPath: s.LogPath, Notes: s.Annotations, Mounts: s.Mounts}
	r.Container = podsync.Container{
		ID: s.Id, Name: s.Labels[LabelContainerName], SandboxID: sandboxID,
		Attempt: int32(s.Metadata.GetAttempt()), Hash: s.Annotations[noteHash],
		CreatedAt: time.Unix(0, s.CreatedAt),
		Image:     imageName(s.Image), ImageID: s.ImageRef,
	}
	if r.ImageID == "" {
		r.ImageID = s.ImageId
	}
	if n, err := strconv.ParseInt(s.Annotations[noteRestartCount], 10, 32); err == nil {
		r.Attempt = int32(n)
	}
	if s.StartedAt > 0 {
		r.StartedAt = time.Unix(0, s.StartedAt)
	}
	switch s.State {
	case runtimeapi.ContainerState_CONTAINER_RUNNING:
		r.Phase = podsync.Running
		r.User = user(s.User)
	case runtimeapi.ContainerState_CONTAINER_EXITED:
		r.Phase = podsync.Exited
		if brokenOff(s) {
			r.Phase = podsync.Created
			break
		}
		r.ExitCode, r.Reason, r.Message = s.ExitCode, s.Reason, s.Message
		if s.FinishedAt > 0 {
			r.FinishedAt = time.Unix(0, s.FinishedAt)
		}
	case runtimeapi.ContainerState_CONTAINER_CREATED:
		r.Phase = podsync.Created
	default:
		// The runtime lost track of it: to everybody else it has ended.
		r.Phase = podsync.Exited
		r.ExitCode, r.Reason = 137, podsync.ContainerStatusUnknown
	}
	return r
}

// imageName is what a status calls the image. The runtime has only its ID once
// the tag has moved to another image (a build that brings its own): then it is
// the name the Pod used, so that nothing about a running Pod changes.
func imageName(i *runtimeapi.ImageSpec) string {
	if asked := i.GetUserSpecifiedImage(); asked != "" && strings.HasPrefix(i.GetImage(), "sha256:") {
		return asked
	}
	return i.GetImage()
}

// brokenOff is true for a container whose start ended with the agent that asked
// for it. It never ran: as one that was only created, it is made again without
// counting a restart.
func brokenOff(s *runtimeapi.ContainerStatus) bool {
	return s.Reason == "StartError" && s.StartedAt <= 0 && strings.Contains(s.Message, "context canceled")
}

func user(u *runtimeapi.ContainerUser) *corev1.ContainerUser {
	if u.GetLinux() == nil {
		return nil
	}
	return &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{
		UID: u.Linux.Uid, GID: u.Linux.Gid, SupplementalGroups: u.Linux.SupplementalGroups,
	}}
}
