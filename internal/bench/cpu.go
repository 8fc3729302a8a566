package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cpuSeconds returns the CPU time that a process has used, and the processes that it
// started: those that run, and those that have ended. It is 0 on systems without /proc.
func cpuSeconds(pid int) float64 {
	processes := os.DirFS("/proc")
	paths, _ := fs.Glob(processes, "[0-9]*/stat")
	sum := 0.0
	for _, path := range paths {
		text, err := fs.ReadFile(processes, path)
		if err != nil {
			continue // It has ended.
		}
		// The name in parentheses may have spaces. Then: state, parent, …, and from the
		// 12th field user and system time, and those of ended children, in hundredths.
		id, _, _ := strings.Cut(string(text), " ")
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 15 || id != strconv.Itoa(pid) && fields[1] != strconv.Itoa(pid) {
			continue
		}
		for _, ticks := range fields[11:15] {
			n, _ := strconv.ParseFloat(ticks, 64)
			sum += n / 100
		}
	}
	return sum
}

// pid returns the process id of the Postgres server.
func (s *server) pid() int {
	text, _ := os.ReadFile(filepath.Join(s.data, "postmaster.pid"))
	line, _, _ := strings.Cut(string(text), "\n")
	pid, _ := strconv.Atoi(line)
	return pid
}

// watchCPU returns the CPU seconds that each of the processes uses between counted and end,
// which it waits for.
func watchCPU(counted, end time.Time, pids ...int) <-chan []float64 {
	used := make(chan []float64, 1)
	go func() {
		at := func(when time.Time) (all []float64) {
			time.Sleep(time.Until(when))
			for _, pid := range pids {
				all = append(all, cpuSeconds(pid))
			}
			return all
		}
		before, after := at(counted), at(end)
		for n := range after {
			after[n] -= before[n]
		}
		used <- after
	}()
	return used
}
