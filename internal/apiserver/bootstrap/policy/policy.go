package policy

import (
	_ "embed"
	"sync"

	"berth.dev/berth/internal/apiserver/authz/rbac"
)

//go:embed policy.txt
var text string

var parsed = sync.OnceValue(func() rbac.Objects {
	objects, err := parse(text)
	if err != nil {
		panic(err) // the text is part of the binary, and tested
	}
	return objects
})

// Defaults returns the compiled-in objects. They are shared: copy before changing.
func Defaults() rbac.Objects { return parsed() }
