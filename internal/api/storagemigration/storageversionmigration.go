package storagemigration

import (
	"strings"

	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

type migration = storagemigrationv1.StorageVersionMigration

func storageVersionMigrationKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:         storagemigrationv1.SchemeGroupVersion.WithKind("StorageVersionMigration"),
		Resource:    "storageversionmigrations",
		Singular:    "storageversionmigration",
		HasStatus:   true,
		StatusKeeps: []string{"metadata"},
		New:         func() runtime.Object { return &migration{} },
		NewList:     func() runtime.Object { return &storagemigrationv1.StorageVersionMigrationList{} },
		Columns: columns.Definitions{
			columns.Column("Name", "string", metav1.ObjectMeta{}.SwaggerDoc()["name"]),
			columns.Column("Resource", "string", "Fully qualified resource to migrate"),
		},
	}, kind.Rules[*migration]{
		Validate:             kind.Check(validate),
		ValidateUpdate:       kind.CheckUpdate(validateUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validateStatus),
		CopySpec:             func(m, old *migration) { m.Spec = old.Spec },
		CopyStatus:           func(m, old *migration) { m.Status = old.Status },
		Row: func(m *migration) []any {
			return []any{m.Name, m.Spec.Resource.Resource + "." + m.Spec.Resource.Group}
		},
	})
}

var (
	specPath       = field.NewPath("spec")
	resourcePath   = specPath.Child("resource", "resource")
	groupPath      = specPath.Child("resource", "group")
	versionPath    = field.NewPath("status", "resourceVersion")
	conditionsPath = field.NewPath("status", "conditions")
)

func validate(m *migration) field.ErrorList {
	var f validation.Findings
	f.Meta(&m.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	r := m.Spec.Resource
	if r.Resource == "" {
		f.Required(resourcePath, "resource is required to be set")
	} else if wrong := utilvalidation.IsDNS1035Label(r.Resource); len(wrong) > 0 {
		f.Invalid(resourcePath, r.Resource, strings.Join(wrong, ","))
	}
	if wrong := utilvalidation.IsDNS1123Subdomain(r.Group); r.Group != "" && len(wrong) > 0 {
		f.Invalid(groupPath, r.Group, strings.Join(wrong, ","))
	}
	return f.List()
}

func validateUpdate(m, old *migration) field.ErrorList {
	var f validation.Findings
	f.Add(validate(m)...)
	f.MetaUpdate(&m.ObjectMeta, &old.ObjectMeta)
	if !equality.Semantic.DeepEqual(m.Spec, old.Spec) {
		// As upstream's internal form looks.
		f.Invalid(specPath, struct{ Resource metav1.GroupResource }(m.Spec), apivalidation.FieldImmutableErrorMsg)
	}
	return f.List()
}

func validateStatus(m, old *migration) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&m.ObjectMeta, &old.ObjectMeta)
	version, conditions := m.Status.ResourceVersion, m.Status.Conditions
	if _, err := resourceversion.CompareResourceVersion(version, version); err != nil {
		f.Invalid(versionPath, version, err.Error())
	}
	f.Add(metavalidation.ValidateConditions(conditions, conditionsPath)...)
	if was := old.Status.ResourceVersion; was != "" && was != version {
		f.Invalid(versionPath, version, apivalidation.FieldImmutableErrorMsg)
	}
	is := func(t storagemigrationv1.MigrationConditionType) bool {
		return meta.IsStatusConditionTrue(conditions, string(t))
	}
	was := func(t storagemigrationv1.MigrationConditionType) bool {
		return meta.IsStatusConditionTrue(old.Status.Conditions, string(t))
	}
	const succeeded, failed, running = storagemigrationv1.MigrationSucceeded, storagemigrationv1.MigrationFailed, storagemigrationv1.MigrationRunning
	for _, rule := range []struct {
		broken bool
		text   string
	}{
		{is(succeeded) && is(failed), "Both success and failed conditions cannot be true at the same time"},
		{is(succeeded) && is(running), "Running condition cannot be true when success condition is true"},
		{is(failed) && is(running), "Running condition cannot be true when failed condition is true"},
		{was(succeeded) && !is(succeeded), "Success condition cannot be set to false once it is true"},
		{was(failed) && !is(failed), "Failed condition cannot be set to false once it is true"},
	} {
		if rule.broken {
			f.Invalid(conditionsPath, conditions, rule.text)
		}
	}
	return f.List()
}
