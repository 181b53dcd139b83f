package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"berth.dev/berth/test/e2e/cluster"
)

// The program's own commands besides the server.
func commandLine(t *testing.T, c *cluster.Cluster) {
	berth := func(args ...string) cluster.Result { return c.Run(c.Berth(), args...) }

	for _, command := range []string{"server", "status", "down", "uninstall", "install", "image import", "image ls", "image pull", "image rm", "version"} {
		r := berth(append(strings.Fields(command), "--help")...)
		if r.Code != 0 {
			t.Errorf("%s --help: %+v", command, r)
		}
		says(t, command+" --help", r.Out, "Usage:\n  berth "+command, "Examples:\n  berth "+command)
	}
	says(t, "help", berth().Out, "Usage:", "berth server", "berth kubectl", "Available Commands:")
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := berth("completion", shell); r.Code != 0 || !strings.Contains(r.Out, "berth") {
			t.Errorf("completion %s: exit code %d", shell, r.Code)
		}
	}
	says(t, "completion of a flag", berth("__complete", "server", "--data").Out, "--data-dir")
	says(t, "version", berth("version").Out, "berth v1.37.", "Kubernetes API v")

	var status struct {
		API   string
		Nodes []struct {
			Name  string
			Ready bool
		}
		Ready bool
	}
	r := berth("status", "-o", "json", "--data-dir", c.Data)
	if err := json.Unmarshal([]byte(r.Out), &status); err != nil || !status.Ready || status.API != "ready" || len(status.Nodes) != 1 || status.Nodes[0].Name != "shared" || !status.Nodes[0].Ready {
		t.Errorf("status: %v %+v", err, r)
	}
	says(t, "status", berth("status", "--data-dir", c.Data).Out, "API server  ready", "node        shared  Ready")
	says(t, "status by kubeconfig", berth("status", "--kubeconfig", c.Data+"/kubeconfig").Out, "API server  ready")
	if r := berth("status", "-o", "xml", "--data-dir", c.Data); r.Code != 1 || !strings.Contains(r.Err, "json") {
		t.Errorf("status -o xml: %+v", r)
	}

	t.Run("kubectl", func(t *testing.T) {
		c.Apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n")
		kubectl := func(args ...string) cluster.Result {
			return berth(append([]string{"kubectl", "--data-dir", c.Data, "-n", "command-line"}, args...)...)
		}
		if own, stock := kubectl("get", "configmaps", "-o", "yaml"), c.Do("get", "configmaps", "-o", "yaml"); own != stock {
			t.Errorf("berth kubectl\n%+v\nkubectl\n%+v", own, stock)
		}
		if own, stock := kubectl("get", "pod", "nope"), c.Do("get", "pod", "nope"); own != stock || own.Code != 1 {
			t.Errorf("berth kubectl\n%+v\nkubectl\n%+v", own, stock)
		}
		if r := berth("kubectl", "--kubeconfig", c.Data+"/kubeconfig", "get", "nodes"); r.Code != 0 {
			t.Errorf("by kubeconfig: %+v", r)
		}
		if r := berth("kubectl", "version", "--client"); r.Code != 0 || !strings.Contains(r.Out, "Client Version: v1.37.") {
			t.Errorf("without a cluster: %+v", r)
		}
		if r := berth("kubectl", "--help"); r.Code != 0 || !strings.Contains(r.Out, "kubectl controls the Kubernetes cluster manager") {
			t.Errorf("help: %+v", r)
		}
		if r := berth("kubectl", "--data-dir", "/nowhere", "get", "nodes"); r.Code != 1 || !strings.Contains(r.Err, "berth: no cluster in /nowhere: ") {
			t.Errorf("no cluster: %+v", r)
		}
	})

	t.Run("install", func(t *testing.T) {
		unit := c.Path("berth.service")
		r := berth("install", "--unit", unit, "--", "--data-dir", "/srv/my berth", "--node-name", "db1")
		if r.Code != 0 || !strings.Contains(r.Out, "wrote "+unit) {
			t.Errorf("%+v", r)
		}
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		says(t, "unit", string(text), "\nKillMode=process\n", "\nDelegate=yes\n", "\nType=notify\n", "/berth server --data-dir \"/srv/my berth\" --node-name db1\n", "\nWantedBy=multi-user.target\n")
		if r := berth("install", "--unit", "/nowhere/berth.service"); r.Code != 1 || !strings.Contains(r.Err, "/nowhere/berth.service") {
			t.Errorf("%+v", r)
		}
	})

	if r := berth("image", "import", "--data-dir", c.Data, "/nope"); r.Code != 1 || !strings.HasPrefix(r.Err, "berth: ") || !strings.Contains(r.Err, "/nope") {
		t.Errorf("import of no file: %+v", r)
	}
	for words, want := range map[string]string{
		"nope":                         `unknown command "nope"`,
		"server --nope":                "unknown flag: --nope",
		"server extra":                 `unknown command "extra" for "berth server"`,
		"image import":                 "requires at least 1 arg",
		"image ls --data-dir /nowhere": "/nowhere",
	} {
		r := berth(strings.Fields(words)...)
		if r.Code != 1 || !strings.HasPrefix(r.Err, "berth: ") || !strings.Contains(r.Err, want) {
			t.Errorf("berth %s: %+v", words, r)
		}
	}
}
