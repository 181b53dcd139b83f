package figure

import (
	"os"
	"strings"
)

// Load is the machine's load, as the kernel writes it: figures are worth what
// else ran beside them.
func Load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}
