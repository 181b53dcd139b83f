package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"pgregory.net/rapid"
)

const t0 = "2026-11-21T09:00:00.000000000Z "

// record is one line of a CRI log, n seconds after nine.
func record(n int, stream, tag, text string) string {
	return fmt.Sprintf("2026-11-21T09:00:%02d.5Z %s %s %s\n", n, stream, tag, text)
}

func TestLogs(t *testing.T) {
	w := newWorld(t)
	w.set(runtimeapi.ContainerState_CONTAINER_EXITED)
	w.append(t, record(1, "stdout", "F", "one")+record(2, "stderr", "F", "two")+
		record(3, "stdout", "P", "thr")+record(3, "stdout", "F", "ee")+
		"garbage\n"+record(4, "stdout", "F", "")+"2026-11-21T09:00:05.5Z stdout F torn")
	for query, want := range map[string]string{
		"":                                 "one\ntwo\nthree\n\ntorn",
		"tailLines=2":                      "\ntorn",
		"tailLines=3":                      "three\n\ntorn",
		"tailLines=0":                      "",
		"tailLines=99":                     "one\ntwo\nthree\n\ntorn",
		"sinceTime=2026-11-21T09:00:03Z":   "three\n\ntorn",
		"sinceSeconds=5":                   "",
		"limitBytes=5":                     "one\nt",
		"stream=Stderr":                    "two\n",
		"stream=Stdout&tailLines=4":        "one\nthree\n\ntorn",
		"timestamps=true&tailLines=3":      "2026-11-21T09:00:03.500000000Z three\n2026-11-21T09:00:04.500000000Z \n2026-11-21T09:00:05.500000000Z torn",
		"follow=true":                      "one\ntwo\nthree\n\ntorn",
		"follow&tailLines=1&timestamps=no": "error",
	} {
		code, body := w.get(t, "/containerLogs/ns/web-0/app?"+query)
		if want == "error" {
			if code != http.StatusUnprocessableEntity {
				t.Errorf("%s: %d %s", query, code, body)
			}
			continue
		}
		if code != http.StatusOK || body != want {
			t.Errorf("%s: %d %q, want %q", query, code, body, want)
		}
	}
}

func TestLogsOfWhatIsNotThere(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]string{
		"/containerLogs/ns/none/app":                `404 pod "none" does not exist`,
		"/containerLogs/ns/web-0/none":              `404 container "none" not found in pod "web-0"`,
		"/containerLogs/ns/web-0/slow":              `400 container "slow" in pod "web-0" is waiting to start: ContainerCreating`,
		"/containerLogs/ns/web-0/app?previous=true": `400 previous terminated container "app" in pod "web-0" not found`,
		"/containerLogs/ns/web-0/app?tailLines=-1":  `422 tailLines must be a number of at least 0, it is "-1"`,
	} {
		code, body := w.get(t, path)
		if got := fmt.Sprintf("%d %s", code, strings.TrimSpace(body)); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	if err := os.Remove(w.log); err != nil {
		t.Fatal(err)
	}
	if code, body := w.get(t, "/containerLogs/ns/web-0/app"); code != http.StatusBadRequest || !strings.Contains(body, "no such file") {
		t.Errorf("%d %s", code, body)
	}
}

// follow reads lines of a log that is being followed.
func follow(t *testing.T, w *world, query string) (lines chan string, end context.CancelFunc) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+w.addr+"/containerLogs/ns/web-0/app?follow=true&"+query, nil)
	answer, err := w.client(t, apiServer).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	lines = make(chan string, 1000)
	go func() {
		defer close(lines)
		defer answer.Body.Close()
		for s := bufio.NewScanner(answer.Body); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines, stop
}

func expect(t *testing.T, lines chan string, want string) {
	t.Helper()
	select {
	case got, ok := <-lines:
		if !ok {
			got = "<end>"
		}
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	case <-time.After(time.Minute):
		t.Fatalf("no %q within a minute", want)
	}
}

func TestFollow(t *testing.T) {
	w := newWorld(t)
	w.append(t, record(1, "stdout", "F", "old")+record(2, "stdout", "F", "last"))
	lines, stop := follow(t, w, "tailLines=1")
	defer stop()
	expect(t, lines, "last")
	w.append(t, record(3, "stdout", "P", "in two "))
	w.append(t, "2026-11-21T09:00:03.5Z stdout F pie")
	w.append(t, "ces\n")
	expect(t, lines, "in two pieces")

	// The log is rotated: the old file still gets a line, then the new one is used.
	if err := os.Rename(w.log, w.log+".20261121"); err != nil {
		t.Fatal(err)
	}
	current := w.log
	w.log += ".20261121"
	w.append(t, record(4, "stdout", "F", "late"))
	w.log = current
	expect(t, lines, "late")
	w.append(t, record(5, "stdout", "F", "new file"))
	expect(t, lines, "new file")

	// It ends with its container, having given the last words.
	w.set(runtimeapi.ContainerState_CONTAINER_EXITED)
	w.append(t, record(6, "stderr", "F", "bye"))
	expect(t, lines, "bye")
	expect(t, lines, "<end>")
}

// The runtime says "running" for a moment after it has closed the log.
func TestFollowEndsThoughTheRuntimeIsLate(t *testing.T) {
	w := newWorld(t)
	lines, stop := follow(t, w, "")
	defer stop()
	w.append(t, record(1, "stdout", "F", "bye"))
	expect(t, lines, "bye")
	time.AfterFunc(100*time.Millisecond, func() { w.set(runtimeapi.ContainerState_CONTAINER_EXITED) })
	expect(t, lines, "<end>")
}

// A busy log must not ask the runtime for every line.
func TestFollowAsksSeldom(t *testing.T) {
	w := newWorld(t)
	lines, stop := follow(t, w, "")
	defer stop()
	f, err := os.OpenFile(w.log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range 500 {
		fmt.Fprint(f, record(i%60, "stdout", "F", fmt.Sprint(i)))
		if i%10 == 9 {
			for j := i - 9; j <= i; j++ {
				expect(t, lines, fmt.Sprint(j))
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked > 10 {
		t.Errorf("the runtime was asked %d times", w.asked)
	}
}

// The client goes away: nothing stays behind.
func TestFollowEndsWithItsClient(t *testing.T) {
	w := newWorld(t)
	w.append(t, record(1, "stdout", "F", "x"))
	lines, stop := follow(t, w, "")
	expect(t, lines, "x")
	before := countInotify(t)
	stop()
	for end := time.Now().Add(time.Minute); countInotify(t) >= before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the watch is still open")
		}
	}
}

func countInotify(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.Contains(to, "inotify") {
			n++
		}
	}
	return n
}

func TestContainerID(t *testing.T) {
	terminated := func(id string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ContainerID: id}}
	}
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for _, tc := range []struct {
		state, last corev1.ContainerState
		previous    bool
		want        string
	}{
		{running, corev1.ContainerState{}, false, "now"},
		{running, terminated("containerd://before"), false, "now"},
		{running, terminated("containerd://before"), true, "before"},
		{running, corev1.ContainerState{}, true, `previous terminated container "c" in pod "p" not found`},
		{terminated("containerd://dead"), corev1.ContainerState{}, false, "dead"},
		{terminated(""), corev1.ContainerState{}, false, `container "c" in pod "p" is terminated`},
		{waiting("CrashLoopBackOff"), terminated("containerd://before"), false, "before"},
		{waiting("ErrImagePull"), corev1.ContainerState{}, false, `container "c" in pod "p" is waiting to start: image can't be pulled`},
		{waiting("ImagePullBackOff"), corev1.ContainerState{}, false, `container "c" in pod "p" is waiting to start: trying and failing to pull image`},
		{waiting("PodInitializing"), corev1.ContainerState{}, false, `container "c" in pod "p" is waiting to start: PodInitializing`},
		{corev1.ContainerState{}, corev1.ContainerState{}, false, `container "c" in pod "p" is waiting to start - no logs yet`},
	} {
		p := &corev1.Pod{}
		p.Name = "p"
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "c", ContainerID: "containerd://now", State: tc.state, LastTerminationState: tc.last}}
		got, err := ContainerID(p, "c", tc.previous)
		if err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("got %s, want %s", got, tc.want)
		}
	}
	if _, err := ContainerID(&corev1.Pod{}, "c", false); err == nil || err.Error() != `container "c" in pod "" is not available` {
		t.Error(err)
	}
}

// Reading from the tail's offset shows exactly the last lines, wherever the
// blocks of the backward reading fall.
func TestTail(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var log bytes.Buffer
		var want []string
		for i := range rapid.IntRange(0, 40).Draw(rt, "lines") {
			text := fmt.Sprint(i)
			size := rapid.SampledFrom([]int{0, 1, 100, 9000, 70000}).Draw(rt, "size")
			text += strings.Repeat("x", size)
			want = append(want, text+"\n")
			for pieces := rapid.IntRange(0, 2).Draw(rt, "pieces"); pieces > 0 && len(text) > 1; pieces-- {
				log.WriteString(t0 + "stdout P " + text[:1] + "\n")
				text = text[1:]
			}
			log.WriteString(t0 + "stdout F " + text + "\n")
		}
		n := rapid.IntRange(0, 50).Draw(rt, "tail")
		at, err := tailOffset(bytes.NewReader(log.Bytes()), int64(n), true, true)
		if err != nil {
			rt.Fatal(err)
		}
		var got bytes.Buffer
		out := &lineWriter{opts: logOptions{stdout: true, stderr: true}, w: &got, left: -1}
		for _, raw := range bytes.SplitAfter(log.Bytes()[at:], []byte("\n")) {
			if err := out.write(raw); err != nil {
				rt.Fatal(err)
			}
		}
		if wanted := strings.Join(want[max(0, len(want)-n):], ""); got.String() != wanted {
			rt.Fatalf("tail %d of %d: got %d bytes, want %d", n, len(want), got.Len(), len(wanted))
		}
	})
}

func FuzzLogLine(f *testing.F) {
	for _, seed := range []string{
		t0 + "stdout F hello\n", t0 + "stderr P part", t0 + "stdout F:x more\n", t0 + "stdout F\n", t0 + "stdout F", t0, "", " ", "x y z", t0 + "stdin F x", t0 + "stdout  x",
	} {
		f.Add([]byte(seed), int64(3), true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, limit int64, stamps bool) {
		l, err := parseLine(raw)
		if err == nil && (l.time.IsZero() && !bytes.HasPrefix(raw, []byte("0001-01-01")) || !bytes.Contains(append(raw, '\n'), bytes.TrimSuffix(l.text, []byte("\n")))) {
			t.Fatalf("%q became %+v", raw, l)
		}
		var got bytes.Buffer
		out := &lineWriter{opts: logOptions{stdout: true, stderr: true, timestamps: stamps}, w: &got, left: max(limit, -1)}
		if limit == 0 {
			out.left = -1
		}
		if err := out.write(raw); err != nil && !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		if limit > 0 && int64(got.Len()) > limit {
			t.Fatalf("%d bytes written, the limit is %d", got.Len(), limit)
		}
		if _, err := tailOffset(bytes.NewReader(raw), limit, true, true); err != nil {
			t.Fatal(err)
		}
	})
}

func TestParseLogOptions(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	o, err := parseLogOptions(url.Values{"sinceSeconds": {"60"}, "follow": {""}, "timestamps": {"1"}}, now)
	if err != nil || !o.follow || !o.timestamps || o.previous || !o.since.Equal(now.Add(-time.Minute)) || o.tail != -1 || o.limit != -1 {
		t.Errorf("%+v %v", o, err)
	}
	for _, q := range []string{"sinceSeconds=0", "sinceSeconds=x", "limitBytes=0", "sinceTime=yesterday", "sinceTime=2026-11-21T09:00:03Z&sinceSeconds=1", "stream=Both", "follow=maybe", "tailLines=99999999999999999999"} {
		values, _ := url.ParseQuery(q)
		if _, err := parseLogOptions(values, now); err == nil {
			t.Errorf("%s was accepted", q)
		}
	}
}

func TestHealthPodsMetrics(t *testing.T) {
	w := newWorld(t)
	if code, body := w.get(t, "/healthz"); code != http.StatusOK || body != "ok" {
		t.Errorf("%d %s", code, body)
	}
	if code, body := w.get(t, "/pods"); code != http.StatusOK || !strings.Contains(body, `"kind":"PodList"`) || !strings.Contains(body, `"name":"web-0"`) {
		t.Errorf("%d %s", code, body)
	}
	if code, body := w.get(t, "/metrics"); code != http.StatusOK || !strings.Contains(body, "kubelet_running_containers{container_state=\"running\"} 1\n") {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := w.get(t, "/nothing"); code != http.StatusNotFound {
		t.Errorf("%d", code)
	}
}
