package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPodIsRealistic(t *testing.T) {
	p := newPod(many, podName(12345))
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) < 1800 || len(text) > 2600 {
		t.Errorf("a pod of %d bytes; about 2 KB is wanted", len(text))
	}
}

// The time of a write is found in an object's encoded forms.
func TestStamp(t *testing.T) {
	p := newPod(watched, "orders-0")
	at := time.Unix(1700000000, 123456789)
	stamp(p, at)
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	binary, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, encoded := range map[string]string{"JSON": string(text), "protobuf": string(binary), "value": p.Annotations[sentAt]} {
		if got, ok := stamped(encoded); !ok || !got.Equal(at) {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
	for _, without := range []string{"", "sent-at-", "sent-at-12", "sent-at-123456789012345678x"} {
		if _, ok := stamped(without); ok {
			t.Errorf("%q has a time", without)
		}
	}
}

func TestContinuation(t *testing.T) {
	const token = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MTIsInN0YXJ0Ijoib3JkZXJzLTFcdTAwMDAifQ"
	remaining := int64(9500)
	list := &corev1.PodList{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"},
		ListMeta: metav1.ListMeta{ResourceVersion: "12", Continue: token, RemainingItemCount: &remaining},
		Items:    []corev1.Pod{*newPod(many, "orders-0")},
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	binary, err := list.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, encoded := range map[string][]byte{"JSON": text, "protobuf": binary} {
		if got := string(continuation.Find(encoded[:1024])); got != token {
			t.Errorf("%s: %q", name, got)
		}
	}
	list.Continue = ""
	if text, err = json.Marshal(list); err != nil {
		t.Fatal(err)
	}
	if got := continuation.Find(text); got != nil {
		t.Errorf("the last page goes on at %q", got)
	}
}

func TestEach(t *testing.T) {
	var mu sync.Mutex
	var got []int
	err := each(t.Context(), 3, 10, func(_ context.Context, i int) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, i)
		return nil
	})
	slices.Sort(got)
	if diff := cmp.Diff([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	broken := errors.New("broken")
	calls := 0
	err = each(t.Context(), 1, 10, func(_ context.Context, i int) error {
		calls++
		if i == 4 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) || calls != 5 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// Every watcher counts each event once, whatever else comes between.
func TestCrowd(t *testing.T) {
	frame := func(body []byte) []byte { return append([]byte{0, 0, byte(len(body) >> 8), byte(len(body))}, body...) }
	p := newPod(watched, "orders-0")
	unstamped, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	stamp(p, time.Now())
	body, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	stream := slices.Concat(frame(unstamped), frame(body), frame(unstamped), frame(body))
	c := &crowd{seen: []*watcher{{}, {}}, all: make(chan struct{}, 1)}
	c.expect(4)
	for _, w := range c.seen {
		go c.read(w, closed{bytes.NewReader(stream)})
	}
	if err := c.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(c.delays()); n != 4 {
		t.Errorf("%d delays", n)
	}
}

type closed struct{ *bytes.Reader }

func (closed) Close() error { return nil }

// Every row is measured by somebody, and every step is found.
func TestSteps(t *testing.T) {
	for _, s := range append(slices.Clone(Writing), Reading...) {
		if found, ok := FindStep(s.Name); !ok || found.Name != s.Name {
			t.Errorf("%s is not found", s.Name)
		}
	}
	if _, ok := FindStep("none"); ok {
		t.Error("a step that does not exist is found")
	}
}
