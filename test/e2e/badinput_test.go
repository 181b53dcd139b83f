package e2e

import (
	"strings"
	"testing"

	"berth.dev/berth/test/e2e/cluster"
)

// set is a StatefulSet whose parts can be broken one by one.
func set(change ...string) string {
	return strings.NewReplacer(change...).Replace(`apiVersion: apps/v1
kind: StatefulSet
metadata: {name: bad}
spec:
  serviceName: bad
  replicas: 0
  selector: {matchLabels: {app: bad}}
  template:
    metadata: {labels: {app: bad}}
    spec:
      containers: [{name: c, image: "berth.dev/demo:1"}]
`)
}

const (
	labelRule = `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`
	keyRule   = `name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`
	valueRule = `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`
)

// Wrong manifests get upstream's answers, word for word, and exit code 1.
func badInput(t *testing.T, c *cluster.Cluster) {
	const creating = `Error from server (BadRequest): error when creating "FILE": `
	for name, b := range map[string]struct {
		manifest string
		flags    []string
		want     string
	}{
		"wrong type": {
			set("replicas: 0", "replicas: many"), nil,
			creating + `StatefulSet in version "v1" cannot be handled as a StatefulSet: json: cannot unmarshal string into Go struct field StatefulSetSpec.spec.replicas of type int32`,
		},
		"wrong type server side": {
			set("replicas: 0", "replicas: many"),
			[]string{"--server-side"},
			`Error from server: failed to create typed patch object (NAMESPACE/bad; apps/v1, Kind=StatefulSet): .spec.replicas: expected numeric (int or float), got string`,
		},
		"unknown field": {
			set("replicas: 0", "replicas: 0\n  foo: 1"), nil,
			creating + `StatefulSet in version "v1" cannot be handled as a StatefulSet: strict decoding error: unknown field "spec.foo"`,
		},
		"two unknown fields": {
			set("replicas: 0", "replicas: 0\n  foo: 1", "name: c,", "name: c, imge: x,"),
			[]string{"--validate=strict"},
			creating + `StatefulSet in version "v1" cannot be handled as a StatefulSet: strict decoding error: unknown field "spec.foo", unknown field "spec.template.spec.containers[0].imge"`,
		},
		"unknown field server side": {
			set("replicas: 0", "replicas: 0\n  foo: 1"),
			[]string{"--server-side"},
			`Error from server: failed to create typed patch object (NAMESPACE/bad; apps/v1, Kind=StatefulSet): .spec.foo: field not declared in schema`,
		},
		"selector does not match": {
			set("labels: {app: bad}", "labels: {app: other}"), nil,
			"The StatefulSet \"bad\" is invalid: spec.template.metadata.labels: Invalid value: {\"app\":\"other\"}: `selector` does not match template `labels`",
		},
		"no selector": {
			set("  selector: {matchLabels: {app: bad}}\n", ""), nil,
			"The StatefulSet \"bad\" is invalid: \n* spec.selector: Required value\n* spec.template.metadata.labels: Invalid value: {\"app\":\"bad\"}: `selector` does not match template `labels`",
		},
		"missing name": {
			set("{name: bad}", "{}"), nil,
			"error: error when retrieving current configuration of:\nResource: \"apps/v1, Resource=statefulsets\", GroupVersionKind: \"apps/v1, Kind=StatefulSet\"\nName: \"\", Namespace: \"NAMESPACE\"\nfrom server for: \"FILE\": resource name may not be empty",
		},
		"invalid YAML": {
			"apiVersion: v1\nkind: Pod\n  metadata: [\n", nil,
			`error: error parsing FILE: error converting YAML to JSON: yaml: line 3: mapping values are not allowed in this context`,
		},
		"unknown kind": {
			"apiVersion: v1\nkind: Pdo\nmetadata: {name: x}\n", nil,
			"error: resource mapping not found for name: \"x\" namespace: \"\" from \"FILE\": no matches for kind \"Pdo\" in version \"v1\"\nensure CRDs are installed first",
		},
		"negative replicas": {
			set("replicas: 0", "replicas: -1"), nil,
			`The StatefulSet "bad" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0`,
		},
		"bad name": {
			set("{name: bad}", "{name: Bad_Name}"), nil,
			`The StatefulSet "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": ` + labelRule,
		},
		"bad label": {
			set("{name: bad}", `{name: bad, labels: {"a b": "c d"}}`), nil,
			"The StatefulSet \"bad\" is invalid: \n* metadata.labels: Invalid value: \"a b\": " + keyRule + "\n* metadata.labels: Invalid value: \"c d\": " + valueRule,
		},
		"no image": {
			set(`, image: "berth.dev/demo:1"`, ""), nil,
			`The StatefulSet "bad" is invalid: spec.template.spec.containers[0].image: Required value`,
		},
		"image with a space": {
			"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers: [{name: c, image: \"b \"}]\n", nil,
			`The Pod "x" is invalid: spec.containers[0].image: Invalid value: "b ": must not have leading or trailing whitespace`,
		},
		"bad restart policy": {
			set("    spec:\n", "    spec:\n      restartPolicy: Never\n"), nil,
			`The StatefulSet "bad" is invalid: spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"`,
		},
		"bad pod management policy": {
			set("replicas: 0", "podManagementPolicy: Random"), nil,
			`The StatefulSet "bad" is invalid: spec.podManagementPolicy: Invalid value: "Random": must be 'OrderedReady' or 'Parallel'`,
		},
		"bad pod": {
			"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  restartPolicy: Sometimes\n  containers: [{name: C_, image: \"\", ports: [{containerPort: 99999}], volumeMounts: [{name: nope, mountPath: /x}]}]\n", nil,
			"The Pod \"x\" is invalid: \n* spec.containers[0].name: Invalid value: \"C_\": " + labelRule + "\n* spec.containers[0].image: Required value\n* spec.containers[0].ports[0].containerPort: Invalid value: 99999: must be between 1 and 65535, inclusive\n* spec.containers[0].volumeMounts[0].name: Not found: \"nope\"\n* spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
		},
		"bad quantity": {
			"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers: [{name: c, image: b, resources: {limits: {cpu: banana}}}]\n", nil,
			creating + `Pod in version "v1" cannot be handled as a Pod: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := c.File(strings.ReplaceAll(name, " ", "-")+".yaml", b.manifest)
			r := c.Do(append([]string{"apply", "-f", file}, b.flags...)...)
			if r.Code != 1 || r.Out != "" {
				t.Errorf("exit code %d, printed %q", r.Code, r.Out)
			}
			same(t, "answer", r.Err, strings.NewReplacer("FILE", file, "NAMESPACE", "bad-input").Replace(b.want))
		})
	}

	t.Run("unknown field, validation warns", func(t *testing.T) {
		r := c.Do("apply", "--validate=warn", "-f", c.File("warn.yaml", set("replicas: 0", "replicas: 0\n  foo: 1", "name: bad}", "name: warned}")))
		same(t, "printed", r.Out, "statefulset.apps/warned created")
		same(t, "warning", r.Err, `Warning: unknown field "spec.foo"`)
	})
	t.Run("unknown field, validation ignores", func(t *testing.T) {
		r := c.Do("apply", "--validate=ignore", "-f", c.File("ignore.yaml", set("replicas: 0", "replicas: 0\n  foo: 1", "name: bad}", "name: ignored}")))
		same(t, "printed", r.Out, "statefulset.apps/ignored created")
		same(t, "warning", r.Err, "")
	})
	t.Run("a change that is not allowed", func(t *testing.T) {
		c.Apply(set("name: bad}", "name: fixed}"))
		for field, want := range map[string]string{
			"serviceName: worse": `spec.serviceName: Invalid value: "worse": field is immutable`,
		} {
			r := c.Do("apply", "-f", c.File("change.yaml", set("name: bad}", "name: fixed}", "serviceName: bad", field)))
			if !strings.Contains(r.Err, want) || !strings.HasPrefix(r.Err, `The StatefulSet "fixed" is invalid: `) || r.Code != 1 {
				t.Errorf("%d %s", r.Code, r.Err)
			}
		}
		r := c.Do("apply", "-f", c.File("change.yaml", set("name: bad}", "name: fixed}", "replicas: 0", "replicas: 0\n  foo: 1")))
		matches(t, "patch with an unknown field", r.Err, `The request is invalid: patch: Invalid value: ".*": strict decoding error: unknown field "spec.foo"`)
	})
	t.Run("requests that cannot be", func(t *testing.T) {
		for request, want := range map[string]string{
			"get pod nope":                             `Error from server (NotFound): pods "nope" not found`,
			"get nope":                                 `error: the server doesn't have a resource type "nope"`,
			"get pods --field-selector spec.foo=x":     `Error from server (BadRequest): Unable to find "/v1, Resource=pods" that match label selector "", field selector "spec.foo=x": field label not supported: spec.foo`,
			"scale sts nope --replicas=1":              `Error from server (NotFound): statefulsets.apps "nope" not found`,
			"scale sts fixed --replicas=-1":            `error: The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0`,
			"create cm kube-root-ca.crt":               `error: failed to create configmap: configmaps "kube-root-ca.crt" already exists`,
			"create ns bad-input":                      `Error from server (AlreadyExists): namespaces "bad-input" already exists`,
			"delete ns default":                        `Error from server (Forbidden): namespaces "default" is forbidden: this namespace may not be deleted`,
			"run x --image=a -n nope":                  `Error from server (NotFound): namespaces "nope" not found`,
			"rollout undo sts/fixed --to-revision=9":   `error: unable to find specified revision 9 in history`,
			"rollout pause sts/fixed":                  `error: statefulsets.apps "fixed" pausing is not supported`,
			"top pod nope":                             `Error from server (NotFound): pods "nope" not found`,
			"patch sts fixed -p {\"spec\":{\"replicas": `Error from server (BadRequest): invalid JSON patch`,
		} {
			r := c.Do(strings.Fields(request)...)
			if r.Code != 1 {
				t.Errorf("kubectl %s: exit code %d", request, r.Code)
			}
			last := lastLine(r.Err)
			same(t, "kubectl "+request, last, want)
		}
	})
}
