package early

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// forgetPages has the kernel take the pages of the program file out of this process's
// memory. They stay in the page cache, and come back as they are used: most of what a
// start touches, 64 KiB around each address, is never used again. Only mappings of a
// file are meant that cannot be written and hold no page of the process's own.
func forgetPages() {
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	for _, m := range programPages(maps) {
		// An error leaves the pages where they are.
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.from, m.to-m.from, syscall.MADV_DONTNEED)
	}
}

type mapping struct{ from, to uintptr }

// programPages reads smaps (proc_pid_smaps(5)).
func programPages(smaps []byte) (list []mapping) {
	var m mapping
	file := false
	lines := bufio.NewScanner(bytes.NewReader(smaps))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 5 && !strings.HasSuffix(fields[0], ":") {
			m, file = mapping{}, false
			from, to, _ := strings.Cut(fields[0], "-")
			first, err1 := strconv.ParseUint(from, 16, 64)
			last, err2 := strconv.ParseUint(to, 16, 64)
			if err1 == nil && err2 == nil && last > first {
				m = mapping{uintptr(first), uintptr(last)}
				file = (fields[1] == "r-xp" || fields[1] == "r--p") && fields[4] != "0"
			}
			continue
		}
		if file && len(fields) == 3 && fields[0] == "Anonymous:" && fields[1] == "0" {
			list = append(list, m)
		}
	}
	return list
}
