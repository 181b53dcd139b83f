package podsync

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Kind is what an action does.
type Kind string

// All kinds of action.
const (
	MountVolumes    Kind = "MountVolumes"
	UnmountVolumes  Kind = "UnmountVolumes"
	CreateSandbox   Kind = "CreateSandbox"
	StopSandbox     Kind = "StopSandbox"
	RemoveSandbox   Kind = "RemoveSandbox"
	StartContainer  Kind = "StartContainer"
	StopContainer   Kind = "StopContainer"
	RunPreStop      Kind = "RunPreStop"
	RemoveContainer Kind = "RemoveContainer"
	ResizeContainer Kind = "ResizeContainer"
	DeletePod       Kind = "DeletePod"
)

// Why is the reason of an action, from a closed list.
type Why string

// All reasons.
const (
	NeverStarted      Why = "NeverStarted"
	Restart           Why = "Restart"
	SandboxMissing    Why = "SandboxMissing"
	SandboxDied       Why = "SandboxDied"
	LivenessFailed    Why = "LivenessFailed"
	StartupFailed     Why = "StartupFailed"
	DefinitionChanged Why = "DefinitionChanged"
	Resized           Why = "Resized"
	PodEnding         Why = "PodEnding"
	PodFinished       Why = "PodFinished"
	Surplus           Why = "Surplus"
	NeverRan          Why = "NeverRan"
	RestartingAll     Why = "RestartingAll"
)

// Replaces is true for a stop that another run of the container follows.
func (w Why) Replaces() bool {
	return w == LivenessFailed || w == StartupFailed || w == DefinitionChanged || w == Resized
}

// Action is one thing to do now. Actions of one plan may run side by side.
type Action struct {
	Kind Kind
	Why  Why
	// Container is the container's name, ID the container's or sandbox's ID.
	Container string
	ID        string
	// Attempt is the sandbox's attempt or the container's restart count.
	Attempt int32
	// Grace is how many seconds a container has to stop.
	Grace int64
	// Message is what the Killing event says.
	Message string
	// Crash is the back-off record to keep when a container is started.
	Crash Backoff
}

// Hold says why something is not done yet.
type Hold struct {
	Container string
	// Reason and Message are what the container's waiting state shows.
	Reason  string
	Message string
	// Image is what ImagePullBackOff is about.
	Image string
	Until time.Time
}

// Plan is what Decide wants.
type Plan struct {
	Actions []Action
	Holds   []Hold
	Status  corev1.PodStatus
	// Again is when to decide again if nothing happens before; zero for never.
	Again time.Time
	// Ending is true when the pod's containers are to go.
	Ending bool
	// Resized is true when every container runs with what the pod was given.
	Resized bool
	// Over is true when nothing of the pod is left on the node.
	Over bool
}
