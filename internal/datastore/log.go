package datastore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// quietLogger says only what somebody must act on.
func quietLogger(options ...zap.Option) *zap.Logger {
	encoder := zapcore.NewConsoleEncoder(zap.NewProductionEncoderConfig())
	return zap.New(quietCore{zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), zapcore.ErrorLevel)}, options...)
}

// serverLogger is that of an etcd in this process.
func serverLogger(last lastWords) *zap.Logger {
	return quietLogger(zap.WithFatalHook(last), zap.WrapCore(func(c zapcore.Core) zapcore.Core { return mortalCore{c} }))
}

// mortalCore leaves to lastWords what it says, and what bbolt says before.
type mortalCore struct{ zapcore.Core }

func (c mortalCore) With(fields []zapcore.Field) zapcore.Core { return mortalCore{c.Core.With(fields)} }

func (c mortalCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if e.Level == zapcore.FatalLevel || e.LoggerName == "bbolt" {
		return ce
	}
	return c.Core.Check(e, ce)
}

type quietCore struct{ zapcore.Core }

func (c quietCore) With(fields []zapcore.Field) zapcore.Core { return quietCore{c.Core.With(fields)} }

func (c quietCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	switch e.Message {
	case "failed to update storage version", // said once by each new member, which then succeeds
		"Validation on configuration change failed", "rejecting promote learner: learner is not ready": // who asked is told
		return ce
	}
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// lastWords ends the program when etcd can go on no more: it must not answer
// for what it could not write. It says why in one line.
type lastWords struct {
	dir  string
	out  io.Writer
	exit func(code int)
}

// OnWrite implements zapcore.CheckWriteHook.
func (w lastWords) OnWrite(ce *zapcore.CheckedEntry, fields []zapcore.Field) {
	why, advice := ce.Message, "see whether the disk below it is well"
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			why += ": " + err.Error()
			if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
				advice = "make space there"
			}
		}
	}
	fmt.Fprintf(w.out, "berth: the datastore in %s cannot be written: %s; %s and start berth again. Nothing that was acknowledged is lost, and pods go on running\n", w.dir, why, advice)
	w.exit(1)
}
