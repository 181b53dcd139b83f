package runtime

import (
	"encoding/json"
	"path/filepath"
	"runtime"
	"strings"

	"berth.dev/berth/internal/base/datadir"
)

// seccompNames are the machines for which there is a profile, as libseccomp
// calls them.
var seccompNames = map[string]string{
	"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64", "riscv64": "SCMP_ARCH_RISCV64",
	"ppc64le": "SCMP_ARCH_PPC64LE", "s390x": "SCMP_ARCH_S390X",
}

// pauseCalls are the system calls of a pod's sandbox: those of pause are the
// first line, the rest is what runc's init and its Go runtime may need until
// they have become pause. None of them opens a socket, a mount or a namespace.
const pauseCalls = `
pause rt_sigaction rt_sigreturn wait4 exit exit_group execve brk arch_prctl set_tid_address set_robust_list rseq prlimit64 mprotect readlink getrandom newfstatat
read write readv writev pread64 pwrite64 open openat openat2 close close_range dup dup2 dup3 fcntl lseek pipe2 poll ppoll pselect6
access faccessat faccessat2 stat lstat fstat statx statfs fstatfs readlinkat getdents64 getcwd chdir fchdir umask fchown fchownat
mmap munmap mremap madvise mincore membarrier
clone clone3 gettid getpid getppid getpgrp getpgid getsid setsid kill tkill tgkill waitid pidfd_open pidfd_send_signal
rt_sigprocmask rt_sigpending rt_sigqueueinfo rt_sigsuspend rt_sigtimedwait sigaltstack restart_syscall
futex futex_waitv nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time sched_yield sched_getaffinity
setitimer timer_create timer_settime timer_delete
epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd2
getuid geteuid getgid getegid getgroups getresuid getresgid setuid setgid setgroups setresuid setresgid
capget capset prctl seccomp uname sysinfo getrlimit setrlimit getrusage
recvfrom recvmsg sendto sendmsg shutdown
`

// PauseSeccomp is the file of the seccomp profile of sandboxes. It allows less
// than the runtime's own and is of one architecture: runc needs 17 ms of
// processor to compile that for three, and 1 ms for this. It is empty where
// there is none.
func (c Config) PauseSeccomp() string {
	if seccompNames[runtime.GOARCH] == "" {
		return ""
	}
	return filepath.Join(c.Dir.Containerd(), "pause-seccomp.json")
}

func (c Config) writePauseSeccomp() error {
	file := c.PauseSeccomp()
	if file == "" {
		return nil
	}
	type calls struct {
		Names  []string `json:"names"`
		Action string   `json:"action"`
	}
	text, err := json.Marshal(struct {
		DefaultAction string   `json:"defaultAction"`
		Architectures []string `json:"architectures"`
		Syscalls      []calls  `json:"syscalls"`
	}{"SCMP_ACT_ERRNO", []string{seccompNames[runtime.GOARCH]}, []calls{{strings.Fields(pauseCalls), "SCMP_ACT_ALLOW"}}})
	if err != nil {
		return err
	}
	return datadir.WriteFile(file, text)
}
