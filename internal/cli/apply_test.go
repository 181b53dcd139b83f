package cli_test

import (
	"bytes"
	"fmt"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/cmd"
)

// kubectlApply is the real kubectl, in this process.
func kubectlApply(kubeconfig, namespace, file string) error {
	var out bytes.Buffer
	k := cmd.NewDefaultKubectlCommandWithArgs(cmd.KubectlOptions{
		ConfigFlags: genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag(),
		IOStreams:   genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &out},
	})
	k.SetArgs([]string{"apply", "--kubeconfig", kubeconfig, "-n", namespace, "-f", file})
	if err := k.Execute(); err != nil {
		return fmt.Errorf("%w: %s", err, out.String())
	}
	return nil
}
