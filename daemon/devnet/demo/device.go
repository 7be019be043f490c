package demo

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Close ends the tenant's mesh process, which otherwise would end by itself when idle.
func (t *Tenant) Close() { EndMesh(t.path("home")) }

// EndMesh ends the mesh process that the command line started for a home folder, and waits for its end, at most 5 s.
func EndMesh(home string) {
	for _, pid := range meshProcesses(home) {
		_ = syscall.Kill(pid, syscall.SIGTERM) // it may have ended by itself
	}
	for range 50 {
		if len(meshProcesses(home)) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// meshProcesses finds those that serve a home folder.
func meshProcesses(home string) []int {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil
	}
	var pids []int
	for _, file := range lines {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		args := bufio.NewScanner(bytes.NewReader(bytes.ReplaceAll(data, []byte{0}, []byte{'\n'})))
		var argv []string
		for args.Scan() {
			argv = append(argv, args.Text())
		}
		if slices.Contains(argv, "mesh-serve") && slices.Contains(argv, home) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
