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

// Resources and bookings have ids that pgbench can compose from a number.
const (
	resources = 100
	uuids     = "00000000-0000-7000-8000-"
	// slots is the number of one-minute slots of a resource.
	slots = 4_000_000
)

var parameter = regexp.MustCompile(`\$(\d+)\b`)

// script returns a pgbench script of captured statements, with another resource, slot, id
// and customer in each transaction. values maps captured literals to expressions; times
// become offsets from start.
func script(statements []statement, values map[string]string, start time.Time, sameSlot bool) string {
	var out strings.Builder
	if sameSlot {
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
		// pgbench reads a statement up to the semicolon.
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

// uuidOf returns the SQL of an id composed from a variable.
func uuidOf(variable string) string {
	return "('" + uuids + "' || lpad(" + variable + "::text, 12, '0'))"
}

var progress = regexp.MustCompile(`progress: [0-9.]+ s, ([0-9.]+) tps`)

// warming is how many seconds pgbench runs before counting: its new connections have to
// load the catalog and plan the statements, which the Go contenders did before.
const warming = 2

// findPgbench searches next to the server's programs, in PATH and in the folders of
// packages, and returns "" if there is none. Downloaded programs do not include it.
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

// pgbench runs a script with prepared statements and returns the rate per second.
func (b *bench) pgbench(ctx context.Context, database, script string) (float64, error) {
	return b.pgbenchAs(ctx, database, script, clients)
}

// pgbenchAs is pgbench with another number of clients. Each has its own variable n.
func (b *bench) pgbenchAs(ctx context.Context, database, script string, clients int) (float64, error) {
	path := filepath.Join(b.server.sockets, "script.sql")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		return 0, err
	}
	var matches [][][]byte
	// Opening the connections may take as long on a busy machine, so retry.
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
			return 0, fmt.Errorf("pgbench: unexpected output\n%s", tail(out))
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
