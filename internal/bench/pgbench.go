package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The resources of a race have ids that pgbench can put together from a number, and so
// have its bookings.
const (
	resources = 100
	uuids     = "00000000-0000-7000-8000-"
	// first is when the first slots begin, in a resource whose slots last a minute.
	slots = 4_000_000
)

var parameter = regexp.MustCompile(`\$(\d+)\b`)

// script writes for pgbench what a client has sent, for another resource, slot, id and
// customer each time. values maps a literal that was sent to what stands for it; times
// are told by their distance from start.
func script(statements []statement, values map[string]string, start time.Time, fight bool) string {
	var out strings.Builder
	if fight {
		out.WriteString("\\set r 1\n\\set n 0\n")
	} else {
		fmt.Fprintf(&out, "\\set r random(1, %d)\n\\set n random(1, %d)\n", resources, slots)
	}
	out.WriteString("\\set a random(1, 999999999999)\n")
	for _, s := range statements {
		if s.query == "" || s.query == ";" {
			continue
		}
		query := parameter.ReplaceAllStringFunc(s.query, func(p string) string {
			n, _ := strconv.Atoi(p[1:])
			literal := s.args[n-1]
			if value, ok := values[strings.ToLower(literal)]; ok {
				return value
			}
			if at, ok := instant(literal); ok && at.Sub(start).Abs() < 31*24*time.Hour {
				return fmt.Sprintf("('%s'::timestamptz + :n * interval '1 minute')", at.Format(time.RFC3339Nano))
			}
			return literal
		})
		// One line each, without the semicolon that would end it sooner.
		out.WriteString(strings.Join(strings.Fields(query), " ") + ";\n")
	}
	return out.String()
}

func instant(literal string) (time.Time, bool) {
	text := strings.Trim(literal, "'")
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00",
		"2006-01-02 15:04:05.999999999Z07:00:00"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}

// uuidOf is how a script writes the id with a number.
func uuidOf(variable string) string {
	return "('" + uuids + "' || lpad(" + variable + "::text, 12, '0'))"
}

var progress = regexp.MustCompile(`progress: [0-9.]+ s, ([0-9.]+) tps`)

// warming is how many seconds pgbench runs before it counts: its connections are new each
// time, and load the catalog and plan the statements first, which those of the Go API
// have behind them.
const warming = 2

// findPgbench looks beside the server's programs, on the PATH, and where packages put it;
// "" when it is nowhere. The programs that are fetched come without it.
func findPgbench(beside string) string {
	found := []string{filepath.Join(beside, "pgbench"), "pgbench"}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/pgbench", "/usr/pgsql-*/bin/pgbench",
		"/opt/homebrew/opt/postgresql*/bin/pgbench"} {
		more, _ := filepath.Glob(pattern)
		found = append(found, more...)
	}
	for _, program := range found {
		if path, err := exec.LookPath(program); err == nil {
			return path
		}
	}
	return ""
}

// pgbench runs a script, prepared, and returns how many times a second it was done.
func (b *bench) pgbench(ctx context.Context, database, script string) (float64, error) {
	return b.pgbenchAs(ctx, database, script, clients)
}

// pgbenchAs is pgbench with so many clients. Each of them counts in a variable n of its
// own.
func (b *bench) pgbenchAs(ctx context.Context, database, script string, clients int) (float64, error) {
	path := filepath.Join(b.server.sockets, "script.sql")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		return 0, err
	}
	var matches [][][]byte
	// A machine that is very busy takes as long as that to open the connections: then
	// once more.
	for try := 0; len(matches) <= warming; try++ {
		cmd := exec.CommandContext(ctx, findPgbench(b.server.Programs()), "--no-vacuum", "--protocol=prepared",
			"--client="+strconv.Itoa(clients), "--jobs=2", "--define=n=0",
			"--progress=1", "--time="+strconv.Itoa(b.seconds+warming), "--file="+path,
			strings.ReplaceAll(b.server.url(database, true), "binary_parameters=yes&", ""))
		out, err := cmd.CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("pgbench: %w\n%s", err, tail(out))
		}
		if matches = progress.FindAllSubmatch(out, -1); len(matches) <= warming && try == 3 {
			return 0, fmt.Errorf("pgbench says\n%s", tail(out))
		}
	}
	sum := 0.0
	for _, match := range matches[warming:] {
		rate, err := strconv.ParseFloat(string(match[1]), 64)
		if err != nil {
			return 0, err
		}
		sum += rate
	}
	return sum / float64(len(matches)-warming), nil
}

func tail(out []byte) []byte { return out[max(0, len(out)-2000):] }
