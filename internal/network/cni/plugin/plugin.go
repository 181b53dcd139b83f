// Package plugin runs chains of CNI plugins, as the CNI specification has a
// runtime do it.
package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"berth.dev/berth/internal/network/cni/call"
)

// Chain is the configuration of one interface, ready to run.
type Chain struct {
	Version     string           `json:"cniVersion"`
	Plugins     []map[string]any `json:"plugins"`
	ContainerID string           `json:"containerID"`
	IfName      string           `json:"ifName"`
	Args        string           `json:"args"`
	// Result is what the last ADD said.
	Result json.RawMessage `json:"result,omitempty"`
}

// IP is an address of a result.
type IP struct {
	Address string `json:"address"`
	Gateway string `json:"gateway,omitempty"`
}

// Path is where plugins are looked for, in order.
type Path []string

// find is the program of a plugin.
func (p Path) find(kind string) (string, error) {
	for _, dir := range p {
		file := filepath.Join(dir, kind)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("there is no CNI plugin %s on this node (in %s)", kind, strings.Join(p, ", "))
}

// Check reports the first plugin of a chain that is not there, before anything
// is done.
func (p Path) Check(plugins []map[string]any) error {
	for _, conf := range plugins {
		for _, block := range []any{conf, conf["ipam"]} {
			one, _ := block.(map[string]any)
			kind, _ := one["type"].(string)
			if kind == "" {
				continue
			}
			if _, err := p.find(kind); err != nil {
				return err
			}
		}
	}
	return nil
}

// Add makes the interface and keeps the result.
func (p Path) Add(ctx context.Context, c *Chain, netns string) error {
	c.Result = nil
	for _, conf := range c.Plugins {
		out, err := p.run(ctx, c, call.Add, netns, conf, c.Result)
		if err != nil {
			return err
		}
		c.Result = out
	}
	return nil
}

// Del takes it away again, as far as it was made; netns is empty when the
// namespace is gone. It goes on after an error.
func (p Path) Del(ctx context.Context, c *Chain, netns string) error {
	var problems []error
	for i := len(c.Plugins) - 1; i >= 0; i-- {
		_, err := p.run(ctx, c, call.Del, netns, c.Plugins[i], c.Result)
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// older have neither DEL with a result nor CHECK.
func older(version string) bool {
	return version == "" || strings.HasPrefix(version, "0.1.") || strings.HasPrefix(version, "0.2.") || strings.HasPrefix(version, "0.3.")
}

// run runs one plugin.
func (p Path) run(ctx context.Context, c *Chain, command, netns string, conf map[string]any, before json.RawMessage) (json.RawMessage, error) {
	kind, _ := conf["type"].(string)
	file, err := p.find(kind)
	if err != nil {
		return nil, err
	}
	whole := make(map[string]any, len(conf)+1)
	for k, v := range conf {
		whole[k] = v
	}
	if before != nil && (command == call.Add || !older(c.Version)) {
		whole["prevResult"] = before
	}
	input, err := json.Marshal(whole)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, file)
	cmd.WaitDelay = time.Second // an ipam plugin may hold the pipe
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+command, "CNI_CONTAINERID="+c.ContainerID, "CNI_NETNS="+netns,
		"CNI_IFNAME="+c.IfName, "CNI_ARGS="+c.Args, "CNI_PATH="+strings.Join(p, string(filepath.ListSeparator)))
	cmd.Stdin = bytes.NewReader(input)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, failure(kind, command, out.Bytes(), complaint.String(), err)
	}
	if command != call.Add {
		return nil, nil
	}
	if !json.Valid(out.Bytes()) {
		return nil, fmt.Errorf("CNI plugin %s answers %s with what is no JSON: %.200q", kind, command, out.String())
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// failure is what a plugin says about its failure, with what that means where the
// kernel is the reason.
func failure(kind, command string, out []byte, complaint string, err error) error {
	said := &call.Error{}
	if json.Unmarshal(out, said) != nil || said.Msg == "" {
		if complaint = strings.TrimSpace(complaint); complaint == "" {
			complaint = err.Error()
		}
		return fmt.Errorf("CNI plugin %s, %s: %s", kind, command, complaint)
	}
	if command == call.Add && strings.Contains(said.Error(), "operation not supported") {
		return fmt.Errorf("the kernel of this node has no %s interfaces: CNI plugin %s: %s", kind, kind, said.Error())
	}
	return fmt.Errorf("CNI plugin %s, %s: %s", kind, command, said.Error()) // its code is not ours
}

// IPs are the addresses of a result, and the hardware address of the interface in
// the pod.
func (c *Chain) IPs() (ips []IP, mac string) {
	var r struct {
		Interfaces []struct {
			Name    string `json:"name"`
			Mac     string `json:"mac"`
			Sandbox string `json:"sandbox"`
		} `json:"interfaces"`
		IPs []IP `json:"ips"`
	}
	if json.Unmarshal(c.Result, &r) != nil {
		return nil, ""
	}
	for _, i := range r.Interfaces {
		if i.Name == c.IfName && i.Sandbox != "" {
			mac = i.Mac
		}
	}
	return r.IPs, mac
}
