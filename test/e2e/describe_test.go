package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/test/e2e/cluster"
)

// describe and explain have all that upstream's have.
func describeAndExplain(t *testing.T, c *cluster.Cluster) {
	c.Kubectl("apply", "-f", filepath.Join(repo(t), "examples/demo/web.yaml"))
	c.Kubectl("rollout", "status", "sts/web", "--timeout=150s")
	for what, words := range map[string][]string{
		"pod web-0": {
			"Controlled By:  StatefulSet/web", "Node:             shared/172.30.0.2", "Container ID:   containerd://", "Image ID:", "Restart Count:  0",
			"Readiness:      http-get http://:http/healthz delay=0s timeout=1s period=1s successThreshold=1 failureThreshold=3",
			"NODE_NAME:   (v1:spec.nodeName)", "/data from data (rw)", "QoS Class:                   BestEffort",
			"ClaimName:  data-web-0", "TokenExpirationSeconds:  3607", "node.kubernetes.io/not-ready:NoExecute op=Exists for 300s",
			"Successfully assigned describe/web-0 to shared", `Container image "berth.dev/demo:1" already present on machine`, "PodReadyToStartContainers   True",
		},
		"sts web": {
			"Service Name:           web", "Pod Management Policy:  OrderedReady", "Replicas:               3 desired | 3 total", "Partition:            0", "MaxUnavailable:       1",
			"WhenDeleted:  Retain", "Pods Status:    3 Running / 0 Waiting / 0 Succeeded / 0 Failed", "Capacity:      100Mi",
			"Create Claim data-web-0 Pod web-0 in StatefulSet web success", "Create Pod web-2 in StatefulSet web successful",
		},
		"node shared": {
			"Roles:              control-plane", "HolderIdentity:  shared", "kubelet is posting ready status", "KubeletHasSufficientMemory", "InternalIP:  172.30.0.2",
			"Container Runtime Version:  containerd://", "Non-terminated Pods:", "web-0", "Allocated resources:",
		},
		"pvc data-web-0": {
			"StorageClass:  local", "Status:        Bound", "Used By:       web-0", "pv.kubernetes.io/bind-completed: yes", "volume.kubernetes.io/selected-node: shared",
			"[kubernetes.io/pvc-protection]", "waiting for first consumer to be created before binding", "Successfully provisioned volume pvc-",
		},
		"svc web":                  {"Type:                     ClusterIP", "IP:                       None", "Port:                     http  8080/TCP", "Endpoints:                10.42."},
		"sc local":                 {"Provisioner:           berth.dev/local", "IsDefaultClass:        Yes", "VolumeBindingMode:     WaitForFirstConsumer"},
		"sp":                       {"Name:         default-ipv4", "Subnet:", "Kind:         SpiderIPPool"},
		"ns describe":              {"Status:       Active", "kubernetes.io/metadata.name=describe"},
		"sa default":               {"Namespace:           describe", "Image pull secrets:  <none>"},
		"lease -n kube-node-lease": {"Holder Identity:"},
	} {
		says(t, "describe "+what, c.Ask(append([]string{"describe"}, strings.Fields(what)...)...), words...)
	}

	out := c.Kubectl("explain", "sts.spec", "--recursive")
	says(t, "explain --recursive", out, "FIELD: spec <StatefulSetSpec>", "volumeClaimTemplates\t<[]PersistentVolumeClaim>", "persistentVolumeClaimRetentionPolicy", "livenessProbe\t<Probe>", "-required-", "enum: OrderedReady, Parallel")
	for what, words := range map[string][]string{
		"pod.spec.containers.livenessProbe": {"FIELD: livenessProbe <Probe>", "Periodic probe of container liveness", "failureThreshold\t<integer>"},
		"sts --api-version=apps/v1":         {"GROUP:      apps", "KIND:       StatefulSet", "VERSION:    v1"},
		"sp.spec":                           {"KIND:       SpiderIPPool", "subnet\t<string>"},
		"crd.spec.versions.schema":          {"openAPIV3Schema"},
		"svc.spec.ports":                    {"FIELD: ports <[]ServicePort>", "targetPort"},
	} {
		says(t, "explain "+what, c.Kubectl(append([]string{"explain"}, strings.Fields(what)...)...), words...)
	}
	same(t, "explain of nothing", c.Refused("explain", "sts.spec.nope"), `GROUP:      apps
KIND:       StatefulSet
VERSION:    v1

error: field "nope" does not exist`)
}
