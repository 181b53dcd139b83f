package resource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/operation"
	"k8s.io/apimachinery/pkg/api/validate"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/dynamic-resource-allocation/cel"

	"berth.dev/berth/internal/api/validation"
)

var (
	specPath   = field.NewPath("spec")
	statusPath = field.NewPath("status")
	create     = operation.Operation{Type: operation.Create}
)

// check gathers what is wrong with one object. What upstream's types declare
// is checked by the library's own functions.
type check struct {
	validation.Findings
	ctx    context.Context // the library's functions want one
	stored bool            // expressions were accepted once
}

// each checks the items of a list that is not too long.
func each[T any](c *check, p *field.Path, list []T, most int, item func(*field.Path, *T)) {
	if most >= 0 && len(list) > most {
		c.AddDeclared(field.TooMany(p, len(list), most))
		return
	}
	for i := range list {
		item(p.Index(i), &list[i])
	}
}

// unique wants no two items of a list to be the same.
func unique[T any](c *check, p *field.Path, list []T, most int, same func(a, b *T) bool) {
	if most < 0 || len(list) <= most {
		c.AddDeclared(validate.ValSliceUnique(c.ctx, create, p, list, nil, same)...)
	}
}

// declared applies a check of the library to a text that may not be missing.
func declared[T ~string](c *check, p *field.Path, value T, check validate.ValidateFunc[*T]) {
	if c.Declared(p, string(value)) {
		c.AddDeclared(check(c.ctx, create, p, &value, nil)...)
	}
}

func oneOf[T ~string](c *check, p *field.Path, value T, allowed ...T) {
	c.AddDeclared(validate.Enum(c.ctx, create, p, &value, nil, sets.New(allowed...), nil)...)
}

// driver checks the name of a driver where upstream's types do.
func (c *check) driver(p *field.Path, name string) {
	if !c.Declared(p, name) {
		return
	}
	if long := validate.MaxLength(c.ctx, create, p, &name, nil, resourcev1.DriverNameMaxLength); len(long) > 0 {
		c.AddDeclared(long...)
		return
	}
	c.AddDeclared(validate.LongNameCaseless(c.ctx, create, p, &name, nil)...)
}

func (c *check) pool(p *field.Path, name string) {
	if !c.NotEmpty(p, name) {
		return
	}
	if len(name) > resourcev1.PoolNameMaxLength {
		c.Add(field.TooLong(p, "", resourcev1.PoolNameMaxLength))
	}
	for part := range strings.SplitSeq(name, "/") {
		c.DNSSubdomain(p, part)
	}
}

func (c *check) node(p *field.Path, name string) { c.DNSSubdomain(p, name) }

func (c *check) labelValue(p *field.Path, value string) {
	c.Messages(p, value, utilvalidation.IsValidLabelValue(value))
}

func (c *check) selectors(p *field.Path, list []resourcev1.DeviceSelector) {
	each(c, p, list, resourcev1.DeviceSelectorsMaxSize, func(p *field.Path, s *resourcev1.DeviceSelector) {
		if s.CEL == nil {
			c.Required(p.Child("cel"), "")
		} else {
			c.expression(p.Child("cel", "expression"), s.CEL.Expression)
		}
	})
}

func (c *check) expression(p *field.Path, text string) {
	if len(text) > resourcev1.CELSelectorExpressionMaxLength {
		c.Add(field.TooLong(p, "", resourcev1.CELSelectorExpressionMaxLength))
		return
	}
	kind := environment.NewExpressions
	if c.stored {
		kind = environment.StoredExpressions
	}
	result := cel.GetCompiler(cel.Features{EnableConsumableCapacity: true}).CompileCELExpression(text, cel.Options{EnvType: &kind})
	wrong := &apiservercel.Error{}
	switch {
	case result.Error == nil && result.MaxCost > resourcev1.CELSelectorExpressionMaxCost:
		c.Forbidden(p, "too complex, exceeds cost limit")
	case result.Error == nil:
	case !errors.As(result.Error, &wrong) || wrong.Type == apiservercel.ErrorTypeInternal:
		c.Add(field.InternalError(p, result.Error))
	case wrong.Type == apiservercel.ErrorTypeRequired:
		c.Required(p, wrong.Detail)
	default:
		c.Invalid(p, text, wrong.Detail)
	}
}

// configuration checks what is handed to a driver.
func (c *check) configuration(p *field.Path, d *resourcev1.DeviceConfiguration) {
	p = p.Child("opaque")
	if d.Opaque == nil {
		c.Required(p, "")
		return
	}
	c.driver(p.Child("driver"), d.Opaque.Driver)
	c.object(p.Child("parameters"), d.Opaque.Parameters.Raw, c.stored, resourcev1.OpaqueParametersMaxLength)
}

// object wants a JSON object, not too long unless it was accepted before.
func (c *check) object(p *field.Path, raw []byte, stored bool, longest int) {
	var v any
	switch {
	case len(raw) == 0:
		c.Required(p, "")
		return
	case !stored && len(raw) > longest:
		c.Add(field.TooLong(p, "", longest))
		return
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		c.Invalid(p, "<value omitted>", fmt.Sprintf("error parsing data as JSON: %v", err))
		return
	}
	if v == nil {
		c.Required(p, "")
	} else if _, ok := v.(map[string]any); !ok {
		c.Invalid(p, "<value omitted>", "must be a valid JSON object")
	}
}

var effects = []resourcev1.DeviceTaintEffect{
	resourcev1.DeviceTaintEffectNoExecute, resourcev1.DeviceTaintEffectNoSchedule, resourcev1.DeviceTaintEffectNone,
}

func (c *check) toleration(p *field.Path, t *resourcev1.DeviceToleration) {
	if t.Key != "" {
		c.AddDeclared(validate.LabelKey(c.ctx, create, p.Child("key"), &t.Key, nil)...)
	}
	switch t.Operator {
	case resourcev1.DeviceTolerationOpExists:
		if t.Value != "" {
			c.Invalid(p.Child("value"), t.Value, "must be empty for operator `Exists`")
		}
	case resourcev1.DeviceTolerationOpEqual:
		c.labelValue(p.Child("value"), t.Value)
	case "":
		c.Required(p.Child("operator"), "")
	default:
		oneOf(c, p.Child("operator"), t.Operator, resourcev1.DeviceTolerationOpEqual, resourcev1.DeviceTolerationOpExists)
	}
	if t.Effect != "" {
		oneOf(c, p.Child("effect"), t.Effect, effects...)
	}
}

func (c *check) taint(p *field.Path, t, old *resourcev1.DeviceTaint) {
	c.Add(metavalidation.ValidateLabelName(t.Key, p.Child("key"))...)
	if t.Value != "" {
		c.labelValue(p.Child("value"), t.Value)
	}
	if (old == nil || old.Effect != t.Effect) && c.Declared(p.Child("effect"), string(t.Effect)) {
		oneOf(c, p.Child("effect"), t.Effect, effects...)
	}
}

// conditions checks the conditions that a binding waits for.
func (c *check) conditions(p *field.Path, good, bad []string) {
	goodPath, badPath := p.Child("bindingConditions"), p.Child("bindingFailureConditions")
	label := func(p *field.Path, name *string) { c.Add(metavalidation.ValidateLabelName(*name, p)...) }
	each(c, goodPath, good, resourcev1.BindingConditionsMaxSize, label)
	each(c, badPath, bad, resourcev1.BindingFailureConditionsMaxSize, label)
	for i, name := range good {
		if slices.Contains(good[:i], name) {
			c.Add(field.Duplicate(goodPath.Index(i), name))
		}
	}
	for i, name := range bad {
		if slices.Contains(bad[:i], name) {
			c.Add(field.Duplicate(badPath.Index(i), name))
		}
		if slices.Contains(good, name) {
			c.Invalid(badPath.Index(i), name, "bindingFailureConditions must not overlap with bindingConditions")
		}
	}
	if len(good) == 0 && len(bad) > 0 {
		c.Invalid(goodPath, good, "bindingConditions are required to use bindingFailureConditions")
	}
	if len(bad) == 0 && len(good) > 0 {
		c.Invalid(badPath, bad, "bindingFailureConditions are required to use bindingConditions")
	}
}
