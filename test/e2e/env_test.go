package e2e

import (
	"testing"

	"berth.dev/berth/test/e2e/cluster"
)

// Where a container's variables come from: the pod's own fields, what its
// containers may use, ConfigMaps, Secrets, files that an init container wrote,
// services, and one another.
func variables(t *testing.T, c *cluster.Cluster) {
	c.Apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {zone: north, two: "line one\nline two"}
---
apiVersion: v1
kind: Secret
metadata: {name: sec}
stringData: {pass: hunter2}
---
apiVersion: v1
kind: Service
metadata: {name: data-base}
spec: {selector: {app: none}, ports: [{name: sql, port: 3306}, {name: admin, port: 33060, protocol: UDP}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot}
`)
	ip := c.Kubectl("get", "service", "data-base", "-o", "jsonpath={.spec.clusterIP}")
	c.Apply(shell("env", forever, `      envFrom: [{configMapRef: {name: conf}, prefix: C_}, {secretRef: {name: sec}}, {secretRef: {name: nope, optional: true}}]
      env:
        - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        - {name: UID_, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
        - {name: LABEL, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
        - {name: NOTE, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['berth.example/note']"}}}
        - {name: SA, valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}}
        - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        - {name: HOST_IP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
        - {name: HOST_IPS, valueFrom: {fieldRef: {fieldPath: status.hostIPs}}}
        - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        - {name: POD_IPS, valueFrom: {fieldRef: {fieldPath: status.podIPs}}}
        - {name: CPU_LIMIT, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
        - {name: CPU_MILLI, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}
        - {name: CPU_REQUEST, valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: 1m}}}
        - {name: MEM, valueFrom: {resourceFieldRef: {resource: limits.memory}}}
        - {name: MEM_MI, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
        - {name: MEM_GI, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Gi}}}
        - {name: DISK, valueFrom: {resourceFieldRef: {resource: requests.ephemeral-storage, divisor: 1k}}}
        - {name: OTHERS, valueFrom: {resourceFieldRef: {containerName: init, resource: requests.memory, divisor: 1Ki}}}
        - {name: ZONE, valueFrom: {configMapKeyRef: {name: conf, key: zone}}}
        - {name: PASS, valueFrom: {secretKeyRef: {name: sec, key: pass}}}
        - {name: NOKEY, valueFrom: {configMapKeyRef: {name: conf, key: nope, optional: true}}}
        - {name: NOSECRET, valueFrom: {secretKeyRef: {name: nope, key: nope, optional: true}}}
        - {name: FILE, valueFrom: {fileKeyRef: {volumeName: files, path: deep/vars, key: TOKEN}}}
        - {name: NOFILE, valueFrom: {fileKeyRef: {volumeName: files, path: none, key: TOKEN, optional: true}}}
        - {name: URL, value: "$(PASS)@$(DATA_BASE_SERVICE_HOST):$(DATA_BASE_SERVICE_PORT)/$(C_zone)/$(LATER)/$$(PASS)/$$$(PASS)/$(NOPE"}
        - {name: LATER, value: "1"}
        - {name: pass, value: "over $(pass)"}
      resources: {requests: {cpu: 10m, ephemeral-storage: 1Mi}, limits: {cpu: 1500m, memory: 100Mi}}
      volumeMounts: [{name: files, mountPath: /files}]
  serviceAccountName: robot
  initContainers:
    - name: init
      image: `+nginxName+`
      command: [sh, -c, "mkdir /files/deep; printf \"# made here\\nTOKEN='from a file'\\n\" > /files/deep/vars"]
      volumeMounts: [{name: files, mountPath: /files}]
      resources: {requests: {memory: 1500Ki}}
  volumes: [{name: files, emptyDir: {}}]
`))
	c.Apply(shell("alone", forever, "  enableServiceLinks: false\n  hostname: other\n  subdomain: sub\n"))
	c.Apply(shell("nofile", forever, `      env: [{name: FILE, valueFrom: {fileKeyRef: {volumeName: files, path: none, key: TOKEN}}}]
  volumes: [{name: files, emptyDir: {}}]
`))
	c.Apply(shell("nokey", forever, "      env: [{name: A, valueFrom: {configMapKeyRef: {name: conf, key: late}}}, {name: B, valueFrom: {secretKeyRef: {name: sec, key: late}}}]\n"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/env", "pod/alone", "--timeout=150s")
	about := c.Kubectl("get", "pod", "env", "-o", "jsonpath={.metadata.uid} {.status.hostIP} {.status.podIP}")
	sh := func(pod, script string) string { return c.Kubectl("exec", pod, "-c", "c", "--", "sh", "-c", script) }
	same(t, "fields", sh("env", "echo $NAME $NS $LABEL \"[$NOTE]\" $SA $NODE $HOSTNAME; echo $UID_ $HOST_IP $POD_IP; [ $HOST_IPS = $HOST_IP ] && [ $POD_IPS = $POD_IP ] || echo differ"),
		"env variables env [] robot shared env\n"+about)
	same(t, "resources", sh("env", "echo $CPU_LIMIT $CPU_MILLI $CPU_REQUEST $MEM $MEM_MI $MEM_GI $DISK $OTHERS"), "2 1500 10 104857600 100 1 1049 1500")
	same(t, "other objects", sh("env", `echo "$C_zone $C_two|$ZONE $PASS ${NOKEY-unset} ${NOSECRET-unset} $FILE ${NOFILE-unset} $pass"`), "north line one\nline two|north hunter2 unset unset from a file unset over hunter2")
	same(t, "references", sh("env", "echo \"$URL\""), "hunter2@"+ip+":3306/north/$(LATER)/$(PASS)/$hunter2/$(NOPE")
	same(t, "services", sh("env", "echo $DATA_BASE_SERVICE_PORT_SQL $DATA_BASE_SERVICE_PORT_ADMIN $DATA_BASE_PORT $DATA_BASE_PORT_3306_TCP_ADDR $DATA_BASE_PORT_33060_UDP $DATA_BASE_PORT_33060_UDP_PROTO"),
		"3306 33060 tcp://"+ip+":3306 "+ip+" udp://"+ip+":33060 udp")
	same(t, "without service links", sh("alone", "echo ${DATA_BASE_SERVICE_HOST-unset} $KUBERNETES_SERVICE_PORT $HOSTNAME $(hostname -f)"), "unset 443 other other.sub.variables.svc.cluster.local")
	says(t, "no file", c.Ask("describe", "pod", "nofile"), "CreateContainerConfigError")
	says(t, "no key", c.Ask("describe", "pod", "nokey"), "Error: couldn't find key late in ConfigMap variables/conf")
	// What was missing comes.
	c.Kubectl("patch", "configmap", "conf", "-p", `{"data":{"late":"x"}}`)
	c.Kubectl("patch", "secret", "sec", "-p", `{"stringData":{"late":"y"}}`)
	c.Kubectl("wait", "--for=condition=Ready", "pod/nokey", "--timeout=150s")
	same(t, "what came later", sh("nokey", "echo $A $B"), "x y")
	c.Kubectl("delete", "pods", "--all", "--now")
}
