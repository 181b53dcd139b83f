package podsync

import (
	"time"

	"berth.dev/berth/internal/plan/probe"
	corev1 "k8s.io/api/core/v1"
)

// State is all that Decide may know about one pod.
type State struct {
	// Pod is the pod as the API last showed it, or what the runtime's labels
	// say about one that the API does not know.
	Pod *corev1.Pod
	// Last is the status decided before, nil when the agent has just started.
	Last *corev1.PodStatus
	Now  time.Time
	Node Node

	Sandboxes  []Sandbox
	Containers []Container

	Volumes Volumes
	// Records hold what is remembered about each container, by name.
	Records map[string]Record
	// SandboxRecord is the same for the sandbox.
	SandboxRecord Record
	// Probes are the verdicts by container ID.
	Probes map[string]probe.Verdicts
	Busy   Busy

	// Resize says how far a change of the pod's resources is. The pod itself asks
	// for no more than it was given.
	Resize Resize
	// Kill ends a pod that the API does not ask to end.
	Kill *Kill
	// Absent is true when the API has no such pod (any more).
	Absent bool
	// Deleted is true once the final delete was answered.
	Deleted bool
	// Stopped are the sandboxes that were stopped in full, network included.
	Stopped map[string]bool
	// Waits keep a failed removal, stop or delete (by ID, "volumes" or
	// "delete") from being tried again before that time.
	Waits map[string]time.Time
}

// Node is what a pod's status says about its node.
type Node struct {
	IPs []string
	// Runtime prefixes container IDs: "containerd".
	Runtime string
	// RecursiveReadOnly says that the runtime can make mounts read-only with
	// all that is mounted below them.
	RecursiveReadOnly bool
}

// Sandbox is one pod sandbox the runtime knows.
type Sandbox struct {
	ID        string
	Attempt   uint32
	Ready     bool
	CreatedAt time.Time
	IPs       []string
}

// Phase is the state of a container in the runtime.
type Phase string

// The phases, in the only order a container passes them.
const (
	Created Phase = "created"
	Running Phase = "running"
	Exited  Phase = "exited"
)

// Container is one container the runtime knows.
type Container struct {
	ID        string
	Name      string
	SandboxID string
	// Attempt is the restart count it was created with.
	Attempt int32
	Phase   Phase
	// Hash is what the container was made from (see Hash).
	Hash       string
	CreatedAt  time.Time
	StartedAt  time.Time
	FinishedAt time.Time
	ExitCode   int32
	Reason     string
	Message    string
	Image      string
	ImageID    string
	User       *corev1.ContainerUser
	// Resources are what it runs with, nil when that is not known.
	Resources *corev1.ResourceRequirements
}

// Volumes says how far the pod's volumes are.
type Volumes struct {
	Ready bool
	// Gone is true once they were taken down for good.
	Gone    bool
	Failure *Failure
}

// Record is what is remembered about a container between its runs.
type Record struct {
	// Hash is the definition that all of it is about (see Hash): another image
	// does not wait for what the former one did.
	Hash    string
	Crash   Backoff
	Pull    Backoff
	Failure *Failure
	// Condemned is the run that was stopped to be replaced by another.
	Condemned Condemned
}

// Condemned is a run that the node itself ended.
type Condemned struct {
	ID  string
	Why Why
}

// Failure is why the last attempt did not succeed.
type Failure struct {
	Reason  string
	Message string
	// Image is the one that could not be had, if not the container's own.
	Image string
	At    time.Time
	// Retry is when to try again.
	Retry time.Time
}

// Busy is the work under way.
type Busy struct {
	Sandbox bool
	Volumes bool
	// Start is the name of the container that is being started.
	Start string
	// Resizes are the containers whose resources are being changed, by ID.
	Resizes map[string]bool
	// Stops are the containers being stopped, by ID, with the grace they got.
	Stops map[string]int64
	// Hooked are the containers, by ID, whose preStop hook was begun before it is
	// their turn to stop.
	Hooked map[string]bool
	// Removes are the containers and sandboxes being removed or stopped.
	Removes map[string]bool
	Delete  bool
}

// Kill says why the node itself ends a pod.
type Kill struct {
	// Phase is Failed for evicted pods; empty keeps what the containers say.
	Phase   corev1.PodPhase
	Reason  string
	Message string
	// Grace overrides the pod's grace period.
	Grace *int64
	// Condition goes into the pod's status at once; empty is none.
	Condition corev1.PodCondition
	// Refused is true for a pod that the node has never taken.
	Refused bool
}
