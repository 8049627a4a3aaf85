package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// stock is what a cluster could leave on the machine: mounts, network interfaces,
// and processes in namespaces that are not ours. Other processes come and go by
// themselves.
type stock struct {
	mounts, links, strangers map[string]bool
}

func takeStock() (stock, error) {
	s := stock{mounts: map[string]bool{}, links: map[string]bool{}, strangers: map[string]bool{}}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 2 {
			s.mounts[fields[1]+" ("+fields[2]+")"] = true
		}
	}
	links, err := net.Interfaces()
	if err != nil {
		return s, err
	}
	for _, link := range links {
		s.links[link.Name] = true
	}
	own, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return s, err
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return s, err
	}
	for _, process := range processes {
		// A process that is gone meanwhile has no link.
		if space, err := os.Readlink(process + "/ns/pid"); err == nil && space != own {
			name, _ := os.ReadFile(process + "/comm")
			s.strangers[strings.TrimSpace(string(name))+" "+filepath.Base(process)] = true
		}
	}
	return s, nil
}

// compare looks for what was not there before. Processes that are being reaped get
// a moment.
func (s stock) compare(group string) (string, error) {
	var left []string
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		now, err := takeStock()
		if err != nil {
			return "", err
		}
		left = nil
		for kind, pair := range map[string][2]map[string]bool{
			"mount": {s.mounts, now.mounts}, "interface": {s.links, now.links}, "process": {s.strangers, now.strangers},
		} {
			for name := range pair[1] {
				if !pair[0][name] {
					left = append(left, kind+" "+name)
				}
			}
		}
		for _, dir := range groups(group) {
			left = append(left, "cgroup "+dir)
		}
		if len(left) == 0 || time.Now().After(end) {
			break
		}
	}
	if len(left) > 0 {
		return "", errors.New(strings.Join(left, "\n"))
	}
	return fmt.Sprintf("%d mounts, %d interfaces and no cgroup or process more than before", len(s.mounts), len(s.links)), nil
}

// groups are the cgroups of a run, in every hierarchy; with cgroup v2 there is one.
func groups(name string) []string {
	v1, _ := filepath.Glob("/sys/fs/cgroup/*/" + name)
	v2, _ := filepath.Glob("/sys/fs/cgroup/" + name)
	return append(v1, v2...)
}

// removeGroups removes them, innermost first, for as long as the kernel says that
// they are in use.
func removeGroups(name string) {
	for end := time.Now().Add(20 * time.Second); len(groups(name)) > 0 && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for _, top := range groups(name) {
			var dirs []string
			_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
			for i := len(dirs) - 1; i >= 0; i-- {
				_ = os.Remove(dirs[i])
			}
		}
	}
}
