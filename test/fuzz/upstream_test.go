package fuzz

import (
	"crypto/tls"
	"flag"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	upstreamURL   = flag.String("upstream", "", "URL of an upstream kube-apiserver that is asked the same, to see where answers differ")
	upstreamToken = flag.String("token", "", "bearer token of an administrator there")
)

// upstream is the door of the server to compare with; ok is false without one.
func upstream(t testing.TB) (d door, ok bool) {
	t.Helper()
	if *upstreamURL == "" {
		return door{}, false
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return door{
		name: "upstream", base: *upstreamURL, client: &http.Client{Transport: transport},
		header: http.Header{"Authorization": {"Bearer " + *upstreamToken}},
	}, true
}

// differences collects where two servers' answers differ, one line each kind.
type differences map[string]string

var varying = []*regexp.Regexp{
	regexp.MustCompile(`"{.*}"`), regexp.MustCompile(`"[^"]*"`), regexp.MustCompile(`\d+`), regexp.MustCompile(`é+`), regexp.MustCompile(`aaa+`), regexp.MustCompile(`nnn+`),
}

// internal are Go types' names in messages: ours have other packages.
var internal = regexp.MustCompile(`\((\*?)[a-z0-9]+\.`)

func shape(text string) string {
	for _, v := range varying {
		text = v.ReplaceAllString(text, "~")
	}
	return text
}

func (d differences) add(r request, ours, theirs answer) {
	if ours.Err != nil || theirs.Err != nil {
		return
	}
	reason, message, _ := ours.status()
	theirReason, theirMessage, _ := theirs.status()
	message, theirMessage = internal.ReplaceAllString(message, "($1"), internal.ReplaceAllString(theirMessage, "($1")
	if ours.Code == theirs.Code && reason == theirReason && (message == theirMessage || ours.Code < 400) {
		return
	}
	key := fmt.Sprintf("%d %s | %d %s", ours.Code, shape(message), theirs.Code, shape(theirMessage))
	d[key] = fmt.Sprintf("ours   %d %s %s\ntheirs %d %s %s\nasked  %s\n", ours.Code, reason, message, theirs.Code, theirReason, theirMessage, r)
}

func (d differences) String() string {
	lines := make([]string, 0, len(d))
	for _, text := range d {
		lines = append(lines, text)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
