//go:build !linux

package testbed

import "syscall"

// dieWithParent keeps a Ctrl-C in the terminal from reaching the child directly.
// Only Linux can tie its life to ours.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
