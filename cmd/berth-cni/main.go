// Command berth-cni is the CNI plugin: it passes what the container runtime
// asks on to the node agent, which does the work. It runs for every pod, so it
// is small, static and has no dependencies.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"berth.dev/berth/internal/network/cni/call"
)

func main() {
	if os.Getenv("CNI_COMMAND") == "" {
		fmt.Fprintln(os.Stderr, "berth-cni is a CNI plugin: the container runtime runs it (https://www.cni.dev)")
		os.Exit(1)
	}
	conf, out, err := run()
	if err == nil {
		_, _ = os.Stdout.Write(out)
		return
	}
	failure := &call.Error{Code: call.CodeFailed, Msg: err.Error()}
	errors.As(err, &failure)
	failure.CNIVersion = conf.CNIVersion
	_ = json.NewEncoder(os.Stdout).Encode(failure)
	os.Exit(1)
}
