package volumesnapshot

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	v1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// Parameters of a class that name what a driver needs to take a snapshot and to
// delete it again, and the annotations by which its sidecar finds that.
const (
	secretName          = "csi.storage.k8s.io/snapshotter-secret-name"
	secretNamespace     = "csi.storage.k8s.io/snapshotter-secret-namespace"
	DeletionSecret      = "snapshot.storage.kubernetes.io/deletion-secret-name"
	DeletionSecretSpace = "snapshot.storage.kubernetes.io/deletion-secret-namespace"
)

// secretOf returns the annotations of a content that name the secret of its class,
// nil when it names none, or why they cannot be told.
func secretOf(class *v1.VolumeSnapshotClass, content string, s *v1.VolumeSnapshot) (map[string]string, error) {
	name, named := class.Parameters[secretName]
	namespace, placed := class.Parameters[secretNamespace]
	const doing = "failed to get name and namespace template from params: "
	switch {
	case !named && !placed:
		return nil, nil
	case named != placed:
		return nil, fmt.Errorf("%seither name and namespace for Snapshotter secrets specified, Both must be specified", doing)
	case name == "" || namespace == "":
		return nil, fmt.Errorf("%sSnapshotter secrets specified in parameters but value of either namespace or name is empty", doing)
	}
	// The name alone may be the user's, who names the snapshot.
	params := map[string]string{"volumesnapshotcontent.name": content, "volumesnapshot.namespace": s.Namespace}
	space, err := resolved(namespace, params, "namespace", func(v string) bool { return len(validation.IsDNS1123Label(v)) == 0 })
	if err != nil {
		return nil, err
	}
	params["volumesnapshot.name"] = s.Name
	secret, err := resolved(name, params, "secret", func(v string) bool { return len(validation.IsDNS1123Subdomain(v)) == 0 })
	if err != nil {
		return nil, err
	}
	return map[string]string{DeletionSecret: secret, DeletionSecretSpace: space}, nil
}

// resolved is a template with its tokens replaced, if that is a name.
func resolved(template string, params map[string]string, kind string, valid func(string) bool) (string, error) {
	var out strings.Builder
	var unknown []string
	for rest := template; rest != ""; {
		before, after, found := strings.Cut(rest, "${")
		token, tail, closed := strings.Cut(after, "}")
		out.WriteString(before)
		switch value, known := params[token]; {
		case found && !closed:
			return "", fmt.Errorf("%q is not a valid %s name", template, kind)
		case found && !known && !slices.Contains(unknown, token):
			unknown = append(unknown, token)
		case found:
			out.WriteString(value)
		}
		rest = tail
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return "", fmt.Errorf("error resolving value %q: invalid tokens: %q", template, unknown)
	}
	switch name := out.String(); {
	case valid(name):
		return name, nil
	case name != template:
		return "", fmt.Errorf("%q resolved to %q which is not a valid %s name", template, name, kind)
	}
	return "", fmt.Errorf("%q is not a valid %s name", template, kind)
}
