package conversation

import (
	"regexp"
	"strings"
)

// rule replaces what differs from run to run.
type rule struct {
	from *regexp.Regexp
	to   string
}

var everywhere = []rule{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<uid>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`), "<time>"},
	{regexp.MustCompile(`(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}`), "<time>"},
	{regexp.MustCompile(`\b([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([a-z0-9_]+\.go):\d+\]`), "$1<time> $2]"},
	{regexp.MustCompile(`([rR]esourceVersion"?: ?)"\d+"`), `$1"<version>"`},
	{regexp.MustCompile(`("resourceVersion":)"\d+"`), `$1"<version>"`},
	{regexp.MustCompile(`(Resource Version: +)\d+`), "$1<version>"},
	{regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`), "<token>"},
	{regexp.MustCompile(`v0\.0\.0-master\+\$Format:%H\$`), "v1.37.2"},
	{regexp.MustCompile(`kube-api-access-[a-z0-9]{5}`), "kube-api-access-<random>"},
	{regexp.MustCompile(`/tmp/(LIVE|MERGED)-\d+`), "/tmp/$1"},
	{regexp.MustCompile(`/tmp/kubectl-edit-\d+`), "/tmp/kubectl-edit"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \+0000`), "<time>"},
	{regexp.MustCompile(`(?m)^((?:Age|Duration): +)\d+m?s$`), "$1<age>"},
}

// normal applies the rules of all and the given ones.
func normal(text string, rules []rule) string {
	text = ages(text)
	for _, r := range everywhere {
		text = r.from.ReplaceAllString(text, r.to)
	}
	for _, r := range rules {
		text = r.from.ReplaceAllString(text, r.to)
	}
	return text
}

var (
	ageHeader     = regexp.MustCompile(`\b(AGE|LAST SEEN|FIRST SEEN|DURATION|LAST SCHEDULE|Age)\b`)
	ageAtEnd      = regexp.MustCompile(` \d+s$`)
	ageAfterSpace = regexp.MustCompile(` {3}\d+s$`)
	age           = regexp.MustCompile(`^(\d+m)?\d+s( \(x\d+ over \d+s\))?`)
)

// ages replaces the values under a table's headers of time by <t>; they are at
// most as wide as the header, so no other column moves.
func ages(text string) string {
	lines := strings.Split(text, "\n")
	var columns []int
	last := false
	for i, line := range lines {
		if found := ageHeader.FindAllStringIndex(line, -1); found != nil && !age.MatchString(line) {
			columns, last = columns[:0], strings.HasSuffix(line, " AGE")
			for _, f := range found {
				columns = append(columns, f[0])
			}
			continue
		}
		for _, column := range columns {
			if column >= len(line) {
				continue
			}
			rest := line[column:]
			value := age.FindString(rest)
			if value == "" {
				continue
			}
			rest = rest[len(value):]
			for n := len(value); n < 3 && strings.HasPrefix(rest, " "); n++ {
				rest = rest[1:]
			}
			line = line[:column] + "<t>" + rest
		}
		if last { // the columns may have been changed by the command
			line = ageAtEnd.ReplaceAllString(line, " <t>")
		}
		line = ageAfterSpace.ReplaceAllString(line, "   <t>") // no header, or one without ages
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}
