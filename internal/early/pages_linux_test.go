package early

import (
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

const smaps = `00400000-01219000 r-xp 00000000 fe:00 9978402                            /authz
Size:              14436 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
01219000-02601000 r--p 00e19000 fe:00 9978402                            /authz
Anonymous:             4 kB
VmFlags: rd mr mw me sd
02601000-027a4000 rw-p 02201000 fe:00 9978402                            /authz
Anonymous:             0 kB
027a4000-047f4000 r--p 00000000 00:00 0
Anonymous:             0 kB
2dd0e2c00000-2dd0e4000000 rw-p 00000000 00:00 0
Anonymous:             0 kB
04800000-04900000 r--p 00000000 fe:00 9978402                            /a name: with words
Anonymous:             0 kB
7f50c84be000-7f50c84c0000 r--s 00000000 fe:00 12                         /shared
Anonymous:             0 kB
`

// Pages that somebody wrote to, or could, are never given up.
func TestProgramPages(t *testing.T) {
	want := []mapping{{0x400000, 0x1219000}, {0x4800000, 0x4900000}}
	if got := programPages([]byte(smaps)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// The program goes on, and its resident pages are fewer.
func TestSettle(t *testing.T) {
	before := rssFile(t)
	Settle()
	if after := rssFile(t); after >= before {
		t.Errorf("%d kB of files resident before, %d kB after", before, after)
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	if len(programPages(text)) == 0 {
		t.Error("the program has no pages that could be given up")
	}
}

func rssFile(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "RssFile:"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kb
		}
	}
	t.Fatal("the kernel says nothing of RssFile")
	return 0
}
