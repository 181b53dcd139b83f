package why

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRefused(t *testing.T) {
	f := &Facts{Name: "shop"}
	for _, c := range []struct {
		object, message string
		want            Reason
		details         []string
		next            string
	}{
		{
			"statefulset/web", `StatefulSet.apps "web" is invalid: [spec.selector: Invalid value: {"matchLabels":{"app":"b","tier":"c"}}: field is immutable, spec.serviceName: Invalid value: "db": field is immutable]`,
			ImmutableField,
			[]string{"spec.selector may not change", "spec.serviceName may not change"},
			"kubectl -n shop delete statefulset web --cascade=orphan   # pods and claims stay; the new set takes them over",
		},
		{"service/nginx", `Service "nginx" is invalid: spec.clusterIPs[0]: Invalid value: ["10.43.0.9"]: field is immutable`, ImmutableField, []string{"spec.clusterIPs[0] may not change"}, "kubectl -n shop get service nginx -o yaml"},
		{"configmap/a", `configmaps "a" already exists`, OwnerConflict, nil, "kubectl -n shop get configmap a -o yaml"},
		{"pod/a", `pods "a" is forbidden: exceeded quota: small`, QuotaExceeded, nil, "kubectl -n shop describe resourcequota small"},
		{"pod/a", `something else`, AdmissionRefuses, nil, "kubectl -n shop get events --sort-by=.lastTimestamp"},
	} {
		a := Refused(f, c.object, c.message)
		if a.Reason != c.want || a.Next != c.next || a.Passes != No {
			t.Errorf("%s: %+v", c.message, a)
		}
		if diff := cmp.Diff(c.details, a.Details); diff != "" {
			t.Errorf("%s: %s", c.message, diff)
		}
	}
}
