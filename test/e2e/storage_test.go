package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// helpers is a folder of programs that the server finds first in its PATH.
func helpers(c *cluster.Cluster) string { return filepath.Join(c.Host.Dir, "helpers") }

// Where a volume may come from beside the API's own objects: an image, a block
// device, a file system that another machine serves; and what of it is shown.
func storageOfPods(t *testing.T, c *cluster.Cluster) {
	disk, raw := loopDevice(t, c, "disk"), loopDevice(t, c, "raw")
	served := c.Path("served")
	for _, dir := range []string{served, helpers(c)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	shared := sharedMount(t, c)
	c.Apply(localVolume("storage-raw", raw, "Block") + localVolume("storage-disk", disk, "Filesystem"))
	c.Apply(shell("s", "echo ready; "+forever, `      volumeMounts:
        - {name: disk, mountPath: /disk}
        - {name: img, mountPath: /img}
        - {name: img, mountPath: /conf, subPath: etc/nginx}
        - {name: e, mountPath: /e, subPathExpr: "$(NAME)/deep"}
        - {name: shared, mountPath: /late, mountPropagation: HostToContainer}
        - {name: shared, mountPath: /never}
        - {name: shared, mountPath: /ro, readOnly: true}
        - {name: shared, mountPath: /rro, readOnly: true, recursiveReadOnly: Enabled}
      volumeDevices: [{name: raw, devicePath: /dev/raw}]
      env: [{name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    - name: out
      image: `+nginxName+`
      command: [sleep, "1000"]
      securityContext: {privileged: true}
      volumeMounts: [{name: shared, mountPath: /both, mountPropagation: Bidirectional}, {name: e, mountPath: /e}]
  securityContext: {fsGroup: 4242, fsGroupChangePolicy: OnRootMismatch}
  volumes:
    - {name: disk, persistentVolumeClaim: {claimName: storage-disk}}
    - {name: raw, persistentVolumeClaim: {claimName: storage-raw}}
    - {name: img, image: {reference: `+nginxName+`, pullPolicy: Never}}
    - {name: e, emptyDir: {}}
    - {name: shared, hostPath: {path: `+shared+`, type: Directory}}
`))
	c.Apply(shell("nfs", forever, `      volumeMounts: [{name: far, mountPath: /far}]
  volumes: [{name: far, nfs: {server: files.example, path: /srv, readOnly: true}}]
`))
	c.Apply(shell("noimage", forever, `      volumeMounts: [{name: v, mountPath: /v}]
  volumes: [{name: v, image: {reference: "127.0.0.1:5999/none:1"}}]
`))
	c.Apply(shell("noexpr", forever, `      volumeMounts: [{name: v, mountPath: /v, subPathExpr: "$(NOPE)/x"}]
  volumes: [{name: v, emptyDir: {}}]
`))
	c.Kubectl("wait", "--for=condition=Ready", "pod/s", "--timeout=150s")
	sh := func(container, script string) string {
		return c.Kubectl("exec", "s", "-c", container, "--", "sh", "-c", script)
	}
	same(t, "an image's files", sh("c", "ls /img/etc/nginx/nginx.conf /conf/nginx.conf; touch /img/no 2>/dev/null || echo refused"), "/conf/nginx.conf\n/img/etc/nginx/nginx.conf\nrefused")
	same(t, "a file system on a device", sh("c", "stat -f -c %T /disk; stat -c '%g %A' /disk; touch /disk/f; stat -c %g /disk/f"), "ext2/ext3\n4242 drwxrwsr-x\n4242")
	same(t, "groups", sh("c", "id -G"), "0 4242")
	same(t, "subPathExpr", sh("out", "ls /e/s"), "deep")
	sh("c", "printf 'written raw' | dd of=/dev/raw conv=notrunc status=none; sync /dev/raw")
	if got, err := os.ReadFile(c.Path("raw")); err != nil || !strings.HasPrefix(string(got), "written raw") {
		t.Errorf("on the raw device: %q, %v", got[:min(20, len(got))], err)
	}
	t.Run("propagation", func(t *testing.T) {
		c.Host.MustRun(t.Context(), "sh", "-c", "mkdir "+shared+"/new && mount -t tmpfs late "+shared+"/new && echo seen > "+shared+"/new/f")
		same(t, "a mount made later", sh("c", "cat /late/new/f; ls /never/new"), "seen")
		same(t, "read-only, but not what is below", sh("c", "touch /ro/no 2>/dev/null || echo refused; touch /ro/below/yes && echo written"), "refused\nwritten")
		same(t, "read-only with all below", sh("c", "touch /rro/no 2>/dev/null || echo refused; touch /rro/below/no 2>/dev/null || echo refused"), "refused\nrefused")
		same(t, "status of mounts", c.Ask("get", "pod", "s", "-o", `jsonpath={range .status.containerStatuses[0].volumeMounts[?(@.readOnly==true)]}{.mountPath}={.recursiveReadOnly} {end}`),
			"/ro=Disabled /rro=Enabled /var/run/secrets/kubernetes.io/serviceaccount=Disabled")
		// The image has no mount(8); a bind mount by the shell's own means needs none.
		sh("out", "mkdir /both/mine")
		c.Host.MustRun(t.Context(), "sh", "-c", "test -d "+shared+"/mine")
		c.Host.MustRun(t.Context(), "umount", shared+"/new")
		c.Eventually(60*time.Second, "", func() string { return sh("c", "ls /late/new") })
	})
	t.Run("NFS", func(t *testing.T) {
		says(t, "without a helper", c.Ask("describe", "pod", "nfs"), `MountVolume.SetUp failed for volume "far" : mount failed: this node has no mount.nfs, which mounts NFS volumes: install it (Debian has it in nfs-common)`)
		helper := filepath.Join(helpers(c), "mount.nfs")
		script := func(text string) {
			if err := os.WriteFile(helper+".new", []byte("#!/bin/sh\n"+text), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(helper+".new", helper); err != nil {
				t.Fatal(err)
			}
		}
		script("echo no such device >&2; exit 32\n")
		// The next try may be two minutes off by now.
		c.Eventually(4*time.Minute, "true", func() string {
			said := c.Kubectl("describe", "pod", "nfs")
			return fmt.Sprint(strings.Contains(said, "this node's kernel has no NFS client (nfs is not in /proc/filesystems): load its module or run the pod on another node") ||
				strings.Contains(said, "mount failed: exit status 32\n"))
		})
		if err := os.WriteFile(filepath.Join(served, "f"), []byte("from far\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		script(`echo "$@" > ` + c.Path("asked") + `; mount --bind ` + served + ` "$2"` + "\n")
		c.Kubectl("delete", "pod", "nfs", "--now")
		c.Apply(shell("nfs", forever, `      volumeMounts: [{name: far, mountPath: /far}, {name: more, mountPath: /more, subPath: deep}]
  volumes: [{name: far, nfs: {server: files.example, path: /srv, readOnly: true}}, {name: more, persistentVolumeClaim: {claimName: storage-nfs}}]
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: storage-nfs}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteMany], storageClassName: by-hand, mountOptions: [nfsvers=4.2, hard], nfs: {server: files.example, path: /more}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: storage-nfs}
spec: {resources: {requests: {storage: 1Gi}}, accessModes: [ReadWriteMany], storageClassName: by-hand, volumeName: storage-nfs}
`))
		c.Kubectl("wait", "--for=condition=Ready", "pod/nfs", "--timeout=150s")
		same(t, "what is served", c.Kubectl("exec", "nfs", "--", "sh", "-c", "cat /far/f; touch /far/no 2>/dev/null || echo refused; touch /more/yes"), "from far\nrefused")
		if _, err := os.Stat(filepath.Join(served, "deep", "yes")); err != nil {
			t.Error(err)
		}
		asked, _ := os.ReadFile(c.Path("asked"))
		if !matched(`^files\.example:/(srv \S+/volumes/kubernetes.io~nfs/far -o ro|more \S+/volumes/kubernetes.io~nfs/storage-nfs -o nfsvers=4.2,hard)$`, string(asked)) {
			t.Errorf("the helper was asked %s", asked)
		}
		script("[ -d " + served + "${1#*:/share} ] || exit 32\nexec mount --bind " + served + `${1#*:/share} "$2"` + "\n")
		provisionedOnNFS(t, c, served)
		c.Kubectl("delete", "pod", "nfs", "--now")
		c.Eventually(60*time.Second, "", func() string {
			out, _ := c.Host.Run(t.Context(), "grep", "-e", "kubernetes.io~nfs", "-e", "berth.dev~nfs", "/proc/mounts")
			return out
		})
		if _, err := os.Stat(filepath.Join(served, "f")); err != nil {
			t.Errorf("what is served: %v", err)
		}
	})
	t.Run("provisioned blocks", func(t *testing.T) { provisionedBlocks(t, c) })
	c.Eventually(60*time.Second, "ImagePullBackOff", waiting(c, "noimage"))
	says(t, "an image volume that is not there", c.Ask("describe", "pod", "noimage"), `Pulling image "127.0.0.1:5999/none:1"`, `Back-off pulling image "127.0.0.1:5999/none:1"`)
	c.Eventually(60*time.Second, "CreateContainerConfigError", waiting(c, "noexpr"))
	says(t, "a subPathExpr without a value", c.Ask("describe", "pod", "noexpr"), "Error: missing value for NOPE")
	c.Kubectl("delete", "pods", "--all", "--now")
	c.Eventually(60*time.Second, "", func() string {
		out, _ := c.Host.Run(t.Context(), "grep", disk+" ", "/proc/mounts")
		return out
	})
}

// provisionedOnNFS is a set whose claims are directories that the built-in NFS
// provisioner makes below one that a server exports.
func provisionedOnNFS(t *testing.T, c *cluster.Cluster, served string) {
	claims := func(class, name string) string {
		return `---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: ` + name + `}
spec: {resources: {requests: {storage: 1Gi}}, accessModes: [ReadWriteMany], storageClassName: ` + class + `}
`
	}
	class := func(name, parameters, more string) string {
		return `---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: ` + name + `}
provisioner: berth.dev/nfs
parameters: {` + parameters + `}
mountOptions: [nfsvers=4.2]
` + more
	}
	user := func(name string) string {
		return "---" + shell(name, forever, `      volumeMounts: [{name: shared, mountPath: /shared}]
  volumes: [{name: shared, persistentVolumeClaim: {claimName: shared}}]
`)
	}
	c.Apply(class("nfs-storageclass", "server: files.example, share: /share", "") + class("nfs-broken", "server: files.example", "") +
		claims("nfs-storageclass", "shared") + claims("nfs-broken", "broken") + user("one") + user("two"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/one", "pod/two", "--timeout=150s")
	volume := c.Kubectl("get", "pvc", "shared", "-o", "jsonpath={.spec.volumeName}")
	same(t, "the volume", c.Ask("get", "pv", volume, "-o", "jsonpath={.spec.nfs.server}:{.spec.nfs.path} {.spec.mountOptions} {.spec.persistentVolumeReclaimPolicy} {.status.phase}"),
		`files.example:/share/`+volume+` ["nfsvers=4.2"] Delete Bound`)
	c.Kubectl("exec", "one", "--", "sh", "-c", "echo by one > /shared/f")
	same(t, "what the other sees", c.Kubectl("exec", "two", "--", "cat", "/shared/f"), "by one")
	if text, err := os.ReadFile(filepath.Join(served, volume, "f")); err != nil || string(text) != "by one\n" {
		t.Errorf("on the server: %q %v", text, err)
	}
	says(t, "a class without a share", c.Ask("describe", "pvc", "broken"), "ProvisioningFailed",
		`failed to provision volume with StorageClass "nfs-broken": share is a required parameter, the absolute path that the server exports`)
	c.Kubectl("delete", "pod", "one", "two", "--now")
	c.Kubectl("delete", "pvc", "shared", "broken", "--timeout=150s")
	c.Eventually(60*time.Second, "true", func() string {
		_, err := os.Stat(filepath.Join(served, volume))
		return strconv.FormatBool(os.IsNotExist(err))
	})
	same(t, "the volume's object", c.Ask("get", "pv", volume, "--ignore-not-found"), "")
	if _, err := os.Stat(filepath.Join(served, "f")); err != nil {
		t.Errorf("beside it on the server: %v", err)
	}
	c.Kubectl("delete", "storageclass", "nfs-storageclass", "nfs-broken")
}

// loopDevice is a block device that is really a file of the story.
func loopDevice(t *testing.T, c *cluster.Cluster, name string) string {
	t.Helper()
	path := c.File(name, "")
	if err := os.Truncate(path, 16<<20); err != nil {
		t.Fatal(err)
	}
	device := strings.TrimSpace(c.Host.MustRun(t.Context(), "losetup", "--find", "--show", "--direct-io=off", path))
	t.Cleanup(func() {
		if out, err := c.Host.Run(context.WithoutCancel(t.Context()), "losetup", "-d", device); err != nil {
			t.Errorf("losetup -d: %v %s", err, out)
		}
	})
	return device
}

// provisionedBlocks asks the built-in provisioner for a device. What is written
// to it is there for the next pod; neither device nor data outlive the claim.
func provisionedBlocks(t *testing.T, c *cluster.Cluster) {
	user := func(name string) string {
		return shell(name, forever, `      volumeDevices: [{name: blocks, devicePath: /dev/blocks}]
  volumes: [{name: blocks, persistentVolumeClaim: {claimName: blocks}}]
`)
	}
	c.Apply(`---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: blocks}
spec: {resources: {requests: {storage: 5Mi}}, accessModes: [ReadWriteOnce], volumeMode: Block}
---` + user("writer") + "---" + user("beside"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/writer", "pod/beside", "--timeout=150s")
	sh := func(pod, script string) string { return c.Kubectl("exec", pod, "--", "sh", "-c", script) }
	same(t, "a device of that size", sh("writer", "test -b /dev/blocks && wc -c < /dev/blocks"), "5242880")
	sh("writer", "printf 'kept on blocks' | dd of=/dev/blocks conv=notrunc status=none; sync /dev/blocks")
	same(t, "from beside", sh("beside", "head -c 14 /dev/blocks"), "kept on blocks")
	volume := c.Kubectl("get", "pvc", "blocks", "-o", "jsonpath={.spec.volumeName}")
	same(t, "mode of the volume", c.Ask("get", "pv", volume, "-o", "jsonpath={.spec.volumeMode}"), "Block")
	folder := filepath.Join(c.Data, "volumes", volume)
	device := strings.TrimSpace(c.Host.MustRun(t.Context(), "losetup", "-n", "-O", "NAME", "-j", folder+"/blocks"))
	backed := func() string {
		out, _ := c.Host.Run(t.Context(), "cat", "/sys/block/"+filepath.Base(device)+"/loop/backing_file")
		return strconv.FormatBool(strings.Contains(string(out), volume))
	}
	same(t, "the device", backed, "true")
	c.Kubectl("delete", "pod", "beside", "--now")
	same(t, "while one uses it", backed, "true")
	c.Kubectl("delete", "pod", "writer", "--now")
	c.Eventually(60*time.Second, "false", backed)
	c.Apply(user("reader"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/reader", "--timeout=150s")
	same(t, "for the next pod", sh("reader", "head -c 14 /dev/blocks"), "kept on blocks")
	device = strings.TrimSpace(c.Host.MustRun(t.Context(), "losetup", "-n", "-O", "NAME", "-j", folder+"/blocks"))
	c.Kubectl("delete", "pod", "reader", "--now")
	c.Kubectl("delete", "pvc", "blocks", "--timeout=150s")
	c.Eventually(60*time.Second, "false", backed)
	c.Eventually(60*time.Second, "true", func() string {
		_, err := os.Stat(folder)
		return strconv.FormatBool(os.IsNotExist(err))
	})
}

// localVolume is a claim and the local volume that is made for it.
func localVolume(name, path, mode string) string {
	return `---
apiVersion: v1
kind: PersistentVolume
metadata: {name: ` + name + `}
spec:
  capacity: {storage: 16Mi}
  accessModes: [ReadWriteOnce]
  volumeMode: ` + mode + `
  storageClassName: by-hand
  claimRef: {namespace: storage, name: ` + name + `}
  local: {path: ` + path + `}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/os, operator: In, values: [linux]}]}]}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: ` + name + `}
spec: {resources: {requests: {storage: 16Mi}}, accessModes: [ReadWriteOnce], volumeMode: ` + mode + `, storageClassName: by-hand, volumeName: ` + name + `}
`
}

// sharedMount is a folder of the host whose later mounts others may see, with
// another mount in it.
func sharedMount(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	dir := c.Path("shared-mount")
	c.Host.MustRun(t.Context(), "sh", "-c", fmt.Sprintf(
		"mkdir %[1]s && mount -t tmpfs shared %[1]s && mount --make-shared %[1]s && mkdir %[1]s/below && mount -t tmpfs below %[1]s/below", dir))
	t.Cleanup(func() {
		if out, err := c.Host.Run(context.WithoutCancel(t.Context()), "umount", "-R", "-l", dir); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	return dir
}
