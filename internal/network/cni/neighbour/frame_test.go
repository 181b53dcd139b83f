package neighbour

import (
	"encoding/hex"
	"net"
	"net/netip"
	"testing"
)

var asker = net.HardwareAddr{2, 0, 0, 0, 0, 1}

// Frames as other programs send and show them.
func TestQuestions(t *testing.T) {
	for a, want := range map[string]string{
		"10.6.168.101": "ffffffffffff" + "020000000001" + "0806" +
			"0001" + "0800" + "06" + "04" + "0001" + "020000000001" + "00000000" + "000000000000" + "0a06a865",
		"fd00::1:2:3": "3333ff020003" + "020000000001" + "86dd" +
			"60000000" + "0018" + "3a" + "ff" + "00000000000000000000000000000000" + "ff0200000000000000000001ff020003" +
			"87007d9c" + "00000000" + "fd000000000000000000000100020003",
	} {
		if got := hex.EncodeToString(question(netip.MustParseAddr(a), asker)); got != want {
			t.Errorf("%s\n got %s\nwant %s", a, got, want)
		}
	}
}

// The checksum of a message with its checksum is zero.
func TestChecksum(t *testing.T) {
	for _, a := range []string{"fd00::1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::1"} {
		f := question(netip.MustParseAddr(a), asker)
		if sum := checksum(f[etherLen:etherLen+ipv6Len], f[etherLen+ipv6Len:]); sum != 0 {
			t.Errorf("%s: %#x is over", a, sum)
		}
	}
}

func TestHeard(t *testing.T) {
	const advice = "333300000001" + "0a58deadbeef" + "86dd" + "60000000" + "0020" + "3a" + "HL" +
		"fe800000000000000000000000000001" + "ff020000000000000000000000000001" + "88000000" + "20000000" + "fd000000000000000000000000000005"
	for _, tt := range []struct{ name, frame, addr, mac string }{
		{"an answer", "020000000001" + "0a580a06a865" + "0806" + "0001080006040002" + "0a580a06a865" + "0a06a865" + "020000000001" + "00000000", "10.6.168.101", "0a:58:0a:06:a8:65"},
		{"an answer by way of a bridge", "020000000001" + "0a5800000000" + "0806" + "0001080006040002" + "0a580a06a865" + "0a06a865" + "020000000001" + "00000000", "10.6.168.101", "0a:58:0a:06:a8:65"},
		{"an announcement", "ffffffffffff" + "0a580a06a865" + "0806" + "0001080006040001" + "0a580a06a865" + "0a06a865" + "000000000000" + "0a06a865", "10.6.168.101", "0a:58:0a:06:a8:65"},
		{"another's question", "ffffffffffff" + "0a580a06a865" + "0806" + "0001080006040001" + "0a580a06a865" + "00000000" + "000000000000" + "0a06a865", "10.6.168.101?", "0a:58:0a:06:a8:65"},
		{"too short", "ffffffffffff" + "0a580a06a865" + "0806" + "0001080006040001", "", ""},
		{"another protocol", "ffffffffffff" + "0a580a06a865" + "0800" + "0001080006040001" + "0a580a06a865" + "00000000" + "000000000000" + "0a06a865", "", ""},
		{"advice", replace(advice, "ff") + "0201" + "0a58000000cc", "fd00::5", "0a:58:00:00:00:cc"},
		{"advice without the address", replace(advice, "ff"), "fd00::5", "0a:58:de:ad:be:ef"},
		{"advice with an option that does not end", replace(advice, "ff") + "0200" + "0a58000000cc", "fd00::5", "0a:58:de:ad:be:ef"},
		{"advice from afar", replace(advice, "40") + "0201" + "0a58000000cc", "", ""},
		{"another's question", hex.EncodeToString(question(netip.MustParseAddr("fd00::5"), asker)), "fd00::5?", "02:00:00:00:00:01"},
		{"nothing", "", "", ""},
	} {
		frame, err := hex.DecodeString(tt.frame)
		if err != nil {
			t.Fatal(tt.name, err)
		}
		a, ok := heard(frame)
		addr := ""
		if ok {
			if addr = a.Addr.String(); a.Tentative {
				addr += "?"
			}
		}
		if addr != tt.addr || ok && a.MAC.String() != tt.mac {
			t.Errorf("%s: %s has %s", tt.name, a.MAC, addr)
		}
	}
}

func replace(frame, hops string) string {
	for i := 0; i+1 < len(frame); i++ {
		if frame[i:i+2] == "HL" {
			return frame[:i] + hops + frame[i+2:]
		}
	}
	return frame
}

func FuzzHeard(f *testing.F) {
	f.Add(question(netip.MustParseAddr("10.6.168.101"), asker))
	f.Add(question(netip.MustParseAddr("fd00::5"), asker))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if a, ok := heard(frame); ok && (!a.Addr.IsValid() || len(a.MAC) != 6) {
			t.Errorf("%+v", a)
		}
	})
}
