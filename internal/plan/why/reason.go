package why

// Reason is a way to be stuck, or to wait, from a closed list.
type Reason string

// The reasons. Reasons says what each looks like and what to do.
const (
	InvalidImageName    Reason = "InvalidImageName"
	ImageNotThere       Reason = "ImageNotThere"
	PullSecretMissing   Reason = "PullSecretMissing"
	ConfigMissing       Reason = "ConfigMissing"
	ContainerNotCreated Reason = "ContainerNotCreated"
	CrashLoop           Reason = "CrashLoop"
	OutOfMemory         Reason = "OutOfMemory"
	InitFails           Reason = "InitFails"
	StartupProbeFails   Reason = "StartupProbeFails"
	LivenessProbeFails  Reason = "LivenessProbeFails"
	ReadinessProbeFails Reason = "ReadinessProbeFails"
	ReadinessGate       Reason = "ReadinessGate"
	VolumeNotMounted    Reason = "VolumeNotMounted"
	PodEnded            Reason = "PodEnded"
	ComingUp            Reason = "ComingUp"
	MinReadySeconds     Reason = "MinReadySeconds"

	SchedulingGated Reason = "SchedulingGated"
	NoNodes         Reason = "NoNodes"
	NoRoom          Reason = "NoRoom"
	NodesTainted    Reason = "NodesTainted"
	NoNodeMatches   Reason = "NoNodeMatches"
	VolumeElsewhere Reason = "VolumeElsewhere"
	ClaimNotReady   Reason = "ClaimNotReady"
	Unschedulable   Reason = "Unschedulable"
	NodeMissing     Reason = "NodeMissing"
	NodeNotReady    Reason = "NodeNotReady"
	NodePressure    Reason = "NodePressure"

	Terminating      Reason = "Terminating"
	NodeSilent       Reason = "NodeSilent"
	FinalizerKeeps   Reason = "FinalizerKeeps"
	DisruptionBudget Reason = "DisruptionBudget"

	ClaimMissing          Reason = "ClaimMissing"
	ClaimNoClass          Reason = "ClaimNoClass"
	ClaimClassMissing     Reason = "ClaimClassMissing"
	ClaimNoVolumeFits     Reason = "ClaimNoVolumeFits"
	ClaimWaitsForConsumer Reason = "ClaimWaitsForConsumer"
	ClaimProvisionerFails Reason = "ClaimProvisionerFails"
	ClaimProvisioning     Reason = "ClaimProvisioning"
	ClaimInUse            Reason = "ClaimInUse"
	ClaimLost             Reason = "ClaimLost"
	ClaimGrowing          Reason = "ClaimGrowing"
	ClaimStale            Reason = "ClaimStale"
	VolumeLacking         Reason = "VolumeLacking"

	QuotaExceeded        Reason = "QuotaExceeded"
	AdmissionRefuses     Reason = "AdmissionRefuses"
	ImmutableField       Reason = "ImmutableField"
	InvalidObject        Reason = "InvalidObject"
	OwnerConflict        Reason = "OwnerConflict"
	NamespaceTerminating Reason = "NamespaceTerminating"

	WaitsForLower      Reason = "WaitsForLower"
	ScaleDownWaits     Reason = "ScaleDownWaits"
	BudgetUsed         Reason = "BudgetUsed"
	StartLimited       Reason = "StartLimited"
	LaterTurn          Reason = "LaterTurn"
	BackingOff         Reason = "BackingOff"
	OverridesUnusable  Reason = "OverridesUnusable"
	NotInPlace         Reason = "NotInPlace"
	AwaitImages        Reason = "AwaitImages"
	PartitionKeeps     Reason = "PartitionKeeps"
	Paused             Reason = "Paused"
	OnDelete           Reason = "OnDelete"
	ProgressDeadline   Reason = "ProgressDeadline"
	SetHeld            Reason = "SetHeld"
	ControllerBehind   Reason = "ControllerBehind"
	ServiceMissing     Reason = "ServiceMissing"
	ServiceSelectsNone Reason = "ServiceSelectsNone"
	JobFailed          Reason = "JobFailed"
	PreviousRuns       Reason = "PreviousRuns"
	NotScaling         Reason = "NotScaling"
	MostReplicas       Reason = "MostReplicas"
)

// About describes a reason to people.
type About struct {
	Reason Reason
	// Sign is how it shows, Passes whether waiting helps, Do what helps.
	Sign, Passes, Do string
}

// Reasons is the closed list, in the order of docs/stuck.md.
var Reasons = []About{
	{InvalidImageName, "the image's name cannot be parsed", "no", "set an image whose name is right, or undo the rollout"},
	{ImageNotThere, "ErrImagePull, ImagePullBackOff, ErrImageNeverPull", "no, unless somebody brings the image: it is tried again", "`berth image import`, another image, or undo the rollout"},
	{PullSecretMissing, "the image needs a Secret (imagePullSecrets) that does not exist", "no", "create the Secret"},
	{ConfigMissing, "a ConfigMap, a Secret or a key in it does not exist (CreateContainerConfigError, FailedMount)", "no, but as soon as it is created", "create it"},
	{ContainerNotCreated, "CreateContainerError, RunContainerError: such as a command that the image does not have", "no", "correct the template, or undo the rollout"},
	{CrashLoop, "a container ends again and again; the exit code is named", "unknown", "read the log of the last run"},
	{OutOfMemory, "a container is killed for want of memory (OOMKilled)", "no", "raise the memory limit"},
	{InitFails, "an init container does not succeed", "unknown", "read its log"},
	{StartupProbeFails, "a container has not passed its startup probe", "unknown", "read its log, look at the probe"},
	{LivenessProbeFails, "a container is restarted by its liveness probe", "unknown", "read the log of the last run, look at the probe"},
	{ReadinessProbeFails, "a container runs and its readiness probe fails", "unknown", "read its log, look at the probe"},
	{ReadinessGate, "a condition that the pod asks for (readinessGates) is not True", "unknown", "look at the controller that sets it"},
	{VolumeNotMounted, "a volume of the pod cannot be set up on the node", "unknown", "as the message says"},
	{PodEnded, "the pod has failed, was evicted or has succeeded, and its owner has not replaced it", "depends on its owner", "delete the pod"},
	{ComingUp, "the pod is on its way up and nothing is wrong so far", "yes", "wait"},
	{MinReadySeconds, "the pod is ready, but not for minReadySeconds yet", "yes", "wait"},

	{SchedulingGated, "the pod has schedulingGates", "no", "let the gate's owner remove it"},
	{NoNodes, "there is no node", "no", "start a node"},
	{NoRoom, "no node has enough left of a resource; asked and free are named for each node", "unknown", "ask for less, free some, or add a node"},
	{NodesTainted, "each node is cordoned or has a taint that the pod does not tolerate", "no", "uncordon the node, remove the taint or tolerate it"},
	{NoNodeMatches, "no node has the labels that nodeSelector or affinity ask for", "no", "label a node, or change the template"},
	{VolumeElsewhere, "the pod's volume is on a node that cannot take the pod, or that is gone", "unknown", "bring that node back, or give the claim up"},
	{ClaimNotReady, "the pod cannot be placed before its claim is bound", "as the claim", "see the claim's own answer"},
	{Unschedulable, "no node fits, each for a reason of its own", "unknown", "see the reason for each node"},
	{NodeMissing, "the pod names a node that does not exist", "yes: the pod is removed", "wait, or correct spec.nodeName in the template"},
	{NodeNotReady, "the pod's node is not Ready", "unknown", "look at the node"},
	{NodePressure, "the pod's node is short of disk, memory or process ids", "unknown", "free some there"},

	{Terminating, "the pod is being stopped within its grace period", "yes", "wait"},
	{NodeSilent, "the pod is terminating on a node that is not heard from", "no, unless the node comes back", "bring the node back, or say that it is out of service"},
	{FinalizerKeeps, "the object is deleted and a finalizer keeps it", "unknown: when the finalizer's owner removes it", "look for its owner; the last resort is to remove the finalizer"},
	{DisruptionBudget, "a PodDisruptionBudget refuses to let the pod go, from a cordoned node or (`berth.dev/respect-pdb`) in a rollout", "unknown", "repair the pods that the budget misses, or change the budget"},

	{ClaimMissing, "the pod's claim does not exist", "no, but a StatefulSet makes its own again", "create the claim"},
	{ClaimNoClass, "the claim names no class and there is no default class", "no", "make a class the default"},
	{ClaimClassMissing, "the claim's StorageClass does not exist", "no, but as soon as it is created", "create the class, or make the claim anew"},
	{ClaimNoVolumeFits, "no PersistentVolume fits and nobody makes one; why is said for each", "no", "create a volume"},
	{ClaimWaitsForConsumer, "the class binds when a pod uses the claim (WaitForFirstConsumer)", "yes, when the pod is placed", "use it in a pod, or see the pod's answer"},
	{ClaimProvisionerFails, "the provisioner reports an error", "unknown: it is tried again", "as the message says"},
	{ClaimProvisioning, "a volume is being made", "yes, if the provisioner runs", "wait, or look at the provisioner"},
	{ClaimInUse, "the claim is deleted and a pod still uses it", "when the pod is gone", "delete the pod"},
	{ClaimLost, "the claim's volume is gone", "no", "restore the volume, or delete claim and pod"},
	{ClaimGrowing, "the claim asks for more than it has yet", "unknown: when its provisioner has enlarged it", "look at the claim's conditions and events"},
	{ClaimStale, "the claim still belongs to the pod's predecessor and is about to be collected", "yes", "wait"},
	{VolumeLacking, "a claim template is newer than the pod, which has no volume of it", "no, but the next time that the pod is made", "delete the pod, or restart the rollout"},

	{QuotaExceeded, "a ResourceQuota refuses a pod or claim; asked, used and allowed are named", "no", "raise the quota or free some"},
	{AdmissionRefuses, "a webhook, a policy or the API server refuses a pod or claim (event FailedCreate)", "no", "as the message says"},
	{ImmutableField, "a field may not change", "no", "leave the field as it is, or make the object anew"},
	{InvalidObject, "the API server finds the object invalid", "no", "correct the fields named"},
	{OwnerConflict, "a pod of that name exists and is somebody else's", "no", "delete or rename the other one"},
	{NamespaceTerminating, "the namespace is being deleted", "no", "see what keeps the namespace"},

	{WaitsForLower, "an ordered set makes a pod when all lower ones are available", "as its cause", "see the lower pod's answer"},
	{ScaleDownWaits, "an ordered set deletes a surplus pod when the others are available", "as its cause; no when two wait for each other", "see the other pod's answer; the annotation `berth.dev/scale-down-unready`"},
	{BudgetUsed, "as many pods as maxUnavailable allows are not available", "as its cause", "see the pods' answers"},
	{StartLimited, "as many pods are on their way up as `berth.dev/max-unavailable-scale` allows", "yes", "wait"},
	{LaterTurn, "the pod's turn in the rollout (`berth.dev/update-order`) comes when the others are updated and available", "as its cause", "see the other pods' answers"},
	{BackingOff, "the ordinal's pods keep ending, and the next one is made after a while", "unknown", "read the log of the last pod"},
	{OverridesUnusable, "the ConfigMap of `berth.dev/overrides` does not exist or is wrong; nothing is done until it is right", "no", "create or correct the ConfigMap"},
	{NotInPlace, "`berth.dev/in-place-update: Only` is set and the change cannot be made in place", "no", "delete the pod, or set `IfPossible`"},
	{AwaitImages, "the pod's node is to have the new images first (`berth.dev/pre-pull`)", "yes; unknown when the node cannot get one", "wait; correct the image"},
	{PartitionKeeps, "pods below the partition keep their revision", "no", "lower the partition"},
	{Paused, "the rollout is paused, the Job or CronJob suspended, or what an autoscaler scales is at zero", "no", "resume it"},
	{OnDelete, "updateStrategy OnDelete: pods are replaced when the user deletes them", "no", "delete a pod"},
	{ProgressDeadline, "nothing has moved for the progress deadline", "as its cause", "see the cause"},
	{SetHeld, "the StatefulSet waits for something else, which is named", "unknown", "look at the set"},
	{ControllerBehind, "the controller has not seen the last change yet", "yes", "wait; after some seconds look at the server's log"},
	{ServiceMissing, "the Service that the set names does not exist: its pods have no DNS names", "no", "create the Service"},
	{ServiceSelectsNone, "the Service selects no pod", "no", "correct the selector"},
	{JobFailed, "the Job has failed and will not be tried again", "no", "read the log, make the Job anew"},
	{PreviousRuns, "a CronJob makes no other job while the last one runs (`concurrencyPolicy: Forbid`)", "yes, unless that one is stuck", "look at that job"},
	{NotScaling, "an autoscaler cannot scale: `ScalingActive` or `AbleToScale` is `False`, for example because pods have no requests or there are no metrics", "unknown", "do what its message says"},
	{MostReplicas, "an autoscaler wants more than `maxReplicas`", "no", "raise `maxReplicas`"},
}
