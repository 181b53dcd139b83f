package statefulset

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Plan is the planner's answer: what to do now, what is waited for, and when to
// ask again although nothing has changed (0: not by time alone).
type Plan struct {
	Actions []Action
	Holds   []Hold
	Again   time.Duration

	step int
}

// Action is one write. Actions of one Step may be made at once, but for those of
// one ordinal, which keep their order; a step waits for the one before to succeed.
type Action struct {
	Verb    Verb
	Ordinal int
	Why     Why
	Step    int
	// UID is the pod to delete or repair: never another one of that name.
	UID types.UID
	// Revision is what a created or patched pod runs.
	Revision string
	// Claim is the claim to create or own, Template its template's index.
	Claim    string
	Template int
	// Owner is who shall own the claim.
	Owner Owner
	// Volumes: the pod to repair lacks more than labels.
	Volumes bool
	// Exact: the pod must not have changed since it was seen.
	Exact bool
	// Images, with commas, are to be pulled to the pod's node.
	Images string
	// Evict: the pod goes only if every PodDisruptionBudget agrees at that moment.
	Evict bool
}

// Verb is what an action does.
type Verb string

// The verbs.
const (
	CreateClaim Verb = "create-claim"
	OwnClaim    Verb = "own-claim"
	CreatePod   Verb = "create-pod"
	DeletePod   Verb = "delete-pod"
	RepairPod   Verb = "repair-pod"
	PatchPod    Verb = "patch-pod"   // bring it to a revision in place
	PullImages  Verb = "pull-images" // ask the pod's node for the images that come next
	GrowClaim   Verb = "grow-claim"  // let it ask for the storage of its template
	GuardSet    Verb = "guard-set"   // add the finalizer of an ordered teardown
	UnguardSet  Verb = "unguard-set" // take it away
)

// Owner is the wanted owner of a claim.
type Owner string

// Nobody keeps the claim for ever; BySet deletes it with the set; ByPod with its pod.
const (
	Nobody Owner = ""
	BySet  Owner = "set"
	ByPod  Owner = "pod"
)

// Hold says what nothing further happens before.
type Hold struct {
	// Ordinal is the pod waited for; NoOrdinal for the set as a whole.
	Ordinal int
	Claim   string
	// Budget is the PodDisruptionBudget that stands in the way.
	Budget string
	// Images are those that are not on the pod's node yet.
	Images string
	Why    Why
	// Detail is what is known about the pod in a user's words.
	Detail string
	// Left is how long it will take when only time is missing.
	Left time.Duration
}

// NoOrdinal marks a hold that no single pod is the cause of.
const NoOrdinal = -1

// Why is a reason from a closed list.
type Why string

// Reasons to act.
const (
	Missing      Why = "Missing"      // a wanted pod does not exist
	Ended        Why = "Ended"        // the pod has failed or succeeded
	Surplus      Why = "Surplus"      // the ordinal is no longer wanted
	Outdated     Why = "Outdated"     // the pod is not of the update revision
	Abandoned    Why = "Abandoned"    // the pod never worked on a revision that is given up
	ClaimMissing Why = "ClaimMissing" // the pod's claim does not exist
	ClaimPolicy  Why = "ClaimPolicy"  // the claim's owner does not follow the retention policy
	Misnamed     Why = "Misnamed"     // the pod's labels are not those of its ordinal
	TooSmall     Why = "TooSmall"     // the claim asks for less storage than its template
	TornDown     Why = "TornDown"     // the set is being deleted, and stops its pods in order
	Recovering   Why = "Recovering"   // the pod does not exist, and was ready before with others that do not
	Guarding     Why = "Guarding"     // an ordered teardown is asked for
	Asked        Why = "Asked"        // the pod's label asks for it
	ComesNext    Why = "ComesNext"    // the pod is taken soon, and its node lacks the new images
	LetGo        Why = "LetGo"        // nothing is left, or asked, to be torn down in order
)

// Reasons to wait.
const (
	SetDeleting       Why = "SetDeleting"       // the set is being deleted
	AwaitGone         Why = "AwaitGone"         // a pod is terminating
	AwaitReady        Why = "AwaitReady"        // a pod is not ready
	AwaitAvailable    Why = "AwaitAvailable"    // a pod is ready, but not long enough
	AwaitLower        Why = "AwaitLower"        // a surplus pod waits for a lower one that is not ready
	ClaimDeleting     Why = "ClaimDeleting"     // a claim of the pod to create is being deleted
	ClaimStale        Why = "ClaimStale"        // a claim still belongs to the pod's predecessor
	ByHand            Why = "ByHand"            // OnDelete: pods are replaced when the user deletes them
	Budget            Why = "Budget"            // maxUnavailable is used up
	Partitioned       Why = "Partitioned"       // the rest is below the partition
	OnHold            Why = "OnHold"            // the rollout is paused
	OverridesUnusable Why = "OverridesUnusable" // the ConfigMap of overrides is missing or wrong
	AwaitImages       Why = "AwaitImages"       // the new images are not on the pod's node yet
	NotInPlace        Why = "NotInPlace"        // a pod may change only in place, and cannot
	LaterTurn         Why = "LaterTurn"         // pods of an earlier turn are not updated and available yet
	BackingOff        Why = "BackingOff"        // the ordinal's pods keep ending
	Protected         Why = "Protected"         // a PodDisruptionBudget does not let the pod go
	StartBudget       Why = "StartBudget"       // as many pods are on their way up as may be
	LacksVolume       Why = "LacksVolume"       // the pod is older than a claim template
	ClaimGrowing      Why = "ClaimGrowing"      // a claim does not have yet what it asks for
)

// Whys is the closed list.
var Whys = []Why{
	Missing, Ended, Surplus, Outdated, Abandoned, ClaimMissing, ClaimPolicy, Misnamed, TooSmall, TornDown, Recovering, Asked, ComesNext, Guarding, LetGo,
	SetDeleting, AwaitGone, AwaitReady, AwaitAvailable, AwaitLower, ClaimDeleting, ClaimStale, ByHand, Budget, Partitioned,
	OnHold, StartBudget, Protected, BackingOff, LaterTurn, NotInPlace, AwaitImages, OverridesUnusable,
	ClaimGrowing, LacksVolume,
}

func (p *Plan) do(a Action) {
	a.Step = p.step
	p.Actions = append(p.Actions, a)
}

func (p *Plan) hold(pod Pod, why Why) {
	p.Holds = append(p.Holds, Hold{Ordinal: pod.Ordinal, Why: why, Detail: pod.Detail, Left: pod.AvailableIn})
}

func (p *Plan) holdSet(why Why) {
	p.Holds = append(p.Holds, Hold{Ordinal: NoOrdinal, Why: why})
}

func (p *Plan) holdClaim(pod Pod, claim string, why Why) {
	p.Holds = append(p.Holds, Hold{Ordinal: pod.Ordinal, Claim: claim, Why: why})
}

// holdFor holds for a pod that is not available, by what it lacks.
func (p *Plan) holdFor(pod Pod) {
	switch {
	case pod.Terminating:
		p.hold(pod, AwaitGone)
	case pod.Health < Ready:
		p.hold(pod, AwaitReady)
	default:
		p.hold(pod, AwaitAvailable)
	}
}
