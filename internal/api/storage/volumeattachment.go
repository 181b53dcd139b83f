package storage

import (
	"context"
	"math"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/operation"
	"k8s.io/apimachinery/pkg/api/validate"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

var (
	specPath   = field.NewPath("spec")
	statusPath = field.NewPath("status")
)

func volumeAttachmentKind() kind.Kind {
	attacher := columns.Column("Attacher", "string", storagev1.VolumeAttachmentSpec{}.SwaggerDoc()["attacher"])
	attacher.Format = "name"
	return kind.Declare(kind.Kind{
		GVK:         storagev1.SchemeGroupVersion.WithKind("VolumeAttachment"),
		Resource:    "volumeattachments",
		Singular:    "volumeattachment",
		HasStatus:   true,
		StatusKeeps: []string{"metadata"},
		New:         func() runtime.Object { return &storagev1.VolumeAttachment{} },
		NewList:     func() runtime.Object { return &storagev1.VolumeAttachmentList{} },
		Columns: columns.Definitions{
			columns.Name(),
			attacher,
			columns.Column("PV", "string", storagev1.VolumeAttachmentSource{}.SwaggerDoc()["persistentVolumeName"]),
			columns.Column("Node", "string", storagev1.VolumeAttachmentSpec{}.SwaggerDoc()["nodeName"]),
			columns.Column("Attached", "boolean", storagev1.VolumeAttachmentStatus{}.SwaggerDoc()["attached"]),
			columns.Age(),
		},
	}, kind.Rules[*storagev1.VolumeAttachment]{
		Default: func(a *storagev1.VolumeAttachment) {
			if s := a.Spec.Source.InlineVolumeSpec; s != nil {
				defaults.PersistentVolumeSpec(s)
			}
		},
		Validate:             validateVolumeAttachment,
		ValidateUpdate:       kind.CheckUpdate(validateVolumeAttachmentUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validateVolumeAttachmentUpdate),
		PrepareStatusUpdate: func(_ context.Context, a, old *storagev1.VolumeAttachment) {
			metav1.ResetObjectMetaForStatus(&a.ObjectMeta, &old.ObjectMeta)
		},
		CopySpec:   func(a, old *storagev1.VolumeAttachment) { a.Spec = old.Spec },
		CopyStatus: func(a, old *storagev1.VolumeAttachment) { a.Status = old.Status },
		Row: func(a *storagev1.VolumeAttachment) []any {
			s := &a.Spec
			return []any{
				a.Name, s.Attacher, columns.Text(s.Source.PersistentVolumeName, ""), s.NodeName, a.Status.Attached,
				columns.Since(a.CreationTimestamp),
			}
		},
	})
}

const (
	longestDriverName         = 63
	largestAttachmentMetadata = 256 << 10
	longestVolumeError        = 1024
)

func validateVolumeAttachment(ctx context.Context, a *storagev1.VolumeAttachment) field.ErrorList {
	var f validation.Findings
	volumeAttachment(&f, a)
	if name := a.Spec.Source.PersistentVolumeName; name != nil {
		f.Messages(specPath.Child("source", "persistentVolumeName"), *name, apivalidation.NameIsDNSSubdomain(*name, false))
	}
	p, name := specPath.Child("attacher"), &a.Spec.Attacher
	if !f.Declared(p, *name) {
		return f.List()
	}
	create := operation.Operation{Type: operation.Create}
	if long := validate.MaxLength(ctx, create, p, name, nil, longestDriverName); len(long) > 0 {
		f.AddDeclared(long...)
		return f.List()
	}
	f.AddDeclared(validate.LongNameCaseless(ctx, create, p, name, nil)...)
	return f.List()
}

func volumeAttachment(f *validation.Findings, a *storagev1.VolumeAttachment) {
	f.Meta(&a.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	source, p := &a.Spec.Source, specPath.Child("source")
	name, inline := source.PersistentVolumeName, source.InlineVolumeSpec
	const exactlyOne = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
	switch {
	case name == nil && inline == nil:
		f.Required(p, exactlyOne)
	case name != nil && inline != nil:
		f.Forbidden(p, exactlyOne)
	case inline != nil:
		f.InlineVolume(p.Child("inlineVolumeSpec"), inline)
	case *name == "":
		f.Required(p.Child("persistentVolumeName"), "must specify non empty persistentVolumeName")
	}
	f.Messages(specPath.Child("nodeName"), a.Spec.NodeName, apivalidation.NameIsDNSSubdomain(a.Spec.NodeName, false))

	size := 0
	for key, value := range a.Status.AttachmentMetadata {
		size += len(key) + len(value)
	}
	if size > largestAttachmentMetadata {
		f.Add(field.TooLong(statusPath.Child("attachmentMetadata"), "", largestAttachmentMetadata))
	}
	volumeError(f, statusPath.Child("attachError"), a.Status.AttachError)
	volumeError(f, statusPath.Child("detachError"), a.Status.DetachError)
}

func volumeError(f *validation.Findings, p *field.Path, e *storagev1.VolumeError) {
	if e == nil {
		return
	}
	if len(e.Message) > longestVolumeError {
		f.Add(field.TooLong(p.Child("message"), "", largestAttachmentMetadata)) // upstream names this limit
	}
	if code := e.ErrorCode; code != nil && *code < 0 {
		f.Invalid(p.Child("errorCode"), *code, utilvalidation.InclusiveRangeError(0, math.MaxInt32))
	}
}

func validateVolumeAttachmentUpdate(a, old *storagev1.VolumeAttachment) field.ErrorList {
	var f validation.Findings
	volumeAttachment(&f, a)
	f.Fixed(specPath, a.Spec, old.Spec)
	return f.List()
}
