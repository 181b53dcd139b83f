package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What the texts of an event may take.
const (
	longestWord = 128
	longestNote = 1024
)

// Event checks an event of the core API, new or changed. Only an event with an
// eventTime knows the newer fields.
func Event(e *corev1.Event) field.ErrorList {
	var f findings
	f.event(e)
	return f.list
}

func (f *findings) event(e *corev1.Event) {
	about := field.NewPath("involvedObject", "namespace")
	ns, modern := e.InvolvedObject.Namespace, !e.EventTime.IsZero()
	clusterWide := e.Namespace == metav1.NamespaceDefault || modern && e.Namespace == metav1.NamespaceSystem || !modern && e.Namespace == ""
	if ns == "" && !clusterWide || ns != "" && !modern && e.Namespace != ns {
		f.invalid(about, ns, "does not match event.namespace")
	}
	if modern {
		f.notEmpty(field.NewPath("reportingController"), e.ReportingController)
		f.messages(field.NewPath("reportingController"), e.ReportingController, validation.IsQualifiedName(e.ReportingController))
		f.eventText("reportingInstance", e.ReportingInstance, true, longestWord)
		f.eventText("action", e.Action, true, longestWord)
		f.eventText("reason", e.Reason, true, longestWord)
		f.eventText("message", e.Message, false, longestNote)
	}
	f.dnsSubdomain(field.NewPath("namespace"), e.Namespace)
}

func (f *findings) eventText(name, text string, required bool, longest int) {
	if required {
		f.notEmpty(field.NewPath(name), text)
	}
	if len(text) > longest {
		f.invalid(field.NewPath(name), "", fmt.Sprintf("can have at most %v characters", longest))
	}
}

// EventV1 checks a new event of events.k8s.io/v1.
func EventV1(e *corev1.Event) field.ErrorList {
	var f findings
	f.event(e)
	f.meta(&e.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	f.series(e.Series)
	if e.EventTime.IsZero() {
		f.required(field.NewPath("eventTime"), "")
	}
	if e.Type != corev1.EventTypeNormal && e.Type != corev1.EventTypeWarning {
		f.invalid(field.NewPath("type"), "", fmt.Sprintf("has invalid value: %v", e.Type))
	}
	for _, old := range []struct {
		name string
		set  bool
	}{
		{"firstTimestamp", !e.FirstTimestamp.IsZero()},
		{"lastTimestamp", !e.LastTimestamp.IsZero()},
		{"count", e.Count != 0},
		{"source", e.Source != corev1.EventSource{}},
	} {
		if old.set {
			f.invalid(field.NewPath(old.name), "", "needs to be unset")
		}
	}
	return f.list
}

func (f *findings) series(s *corev1.EventSeries) {
	if s == nil {
		return
	}
	if s.Count < 2 {
		f.invalid(field.NewPath("series.count"), "", "should be at least 2")
	}
	if s.LastObservedTime.IsZero() {
		f.required(field.NewPath("series.lastObservedTime"), "")
	}
}

// EventV1Update checks a change of an event of events.k8s.io/v1: it may be
// counted again, nothing else.
func EventV1Update(e, old *corev1.Event) field.ErrorList {
	var f findings
	f.event(e)
	f.metaUpdate(&e.ObjectMeta, &old.ObjectMeta)
	if !equality.Semantic.DeepEqual(e.Series, old.Series) {
		f.series(e.Series)
	}
	for _, x := range []struct {
		name    string
		is, was any
	}{
		{"involvedObject", e.InvolvedObject, old.InvolvedObject},
		{"reason", e.Reason, old.Reason},
		{"message", e.Message, old.Message},
		{"source", e.Source, old.Source},
		{"firstTimestamp", e.FirstTimestamp, old.FirstTimestamp},
		{"lastTimestamp", e.LastTimestamp, old.LastTimestamp},
		{"count", e.Count, old.Count},
		{"type", e.Type, old.Type},
		{"eventTime", e.EventTime, old.EventTime},
		{"action", e.Action, old.Action},
		{"related", e.Related, old.Related},
		{"reportingController", e.ReportingController, old.ReportingController},
		{"reportingInstance", e.ReportingInstance, old.ReportingInstance},
	} {
		f.immutable(field.NewPath(x.name), x.is, x.was)
	}
	return f.list
}
