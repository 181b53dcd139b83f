// Package kubectl holds scripted conversations between the stock kubectl and
// Berth's API server: what a user types, and exactly what is answered.
//
// They are in testdata/NAME.txtar; package conversation says how they read. The
// current namespace has the name of the conversation. All share one server.
//
// go test ./test/kubectl -update writes what was answered; read the difference.
package kubectl

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // as in the stock program
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

var update = flag.Bool("update", false, "write what was answered into the conversations")

// TestMain is kubectl when it is called so, and the tests otherwise.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "kubectl" {
		if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
			util.CheckErr(err)
		}
		return
	}
	os.Exit(m.Run())
}
