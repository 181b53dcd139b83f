package attachment_test

import (
	"fmt"
	"testing"

	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/attachment"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func TestDetect(t *testing.T) {
	of := func(conflict, gateway *bool) *spiderpoolv2beta1.CoordinatorSpec {
		return &spiderpoolv2beta1.CoordinatorSpec{DetectIPConflict: conflict, DetectGateway: gateway}
	}
	yes, no := ptr.To(true), ptr.To(false)
	for _, tt := range []struct {
		name, coordinator string // of the definition
		cluster           *spiderpoolv2beta1.CoordinatorSpec
		conflict, gateway bool
	}{
		{"nobody says anything", `{"type":"coordinator"}`, nil, true, false},
		{"no coordinator", `{"type":"tuning"}`, of(nil, nil), true, false},
		{"the cluster's", `{"type":"coordinator"}`, of(no, yes), false, true},
		{"the cluster's, without a coordinator", `{"type":"tuning"}`, of(no, yes), false, true},
		{"the definition's", `{"type":"coordinator","detectIPConflict":true,"detectGateway":false}`, of(no, yes), true, false},
		{"the definition's alone", `{"type":"coordinator","detectIPConflict":false,"detectGateway":true}`, nil, false, true},
	} {
		n, err := attachment.Read(`{"plugins":[{"type":"macvlan"},` + tt.coordinator + `]}`)
		if err != nil {
			t.Fatal(tt.name, err)
		}
		if conflict, gateway := n.Detect(tt.cluster); conflict != tt.conflict || gateway != tt.gateway {
			t.Errorf("%s: %v, %v", tt.name, conflict, gateway)
		}
	}
}

// What a definition says of the wire to the node goes before what the cluster says.
func TestJoinOfADefinition(t *testing.T) {
	cluster := &spiderpoolv2beta1.CoordinatorSpec{VethMTU: ptr.To(1500), PodRPFilter: ptr.To(1), TxQueueLen: ptr.To(100), VethLinkAddress: ptr.To("169.254.1.9")}
	for coordinator, want := range map[string]string{
		`{"type":"coordinator"}`: "1500 1 100 169.254.1.9",
		`{"type":"coordinator","vethMTU":1400,"podRPFilter":-1,"txQueueLen":500,"vethLinkAddress":"169.254.100.1"}`: "1400 -1 500 169.254.100.1",
	} {
		n, err := attachment.Read(`{"plugins":[{"type":"macvlan"},` + coordinator + `]}`)
		if err != nil {
			t.Fatal(err)
		}
		j := n.Join(cluster)
		if got := fmt.Sprint(j.MTU, j.RPFilter, j.TxQueueLen, " ", j.LinkAddress); got != want {
			t.Errorf("%s: %s, want %s", coordinator, got, want)
		}
	}
}

func TestQuestions(t *testing.T) {
	d := &spiderpoolv2beta1.IPAllocationDetail{NIC: "eth0", IPv4: "10.6.0.5/16", IPv4Gateway: "10.6.0.1", IPv6: "fd00::5/64"}
	for _, tt := range []struct {
		a    attachment.Attachment
		want string
	}{
		{attachment.Attachment{Pooled: true, DetectConflict: true}, "[10.6.0.5 fd00::5] []"},
		{attachment.Attachment{Pooled: true, DetectGateway: true}, "[] [10.6.0.1]"},
		{attachment.Attachment{Pooled: true}, "[] []"},
		{attachment.Attachment{DetectConflict: true, DetectGateway: true}, "[] []"}, // addresses of others
	} {
		q := tt.a.Questions(d)
		if got := fmt.Sprint(q.Free, q.There); got != tt.want {
			t.Errorf("%+v asks %s, want %s", tt.a, got, tt.want)
		}
	}
	d.CleanGateway = ptr.To(true)
	if q := (&attachment.Attachment{Pooled: true, DetectGateway: true}).Questions(d); len(q.There) != 0 {
		t.Errorf("asks for a gateway that the pod does not use: %v", q.There)
	}
}
