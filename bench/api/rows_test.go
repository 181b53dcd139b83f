package api

import "berth.dev/berth/bench/figure"

// rows are the table's, in its order.
var rows = []figure.Row{
	{Name: "create", Unit: "pods/s"},
	{Name: "update", Unit: "pods/s"},
	{Name: "get", Unit: "pods/s"},
	{Name: "list full protobuf", Unit: "ms", Less: true},
	{Name: "list paged protobuf", Unit: "ms", Less: true},
	{Name: "list cache protobuf", Unit: "ms", Less: true},
	{Name: "list full JSON", Unit: "ms", Less: true},
	{Name: "list paged JSON", Unit: "ms", Less: true},
	{Name: "list cache JSON", Unit: "ms", Less: true},
	{Name: "events", Unit: "1/s"},
	{Name: "event p50", Unit: "ms", Less: true},
	{Name: "event p99", Unit: "ms", Less: true},
	{Name: "informer p50", Unit: "ms", Less: true},
	{Name: "informer p99", Unit: "ms", Less: true},
	{Name: "CPU of create", Unit: "s", Less: true},
	{Name: "CPU of update", Unit: "s", Less: true},
	{Name: "CPU of get", Unit: "s", Less: true},
	{Name: "CPU of list", Unit: "s", Less: true},
	{Name: "CPU of fan-out", Unit: "s", Less: true},
	{Name: "CPU of informer", Unit: "s", Less: true},
	{Name: "idle RSS, empty", Unit: "MB", Less: true},
	{Name: "idle RssAnon, empty", Unit: "MB", Less: true},
	{Name: "idle CPU, empty", Unit: "% of a core", Less: true},
	{Name: "idle RSS, full", Unit: "MB", Less: true},
	{Name: "idle RssAnon, full", Unit: "MB", Less: true},
	{Name: "idle CPU, full", Unit: "% of a core", Less: true},
}
