package apiserver

import (
	"strings"

	apimachineryversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/component-base/compatibility"
	baseversion "k8s.io/component-base/version"
)

const (
	compatible        = "1.37"
	oldestCompatible  = "1.36"
	defaultGitVersion = "v1.37.2+berth"
)

// effectiveVersion reports the Kubernetes version that this server behaves as.
type effectiveVersion struct {
	compatibility.MutableEffectiveVersion
}

func newEffectiveVersion() effectiveVersion {
	return effectiveVersion{compatibility.NewEffectiveVersionFromString(compatible, oldestCompatible, oldestCompatible)}
}

// Info implements EffectiveVersion. A build without version flags still
// reports a version that clients can parse.
func (v effectiveVersion) Info() *apimachineryversion.Info {
	info := v.MutableEffectiveVersion.Info()
	if strings.HasPrefix(baseversion.Get().GitVersion, "v0.0.0-master") {
		info.GitVersion = defaultGitVersion
		info.GitTreeState = "clean"
	}
	return info
}
