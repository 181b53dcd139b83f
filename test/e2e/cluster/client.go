package cluster

import (
	"path/filepath"
	"strconv"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Config is an administrator's configuration, dialling from inside the host.
func (c *Cluster) Config() *rest.Config {
	c.t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", filepath.Join(c.Data, "kubeconfig"))
	if err != nil {
		c.t.Fatal(err)
	}
	cfg.Dial, cfg.QPS = c.Host.Dial, -1
	return cfg
}

// Client is a typed client.
func (c *Cluster) Client() *kubernetes.Clientset {
	c.t.Helper()
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		c.t.Fatal(err)
	}
	return client
}

// Proc reads /proc/PID/NAME of the server or, by its command's first word, of
// another process of the host.
func (c *Cluster) Proc(program, name string) string {
	c.t.Helper()
	return c.Host.MustRun(c.t.Context(), "sh", "-c", `for p in /proc/[0-9]*; do
case "$(tr '\0' ' ' <$p/cmdline 2>/dev/null)" in `+strings.ReplaceAll(program, " ", "\\ ")+`*) cat $p/`+name+`; exit;; esac; done; exit 1`)
}

// Kilobytes reads one field of a /proc/PID/status text.
func Kilobytes(status, field string) float64 {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return n
		}
	}
	return 0
}

// CPUSeconds reads user and system time from a /proc/PID/stat text.
func CPUSeconds(stat string) float64 {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100 // clock ticks per second on Linux
}

// Program is how the server's command line begins.
func (c *Cluster) Program() string { return c.Berth() + " " + c.role }
