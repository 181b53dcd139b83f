package sim_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/cronjob"
	"berth.dev/berth/internal/controller/daemonset"
	"berth.dev/berth/internal/controller/deployment"
	"berth.dev/berth/internal/controller/disruption"
	"berth.dev/berth/internal/controller/job"
	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/replicaset"
	"berth.dev/berth/internal/controller/statefulset"
	"berth.dev/berth/internal/sim"
)

// workload is a kind that makes pods, or jobs.
type workload struct {
	make func() client.Object
	// makes is the kind of what the API refuses, wants how many of it run in the end.
	makes string
	wants int
	// says is the event when its creation is refused because of %s; it has its
	// name in it where that is known.
	says string
}

func controllers() []loop.Loop {
	return []loop.Loop{
		statefulset.Loop(), deployment.Loop(), replicaset.Loop(), replicaset.ControllerLoop(), daemonset.Loop(),
		job.Loop(), job.OrphanLoop(), cronjob.Loop(),
	}
}

var workloads = map[string]workload{
	"StatefulSet": {func() client.Object { return web(2) }, "Pod", 2, "statefulset: event FailedCreate: Create Pod web-0 in StatefulSet web failed error: %s"},
	"Deployment":  {func() client.Object { return deployed(2) }, "Pod", 2, "replicaset: event FailedCreate: Error creating: %s"},
	"ReplicaSet":  {func() client.Object { return replicas("web", 2) }, "Pod", 2, "replicaset: event FailedCreate: Error creating: %s"},
	"ReplicationController": {func() client.Object {
		rc := &corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}
		rc.Spec = corev1.ReplicationControllerSpec{Replicas: ptr.To[int32](2), Selector: map[string]string{"app": "web"}, Template: &replicas("web", 2).Spec.Template}
		return rc
	}, "Pod", 2, "replicationcontroller: event FailedCreate: Error creating: %s"},
	"DaemonSet": {func() client.Object { return daemons("web") }, "Pod", 2, "daemonset: event FailedCreate: Error creating: %s"},
	"Job": {func() client.Object {
		j := work(batchv1.IndexedCompletion, 2, 2)
		j.Spec.Template.Spec.Containers[0].Image = "good:1"
		return j
	}, "Pod", 2, "job: event FailedCreate: Error creating: %s"},
	"CronJob": {func() client.Object {
		c := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "tick"}}
		c.Spec = batchv1.CronJobSpec{
			Schedule: "* * * * *", ConcurrencyPolicy: batchv1.ForbidConcurrent, SuccessfulJobsHistoryLimit: ptr.To(int32(1)), FailedJobsHistoryLimit: ptr.To(int32(1)),
			JobTemplate: batchv1.JobTemplateSpec{Spec: work(batchv1.NonIndexedCompletion, 1, 1).Spec},
		}
		c.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Image = "good:1"
		return c
	}, "Job", 1, "cronjob: event FailedCreate: Error creating job: %s"},
}

// refusals are what the API answers to a creation, for ever.
var refusals = map[string]func(obj client.Object) error{
	"admission": func(obj client.Object) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, obj.GetName(), errors.New("violates PodSecurity"))
	},
	"quota": func(obj client.Object) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, obj.GetName(), errors.New("exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0"))
	},
	"invalid": func(obj client.Object) error {
		return apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, obj.GetName(), nil)
	},
	"outage": func(client.Object) error { return errors.New("connection refused") },
}

func kindOf(obj client.Object) string {
	name := fmt.Sprintf("%T", obj)
	return name[strings.LastIndex(name, ".")+1:]
}

// Creations are refused for a long time, and something wakes every loop once a
// second meanwhile: it is said, tried ever more seldom, and made good within the
// longest wait once the API takes it.
func TestRefusedForEver(t *testing.T) {
	for kind, w := range workloads {
		for why, refuse := range refusals {
			t.Run(kind+"/"+why, func(t *testing.T) {
				t.Parallel()
				refused, told := true, ""
				s := sim.New(sim.Config{Seed: 1, Loops: controllers(), Refuse: func(_, verb string, obj client.Object) error {
					if refused && verb == "create" && kindOf(obj) == w.makes {
						err := refuse(obj)
						told = err.Error()
						return err
					}
					return nil
				}})
				for i := range 2 {
					s.Create(machine(i))
				}
				begun := s.Now()
				s.Create(w.make())
				for range 480 {
					mustRun(t, s.RunFor(time.Second))
					s.Wake()
				}
				if err := s.Hot(begun.Add(10 * time.Second)); err != nil {
					t.Error(err)
				}
				if late := failuresSince(s, s.Now().Add(-2*time.Minute)); kind != "CronJob" && (late > 20 || late == 0) {
					t.Errorf("after six minutes: %d tries in two", late)
				}
				trace := strings.Join(s.Trace(), "\n")
				if said := fmt.Sprintf(w.says, told); told == "" || !strings.Contains(trace, said) {
					t.Errorf("nobody said %q\n%s", said, tail(s))
				}
				saysSo(t, s, kind, told)

				refused = false
				mustRun(t, s.RunFor(2*time.Minute))
				if n := running(t, s, w.makes); n != w.wants {
					t.Errorf("%d run, %d are wanted\n%s", n, w.wants, tail(s))
				}
			})
		}
	}
}

func failuresSince(s *sim.Sim, from time.Time) (n int) {
	for _, f := range s.Failures() {
		if f.At.After(from) {
			n++
		}
	}
	return n
}

// saysSo asks for the condition that kinds with one for it have.
func saysSo(t *testing.T, s *sim.Sim, kind, told string) {
	t.Helper()
	var type_, reason, message string
	switch kind {
	case "Deployment":
		d := &appsv1.Deployment{}
		mustRun(t, s.API().Get(t.Context(), key("front"), d))
		for _, c := range d.Status.Conditions {
			if c.Type == appsv1.DeploymentReplicaFailure {
				type_, reason, message = string(c.Type), c.Reason, c.Message
			}
		}
	case "ReplicaSet":
		rs := &appsv1.ReplicaSet{}
		mustRun(t, s.API().Get(t.Context(), key("web"), rs))
		for _, c := range rs.Status.Conditions {
			type_, reason, message = string(c.Type), c.Reason, c.Message
		}
	case "ReplicationController":
		rc := &corev1.ReplicationController{}
		mustRun(t, s.API().Get(t.Context(), key("web"), rc))
		for _, c := range rc.Status.Conditions {
			type_, reason, message = string(c.Type), c.Reason, c.Message
		}
	default:
		return
	}
	if type_ != "ReplicaFailure" || reason != "FailedCreate" || message != told {
		t.Errorf("the condition says %s %s: %s", type_, reason, message)
	}
}

// running counts what has not ended and is not about to.
func running(t *testing.T, s *sim.Sim, kind string) (n int) {
	t.Helper()
	if kind == "Job" {
		jobs := &batchv1.JobList{}
		mustRun(t, s.API().List(t.Context(), jobs))
		return len(jobs.Items)
	}
	pods := &corev1.PodList{}
	mustRun(t, s.API().List(t.Context(), pods))
	for i := range pods.Items {
		if p := &pods.Items[i]; p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodRunning {
			n++
		}
	}
	return n
}

// A status or a deletion that is refused for ever, while something wakes every
// loop five times a second, is tried no more than once a second.
func TestOtherWritesRefusedForEver(t *testing.T) {
	for kind, w := range workloads {
		for _, verb := range []string{"update status", "delete"} {
			t.Run(kind+"/"+verb, func(t *testing.T) {
				t.Parallel()
				refused := true
				s := sim.New(sim.Config{Seed: 1, Loops: append(controllers(), disruption.Loop(nil)), Refuse: func(_, did string, obj client.Object) error {
					if refused && did == verb {
						return apierrors.NewForbidden(schema.GroupResource{Resource: "things"}, obj.GetName(), errors.New("admission says no"))
					}
					return nil
				}})
				for i := range 2 {
					s.Create(machine(i))
				}
				s.Create(w.make(), budget(1))
				begun := s.Now()
				for i := range 300 {
					mustRun(t, s.RunFor(200*time.Millisecond))
					s.Wake()
					if i == 100 { // pods fail, so that something is to be deleted
						failAll(t, s)
					}
				}
				if err := s.Hot(begun.Add(10 * time.Second)); err != nil {
					t.Error(err)
				}
				refused = false
				mustRun(t, s.RunFor(2*time.Minute))
				writes := s.Writes()
				if kind != "CronJob" { // a CronJob always goes on
					s.Wake()
					mustRun(t, s.RunFor(time.Minute))
					if n := s.Writes() - writes; n > 0 {
						t.Errorf("%d writes at rest\n%s", n, tail(s))
					}
				}
			})
		}
	}
}

func failAll(t *testing.T, s *sim.Sim) {
	t.Helper()
	pods := &corev1.PodList{}
	mustRun(t, s.API().List(t.Context(), pods))
	for i := range pods.Items {
		p := pods.Items[i].DeepCopy()
		p.Status.Phase = corev1.PodFailed
		mustRun(t, s.API().Status().Update(t.Context(), p))
	}
}
