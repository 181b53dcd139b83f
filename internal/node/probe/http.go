package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// UserAgent is how probes introduce themselves.
const UserAgent = "kube-probe/1.37"

// transport is shared by all probes and keeps no connection open.
var transport = &http.Transport{
	DisableKeepAlives:  true,
	DisableCompression: true,
	TLSClientConfig:    &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // a probe asks whether it lives, not who it is
	Proxy:              nil,
	DialContext:        (&net.Dialer{Timeout: time.Minute}).DialContext,
}

var client = &http.Client{Transport: transport, CheckRedirect: sameHost}

func sameHost(r *http.Request, via []*http.Request) error {
	if r.URL.Hostname() != via[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(via) >= 10 {
		return errors.New("stopped after 10 redirects")
	}
	return nil
}

// Request builds the request of an httpGet action, of probes and hooks alike.
func Request(ctx context.Context, a *corev1.HTTPGetAction, c *corev1.Container, ip string) (*http.Request, error) {
	port, err := Port(a.Port, c)
	if err != nil {
		return nil, err
	}
	host := a.Host
	if host == "" {
		host = ip
	}
	scheme := strings.ToLower(string(a.Scheme))
	if scheme == "" {
		scheme = "http"
	}
	u, err := url.Parse(a.Path)
	if err != nil {
		u = &url.URL{Path: a.Path}
	}
	u.Scheme, u.Host = scheme, net.JoinHostPort(host, strconv.Itoa(port))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for _, h := range a.HTTPHeaders {
		r.Header.Add(h.Name, h.Value)
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", UserAgent)
	}
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "*/*")
	}
	if h := r.Header.Get("Host"); h != "" {
		r.Host = h
	}
	return r, nil
}

func askHTTP(ctx context.Context, t Target, a *corev1.HTTPGetAction) (bool, string, error) {
	r, err := Request(ctx, a, t.Container, t.IP)
	if err != nil {
		return false, "", err
	}
	res, err := client.Do(r)
	if err != nil {
		return false, err.Error(), nil
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, longestOutput))
	if res.StatusCode >= http.StatusOK && res.StatusCode < http.StatusBadRequest {
		return true, string(body), nil
	}
	return false, fmt.Sprintf("HTTP probe failed with statuscode: %d", res.StatusCode), nil
}

// Get does the httpGet action of a hook. As upstream, any answer will do, and
// one in plain HTTP to a request over TLS is asked for again in plain HTTP:
// then plain is the host that was asked.
func Get(ctx context.Context, a *corev1.HTTPGetAction, c *corev1.Container, ip string) (plain string, err error) {
	r, err := Request(ctx, a, c, ip)
	if err != nil {
		return "", err
	}
	err = answered(r)
	if err == nil || !strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return "", err
	}
	again := r.Clone(ctx)
	again.URL.Scheme = "http"
	again.Header.Del("Authorization")
	if answered(again) != nil {
		return "", err
	}
	return r.URL.Host, nil
}

func answered(r *http.Request) error {
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, longestOutput))
	return nil
}
