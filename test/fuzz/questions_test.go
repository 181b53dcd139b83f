package fuzz

import (
	"bytes"
	"fmt"
	"strings"
)

// questions are well-known wrong requests in the order of asking.
func questions() []question {
	return append(append(append(bodies(), patchesAsked()...), reads()...), objects()...)
}

func bodies() []question {
	pad := strings.Repeat("x", limit)
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	deepMap := strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)
	return []question{
		post("no body", maps, "", "", []byte{}),
		post("empty object", maps, "", "", []byte("{}")),
		post("null", maps, "", "", []byte("null")),
		post("an array", maps, "", "", []byte("[]")),
		post("a string", maps, "", "", []byte(`"x"`)),
		post("a number", maps, "", "", []byte(`1`)),
		post("cut short", maps, "", "", []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"na`)),
		post("trailing garbage", maps, "", "", append(dataMap("t", ""), "garbage"...)),
		post("two documents", maps, "", "", append(dataMap("t", ""), dataMap("u", "")...)),
		post("NUL bytes", maps, "", "", []byte("\x00\x00\x00")),
		post("NUL in a name", maps, "", "", dataMap(`a\u0000b`, "")),
		post("bad UTF-8 in a name", maps, "", "", dataMap("a\xff\xfe", "")),
		post("lone surrogate in a name", maps, "", "", dataMap(`\ud800`, "")),
		post("too large", maps, "", "", dataMap("big", `,"annotations":{"a":"`+pad+`"}`)),
		post("too large by one byte", maps, "", "", sized(limit+1)),
		post("just not too large", maps, "", "", sized(limit)),
		post("gzip that is not accepted", maps, "dryRun=All", "application/json", zipped(dataMap("zip", "")), "Content-Encoding", "gzip"),
		post("deep list", maps, "", "", []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"deep"},"x":`+deep+`}`)),
		post("deep map", maps, "", "", []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"deep"},"x":`+deepMap+`}`)),
		post("deep list in a strict request", maps, "fieldValidation=Strict", "", []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"deep"},"x":`+deep+`}`)),
		post("deep YAML", maps, "", "application/yaml", []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: deep}\nx: "+deep)),
		post("YAML with aliases of aliases", maps, "", "application/yaml", bomb()),
		post("YAML with a tab", maps, "", "application/yaml", []byte("apiVersion: v1\n\tkind: x")),
		post("duplicate keys, strict", maps, "fieldValidation=Strict", "", dataMap("dup", `,"name":"dup2"`)),
		post("unknown field, strict", maps, "fieldValidation=Strict", "", dataMap("unk", `,"colour":"red"`)),
		post("unknown way to check fields", maps, "fieldValidation=Loose", "", dataMap("unk", "")),
		post("null everywhere", maps, "", "", []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":null,"data":null}`)),
		post("wrong kind", maps, "", "", []byte(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}`)),
		post("unknown kind", maps, "", "", []byte(`{"apiVersion":"v1","kind":"Nothing","metadata":{"name":"x"}}`)),
		post("object of an unknown group", maps, "", "", []byte(`{"apiVersion":"nothing/v1","kind":"ConfigMap","metadata":{"name":"x"}}`)),
		post("impossible version", maps, "", "", []byte(`{"apiVersion":"a/b/c","kind":"ConfigMap","metadata":{"name":"x"}}`)),
		post("kind is a number", maps, "", "", []byte(`{"apiVersion":"v1","kind":1}`)),
		post("data is a list", maps, "", "", dataMap("l", `},"data":["x"],"x":{`)),
		post("label is a number", maps, "", "", dataMap("l", `,"labels":{"a":1}`)),
		post("number out of range", "/apis/apps/v1/namespaces/default/statefulsets", "", "", []byte(`{"metadata":{"name":"x"},"spec":{"replicas":99999999999999999999}}`)),
		post("number with a fraction", "/apis/apps/v1/namespaces/default/statefulsets", "", "", []byte(`{"metadata":{"name":"x"},"spec":{"replicas":1.5}}`)),
		post("text for a number", "/apis/apps/v1/namespaces/default/statefulsets", "", "", []byte(`{"metadata":{"name":"x"},"spec":{"replicas":"3"}}`)),
		post("bad base64", "/api/v1/namespaces/default/secrets", "", "", []byte(`{"metadata":{"name":"x"},"data":{"a":"%%%"}}`)),
		post("plain text", maps, "", "text/plain", []byte("hello")),
		post("unreadable content type", maps, "", ";;;", dataMap("x", "")),
		post("form", maps, "", "application/x-www-form-urlencoded", []byte("a=b")),
		post("garbage as protobuf", maps, "", proto, []byte("garbage")),
		post("empty protobuf", maps, "", proto, []byte("k8s\x00")),
		post("broken protobuf", maps, "", proto, []byte("k8s\x00\x0a\xff\xff\xff\xff\x0f")),
		post("JSON as protobuf", maps, "", proto, dataMap("x", "")),
		post("JSON said to be YAML", maps, "dryRun=All", "application/yaml", dataMap("x", "")),
		post("CBOR", maps, "", "application/cbor", []byte("\xd9\xd9\xf7\xa0")),
		post("quantity without end", "/api/v1/namespaces/default/persistentvolumeclaims", "", "", []byte(`{"metadata":{"name":"q"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"one"}}}}`)),
	}
}

// sized is an object of exactly n bytes.
func sized(n int) []byte {
	start, end := []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"Sized"},"data":{"a":"`), []byte(`"}}`)
	return bytes.Join([][]byte{start, bytes.Repeat([]byte("x"), n-len(start)-len(end)), end}, nil)
}

func patchesAsked() []question {
	var copies strings.Builder
	for i := range 30 {
		fmt.Fprintf(&copies, `{"op":"copy","from":"/data","path":"/data/x%d"},`, i)
	}
	many := strings.TrimSuffix(strings.Repeat(`{"op":"test","path":"/kind","value":"ConfigMap"},`, 10_001), ",")
	return []question{
		patch("patch of no type", oneMap, "", "", `{}`),
		patch("patch of an unknown type", oneMap, "", "application/json", `{}`),
		patch("JSON patch that is no list", oneMap, "", jsonPatch, `{}`),
		patch("JSON patch that is no JSON", oneMap, "", jsonPatch, `[`),
		patch("JSON patch with an unknown operation", oneMap, "", jsonPatch, `[{"op":"explode","path":"/data"}]`),
		patch("JSON patch without a path", oneMap, "", jsonPatch, `[{"op":"add","value":1}]`),
		patch("JSON patch of what is not there", oneMap, "", jsonPatch, `[{"op":"remove","path":"/data/nothing"}]`),
		patch("JSON patch with a failed test", oneMap, "", jsonPatch, `[{"op":"test","path":"/data/a","value":"zzz"}]`),
		patch("JSON patch that copies and copies", oneMap, "", jsonPatch, "["+strings.TrimSuffix(copies.String(), ",")+"]"),
		patch("JSON patch that is too long", oneMap, "", jsonPatch, "["+many+"]"),
		patch("JSON patch with an absurd index", "/api/v1/namespaces/default/pods/b", "", jsonPatch, `[{"op":"add","path":"/spec/containers/99999999999","value":{}}]`),
		patch("JSON patch with a negative index", "/api/v1/namespaces/default/pods/b", "", jsonPatch, `[{"op":"remove","path":"/spec/containers/-1"}]`),
		patch("JSON patch of the name", oneMap, "", jsonPatch, `[{"op":"replace","path":"/metadata/name","value":"z"}]`),
		patch("JSON patch of the whole", oneMap, "", jsonPatch, `[{"op":"replace","path":"","value":null}]`),
		patch("merge patch that is no JSON", oneMap, "", merge, `{"a"`),
		patch("merge patch that is a list", oneMap, "", merge, `[]`),
		patch("merge patch that is null", oneMap, "", merge, `null`),
		patch("merge patch with a wrong type", oneMap, "", merge, `{"data":[1]}`),
		patch("merge patch of the kind", oneMap, "", merge, `{"kind":"Secret"}`),
		patch("merge patch of the uid", oneMap, "", merge, `{"metadata":{"uid":"other"}}`),
		patch("merge patch with an old version", oneMap, "", merge, `{"metadata":{"resourceVersion":"1"}}`),
		patch("merge patch with an absurd version", oneMap, "", merge, `{"metadata":{"resourceVersion":"many"}}`),
		patch("strategic patch that is a list", oneMap, "", smp, `[]`),
		patch("strategic patch with an unknown directive", onePod, "", smp, `{"spec":{"$patch":"explode"}}`),
		patch("strategic patch without the merge key", onePod, "", smp, `{"spec":{"containers":[{"image":"x"}]}}`),
		patch("strategic patch with a map for a list", onePod, "", smp, `{"spec":{"containers":{"name":"x"}}}`),
		patch("strategic patch with a text for a list", onePod, "", smp, `{"spec":{"containers":"x"}}`),
		patch("strategic patch with a wrong order", onePod, "", smp, `{"spec":{"$setElementOrder/containers":[{"name":"z"}],"containers":[{"name":"y","image":"x"}]}}`),
		patch("apply without a manager", oneMap, "", apply, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`),
		patch("apply with a manager too long", oneMap, "fieldManager="+strings.Repeat("m", 129), apply, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`),
		patch("apply of nothing", oneMap, "fieldManager=m", apply, ``),
		patch("apply of null", oneMap, "fieldManager=m", apply, `null`),
		patch("apply without a kind", oneMap, "fieldManager=m", apply, `{"metadata":{"name":"a"}}`),
		patch("apply of another kind", oneMap, "fieldManager=m", apply, `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}`),
		patch("apply to another name", oneMap, "fieldManager=m", apply, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}`),
		patch("apply with an unknown field", oneMap, "fieldManager=m", apply, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"colour":"red"}`),
		patch("apply with managed fields", oneMap, "fieldManager=m", apply, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","managedFields":[{"manager":"x"}]}}`),
		patch("apply with duplicate keys", oneMap, "fieldManager=m", apply, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: b, a: c}\n"),
		patch("apply in conflict", oneMap, "fieldManager=other", apply, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"z"}}`),
		patch("force without apply", oneMap, "force=true", merge, `{}`),
		patch("deep merge patch", oneMap, "", merge, strings.Repeat(`{"a":`, 20_000)+"1"+strings.Repeat("}", 20_000)),
		patch("patch of what is not there", maps+"/nothing", "", merge, `{}`),
		patch("patch of a collection", maps, "", merge, `{}`),
	}
}

func reads() []question {
	pods := "/api/v1/namespaces/default/pods"
	return []question{
		get("unknown resource", "/api/v1/namespaces/default/nothings", ""),
		get("unknown group", "/apis/nothing.example.com/v1/nothings", ""),
		get("unknown subresource", onePod+"/nothing", ""),
		get("name of ten thousand bytes", maps+"/"+strings.Repeat("n", 10_000), ""),
		get("name with a percent sign", maps+"/%", ""),
		get("name with two dots", maps+"/..", ""),
		get("absurd version", oneMap, "resourceVersion=abc"),
		get("version of the future", oneMap, "resourceVersion=99999999999999&timeout=1s"),
		get("list at an absurd version", maps, "resourceVersion=abc"),
		get("list with a negative version", maps, "resourceVersion=-1"),
		get("list at exactly nothing", maps, "resourceVersionMatch=Exact"),
		get("list at exactly zero", maps, "resourceVersion=0&resourceVersionMatch=Exact"),
		get("list with an unknown match", maps, "resourceVersion=5&resourceVersionMatch=Sometimes"),
		get("list continued from garbage", maps, "limit=1&continue=garbage"),
		get("list continued from elsewhere", maps, "limit=1&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NSwic3RhcnQiOiIuLi8uLi94In0"),
		get("list continued from another version", maps, "limit=1&continue=eyJ2IjoieCIsInJ2Ijo1LCJzdGFydCI6ImEifQ"),
		get("list continued at a version", maps, "limit=1&resourceVersion=5&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NSwic3RhcnQiOiJhIn0"),
		get("limit that is no number", maps, "limit=many"),
		get("timeout that is no number", maps, "timeoutSeconds=long"),
		get("timeout that is no duration", maps, "timeout=long"),
		get("watch with an absurd version", maps, "watch=true&resourceVersion=abc"),
		get("watch with a match", maps, "watch=true&resourceVersionMatch=NotOlderThan"),
		get("watch of initial events without a match", maps, "watch=true&sendInitialEvents=true"),
		get("watch of initial events with a wrong match", maps, "watch=true&sendInitialEvents=true&resourceVersionMatch=Exact&allowWatchBookmarks=true"),
		get("watch of initial events without bookmarks", maps, "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
		get("list with initial events", maps, "sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
		get("unknown field selector", pods, "fieldSelector=spec.nothing%3Dx"),
		get("broken field selector", pods, "fieldSelector=a"),
		get("broken label selector", pods, "labelSelector=a%20in%20(b"),
		get("label selector with a bad value", pods, "labelSelector=a%3D%2F"),
		get("label selector with a bad number", pods, "labelSelector=a%3Ex"),
		get("unacceptable", oneMap, "", "Accept", "text/html"),
		get("table of an unknown version", oneMap, "", "Accept", "application/json;as=Table;v=v9;g=meta.k8s.io"),
		get("list as one object's metadata", maps, "", "Accept", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"),
		get("object as list of metadata", oneMap, "", "Accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"),
		get("as another kind", oneMap, "", "Accept", "application/json;as=Pod;v=v1;g="),
		get("table with unknown objects", oneMap, "includeObject=Nothing", "Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"),
		get("nobody impersonated", oneMap, "", "Impersonate-Group", "x"),
		get("impersonated without rights", oneMap, "", "Impersonate-User", "jane"),
		get("impersonated account that is none", oneMap, "", "Impersonate-User", "system:serviceaccount:x"),
		get("impersonated with a bad extra", oneMap, "", "Impersonate-User", "jane", "Impersonate-Extra-a%zz", "x"),
		get("log of no container", onePod+"/log", "container=nothing"),
		get("log with negative lines", onePod+"/log", "tailLines=-1"),
		get("log with zero bytes", onePod+"/log", "limitBytes=0"),
		get("log since two times", onePod+"/log", "sinceSeconds=1&sinceTime=2026-01-02T03:04:05Z"),
		get("log since no time", onePod+"/log", "sinceTime=x"),
		get("exec without upgrade", onePod+"/exec", "command=x"),
		get("exec of nothing", onePod+"/exec", ""),
		get("attach to nothing", onePod+"/attach", ""),
		{"method that is none", request{Method: "PROPFIND", Path: oneMap}},
		{"put to a collection", request{Method: "PUT", Path: maps, Body: dataMap("a", "")}},
		post("post to an object", oneMap, "", "", dataMap("a", "")),
		del("delete of what is not there", maps+"/nothing", "", ""),
		del("delete with a bad body", oneMap, "", `{"kind":"Pod","apiVersion":"v1"}`),
		del("delete with an unknown option", oneMap, "", `{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Sometimes"}`),
		del("delete with two policies", oneMap, "", `{"orphanDependents":true,"propagationPolicy":"Foreground"}`),
		del("delete with a negative grace period", oneMap, "dryRun=All&gracePeriodSeconds=-9", ""),
		del("delete with a grace period that is none", oneMap, "gracePeriodSeconds=x", ""),
		del("delete with another uid", oneMap, "", `{"preconditions":{"uid":"other"}}`),
		del("delete with an old version", oneMap, "", `{"preconditions":{"resourceVersion":"1"}}`),
		del("delete with an unknown dry run", oneMap, "dryRun=Maybe", ""),
		del("delete of the default namespace", "/api/v1/namespaces/default", "", ""),
		del("delete of all namespaces", "/api/v1/namespaces", "", ""),
	}
}

func objects() []question {
	pods := "/api/v1/namespaces/default/pods"
	long := strings.Repeat("v", 256<<10)
	return []question{
		post("no name", maps, "", "", []byte(`{"metadata":{}}`)),
		post("name in capitals", maps, "", "", dataMap("Capital", "")),
		post("create with a name of ten thousand bytes", maps, "", "", dataMap(strings.Repeat("n", 10_000), "")),
		post("name with a slash", maps, "", "", dataMap("a/b", "")),
		post("name of dots", maps, "", "", dataMap("..", "")),
		post("name that is there", maps, "", "", dataMap("a", "")),
		post("generated name too long", maps, "dryRun=All", "", []byte(`{"metadata":{"generateName":"`+strings.Repeat("G", 300)+`"}}`)),
		post("other namespace", maps, "", "", dataMap("x", `,"namespace":"other"`)),
		post("namespace that is not there", "/api/v1/namespaces/nothing/configmaps", "", "", dataMap("x", "")),
		post("namespace that cannot be", "/api/v1/namespaces/Not%20a%20name/configmaps", "", "", dataMap("x", "")),
		post("version on create", maps, "", "", dataMap("x", `,"resourceVersion":"5"`)),
		post("annotations too large", maps, "", "", dataMap("x", `,"annotations":{"a":"`+long+`"}`)),
		post("bad label", maps, "", "", dataMap("x", `,"labels":{"a/b/c":""}`)),
		post("bad annotation key", maps, "", "", dataMap("x", `,"annotations":{"/":""}`)),
		post("bad finalizer", maps, "", "", dataMap("x", `,"finalizers":["x"]`)),
		post("owner without uid", maps, "", "", dataMap("x", `,"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"a"}]`)),
		post("two controllers", maps, "", "", dataMap("x", `,"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"1","controller":true},{"apiVersion":"v1","kind":"ConfigMap","name":"b","uid":"2","controller":true}]`)),
		post("owner that is an event", maps, "", "", dataMap("x", `,"ownerReferences":[{"apiVersion":"v1","kind":"Event","name":"a","uid":"1"}]`)),
		post("managed fields that are none", maps, "dryRun=All", "", dataMap("x", `,"managedFields":[{"manager":"m","operation":"Explode","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{}}]`)),
		post("managed fields of an unknown type", maps, "dryRun=All", "", dataMap("x", `,"managedFields":[{"manager":"m","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV9"}]`)),
		post("bad key", maps, "", "", dataMap("x", `},"data":{"a/b":""},"x":{`)),
		post("key twice", maps, "", "", dataMap("x", `},"data":{"a":""},"binaryData":{"a":""},"x":{`)),
		post("too much data", maps, "", "", dataMap("x", `},"data":{"a":"`+strings.Repeat("x", 1<<20)+`y"},"x":{`)),
		post("pod without containers", pods, "", "", []byte(`{"metadata":{"name":"x"},"spec":{"containers":[]}}`)),
		post("pod with a bad quantity", pods, "", "", []byte(`{"metadata":{"name":"x"},"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"lots"}}}]}}`)),
		post("pod with a huge quantity", pods, "dryRun=All", "", []byte(`{"metadata":{"name":"x"},"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"ephemeral-storage":"1e30"}}}]}}`)),
		post("pod with a negative quantity", pods, "", "", []byte(`{"metadata":{"name":"x"},"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"-1"}}}]}}`)),
		put("update under another name", oneMap, dataMap("b", "")),
		put("update in another namespace", oneMap, dataMap("a", `,"namespace":"other"`)),
		put("update with an old version", oneMap, dataMap("a", `,"resourceVersion":"1"`)),
		put("update with an absurd version", oneMap, dataMap("a", `,"resourceVersion":"x"`)),
		put("update with another uid", oneMap, dataMap("a", `,"uid":"other"`)),
		put("update of what is not there", maps+"/nothing", dataMap("nothing", "")),
		put("update with a version of what is not there", maps+"/nothing", dataMap("nothing", `,"resourceVersion":"5"`)),
		put("update of a pod's node", onePod, []byte(`{"metadata":{"name":"b"},"spec":{"nodeName":"z","containers":[{"name":"c","image":"a"}]}}`)),
		put("status of another kind", onePod+"/status", dataMap("b", "")),
		put("scale below zero", "/apis/apps/v1/namespaces/default/statefulsets/a/scale", []byte(`{"metadata":{"name":"a"},"spec":{"replicas":-1}}`)),
		post("eviction of another", onePod+"/eviction", "", "", []byte(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"z"}}`)),
		post("eviction of nothing", pods+"/nothing/eviction", "", "", []byte(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"nothing"}}`)),
		post("binding to no node", onePod+"/binding", "", "", []byte(`{"apiVersion":"v1","kind":"Binding","metadata":{"name":"b"},"target":{"kind":"Pod","name":""}}`)),
		post("token for too short", "/api/v1/namespaces/default/serviceaccounts/default/token", "", "", []byte(`{"spec":{"expirationSeconds":1}}`)),
		post("token bound to nothing", "/api/v1/namespaces/default/serviceaccounts/default/token", "", "", []byte(`{"spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"nothing"}}}`)),
		post("review without a subject", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "", "", []byte(`{"spec":{}}`)),
		post("review with a name", "/apis/authentication.k8s.io/v1/tokenreviews", "", "", []byte(`{"metadata":{"name":"x"},"spec":{"token":""}}`)),
		post("token review of garbage", "/apis/authentication.k8s.io/v1/tokenreviews", "", "", []byte(`{"spec":{"token":"garbage"}}`)),
	}
}
