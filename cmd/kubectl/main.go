// Command kubectl is the stock kubectl, for tests and for machines without one.
package main

import (
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the sign-in methods a kubeconfig may name
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
