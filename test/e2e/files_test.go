package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// What a hostPath volume may be, and what is said when it is something else.
func hostPathTypes(t *testing.T, c *cluster.Cluster) {
	dir := c.Path("paths")
	if err := os.MkdirAll(dir+"/dir", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/file", []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", dir+"/sock")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	disk := loopDevice(t, c, "disk")
	volume := func(name, path, kind string) string {
		return "    - {name: " + name + ", hostPath: {path: " + path + ", type: " + quote(kind) + "}}\n"
	}
	right := []struct{ name, path, kind, is string }{
		{"any", dir + "/file", "", "regular file"},
		{"newdir", dir + "/new/dir", "DirectoryOrCreate", "directory"},
		{"dir", dir + "/dir", "Directory", "directory"},
		{"newfile", dir + "/newfile", "FileOrCreate", "regular empty file"},
		{"file", dir + "/file", "File", "regular file"},
		{"sock", dir + "/sock", "Socket", "socket"},
		{"char", "/dev/null", "CharDevice", "character special file"},
		{"block", disk, "BlockDevice", "block special file"},
	}
	wrong := []struct{ name, path, kind, message string }{
		{"newdir", dir + "/file", "DirectoryOrCreate", "is not a directory"},
		{"dir", dir + "/none", "Directory", "is not a directory"},
		{"newfile", dir + "/dir", "FileOrCreate", "is not a file"},
		{"file", dir + "/none", "File", "is not a file"},
		{"sock", dir + "/file", "Socket", "is not a socket file"},
		{"char", dir + "/file", "CharDevice", "is not a character device"},
		{"block", "/dev/null", "BlockDevice", "is not a block device"},
	}
	var mounts, volumes, bad strings.Builder
	for _, p := range right {
		mounts.WriteString("        - {name: " + p.name + ", mountPath: /v/" + p.name + "}\n")
		volumes.WriteString(volume(p.name, p.path, p.kind))
	}
	for _, p := range wrong {
		bad.WriteString("---" + shell("bad-"+p.name, forever, "      volumeMounts: [{name: v, mountPath: /v}]\n  volumes:\n"+volume("v", p.path, p.kind)))
	}
	c.Apply(shell("right", forever, "      volumeMounts:\n"+mounts.String()+"  volumes:\n"+volumes.String()) + bad.String())
	c.Kubectl("wait", "--for=condition=Ready", "pod/right", "--timeout=150s")
	for _, p := range right {
		same(t, "a hostPath of type "+p.kind, c.Kubectl("exec", "right", "--", "stat", "-c", "%F", "/v/"+p.name), p.is)
	}
	for _, p := range wrong {
		want := `MountVolume.SetUp failed for volume "v" : hostPath type check failed: ` + p.path + " " + p.message
		c.Eventually(60*time.Second, "true", func() string {
			return yes(strings.Contains(c.Kubectl("get", "events", "--field-selector", "reason=FailedMount,involvedObject.name=bad-"+p.name, "-o", "jsonpath={.items[*].message}"), want))
		})
	}
	// One that comes to be what it shall be is found.
	if err := os.Mkdir(dir+"/none", 0o755); err != nil {
		t.Fatal(err)
	}
	c.Kubectl("wait", "--for=condition=Ready", "pod/bad-dir", "--timeout=300s")
	c.Kubectl("delete", "pods", "--all", "--now", "--timeout=150s")
}

// ConfigMaps and Secrets that change while they are mounted, and those that
// cannot; and a mount that a container makes for the node and for others.
func mountedObjects(t *testing.T, c *cluster.Cluster) {
	shared := sharedMount(t, c)
	c.Apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: changes}
data: {k: old}
---
apiVersion: v1
kind: Secret
metadata: {name: changes}
stringData: {k: old}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: fixed}
immutable: true
data: {k: old}
---
apiVersion: v1
kind: Secret
metadata: {name: fixed}
immutable: true
stringData: {k: old}
---` + shell("m", forever, `      volumeMounts:
        - {name: cm, mountPath: /cm}
        - {name: s, mountPath: /s}
        - {name: p, mountPath: /p}
        - {name: cm, mountPath: /once, subPath: k}
        - {name: shared, mountPath: /late, mountPropagation: HostToContainer}
    - name: mounts
      image: `+nginxName+`
      command: [sh, -c, `+quote(forever)+`]
      securityContext: {privileged: true}
      volumeMounts: [{name: root, mountPath: /host}, {name: shared, mountPath: /host`+shared+`, mountPropagation: Bidirectional}]
  volumes:
    - {name: cm, configMap: {name: changes}}
    - {name: s, secret: {secretName: changes}}
    - {name: p, projected: {sources: [{configMap: {name: fixed, items: [{key: k, path: cm}]}}, {secret: {name: fixed, items: [{key: k, path: s}]}}]}}
    - {name: root, hostPath: {path: /}}
    - {name: shared, hostPath: {path: `+shared+`}}
`))
	c.Kubectl("wait", "--for=condition=Ready", "pod/m", "--timeout=150s")
	read := func() string {
		return strings.Join(strings.Fields(c.Kubectl("exec", "m", "-c", "c", "--", "sh", "-c", "for f in /cm/k /s/k /p/cm /p/s /once; do cat $f; echo; done")), " ")
	}
	same(t, "at first", read(), "old old old old old")
	t.Run("immutable", func(t *testing.T) {
		for _, kind := range []string{"configmap", "secret"} {
			field := map[string]string{"configmap": "data", "secret": "stringData"}[kind]
			says(t, "a change of a fixed "+kind, c.Refused("patch", kind, "fixed", "-p", `{"`+field+`":{"k":"new"}}`), "data: Forbidden: field is immutable when `immutable` is set")
			says(t, "no longer fixed", c.Refused("patch", kind, "fixed", "-p", `{"immutable":false}`), "immutable: Forbidden: field is immutable when `immutable` is set")
		}
	})
	t.Run("live update", func(t *testing.T) {
		// Whoever uses a fixed object goes on with what it was.
		c.Kubectl("delete", "configmap/fixed", "secret/fixed")
		c.Kubectl("create", "configmap", "fixed", "--from-literal=k=new")
		c.Kubectl("create", "secret", "generic", "fixed", "--from-literal=k=new")
		began := time.Now()
		c.Kubectl("patch", "configmap", "changes", "-p", `{"data":{"k":"new"}}`)
		c.Kubectl("patch", "secret", "changes", "-p", `{"stringData":{"k":"new"}}`)
		c.Eventually(90*time.Second, "new new old old old", read)
		t.Logf("both changes were seen %v after the first was asked for", time.Since(began).Round(10*time.Millisecond))
		c.Kubectl("annotate", "pod", "m", "touched=yes") // refreshes all volumes
		c.Kubectl("patch", "configmap", "changes", "-p", `{"data":{"k":"newer"}}`)
		c.Eventually(90*time.Second, "newer new old old old", read)
	})
	t.Run("a mount of a container's", func(t *testing.T) {
		c.Kubectl("exec", "m", "-c", "mounts", "--", "chroot", "/host", "sh", "-c", fmt.Sprintf("mkdir %[1]s/mine && mount -t tmpfs mine %[1]s/mine && echo made > %[1]s/mine/f", shared))
		same(t, "on the node", c.Host.MustRun(t.Context(), "cat", shared+"/mine/f"), "made")
		same(t, "in another container", c.Kubectl("exec", "m", "-c", "c", "--", "cat", "/late/mine/f"), "made")
		c.Kubectl("exec", "m", "-c", "mounts", "--", "chroot", "/host", "umount", shared+"/mine")
		same(t, "and gone", c.Kubectl("exec", "m", "-c", "c", "--", "ls", "/late/mine"), "")
	})
	c.Kubectl("delete", "pods", "--all", "--now", "--timeout=150s")
}

// fsGroup with both change policies on a claim that one pod after the other has.
func groupOfClaims(t *testing.T, c *cluster.Cluster) {
	c.Apply(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: d}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
`)
	one := func(name, policy, script, want string) {
		t.Helper()
		c.Apply(shell(name, script+"; stat -c %g:%A /d /d/f > /dev/termination-log", `      volumeMounts: [{name: d, mountPath: /d}]
  restartPolicy: Never
  securityContext: {fsGroup: 2000, fsGroupChangePolicy: `+policy+`}
  volumes: [{name: d, persistentVolumeClaim: {claimName: d}}]
`))
		c.Eventually(90*time.Second, "Succeeded", func() string {
			return c.Kubectl("get", "pod", name, "-o", "jsonpath={.status.phase}")
		})
		same(t, name, strings.Join(strings.Fields(c.Kubectl("get", "pod", name, "-o", "jsonpath={.status.containerStatuses[0].state.terminated.message}")), " "), want)
		c.Kubectl("delete", "pod", name, "--timeout=150s")
	}
	one("first", "Always", "touch /d/f", "2000:drwxrwsrwx 2000:-rw-r--r--")
	one("changes", "OnRootMismatch", "chgrp 7 /d/f; chmod 600 /d/f", "2000:drwxrwsrwx 7:-rw-------")
	one("left-alone", "OnRootMismatch", "true", "2000:drwxrwsrwx 7:-rw-------")
	one("always", "Always", "true", "2000:drwxrwsrwx 2000:-rw-rw----")
	one("mismatch", "OnRootMismatch", "chgrp 7 /d /d/f", "7:drwxrwsrwx 7:-rw-rw----")
	one("repaired", "OnRootMismatch", "true", "2000:drwxrwsrwx 2000:-rw-rw----")
}
