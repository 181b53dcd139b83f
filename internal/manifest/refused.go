package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var (
	strict       = regexp.MustCompile(`(unknown|duplicate) field "([^"]+)"`)
	wrongType    = regexp.MustCompile(`json: cannot unmarshal (\S+) into Go struct field [A-Za-z]+\.(\S+) of type (\S+)`)
	noNamespace  = regexp.MustCompile(`^namespaces "[^"]*" not found$`)
	badQuantity  = "quantities must match the regular expression"
	noKindOfThat = "no matches for kind"
)

// Refused says which lines the API server does not accept. A sample is an empty
// object of the kind, or nil, from which it is read what a misspelt field means.
func (d *Document) Refused(status metav1.Status, sample any) []Finding {
	var findings []Finding
	if status.Details != nil {
		for _, cause := range status.Details.Causes {
			if cause.Field == "" || cause.Field == "patch" {
				continue
			}
			findings = append(findings, d.invalid(cause.Field, cause.Message))
		}
	}
	for _, m := range strict.FindAllStringSubmatch(status.Message, -1) {
		f := d.at(m[2], m[0])
		if m[1] == "unknown" {
			f.Hint = d.meant(m[2], sample)
		}
		findings = append(findings, f)
	}
	if m := wrongType.FindStringSubmatch(status.Message); m != nil {
		findings = append(findings, d.mistyped(m[2], m[3], m[0])...)
	}
	if strings.Contains(status.Message, badQuantity) {
		findings = append(findings, d.quantities(d.root, "")...)
	}
	switch {
	case len(findings) > 0:
		return unique(findings)
	case noNamespace.MatchString(status.Message):
		return []Finding{d.at("metadata.namespace", status.Message)}
	case strings.Contains(status.Message, noKindOfThat):
		return []Finding{d.at("kind", status.Message)}
	}
	return []Finding{d.at("", status.Message)}
}

// At is a finding about a field.
func (d *Document) At(field, text string) Finding { return d.at(field, text) }

func (d *Document) at(field, text string) Finding {
	return Finding{File: d.File, Line: d.Line(field), Object: d.Name(), Field: field, Text: text}
}

// invalid is a field that validation names.
func (d *Document) invalid(field, text string) Finding {
	written, number := d.volume(field)
	f := d.at(written, text)
	f.Field = field
	if number >= 0 && !d.Has(written) && strings.Contains(text, "Required value") {
		f.Line, f.Hint = d.from+d.find(written).line, strings.TrimSuffix(written, ".metadata.name")+" has no metadata.name"
	}
	return f
}

var volumeOfSet = regexp.MustCompile(`^spec\.template\.spec\.volumes\[(\d+)\](.*)$`)

// volume is where a volume of a set's template is written: the API server counts
// the claim templates, which become volumes too, before the template's own. The
// number is that of the claim template, -1 if it is none.
func (d *Document) volume(field string) (written string, number int) {
	m := volumeOfSet.FindStringSubmatch(field)
	claims := d.find("spec.volumeClaimTemplates")
	if m == nil || d.Object.GetKind() != "StatefulSet" || !claims.whole {
		return field, -1
	}
	number, _ = strconv.Atoi(m[1])
	templates := len(claims.value.Content)
	if number < templates {
		return fmt.Sprintf("spec.volumeClaimTemplates[%d].metadata.name", number), number // all that the volume has of it
	}
	return fmt.Sprintf("spec.template.spec.volumes[%d]%s", number-templates, m[2]), -1
}

// mistyped are the values at a path without numbers that are of another type.
func (d *Document) mistyped(path, wanted, text string) []Finding {
	var findings []Finding
	for _, p := range d.findAll(path) {
		if fits(p.value, wanted) {
			continue
		}
		f := Finding{File: d.File, Line: d.from + p.line, Object: d.Name(), Field: p.field, Text: text}
		switch {
		case wanted == "string" && p.value.Kind == yamlv3.ScalarNode:
			f.Hint = fmt.Sprintf("put it in quotes: %q", p.value.Value)
		case strings.HasPrefix(wanted, "map["):
			f.Hint = "write it as fields, without the dashes"
		}
		findings = append(findings, f)
	}
	if len(findings) == 0 {
		findings = append(findings, d.at(path, text))
	}
	return findings
}

func fits(n *yamlv3.Node, wanted string) bool {
	switch {
	case n.Tag == "!!null":
		return true
	case wanted == "string":
		// As in YAML 1.1, which Kubernetes reads, unquoted yes and no are no text.
		return n.Kind == yamlv3.ScalarNode && n.Tag == "!!str" &&
			(n.Style != 0 || !slices.Contains([]string{"y", "n", "yes", "no", "on", "off"}, strings.ToLower(n.Value)))
	case strings.HasPrefix(wanted, "int"), strings.HasPrefix(wanted, "uint"):
		return n.Tag == "!!int"
	case wanted == "bool":
		return n.Tag == "!!bool"
	case strings.HasPrefix(wanted, "[]"):
		return n.Kind == yamlv3.SequenceNode
	}
	return n.Kind == yamlv3.MappingNode || n.Kind == yamlv3.SequenceNode && !strings.HasPrefix(wanted, "map[")
}

// amounts are the blocks, and single the fields, whose values are quantities.
var (
	amounts = []string{"limits", "requests", "capacity", "hard", "allocatable", "overhead", "max", "min", "default", "defaultRequest"}
	single  = []string{"sizeLimit", "divisor"}
)

// quantities finds those that cannot be read.
func (d *Document) quantities(n *yamlv3.Node, path string) []Finding {
	var findings []Finding
	check := func(key, value *yamlv3.Node, path string) {
		if value.Kind != yamlv3.ScalarNode {
			return
		}
		if _, err := resource.ParseQuantity(value.Value); err != nil {
			f := Finding{File: d.File, Line: d.from + key.Line, Object: d.Name(), Field: path, Text: err.Error()}
			if number, unit := numberAndUnit(value.Value); number != "" && len(unit) > 1 {
				f.Hint = fmt.Sprintf("%s is written %s", value.Value, number+strings.TrimRight(unit, "bB"))
				if _, err := resource.ParseQuantity(number + strings.TrimRight(unit, "bB")); err != nil {
					f.Hint = ""
				}
			}
			findings = append(findings, f)
		}
	}
	for _, e := range elements(place{value: n, field: path}) {
		for i, key := range keys(e.value) {
			value, at := resolve(e.value.Content[2*i+1]), strings.TrimPrefix(e.field+"."+key.Value, ".")
			if slices.Contains(single, key.Value) {
				check(key, value, at)
			}
			if slices.Contains(amounts, key.Value) && value.Kind == yamlv3.MappingNode {
				for j, inner := range keys(value) {
					check(inner, resolve(value.Content[2*j+1]), at+"."+inner.Value)
				}
			}
			findings = append(findings, d.quantities(value, at)...)
		}
	}
	return findings
}

func numberAndUnit(s string) (number, unit string) {
	end := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		return s, ""
	}
	return s[:end], s[end:]
}

// unique leaves out what is said of a field twice.
func unique(findings []Finding) []Finding {
	var all []Finding
	for _, f := range findings {
		if !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}
