// Package oracle compares Berth's StatefulSet controller with Kubernetes' own.
//
// A state is what the API holds of one set: the set, its pods, claims and
// revisions. Upstream is k8s.io/kubernetes v1.36.3, in a program of its own
// (upstream/, a module of its own, because it needs older libraries): it reads a
// state, lets the real control look at it once over an API in memory, and prints
// every write and event. Ours is the real controller, with plan.Upstream as its
// rules, over another API in memory.
//
// The states are drawn at random from a seed, and each goes on as a history: what
// the sync has written is applied, a toy world reacts (time passes, nodes start
// and break pods, collectors collect, a user edits the set), and both are asked
// again. As both worlds are equal after every step, equal steps are equal
// histories, however long.
//
// # What is compared
//
// One sync of upstream with one reconcile of ours. (One that only adopts or
// releases pods is followed by the next, for upstream goes on in the same sync.)
// Everything that is left behind has to be the same, field by field: each pod,
// claim and revision as JSON, with every label and owner, and the set's status.
// For an ordered set the order in which pods are made and deleted is compared
// too; a Parallel set has none. Writes are not counted one by one, because they
// are cut differently: upstream makes a claim and then owns it, ours does both at
// once; upstream writes a pod again when only its claim's owner was wrong. But no
// write of ours may change nothing, every delete names the object it means, and
// a pod's claims are there before it. Events are compared wherever upstream was
// asked about the very state, but for those that it repeats with every sync.
//
// The API may refuse writes of pods and claims of an ordered set. Then both have
// to fail, and all that is left behind has to be the same again.
//
// # Where upstream 1.36.3 is not taken at its word
//
// Berth's measure is 1.37. What 1.37 changed is calculated here, from the rule in
// one sentence, and compared as exactly as the rest:
//
//   - Completes137: an update is complete whatever the strategy; 1.36 asks for RollingUpdate.
//   - Conditions137: conditions that others put into the status stay; 1.36 drops them.
//   - Parallel137: of a Parallel set, a rollout takes all pods of an old revision
//     that are not available, and then others within maxUnavailable. 1.36 is asked
//     with a budget that is used up, so that all but the rollout is its own.
//
// And five things are ours on purpose, whatever the rules:
//
//   - OwnCount: currentReplicas goes down by a pod deleted for an update only when
//     the pod was counted in it. Upstream goes down by every one, also of a third
//     revision, and can get below zero.
//   - NoHistory: a set that is being deleted makes, renumbers and adopts no
//     revision; the collector is taking the history away.
//   - PastClaims: in a Parallel set a claim that is being deleted holds up its own
//     ordinal. Upstream ends the sync in an error, and which other ordinals it
//     comes to depends on its batches. It is asked as if the claim stayed; that
//     ordinal is not looked at, but for that ours makes no pod there.
//   - OwnedAtOnce: a claim is made with its owner. Upstream gives it one afterwards,
//     unless the sync ends in an error before.
//   - OwnedWithPod: when the API refuses a pod, its claims stay as they are. Upstream
//     sets their owner all the same, but not when the pod's name is taken.
//
// Left out is a Parallel set with somebody else's pod in its way, for the same
// reason of batches; an ordered one with such a pod is compared.
//
// A difference is made as plain as it goes (Shrink) and printed with the state.
package oracle
