// Command upstream answers what Kubernetes' own StatefulSet controller does. It
// reads states from standard input, one JSON object per line, lets one sync of
// k8s.io/kubernetes' control run on each, over an API in memory, and prints what
// that wrote. It is a module of its own because Kubernetes needs older libraries
// than Berth, and because Berth must never link it.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/klog/v2"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "upstream:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("klog", flag.PanicOnError)
	klog.InitFlags(flags)
	if err := flags.Parse([]string{"-logtostderr=false", "-alsologtostderr=false", "-stderrthreshold=FATAL"}); err != nil {
		return err
	}
	klog.SetOutput(io.Discard)
	// 1.37 has it on; off is what 1.36 ships with.
	if err := utilfeature.DefaultMutableFeatureGate.Set("MaxUnavailableStatefulSet=true"); err != nil {
		return err
	}
	states := json.NewDecoder(bufio.NewReaderSize(in, 1<<20))
	answers := bufio.NewWriterSize(out, 1<<20)
	print := json.NewEncoder(answers)
	for {
		var s State
		if err := states.Decode(&s); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a state: %w", err)
		}
		if err := print.Encode(answer(&s)); err != nil {
			return err
		}
		if err := answers.Flush(); err != nil {
			return err
		}
	}
}
