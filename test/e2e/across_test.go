package e2e

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// A pod of the second node is guarded against pods of the first, and logs, exec
// and port-forward find it again after either side was killed.
func acrossNodes(t *testing.T, c, a *cluster.Cluster) {
	on := func(node, manifest string) string {
		return "---\n" + strings.Replace(manifest, "\nspec:", "\nspec:\n  nodeName: "+node, 1)
	}
	c.Apply(on("two", shell("served", "echo here I am; exec nginx -g 'daemon off;'", "      ports: [{name: http, containerPort: 80}]\n      readinessProbe: {httpGet: {port: 80}, periodSeconds: 1}\n")) +
		on("one", shell("friend", forever, "")) + on("one", shell("stranger", forever, "")))
	c.Kubectl("wait", "--for=condition=Ready", "pod/served", "pod/friend", "pod/stranger", "--timeout=150s")
	ip := c.Kubectl("get", "pod", "served", "-o", "jsonpath={.status.podIP}")
	from := func(pod string) func() string {
		return func() string {
			out, _ := c.Try("exec", pod, "--", "curl", "-s", "-o", "/dev/null", "-m", "2", "-w", "%{http_code}", "http://"+ip+"/")
			return out[:min(3, len(out))]
		}
	}
	c.Eventually(60*time.Second, "200", from("stranger"))
	c.Apply("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: friends}\nspec: {podSelector: {matchLabels: {app: served}}, " +
		"ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}], ports: [{port: http}]}]}\n")
	c.Eventually(60*time.Second, "000", from("stranger"))
	c.Eventually(60*time.Second, "200", from("friend"))
	c.Kubectl("delete", "networkpolicy", "friends", "--timeout=150s")
	c.Eventually(60*time.Second, "200", from("stranger"))

	port := 18400
	forwarded := func() string {
		port++
		at := fmt.Sprint(port)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := c.KubectlCommand(ctx, "port-forward", "pod/served", at+":80")
		cmd.WaitDelay = time.Second
		said, err := cmd.StdoutPipe()
		if err != nil {
			return err.Error()
		}
		if err := cmd.Start(); err != nil {
			return err.Error()
		}
		defer func() { cancel(); _ = cmd.Wait() }()
		if line, err := bufio.NewReader(said).ReadString('\n'); err != nil || !strings.HasPrefix(line, "Forwarding from 127.0.0.1:"+at+" -> 80") {
			return fmt.Sprint(line, err)
		}
		return c.Run("curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:"+at+"/").Out
	}
	streams := func(t *testing.T) {
		t.Helper()
		c.Eventually(60*time.Second, "served\nhere I am", func() string {
			name, _ := c.Try("exec", "served", "--", "hostname")
			logs, _ := c.Try("logs", "served")
			return name + strings.TrimSpace(strings.SplitN(logs, "\n", 2)[0])
		})
		c.Eventually(60*time.Second, "200", forwarded)
	}
	streams(t)
	a.Kill()
	a.Launch()
	streams(t)
	c.Kill()
	c.Start()
	streams(t)
	c.Kubectl("delete", "pod", "served", "friend", "stranger", "--timeout=150s")
}
