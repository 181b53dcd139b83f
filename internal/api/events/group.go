// Package events declares the kinds of events.k8s.io, one file each.
package events

import (
	eventsv1 "k8s.io/api/events/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is events.k8s.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: eventsv1.SchemeGroupVersion, Add: eventsv1.AddToScheme}},
		Kinds: []kind.Kind{
			eventKind(),
		},
		Internal: addEvents,
	}
}
