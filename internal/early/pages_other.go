//go:build !linux

package early

func forgetPages() {}
