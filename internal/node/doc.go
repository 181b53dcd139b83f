// Package node is the node agent's heart: it brings the pods that the API has
// bound to this node into being and keeps their status true.
//
// Every pod has a worker, a goroutine that sleeps until something about its pod
// has changed: the API object, a record of the runtime, a probe's verdict, work
// that has ended, or a time that was waited for. It then hands all it knows to
// internal/plan/podsync, starts the actions that come back and passes the
// status on to be written. Actions run beside the worker and wake it when they
// end, so a slow pull or stop never delays a status or a deletion.
//
// The runtime tells of changes by its event stream; listing all of it once a
// minute only repairs. After a restart the agent finds what runs by its labels
// and goes on with it: a healthy container is never touched.
package node
