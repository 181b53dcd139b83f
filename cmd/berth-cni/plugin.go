package main

import (
	"encoding/json"
	"io"
	"os"
	"time"

	"berth.dev/berth/internal/network/cni/call"
)

// timeout is longer than the agent waits for a pod's address.
const timeout = 20 * time.Second

// config is what we need of our network configuration.
type config struct {
	CNIVersion string `json:"cniVersion"`
	Socket     string `json:"socket"`
}

func run() (config, []byte, error) {
	conf := config{CNIVersion: "1.0.0"}
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return conf, nil, &call.Error{Code: 5, Msg: "cannot read the network configuration", Details: err.Error()}
	}
	command := os.Getenv("CNI_COMMAND")
	if command == "VERSION" {
		_ = json.Unmarshal(input, &conf)
		return conf, []byte(`{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}` + "\n"), nil
	}
	if err := json.Unmarshal(input, &conf); err != nil {
		return conf, nil, &call.Error{Code: call.CodeDecode, Msg: "the network configuration is not JSON", Details: err.Error()}
	}
	if conf.Socket == "" {
		return conf, nil, &call.Error{Code: call.CodeInvalidConfig, Msg: `the network configuration has no "socket"`}
	}
	out, err := forward(command, conf, input)
	return conf, out, err
}

func forward(command string, conf config, input []byte) ([]byte, error) {
	req := call.Request{
		Command: command, Config: input, Args: os.Getenv("CNI_ARGS"), ContainerID: os.Getenv("CNI_CONTAINERID"),
		IfName: os.Getenv("CNI_IFNAME"), NetNS: os.Getenv("CNI_NETNS"),
	}
	var ns *os.File
	if command == call.Add || command == call.Check {
		var err error
		if ns, err = os.Open(req.NetNS); err != nil {
			return nil, &call.Error{Code: call.CodeInvalidEnvironment, Msg: "cannot open the pod's network namespace", Details: err.Error()}
		}
		defer ns.Close()
	} else if command == call.Del && req.NetNS != "" {
		if f, err := os.Open(req.NetNS); err == nil { // it may be gone already
			ns = f
			defer ns.Close()
		}
	}
	resp, err := call.Do(conf.Socket, req, ns, timeout)
	switch {
	case err != nil && command == call.Del:
		// The pod's end goes with its namespace and the host's end with it: a
		// pod can be stopped while the agent is away.
		return nil, nil
	case err != nil:
		code := uint(call.CodeTryAgain)
		if command == call.Status {
			code = call.CodeNotAvailable
		}
		return nil, &call.Error{Code: code, Msg: "berth's node agent cannot be asked; is berth running?", Details: err.Error()}
	case resp.Error != nil:
		return nil, resp.Error
	}
	return resp.Result, nil
}
