// Package podsync decides what a node must do for one pod, and what the pod's
// status says. It is pure: the pod, what the runtime has, the verdicts of the
// probes, the back-off records and the time go in; actions, holds, the status
// and the time to look again come out.
//
// The rules, in order:
//
//   - A pod that is deleted, finished, past its deadline or unknown to the API
//     is ended: its containers are stopped (sidecars after the others, in
//     reverse order, their preStop hooks at once), then its sandbox, then its volumes are taken down, then
//     it is deleted from the API, then everything of it is removed.
//   - Otherwise volumes and sandbox come first, side by side. A sandbox that died
//     takes its containers with it and is replaced.
//   - Init containers run one after the other to success; a sidecar has to be
//     started before its successor begins. Once a regular container has run,
//     the pod counts as initialized.
//   - Regular containers start in the order of the spec, one at a time. One that
//     cannot start does not hold up its successors.
//   - A running container is stopped only when its liveness or startup probe
//     condemned it or its definition changed. Never otherwise.
//   - An exited container is restarted by the restart policy, after a back-off
//     that doubles from 10 s to 300 s and is forgotten after ten good minutes.
//   - A rule of a container may ask for all of them: then all are ended at once,
//     and the pod begins again in its sandbox.
//   - Of each container the two newest records are kept, so that the logs of the
//     previous run can be read.
//
// Work that is under way is part of the state (Busy), so deciding again while
// it runs asks for nothing twice.
package podsync
