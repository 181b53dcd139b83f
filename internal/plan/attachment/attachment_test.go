package attachment

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func TestConfig(t *testing.T) {
	type spec = spiderpoolv2beta1.MultusCNIConfigSpec
	tests := []struct {
		name        string
		annotations map[string]string
		spec        spec
		want        string
	}{
		{
			"seed", nil,
			spec{CniType: ptr.To("macvlan"), MacvlanConfig: &spiderpoolv2beta1.SpiderMacvlanCniConfig{Master: []string{"ens192"}}},
			`{"cniVersion":"0.3.1","name":"net","plugins":[{"ipam":{"type":"spiderpool"},"master":"ens192","mode":"bridge","type":"macvlan"},{"type":"coordinator"}]}`,
		},
		{"vlan of a bond", map[string]string{versionAnnotation: "1.0.0", nameAnnotation: "other"}, spec{
			CniType: ptr.To("ipvlan"), EnableCoordinator: ptr.To(false),
			IPVlanConfig: &spiderpoolv2beta1.SpiderIPvlanCniConfig{
				Master: []string{"a", "b"}, VlanID: ptr.To[int32](7), MTU: ptr.To[int32](9000),
				Bond: &spiderpoolv2beta1.BondConfig{Name: "bond0", Mode: 1},
			},
		}, `{"cniVersion":"1.0.0","name":"other","plugins":[{"bond":{"name":"bond0","mode":1},"interfaces":["a","b"],"type":"ifacer","vlanID":7},{"ipam":{"type":"spiderpool"},"master":"bond0.7","mode":"l2","mtu":9000,"type":"ipvlan"}]}`},
		{"pools and another plugin behind", nil, spec{
			CniType: ptr.To("vlan"), ChainCNIJsonData: []string{`{"type":"tuning"}`},
			CoordinatorConfig: &spiderpoolv2beta1.CoordinatorSpec{Mode: ptr.To("underlay"), PodMACPrefix: ptr.To("0a:1b")},
			VlanConfig: &spiderpoolv2beta1.SpiderVlanCniConfig{
				Master: []string{"a"}, VlanID: ptr.To[int32](9), SpiderpoolConfigPools: &spiderpoolv2beta1.SpiderpoolPools{IPv4IPPool: []string{"p"}},
			},
		}, `{"cniVersion":"0.3.1","name":"net","plugins":[{"ipam":{"default_ipv4_ippool":["p"],"type":"spiderpool"},"master":"a","type":"vlan","vlanId":9},{"mode":"underlay","podMACPrefix":"0a:1b","type":"coordinator"},{"type":"tuning"}]}`},
		{"a coordinator of its own", nil, spec{
			CniType: ptr.To("macvlan"), MacvlanConfig: &spiderpoolv2beta1.SpiderMacvlanCniConfig{Master: []string{"a"}},
			CoordinatorConfig: &spiderpoolv2beta1.CoordinatorSpec{
				PodRPFilter: ptr.To(2), TxQueueLen: ptr.To(500), VethMTU: ptr.To(1400), VethLinkAddress: ptr.To("169.254.100.1"),
				DetectIPConflict: ptr.To(false), DetectGateway: ptr.To(true), PodMACPrefix: ptr.To(""), TunePodRoutes: ptr.To(true),
			},
		}, `{"cniVersion":"0.3.1","name":"net","plugins":[{"ipam":{"type":"spiderpool"},"master":"a","mode":"bridge","type":"macvlan"},` +
			`{"detectGateway":true,"detectIPConflict":false,"podRPFilter":2,"txQueueLen":500,"type":"coordinator","vethLinkAddress":"169.254.100.1","vethMTU":1400}]}`},
		{"custom", nil, spec{CustomCNIConfig: ptr.To(`{"type":"x"}`)}, `{"type":"x"}`},
		{"empty custom", nil, spec{}, ""},
	}
	for _, tt := range tests {
		c := &spiderpoolv2beta1.SpiderMultusConfig{ObjectMeta: metav1.ObjectMeta{Name: "net", Annotations: tt.annotations}, Spec: tt.spec}
		got, err := Config(c)
		if err != nil || got != tt.want {
			t.Errorf("%s: %v\n got %s\nwant %s", tt.name, err, got, tt.want)
		}
	}
	if _, err := Config(&spiderpoolv2beta1.SpiderMultusConfig{Spec: spec{CniType: ptr.To("macvlan")}}); err == nil {
		t.Error("a macvlan network without its block has a configuration")
	}
}
