package main

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// State is one namespace at one moment; test/oracle has the same type.
type State struct {
	Now       metav1.Time                     `json:"now"`
	Set       *appsv1.StatefulSet             `json:"set"`
	Pods      []*corev1.Pod                   `json:"pods,omitempty"`
	Claims    []*corev1.PersistentVolumeClaim `json:"claims,omitempty"`
	Revisions []*appsv1.ControllerRevision    `json:"revisions,omitempty"`
	// Refused are the writes that the API refuses, such as "create Pod web-1".
	Refused []string `json:"refused,omitempty"`
}

// Answer is all that a sync did.
type Answer struct {
	Writes []Write `json:"writes,omitempty"`
	Events []Event `json:"events,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// Write is one successful write: the object as the API holds it afterwards.
type Write struct {
	Verb   string         `json:"verb"`
	Kind   string         `json:"kind"`
	Name   string         `json:"name"`
	Object runtime.Object `json:"object,omitempty"`
}

// Event is one recorded event.
type Event struct {
	Type    string `json:"type"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}
