package server

import (
	"bytes"
	"errors"
	"io"
	"time"
)

// stamp is how log timestamps are shown: always nine digits.
const stamp = "2006-01-02T15:04:05.000000000Z07:00"

// line is one record of a log in the CRI format:
// "2016-10-06T00:17:09.669794202Z stdout P content".
type line struct {
	time    time.Time
	stderr  bool
	partial bool   // the next record goes on with the same line
	text    []byte // with its newline, unless partial
}

var errNotALine = errors.New("not a line of a CRI log")

// parseLine reads one record; raw may end with a newline.
func parseLine(raw []byte) (line, error) {
	var l line
	head, rest, ok := bytes.Cut(raw, []byte{' '})
	if !ok {
		return l, errNotALine
	}
	var err error
	if l.time, err = time.Parse(time.RFC3339Nano, string(head)); err != nil {
		return l, errNotALine
	}
	stream, rest, ok := bytes.Cut(rest, []byte{' '})
	switch {
	case !ok:
		return l, errNotALine
	case string(stream) == "stderr":
		l.stderr = true
	case string(stream) != "stdout":
		return l, errNotALine
	}
	tags, text, ok := bytes.Cut(rest, []byte{' '})
	if !ok {
		// The runtime may write no blank behind the tag of an empty line.
		tags = bytes.TrimSuffix(tags, []byte{'\n'})
		text = []byte{'\n'}
	}
	// More tags may follow, divided by colons; the first is ours.
	tag, _, _ := bytes.Cut(tags, []byte{':'})
	switch string(tag) {
	case "P":
		l.partial = true
		text = bytes.TrimSuffix(text, []byte{'\n'})
	case "F":
	default:
		return l, errNotALine
	}
	l.text = text
	return l, nil
}

// errEnough ends a log at its byte limit.
var errEnough = errors.New("the log's byte limit is reached")

// lineWriter writes the lines that are wanted.
type lineWriter struct {
	opts  logOptions
	w     io.Writer
	flush func() error
	left  int64   // bytes that may still be written, -1: any number
	inner [2]bool // within a line of stdout, of stderr
}

// write writes one record; what is no record is skipped.
func (o *lineWriter) write(raw []byte) error {
	l, err := parseLine(raw)
	if err != nil {
		return nil
	}
	if (l.stderr && !o.opts.stderr) || (!l.stderr && !o.opts.stdout) || l.time.Before(o.opts.since) {
		return nil
	}
	stream := 0
	if l.stderr {
		stream = 1
	}
	text := l.text
	if o.opts.timestamps && !o.inner[stream] {
		text = append(append(l.time.AppendFormat(nil, stamp), ' '), text...)
	}
	o.inner[stream] = l.partial
	if o.left >= 0 && int64(len(text)) >= o.left {
		text = text[:o.left]
	}
	n, err := o.w.Write(text)
	if err != nil {
		return err
	}
	if o.left >= 0 {
		if o.left -= int64(n); o.left == 0 {
			return errEnough
		}
	}
	return nil
}
