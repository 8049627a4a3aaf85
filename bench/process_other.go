//go:build !linux

package main

import (
	"errors"
	"time"
)

var errLinux = errors.New("the benchmark reads the accounting of Linux")

func cpuTime(int) (time.Duration, error) { return 0, errLinux }
func rss(int) (int64, error)             { return 0, errLinux }
