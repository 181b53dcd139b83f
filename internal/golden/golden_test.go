package golden

import (
	"strings"
	"testing"
)

func TestTell(t *testing.T) {
	heard := ""
	text := "# a remark\n\n# another\nstate a=1 b\n  x\n  y\n\nplan\n----\nwrong\nand more\n\nplan twice\n"
	got := tell(func(command, words string, input []string) string {
		heard += command + "|" + words + "|" + strings.Join(input, ",") + "\n"
		if command == "plan" {
			return "right " + words + "\n\n"
		}
		return ""
	}, text)
	if heard != "state|a=1 b|  x,  y\nplan||\nplan|twice|\n" {
		t.Errorf("told %q", heard)
	}
	if want := "# a remark\n\n# another\nstate a=1 b\n  x\n  y\n\nplan\n----\nright \n\nplan twice\n----\nright twice\n"; got != want {
		t.Errorf("got %q", got)
	}
	if again := tell(func(command, words string, _ []string) string {
		if command == "plan" {
			return "right " + words
		}
		return ""
	}, got); again != got {
		t.Errorf("told again it is %q", again)
	}
}
