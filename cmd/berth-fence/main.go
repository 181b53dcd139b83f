// Command berth-fence kills the pods that it covers when the node's lease was not
// renewed in time. The node agent starts it; see docs/nodes.md.
package main

import (
	"fmt"
	"os"

	"berth.dev/berth/internal/fence"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "berth-fence is started by berth, with the folder of its state")
		os.Exit(2)
	}
	if err := fence.Run(os.Args[1], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "berth-fence:", err)
		os.Exit(1)
	}
}
