package podsync

import "strings"

// Reasons of waiting and terminated containers, as upstream spells them.
const (
	ContainerCreating          = "ContainerCreating"
	PodInitializing            = "PodInitializing"
	CrashLoopBackOff           = "CrashLoopBackOff"
	ErrImagePull               = "ErrImagePull"
	ImagePullBackOff           = "ImagePullBackOff"
	ErrImageNeverPull          = "ErrImageNeverPull"
	ImageInspectError          = "ImageInspectError"
	InvalidImageName           = "InvalidImageName"
	CreateContainerConfigError = "CreateContainerConfigError"
	CreateContainerError       = "CreateContainerError"
	RunContainerError          = "RunContainerError"
	PostStartHookError         = "PostStartHookError"
	ContainerStatusUnknown     = "ContainerStatusUnknown"
	FailedSandbox              = "FailedCreatePodSandBox"
	FailedMount                = "FailedMount"
	FailedMapVolume            = "FailedMapVolume"
	FailedUnMount              = "FailedUnMount"
)

// MountReason is the reason of an event about a volume that could not be set up:
// block volumes have one of their own.
func MountReason(message string) string {
	if strings.HasPrefix(message, "MapVolume.") {
		return FailedMapVolume
	}
	return FailedMount
}

// Reasons and messages of pods and their conditions.
const (
	DeadlineExceeded        = "DeadlineExceeded"
	DeadlineExceededMessage = "Pod was active on the node longer than the specified deadline"

	reasonUnknownStatuses = "UnknownContainerStatuses"
	reasonPodCompleted    = "PodCompleted"
	reasonPodFailed       = "PodFailed"
	reasonNotReady        = "ContainersNotReady"
	reasonNotInitialized  = "ContainersNotInitialized"
	reasonGatesNotReady   = "ReadinessGatesNotReady"

	messageLost       = "The container could not be located when the pod was terminated"
	messageLostOnNode = "The container could not be located when the pod was deleted.  The container used to be Running"
)
