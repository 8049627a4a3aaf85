package testbed

import "syscall"

// dieWithParent makes the kernel kill the child when this process dies, so that a
// test that panics or times out leaves no server behind.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
