package fuzz

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/api"
)

// chooser makes requests out of random choices.
type chooser struct {
	*rand.Rand
	seeds []seeded
}

func (c chooser) of(list ...string) string { return list[c.Intn(len(list))] }
func (c chooser) word() string             { return words[c.Intn(len(words))] }
func (c chooser) chance(n int) bool        { return c.Intn(n) == 0 }

var (
	methods      = []string{"GET", "GET", "POST", "POST", "PUT", "PUT", "PATCH", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE", "get", "PROPFIND", "A B"}
	subresources = []string{"status", "scale", "log", "exec", "attach", "portforward", "binding", "eviction", "ephemeralcontainers", "resize", "token", "finalize", "proxy", "proxy/x", "approval", "nonsense", ".."}
	patchTypes   = []string{"application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml"}
	contentTypes = append([]string{
		"application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "application/cbor", "application/apply-patch+cbor", "text/plain", "", "application/json; charset=utf-16", "multipart/form-data; boundary=x",
		"application/x-www-form-urlencoded", ";;;", "application/json;stream=watch", "*/*",
	}, patchTypes...)
	accepts = []string{
		"*/*", "application/yaml", "application/vnd.kubernetes.protobuf", "application/cbor", "text/html", "", ";;", "application/json;q=2", "application/json;as=Table;v=v1;g=meta.k8s.io",
		"application/json;as=Table;v=v9;g=meta.k8s.io", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json",
		"application/json;as=Pod;v=v1;g=", "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io", "application/json;as=Table;v=v1beta1;g=meta.k8s.io;q=0", "application/json;stream=watch", "application/json;profile=x;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
	}
	parameters = map[string][]string{
		"resourceVersion": {"0", "1", "-1", "abc", "999999999", "18446744073709551615", "18446744073709551616", ""}, "resourceVersionMatch": {"Exact", "NotOlderThan", "exact", ""},
		"continue": {"x", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhIn0", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiYSJ9", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NSwic3RhcnQiOiIuLi8uLi94In0", "e30", "\x00"},
		"limit":    {"0", "1", "-1", "9223372036854775807", "x"}, "timeoutSeconds": {"0", "1", "-1", "x", "9223372036854775807"}, "timeout": {"0s", "1s", "-1s", "x", "1000h", "34s"},
		"watch": {"true", "1", "false", "x", ""}, "allowWatchBookmarks": {"true", "x"}, "sendInitialEvents": {"true", "false", "x"}, "includeObject": {"None", "Object", "x"},
		"fieldSelector": {"metadata.name=a", "spec.nodeName=", "spec.x=y", "a", "=", "metadata.name==a,metadata.name!=b", "metadata.name in (a)", ",", "metadata.name=a\\"}, "labelSelector": {"a=b", "a in (b", "a,!b", "!", "a>1", "a=\x00", "=,=", "a notin (,)"},
		"dryRun": {"All", "all", "None", ""}, "fieldManager": {"m", "", strings.Repeat("m", 200), "\x00"}, "fieldValidation": {"Strict", "Warn", "Ignore", "x"}, "force": {"true", "x", ""}, "pretty": {"1", "x"},
		"propagationPolicy": {"Foreground", "Background", "Orphan", "x"}, "gracePeriodSeconds": {"0", "-1", "x", "9223372036854775807"}, "orphanDependents": {"true", "x"}, "ignoreStoreReadErrorWithClusterBreakingPotential": {"true", "x"},
		"container": {"c", "x", "\x00"}, "tailLines": {"-1", "x"}, "limitBytes": {"-1", "0"}, "sinceSeconds": {"0", "-1"}, "sinceTime": {"x"}, "follow": {"true"}, "previous": {"true", "x"}, "stream": {"Stdout", "x"}, "command": {"x"}, "stdin": {"1"}, "stdout": {"x"}, "tty": {"1"}, "ports": {"80", "x", "-1"}, "path": {"../../x"},
		"%": {"%"}, "a;b": {"c"},
	}
	stray = []string{
		"/", "/api", "/api/", "/api/v1", "/api/v2", "/api/v1/nothings", "/apis", "/apis/apps", "/apis/apps/v1", "/apis/apps/v9/x", "/apis//v1", "/apis/nothing.example.com/v1/x", "/api/v1/namespaces//pods", "/api/v1/namespaces/default", "/api/v1/namespaces/default/nothings/x",
		"/api/v1/watch/pods", "/api/v1/watch/namespaces/default/pods/a", "/api/v1/proxy/x", "/version", "/healthz", "/healthz/etcd", "/livez/x", "/readyz", "/metrics", "/openapi/v2", "/openapi/v3", "/openapi/v3/api/v1", "/openapi/v3/x", "/.well-known/openid-configuration", "/openid/v1/jwks", "/logs", "/debug/pprof/", "/debug/flags/v", "/ui", "/../etc/passwd", "//api//v1", "/api/v1/namespaces/default/pods/a/log/x", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "/apis/authentication.k8s.io/v1/tokenreviews", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "/api/v1/namespaces/default/bindings",
	}
)

// request makes one; mostly near to sound ones, which get farther.
func (c chooser) request() request {
	s := c.seeds[c.Intn(len(c.seeds))]
	r := request{Method: methods[c.Intn(len(methods)-6*c.Intn(2))], Header: http.Header{}}
	named := c.chance(2) || r.Method == "PUT" || r.Method == "PATCH"
	switch {
	case c.chance(10):
		r.Path = c.of(stray...)
	case named:
		r.Path = s.path + "/" + s.name
		if c.chance(3) {
			r.Path += "/" + c.of(subresources...)
		}
		if c.chance(12) {
			r.Path = s.path + "/" + c.of(c.word(), strings.Repeat("n", 10<<10), "%2e%2e", "\xff\xfe")
		}
	case c.chance(12):
		r.Path = collection(s.kind, c.of("", "x", c.word(), "kube-system", strings.Repeat("n", 10<<10)))
	default:
		r.Path = s.path
	}
	r.Query = c.query()
	c.headers(r.Header)
	switch {
	case r.Method == "PATCH":
		c.patch(&r, s)
	case r.Method == "DELETE" && !named && !c.chance(20):
		r.Query += "&dryRun=All" // or nothing would be left
	case r.Method == "POST" || r.Method == "PUT" || c.chance(8):
		c.object(&r, s)
	}
	if c.chance(40) {
		r.Header.Set("Content-Type", c.of(contentTypes...))
	}
	return r
}

func (c chooser) query() string {
	values := url.Values{}
	names := make([]string, 0, len(parameters))
	for name := range parameters {
		names = append(names, name)
	}
	// Order matters to choices that shall be repeatable.
	slices.Sort(names)
	for range c.Intn(3) {
		name := names[c.Intn(len(names))]
		value := c.of(parameters[name]...)
		if c.chance(8) {
			value = c.word()
		}
		values.Add(name, value)
	}
	text := values.Encode()
	if c.chance(60) {
		text += c.of("&%zz=%", "&a=%00", "&;", "&"+strings.Repeat("q", 5000))
	}
	return text
}

func (c chooser) headers(h http.Header) {
	if c.chance(4) {
		h.Set("Accept", c.of(accepts...))
	}
	if c.chance(20) {
		for range 1 + c.Intn(3) {
			h.Add(c.of("Impersonate-User", "Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-a%zz", "Impersonate-Extra-", "Impersonate-Extra-Scopes"),
				c.of("", "x", "system:node:n1", "system:serviceaccount:default:default", "system:serviceaccount::", "system:masters", "system:anonymous", "é", strings.Repeat("u", 3000)))
		}
	}
	if c.chance(40) {
		h.Set("Upgrade", c.of("websocket", "SPDY/3.1", "h2c", "x"))
		h.Set("Connection", "Upgrade")
		h.Set("Sec-Websocket-Version", c.of("13", "x"))
		h.Set("Sec-Websocket-Key", c.of("dGhlIHNhbXBsZSBub25jZQ==", ""))
		h.Set("Sec-Websocket-Protocol", c.of("v4.channel.k8s.io", "v5.channel.k8s.io", "base64.channel.k8s.io", "x", ""))
	}
	if c.chance(40) {
		h.Set(c.of("Range", "If-Match", "If-None-Match", "X-Http-Method-Override", "Expect", "Audit-Id", "Traceparent", "X-Forwarded-For", "Origin", "Authorization"), c.headerWord())
	}
}

// headerWord is a word that may stand in a header.
func (c chooser) headerWord() string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return 'x'
		}
		return r
	}, c.word())
}

// object gives r a body: an object of s's kind, changed or broken.
func (c chooser) object(r *request, s seeded) {
	m := s.manifest
	if !c.chance(10) {
		m = mutate(c.Rand, m)
	}
	if c.chance(20) {
		m = manifest(c.others())
	}
	if c.chance(15) {
		meta, _ := m["metadata"].(map[string]any)
		if meta != nil {
			meta = runtime.DeepCopyJSON(meta)
			meta[c.of("resourceVersion", "uid", "managedFields", "ownerReferences", "finalizers", "deletionTimestamp", "generateName", "namespace", "selfLink", "generation", "labels", "annotations")] = c.meta()
			m = runtime.DeepCopyJSON(m)
			m["metadata"] = meta
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return
	}
	r.Body = text
	r.Header.Set("Content-Type", "application/json")
	switch c.Intn(12) {
	case 0:
		if r.Body, err = yaml.JSONToYAML(text); err == nil {
			r.Header.Set("Content-Type", "application/yaml")
		}
	case 1:
		if endless(text) {
			break
		}
		if obj, _, err := decode(text); err == nil {
			c.protobuf(r, s.kind, obj)
		}
	case 2:
		r.Body = c.damage(r.Body)
	}
	if c.chance(60) {
		r.Body = bytes.Replace(r.Body, []byte(`"a"`), []byte(c.of("\"\x00\"", "\"\xff\xfe\"", `"\ud800"`, `"\u0000"`, "1e999999999", "01", "NaN", "'a'", "\"a\",\"a\":\"b\"")), 1)
	}
	if c.chance(100) {
		r.Header.Set("Content-Encoding", c.of("gzip", "deflate", "x"))
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(r.Body)
		_ = z.Close()
		r.Body = b.Bytes()
	}
}

func (c chooser) protobuf(r *request, k api.Kind, obj runtime.Object) {
	for _, info := range api.Codecs.SupportedMediaTypes() {
		if info.MediaType != runtime.ContentTypeProtobuf {
			continue
		}
		var b bytes.Buffer
		if _, ok := obj.(interface{ Marshal() ([]byte, error) }); !ok {
			return
		}
		if api.Codecs.EncoderForVersion(info.Serializer, k.GVK.GroupVersion()).Encode(obj, &b) != nil {
			return
		}
		r.Header.Set("Content-Type", runtime.ContentTypeProtobuf)
		if r.Body = b.Bytes(); c.chance(2) {
			r.Body = c.damage(r.Body)
		}
	}
}

// damage damages text somewhere.
func (c chooser) damage(text []byte) []byte {
	text = bytes.Clone(text)
	if len(text) == 0 {
		return text
	}
	i := c.Intn(len(text))
	switch c.Intn(4) {
	case 0:
		return text[:i]
	case 1:
		text[i] ^= 1 << c.Intn(8)
	case 2:
		return append(text[:i:i], append([]byte(c.of("\x00", "{", "]", "\"", "\xc3\x28", "null", ",")), text[i:]...)...)
	default:
		return append(text, text[i:]...)
	}
	return text
}

// others are bodies that belong to other endpoints.
func (c chooser) others() map[string]any {
	kind := c.of("DeleteOptions", "Status", "Scale", "Eviction", "Binding", "TokenRequest", "List", "PodList", "Table", "PatchOptions", "WatchEvent", "SubjectAccessReview", "SelfSubjectReview", "TokenReview", "Nothing")
	version := c.of("v1", "meta.k8s.io/v1", "autoscaling/v1", "policy/v1", "authentication.k8s.io/v1", "authorization.k8s.io/v1", "apps/v1", "x/y/z", "")
	return map[string]any{
		"kind": kind, "apiVersion": version, "metadata": map[string]any{"name": c.of("a", "b", "", c.word())},
		"spec":          odd(c.Rand),
		"preconditions": map[string]any{"uid": c.word(), "resourceVersion": c.word()}, "dryRun": []any{c.of("All", "x")},
		"target": map[string]any{"kind": c.of("Node", "", "x"), "name": c.word()}, "deleteOptions": map[string]any{"gracePeriodSeconds": odd(c.Rand), "dryRun": []any{"All"}},
		"items": []any{odd(c.Rand)},
	}
}

// meta is a value for a field of the metadata.
func (c chooser) meta() any {
	entry := map[string]any{"manager": c.word(), "operation": c.of("Update", "Apply", "x"), "apiVersion": c.of("v1", "apps/v1", "x/y/z"), "fieldsType": c.of("FieldsV1", "x"), "fieldsV1": map[string]any{c.of("f:spec", "k:{", "v:1", "", ".", "i:9999999999"): odd(c.Rand)}}
	owner := map[string]any{"apiVersion": c.of("v1", "apps/v1", ""), "kind": c.of("ConfigMap", "Pod", ""), "name": "a", "uid": c.of("u", ""), "controller": true, "blockOwnerDeletion": c.chance(2)}
	many := map[string]any{}
	for i := range 3000 {
		many[fmt.Sprintf("example.com/%d", i)] = strings.Repeat("v", c.number(0, 60, 100))
	}
	return []any{[]any{entry}, []any{owner, owner}, many, "0", "1", "999999999", "-1", "18446744073709551616", "x", []any{"orphan", "foregroundDeletion", "example.com/f"}, nil, "2026-01-02T03:04:05Z", int64(-1)}[c.Intn(13)]
}

func (c chooser) number(list ...int) int { return list[c.Intn(len(list))] }
