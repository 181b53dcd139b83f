package cni

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/network/cni/call"
	"berth.dev/berth/internal/network/link"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func endpoint(name, uid string, ips ...string) *spiderpoolv2beta1.SpiderEndpoint {
	e := &spiderpoolv2beta1.SpiderEndpoint{}
	e.Namespace, e.Name = "default", name
	d := spiderpoolv2beta1.IPAllocationDetail{NIC: "eth0", IPv4: ips[0]}
	if len(ips) > 1 {
		d.IPv6 = ips[1]
	}
	e.Status.Current = spiderpoolv2beta1.PodIPAllocation{UID: uid, Node: "n1", IPs: []spiderpoolv2beta1.IPAllocationDetail{d}}
	return e
}

var node = link.Node{
	PodCIDRs:     []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")},
	ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")},
	Local:        []netip.Addr{netip.MustParseAddr("10.43.0.10")},
}

// start runs a server on a data directory without an API behind it.
func start(t *testing.T, dir datadir.Dir) (*Server, func()) {
	t.Helper()
	check(t, dir.Create())
	s := newServer(Config{NodeName: "n1", Dir: dir, Bundle: "../../../bin/bundle", Log: slog.New(slog.DiscardHandler)})
	s.watch = func(context.Context) {}
	s.wait = 500 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		cancel()
		check(t, <-ended)
	})
	t.Cleanup(stop)
	return s, stop
}

func newDir(t *testing.T) datadir.Dir {
	t.Helper()
	path, err := os.MkdirTemp("", "d")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(path) })
	dir, err := datadir.New(path)
	check(t, err)
	return dir
}

// counted is how many starts the server's metrics know.
func counted(t *testing.T, s *Server) string {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)
	r.Header.Set("Accept", "application/openmetrics-text") // another form than that of the page
	s.Metrics(w, r)
	if !strings.Contains(w.Body.String(), "\n"+WaitMetric+`_bucket{le="0.005"} `) {
		t.Errorf("no bucket of 5 ms in\n%s", w.Body)
	}
	_, rest, _ := strings.Cut(w.Body.String(), "\n"+WaitMetric+"_count ")
	n, _, _ := strings.Cut(rest, "\n")
	return n
}

// exe runs the plugin as a runtime does.
func exe(t *testing.T, dir datadir.Dir, command, container, ns, args string) ([]byte, *call.Error) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir.CNIConf(), configFile))
	check(t, err)
	var list struct {
		CNIVersion, Name string
		Plugins          []map[string]any
	}
	check(t, json.Unmarshal(text, &list))
	conf := list.Plugins[0]
	conf["cniVersion"], conf["name"] = list.CNIVersion, list.Name
	conf["cni.dev/valid-attachments"] = []any{map[string]any{"containerID": "kept", "ifname": "eth0"}}
	stdin, err := json.Marshal(conf)
	check(t, err)
	cmd := exec.Command(berthCNI)
	cmd.Env = []string{"CNI_COMMAND=" + command, "CNI_CONTAINERID=" + container, "CNI_NETNS=" + ns, "CNI_IFNAME=eth0", "CNI_PATH=/x", "CNI_ARGS=" + args}
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		e := &call.Error{}
		check(t, json.Unmarshal(out, e))
		return nil, e
	}
	check(t, err)
	return out, nil
}

func args(name, uid string) string {
	return "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=" + name + ";K8S_POD_INFRA_CONTAINER_ID=x;K8S_POD_UID=" + uid
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func serveHTTP(t *testing.T, ns, text string) {
	t.Helper()
	within(t, ns, func() {
		l, err := net.Listen("tcp", ":80")
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }))
		}()
	})
}

func get(t *testing.T, ip string) string {
	t.Helper()
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + ip + "/")
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

func wires(t *testing.T) []string {
	t.Helper()
	list, err := link.List()
	check(t, err)
	var out []string
	for _, w := range list {
		out = append(out, w.Owner)
	}
	slices.Sort(out)
	return out
}

// eventually waits for the background removal of wires.
func eventually(t *testing.T, s *Server, want ...string) {
	t.Helper()
	for range 200 {
		s.mu.Lock()
		busy := len(s.removing)
		s.mu.Unlock()
		if busy == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if got := wires(t); !slices.Equal(got, want) {
		t.Errorf("wires %q, want %q", got, want)
	}
}

func TestPodLife(t *testing.T) {
	check(t, link.SetUp(node))
	t.Cleanup(func() { check(t, link.Remove(node)) })
	dir := newDir(t)
	s, stop := start(t, dir)
	a, b := space(t), space(t)
	_ = s.grants.Add(endpoint("web-0", "u0", "10.42.0.2/16"))
	out, failed := exe(t, dir, "ADD", "c0", a, args("web-0", "u0"))
	if failed != nil {
		t.Fatal(failed)
	}
	want := fmt.Sprintf(`{"cniVersion":"1.0.0","interfaces":[{"name":%q,"mac":"ee:ee:ee:ee:ee:ee"},{"name":"eth0","mac":"0a:58:0a:2a:00:02","sandbox":%q}],"ips":[{"interface":1,"address":"10.42.0.2/32","gateway":"169.254.1.1"}],"routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1"}],"dns":{}}`,
		link.HostName("c0", "eth0"), a)
	if string(out) != want {
		t.Errorf("result\n%s\nwant\n%s", out, want)
	}
	// The grant of web-1 comes while its ADD waits; first there is that of its predecessor.
	_ = s.grants.Add(endpoint("web-1", "old", "10.42.0.3/16"))
	time.AfterFunc(100*time.Millisecond, func() { _ = s.grants.Update(endpoint("web-1", "u1", "10.42.0.3/16")) })
	if _, failed := exe(t, dir, "ADD", "c1", b, args("web-1", "u1")); failed != nil {
		t.Fatal(failed)
	}
	if got := counted(t, s); got != "2" {
		t.Errorf("two starts had their addresses, %s counted", got)
	}
	serveHTTP(t, a, "web-0")
	serveHTTP(t, b, "web-1")
	within(t, a, func() {
		if got := get(t, "10.42.0.3"); got != "web-1" {
			t.Error(got)
		}
		l, err := net.InterfaceByName("eth0")
		if err != nil || l.MTU != 1440 {
			t.Error(l, err)
		}
		if lo, err := net.InterfaceByName("lo"); err != nil || lo.Flags&net.FlagUp == 0 {
			t.Error(lo, err)
		}
	})
	if got := get(t, "10.42.0.2"); got != "web-0" { // host to pod
		t.Error(got)
	}
	if _, failed := exe(t, dir, "CHECK", "c0", a, args("web-0", "u0")); failed != nil {
		t.Error(failed)
	}

	// Berth restarts: traffic goes on, and a pod stopped meanwhile is no error.
	stop()
	if got := get(t, "10.42.0.3"); got != "web-1" {
		t.Error(got)
	}
	if _, failed := exe(t, dir, "DEL", "gone", "", args("x", "y")); failed != nil {
		t.Error(failed)
	}
	if _, failed := exe(t, dir, "ADD", "c9", space(t), args("web-9", "u9")); failed == nil || failed.Code != call.CodeTryAgain || !strings.Contains(failed.Msg, "is berth running?") {
		t.Errorf("%+v", failed)
	}
	if _, failed := exe(t, dir, "STATUS", "", "", ""); failed == nil || failed.Code != call.CodeNotAvailable {
		t.Errorf("%+v", failed)
	}
	s, _ = start(t, dir)
	if _, failed := exe(t, dir, "STATUS", "", "", ""); failed != nil {
		t.Error(failed)
	}

	// web-0 is re-created with the same address before the old sandbox is down.
	fresh := space(t)
	_ = s.grants.Add(endpoint("web-0", "u2", "10.42.0.2/16"))
	if _, failed := exe(t, dir, "ADD", "c2", fresh, args("web-0", "u2")); failed != nil {
		t.Fatal(failed)
	}
	serveHTTP(t, fresh, "web-0 again")
	for range 2 { // DEL is repeated at will
		if _, failed := exe(t, dir, "DEL", "c0", a, args("web-0", "u0")); failed != nil {
			t.Error(failed)
		}
	}
	eventually(t, s, "default/web-0", "default/web-1")
	if got := get(t, "10.42.0.2"); got != "web-0 again" {
		t.Error(got)
	}
	if _, failed := exe(t, dir, "DEL", "c2", "", ""); failed != nil { // the namespace is gone already
		t.Error(failed)
	}
	if _, failed := exe(t, dir, "GC", "", "", ""); failed != nil {
		t.Error(failed)
	}
	eventually(t, s)
}

func TestErrorsSayWhatToDo(t *testing.T) {
	dir := newDir(t)
	s, _ := start(t, dir)
	_ = s.grants.Add(endpoint("stale", "old", "10.42.0.3/16"))
	_ = s.grants.Add(endpoint("broken", "u", "10.42.0.300"))
	ns := space(t)
	for _, c := range []struct {
		args, ns string
		code     uint
		want     string
	}{
		{args("nobody", "u"), ns, call.CodeTryAgain, "there is no SpiderEndpoint default/nobody for this node"},
		{args("stale", "new"), ns, call.CodeTryAgain, "SpiderEndpoint default/stale still names the pod with UID old"},
		{args("broken", "u"), ns, call.CodeFailed, "SpiderEndpoint default/broken: netip.ParsePrefix"},
		{"", ns, call.CodeInvalidEnvironment, "names no pod"},
		{args("stale", "old"), "/nowhere", call.CodeInvalidEnvironment, "cannot open the pod's network namespace"},
		{args("stale", "old"), "/dev/null", call.CodeFailed, "network of pod default/stale"},
	} {
		_, failed := exe(t, dir, "ADD", "c", c.ns, c.args)
		if failed == nil || failed.Code != c.code || !strings.Contains(failed.Error(), c.want) || failed.CNIVersion != "1.0.0" {
			t.Errorf("%q: %+v, want %q", c.args, failed, c.want)
		}
	}
	if got := wires(t); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
	// Rubbish on the socket does not hurt.
	for _, text := range []string{"", "x", `{"command":"ADD"}`, `{"command":"NO"}`} {
		c, err := net.Dial("unix", dir.CNISocket())
		check(t, err)
		_, _ = io.WriteString(c, text)
		c.Close()
	}
	if _, failed := exe(t, dir, "NONSENSE", "c", "", ""); failed == nil || failed.Code != call.CodeInvalidEnvironment {
		t.Errorf("%+v", failed)
	}
}

func TestVersion(t *testing.T) {
	cmd := exec.Command(berthCNI)
	cmd.Env = []string{"CNI_COMMAND=VERSION"}
	cmd.Stdin = strings.NewReader(`{"cniVersion":"1.0.0"}`)
	out, err := cmd.Output()
	if err != nil || strings.TrimSpace(string(out)) != `{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}` {
		t.Errorf("%s %v", out, err)
	}
}

func TestRemoveClearsTheRuntimesCache(t *testing.T) {
	old := cacheDirs
	t.Cleanup(func() { cacheDirs = old })
	base := t.TempDir()
	cacheDirs = []string{filepath.Join(base, "cni", "results")}
	dir := newDir(t)
	check(t, os.MkdirAll(cacheDirs[0], 0o755))
	check(t, os.WriteFile(filepath.Join(cacheDirs[0], Network(dir)+"-c0-eth0"), nil, 0o600))
	check(t, Remove(context.Background(), dir, ""))
	check(t, Remove(context.Background(), dir, ""))
	if left, _ := os.ReadDir(base); len(left) != 0 {
		t.Error(left)
	}
}

func TestTiming(t *testing.T) {
	check(t, link.SetUp(node))
	t.Cleanup(func() { check(t, link.Remove(node)) })
	dir := newDir(t)
	s, _ := start(t, dir)
	const n = 20
	var add, del []time.Duration
	for i := range n {
		name := fmt.Sprint("p-", i)
		_ = s.grants.Add(endpoint(name, name, fmt.Sprintf("10.42.1.%d/16", i+1)))
		ns := space(t)
		begin := time.Now()
		if _, failed := exe(t, dir, "ADD", name, ns, args(name, name)); failed != nil {
			t.Fatal(failed)
		}
		add = append(add, time.Since(begin))
	}
	for i := range n {
		begin := time.Now()
		exe(t, dir, "DEL", fmt.Sprint("p-", i), "", "")
		del = append(del, time.Since(begin))
	}
	eventually(t, s)
	slices.Sort(add)
	slices.Sort(del)
	t.Logf("with the plugin's process: ADD median %s, worst %s; DEL median %s, worst %s", add[n/2], add[n-1], del[n/2], del[n-1])
}
