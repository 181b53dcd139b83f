// Berth runs a Kubernetes-compatible cluster, built for stateful apps.
package main

import (
	"os"

	"berth.dev/berth/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
