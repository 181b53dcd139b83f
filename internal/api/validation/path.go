package validation

import (
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

const fileModeRange = "must be a number between 0 and 0777 (octal), both inclusive"

func (f *findings) fileMode(p *field.Path, mode *int32) {
	if mode != nil && (*mode < 0 || *mode > 0o777) {
		f.invalid(p, *mode, fileModeRange)
	}
}

func (f *findings) noBacksteps(p *field.Path, target string) {
	if slices.Contains(strings.Split(target, "/"), "..") {
		f.invalid(p, target, "must not contain '..'")
	}
}

// below wants a path that stays under where it is joined to.
func (f *findings) below(p *field.Path, target string) {
	if path.IsAbs(target) {
		f.invalid(p, target, "must be a relative path")
	}
	f.noBacksteps(p, target)
}

// fileName wants a path below that does not look like the node agent's own files.
func (f *findings) fileName(p *field.Path, target string) {
	f.below(p, target)
	if strings.HasPrefix(target, "..") && !strings.HasPrefix(target, "../") {
		f.invalid(p, target, "must not start with '..'")
	}
}
