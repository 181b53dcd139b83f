package validation

import (
	"encoding/json"
	"fmt"
	"slices"

	k8svalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/attachment"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// The annotations of a SpiderMultusConfig.
const (
	attachmentName = "multus.spidernet.io/cr-name"
	cniVersion     = "multus.spidernet.io/cni-version"
)

var cniVersions = []string{"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"}

// SpiderMultusConfig checks a new network.
func SpiderMultusConfig(c *spiderpoolv2beta1.SpiderMultusConfig) field.ErrorList {
	var f findings
	f.multusConfig(c)
	if len(f.list) == 0 {
		f.possible(c)
	}
	return f.list
}

// possible refuses a network that no node can give a pod an interface in. One that
// is there already may be changed.
func (f *findings) possible(c *spiderpoolv2beta1.SpiderMultusConfig) {
	cniType := ptr.Deref(c.Spec.CniType, "custom")
	if cniType == "custom" {
		return
	}
	text, err := attachment.Config(c)
	if err == nil {
		_, err = attachment.Read(text)
	}
	if err != nil {
		f.forbidden(specPath.Child("cniType"), fmt.Sprintf("no pod can have an interface in this network: %v", err))
	}
}

func (f *findings) multusConfig(c *spiderpoolv2beta1.SpiderMultusConfig) {
	f.customMeta(&c.ObjectMeta, true)
	annotations := field.NewPath("metadata", "annotations")
	name, named := c.Annotations[attachmentName]
	if named && name == "" {
		f.invalid(annotations, c.Annotations, "invalid custom net-attach-def resource empty name")
	}
	if len(name) > k8svalidation.DNS1123SubdomainMaxLength {
		f.invalid(annotations, c.Annotations, fmt.Sprintf("the custom net-attach-def resource name must be no more than %d characters", k8svalidation.DNS1123SubdomainMaxLength))
	}
	if v, ok := c.Annotations[cniVersion]; ok && !slices.Contains(cniVersions, v) {
		f.invalid(annotations, c.Annotations, "unsupported CNI version "+v)
	}
	f.cniConfig(&c.Spec)
	if c.Spec.CoordinatorConfig != nil {
		f.coordinator(c.Spec.CoordinatorConfig, false)
	}
}

// blocks says which block is set; the names of the paths are the project's.
func blocks(s *spiderpoolv2beta1.MultusCNIConfigSpec) (cniTypes []string, path, set map[string]string) {
	path = map[string]string{
		"macvlan": "macvlanConfig", "ipvlan": "ipvlanConfig", "vlan": "vlanConfig", "sriov": "sriovConfig",
		"ib-sriov": "ibsriovConfig", "ipoib": "ipoibConfig", "ovs": "ovsConfig", "custom": "customCniTypeConfig",
	}
	set = map[string]string{}
	note := func(cniType string, is bool) {
		cniTypes = append(cniTypes, cniType)
		if is {
			set[cniType] = path[cniType]
		}
	}
	note("macvlan", s.MacvlanConfig != nil)
	note("ipvlan", s.IPVlanConfig != nil)
	note("vlan", s.VlanConfig != nil)
	note("sriov", s.SriovConfig != nil)
	note("ovs", s.OvsConfig != nil)
	note("ib-sriov", s.IbSriovConfig != nil)
	note("ipoib", s.IpoibConfig != nil)
	note("custom", ptr.Deref(s.CustomCNIConfig, "") != "")
	return cniTypes, path, set
}

func (f *findings) cniConfig(s *spiderpoolv2beta1.MultusCNIConfigSpec) {
	cniTypes, paths, set := blocks(s)
	is := ptr.Deref(s.CniType, "")
	if !slices.Contains(cniTypes, is) {
		f.add(field.NotSupported(specPath.Child("cniType"), is, cniTypes))
		return
	}
	path := specPath.Child(paths[is])
	if _, ok := set[is]; !ok && is != "custom" {
		f.required(path, fmt.Sprintf("no %s specified", path))
		return
	}
	delete(set, is)
	if len(set) > 0 {
		f.forbidden(specPath.Child("cniType"), fmt.Sprintf("the cniType %s only supports %s, please remove other CNI configs", is, path))
		return
	}
	switch is {
	case "macvlan":
		f.onMaster(path, s.MacvlanConfig.Master, s.MacvlanConfig.Bond, s.MacvlanConfig.VlanID)
	case "ipvlan":
		f.onMaster(path, s.IPVlanConfig.Master, s.IPVlanConfig.Bond, s.IPVlanConfig.VlanID)
	case "vlan":
		f.vlanConfig(path, s.VlanConfig)
	case "sriov":
		c := s.SriovConfig
		f.vlanID(path, c.VlanID)
		if ptr.Deref(c.MinTxRateMbps, 0) > ptr.Deref(c.MaxTxRateMbps, 0) && c.MaxTxRateMbps != nil {
			f.invalid(path, *c.MinTxRateMbps, "minTxRateMbps must be less than maxTxRateMbps")
		}
		f.deviceName(path, c.ResourceName)
	case "ib-sriov":
		f.deviceName(path, s.IbSriovConfig.ResourceName)
		if l := s.IbSriovConfig.LinkState; l != nil {
			among(f, specPath.Child("ibsriov", "linkState"), *l, "auto", "enable", "disable")
		}
	case "ipoib":
		if s.IpoibConfig.Master == "" {
			f.required(path, fmt.Sprintf("no %s specified", path.Key("master")))
		}
	case "ovs":
		f.vlanID(path, s.OvsConfig.VlanTag)
		f.trunks(path, s.OvsConfig.Trunk)
	case "custom":
		if text := ptr.Deref(s.CustomCNIConfig, ""); text != "" && !json.Valid([]byte(text)) {
			f.forbidden(path, "customCniConfig isn't a valid JSON encoding")
		}
	}
	for i, text := range s.ChainCNIJsonData {
		if !json.Valid([]byte(text)) {
			f.invalid(specPath.Child("chainCNIJsonData").Index(i), text, "invalid CNI config data: it isn't a valid JSON encoding")
		}
	}
}

func (f *findings) vlanConfig(path *field.Path, c *spiderpoolv2beta1.SpiderVlanCniConfig) {
	mode := ptr.Deref(c.VlanMode, "manual")
	among(f, specPath.Child("vlan", "vlanMode"), mode, "manual", "auto")
	if mode == "manual" && c.VlanID == nil {
		f.required(path, "vlanID is required when vlanMode is manual")
	}
	if mode == "auto" && c.VlanID != nil {
		f.forbidden(path, "vlanID must not be set when vlanMode is auto")
	}
	f.onMaster(path, c.Master, c.Bond, c.VlanID)
}

func (f *findings) onMaster(path *field.Path, master []string, bond *spiderpoolv2beta1.BondConfig, vlan *int32) {
	f.vlanID(path, vlan)
	switch {
	case len(master) == 0:
		f.invalid(path, master, "master can't be empty")
	case len(master) >= 2 && bond == nil:
		f.invalid(path, master, "the bond property is nil with multiple Interfaces")
	case len(master) >= 2 && bond.Name == "":
		f.invalid(path, master, "bond name can't be empty")
	}
	if bond != nil && (bond.Mode < 0 || bond.Mode > 6) {
		f.invalid(path.Child("bond", "mode"), bond.Mode, "should be in range [0,6]")
	}
}

func (f *findings) vlanID(path *field.Path, id *int32) {
	if id != nil && (*id < 0 || *id > 4094) {
		f.invalid(path, *id, fmt.Sprintf("invalid vlanId %d, please make sure vlanId in range [0,4094]", *id))
	}
}

func (f *findings) deviceName(path *field.Path, name string) {
	if name == "" {
		f.required(path, fmt.Sprintf("no %s specified", path.Key("resourceName")))
	}
}

func (f *findings) trunks(path *field.Path, trunks []spiderpoolv2beta1.Trunk) {
	for i := range trunks {
		t := &trunks[i]
		if ptr.Deref(t.MinID, 0) > 4094 {
			f.invalid(path, *t, "incorrect trunk minID parameter")
		}
		if ptr.Deref(t.MaxID, 0) > 4094 {
			f.invalid(path, *t, "incorrect trunk maxID parameter")
		}
		if t.MaxID != nil && *t.MaxID < ptr.Deref(t.MinID, 0) {
			f.invalid(path, *t, "minID is greater than maxID in trunk parameter")
		}
		if ptr.Deref(t.ID, 0) > 4094 {
			f.invalid(path, *t, "incorrect trunk id parameter")
		}
	}
}

// SpiderMultusConfigUpdate checks a change of a network.
func SpiderMultusConfigUpdate(c, old *spiderpoolv2beta1.SpiderMultusConfig) field.ErrorList {
	var f findings
	f.customMetaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	annotations := field.NewPath("metadata", "annotations")
	was, had := old.Annotations[attachmentName]
	is, has := c.Annotations[attachmentName]
	switch {
	case had && has && was != is:
		f.invalid(annotations, was, fmt.Sprintf("it's unsupported to change customized Multus net-attach-def resource name from '%s' to '%s'", was, is))
	case !had && has:
		f.invalid(annotations, is, fmt.Sprintf("it's unsupported to changed Multus net-attach-def '%s' to customized name '%s'", old.Name, is))
	}
	f.multusConfig(c)
	return f.list
}
