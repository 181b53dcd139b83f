package resource

import (
	"context"
	"time"

	resourcev1 "k8s.io/api/resource/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func deviceTaintRuleKind() kind.Kind {
	doc := resourcev1.DeviceTaint{}.SwaggerDoc()
	return kind.Declare(kind.Kind{
		GVK:                      resourcev1.SchemeGroupVersion.WithKind("DeviceTaintRule"),
		Resource:                 "devicetaintrules",
		Singular:                 "devicetaintrule",
		HasStatus:                true,
		HasGeneration:            true,
		StatusKeeps:              []string{"metadata"},
		AllowUnconditionalUpdate: true,
		New:                      func() runtime.Object { return &resourcev1.DeviceTaintRule{} },
		NewList:                  func() runtime.Object { return &resourcev1.DeviceTaintRuleList{} },
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("Key", "string", doc["key"]),
			columns.Column("Value", "string", doc["value"]),
			columns.Column("Effect", "string", doc["effect"]),
			columns.Column("TimeAdded", "string", doc["timeAdded"]),
			columns.Age(),
		},
	}, kind.Rules[*resourcev1.DeviceTaintRule]{
		Default: func(r *resourcev1.DeviceTaintRule) { defaultTaint(&r.Spec.Taint) },
		Validate: func(ctx context.Context, r *resourcev1.DeviceTaintRule) field.ErrorList {
			c := &check{ctx: ctx}
			c.Meta(&r.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
			c.rule(&r.Spec, nil)
			return c.List()
		},
		ValidateUpdate: func(ctx context.Context, r, old *resourcev1.DeviceTaintRule) field.ErrorList {
			c := &check{ctx: ctx}
			c.MetaUpdate(&r.ObjectMeta, &old.ObjectMeta)
			c.rule(&r.Spec, &old.Spec.Taint)
			return c.List()
		},
		ValidateStatusUpdate: kind.CheckUpdate(validateRuleStatus),
		CopySpec:             func(r, old *resourcev1.DeviceTaintRule) { r.Spec = old.Spec },
		CopyStatus:           func(r, old *resourcev1.DeviceTaintRule) { r.Status = old.Status },
		Row: func(r *resourcev1.DeviceTaintRule) []any {
			t, added := &r.Spec.Taint, ""
			if t.TimeAdded != nil {
				added = columns.Since(*t.TimeAdded)
			}
			return []any{r.Name, t.Key, t.Value, string(t.Effect), added, columns.Since(r.CreationTimestamp)}
		},
	})
}

// defaultTaint notes when a taint was added.
func defaultTaint(t *resourcev1.DeviceTaint) {
	if t.TimeAdded == nil {
		t.TimeAdded = &metav1.Time{Time: time.Now().Truncate(time.Second)}
	}
}

func (c *check) rule(s *resourcev1.DeviceTaintRuleSpec, old *resourcev1.DeviceTaint) {
	if d, p := s.DeviceSelector, specPath.Child("deviceSelector"); d != nil {
		if d.Driver != nil {
			c.CSIDriver(p.Child("driver"), *d.Driver)
		}
		if d.Pool != nil {
			c.pool(p.Child("pool"), *d.Pool)
		}
		if d.Device != nil {
			c.DNSLabel(p.Child("device"), *d.Device)
		}
	}
	c.taint(specPath.Child("taint"), &s.Taint, old)
}

func validateRuleStatus(r, old *resourcev1.DeviceTaintRule) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&r.ObjectMeta, &old.ObjectMeta)
	p, list := statusPath.Child("conditions"), r.Status.Conditions
	f.Add(metavalidation.ValidateConditions(list, p)...)
	if len(list) > resourcev1.DeviceTaintRuleStatusMaxConditions {
		f.Add(field.TooMany(p, len(list), resourcev1.DeviceTaintRuleStatusMaxConditions))
	}
	return f.List()
}
