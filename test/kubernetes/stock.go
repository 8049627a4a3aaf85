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

// stock is what a cluster could leave on the machine.
type stock struct {
	mounts, links map[string]bool
}

func takeStock() (stock, error) {
	s := stock{mounts: map[string]bool{}, links: map[string]bool{}}
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
	return s, nil
}

// processes are those of a run: the components have its folder in their environment,
// what is in pods is in its cgroup.
func processes(group string) []string {
	var list []string
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range all {
		// What can't be read is gone.
		environment, _ := os.ReadFile(process + "/environ")
		cgroup, _ := os.ReadFile(process + "/cgroup")
		if strings.Contains(string(environment), "CGROUP="+group+"\x00") || strings.Contains(string(cgroup), "/"+group+"/") {
			name, _ := os.ReadFile(process + "/comm")
			list = append(list, strings.TrimSpace(string(name))+" "+filepath.Base(process))
		}
	}
	return list
}

// compare looks for what was not there before, and for what bears the run's name.
// Processes that are being reaped get a moment.
func (s stock) compare(group string) (string, error) {
	var left []string
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		now, err := takeStock()
		if err != nil {
			return "", err
		}
		left = nil
		for name := range now.mounts {
			if !s.mounts[name] {
				left = append(left, "mount "+name)
			}
		}
		for name := range now.links {
			if !s.links[name] {
				left = append(left, "interface "+name)
			}
		}
		for _, process := range processes(group) {
			left = append(left, "process "+process)
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
	return fmt.Sprintf("%d mounts and %d interfaces as before, no process, no cgroup, no file", len(s.mounts), len(s.links)), nil
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
