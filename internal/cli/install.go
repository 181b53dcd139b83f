package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

const defaultUnit = "/etc/systemd/system/berth.service"

func newInstall(s streams) *cobra.Command {
	var unit string
	var now bool
	cmd := &cobra.Command{
		Use:   "install [-- SERVER FLAGS]",
		Short: "Write a systemd unit that starts Berth at boot",
		Long: `Write a systemd unit that starts Berth at boot. Flags after -- go to berth
server. Stopping the unit leaves containers running; the next start takes them over.`,
		Example: "  berth install --now\n  berth install -- --data-dir /srv/berth --node-name db1",
		RunE: func(cmd *cobra.Command, args []string) error {
			program, err := os.Executable()
			if err != nil {
				return err
			}
			if program, err = filepath.EvalSymlinks(program); err != nil {
				return err
			}
			if err := os.WriteFile(unit, []byte(unitText(program, args)), 0o644); err != nil {
				return fmt.Errorf("%w (run as root, or name another file with --unit)", err)
			}
			fmt.Fprintf(s.out, "wrote %s\n", unit)
			if !now {
				fmt.Fprintln(s.out, "start it with: systemctl enable --now berth")
				return nil
			}
			for _, words := range [][]string{{"daemon-reload"}, {"enable", "--now", filepath.Base(unit)}} {
				run := exec.CommandContext(cmd.Context(), "systemctl", words...)
				run.Stdout, run.Stderr = s.out, s.err
				if err := run.Run(); err != nil {
					return fmt.Errorf("systemctl %s: %w", strings.Join(words, " "), err)
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&unit, "unit", defaultUnit, "file to write")
	cmd.Flags().BoolVar(&now, "now", false, "also enable and start it")
	return cmd
}

// unitText is the systemd unit. KillMode=process and Delegate=yes keep
// containers and their cgroups when the service stops.
func unitText(program string, args []string) string {
	command := []string{systemdQuote(program), "server"}
	for _, a := range args {
		command = append(command, systemdQuote(a))
	}
	return `[Unit]
Description=Berth, a Kubernetes-compatible cluster for stateful apps
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStart=` + strings.Join(command, " ") + `
KillMode=process
Delegate=yes
Restart=always
RestartSec=1s
TimeoutStopSec=10s
LimitNOFILE=1048576
LimitNPROC=infinity
TasksMax=infinity

[Install]
WantedBy=multi-user.target
`
}

// systemdQuote protects spaces, quotes, percent and dollar signs in a word.
func systemdQuote(word string) string {
	word = strings.NewReplacer("%", "%%", "$", "$$").Replace(word)
	if !strings.ContainsAny(word, " \t\"'\\") {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}
