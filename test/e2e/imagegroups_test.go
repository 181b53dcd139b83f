package e2e

import (
	"archive/tar"
	"bytes"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"berth.dev/berth/test/e2e/cluster"
)

// groupsOfTheImage: the groups that the image gives a user are added to those of
// the pod, or left out when it asks for Strict. The status names them.
func groupsOfTheImage(t *testing.T, c *cluster.Cluster) {
	c.Import(imageWithGroups(t))
	pod := func(name, policy string) string {
		return `
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {runAsUser: 1234, runAsGroup: 1234, fsGroup: 4242, supplementalGroups: [777]` + policy + `}
  containers: [{name: c, image: "` + groupsName + `", command: [sh, -c, ` + quote(forever) + `]}]
`
	}
	c.Apply(pod("merge", "") + "---" + pod("strict", ", supplementalGroupsPolicy: Strict"))
	for name, want := range map[string]string{"merge": "1234 777 4242 50000", "strict": "1234 777 4242"} {
		c.Kubectl("wait", "--for=condition=Ready", "pod/"+name, "--timeout=150s")
		groups := c.Kubectl("exec", name, "--", "id", "-G")
		same(t, "groups of "+name, sorted(groups), sorted(want))
		status := c.Kubectl("get", "pod", name, "-o", "jsonpath={.status.containerStatuses[0].user.linux.uid} {.status.containerStatuses[0].user.linux.supplementalGroups}")
		same(t, "user in the status of "+name, sorted(status), sorted("1234 "+want))
	}
	c.Kubectl("delete", "pods", "merge", "strict", "--timeout=150s")
}

// sorted are the numbers of a text, in order, each once.
func sorted(text string) string {
	numbers := regexp.MustCompile(`\d+`).FindAllString(text, -1)
	slices.Sort(numbers)
	return strings.Join(slices.Compact(numbers), " ")
}

const groupsName = "berth.dev/groups:1"

// imageWithGroups is the nginx example's, with a user who has a group of its own.
func imageWithGroups(t *testing.T) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	image, err := tarball.ImageFromPath(nginxImage(t), nil)
	must(err)
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for path, content := range map[string]string{
		"etc/passwd": "root:x:0:0::/:/bin/sh\ndb:x:1234:1234::/:/bin/sh\n",
		"etc/group":  "root:x:0:\ndb:x:1234:\nextra:x:50000:db\n",
	} {
		must(w.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: int64(len(content))}))
		_, err := w.Write([]byte(content))
		must(err)
	}
	must(w.Close())
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil })
	must(err)
	image, err = mutate.AppendLayers(image, layer)
	must(err)
	ref, err := name.NewTag(groupsName)
	must(err)
	path := filepath.Join(t.TempDir(), "groups.tar")
	must(tarball.WriteToFile(path, ref, image))
	return path
}
