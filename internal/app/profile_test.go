package app

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/scheduler"
	"berth.dev/berth/internal/sim"
)

// A pod is placed as the profile that it names says, and one that names no
// profile of ours is left alone.
func TestSchedulerProfile(t *testing.T) {
	c := Defaults()
	if err := flags(&c).Parse([]string{"--scheduler-profile=batch=MostAllocated,even=LeastAllocated"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s := sim.New(sim.Config{Seed: 1, NoToyScheduler: true, Loops: []loop.Loop{scheduler.Loop(schedulers(c.SchedulerProfiles))}})
	for i := range 2 {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("node-", i)}}
		s.Create(node)
		node.Status.Allocatable = corev1.ResourceList{"cpu": resource.MustParse("10"), "memory": resource.MustParse("10Gi"), "pods": resource.MustParse("100")}
		if err := s.API().Status().Update(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	pod := func(name, by, node string) {
		s.Create(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Spec: corev1.PodSpec{NodeName: node, SchedulerName: by, Containers: []corev1.Container{{Name: "c", Image: "good:1", Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("1Gi")},
			}}}},
		})
		if err := s.Settle(1000); err != nil {
			t.Fatal(err)
		}
	}
	pod("first", "", "node-1")
	for i := range 3 {
		pod(fmt.Sprint("batch-", i), "batch", "") // to the fuller one
	}
	for i := range 4 {
		pod(fmt.Sprint("even-", i), []string{"even", ""}[i%2], "") // to the emptier one
	}
	pod("foreign", "of-my-own", "")
	pods := &corev1.PodList{}
	if err := s.API().List(t.Context(), pods, client.InNamespace("default")); err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		want := map[bool]string{true: "node-1", false: "node-0"}[strings.HasPrefix(p.Name, "batch") || p.Name == "first"]
		if p.Name == "foreign" {
			want = ""
		}
		if p.Spec.NodeName != want {
			t.Errorf("pod %s of scheduler %q is on %q, want %q", p.Name, p.Spec.SchedulerName, p.Spec.NodeName, want)
		}
	}
}

func TestSchedulerProfileThatCannotBe(t *testing.T) {
	for args, want := range map[string]string{
		"--scheduler-profile=batch=BestFit":       "--scheduler-profile: batch=BestFit; use one of LeastAllocated, MostAllocated",
		"--scheduler-profile=batch=mostallocated": "--scheduler-profile: batch=mostallocated; use one of LeastAllocated, MostAllocated",
		"--scheduler-profile==MostAllocated":      "--scheduler-profile: =MostAllocated names no scheduler; use NAME=LeastAllocated or NAME=MostAllocated",
		"--scheduler-profile=b=,a=":               "--scheduler-profile: a=; use one of LeastAllocated, MostAllocated\n--scheduler-profile: b=; use one of LeastAllocated, MostAllocated",
		"--scheduler-profile=batch":               "batch must be formatted as key=value",
	} {
		c := Defaults()
		err := flags(&c).Parse([]string{args})
		if err == nil {
			err = c.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", args, err, want)
		}
	}
}
