package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/app"
	"berth.dev/berth/internal/base/datadir"
)

func newUninstall(s streams) *cobra.Command {
	var c connection
	var yes bool
	var bundle string
	cmd := &cobra.Command{
		Use:     "uninstall",
		Short:   "Stop everything and remove the data directory: all data is lost",
		Example: "  berth uninstall --yes\n  berth uninstall --data-dir /srv/berth",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := c.dir()
			if err != nil {
				return err
			}
			if err := looksLikeOurs(dir); err != nil {
				return err
			}
			if !yes && !confirm(s, dir) {
				return errors.New("nothing was removed")
			}
			say := func(format string, a ...any) { fmt.Fprintf(s.out, format+"\n", a...) }
			if err := app.Down(cmd.Context(), dir, bundle, say); err != nil {
				return err
			}
			if err := removeUnit(cmd, dir); err != nil {
				return err
			}
			if err := os.RemoveAll(dir.Path()); err != nil {
				return err
			}
			say("removed %s", dir.Path())
			return nil
		},
	}
	c.bindDir(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(&bundle, "bundle-dir", "", "folder with containerd, runc and the CNI plugins (default: bundle/ beside the program)")
	return cmd
}

// looksLikeOurs keeps a mistyped --data-dir from removing somebody's files.
func looksLikeOurs(dir datadir.Dir) error {
	entries, err := os.ReadDir(dir.Path())
	if errors.Is(err, fs.ErrNotExist) || (err == nil && len(entries) == 0) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir.Lock()); err != nil {
		return fmt.Errorf("%s holds files but no Berth instance (no %s in it); nothing was removed", dir.Path(), filepath.Base(dir.Lock()))
	}
	return nil
}

func confirm(s streams, dir datadir.Dir) bool {
	fmt.Fprintf(s.out, "This stops all pods and removes %s with all volumes in it. Type yes to go on: ", dir.Path())
	answer, _ := bufio.NewReader(s.in).ReadString('\n')
	return strings.TrimSpace(answer) == "yes"
}

// removeUnit removes the systemd unit if it is this instance's.
func removeUnit(cmd *cobra.Command, dir datadir.Dir) error {
	text, err := os.ReadFile(defaultUnit)
	if err != nil {
		return nil
	}
	mine := strings.Contains(string(text), dir.Path()) || (dir.Path() == datadir.Default && !strings.Contains(string(text), "--data-dir"))
	if !mine {
		return nil
	}
	if systemctl, err := exec.LookPath("systemctl"); err == nil {
		_ = exec.CommandContext(cmd.Context(), systemctl, "disable", filepath.Base(defaultUnit)).Run()
	}
	return os.Remove(defaultUnit)
}
