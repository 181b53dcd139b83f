package admissionregistration

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	celgo "github.com/google/cel-go/cel"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// place is where in an object an expression stands.
type place string

const (
	matchExpression   place = "matchConditions"
	validationRule    place = "validations"
	messageExpression place = "messages"
	auditExpression   place = "auditAnnotations"
	applyExpression   place = "applyConfigurations"
)

// stored are the expressions that an object has had before a change. They are
// compiled with everything that any server of the cluster may know, new ones
// with what the oldest one knows.
type stored map[[2]string]bool

func (s stored) add(at place, expression string) { s[[2]string{string(at), expression}] = true }

func (s stored) mode(at place, expression string) environment.Type {
	if s[[2]string{string(at), expression}] {
		return environment.StoredExpressions
	}
	return environment.NewExpressions
}

// expressions is what the expressions of one object may refer to.
type expressions struct {
	stored   stored
	params   bool
	compiler plugincel.Compiler // nil: the one without variables
}

var (
	baseEnv = sync.OnceValue(func() *environment.EnvSet {
		return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
	})
	plainCompiler = sync.OnceValue(func() plugincel.Compiler { return plugincel.NewCompiler(baseEnv()) })
)

// withVariables returns a compiler that remembers the variables it compiles.
func withVariables() plugincel.Compiler {
	c, err := plugincel.NewCompositedCompiler(baseEnv())
	if err != nil {
		return plainCompiler()
	}
	return c
}

// compile reports what is wrong with an expression.
func (e expressions) compile(x plugincel.ExpressionAccessor, with plugincel.OptionalVariableDeclarations, mode environment.Type, p *field.Path) field.ErrorList {
	c := e.compiler
	if c == nil {
		c = plainCompiler()
	}
	with.HasParams = e.params
	return celError(c.CompileCELExpression(x, with, mode).Error, x.GetExpression(), p)
}

func celError(err *cel.Error, expression string, p *field.Path) field.ErrorList {
	if err == nil {
		return nil
	}
	switch err.Type {
	case cel.ErrorTypeRequired:
		return field.ErrorList{field.Required(p, err.Detail)}
	case cel.ErrorTypeInvalid:
		return field.ErrorList{field.Invalid(p, expression, err.Detail)}
	}
	return field.ErrorList{field.InternalError(p, err)}
}

const mostConditions = 64

func checkConditions(list []admissionregistrationv1.MatchCondition, e expressions, p *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(list) > mostConditions {
		errs = append(errs, field.TooMany(p, len(list), mostConditions))
	}
	// Conditions are looked at before variables are.
	e.compiler = nil
	names := map[string]bool{}
	for i, c := range list {
		at := p.Index(i)
		if text := strings.TrimSpace(c.Expression); text == "" {
			errs = append(errs, field.Required(at.Child("expression"), ""))
		} else {
			x := &matchconditions.MatchCondition{Expression: text}
			errs = append(errs, e.compile(x, plugincel.OptionalVariableDeclarations{HasAuthorizer: true}, e.stored.mode(matchExpression, text), at.Child("expression"))...)
		}
		if c.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
			continue
		}
		errs = append(errs, qualified(c.Name, at.Child("name"))...)
		if names[c.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
		}
		names[c.Name] = true
	}
	return errs
}

func qualified(name string, p *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, m := range validation.IsQualifiedName(name) {
		errs = append(errs, field.Invalid(p, name, m))
	}
	return errs
}

// variable is a named expression of a policy; it may be of any type.
type variable struct{ name, expression string }

func (v variable) GetName() string            { return v.name }
func (v variable) GetExpression() string      { return v.expression }
func (v variable) ReturnTypes() []*celgo.Type { return []*celgo.Type{celgo.AnyType, celgo.DynType} }

// checkVariables compiles variables in their order: each may use those before it.
func checkVariables(list []admissionregistrationv1.Variable, e expressions, p *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, v := range list {
		at := p.Index(i)
		switch {
		case strings.TrimSpace(v.Name) == "":
			errs = append(errs, field.Required(at.Child("name"), "name is not specified"))
		case !isIdentifier(v.Name):
			errs = append(errs, field.Invalid(at.Child("name"), v.Name, "must be a valid CEL identifier"))
		}
		if strings.TrimSpace(v.Expression) == "" {
			errs = append(errs, field.Required(at.Child("expression"), "expression is not specified"))
			continue
		}
		compiler, ok := e.compiler.(*plugincel.CompositedCompiler)
		if !ok {
			errs = append(errs, field.InternalError(at, errors.New("variable composition is not allowed")))
			continue
		}
		with := plugincel.OptionalVariableDeclarations{HasParams: e.params, HasAuthorizer: true}
		result := compiler.CompileAndStoreVariable(variable{v.Name, v.Expression}, with, e.stored.mode(validationRule, v.Expression))
		errs = append(errs, celError(result.Error, v.Expression, at.Child("expression"))...)
	}
	return errs
}

// keywords cannot name a variable.
var keywords = func() map[string]bool {
	out := map[string]bool{}
	const words = "true false null in as break const continue else for function if import let loop package namespace return var void while"
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}()

func isIdentifier(name string) bool {
	for i, r := range name {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != "" && !keywords[name]
}

// unparsable is upstream's word for a group version with too many slashes.
func unparsable(groupVersion string) error {
	return fmt.Errorf("unexpected GroupVersion string: %v", groupVersion)
}
