package cri

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"

	"berth.dev/berth/internal/plan/podsync"
	corev1 "k8s.io/api/core/v1"
)

// Upstream's limits of a termination message.
const (
	longestTermination = 4096
	longestLogTail     = 2048
	mostLogLines       = 80
)

// Message is the termination message of an exited container: what it wrote to
// its termination log, else, if it asked for that and failed, the end of its log.
func Message(r Record) string {
	path := r.Notes[noteMessagePath]
	if r.Phase != podsync.Exited || path == "" {
		return r.Message
	}
	text := ""
	for _, m := range r.Mounts {
		if m.ContainerPath == path {
			text = head(m.HostPath)
			break
		}
	}
	fallback := corev1.TerminationMessagePolicy(r.Notes[noteMessagePolicy]) == corev1.TerminationMessageFallbackToLogsOnError
	if text == "" && fallback && r.ExitCode != 0 {
		text = logTail(r.LogPath)
	}
	if text == "" {
		return r.Message
	}
	return text
}

func head(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	data, _ := io.ReadAll(io.LimitReader(f, longestTermination))
	return string(data)
}

// logTail is the last lines a container wrote, without the log's own columns.
func logTail(path string) string {
	const window = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, end-window), io.SeekStart)
	}
	data, _ := io.ReadAll(io.LimitReader(f, window))
	lines := bytes.Split(bytes.TrimRight(data, "\n"), []byte("\n"))
	if len(lines) > mostLogLines {
		lines = lines[len(lines)-mostLogLines:]
	}
	var b strings.Builder
	for _, line := range lines {
		// time stream tag text
		parts := bytes.SplitN(line, []byte(" "), 4)
		if len(parts) == 4 {
			b.Write(parts[3])
			if string(parts[2]) == "F" {
				b.WriteByte('\n')
			}
		}
	}
	text := b.String()
	if len(text) > longestLogTail {
		text = text[len(text)-longestLogTail:]
	}
	return text
}

// UnmarshalPreStop reads the hook a container was created with.
func UnmarshalPreStop(r Record) *corev1.LifecycleHandler {
	raw := r.Notes[notePreStop]
	if raw == "" {
		return nil
	}
	hook := &corev1.LifecycleHandler{}
	if json.Unmarshal([]byte(raw), hook) != nil {
		return nil
	}
	return hook
}
