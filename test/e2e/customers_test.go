package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/host"
)

// customers use the shop without pause, each request on a connection of its own,
// and count what they get.
type customers struct {
	url   string
	stop  chan struct{}
	stops sync.Once
	done  sync.WaitGroup

	mu       sync.Mutex
	began    time.Time
	requests int
	failures []string
	bought   []string // IDs of orders that were acknowledged
	longest  time.Duration
}

// pause is how long a customer thinks before the next request.
const pause = 10 * time.Millisecond

// visit sends customers from each host: two that look around and one that buys.
func visit(t *testing.T, url string, hosts ...*host.Host) *customers {
	t.Helper()
	c := &customers{url: url, stop: make(chan struct{}), began: time.Now()}
	for _, h := range hosts {
		for i, act := range []func(*http.Client, string) error{c.look, c.look, c.buy} {
			client := clientOn(h)
			who := fmt.Sprintf("%s-%d", h.Name, i)
			c.done.Go(func() { c.live(client, who, act) })
		}
	}
	t.Cleanup(func() { c.leave() })
	return c
}

// clientOn asks from a host's network and never keeps a connection. A request
// that takes half a minute has failed.
func clientOn(h *host.Host) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: h.Dial, DisableKeepAlives: true}}
}

func (c *customers) live(client *http.Client, who string, act func(*http.Client, string) error) {
	for n := 0; ; n++ {
		select {
		case <-c.stop:
			return
		case <-time.After(pause):
		}
		began := time.Now()
		err := act(client, fmt.Sprintf("%s-%d", who, n))
		c.mu.Lock()
		c.requests++
		c.longest = max(c.longest, time.Since(began))
		if err != nil {
			c.failures = append(c.failures, fmt.Sprintf("%s at %s (%s): %v", who, began.Format("15:04:05.000"), time.Since(began).Round(time.Millisecond), err))
		}
		c.mu.Unlock()
	}
}

func (c *customers) look(client *http.Client, _ string) error {
	text, err := request(client, http.MethodGet, c.url+"/", "", "")
	if err == nil && !strings.Contains(text, "<td>anchor<td>12900") {
		err = fmt.Errorf("the page is %q", text)
	}
	return err
}

func (c *customers) buy(client *http.Client, id string) error {
	text, err := request(client, http.MethodPost, c.url+"/orders", id, `{"product":"rope","quantity":2}`)
	if err != nil {
		return err
	}
	var got struct {
		ID    string
		Total int
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.ID != id || got.Total != 1980 {
		return fmt.Errorf("the order %s was answered with %q (%w)", id, text, err)
	}
	c.mu.Lock()
	c.bought = append(c.bought, id)
	c.mu.Unlock()
	return nil
}

// request is one request with its whole answer.
func request(client *http.Client, method, url, id, body string) (string, error) {
	r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	if id != "" {
		r.Header.Set("Idempotency-Key", id)
	}
	response, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return string(text), err
}

// leave lets everybody end what is under way and go.
func (c *customers) leave() {
	c.stops.Do(func() { close(c.stop) })
	c.done.Wait()
}

// mark says how far it is, for the log.
func (c *customers) mark(t *testing.T, after string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Logf("%s: %s, %d requests, %d failed, %d orders, the longest request took %s", after,
		time.Since(c.began).Round(time.Millisecond), c.requests, len(c.failures), len(c.bought), c.longest.Round(time.Millisecond))
}
